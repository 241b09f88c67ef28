"""Every reason that a store gives, with what the operator should do: the catalogue behind `docs/runbook.md`.

Used by the runbook's generator and by the test that no reason is missing. Reasons that the plugin API reserves are
explained there.
"""

from __future__ import annotations

from typing import Final

from .aws_reasons import AWS_REASONS

REASONS: Final = {
    **AWS_REASONS,
    "not_finalized": "A tombstone was to be removed while a value is still staged: report it, nothing was done.",
    "not_staged": "Nothing is staged under this generation; it was finalized or never staged.",
    "occupied": "The field holds another value already; choose another field, or adopt what stands there.",
    "stage_closed": "This generation was finalized; its number is never used again.",
    "stage_conflict": "Another value is staged under this generation: another installation with the same name?",
    "stale_version": "The secret changed by our own doing since it was read; it is read again.",
    "store_auth_file": "The file with the token, the secret id, the JWT or the key cannot be read, is empty, or "
    "holds more than that.",
    "store_auth_file_mode": "The file with the token, the secret id, the JWT or the key is open to others: make it "
    "0600 or 0400, owned by the daemon's user or root. Volumes that the kubelet projects are exempt.",
    "store_behind": "A node of the cluster lags behind; it passes by itself.",
    "store_busy": "Another process holds the store's lock.",
    "store_ca": "The configured `ca` is no readable bundle of certificates.",
    "store_capability_missing": "The store's policy lacks lines: compare it with config/openbao-policy.hcl.",
    "store_client_certificate": "The client certificate or its key cannot be read, they do not fit together, the key "
    "has a passphrase, or the server's TLS refuses them (expired, another authority).",
    "store_contended": "The secret was changed by others again and again; it is tried again later.",
    "store_damaged": "A file of the local store is not what was written there, or the key is another one. Nothing was "
    "changed: restore the key or the files.",
    "store_disk": "The disk failed; see the system's log.",
    "store_field_not_text": "The field exists and is no text.",
    "store_full": "The disk of the local store is full; what stood before still stands.",
    "store_insecure_url": "Plain http to another machine: use https, or set `insecure: true`.",
    "store_installation": "The installation's name must be 1-12 of a-z, 0-9 and hyphen.",
    "store_key": "The key file of the local store must be 32 bytes, 0600, owned by the daemon and outside the store.",
    "store_kv_v1": "The mount is no KV version 2: upgrade it (`kv enable-versioning`) or use another.",
    "store_login_refused": "The login was refused: renew the secret id, token, JWT or certificate in its file; or the "
    "role, mount or namespace of the login is another.",
    "store_login_unclear": "The Kubernetes login was refused, or the server could not ask the cluster about the token: "
    "it says the same to both. It is tried again. If it stays: role, service account, token reviewer.",
    "store_max_versions": "One version is kept only: set max_versions to 2 or more, better 10, on path and mount.",
    "store_missing": "There is no local store in this directory: is its volume mounted? Create it on purpose.",
    "store_mount_missing": "There is no such mount, or the token may not use it.",
    "store_no_leader": "The cluster has no leader at the moment; it passes, or look at the cluster.",
    "store_not_empty": "A local store is created in an empty directory only.",
    "store_not_ready": "The mount is being upgraded by the server; it passes.",
    "store_path_reserved": "Paths under rotator/ are the daemon's own.",
    "store_path_unnormalised": "The path has an empty or dotted part or a control character.",
    "store_permission": "The store's policy forbids this call: compare it with config/openbao-policy.hcl, or with "
    "config/aws-iam-policy.json.",
    "store_read_only": "The local store's directory cannot be written.",
    "store_sealed": "The server is sealed: unseal it; runs wait.",
    "store_secret_id_path": "Incident: the wrapping token was not made where secret ids are made. Somebody may have "
    "read the secret id and wrapped it anew. It was not unwrapped.",
    "store_secret_id_plain": "The file holds a secret id, and `wrapped: true` says that it holds a wrapping token. "
    "Deliver a wrapped one (`-wrap-ttl`), or take `wrapped` out.",
    "store_secret_id_reserved": "The wrapped secret id is the daemon's to use: it is good, or the daemon has it "
    "already. Nothing more was looked at without it.",
    "store_secret_id_spent": "This wrapped secret id was unwrapped by the daemon before (a restart, or the answer was "
    "lost): deliver a new one.",
    "store_secret_id_taken": "Incident: the wrapped secret id was unwrapped by somebody else, or its time was over "
    "before it was used.",
    "store_short_retention": "delete_version_after (of path or mount) would delete values by itself: set it to 0s.",
    "store_uninitialised": "The server was never initialised.",
    "store_url": "The store's url must be http(s)://host[:port].",
}
