"""A copy of the ledger put in the place of the ledger, while no daemon works. Called by `daemon.keeping`.

The copy is looked at whole before anything changes, and stays as it is. What stood there is kept beside it, with its
companions. The ledger that then stands has another epoch and says that it was restored: a daemon only observes on it.
Must never open the ledger while a daemon holds its lock.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy.pool import NullPool

from rotator.engine.observation import LOOKED, RESTORED
from rotator.engine.ports import LedgerError

from .failures import translated
from .guard import guarded
from .migrations import version_of
from .opening import connected, reading_engine, resolve

_EMPTIED: Final = (LOOKED,)
"""What a former observation noted in the copy: it says nothing of this one."""
_COMPANIONS: Final = ("-wal", "-shm")
BUSY_MS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Held:
    """What a ledger's file holds. `epoch` empty: it was never founded."""

    version: int
    installation: str
    epoch: str
    sequence: int
    credentials: int
    open_runs: int
    restored: bool = False


@dataclass(frozen=True, slots=True)
class Restored:
    """What became of it. `kept`: where the replaced ledger is now; None: there was none."""

    held: Held
    kept: Path | None


def file_of(place: str) -> Path:
    """The ledger's file. Raises LedgerError("is_postgresql"): a server has tools of its own, that know its snapshots
    and its roles."""
    if place.startswith(("postgres:", "postgresql:")):
        raise LedgerError("is_postgresql")
    return Path(place)


def examine(path: Path) -> Held:
    """Every page, every reference, and what it holds. Changes nothing. Raises LedgerError (`missing_file`,
    `not_a_ledger`, `newer_schema`, `damaged` ...)."""
    real = resolve(path)
    if not real.is_file():
        raise LedgerError("missing_file")
    engine = reading_engine(real, BUSY_MS, poolclass=NullPool)
    try:
        with translated(), connected(engine) as connection, connection.begin():
            version = version_of(connection)
            if version == 0:
                raise LedgerError("not_a_ledger")
            if connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar_one() != "ok":
                raise LedgerError("damaged")
            if connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
                raise LedgerError("damaged")

            def one(statement: str) -> int:
                return int(connection.exec_driver_sql(statement).scalar_one() or 0)

            whose = connection.exec_driver_sql("SELECT name, epoch FROM installation").first()
            mark = connection.exec_driver_sql("SELECT text FROM documents WHERE name = ?", (RESTORED,)).scalar()
            return Held(
                version=version,
                installation="" if whose is None else str(whose[0]),
                epoch="" if whose is None else str(whose[1]),
                sequence=one("SELECT max(sequence) FROM journal"),
                credentials=one("SELECT count(*) FROM credentials"),
                open_runs=one("SELECT count(*) FROM runs WHERE ended_at IS NULL"),
                restored=bool(mark),
            )
    finally:
        engine.dispose()


def restore(copy: Path, path: Path, *, epoch: str, at: str) -> Restored:
    """Put `copy` in the place of the ledger at `path`. `epoch`: never used before; `at`: a moment, which names what
    is kept. Raises LedgerError (`second_daemon`, `same_file`, `not_founded`, `backup_exists`, and those of `examine`);
    then the ledger is as it was."""
    real, source = resolve(path), resolve(copy)
    if real == source or (real.exists() and source.exists() and real.samefile(source)):
        raise LedgerError("same_file")
    with guarded(real):
        held = examine(source)
        if not held.epoch:
            raise LedgerError("not_founded")
        part = real.with_name(f"{real.name}.{os.getpid()}.part")
        try:
            with translated():
                _prepare(source, part, epoch, at)
                kept = _keep(real, at)
                for companion in _COMPANIONS:
                    real.with_name(real.name + companion).unlink(missing_ok=True)
                part.replace(real)
                _settle(real.parent)
        finally:
            part.unlink(missing_ok=True)
    return Restored(held, kept)


def _prepare(source: Path, part: Path, epoch: str, at: str) -> None:
    """The copy once more, whole and durable, with another epoch."""
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    address = f"{source.absolute().as_uri()}?mode=ro"
    with (
        closing(sqlite3.connect(address, uri=True)) as old,
        closing(sqlite3.connect(part, isolation_level=None)) as new,
    ):
        old.backup(new)
        new.execute("PRAGMA journal_mode = DELETE").close()
        new.execute("PRAGMA synchronous = FULL").close()
        new.execute("BEGIN IMMEDIATE")
        new.execute("UPDATE installation SET epoch = ?", (epoch,))
        for name, text in ((RESTORED, at), *((name, "") for name in _EMPTIED)):
            new.execute("INSERT OR REPLACE INTO documents (name, text) VALUES (?, ?)", (name, text))
        new.execute("COMMIT")
        if new.execute("PRAGMA quick_check").fetchone() != ("ok",):
            raise LedgerError("damaged")
    _settle(part)


def _keep(real: Path, at: str) -> Path | None:
    """The ledger that stood there under another name, whole: what its log still holds is written into it first, if it
    can be opened at all."""
    if not real.exists():
        return None
    with suppress(sqlite3.Error), closing(sqlite3.connect(real, timeout=BUSY_MS / 1000)) as old:
        old.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
    kept = real.with_name(f"{real.name}.replaced-{at}")
    for companion in ("", *_COMPANIONS):
        one = real.with_name(real.name + companion)
        if one.exists():
            try:
                os.link(one, kept.with_name(kept.name + companion))
            except FileExistsError:
                raise LedgerError("backup_exists") from None
    _settle(real.parent)
    return kept


def _settle(path: Path) -> None:
    """On the disk, before anything else is done."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
