# Least privilege for the daemon on Vault or OpenBao, KV version 2. Every line is needed; a test takes each one away.
#
# Replace, everywhere in this file:
#   MOUNT         the KV v2 mount ("secret")
#   INSTALLATION  the installation's name in the daemon's configuration ("acme-prod")
#   APP           the folder of the secrets that the daemon rotates; repeat the block for every folder ("app")
#   ADMIN         the folder of the endpoints' admin credentials; repeat it likewise ("admin")
#
# Readers of APP need `read` on MOUNT/data/APP/* only. Nobody but the daemon may read MOUNT/data/rotator/*.
#
#   sed -e 's/MOUNT/secret/; s/INSTALLATION/acme-prod/; s/APP/app/; s/ADMIN/admin/' openbao-policy.hcl > rotator.hcl
#   bao policy write rotator rotator.hcl
#   bao auth enable approle
#   bao write auth/approle/role/rotator token_policies=rotator token_no_default_policy=true \
#       token_ttl=1h token_max_ttl=24h secret_id_ttl=720h secret_id_bound_cidrs=10.0.0.5/32
#   bao read -field=role_id auth/approle/role/rotator/role-id                    # goes into the configuration
#   bao write -f -field=secret_id auth/approle/role/rotator/secret-id > sid      # goes into a file of the daemon's user
#
# Other logins (JWT, Kubernetes, certificate, wrapped secret id) take the same policy: docs/stores-vault.md.
#
# In a namespace: run these with -namespace=NAME and set `namespace` in the configuration.

# The secrets that are rotated: read and promote, read which versions there are, destroy those that held a dead value.
path "MOUNT/data/APP/*"     { capabilities = ["create", "read", "update"] }
path "MOUNT/metadata/APP/*" { capabilities = ["read"] }
path "MOUNT/destroy/APP/*"  { capabilities = ["update"] }

# Admin credentials of endpoints: read; `create` and `update` only for `rotator admin set ENDPOINT --from FILE`.
path "MOUNT/data/ADMIN/*" { capabilities = ["create", "read", "update"] }

# The daemon's own: staged values, tombstones, the ledger's mark, and the path it writes to read consistently.
path "MOUNT/data/rotator/INSTALLATION/*"     { capabilities = ["create", "read", "update"] }
path "MOUNT/metadata/rotator/INSTALLATION/*" { capabilities = ["create", "read", "update", "delete", "list"] }
path "MOUNT/destroy/rotator/INSTALLATION/*"  { capabilities = ["update"] }

# What the check before use looks at: settings of the mount, and whether a line of this file is missing.
path "MOUNT/config"          { capabilities = ["read"] }
path "sys/capabilities-self" { capabilities = ["update"] }

# The daemon's own token: is it alive, a longer lease, the end of it at shutdown.
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self"  { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
