"""The ledger on SQLite: the engine's port `Ledger`, tied to a file. Opened by the daemon's bootstrap.

Every write is an item of the one writer's next commit; every read is one consistent snapshot on a connection of its
own. JSON is made in the caller's thread, so the writer only writes. Must never be reached by a value of a credential:
the types of the port have no place for one.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy import Connection, Engine

from rotator.engine.ports import (
    Clock,
    LedgerError,
)
from rotator.machine.ids import Millis

from .backup import copy_to
from .failures import translated
from .guard import guarded
from .leases import CallersLeases
from .opening import connected, open_engines, resolve
from .port import SqlLedger
from .writer import Writer, WriterFigures

T = TypeVar("T")

BUSY: Final[Millis] = 10_000
"""How long another process may hold the write lock before a write is refused as `locked`."""


def open_ledger(path: Path, clock: Clock | None = None, *, busy: Millis = BUSY) -> SqliteLedger:
    """Open, make or migrate the ledger at `path`. `clock` stamps migrations only.

    Raises LedgerError: `missing_directory`, `read_only`, `disk_full`, `locked`, `damaged` (no database),
    `not_a_ledger` (somebody else's database), `newer_schema`, `unavailable`. Then the file is as it was.
    """
    real = resolve(path)
    writer, reader = open_engines(real, None if clock is None else clock.now(), busy_ms=busy)
    return SqliteLedger(real, writer, reader)


class SqliteLedger(SqlLedger):
    """Implements `rotator.engine.ports.Ledger`. Thread-safe; two processes on one file do each other no harm."""

    def __init__(self, path: Path, writer: Engine, reader: Engine) -> None:
        super().__init__(CallersLeases())
        self.path = path
        self._engines = (writer, reader)
        self._reader = reader
        self._writer = Writer(writer)
        self._closed = False

    # -- the file
    def guard(self) -> AbstractContextManager[None]:
        """Hold the right to be the daemon of this file. Raises LedgerError("second_daemon")."""
        return guarded(self.path)

    def backup(self, path_to: Path) -> None:
        """A consistent copy, made while everything goes on. Raises LedgerError(`backup_exists`, `disk_full` ...)."""
        self._refuse_closed()
        copy_to(self._reader, path_to)

    def figures(self) -> WriterFigures:
        """What the writer did since the opening."""
        return self._writer.figures

    def close(self) -> None:
        """Finish what is queued and let the file go. May be called twice."""
        self._writer.close()
        self._closed = True
        for engine in self._engines:
            engine.dispose()

    def _write(self, work: Callable[[Connection], T]) -> T:
        return self._writer.do(work)

    def _read(self, question: Callable[[Connection], T]) -> T:
        self._refuse_closed()
        with translated(), connected(self._reader) as connection, connection.begin():
            return question(connection)

    def _refuse_closed(self) -> None:
        if self._closed:
            raise LedgerError("closed")
