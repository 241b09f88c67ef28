"""Which ledger the configuration means, opened; and whose turn it is to do what one replica alone shall do.

Called by the bootstrap, the doctor and nobody else. A file belongs to one daemon, which takes its lock and ends the
leases of the dead; a PostgreSQL database belongs to as many replicas as there are, and there a lease ends by itself.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Final

from rotator.ledger import SqliteLedger, open_ledger
from rotator.ledger.postgres import PostgresLedger, open_postgres
from rotator.ledger.postgres_place import SCHEME, Place, place_of
from rotator.machine.ids import Millis
from rotator.settings.connections import Daemon

from .shared_clock import SharedClock

AnyLedger = SqliteLedger | PostgresLedger
TURN: Final[Millis] = 6_000
"""How long a turn lasts that is not asked for again: so long nobody opens what is due after its holder died."""


def is_shared(daemon: Daemon) -> bool:
    """Whether the ledger is a PostgreSQL database."""
    return daemon.ledger.startswith(SCHEME)


def place_in(daemon: Daemon) -> Place:
    """Where the shared ledger stands."""
    password = None if daemon.ledger_password is None else Path(daemon.ledger_password.file)
    ca = None if daemon.ledger_ca is None else Path(daemon.ledger_ca)
    return place_of(daemon.ledger, password, ca, insecure=daemon.ledger_insecure)


def open_file(path: Path, clock: SharedClock, closing: ExitStack) -> SqliteLedger:
    """The file's one daemon. Raises LedgerError (`second_daemon` ...)."""
    ledger = open_ledger(path, clock)
    closing.callback(ledger.close)
    closing.enter_context(ledger.guard())
    return ledger


def open_any(daemon: Daemon, clock: SharedClock, closing: ExitStack) -> AnyLedger:
    """What is configured. From then on `clock` shows the database's time, if it is a database. Raises LedgerError."""
    if not is_shared(daemon):
        return open_file(Path(daemon.ledger), clock, closing)
    ledger = open_postgres(place_in(daemon), clock)
    closing.callback(ledger.close)
    clock.follow(ledger.now)
    return ledger


class Turn:
    """The right to do what one replica is enough for: open what is due, deliver notices. It saves double work and
    double messages; what must not happen twice is held by the ledger's constraints, whoever has the turn."""

    def __init__(self, ledger: PostgresLedger, name: str, owner: str, span: Millis) -> None:
        self._ledger, self._name, self._owner, self._span = ledger, name, owner, span

    def __call__(self) -> bool:
        """Whether it is ours now. Raises LedgerError."""
        return self._ledger.take_turn(self._name, self._owner, self._span)


def turn_of(ledger: AnyLedger, name: str, owner: str, every: Millis = 0) -> Turn | None:
    """A turn that is asked for at least every `every`. None: the daemon is alone."""
    return Turn(ledger, name, owner, TURN + 2 * every) if isinstance(ledger, PostgresLedger) else None
