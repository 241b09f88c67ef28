# Makes the cluster once, with the superuser's password from a mounted file, then runs it. Every client needs SCRAM.
set -eu
if [ ! -f /data/main/PG_VERSION ]; then
  /opt/pgbin/initdb -D /data/main -A scram-sha-256 -U postgres --pwfile=/run/superuser -N -E UTF8 --locale=C >/dev/null
  echo "host all all all scram-sha-256" >> /data/main/pg_hba.conf
fi
exec /opt/pgbin/postgres -D /data/main -c listen_addresses='*' -c unix_socket_directories='' -c fsync=off
