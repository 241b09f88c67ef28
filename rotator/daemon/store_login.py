"""From the configured way to log in at Vault or OpenBao to the store's own; deliveries picked up; incidents in words.

Called by `world` and by the bootstrap. Reads no file: credentials are read by the store, at each login.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from rotator.effects.stores.contract import Store as OpenStore
from rotator.effects.stores.opening import AppRole, Auth, Certificate, Jwt, Kubernetes, TokenFile, pick_up
from rotator.engine.inspection import Incident
from rotator.settings import vault_auth as settings
from rotator.settings.connections import Daemon, Store, VaultStore

OUTERMOST = "root"
PATIENCE_S = 5.0


def login_of(auth: settings.VaultAuth) -> Auth:
    """The one way that was said."""
    one = auth.method
    space = "" if one.namespace == OUTERMOST else one.namespace
    match one:
        case settings.AppRole():
            file = Path(one.secret_id.file)
            return AppRole(one.role_id, file, one.mount, namespace=space, wrapped=one.wrapped, role=one.role or "")
        case settings.TokenLogin():
            return TokenFile(Path(one.file), space)
        case settings.JwtLogin():
            return Jwt(one.role, Path(one.token.file), one.mount, space)
        case settings.KubernetesLogin():
            return Kubernetes(one.role, Path(one.token.file), one.mount, space)
        case settings.CertLogin():
            return Certificate(Path(one.certificate), Path(one.key.file), one.name or "", one.mount, space)


def notes_of(daemon: Daemon) -> Path:
    """Where digests of the wrapping tokens stand that were unwrapped: beside the ledger, which is as durable; with a
    ledger that is no file, beside the socket, for each replica its own."""
    beside = Path(daemon.socket if daemon.ledger.startswith("postgresql://") else daemon.ledger)
    return beside.with_name(f"{beside.name}.unwrapped")


def wrapped_stores(stores: Mapping[str, Store]) -> frozenset[str]:
    """Names of the stores that are given wrapped secret ids."""
    return frozenset(
        name
        for name, one in stores.items()
        if isinstance(one, VaultStore) and one.auth.approle is not None and one.auth.approle.wrapped
    )


class Pickup:
    """Looks every few seconds whether a wrapped secret id was delivered: its time is over long before the next login.

    `stores` gives those that are configured now. One thread of its own: a server that hangs holds nothing else up.
    """

    def __init__(self, stores: Callable[[], Mapping[str, OpenStore]], seconds: float = 5.0) -> None:
        self._stores, self._seconds = stores, seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="pickup", daemon=True)

    def start(self) -> None:
        """Begin. Once."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; waits a moment for what is under way: half an unwrapping would lose the delivery."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(PATIENCE_S)

    def _watch(self) -> None:
        while not self._stopped.wait(self._seconds):
            for store in list(self._stores().values()):
                pick_up(store)


def unready(incidents: Iterable[Incident]) -> str:
    """Why the daemon is not ready, for a person: a line for each incident; empty if there is none."""
    return "\n".join(f"{one.reason}: store {one.store}: {one.says}" for one in incidents)
