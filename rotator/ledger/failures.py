"""What SQLite and SQLAlchemy say becomes a slug here, and only here. Used by every file of this room.

Must never let a statement, a parameter or the driver's text out: they could hold what stands in a row.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from rotator.engine.ports import LedgerError

_CODES: Final = {
    sqlite3.SQLITE_BUSY: "locked",
    sqlite3.SQLITE_LOCKED: "locked",
    sqlite3.SQLITE_READONLY: "read_only",
    sqlite3.SQLITE_PERM: "read_only",
    sqlite3.SQLITE_AUTH: "read_only",
    sqlite3.SQLITE_FULL: "disk_full",
    sqlite3.SQLITE_CORRUPT: "damaged",
    sqlite3.SQLITE_NOTADB: "damaged",
    sqlite3.SQLITE_CONSTRAINT: "constraint",
}
_ERRNOS: Final = {
    errno.EROFS: "read_only",
    errno.EACCES: "read_only",
    errno.EPERM: "read_only",
    errno.ENOSPC: "disk_full",
    errno.EDQUOT: "disk_full",
    errno.ENOENT: "missing_directory",
    errno.ENOTDIR: "missing_directory",
}
CODES: Final = frozenset({*_CODES.values(), *_ERRNOS.values(), "unavailable"})
"""Every slug that comes out of here."""


def code_of(error: BaseException) -> str:
    """The slug of an exception of SQLAlchemy, sqlite3 or the operating system."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        error = error.orig
    if isinstance(error, sqlite3.Error):
        number = getattr(error, "sqlite_errorcode", None)
        return "unavailable" if number is None else _CODES.get(number & 0xFF, "unavailable")
    if isinstance(error, OSError):
        return _ERRNOS.get(error.errno or 0, "unavailable")
    return "unavailable"


@contextmanager
def translated() -> Iterator[None]:
    """Everything that the database may throw comes out as LedgerError."""
    try:
        yield
    except (SQLAlchemyError, PoolTimeout, sqlite3.Error, OSError) as error:
        raise LedgerError(code_of(error)) from None
