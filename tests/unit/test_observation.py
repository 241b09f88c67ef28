"""A ledger that was restored: compared, repaired on request, and worked again only when a person says so."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from rotator.engine.inspection import Seen
from rotator.engine.observation import Beyond, Compared, verdict
from rotator.engine.opening import LEAP, LOST
from rotator.engine.ports import Work
from rotator.engine.requests import RequestRefused, Selection
from rotator.machine.events import Intended, Opened, Outcome
from rotator.machine.facts import Ending, RunKind
from rotator.machine.ids import Gen
from rotator.machine.steps import CurrentIs, OutcomeKind, StepKind
from tests.unit.engine_bench import ME, Bench, credential

ALL = Selection(everything=True)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, credential(), credential("beta"))
    for name in ("alpha", "beta"):
        made.adopted(name)
    yield made
    made.close()


def test_a_restored_ledger_is_left_only_when_every_credential_was_looked_at(bench: Bench) -> None:
    bench.observe = True
    with pytest.raises(RequestRefused, match="not looked at yet: alpha, beta"):
        bench.service.end_observing(ME, reason="drill", unseen=False)
    bench.service.reconcile(Selection(ids=("alpha",)))
    with pytest.raises(RequestRefused, match="not looked at yet: beta") as refused:
        bench.service.end_observing(ME, reason="drill", unseen=False)
    assert refused.value.code == "ROT-UNSEEN"
    bench.service.reconcile(ALL)
    done = bench.service.end_observing(ME, reason="drill", unseen=False)
    assert done["unseen"] == []
    assert bench.marks.renewed == [(done["epoch"], 0)]
    assert bench.observe is False


def test_unseen_is_said_explicitly_and_told(bench: Bench) -> None:
    bench.observe = True
    bench.marks.marks = {"main": "store_sealed"}
    assert bench.service.end_observing(ME, reason="drill", unseen=True)["unread"] == ["main"]


def test_a_store_that_says_no_mark_holds_the_end(bench: Bench) -> None:
    bench.observe = True
    bench.service.reconcile(ALL)
    bench.marks.marks = {"main": "store_sealed"}
    with pytest.raises(RequestRefused) as refused:
        bench.service.end_observing(ME, reason="drill", unseen=False)
    assert refused.value.code == "ROT-MARK-UNREAD"
    assert bench.observe is True


def test_looking_opens_nothing_and_records_nothing_in_the_journal(bench: Bench) -> None:
    bench.observe = True
    before = bench.ledger.sequence()
    items = bench.service.reconcile(ALL)["items"]
    assert [one["verdict"] for one in items] == ["match", "match"]
    assert bench.ledger.sequence() == before
    assert bench.ledger.runs(open_only=True) == []


def test_a_look_beside_no_restore_needs_no_end(bench: Bench) -> None:
    bench.service.reconcile(ALL)
    with pytest.raises(RequestRefused) as refused:
        bench.service.end_observing(ME, reason="drill", unseen=True)
    assert refused.value.code == "ROT-NOT-OBSERVING"


@pytest.mark.parametrize(
    ("found", "word"),
    [
        (Compared(Gen(1), homes=(Seen("h", "alive", ""),)), "match"),
        (Compared(None, homes=(Seen("h", "alive", ""),)), "store_newer"),
        (Compared(Gen(1), staged=(2,), homes=(Seen("h", "alive", ""),)), "store_newer"),
        (Compared(Gen(1), homes=(Seen("h", "rejected", "no"),)), "endpoint_newer"),
        (Compared(Gen(1), homes=(Seen("h", "alive", ""),), beyond=(Beyond("api", "svc", "rot-acme-9", "k"),)),
         "endpoint_newer"),
        (Compared(Gen(1), homes=(Seen("h", "inconclusive", "x"),), unread=("x",)), "unknown"),
        (Compared(Gen(7), homes=(Seen("h", "alive", ""),)), "unknown"),
        (Compared(Gen(1)), "unknown"),
        (Compared(absent=True), "unknown"),
        (Compared(unread=("store_sealed",)), "unknown"),
    ],
)  # fmt: skip
def test_verdict(bench: Bench, found: Compared, word: str) -> None:
    assert verdict(bench.row().facts, found) == word


def test_a_label_that_this_ledger_gave_is_not_beyond_it(bench: Bench) -> None:
    bench.finish(bench.rotate())
    ours = bench.row().facts.labels[Gen(2)]
    seen = (Seen("svc@api", "alive", ""),)
    rows = (Beyond("api", "svc", ours, "h2"), Beyond("api", "svc", "rot-acme-900", "h9"))
    bench.comparing["alpha"] = Compared(Gen(2), homes=seen, beyond=rows)
    (item,) = bench.service.reconcile(Selection(ids=("alpha",)))["items"]
    assert [one["label"] for one in item["beyond"]] == ["rot-acme-900"]
    assert item["verdict"] == "endpoint_newer"
    assert item["commands"] == ["rotator reconcile --repair alpha --reason TEXT"]


def test_only_what_a_person_asked_to_repair_is_worked_while_observing(bench: Bench) -> None:
    other = bench.rotate("beta")
    bench.claims.clear()
    bench.ledger.end_leases()  # the daemon that had it is gone; this is the one after the restore
    bench.observe = True
    bench.service.repair(ME, ["alpha"], reason="drill")
    bench.tick()
    bench.work_claims()
    run = bench.ledger.runs(credential=bench.row().definition.id)[0]
    assert run.kind is RunKind.RECONCILE
    assert bench.intents(run.id)
    assert bench.intents(other) == []


@pytest.mark.parametrize("kind", [StepKind.STAGE, StepKind.INSTALL, StepKind.VERIFY, StepKind.PROMOTE,
                                  StepKind.REVOKE, StepKind.PROVE, StepKind.DESTROY])  # fmt: skip
def test_a_run_in_flight_in_the_copy_is_looked_at_and_nothing_is_sent_twice(tmp_path: Path, kind: StepKind) -> None:
    """The copy is made in the middle of the step: its intent is open. The run goes on to its end in the lost time."""
    first, second = tmp_path / "one", tmp_path / "two"
    first.mkdir()
    second.mkdir()
    bench = Bench(first, credential())
    bench.adopted()
    copies: list[Path] = []

    def copied(_: object) -> None:
        if not copies:
            bench.ledger.backup(second / "ledger.db")
            copies.append(second / "ledger.db")

    bench.world.script[kind] = copied
    bench.finish(bench.rotate())
    assert copies
    assert bench.row().facts.current == frozenset({Gen(2)})
    made = {call.work.intent.label for call in bench.world.calls if call.work.intent.label}
    now, lived = bench.clock.at, bench.world.current
    bench.close()

    again = Bench(second, credential())
    again.clock.at, again.world.current, again.observe = now + 60_000, lived, True
    sent = [e.step.kind for e in again.intents(again.row().open_run or "")]
    assert sent[-1] is kind
    left = again.row().open_run
    again.service.reconcile(ALL)
    done = again.service.end_observing(ME, reason="drill", unseen=False)
    assert done["abandoned"] == [left]
    opened = again.service.repair(ME, ["alpha"], reason="drill")["runs"][0]["id"]
    row = again.finish(opened)
    # Whatever ended or asks: what was under way is not simply sent again, and no label is given twice.
    assert row.ending in {Ending.SUCCEEDED, Ending.OWED} or again.row().facts.question is not None
    repeats = {StepKind.STAGE, StepKind.ISSUE}
    assert not [c for c in again.world.calls if c.work.step.kind in repeats and c.work.step.gen == Gen(2)
                and not c.work.step.from_current]  # fmt: skip
    first_kinds = [c.work.step.kind for c in again.world.calls][:2]
    assert first_kinds[0] in {StepKind.READ_CURRENT, StepKind.VERIFY, StepKind.CHECK_STAGE}
    if again.row().open_run is None:
        again.finish(again.rotate())
        fresh = [c for c in again.world.calls if c.work.intent.label]
        assert all(int(c.work.step.gen or 0) > LEAP for c in fresh)
    again.close()
    shutil.rmtree(second)
    assert made


def test_numbers_of_the_lost_time_are_never_given_again(bench: Bench) -> None:
    bench.observe = True
    bench.service.reconcile(ALL)
    bench.service.end_observing(ME, reason="drill", unseen=False)
    bench.finish(bench.rotate())
    assert bench.row().facts.current == frozenset({Gen(1 + LEAP + 1)})
    bench.finish(bench.rotate())
    assert bench.row().facts.current == frozenset({Gen(1 + LEAP + 2)})
    opened = [e for e in bench.events(bench.ledger.runs(limit=1)[0].id) if isinstance(e, Opened)]
    assert opened[0].floor == 0
    assert bench.ledger.document(LOST) is not None


def test_an_emergency_after_a_restore_dooms_what_is_known(bench: Bench) -> None:
    bench.observe = True
    bench.service.end_observing(ME, reason="drill", unseen=True)
    done = bench.service.emergency(ME, Selection(ids=("alpha",)), mode="contain", reason="leak", ticket="")
    run = bench.finish(done["runs"][0]["id"])
    assert run.ending is Ending.SUCCEEDED
    assert all(gen == 1 for gen in bench.row().facts.doomed)


def test_the_question_of_a_repair_can_be_answered_while_observing(bench: Bench) -> None:
    bench.observe = True

    def foreign(work: Work) -> Outcome:
        return Outcome(work.step, OutcomeKind.DONE, CurrentIs(None, None, foreign=True))

    bench.world.script[StepKind.READ_CURRENT] = foreign
    run = bench.service.repair(ME, ["alpha"], reason="drill")["runs"][0]["id"]
    bench.tick()
    bench.work_claims()
    assert bench.row().facts.question is not None
    bench.service.answer(ME, run, "abandon", about={}, reason="drill")
    assert bench.run(run).ending is Ending.ABANDONED
    assert isinstance(bench.events(run)[0], Opened)
    assert [e for e in bench.events(run) if isinstance(e, Intended)]


def test_a_repair_that_abandons_a_run_counts_it_as_of_the_lost_time(bench: Bench) -> None:
    """What was appended to abandon it must not make the facts look newer than the copy."""
    bench.rotate()
    bench.claims.clear()
    bench.ledger.end_leases()  # as every start does with a file
    bench.observe = True
    opened = bench.service.repair(ME, ["alpha"], reason="drill")["runs"][0]["id"]
    first = bench.events(opened)[0]
    assert isinstance(first, Opened)
    assert first.floor >= LEAP


def test_numbers_with_gaps_are_measured_by_the_facts_too(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """On PostgreSQL the high-water mark counts rows: it is lower than the numbers that the facts have."""
    bench.observe = True
    monkeypatch.setattr(bench.ledger, "sequence", lambda: 1)
    bench.service.end_observing(ME, reason="drill", unseen=True)
    bench.finish(bench.rotate())
    assert bench.row().facts.current == frozenset({Gen(1 + LEAP + 1)})
