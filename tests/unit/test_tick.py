"""The tick: what opens a run and what does not, what starves nobody, and what a death between two writes leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rotator.engine.calendar import Schedule, Window
from rotator.engine.inventory import CredentialId, Pause
from rotator.engine.opening import Order
from rotator.engine.ports import RunId, RunRow
from rotator.engine.requests import RequestRefused, Selection
from rotator.engine.tick import TickRules
from rotator.machine.events import Answered, AnswerKind, Finished, Outcome
from rotator.machine.facts import Ending, RunKind
from rotator.machine.ids import Gen
from rotator.machine.steps import Answer, OutcomeKind, Probed, StepKind
from tests.unit.engine_bench import DAY, ME, T0, Bench, credential, policy

HOUR = 3_600_000
ALPHA = CredentialId("alpha")


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def bench(*definitions: object, rules: TickRules | None = None) -> Bench:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Bench(folder, *(definitions or (credential(),)), rules=rules))  # type: ignore[arg-type]
        return made[-1]

    yield bench
    for one in made:
        one.close()


@pytest.fixture
def bench(make: Callable[..., Bench]) -> Bench:
    found = make()
    found.adopted()
    return found


def newest(bench: Bench, name: str = "alpha") -> RunRow:
    return bench.ledger.runs(credential=CredentialId(name), limit=1)[0]


def in_debt(bench: Bench) -> None:
    """A rotation that ended owing."""
    bench.world.script[StepKind.PROVE] = lambda w: Outcome(w.step, OutcomeKind.DONE, Probed(Answer.INCONCLUSIVE), "t_o")
    assert bench.finish(bench.rotate()).ending is Ending.OWED


def test_what_is_due_is_opened_by_the_scheduler(bench: Bench) -> None:
    bench.clock.move(30 * DAY - 1)
    assert bench.tick.open_due() == 0
    bench.clock.move(1)
    assert bench.tick.open_due() == 1
    run = newest(bench)
    assert (run.kind, run.actor, run.reason) == (RunKind.ROTATE, "scheduler", "due")
    assert bench.tick.open_due() == 0, "it is open: not once more"


def test_null_is_never_due(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.clock.move(1000 * DAY)
    assert bench.row().next_due_at is None
    assert bench.tick.open_due() == 0
    bench.ledger.set_due([(ALPHA, 1, "by_mistake")])
    assert bench.tick.open_due() == 0, "not adopted: never opened, whatever its row says"


def test_a_migrated_due_time_in_the_past_asks_the_policy_first(bench: Bench) -> None:
    bench.ledger.set_due([(ALPHA, 1, "migrated")])
    assert bench.tick.open_due() == 0
    assert (bench.row().next_due_at, bench.row().due_why) == (T0 + 30 * DAY, "not_due")


@pytest.mark.parametrize("kind", ["adopt", "rotate"])
def test_death_between_the_end_of_a_run_and_its_due_time_loses_no_rotation(
    make: Callable[..., Bench], kind: str
) -> None:
    """Try to lose a credential: its row says "due" until the calendar has been asked."""
    bench = make()
    if kind == "rotate":
        bench.adopted()
    bench.tick.refresh = lambda *names: None  # type: ignore[method-assign]
    run = (
        bench.rotate()
        if kind == "rotate"
        else bench.service.adopt(ME, ["alpha"], source="", reason="")["runs"][0]["id"]
    )
    assert bench.finish(run).ending is Ending.SUCCEEDED
    del bench.tick.refresh
    assert bench.tick.open_due() == 0
    assert bench.row().next_due_at == (bench.row().last_success_at or bench.row().adopted_at or 0) + 30 * DAY


def test_a_failed_rotation_is_not_tried_again_at_once(bench: Bench) -> None:
    bench.clock.move(30 * DAY)
    bench.world.script[StepKind.INSTALL] = lambda work: OutcomeKind.REFUSED if work.step.gen == 2 else None
    assert bench.tick.open_due() == 1
    ended = bench.finish(newest(bench).id)
    assert (ended.ending, ended.ended_at) == (Ending.ROLLED_BACK, bench.clock.at)
    assert bench.tick.open_due() == 0
    assert (bench.row().next_due_at, bench.row().due_why) == (bench.clock.at + HOUR, "after_a_failed_run")
    bench.clock.move(HOUR)
    assert bench.tick.open_due() == 1


def test_a_few_due_are_no_mass(make: Callable[..., Bench]) -> None:
    bench = make(credential("a"), credential("b"))
    bench.adopted("a")
    bench.adopted("b")
    bench.clock.move(31 * DAY)
    assert bench.tick.open_due() == 2


def test_a_batch_bounds_one_tick_and_leaves_the_rest_for_the_next(make: Callable[..., Bench]) -> None:
    names = [f"c{n}" for n in range(5)]
    bench = make(*(credential(name) for name in names), rules=TickRules(batch=2))
    for name in names:
        bench.adopted(name)
    bench.clock.move(31 * DAY)
    assert [bench.tick.open_due() for _ in range(4)] == [2, 2, 1, 0]


def test_those_that_are_not_opened_do_not_keep_the_others_from_it(make: Callable[..., Bench]) -> None:
    """A batch of paused ones at the head of the queue."""
    names = [f"c{n}" for n in range(5)]
    bench = make(*(credential(name) for name in names), rules=TickRules(batch=2))
    for name in names:
        bench.adopted(name)
    for name in names[:4]:
        bench.ledger.pause(CredentialId(name), Pause("ann", "holiday"))
    bench.clock.move(31 * DAY)
    assert sum(bench.tick.open_due() for _ in range(3)) == 1
    assert newest(bench, "c4").kind is RunKind.ROTATE
    assert {bench.row(name).due_why for name in names[:4]} == {"paused"}


def test_a_lifted_pause_makes_it_due_at_once(bench: Bench) -> None:
    bench.ledger.pause(ALPHA, Pause("ann", "holiday", T0 + 300 * DAY))
    bench.clock.move(31 * DAY)
    assert bench.tick.open_due() == 0
    assert bench.row().next_due_at == T0 + 300 * DAY
    bench.service.resume(ME, Selection(ids=("alpha",)), reason="back")
    assert bench.tick.open_due() == 1


def test_a_pause_that_is_over_does_not_hide_the_configured_one(make: Callable[..., Bench]) -> None:
    bench = make(credential(pause=Pause("ops", "freeze of the year", T0 + 100 * DAY)))
    bench.adopted()
    bench.ledger.pause(ALPHA, Pause("ann", "lunch", T0 + 1))
    bench.clock.move(31 * DAY)
    assert bench.tick.open_due() == 0
    assert (bench.row().due_why, bench.row().next_due_at) == ("paused", T0 + 100 * DAY)


def test_a_closed_window_waits_for_its_opening(make: Callable[..., Bench]) -> None:
    bench = make(credential(window=Window(60, 120, "UTC")))
    bench.adopted()
    opens = bench.row().next_due_at
    assert opens is not None
    bench.clock.at = opens + 2 * HOUR
    assert bench.tick.open_due() == 0
    assert bench.row().due_why == "outside_window"
    assert bench.row().next_due_at == opens + DAY
    bench.clock.at = opens + DAY
    assert bench.tick.open_due() == 1


def test_observing_opens_nothing_and_works_nothing(bench: Bench) -> None:
    """The facts of a restored ledger are older than the world: an open run would send again what was sent."""
    run = bench.rotate()
    bench.clock.move(60 * DAY)
    bench.observe = True
    bench.claims.clear()
    calls = len(bench.world.calls)
    bench.tick()
    bench.tick.wake()
    assert bench.claims == []
    with pytest.raises(RequestRefused, match="older than the store"):
        bench.service.rotate(ME, Selection(ids=("alpha",)), reason="", ticket="")
    with pytest.raises(RequestRefused, match="older than the store"):
        bench.service.answer(ME, run, "abandon", about={}, reason="")
    assert (len(bench.world.calls), bench.run(run).ended_at) == (calls, None)
    assert bench.service.explain("alpha")["verdict"] == "run_open"


def test_an_endpoint_that_is_not_configured_is_said_and_tried_again_later(bench: Bench) -> None:
    bench.clock.move(31 * DAY)
    bench.kinds.clear()
    assert bench.tick.open_due() == 0
    assert (bench.row().due_why, bench.row().next_due_at) == ("unknown_endpoint", bench.clock.at + HOUR)


def test_one_credential_with_a_bug_does_not_keep_the_others_from_being_opened(make: Callable[..., Bench]) -> None:
    bad = replace(credential("a"), policy=policy(schedule=Schedule(cron="no cron")))
    bench = make(credential("a"), credential("b"))
    bench.adopted("a")
    bench.adopted("b")
    bench.ledger.accept([bad, credential("b")], {}, T0)
    bench.clock.move(31 * DAY)
    assert bench.tick.open_due() == 1
    assert bench.row("b").open_run is not None
    assert (bench.row("a").due_why, bench.row("a").next_due_at) == ("bug", bench.clock.at + HOUR)


def test_a_retired_credential_leaves_the_queue(bench: Bench) -> None:
    done = bench.service.retire(ME, "flow", apply=True, reason="off", ticket="")
    assert bench.finish(done["runs"][0]["id"]).ending is Ending.SUCCEEDED
    bench.ledger.set_due([(ALPHA, 1, "stale")])
    assert bench.tick.open_due() == 0
    assert (bench.row().next_due_at, bench.row().due_why) == (None, "retired")


def test_an_unmanaged_credential_is_never_opened(bench: Bench) -> None:
    bench.ledger.accept([], {}, T0)
    bench.clock.move(100 * DAY)
    assert bench.tick.open_due() == 0
    bench.tick.refresh(ALPHA)
    assert bench.row().due_why == "unmanaged"


# -- debts ---------------------------------------------------------------------------------------------------------


def test_debts_open_a_reconcile(bench: Bench) -> None:
    in_debt(bench)
    bench.clock.move(HOUR - 1)
    assert bench.tick.open_due() == 0
    bench.clock.move(1)
    assert bench.tick.open_due() == 1
    assert (newest(bench).kind, newest(bench).reason) == (RunKind.RECONCILE, "debts")


def test_a_reconcile_that_is_open_gives_way_when_the_rotation_falls_due(bench: Bench) -> None:
    in_debt(bench)
    bench.clock.move(HOUR)
    bench.tick.open_due()
    reconcile = newest(bench)
    bench.world.script[StepKind.VERIFY] = lambda work: OutcomeKind.MISCONFIGURED
    assert bench.finish(reconcile.id).held_why == "waiting_for_you"
    assert bench.tick.open_due() == 0
    bench.world.script.clear()
    bench.clock.move(31 * DAY)
    assert bench.tick.open_due() == 1
    ended = bench.run(reconcile.id)
    assert ended.ending is Ending.ABANDONED
    actor = bench.ledger.journal(reconcile.id)[-1].actor
    assert actor.startswith("scheduler: ")
    assert [type(event) for event in bench.events(reconcile.id)[-2:]] == [Answered, Finished]
    rotation = newest(bench)
    assert (rotation.kind, rotation.reason) == (RunKind.ROTATE, "due")
    assert bench.finish(rotation.id).ending is Ending.SUCCEEDED
    assert list(bench.ledger.debts()) == [], "what the reconcile left is proven by the rotation"


def test_it_gives_way_also_after_a_restart(bench: Bench) -> None:
    in_debt(bench)
    bench.clock.move(HOUR)
    bench.tick.open_due()
    bench.tick._reconciling = None
    bench.clock.move(31 * DAY)
    assert bench.tick.open_due() == 1
    assert newest(bench).kind is RunKind.ROTATE


def test_it_does_not_give_way_in_the_middle_of_a_step(bench: Bench) -> None:
    in_debt(bench)
    bench.clock.move(HOUR)
    bench.tick.open_due()
    reconcile = newest(bench)
    bench.clock.move(31 * DAY)
    claim = bench.ledger.claim(RunId(reconcile.id), bench.clock.at, "w2", bench.clock.at + 5_000)
    assert claim is not None
    assert bench.tick.open_due() == 0
    assert bench.run(reconcile.id).ended_at is None
    bench.ledger.release(claim, bench.clock.at, "")
    bench.clock.move(TickRules().again)
    assert bench.tick.open_due() == 1
    assert bench.run(reconcile.id).ending is Ending.ABANDONED


def test_a_persons_rotation_waits_for_the_reconciles_step_and_takes_its_place(bench: Bench) -> None:
    in_debt(bench)
    bench.clock.move(HOUR)
    bench.tick.open_due()
    reconcile = newest(bench)
    claim = bench.ledger.claim(RunId(reconcile.id), bench.clock.at, "w2", bench.clock.at + 900_000)
    assert claim is not None
    asleep = bench.clock.sleep

    def over(seconds: float) -> None:
        asleep(seconds)
        if bench.clock.ran > 1:
            bench.ledger.release(claim, bench.clock.at, "")

    bench.clock.ran = 0.0
    bench.clock.sleep = over  # type: ignore[method-assign]
    run = bench.rotate()
    assert bench.run(reconcile.id).ending is Ending.ABANDONED
    assert bench.run(run).kind is RunKind.ROTATE


def test_a_reconcile_never_takes_the_place_of_another_run(bench: Bench) -> None:
    from rotator.engine.ports import RunOpen

    run = bench.rotate()
    for kind in (RunKind.RECONCILE, RunKind.ROTATE):
        with pytest.raises(RunOpen):
            bench.opener.open(ALPHA, Order(kind, "scheduler", "x"))
    assert bench.run(run).ended_at is None


def test_facts_that_another_run_changed_meanwhile_are_read_anew(bench: Bench) -> None:
    """Try to lose a debt: a run that opens over facts of before the other run would overwrite what it learnt."""
    plan = bench.opener._plan
    done: list[str] = []

    def between(definition: object, kind: RunKind) -> object:
        found = plan(definition, kind)  # type: ignore[arg-type]
        if not done:
            done.append("x")
            bench.opener._plan = plan
            in_debt(bench)
        return found

    bench.opener._plan = between  # type: ignore[assignment]
    bench.opener.open(ALPHA, Order(RunKind.ROTATE, "ann", "x"))
    assert bench.row().facts.top == 2
    assert [debt.gen for debt in bench.ledger.debts()] == [Gen(1)]


def test_a_ledger_that_does_not_answer_is_tried_at_the_next_tick(bench: Bench) -> None:
    bench.close()
    bench.tick()
    bench.tick.wake()


def test_abandoning_a_reconcile_does_not_push_the_rotation_back(bench: Bench) -> None:
    in_debt(bench)
    bench.clock.move(HOUR)
    bench.tick.open_due()
    due = bench.ledger.runs(credential=ALPHA, limit=2)[1].ended_at
    assert due is not None
    bench.service.answer(ME, newest(bench).id, AnswerKind.ABANDON.value, about={}, reason="x")
    bench.ledger.set_due([(ALPHA, None, "")])
    bench.tick.refresh(ALPHA)
    # Debts come first, then the policy's time, which the abandoned reconcile has not moved.
    assert bench.row().due_why == "debts"
    assert bench.tick.schedule(bench.row(), bench.clock.at).rotate_at == due + 30 * DAY
