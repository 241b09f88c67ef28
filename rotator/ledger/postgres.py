"""The ledger on PostgreSQL, shared by several replicas: the engine's port `Ledger`. Opened by the daemon's bootstrap.

The database is the distributed engine: it gives runs to claimants (SKIP LOCKED), says what time it is, checks the fence
in the statement that begins every append, holds one open run a credential by an index, and wakes whoever listens. There
is no leader and no membership; what only one replica shall do goes by turns (`take_turn`). Must never compare a lease
with a replica's own clock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, select

from rotator.engine.ports import Claim, Clock, RunId
from rotator.machine.ids import Millis

from .leases import DATABASE_NOW, DatabaseLeases, Leases
from .port import SqlLedger
from .postgres_listener import CHANNEL, Listener
from .postgres_place import Place
from .postgres_schema import migrate, version_of
from .postgres_session import Session

T = TypeVar("T")


def open_postgres(place: Place, clock: Clock, *, leases: Leases | None = None) -> PostgresLedger:
    """Open, make or migrate the ledger at `place`. `clock` is the one that callers compute spans with; `leases`: for
    tests that say themselves what time it is. Raises LedgerError (see `Place.connect`, `not_a_ledger`, `newer_schema`).
    """
    session = Session(place, clock)
    try:
        session.write(lambda c: migrate(c, clock.now()))
    except BaseException:
        session.close()
        raise
    return PostgresLedger(place, session, leases or DatabaseLeases(clock))


def schema_version(place: Place, clock: Clock) -> int:
    """What is there, for the doctor; 0: nothing yet. Changes nothing. Raises LedgerError."""
    session = Session(place, clock)
    try:
        return session.read(version_of)
    finally:
        session.close()


class PostgresLedger(SqlLedger):
    """Thread-safe; any number of processes may have the same ledger open."""

    def __init__(self, place: Place, session: Session, leases: Leases) -> None:
        super().__init__(leases)
        self._place = place
        self._session = session
        self._listener: Listener | None = None

    def now(self) -> Millis:
        """The database's clock. Raises LedgerError."""
        return int(self._read(lambda c: c.execute(select(DATABASE_NOW)).scalar_one()))

    def listen(self, heard: Callable[[], None], seconds: float = 2.0) -> None:
        """Call `heard` whenever a replica says that a run may go on, and after every gap in which none was heard. Once.
        Never a promise: whoever polls as well loses nothing."""
        self._listener = Listener(self._place, heard, seconds)
        self._listener.start()

    def take_turn(self, name: str, owner: str, span: Millis) -> bool:
        """Whether `owner` has the turn `name` for `span` from now; it keeps it by asking again in time. It saves work
        that would be done twice: what must not happen twice is held by the rows themselves."""
        return self._write(lambda c: _take_turn(c, name, owner, span))

    def release(self, claim: Claim, wake_at: Millis | None, held_why: str) -> None:
        """As the port says; a run that may go on at once is told to the other replicas."""
        super().release(claim, wake_at, held_why)
        if wake_at is not None and wake_at <= self._leases_now():
            self._tell()

    def wake(self, run: RunId, at: Millis) -> None:
        """As the port says; told to the other replicas."""
        super().wake(run, at)
        self._tell()

    def close(self) -> None:
        """Stop listening and let all connections go. May be called twice."""
        if self._listener is not None:
            self._listener.stop()
        self._session.close()

    def _leases_now(self) -> Millis:
        return self._session.clock.now()

    def _tell(self) -> None:
        self._write(lambda c: c.exec_driver_sql(f"NOTIFY {CHANNEL}"))

    def _write(self, work: Callable[[Connection], T]) -> T:
        return self._session.write(work)

    def _read(self, question: Callable[[Connection], T]) -> T:
        return self._session.read(question)


def _take_turn(connection: Connection, name: str, owner: str, span: Millis) -> bool:
    now = "floor(extract(epoch FROM statement_timestamp()) * 1000)::bigint"
    got = connection.exec_driver_sql(
        f"""INSERT INTO turns (name, owner, until) VALUES (%(name)s, %(owner)s, {now} + %(span)s)
            ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, until = excluded.until
            WHERE turns.owner = excluded.owner OR turns.until <= {now} RETURNING owner""",  # noqa: S608 - our own text
        {"name": name, "owner": owner, "span": span},
    )
    return got.one_or_none() is not None
