"""The ledger's file: what it refuses, how it fails, what it holds. SQLite only."""

from __future__ import annotations

import os
import resource
import sqlite3
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection

from rotator.engine.ports import LedgerError
from rotator.ledger import SqliteLedger, open_ledger
from rotator.ledger.tables import SCHEMA
from rotator.machine.codec import FORMAT
from rotator.machine.facts import State
from tests.contract.ledger.samples import T0, definition, owing, reading, start
from tests.contract.ledger.test_inventory import ALPHA, refused

MEANINGS = {
    "schema_version": "version applied_at",
    "installation": "id name epoch fingerprint_check",
    "counters": "name value",
    "documents": "name text",
    "digests": "file digest",
    "credentials": "id format definition facts facts_sequence managed adopted_at last_success_at next_due_at due_why"
    " pause open_run",
    "runs": "id credential kind format definition plan actor reason campaign opened_at ended_at ending wake_at woken_at"
    " held_why owner fence lease_until last_sequence urgent",
    "budgets": "sort name full_us why failures since until opened probing_until wait_until",
    "heartbeats": "credential next_at at finding since place reason",
    "journal": "sequence run at fence actor format event observed",
    "placements": "credential gen endpoint principal state since owed_since label handle",
    "probes": "sequence endpoint principal at",
    "notices": "sequence key event at credential run about facts routed_at body",
    "deliveries": "id notice channel route state attempts first_at next_at last_at code",
    "fingerprints": "credential gen text",
}
"""Every column that may exist. A new one is a decision: it must not be able to hold a value."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[SqliteLedger]:
    opened = open_ledger(path)
    opened.accept([definition()], {}, T0)
    yield opened
    opened.close()


def columns(path: Path) -> dict[str, set[str]]:
    with closing(sqlite3.connect(path)) as raw:
        tables = [name for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            table: {row[1] for row in raw.execute(f"PRAGMA table_info({table})")}
            for table in tables
            if not table.startswith("sqlite_")
        }


def test_every_column_of_the_file_is_known_and_has_a_meaning(ledger: SqliteLedger, path: Path) -> None:
    allowed = {table: set(names.split()) for table, names in MEANINGS.items()}
    assert columns(path) == allowed
    assert {name: {c.name for c in table.columns} for name, table in SCHEMA.tables.items()} == allowed
    assert [c for table in SCHEMA.tables.values() for c in table.columns if not c.comment] == []


def test_migrations_make_what_the_tables_say(ledger: SqliteLedger, path: Path) -> None:
    with closing(sqlite3.connect(path)) as raw:
        for name, table in SCHEMA.tables.items():
            real = {row[1]: (row[2], bool(row[5])) for row in raw.execute(f"PRAGMA table_info({name})")}
            assert real == {c.name: (str(c.type), c.primary_key) for c in table.columns}, name


def test_the_file_is_for_its_owner_only(ledger: SqliteLedger, path: Path) -> None:
    ledger.serials(1)
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name


def test_every_commit_is_durable_and_foreign_keys_hold(ledger: SqliteLedger) -> None:
    def ask(name: str) -> object:
        return ledger._writer.do(lambda c: c.exec_driver_sql(f"PRAGMA {name}").scalar_one())

    asked = {name: ask(name) for name in ("journal_mode", "synchronous", "foreign_keys", "recursive_triggers")}
    assert asked == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "recursive_triggers": 1}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE journal SET actor = 'x'",
        "DELETE FROM journal",
        "INSERT OR REPLACE INTO journal SELECT * FROM journal",
    ],
)
def test_the_journal_is_append_only(ledger: SqliteLedger, statement: str) -> None:
    claim, _ = start(ledger)
    before = ledger.journal(claim.run)
    with refused("constraint"):
        ledger._writer.do(lambda c: c.exec_driver_sql(statement))
    assert ledger.journal(claim.run) == before


def test_a_placement_says_since_when_its_state_stands(ledger: SqliteLedger, path: Path) -> None:
    claim, facts = start(ledger)
    for at, state in ((1, State.MAYBE), (2, State.MAYBE), (3, State.DEAD), (4, State.DEAD)):
        ledger.append(claim, [reading()], owing(facts, 3, state=state), T0 + at)
        with closing(sqlite3.connect(path)) as raw:
            (since,) = raw.execute("SELECT since FROM placements WHERE gen = 3").fetchone()
        assert since == T0 + (1 if at < 3 else 3)


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with refused("missing_directory"):
        open_ledger(tmp_path / "no" / "ledger.db")


def test_what_is_no_database_is_refused_and_left_alone(path: Path) -> None:
    path.write_bytes(b"not a database, but somebody's notes " * 100)
    before = path.read_bytes()
    with refused("damaged"):
        open_ledger(path)
    assert (path.read_bytes(), list(path.parent.iterdir())) == (before, [path])


def test_a_directory_or_another_program_s_database_is_refused(path: Path, tmp_path: Path) -> None:
    with refused("not_a_ledger"):
        open_ledger(tmp_path)
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    with refused("not_a_ledger"):
        open_ledger(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "later",
    ["INSERT INTO schema_version VALUES (99, 0)", f"UPDATE counters SET value = {FORMAT + 1} WHERE name = 'format'"],
)
def test_a_file_of_a_later_release_is_refused_and_nothing_changed(path: Path, later: str) -> None:
    open_ledger(path).close()
    with closing(sqlite3.connect(path)) as raw:
        raw.execute(later)
        raw.commit()
    before = path.read_bytes()
    with refused("newer_schema"):
        open_ledger(path)
    assert path.read_bytes() == before


def test_a_row_of_a_later_format_is_refused_not_guessed(ledger: SqliteLedger) -> None:
    ledger.credentials()
    ledger._writer.do(lambda c: c.exec_driver_sql(f"UPDATE credentials SET format = {FORMAT + 1}"))
    with refused("newer_schema"):
        ledger.credentials()


def test_a_row_that_does_not_fit_is_damage(ledger: SqliteLedger) -> None:
    for text in ('{"is":"Facts","nonsense":1}', "{"):
        change = partial(Connection.exec_driver_sql, statement="UPDATE credentials SET facts = ?", parameters=(text,))
        ledger._writer.do(change)
        with refused("damaged"):
            ledger.credentials()


def test_a_damaged_page_is_said_and_other_pages_still_serve(path: Path) -> None:
    ledger = open_ledger(path)
    ledger.accept([definition(f"c{n:03}") for n in range(300)], {}, T0)
    ledger.close()
    with closing(sqlite3.connect(path)) as raw:
        (page,) = raw.execute("SELECT rootpage FROM sqlite_master WHERE name = 'credentials'").fetchone()
        (size,) = raw.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    again = open_ledger(path)
    with refused("damaged"):
        again.credentials()
    with refused("damaged"):
        again.accept([definition("new")], {}, T0)
    assert again.serials(1) == 1
    again.close()


@contextmanager
def nobody() -> Iterator[None]:
    """Root is not stopped by modes: become somebody who is."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.parametrize("mode", [0o444, 0o000])
def test_a_file_that_cannot_be_written_is_refused(mode: int) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        directory, path = Path(name), Path(name) / "ledger.db"
        open_ledger(path).close()
        for file in directory.iterdir():
            file.chmod(mode)
        directory.chmod(0o555)
        with nobody(), pytest.raises(LedgerError) as error:
            open_ledger(path)
        assert error.value.code in ({"read_only"} if mode else {"read_only", "unavailable"})
        with nobody(), refused("read_only"):
            open_ledger(directory / "new.db")
        directory.chmod(0o755)
        for file in directory.iterdir():
            file.chmod(0o600)  # a plain user may not write them either until then
        open_ledger(path).close()


def limit_pages(ledger: SqliteLedger, more: int | None) -> None:
    def limit(connection: Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        most = 2**30 if more is None else pages + more
        connection.exec_driver_sql(f"PRAGMA max_page_count = {most}")

    ledger._writer.do(limit)


def test_a_full_disk_is_said_nothing_is_half_recorded_and_the_writer_goes_on(ledger: SqliteLedger) -> None:
    claim, facts = start(ledger)
    limit_pages(ledger, 3)
    with refused("disk_full"):
        ledger.keep_document("big", "x" * 100_000)
    assert ledger.document("big") is None
    seen = (ledger.sequence(), ledger.journal(claim.run))
    limit_pages(ledger, 3)  # the writer took a new connection
    recorded = 0
    with refused("disk_full"):
        for _ in range(1000):
            ledger.append(claim, [reading()], facts, T0)
            recorded += 1
    assert ledger.sequence() == seen[0] + recorded == len(ledger.journal(claim.run))
    row = ledger.credential(ALPHA)
    assert row is not None
    assert row.facts_sequence == ledger.sequence()
    limit_pages(ledger, None)
    ledger.append(claim, [reading()], facts, T0)
    assert ledger.sequence() == seen[0] + recorded + 1


def test_an_io_error_is_said_and_passes(ledger: SqliteLedger, path: Path) -> None:
    claim, facts = start(ledger)
    before = ledger.sequence()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = path.with_name(path.name + "-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        with pytest.raises(LedgerError) as error:
            ledger.append(claim, [reading()], facts, T0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert error.value.code in {"unavailable", "disk_full"}
    assert ledger.sequence() == before
    ledger.append(claim, [reading()], facts, T0)
    assert (ledger.sequence(), len(ledger.journal(claim.run))) == (before + 1, before + 1)


def test_a_first_opening_without_room_leaves_nothing_that_a_later_one_trips_over(path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(LedgerError) as error:
            open_ledger(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert error.value.code in {"unavailable", "disk_full"}
    ledger = open_ledger(path)
    assert ledger.serials(1) == 1
    ledger.close()


def test_a_lock_held_too_long_is_said_and_passes(path: Path) -> None:
    ledger = open_ledger(path, busy=50)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with refused("locked"):
            ledger.serials(1)
        assert ledger.sequence() == 0  # readers are not held up
        with refused("locked"):
            open_ledger(path, busy=50)
        other.execute("ROLLBACK")
    assert ledger.serials(1) == 1
    ledger.close()


def test_a_short_lock_is_waited_for(path: Path) -> None:
    ledger = open_ledger(path)
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(0.3, lambda: other.execute("ROLLBACK"))
        timer.start()
        assert ledger.serials(1) == 1
        timer.join()
    ledger.close()


def test_one_daemon_holds_the_guard(ledger: SqliteLedger, path: Path) -> None:
    link = path.with_name("link.db")
    link.symlink_to(path)
    second = open_ledger(link)
    with ledger.guard():
        with refused("second_daemon"), second.guard():
            pass
        assert second.serials(1) == 1
    with second.guard(), suppress(RuntimeError):
        raise RuntimeError
    with ledger.guard():
        pass
    second.close()
