"""A copy of the ledger made by one command and put back by one: whole, kept apart, never under a daemon."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from rotator.daemon.keeping import check, put_back
from rotator.daemon.marks import BLOCK, Marks
from rotator.effects.stores.contract import Mark, Store
from rotator.engine.observation import LOOKED, RESTORED
from rotator.engine.ports import Installation, LedgerError
from rotator.ledger import SqliteLedger, open_ledger
from rotator.ledger.restoring import examine, restore
from rotator.plugin_api import Failed
from tests.unit.engine_bench import T0, Bench, HandClock, credential

OURS = Installation("acme", "e1", "check")


def founded(path: Path) -> SqliteLedger:
    ledger = open_ledger(path)
    ledger.found(OURS)
    ledger.accept([credential()], {}, T0)
    return ledger


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    ledger = founded(tmp_path / "ledger.db")
    ledger.keep_document("note", "in the copy")
    ledger.keep_document(LOOKED, "of another observation")
    ledger.backup(tmp_path / "copy.db")
    ledger.keep_document("note", "after the copy")
    ledger.close()
    return tmp_path / "copy.db"


def test_a_restored_ledger_is_the_copy_with_another_epoch_and_says_so(tmp_path: Path, copy: Path) -> None:
    before = copy.read_bytes()
    done = restore(copy, tmp_path / "ledger.db", epoch="e2", at="now")
    assert copy.read_bytes() == before
    ledger = open_ledger(tmp_path / "ledger.db")
    assert ledger.document("note") == "in the copy"
    assert ledger.installation() == Installation("acme", "e2", "check")
    assert ledger.document(RESTORED) == "now"
    assert not ledger.document(LOOKED)
    ledger.close()
    assert done.kept is not None
    assert (tmp_path / "ledger.db").stat().st_mode & 0o777 == 0o600
    kept = open_ledger(done.kept)
    assert kept.document("note") == "after the copy"
    assert kept.installation() == OURS
    kept.close()


def test_what_only_the_log_of_a_killed_daemon_holds_is_kept_too(tmp_path: Path, copy: Path) -> None:
    path = tmp_path / "ledger.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:  # a writer that is never closed: its log stays
        raw.execute("PRAGMA wal_autocheckpoint = 0").close()
        raw.execute("UPDATE documents SET text = 'in the log' WHERE name = 'note'").close()
        done = restore(copy, path, epoch="e2", at="now")
    assert done.kept is not None
    with closing(sqlite3.connect(done.kept)) as kept:
        assert kept.execute("SELECT text FROM documents WHERE name = 'note'").fetchone() == ("in the log",)
    with closing(sqlite3.connect(path)) as new:
        assert new.execute("SELECT text FROM documents WHERE name = 'note'").fetchone() == ("in the copy",)
        assert new.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_nothing_is_restored_under_a_daemon(tmp_path: Path, copy: Path) -> None:
    ledger = open_ledger(tmp_path / "ledger.db")
    with ledger.guard(), pytest.raises(LedgerError, match="second_daemon"):
        restore(copy, tmp_path / "ledger.db", epoch="e2", at="now")
    assert ledger.document("note") == "after the copy"
    ledger.close()
    assert sorted(one.name for one in tmp_path.iterdir() if "replaced" in one.name or "part" in one.name) == []


def damage(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xff" * 8192)


def test_a_copy_that_is_damaged_foreign_newer_or_unfounded_changes_nothing(tmp_path: Path, copy: Path) -> None:
    path = tmp_path / "ledger.db"
    newer = tmp_path / "newer.db"
    newer.write_bytes(copy.read_bytes())
    with closing(sqlite3.connect(newer)) as raw, raw:
        raw.execute("INSERT INTO schema_version (version) VALUES (999)")
    foreign = tmp_path / "foreign.db"
    with closing(sqlite3.connect(foreign)) as raw, raw:
        raw.execute("CREATE TABLE theirs (a)")
    open_ledger(tmp_path / "unfounded.db").close()
    text = tmp_path / "text.db"
    text.write_text("not a database" * 100)
    damage(copy)
    wanted = {
        copy: "damaged", newer: "newer_schema", foreign: "not_a_ledger", text: "damaged",
        tmp_path / "unfounded.db": "not_founded", tmp_path / "none.db": "missing_file", path: "same_file",
    }  # fmt: skip
    for one, code in wanted.items():
        with pytest.raises(LedgerError) as refused:
            restore(one, path, epoch="e2", at="now")
        assert refused.value.code == code, one
    ledger = open_ledger(path)
    assert ledger.document("note") == "after the copy"
    assert ledger.installation() == OURS
    ledger.close()
    assert not list(tmp_path.glob("*replaced*"))
    assert not list(tmp_path.glob("*.part"))


def test_a_ledger_that_is_lost_or_damaged_is_replaced(tmp_path: Path, copy: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"what a bad disk left")
    assert restore(copy, path, epoch="e2", at="now").kept is not None
    path.unlink()
    assert restore(copy, path, epoch="e3", at="later").kept is None
    assert examine(path).epoch == "e3"
    assert examine(path).restored


def test_by_the_configuration(tmp_path: Path, copy: Path) -> None:
    config = tmp_path / "rotator.yaml"
    config.write_text(f"daemon:\n  ledger: {tmp_path / 'ledger.db'}\n")
    done = put_back(config, copy)
    assert "error" not in done
    assert Path(done["kept"]).exists()
    assert check(config, None)["restored"] is True
    assert check(config, copy)["restored"] is False
    assert check(config, tmp_path / "nothing.db")["error"]["code"] == "ROT-LEDGER-MISSING-FILE"
    config.write_text("daemon:\n  ledger: postgresql://db/rotator\n")
    error = put_back(config, copy)["error"]
    assert error["code"] == "ROT-LEDGER-IS-POSTGRESQL"
    assert "pg_dump" in error["hint"]


# ---- the mark in the store -----------------------------------------------------------------------------------------


class OneStore:
    """A store's mark; `down`: it does not answer."""

    def __init__(self) -> None:
        self.standing: Mark | None = None
        self.down = False
        self.writes = 0

    def read_mark(self) -> Mark | None:
        if self.down:
            raise Failed("unreachable", unsent=True)
        return self.standing

    def mark(self, mark: Mark) -> None:
        if self.down:
            raise Failed("unreachable", unsent=True)
        self.writes += 1
        self.standing = mark.over(self.standing)


def marks_of(ledger: SqliteLedger, store: OneStore) -> Marks:
    installation = ledger.installation()
    assert installation is not None
    stores: dict[str, Store] = {"main": store}  # type: ignore[dict-item]
    return Marks(ledger, HandClock(), installation, lambda: stores)


def test_a_mark_never_gets_lower() -> None:
    assert Mark("e1", 5, 10).over(Mark("e1", 7, 3)) == Mark("e1", 7, 10)
    assert Mark("e2", 1, 0).over(Mark("e1", 7, 3)) == Mark("e2", 1, 3)
    assert Mark("e1", 5).over(None) == Mark("e1", 5)


def test_a_serial_that_was_given_after_the_copy_is_never_given_again(tmp_path: Path) -> None:
    path, store = tmp_path / "ledger.db", OneStore()
    ledger = founded(path)
    marks = marks_of(ledger, store)
    marks.write()
    ledger.backup(tmp_path / "copy.db")
    given = {marks.serial() for _ in range(3 * BLOCK)}  # in the lost time; no run begins or ends, no mark is due
    ledger.close()
    for epoch in ("e2", "e3"):  # the same copy, twice
        restore(tmp_path / "copy.db", path, epoch=epoch, at=epoch)
        ledger = open_ledger(path)
        marks = marks_of(ledger, store)
        assert marks.observing()
        assert marks.behind()
        (standing,) = marks.standing().values()
        assert isinstance(standing, Mark)
        assert standing.serials >= max(given)
        marks.renew(f"{epoch}-on", standing.serials)
        assert not marks.observing()
        more = {marks.serial() for _ in range(5)}
        assert min(more) > max(given)
        given |= more
        assert store.standing is not None
        assert store.standing.epoch == f"{epoch}-on"
        ledger.close()
        later = open_ledger(path)
        assert not marks_of(later, store).observing()  # nothing was restored since
        later.close()


def test_serials_go_on_without_a_store_and_the_distance_covers_them(tmp_path: Path) -> None:
    store = OneStore()
    ledger = founded(tmp_path / "ledger.db")
    marks = marks_of(ledger, store)
    first = marks.serial()
    ledger.backup(tmp_path / "copy.db")
    store.down = True
    given = [marks.serial() for _ in range(BLOCK + BLOCK // 2)]  # an emergency does not wait for a vault
    assert given[0] == first + 1
    ledger.close()
    store.down = False
    restore(tmp_path / "copy.db", tmp_path / "ledger.db", epoch="e2", at="now")
    ledger = open_ledger(tmp_path / "ledger.db")
    marks = marks_of(ledger, store)
    assert store.standing is not None
    marks.renew("e3", store.standing.serials)
    assert marks.serial() > max(given)
    ledger.close()


def test_few_marks_are_written_for_many_serials(tmp_path: Path) -> None:
    store = OneStore()
    ledger = founded(tmp_path / "ledger.db")
    marks = marks_of(ledger, store)
    for _ in range(2 * BLOCK):
        marks.serial()
    assert store.writes <= 5
    ledger.close()


def test_a_copy_put_in_place_by_hand_observes_by_the_mark_alone(tmp_path: Path) -> None:
    store = OneStore()
    (tmp_path / "bench").mkdir()
    bench = Bench(tmp_path / "bench", credential())
    bench.ledger.found(OURS)
    bench.ledger.backup(tmp_path / "copy.db")
    bench.adopted()
    marks_of(bench.ledger, store).write()
    bench.close()
    old = open_ledger(tmp_path / "copy.db")
    assert marks_of(old, store).observing()
    old.close()


def test_the_restored_word_stands_though_no_store_has_a_mark(tmp_path: Path) -> None:
    founded(tmp_path / "ledger.db").close()
    (tmp_path / "copy.db").write_bytes((tmp_path / "ledger.db").read_bytes())
    restore(tmp_path / "copy.db", tmp_path / "ledger.db", epoch="e2", at="now")
    ledger = open_ledger(tmp_path / "ledger.db")
    assert marks_of(ledger, OneStore()).observing()
    ledger.close()
