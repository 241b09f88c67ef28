"""The runner on a real ledger: what is committed when, whatever dies, is late, is said twice or is said by another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rotator.engine.ports import Performed, RunId, Work
from rotator.engine.runner import Timing
from rotator.machine.events import Answered, AnswerKind, Asked, Finished, Intended, Outcome, Turned
from rotator.machine.facts import Ending, RunKind, State
from rotator.machine.holds import FOREVER, Limits
from rotator.machine.ids import Gen, Home
from rotator.machine.steps import READS, Answer, OutcomeKind, Probed, Staged, StepKind
from tests.unit.engine_bench import DAY, ME, Bench, credential

HOME = Home("api", "svc")


class Killed(BaseException):
    """The process died here."""


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def bench(**options: object) -> Bench:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Bench(folder, credential(**options)))  # type: ignore[arg-type]
        return made[-1]

    yield bench
    for one in made:
        one.close()


@pytest.fixture
def bench(make: Callable[..., Bench]) -> Bench:
    return make()


def test_a_whole_rotation_is_a_sequence_of_intents_and_their_outcomes(bench: Bench) -> None:
    bench.adopted()
    run = bench.rotate()
    assert bench.finish(run).ending is Ending.SUCCEEDED
    steps = [event for event in bench.events(run) if isinstance(event, Intended | Outcome)]
    assert len(steps) >= 18
    for intent, outcome in zip(steps[::2], steps[1::2], strict=True):
        assert isinstance(intent, Intended)
        assert isinstance(outcome, Outcome)
        assert intent.step == outcome.step


def test_the_intent_is_durable_before_the_effect_and_is_the_last_thing_in_the_journal(bench: Bench) -> None:
    bench.adopted()
    bench.finish(bench.rotate())
    assert len(bench.world.calls) > 10
    for call in bench.world.calls:
        last = call.journal[-1]
        assert isinstance(last, Intended)
        assert last.step == call.work.step == call.work.intent.step
        assert call.work.facts.intent == call.work.intent


def test_limits_are_asked_before_the_intent_and_with_the_same_now(bench: Bench) -> None:
    asked: list[tuple[int, int]] = []

    def limits(run: object, facts: object, now: int) -> Limits:
        asked.append((now, len(bench.world.calls)))
        return Limits()

    bench.limits_of = limits
    bench.adopted()
    assert [calls for _, calls in asked] == list(range(len(bench.world.calls)))
    assert [now for now, _ in asked] == [call.work.intent.at for call in bench.world.calls]


def test_one_now_a_decision_though_the_clock_goes_on(bench: Bench) -> None:
    """R7: the intent's instant, its deadline and its quiet time come from one reading."""
    bench.adopted()
    run = bench.rotate()
    still = bench.clock.now

    def moving() -> int:
        bench.clock.move(7)
        return still()

    bench.clock.now = moving  # type: ignore[method-assign]
    bench.finish(run)
    intents = {entry.at: entry.event for entry in bench.ledger.journal(RunId(run)) if isinstance(entry.event, Intended)}
    for at, event in intents.items():
        assert event.deadline == at + bench.timing.deadline
        landed = at if event.step.kind in READS else event.deadline + bench.timing.landing
        assert event.quiet_until == landed


def test_a_deadline_longer_than_the_lease_is_refused() -> None:
    with pytest.raises(ValueError, match="R15"):
        Timing(deadline=10, landing=1, lease=10)


def test_death_between_intent_and_outcome_is_looked_at_and_nothing_is_sent_again(bench: Bench) -> None:
    """R11: the issue or install may have landed; the next owner looks when it can no longer land."""
    bench.adopted()
    run = bench.rotate()

    def die(work: Work) -> None:
        raise Killed

    bench.world.script[StepKind.INSTALL] = die
    with pytest.raises(Killed):
        bench.work()
    died_at = bench.clock.at
    assert isinstance(bench.events(run)[-1], Intended)
    assert bench.ledger.claim_next(bench.clock.at, "w2", bench.clock.at + 9) is None, "the lease of the dead still runs"
    del bench.world.script[StepKind.INSTALL]
    bench.clock.move(bench.timing.lease)
    assert bench.finish(run).ending is Ending.SUCCEEDED
    assert len(bench.world.of(StepKind.INSTALL)) == 1
    lost = [e for e in bench.events(run) if isinstance(e, Outcome) and e.reason == "worker_lost"]
    assert [(one.step.kind, one.kind) for one in lost] == [(StepKind.INSTALL, OutcomeKind.UNKNOWN)]
    looked = next(call for call in bench.world.calls if call.at > died_at and call.work.step.home is not None)
    assert looked.work.step.kind in READS
    assert looked.at >= died_at + bench.timing.deadline + bench.timing.landing


def test_an_issue_whose_worker_died_is_sent_again_only_after_two_listings_without_it(
    make: Callable[..., Bench],
) -> None:
    bench = make(kind=("api", "issued"))
    bench.adopted()
    run = bench.rotate()

    def die(work: Work) -> None:
        raise Killed

    bench.world.script[StepKind.ISSUE] = die
    with pytest.raises(Killed):
        bench.work()
    died_at = bench.clock.at
    # Neither staged nor listed: it was lost on the way.
    bench.world.script = {StepKind.CHECK_STAGE: lambda work: Outcome(work.step, OutcomeKind.DONE, Staged(False))}
    bench.clock.move(bench.timing.lease)
    assert bench.finish(run).ending is Ending.SUCCEEDED
    first, again = bench.world.of(StepKind.ISSUE)
    looks = [call for call in bench.world.of(StepKind.FIND) if first.at <= call.at <= again.at]
    assert len(looks) == 2
    assert looks[0].at >= died_at + bench.timing.deadline + bench.timing.landing
    assert again.work.step.gen is not None
    assert again.work.intent.label == again.work.facts.labels[again.work.step.gen]


def test_labels_are_reserved_before_the_first_write_and_never_used_again(make: Callable[..., Bench]) -> None:
    """R13, R18: also over runs and a reopened ledger."""
    bench = make(kind=("db", "password"), principals=("a", "b"))
    bench.adopted()
    for _ in range(2):
        bench.finish(bench.rotate())
    made = [call for call in bench.world.calls if call.work.intent.label is not None]
    labels = [call.work.intent.label for call in made]
    assert len(set(labels)) == len(labels) == 4  # two values, two fillers
    for call in made:
        assert call.work.step.gen is not None
        assert call.work.facts.labels[call.work.step.gen] == call.work.intent.label
        serial = int(str(call.work.intent.label).rpartition("-")[2])
        assert str(call.work.intent.label) == f"rot-acme-{serial}"
        assert bench.ledger.serials(1) > serial


@pytest.mark.parametrize("kind", [StepKind.ISSUE, StepKind.STAGE])
@pytest.mark.parametrize("before", [OutcomeKind.UNSENT, OutcomeKind.FAILED])
def test_a_making_that_is_sent_again_goes_out_under_the_label_that_the_facts_know(
    make: Callable[..., Bench], kind: StepKind, before: OutcomeKind
) -> None:
    """By any other label a value whose answer is lost would never be found: a live secret unknown to the ledger."""
    bench = make(kind=("api", "issued" if kind is StepKind.ISSUE else "key"))
    bench.adopted()
    run = bench.rotate()
    bench.world.script[StepKind.CHECK_STAGE] = lambda w: Outcome(w.step, OutcomeKind.DONE, Staged(False))
    bench.world.script[kind] = lambda work: (
        before if len(bench.world.of(kind)) <= 2 + (kind is StepKind.STAGE) else None
    )
    bench.finish(run)
    made = [call for call in bench.world.of(kind) if not call.work.step.from_current]
    assert len(made) >= 2
    for call in made:
        assert call.work.step.gen is not None
        assert call.work.intent.label == call.work.facts.labels[call.work.step.gen]


def test_a_lost_lease_stops_silently_and_commits_nothing(bench: Bench) -> None:
    bench.adopted()
    run = bench.rotate()

    def taken(work: Work) -> None:
        """While this worker is in the effect, its lease ends and another takes the run."""
        bench.clock.move(bench.timing.lease + 1)
        assert bench.ledger.claim(RunId(run), bench.clock.at, "w2", bench.clock.at + 10_000) is not None

    bench.world.script[StepKind.INSTALL] = taken
    bench.tick.hand_out()
    bench.runner.work(bench.claims.pop())
    last = bench.events(run)[-1]
    assert isinstance(last, Intended)
    assert last.step.kind is StepKind.INSTALL
    assert len(bench.world.of(StepKind.INSTALL)) == 1


def test_a_claim_of_an_ended_run_does_nothing(bench: Bench) -> None:
    bench.adopted()
    run = bench.rotate()
    bench.finish(run)
    calls = len(bench.world.calls)
    bench.runner.work(bench.worked[-1])
    assert len(bench.world.calls) == calls


def test_unsent_leaves_the_facts_as_they_were(bench: Bench) -> None:
    bench.adopted()
    run = bench.rotate()
    bench.world.script[StepKind.INSTALL] = lambda work: OutcomeKind.UNSENT
    bench.work()
    facts = bench.row().facts
    assert facts.placed(Gen(2), HOME) is None
    assert facts.intent is None
    assert bench.run(run).held_why == "ripe"


def test_a_clock_set_back_moves_no_event_before_another(bench: Bench) -> None:
    bench.adopted()
    run = bench.rotate()
    bench.world.script[StepKind.INSTALL] = lambda work: bench.clock.move(-DAY)
    row = bench.finish(run)
    assert row.ending is Ending.SUCCEEDED
    instants = [entry.at for entry in bench.ledger.journal(RunId(run))]
    assert instants == sorted(instants)


def test_stopping_drains_between_two_steps_and_the_run_goes_on_at_once(bench: Bench) -> None:
    bench.adopted()
    run = bench.rotate()

    def stop(work: Work) -> None:
        bench.stopping = True

    bench.world.script[StepKind.STAGE] = stop
    bench.tick.hand_out()
    bench.runner.work(bench.claims.pop())
    last = bench.events(run)[-1]
    assert isinstance(last, Outcome)
    assert last.step.kind is StepKind.STAGE
    row = bench.run(run)
    assert (row.owner, row.wake_at) == ("", bench.clock.at)
    bench.stopping = False
    assert bench.finish(run).ending is Ending.SUCCEEDED


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        (Limits(paused_until=FOREVER), "paused"),
        (Limits(frozen_until=FOREVER), "frozen"),
        (Limits(window_opens=FOREVER), "outside_window"),
        (Limits(brake_until=FOREVER), "brake"),
        (Limits(approval_until=FOREVER), "approval"),
        (Limits(breaker_until=FOREVER), "breaker"),
        (Limits(rate_until=FOREVER), "rate"),
        (Limits(probes_until=FOREVER), "probe_budget"),
    ],
)
def test_what_holds_a_step_is_recorded_and_nothing_is_written(bench: Bench, limits: Limits, why: str) -> None:
    bench.adopted()
    bench.limits_of = lambda run, facts, now: limits
    run = bench.rotate()
    before = len(bench.world.calls)
    bench.work()
    row = bench.run(run)
    assert (row.held_why, row.wake_at, row.ended_at) == (why, FOREVER, None)
    assert all(call.work.step.kind in READS for call in bench.world.calls[before:])
    bench.limits_of = lambda run, facts, now: Limits()
    bench.ledger.wake(RunId(run), bench.clock.at)
    assert bench.finish(run).ending is Ending.SUCCEEDED


def test_a_question_is_asked_once_and_waits_for_a_person_only(bench: Bench) -> None:
    bench.adopted()
    run = bench.rotate()
    bench.world.script[StepKind.VERIFY] = lambda work: OutcomeKind.MISCONFIGURED
    row = bench.finish(run)
    assert (row.wake_at, row.held_why, row.ended_at) == (None, "waiting_for_you", None)
    bench.ledger.wake(RunId(run), bench.clock.at)
    bench.work()
    assert sum(isinstance(event, Asked) for event in bench.events(run)) == 1


def test_fingerprints_are_in_the_ledger_with_the_outcome_that_showed_them(bench: Bench) -> None:
    bench.adopted()
    bench.finish(bench.rotate())
    assert bench.ledger.fingerprints(bench.row().definition.id) == {1: "fp-alpha-1", 2: "fp-alpha-2"}


def test_another_fingerprint_of_a_generation_does_not_stop_the_run(bench: Bench) -> None:
    """The journal has both; a worker that raised here would leave the run to its lease at every step."""
    bench.adopted()
    run = bench.rotate()

    def other(work: Work) -> Performed:
        from rotator.engine.ports import Observed

        outcome = Outcome(work.step, OutcomeKind.DONE, Probed(Answer.ALIVE))
        return Performed(outcome, Observed(gen=work.step.gen, fingerprint="fp-other"))

    bench.world.script[StepKind.VERIFY] = other
    assert bench.finish(run).ending is Ending.SUCCEEDED
    assert bench.ledger.fingerprints(bench.row().definition.id)[Gen(1)] == "fp-alpha-1"


def test_an_abandoned_run_ends_at_once_with_its_question(bench: Bench) -> None:
    bench.adopted()
    run = bench.rotate()
    bench.world.script[StepKind.VERIFY] = lambda work: OutcomeKind.MISCONFIGURED
    bench.finish(run)
    bench.service.answer(ME, run, "abandon", about={}, reason="enough")
    row = bench.run(run)
    assert (row.ending, row.owner) == (Ending.ABANDONED, "")
    assert [type(event) for event in bench.events(run)[-2:]] == [Answered, Finished]
    assert bench.row().open_run is None
    bench.world.script.clear()
    assert bench.finish(bench.rotate()).ending is Ending.SUCCEEDED


def test_facts_that_an_answer_ended_end_the_run_of_an_older_ledger_too(bench: Bench) -> None:
    """A ledger in which only the answer was recorded: the runner writes the end that is missing."""
    from rotator.machine.evolve import evolve

    bench.adopted()
    run = bench.rotate()
    claim = bench.ledger.claim(RunId(run), bench.clock.at, "w1", bench.clock.at + 5_000)
    assert claim is not None
    answer = Answered(AnswerKind.ABANDON)
    facts = evolve(bench.run(run).plan, bench.row().facts, answer, bench.clock.at)
    bench.ledger.append(claim, [answer], facts, bench.clock.at)
    bench.runner.work(claim)
    assert bench.run(run).ending is Ending.ABANDONED
    assert bench.row().open_run is None


def test_a_refused_install_goes_back_and_says_so(make: Callable[..., Bench]) -> None:
    bench = make(consumer=True)
    bench.adopted()
    run = bench.rotate()
    bench.world.script[StepKind.INSTALL] = lambda work: OutcomeKind.REFUSED if work.step.gen == 2 else None
    row = bench.finish(run)
    assert row.ending is Ending.ROLLED_BACK
    assert "install_refused" in [event.why for event in bench.events(run) if isinstance(event, Turned)]
    assert bench.world.current.get("alpha", Gen(1)) == 1
    assert bench.row().facts.state(Gen(1), HOME) is State.ALIVE


def test_what_cannot_be_proven_dead_ends_owing_and_stays_a_debt(bench: Bench) -> None:
    """Try to lose a debt: it is in the ledger until a reconcile has proven it."""
    bench.adopted()
    run = bench.rotate()
    bench.world.script[StepKind.PROVE] = lambda w: Outcome(w.step, OutcomeKind.DONE, Probed(Answer.INCONCLUSIVE), "t_o")
    assert bench.finish(run).ending is Ending.OWED
    assert [(debt.gen, debt.home) for debt in bench.ledger.debts()] == [(1, HOME)]
    row = bench.row()
    assert (row.due_why, row.open_run) == ("debts", None)
    bench.world.script.clear()
    bench.clock.move(3_600_000)
    assert bench.tick.open_due() == 1
    opened = bench.ledger.runs(open_only=True)[0]
    assert opened.kind is RunKind.RECONCILE
    assert bench.finish(opened.id).ending is Ending.SUCCEEDED
    assert list(bench.ledger.debts()) == []
    assert bench.row().due_why == "policy"
