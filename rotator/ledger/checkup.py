"""The ledger's file looked at without a daemon and without a change: for `rotator doctor`.

Must never make a file, nor open one that belongs to another user: SQLite would make companions beside it that its owner
could not write.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy.pool import NullPool

from rotator.engine.ports import LedgerError

from .failures import translated
from .migrations import version_of
from .opening import connected, reading_engine, resolve

LEAST_FREE: Final = 128 * 1024 * 1024
"""Bytes that should be free where the ledger stands: a full disk stops every run before its next step."""


@dataclass(frozen=True, slots=True)
class Checkup:
    """What was seen. `problem`: a slug of LedgerError, or empty; `version`: of the schema, None: there is no file yet;
    `owner`: the uid that the file or folder belongs to; `in_use`: a daemon holds its lock; `free`: bytes."""

    problem: str = ""
    version: int | None = None
    owner: int = -1
    in_use: bool = False
    free: int = 0


def checkup(path: Path, *, busy_ms: int = 2000) -> Checkup:
    """Look at the ledger that stands, or would stand, at `path`. Never raises LedgerError."""
    try:
        real = resolve(path)
        where = real if real.exists() else real.parent
        owner = where.stat().st_uid
        free = shutil.disk_usage(real.parent).free
    except LedgerError as error:
        return Checkup(problem=error.code)
    except OSError:
        return Checkup(problem="unavailable")
    in_use = _locked(real)
    seen = Checkup(owner=owner, in_use=in_use, free=free)
    if owner != os.geteuid():
        return seen
    if not os.access(where, os.W_OK) or not os.access(real.parent, os.W_OK):
        return Checkup(problem="read_only", owner=owner, in_use=in_use, free=free)
    if not real.exists():
        return seen
    try:
        return Checkup(version=_version(real, busy_ms), owner=owner, in_use=in_use, free=free)
    except LedgerError as error:
        return Checkup(problem=error.code, owner=owner, in_use=in_use, free=free)


def _version(path: Path, busy_ms: int) -> int:
    engine = reading_engine(path, busy_ms, poolclass=NullPool)
    try:
        with translated(), connected(engine) as connection, connection.begin():
            version = version_of(connection)
            if connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one() != "ok":
                raise LedgerError("damaged")
            return version
    finally:
        engine.dispose()


def _locked(path: Path) -> bool:
    """Whether a daemon holds the lock beside the file (`guard`)."""
    try:
        descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
