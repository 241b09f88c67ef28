"""Transactions on PostgreSQL: durable, found out when the answer to a COMMIT was lost, patient with a server that
restarts. Used by `postgres` for every statement.

Of a lost COMMIT nothing is repeated before it was asked what became of it: the server knows each transaction's fate by
its number, also after a crash, and the number is asked for inside the transaction. Where even that cannot be found out
(a failover: the number may be another's there) the caller is told `outcome_unknown`, and must read. What surely was not
recorded is done again while the server is away, for a bounded time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import SQLAlchemyError

from rotator.engine.ports import Clock, LedgerError

from .failures import code_of, lost
from .postgres_place import Place

T = TypeVar("T")
CONNECTIONS: Final = 16
WRITE_PATIENCE_S: Final = 15.0
"""How long a write rides out a server that is away: a restart, a failover. What it holds is safe: fences are asked."""
READ_PATIENCE_S: Final = 3.0
_PAUSE_S: Final = 0.1
_PASSING: Final = frozenset({"unavailable", "deadlock", "read_only"})
_SETTINGS: Final = (
    "SET search_path = rotator; SET synchronous_commit = on; SET timezone = 'UTC'; SET statement_timeout = '10s'; "
    "SET lock_timeout = '8s'; SET idle_in_transaction_session_timeout = '5s'; "
    "SET default_transaction_isolation = 'read committed'"
)
"""A replica that hangs in mid-transaction is cut off by the server, or its locks would hold the others for ever."""
_TIMELINE: Final = "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"


class Session:
    """`clock`: for patience only. Thread-safe: each call has a connection of its own while it lasts."""

    def __init__(self, place: Place, clock: Clock) -> None:
        self.clock = clock
        self._closing = threading.Event()
        self.engine = create_engine(
            "postgresql+psycopg://",
            creator=place.connect,
            pool_size=CONNECTIONS,
            max_overflow=4,
            pool_timeout=10,
            pool_recycle=600,
            hide_parameters=True,
        )
        self._reading = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        event.listen(self.engine, "connect", _prepare)

    def close(self) -> None:
        """Refuse what comes and whatever waits. May be called twice."""
        self._closing.set()
        self.engine.dispose()

    def read(self, question: Callable[[Connection], T]) -> T:
        """One statement's snapshot. Raises LedgerError."""
        return self._patiently(lambda: self._asked(question), READ_PATIENCE_S)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction, maybe more than once: nothing of the runs before the last was recorded. Raises
        what `work` raised, or LedgerError: then nothing was recorded, but for `outcome_unknown`."""
        return self._patiently(lambda: self._done(work), WRITE_PATIENCE_S)

    def _patiently(self, attempt: Callable[[], T], patience: float) -> T:
        limit = self.clock.monotonic() + patience
        while True:
            if self._closing.is_set():
                raise LedgerError("closed")
            try:
                return attempt()
            except LedgerError as error:
                if error.code not in _PASSING:
                    raise
                if self.clock.monotonic() > limit:
                    raise LedgerError("locked" if error.code == "deadlock" else error.code) from None
            self._closing.wait(_PAUSE_S)

    def _asked(self, question: Callable[[Connection], T]) -> T:
        try:
            with self._reading.connect() as connection:
                return question(connection)
        except SQLAlchemyError as error:
            raise LedgerError(code_of(error)) from None

    def _done(self, work: Callable[[Connection], T]) -> T:
        try:
            connection = self.engine.connect()
        except SQLAlchemyError as error:
            raise LedgerError(code_of(error)) from None
        try:
            begun = connection.begin()
            result = work(connection)
            number = str(connection.exec_driver_sql("SELECT pg_current_xact_id()::text").scalar_one())
            timeline = str(connection.info.get("timeline", ""))
        except SQLAlchemyError as error:
            _give_up(connection)
            raise LedgerError(code_of(error)) from None  # no COMMIT was sent
        except BaseException:
            _give_up(connection)
            raise
        try:
            begun.commit()
        except SQLAlchemyError as error:
            _give_up(connection)
            if not lost(error):
                raise LedgerError(code_of(error)) from None  # the server said no
            self._find_out(number, timeline)
            return result
        connection.close()
        return result

    def _find_out(self, number: str, timeline: str) -> None:
        """Return if the transaction was committed. Raises LedgerError: `unavailable` if it surely was not, else
        `outcome_unknown`."""
        limit = self.clock.monotonic() + WRITE_PATIENCE_S
        while self.clock.monotonic() < limit and not self._closing.is_set():
            try:
                fate = self._asked(lambda c: _fate(c, number, timeline))
            except LedgerError:
                fate = "in progress"
            if fate == "committed":
                return
            if fate == "aborted":
                raise LedgerError("unavailable")
            if fate != "in progress":
                break
            self._closing.wait(_PAUSE_S)
        raise LedgerError("outcome_unknown")


def _fate(connection: Connection, number: str, timeline: str) -> str:
    if not timeline or connection.info.get("timeline", "") != timeline:
        return "unknown"
    asked = connection.exec_driver_sql("SELECT pg_xact_status(%s::text::xid8)", (number,))
    return str(asked.scalar_one() or "unknown")


def _prepare(raw: Any, record: Any) -> None:
    """Of each new connection: how it behaves, and on which timeline of the server it is."""
    before, raw.autocommit = raw.autocommit, True
    with raw.cursor() as cursor:
        cursor.execute(_SETTINGS)
        record.info["timeline"] = cursor.execute(_TIMELINE).fetchone()[0]
    raw.autocommit = before


def _give_up(connection: Connection) -> None:
    """Roll back. One that is lost, or cannot even do that, is thrown away: nothing here may ask for another."""
    try:
        if not connection.invalidated:
            connection.rollback()
    except (SQLAlchemyError, LedgerError):
        connection.invalidate()
    with suppress(SQLAlchemyError, LedgerError):
        connection.close()
