"""Opens the ledger's file: made if it is not there, looked at before anything changes, migrated, tied to two engines.

Called by `sqlite.open_ledger`. One engine writes (one connection, transactions begin IMMEDIATE, synchronous=FULL), one
reads (a pool, query_only). Nothing in this process may open and close the file beside SQLite: closing any descriptor
of a file drops the process's POSIX locks on it, SQLite's own among them.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool

from rotator.engine.ports import LedgerError

from .failures import code_of, translated
from .migrations import SCHEMA_VERSION, note_format, step_once, version_of

READERS: Final = 16
"""Connections that are kept for reading; more are made while they are needed."""

_OPENINGS: Final = 50
"""How often the switch to WAL is tried while others open the same new file; each try waits for the write lock."""

_WAL_LIMIT: Final = 64 * 1024 * 1024


def resolve(path: Path) -> Path:
    """The real file behind `path`, whose directory must be there. Raises LedgerError."""
    real = Path(os.path.realpath(path))
    if not real.parent.is_dir():
        raise LedgerError("missing_directory")
    if real.is_dir():
        raise LedgerError("not_a_ledger")
    return real


def open_engines(path: Path, at: int | None, *, busy_ms: int, upto: int = SCHEMA_VERSION) -> tuple[Engine, Engine]:
    """Writer and reader of a file that is there and of the present schema. `upto`: for tests that make older files."""
    with translated():
        _make_private(path)
    writer = _engine(path, busy_ms, "BEGIN IMMEDIATE", synchronous="FULL", poolclass=NullPool)
    reader = reading_engine(path, busy_ms, pool_size=READERS, max_overflow=-1)
    try:
        with translated():
            _look(path, busy_ms)
            with connected(writer) as connection:
                _to_wal(connection)
                _migrate(connection, at, upto)
    except BaseException:
        writer.dispose()
        reader.dispose()
        raise
    return writer, reader


@contextmanager
def connected(engine: Engine) -> Iterator[Connection]:
    """A connection, given back."""
    connection = engine.connect()
    try:
        yield connection
    finally:
        connection.close()


def _make_private(path: Path) -> None:
    """An empty file that only its owner reads: it is a map of handles and principals. SQLite gives its companions the
    same mode. One that exists is not touched."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))


def _look(path: Path, busy_ms: int) -> None:
    """Refuse what is not ours or too new before anything is written, the journal mode included."""
    looking = reading_engine(path, busy_ms, poolclass=NullPool)
    try:
        with connected(looking) as connection, connection.begin():
            version_of(connection)
    finally:
        looking.dispose()


def _to_wal(connection: Connection) -> None:
    raw = connection.connection.driver_connection  # the switch is not possible inside a transaction
    assert isinstance(raw, sqlite3.Connection)
    for attempt in range(_OPENINGS):
        try:
            (mode,) = raw.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if code_of(error) != "locked" or attempt == _OPENINGS - 1:
                raise
            # SQLite refuses the switch at once, without its busy wait: wait for the write lock instead. Who does not
            # get it in that time is told so, and not fifty times over.
            with connection.begin():
                pass
        else:
            if mode != "wal":
                raise LedgerError("unavailable")  # a file system without shared memory: WAL cannot work there
            return


def _migrate(connection: Connection, at: int | None, upto: int) -> None:
    stepped = True
    while stepped:
        with connection.begin():
            stepped = step_once(connection, at, upto)
    with connection.begin():
        note_format(connection)


def reading_engine(path: Path, busy_ms: int, **options: Any) -> Engine:
    """An engine that changes nothing in the file, which must be there."""
    return _engine(path, busy_ms, "BEGIN", query_only="ON", **options)


def _engine(path: Path, busy_ms: int, begin: str, **options: Any) -> Engine:
    pragmas = {"busy_timeout": busy_ms, "foreign_keys": "ON", "recursive_triggers": "ON", "trusted_schema": "OFF"}
    pragmas["journal_size_limit"] = _WAL_LIMIT
    pragmas |= {name: options.pop(name) for name in ("synchronous", "query_only") if name in options}
    engine = create_engine(
        f"sqlite:///{path}",
        hide_parameters=True,
        connect_args={"timeout": busy_ms / 1000, "check_same_thread": False, "isolation_level": None},
        **options,
    )

    @event.listens_for(engine, "connect")
    def prepare(raw: sqlite3.Connection, _record: object) -> None:
        for name, value in pragmas.items():
            raw.execute(f"PRAGMA {name} = {value}").close()

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
