"""The configuration that `rotator config init` writes: the least that works, with what to change beside it.

As one file, or as a directory with a folder for each section. `{expires}` stands for a day that the caller chooses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

ONE_FILE: Final = """\
# yaml-language-server: $schema=schema/{schema}
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
    expires: {expires}
    tier: T2
    policy: monthly
    authority: {endpoint: alerta, kind: key, principal: sync@example.org}
    store: {in: main, path: app/alerta, value: key}
"""

_MODELINE: Final = "# yaml-language-server: $schema={up}schema/{schema}\n"

DIRECTORY: Final[Mapping[str, str]] = {
    "rotator.yaml": """\
# The daemon and its stores. Endpoints, policies and credentials have folders of their own beside this file; a file in
# such a folder holds that section only. Change what is marked, then:  rotator config validate .
apiVersion: rotator/v1
installation: first                          # CHANGE: 1 to 12 of a-z, 0-9, -; once only
daemon:
  ledger: /var/lib/rotator/ledger.db
  fingerprint_key: {file: /etc/rotator/fingerprint.key}    # 32 random bytes, mode 0600, of the daemon's user
  socket: /run/rotator/api.sock
  listen: 127.0.0.1:9464                     # /livez /readyz /metrics
stores:
  main: {type: local, path: /var/lib/rotator/store, key: {file: /etc/rotator/store.key}}
""",
    "endpoints/platforms.yaml": """\
# Where credentials are accepted. The admin value itself is put into the store by:  rotator admin set alerta --from FILE
apiVersion: rotator/v1
endpoints:
  alerta:
    plugin: http
    pack: alerta
    # What differs from place to place may come from the daemon's environment. A secret never does.
    config: {url: "${env:ALERTA_URL:-https://alerta.example}"}    # CHANGE
    admin: {principal: admin@example.org, value: {store: main, path: admin/alerta, field: key}}
""",
    "policies/policies.yaml": """\
# When credentials change, and how carefully.
apiVersion: rotator/v1
policies:
  monthly:
    every: 30d
    overlap: 24h                             # how long the old value goes on working
  # A policy may take everything from another and say only what differs:
  # weekly: {parent: monthly, every: 7d, overlap: 1h}
""",
    "credentials/itsm.yaml": """\
# What this team is responsible for; another team has another file in this folder.
apiVersion: rotator/v1
credentials:
  alerta-sync:                               # CHANGE: whose it is, what for, until when
    owner: itsm@example.org
    purpose: pushes alerts into change tickets
    workflows: [alert-sync]
    expires: {expires}
    tier: T2
    policy: monthly
    authority: {endpoint: alerta, kind: key, principal: sync@example.org}
    store: {in: main, path: app/alerta, value: key}
""",
}


def one_file(expires: str, schema: str) -> str:
    """The single file. `schema`: name of the schema's file, in the folder `schema` beside it."""
    return ONE_FILE.replace("{expires}", expires).replace("{schema}", schema)


def directory(expires: str, schema: str) -> dict[str, str]:
    """Every file of the directory by its path in it. Each names the schema in its first line."""
    return {
        path: _MODELINE.format(up="../" * path.count("/"), schema=schema) + text.replace("{expires}", expires)
        for path, text in DIRECTORY.items()
    }
