"""What enumeration cannot miss because every way is safe: outcomes told apart, repeats counted, ends called by name."""

from __future__ import annotations

from dataclasses import replace

from rotator.machine.decide import decide
from rotator.machine.decisions import Ask, Finish
from rotator.machine.events import Intended, Outcome
from rotator.machine.evolve import evolve
from rotator.machine.facts import Ending, LegName, State, Topic
from rotator.machine.ids import Gen, Home
from rotator.machine.steps import Answer, OutcomeKind, Probed, Step, StepKind
from tests.model.configurations import C, X, alternating, issuing, make, overlap
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
        for _ in range(60):
            decision = decide(config.plan, story.facts, 0)
            if isinstance(decision, Finish | Ask):
                break
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
    from rotator.machine.events import AnswerKind

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
