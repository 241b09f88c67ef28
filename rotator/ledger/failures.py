"""What SQLite, PostgreSQL and SQLAlchemy say becomes a slug here, and only here. Used by every file of this room.

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
_STATES: Final = {
    "25006": "read_only",
    "42501": "read_only",
    "53100": "disk_full",
    "55P03": "locked",
    "57014": "locked",
    "40P01": "deadlock",
    "40001": "deadlock",
    "28P01": "password_refused",
    "28000": "password_refused",
    "3D000": "missing_database",
    "XX001": "damaged",
    "XX002": "damaged",
}
"""SQLSTATE of PostgreSQL. `deadlock` never leaves `postgres_session`: it is done again."""
_AWAY: Final = ("08", "57P")
"""Classes of SQLSTATE: the connection, a server that goes or comes."""
CODES: Final = frozenset({*_CODES.values(), *_ERRNOS.values(), *_STATES.values(), "unavailable"} - {"deadlock"})
"""Every slug that comes out of here."""


def code_of(error: BaseException) -> str:
    """The slug of an exception of SQLAlchemy, sqlite3 or the operating system."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        error = error.orig
    state = getattr(error, "sqlstate", None)
    if isinstance(state, str):
        return _STATES.get(state, "constraint" if state.startswith(("22", "23")) else "unavailable")
    if isinstance(error, sqlite3.Error):
        number = getattr(error, "sqlite_errorcode", None)
        return "unavailable" if number is None else _CODES.get(number & 0xFF, "unavailable")
    if isinstance(error, OSError):
        return _ERRNOS.get(error.errno or 0, "unavailable")
    return "unavailable"


def lost(error: SQLAlchemyError) -> bool:
    """Whether the connection went away, so that nobody knows what the server did last."""
    if not isinstance(error, DBAPIError):
        return True
    state = getattr(error.orig, "sqlstate", None)
    return error.connection_invalidated or not isinstance(state, str) or state.startswith(_AWAY)


@contextmanager
def translated() -> Iterator[None]:
    """Everything that the database may throw comes out as LedgerError."""
    try:
        yield
    except (SQLAlchemyError, PoolTimeout, sqlite3.Error, OSError) as error:
        raise LedgerError(code_of(error)) from None
