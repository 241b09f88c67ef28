"""Files of earlier releases are opened with everything in them; a migration is whole or not at all."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from rotator.engine.inventory import CredentialId
from rotator.engine.ports import Installation, LeaseLost, RunId
from rotator.ledger import migrations, open_ledger
from rotator.ledger.opening import open_engines
from rotator.machine.events import Finished
from rotator.machine.evolve import evolve
from rotator.machine.facts import Ending, State
from tests.contract.ledger.samples import HOME, T0, plan, read_done, reading
from tests.contract.ledger.test_inventory import ALPHA, refused

OLD = sorted((Path(__file__).resolve().parents[1] / "contract" / "ledger").glob("schema_*.sql"))
PRESENT = list(range(1, migrations.SCHEMA_VERSION + 1))


@pytest.fixture(params=OLD, ids=lambda path: path.stem)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file of an earlier schema with runs in flight."""
    path = tmp_path / "ledger.db"
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript(request.param.read_text())
    return path


def rows_of(path: Path, table: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as raw:
        return raw.execute(f"SELECT * FROM {table}").fetchall()


def shape(path: Path) -> set[tuple[str, str, str]]:
    with closing(sqlite3.connect(path)) as raw:
        objects = {
            (kind, name, " ".join((sql or "").split()))
            for kind, name, sql in raw.execute("SELECT type, name, sql FROM sqlite_master")
        }
    return {one for one in objects if not one[1].startswith("sqlite_")}


def test_an_old_file_keeps_its_journal_and_gets_the_present_schema(old: Path, tmp_path: Path) -> None:
    before = {name: rows_of(old, name) for name in ("journal", "credentials", "placements", "probes", "fingerprints")}
    assert max(rows_of(old, "schema_version"))[0] < migrations.SCHEMA_VERSION
    open_ledger(old).close()
    assert {name: rows_of(old, name) for name in before} == before
    assert [version for version, _ in rows_of(old, "schema_version")] == PRESENT
    open_ledger(tmp_path / "new.db").close()
    assert {one[:2] for one in shape(old)} == {one[:2] for one in shape(tmp_path / "new.db")}


def test_runs_in_flight_go_on_after_the_migration(old: Path) -> None:
    ledger = open_ledger(old)
    assert ledger.installation() == Installation("acme", "e1", "check")
    run = ledger.run(RunId("r-alpha"))
    row = ledger.credential(ALPHA)
    assert run is not None
    assert row is not None
    assert (run.owner, run.fence, row.open_run, row.adopted_at) == ("w1", 1, "r-alpha", T0 + 50)
    assert row.facts.intent is not None
    assert ledger.claim_next(T0 + 59_999, "w2", T0 + 90_000) is None
    claim = ledger.claim_next(T0 + 60_000, "w2", T0 + 90_000)
    assert claim is not None
    assert (claim.run, claim.fence) == ("r-alpha", 2)
    ledger.append(claim, [read_done()], evolve(plan(), row.facts, read_done(), T0 + 60_001), T0 + 60_001)
    stale = type(claim)(claim.run, 1, T0 + 60_000)
    with pytest.raises(LeaseLost):
        ledger.append(stale, [reading()], row.facts, T0 + 60_002)
    assert [entry.fence for entry in ledger.journal(claim.run)] == [1, 1, 2]
    ledger.close()


def test_an_old_file_tells_nothing_of_the_past_and_everything_from_now_on(old: Path) -> None:
    ledger = open_ledger(old)
    assert list(ledger.unrouted(10)) == []
    claim = ledger.claim_next(T0 + 60_000, "w2", T0 + 90_000)
    row = ledger.credential(ALPHA)
    assert claim is not None
    assert row is not None
    ledger.append(claim, [Finished(Ending.ABANDONED)], row.facts, T0 + 60_001)
    (told,) = ledger.unrouted(10)
    assert (told.notice.event, told.notice.credential, told.notice.run) == ("run_abandoned", ALPHA, claim.run)
    ledger.close()


def test_what_waits_for_a_person_still_waits_and_can_be_woken(old: Path) -> None:
    ledger = open_ledger(old)
    run = ledger.run(RunId("r-beta"))
    assert run is not None
    assert (run.held_why, run.wake_at) == ("waiting_for_you", None)
    assert [(debt.gen, debt.state, debt.since) for debt in ledger.debts(CredentialId("beta"))] == [
        (3, State.LINGERS, T0 + 210)
    ]
    assert ledger.fingerprints(CredentialId("beta")) == {3: "k1:cc"}
    assert (ledger.probes(HOME, T0), ledger.serials(1)) == (1, 8)
    ledger.wake(run.id, T0 + 300)
    claim = ledger.claim_next(T0 + 300, "w", T0 + 400)
    assert claim is not None
    assert claim.run == run.id
    ledger.close()


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later release whose newest step fails half way."""
    broken = ("ALTER TABLE runs ADD COLUMN later TEXT", "UPDATE journal SET actor = 'x'")
    monkeypatch.setattr(migrations, "STEPS", (*migrations.STEPS, broken))
    return


def test_a_step_that_fails_leaves_the_steps_before_it_and_nothing_of_itself(old: Path, later: None) -> None:
    before = rows_of(old, "journal")
    with refused("constraint"):
        open_engines(old, T0, busy_ms=1000, upto=len(migrations.STEPS))
    assert [version for version, _ in rows_of(old, "schema_version")] == PRESENT
    with closing(sqlite3.connect(old)) as raw:
        assert "later" not in [row[1] for row in raw.execute("PRAGMA table_info(runs)")]
    assert rows_of(old, "journal") == before
    ledger = open_ledger(old)
    assert ledger.run(RunId("r-alpha")) is not None
    ledger.close()


def test_every_released_schema_has_a_file_in_the_tests() -> None:
    files = [path.name for path in OLD]
    assert files == [f"schema_{number}.sql" for number in range(1, migrations.SCHEMA_VERSION)]
