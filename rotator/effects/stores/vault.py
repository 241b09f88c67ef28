"""The store on Vault or OpenBao, KV version 2: its configuration and how it is opened.

Called by the daemon's bootstrap through `opening.open_store`. It must never send a token or a value over plain http to
another machine, follow a redirect, or take anything from the environment.
"""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from rotator.plugin_api import Misconfigured

from .contract import Slot
from .keyvalue import KeyValueStore
from .paths import Places, normal
from .vault_auth import AppRole, Auth, TokenFile, Tokens
from .vault_check import findings, missing
from .vault_client import Wire, make_session
from .vault_kv import VaultRoom
from .versioned import Clock

__all__ = ["AppRole", "Auth", "TokenFile", "VaultConfig", "VaultStore", "open_vault"]


@dataclass(frozen=True, slots=True)
class VaultConfig:
    """`url` without /v1; `ca`: the only bundle that is trusted (None: the public authorities); times in seconds.

    `insecure` allows plain http to another machine than this. `call_s` bounds one call of the store, logins and
    confirmations included; it must be shorter than a run's lease. `pool`: connections kept, one per worker thread.
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


class VaultStore(KeyValueStore):
    """The contract `Store` on one KV v2 mount."""

    def __init__(self, room: VaultRoom, config: VaultConfig) -> None:
        super().__init__(room, config.installation)
        self._vault = room
        self._config = config

    def check(self, slot: Slot) -> tuple[str, ...]:
        """See the contract."""
        return findings(self._vault.shelf(), self._config.mount, self._places, slot, self._config.min_retention_s)

    def missing_capabilities(self, slot: Slot) -> tuple[str, ...]:
        """The lines behind the finding "store_capability_missing", for a person: "update secret/destroy/app/db"."""
        return missing(self._vault.shelf(), self._config.mount, self._places, slot)


def open_vault(config: VaultConfig, clock: Clock) -> VaultStore:
    """Build the store; nothing is sent yet. Misconfigured: store_url, store_insecure_url, address_refused, store_ca,
    store_installation, store_path_unnormalised (mount)."""
    _require_address(config)
    if not normal(config.mount):
        raise Misconfigured("store_path_unnormalised")
    try:
        session = make_session(None if config.ca is None else str(config.ca), config.pool, config.user_agent)
    except (OSError, ssl.SSLError):
        session = None
    if session is None:
        raise Misconfigured("store_ca")
    wire = Wire(config.url.rstrip("/"), config.namespace, config.connect_s, config.read_s, clock)
    tokens = Tokens(config.auth, session, wire)
    sync_path = Places(config.installation).sync
    room = VaultRoom(session, wire, tokens, mount=config.mount, sync_path=sync_path, call_s=config.call_s)
    return VaultStore(room, config)


def _require_address(config: VaultConfig) -> None:
    try:
        url = urlsplit(config.url)
        host, _ = url.hostname, url.port
    except ValueError:
        url, host = urlsplit(""), None
    if not host or url.scheme not in {"http", "https"} or url.username or url.query or url.fragment:
        raise Misconfigured("store_url")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    if address is not None and (address.is_link_local or address.is_multicast or address.is_unspecified):
        raise Misconfigured("address_refused")
    loopback = host == "localhost" if address is None else address.is_loopback
    if url.scheme == "http" and not loopback and not config.insecure:
        raise Misconfigured("store_insecure_url")
