"""Debts over weeks: worked on with growing pauses, never forgotten, accepted until a moment and no longer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rotator.daemon.metrics import render
from rotator.engine.requests import RequestRefused, Selection
from rotator.engine.views import instant
from rotator.machine.events import Accepted, Finished, Opened
from rotator.machine.facts import Ending, RunKind, State
from rotator.machine.ids import Gen
from rotator.machine.reading import debts
from rotator.machine.steps import OutcomeKind, StepKind
from tests.unit.engine_bench import DAY, ME, T0, Bench, credential

HOUR = 3_600_000
HOME = "svc@api"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, credential())
    made.adopted()
    yield made
    made.close()


def never_proven(bench: Bench) -> None:
    bench.world.script[StepKind.PROVE] = lambda work: OutcomeKind.FAILED


def owing(bench: Bench) -> None:
    never_proven(bench)
    assert bench.finish(bench.rotate()).ending is Ending.OWED


def live(bench: Bench, until: int, step: int = 300_000) -> None:
    """Time passes, with ticks."""
    while bench.clock.at < until:
        bench.tick()
        bench.work()
        bench.clock.move(step)


def oldest(bench: Bench) -> float:
    text = render(bench.ledger, bench.clock, bench.tick, False)
    return float(next(line for line in text.splitlines() if line.startswith("rotator_debt_oldest_seconds ")).split()[1])


def reconciles(bench: Bench) -> list[int]:
    runs = bench.ledger.runs(credential=bench.row().definition.id, limit=1000)
    return sorted(run.opened_at for run in runs if run.kind is RunKind.RECONCILE)


def until(bench: Bench, days: float) -> str:
    text = instant(bench.clock.at + int(days * DAY))
    assert text is not None
    return text


def accept(bench: Bench, days: float = 5, **more: object) -> str:
    said = {"gen": 1, "home": HOME, "until": until(bench, days), "reason": "scrapped", **more}
    return str(bench.service.accept_debt(ME, "alpha", **said)["id"])  # type: ignore[arg-type]


def test_reconciles_come_after_an_hour_then_twice_as_late_up_to_a_day(bench: Bench) -> None:
    owing(bench)
    ended = bench.clock.at
    live(bench, T0 + 14 * DAY)
    times = reconciles(bench)
    gaps = [(b - a) / HOUR for a, b in zip([ended, *times], times, strict=False)]
    for gap, wanted in zip(gaps, [1, 2, 4, 8, 16, 24, 24, 24], strict=False):
        assert wanted <= gap < wanted + 0.5, gaps
    assert len(times) >= 14
    assert debts(bench.row().facts)
    assert oldest(bench) >= 13 * DAY / 1000


def test_restarts_do_not_begin_the_pauses_anew(tmp_path: Path) -> None:
    bench = Bench(tmp_path, credential())
    bench.adopted()
    owing(bench)
    for day in range(1, 8):
        live(bench, T0 + day * DAY)
        at, current = bench.clock.at, bench.world.current
        bench.close()
        bench = Bench(tmp_path, credential())
        bench.ids = (f"day{day}-{n:04}" for n in range(1, 10_000))
        bench.clock.at, bench.world.current = at, current
        bench.ledger.end_leases()
        bench.tick.refresh_all()
        never_proven(bench)
    assert 8 <= len(reconciles(bench)) <= 13
    assert debts(bench.row().facts)
    bench.close()


def test_a_failing_proof_keeps_to_its_patience_in_each_reconcile(bench: Bench) -> None:
    owing(bench)
    before = len(bench.world.of(StepKind.PROVE))
    live(bench, T0 + 7 * DAY)
    tries = len(bench.world.of(StepKind.PROVE)) - before
    assert 0 < tries <= 6 * len(reconciles(bench))


def test_a_rotation_that_falls_due_is_not_kept_from_it_by_debts(bench: Bench) -> None:
    owing(bench)
    live(bench, T0 + 32 * DAY, step=HOUR)
    facts = bench.row().facts
    assert min(facts.current) == 3
    assert {gen for gen, _ in debts(facts)} == {1, 2}


def test_a_debt_that_can_be_proven_at_last_ends_by_itself(bench: Bench) -> None:
    owing(bench)
    live(bench, T0 + 3 * DAY)
    del bench.world.script[StepKind.PROVE]
    live(bench, T0 + 5 * DAY)
    assert not debts(bench.row().facts)
    assert oldest(bench) == 0


def test_what_was_accepted_is_left_alone_and_is_a_debt_again_at_the_end(bench: Bench) -> None:
    owing(bench)
    run = accept(bench, 5)
    events = bench.events(run)
    assert isinstance(events[0], Accepted)
    assert isinstance(events[1], Finished)
    assert len(events) == 2
    assert bench.run(run).actor == ME.actor
    assert bench.run(run).reason == "scrapped"
    assert bench.service.debts("")["items"] == []
    assert oldest(bench) == 0
    tried, done = len(bench.world.of(StepKind.PROVE)), bench.clock.at
    live(bench, done + 5 * DAY - HOUR)
    assert len(bench.world.of(StepKind.PROVE)) == tried
    live(bench, done + 5 * DAY + HOUR)
    assert len(bench.world.of(StepKind.PROVE)) > tried
    assert [one["gen"] for one in bench.service.debts("")["items"]] == [1]


def test_the_alarm_comes_back_though_nothing_is_opened(bench: Bench) -> None:
    """The daemon is paused, frozen, or its tick is dead: age and list do not depend on it."""
    owing(bench)
    accept(bench, 5)
    bench.clock.move(7 * DAY)
    assert oldest(bench) == pytest.approx(2 * DAY / 1000)
    (debt,) = bench.service.debts("")["items"]
    assert debt["state"] == "maybe"
    assert bench.service.explain_debts("alpha")["items"][0]["state"] == "maybe"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"gen": 2}, "ROT-NOT-OWED"),
        ({"gen": 9}, "ROT-NOT-OWED"),
        ({"home": "svc@elsewhere"}, "ROT-NOT-OWED"),
        ({"until": "2020-01-01T00:00:00Z"}, "ROT-USAGE"),
        ({"until": "2050-01-01T00:00:00Z"}, "ROT-USAGE"),
        ({"until": "2027-06-01"}, "ROT-USAGE"),
    ],
)
def test_only_a_debt_is_accepted_and_only_for_a_while(bench: Bench, said: dict[str, object], code: str) -> None:
    owing(bench)
    before = bench.ledger.sequence()
    with pytest.raises(RequestRefused) as refused:
        accept(bench, **said)  # type: ignore[arg-type]
    assert refused.value.code == code
    assert bench.ledger.sequence() == before


def test_nothing_is_accepted_while_a_run_with_a_target_is_open(bench: Bench) -> None:
    owing(bench)
    run = bench.rotate()
    with pytest.raises(RequestRefused) as refused:
        accept(bench)
    assert refused.value.code == "ROT-RUN-OPEN"
    assert refused.value.run == run


def test_an_open_reconcile_gives_way_to_an_acceptance(bench: Bench) -> None:
    owing(bench)
    bench.clock.move(2 * HOUR)
    bench.tick.open_due()
    opened = bench.row().open_run
    assert opened is not None
    assert bench.run(opened).kind is RunKind.RECONCILE
    accept(bench)
    assert bench.run(opened).ending is Ending.ABANDONED
    states = {gen: row.state for (gen, _), row in bench.row().facts.placements.items()}
    assert states[Gen(1)] is State.ACCEPTED


def test_an_acceptance_does_not_bring_a_retired_credential_back(bench: Bench) -> None:
    owing(bench)
    accept(bench)
    done = bench.service.retire_selected(ME, Selection(ids=("alpha",)), apply=True, reason="end", ticket="")
    run = bench.finish(done["runs"][0]["id"])
    facts = bench.row().facts
    if run.ended_at is None:  # what serves is proven dead by the same tries that fail here
        del bench.world.script[StepKind.PROVE]
        bench.service.answer(ME, run.id, "retry", about={}, reason="again")
        assert bench.finish(run.id).ending is Ending.SUCCEEDED
    bench.tick.refresh("alpha")  # type: ignore[arg-type]
    assert bench.row().due_why in {"retired", "debts"}
    live(bench, bench.clock.at + 40 * DAY, step=6 * HOUR)
    runs = bench.ledger.runs(credential=bench.row().definition.id, limit=100)
    assert not [one for one in runs if one.kind is RunKind.ROTATE and one.opened_at > run.opened_at]
    assert facts.current


def test_explain_says_what_was_tried_what_waits_and_what_to_do(bench: Bench) -> None:
    owing(bench)
    told = bench.service.explain_debts("alpha")
    (debt,) = told["items"]
    assert (debt["gen"], debt["home"]) == (1, HOME)
    assert any("prove g1" in one["says"] for one in debt["tried"])
    assert debt["waits"]
    assert "2 refusals" in debt["needs"]
    assert told["reconcile"] == instant(bench.clock.at + HOUR)
    assert "rotator debts accept alpha --gen 1 --home svc@api --until DATE --reason TEXT" in debt["commands"]
    accept(bench)
    told = bench.service.explain_debts("alpha")
    assert told["items"] == []
    assert told["accepted"][0]["by"] == ME.actor


def test_a_lapsed_acceptance_opens_a_reconcile_that_knows_nothing_of_it(bench: Bench) -> None:
    owing(bench)
    accept(bench, 1)
    bench.clock.move(DAY)
    bench.tick.open_due()
    run = bench.row().open_run
    assert run is not None
    assert isinstance(bench.events(run)[0], Opened)
    states = {gen: row.state for (gen, _), row in bench.row().facts.placements.items()}
    assert states[Gen(1)] is State.MAYBE
