"""The store on Vault or OpenBao, KV version 2: its configuration and how it is opened.

Called by the daemon's bootstrap through `opening.open_store`. It must never send a token or a value over plain http to
another machine, follow a redirect, or take anything from the environment.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from rotator.plugin_api import Misconfigured

from .address import require_address
from .contract import Slot
from .keyvalue import KeyValueStore
from .paths import Places, normal
from .vault_auth import Tokens
from .vault_check import findings, missing
from .vault_client import Wire, make_session
from .vault_kv import VaultRoom
from .vault_login import AppRole, Auth, Certificate, Jwt, Kubernetes, TokenFile
from .vault_wrapped import Deliveries, Unwrapping
from .versioned import Clock

__all__ = [
    "AppRole", "Auth", "Certificate", "Deliveries", "Jwt", "Kubernetes", "TokenFile", "VaultConfig", "VaultStore",
    "open_vault",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class VaultConfig:
    """`url` without /v1; `ca`: the only bundle that is trusted (None: the public authorities); times in seconds.

    `insecure` allows plain http to another machine than this. `call_s` bounds one call of the store, logins and
    confirmations included; it must be shorter than a run's lease. `pool`: connections kept, one per worker thread.
    `name`: the store's name in the configuration, for incidents. `notes`: see `Unwrapping`.
    """

    url: str
    installation: str
    auth: Auth
    ca: Path | None = None
    mount: str = "secret"
    namespace: str = ""
    insecure: bool = False
    connect_s: float = 5.0
    read_s: float = 10.0
    call_s: float = 30.0
    pool: int = 64
    min_retention_s: float = 90 * 86_400
    user_agent: str = "rotator"
    name: str = ""
    notes: Path | None = None


class VaultStore(KeyValueStore):
    """The contract `Store` on one KV v2 mount."""

    def __init__(self, room: VaultRoom, config: VaultConfig) -> None:
        super().__init__(room, config.installation)
        self._vault = room
        self._config = config

    def check(self, slot: Slot) -> tuple[str, ...]:
        """See the contract."""
        return findings(self._vault.shelf(), self._config.mount, self._places, slot, self._config.min_retention_s)

    def pick_up(self) -> None:
        """Unwrap what was delivered since: called every few seconds, asks the server only when the file has changed."""
        self._vault.pick_up()

    def missing_capabilities(self, slot: Slot) -> tuple[str, ...]:
        """The lines behind the finding "store_capability_missing", for a person: "update secret/destroy/app/db"."""
        return missing(self._vault.shelf(), self._config.mount, self._places, slot)


def open_vault(config: VaultConfig, clock: Clock, deliveries: Deliveries | None = None) -> VaultStore:
    """Build the store; nothing is sent yet. `deliveries`: the daemon's one memory of wrapped secret ids; None: of this
    store alone. Misconfigured: store_url, store_insecure_url, address_refused, store_ca, store_installation,
    store_path_unnormalised (mount), store_client_certificate (over plain http)."""
    require_address(config.url, insecure=config.insecure)
    if isinstance(config.auth, Certificate) and not config.url.startswith("https://"):
        raise Misconfigured("store_client_certificate")  # it is shown in a TLS handshake
    if not normal(config.mount):
        raise Misconfigured("store_path_unnormalised")
    try:
        session = make_session(None if config.ca is None else str(config.ca), config.pool, config.user_agent)
    except (OSError, ssl.SSLError):
        session = None
    if session is None:
        raise Misconfigured("store_ca")
    wire = Wire(config.url.rstrip("/"), config.namespace, config.connect_s, config.read_s, clock)
    unwrapping = Unwrapping(deliveries or Deliveries(), config.name, config.notes)
    tokens = Tokens(config.auth, session, wire, unwrapping)
    sync_path = Places(config.installation).sync
    room = VaultRoom(session, wire, tokens, mount=config.mount, sync_path=sync_path, call_s=config.call_s)
    return VaultStore(room, config)
