"""What enumeration cannot miss because every way is safe: outcomes told apart, repeats counted, ends called by name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rotator.machine.decide import decide
from rotator.machine.decisions import Ask, Finish
from rotator.machine.events import AnswerKind, Intended, Outcome
from rotator.machine.evolve import evolve
from rotator.machine.facts import Attempts, Ending, LegName, Placement, State, Topic
from rotator.machine.ids import Gen, Home
from rotator.machine.policy import patience_is_out
from rotator.machine.reading import effort_of
from rotator.machine.ripe import ripe
from rotator.machine.steps import Answer, Grade, OutcomeKind, Probed, Step, StepKind
from tests.model.configurations import AGAIN, C, X, alternating, issuing, make, overlap
from tests.model.story import Story

HOME = Home("a", "p")
O = make("o", overlap())  # noqa: E741 - the study's name for it


def test_unsent_gives_the_facts_back_and_failed_does_not() -> None:
    """Our transport never connected: our own knowledge, no lie is possible."""
    before = Story(O, "opened", "stage 2: done")
    step = Step(StepKind.INSTALL, Gen(2), HOME)
    plan = before.config.plan
    opened = evolve(plan, before.facts, Intended(step, 0, 0, 1), 0)
    assert opened.state(Gen(2), HOME) is State.MAYBE
    unsent = evolve(plan, opened, Outcome(step, OutcomeKind.UNSENT), 0)
    assert unsent.placements == before.facts.placements
    failed = evolve(plan, opened, Outcome(step, OutcomeKind.FAILED), 0)
    assert failed.state(Gen(2), HOME) is State.MAYBE


def test_a_value_that_is_alive_after_every_kill_is_killed_twice_in_a_run() -> None:
    """One repeat; then an advance ends owing, and a retirement asks."""
    for config, leg in ((O, LegName.ADVANCE), (make("x", overlap(), runs=(X,)), LegName.RETIRE)):
        story = Story(config, "opened")
        kills = 0
        while not isinstance(decision := decide(config.plan, story.facts, 0), Finish | Ask):
            kill = f"revoke 1 {HOME}: revoke is cached"
            cached = [edge for edge in story.edges() if edge.name == kill]
            kills += bool(cached)
            story.state = cached[0].after if cached else story._honest(story.edges(), "the end")
        assert kills == 2, leg
        if leg is LegName.ADVANCE:
            assert decision == Finish(Ending.OWED)
        else:
            assert isinstance(decision, Ask)
            assert decision.question.detail == "alive_after_repeat"


def test_one_absent_listing_proves_nothing() -> None:
    """R20."""
    story = Story(make("i", issuing()), "opened", "issue 2 p@a: issued, not staged, list lags", "find 2 p@a: done")
    row = story.facts.placements[Gen(2), HOME]
    assert (row.state, row.absent) == (State.MAYBE, 1)


def test_an_alive_answer_in_a_proof_takes_the_rejections_back() -> None:
    """Rejected, then alive, is not proven by one rejection more."""
    clocks = replace(O.plan.clocks, times=2)
    story = Story(make("o", overlap(), clocks=clocks), "opened", "prove 1 p@a: rejected")
    assert story.facts.placements[Gen(1), HOME].rejections == 1
    step = Step(StepKind.PROVE, Gen(1), HOME)
    plan = story.config.plan
    facts = evolve(plan, story.facts, Intended(step, 0, 0, 1), 0)
    facts = evolve(plan, facts, Outcome(step, OutcomeKind.DONE, Probed(Answer.ALIVE)), 0)
    row = facts.placements[Gen(1), HOME]
    assert (row.state, row.rejections, row.first) == (State.LINGERS, 0, None)


def test_giving_up_ends_contained_and_going_back_ends_rolled_back() -> None:
    story = Story(make("c", overlap(), runs=(C,)), "opened").says(AnswerKind.GIVE_UP).to_the_end()
    assert story.facts.ending is Ending.CONTAINED
    story = Story(make("x", alternating()), "opened", "install 2").says(AnswerKind.GO_BACK).to_the_end()
    assert story.facts.ending is Ending.ROLLED_BACK


def test_a_misconfigured_step_asks_and_never_turns() -> None:
    story = Story(O, "opened", "stage 2: done")
    step = Step(StepKind.INSTALL, Gen(2), HOME)
    plan = story.config.plan
    facts = evolve(plan, story.facts, Intended(step, 0, 0, 1), 0)
    facts = evolve(plan, facts, Outcome(step, OutcomeKind.MISCONFIGURED, reason="no_right"), 0)
    decision = decide(plan, facts, 0)
    assert isinstance(decision, Ask)
    assert decision.question.topic is Topic.MISCONFIGURED


def test_contain_and_retire_doom_all_there_is_when_they_open() -> None:
    """Whatever becomes of the run: what was called leaked or retired is never a target again."""
    for kind in (C, X):
        story = Story(make("d", overlap(), runs=(kind,), debt=True), "opened")
        assert story.facts.doomed == {Gen(1), Gen(2)}
    assert Story(O, "opened").facts.doomed == frozenset()


def test_there_is_no_way_back_to_what_was_called_leaked() -> None:
    """A reconcile after an abandoned containment asks: the leaked value may be dying, and is no target."""
    story = Story(make("c", overlap(), runs=(C, AGAIN), consumers=0), "opened", "stage 2")
    story.says(AnswerKind.ABANDON).until("opened").to_the_end()
    assert story.facts.question is not None
    assert story.facts.question.topic is Topic.NO_WAY_BACK
    assert story.alive() == {1}


def test_k11_a_reconcile_of_an_issued_value_cannot_be_gone_on_from() -> None:
    """An issued candidate needs no stage to go on with: only where the return came from says no."""
    story = Story(make("i", issuing(), runs=(AGAIN,)), "opened", "turn return")
    assert not story.may(AnswerKind.GO_ON)
    story = Story(make("i", issuing()), "opened", "issue 2 p@a: done").says(AnswerKind.GO_BACK)
    assert story.may(AnswerKind.GO_ON)


@pytest.mark.parametrize(
    ("n", "since", "out"), [(1, 0, False), (2, 0, False), (1, 9, False), (2, 8, False), (2, 9, True)]
)
@pytest.mark.parametrize("kind", [StepKind.INSTALL, StepKind.REVOKE])
def test_k5_patience_is_out_when_number_and_span_are(kind: StepKind, n: int, since: int, out: bool) -> None:
    clocks = replace(O.plan.clocks, patience_span=9, kill_patience_span=9)
    story = Story(make("o", overlap(), clocks=clocks), "opened", "stage 2: done")
    step = Step(kind, Gen(2), HOME)
    tried = Attempts(n, 0, 0, 0)
    facts = story.facts.but(attempts=story.facts.attempts.put(effort_of(story.facts, step), tried))
    assert patience_is_out(story.config.plan, facts, step, since) is out
    refused = facts.but(attempts=facts.attempts.put(effort_of(facts, step), replace(tried, refused="no")))
    assert patience_is_out(story.config.plan, refused, step, 0)


def test_the_patience_with_kills_may_be_longer_than_the_other_and_still_ends() -> None:
    clocks = replace(O.plan.clocks, patience=2, kill_patience=4)
    story = Story(make("o", overlap(), clocks=clocks), "opened", "push 2 c2: done")
    plan, facts, step = story.config.plan, story.facts, Step(StepKind.REVOKE, Gen(1), HOME)
    for n in range(4):
        assert not patience_is_out(plan, facts, step, 0), n
        facts = evolve(plan, evolve(plan, facts, Intended(step, 0, 0, 1), 0), Outcome(step, OutcomeKind.FAILED), 0)
    assert patience_is_out(plan, facts, step, 0)


@pytest.mark.parametrize(
    ("grade", "counted"), [(Grade.SUCCESSOR, 1), (Grade.NEUTRAL, 1), (Grade.WITNESS, 0), (None, 0)]
)
def test_a_rejection_under_a_weaker_control_than_the_policy_asks_for_is_no_proof(
    grade: Grade | None, counted: int
) -> None:
    clocks = replace(O.plan.clocks, times=2)
    story = Story(make("o", overlap(), clocks=clocks), "opened", "revoke 1 p@a: done")
    step, plan = Step(StepKind.PROVE, Gen(1), HOME), story.config.plan
    facts = evolve(plan, story.facts, Intended(step, 0, 0, 1), 0)
    facts = evolve(plan, facts, Outcome(step, OutcomeKind.DONE, Probed(Answer.REJECTED, grade)), 0)
    row = facts.placements[Gen(1), HOME]
    assert (row.rejections, row.grade) == (counted, grade if counted else None)
    assert bool(facts.attempts) is not bool(counted)


def test_a_value_found_again_is_listed_twice_more_before_it_counts_as_absent() -> None:
    """R20."""
    told = ("opened", "issue 2 p@a: issued, not staged, list lags", "find 2 p@a: done", "find 2 p@a: done")
    story = Story(make("i", issuing()), *told)
    row = story.facts.placements[Gen(2), HOME]
    assert (row.state, row.absent) == (State.MAYBE, 0)
    assert story.facts.handles[Gen(2), HOME] == "h2.0"
    assert Gen(2) in story.facts.doomed


def test_r20_a_search_for_what_is_gone_waits_until_its_death_has_settled() -> None:
    clocks = replace(O.plan.clocks, settle=5)
    config = make("i", issuing(), clocks=clocks)
    story = Story(config, "opened", "issue 2 p@a: done")
    step = Step(StepKind.FIND, Gen(2), HOME)
    rows = story.facts.placements
    gone = story.facts.but(placements=rows.put((Gen(2), HOME), Placement(State.GONE, gone_at=3)))
    assert ripe(config.plan, gone, step) == 8
    seen = story.facts.but(placements=rows.put((Gen(2), HOME), Placement(State.MAYBE, absent=1, absent_at=4)))
    assert ripe(config.plan, seen, step) == 9
