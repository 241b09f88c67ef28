"""The configuration that `rotator config init` writes: the least that works, with what to change beside it."""

from __future__ import annotations

from typing import Final

STARTER: Final = """\
# The least that works: one credential, one endpoint, values in the embedded store.
# Change what is marked, then:  rotator config validate rotator.yaml
apiVersion: rotator/v1
installation: first                          # CHANGE: 1 to 12 of a-z, 0-9, -; once only
daemon:
  ledger: /var/lib/rotator/ledger.db
  fingerprint_key: {file: /etc/rotator/fingerprint.key}    # 32 random bytes, mode 0600, of the daemon's user
  socket: /run/rotator/api.sock
  listen: 127.0.0.1:9464                     # /livez /readyz /metrics
stores:
  main: {type: local, path: /var/lib/rotator/store, key: {file: /etc/rotator/store.key}}
endpoints:
  alerta:
    plugin: http
    pack: alerta
    config: {url: https://alerta.example}    # CHANGE
    # The admin value itself is put there by:  rotator admin set alerta --from FILE
    admin: {principal: admin@example.org, value: {store: main, path: admin/alerta, field: key}}
policies:
  monthly:
    every: 30d
    overlap: 24h                             # how long the old value goes on working
credentials:
  alerta-sync:                               # CHANGE: whose it is, what for, until when
    owner: itsm@example.org
    purpose: pushes alerts into change tickets
    workflows: [alert-sync]
    expires: 2027-06-30
    tier: T2
    policy: monthly
    authority: {endpoint: alerta, kind: key, principal: sync@example.org}
    store: {in: main, path: app/alerta, value: key}
"""
