"""An online copy of the ledger, made while the daemon works. Called by `sqlite`.

The copy is one file without companions, readable by its owner only: it maps handles and principals, so it belongs into
an encrypted place. It appears under its name only when it is whole, durable and checked.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Engine

from rotator.engine.ports import LedgerError

from .failures import translated
from .opening import connected


def copy_to(reader: Engine, target: Path) -> None:
    """Copy a consistent snapshot to `target`, which must not exist. Raises LedgerError (`backup_exists` ...)."""
    if target.exists():
        raise LedgerError("backup_exists")
    if not target.parent.is_dir():
        raise LedgerError("missing_directory")
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    with translated():
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
        try:
            _copy(reader, part)
            _publish(part, target)
        finally:
            part.unlink(missing_ok=True)


def _copy(reader: Engine, part: Path) -> None:
    with connected(reader) as connection, closing(sqlite3.connect(part, isolation_level=None)) as copy:
        source = connection.connection.driver_connection
        assert isinstance(source, sqlite3.Connection)
        source.backup(copy)  # all pages in one step: a snapshot, and in WAL mode nobody waits for it
        copy.execute("PRAGMA journal_mode = DELETE").close()
        if copy.execute("PRAGMA quick_check").fetchone() != ("ok",):
            raise LedgerError("damaged")


def _publish(part: Path, target: Path) -> None:
    descriptor = os.open(part, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.link(part, target)  # never over a file that somebody made meanwhile
    except FileExistsError:
        raise LedgerError("backup_exists") from None
    directory = os.open(target.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
