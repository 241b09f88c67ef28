"""A value that the platform's rules refuse is followed by another in the same run (ADR 0020), by expectation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rotator.machine.events import AnswerKind, Intended, Outcome
from rotator.machine.evolve import evolve
from rotator.machine.facts import Ending, LegName, State, Topic
from rotator.machine.ids import Gen, Home
from rotator.machine.reading import leg_of, run_of
from rotator.machine.steps import OutcomeKind, Step, StepKind
from tests.model.configurations import C, Configuration, X, alternating, in_place, make, overlap
from tests.model.story import Story

HOME = Home("a", "p")
BY_RULE = "p@a: refused by rule"


def by_rule(config: Configuration, values: int = 3) -> Configuration:
    return replace(config, plan=replace(config.plan, values=values), rules=True)


@pytest.mark.parametrize("shape", [overlap(), in_place(), in_place(settable=False)])
@pytest.mark.parametrize("lie", ["", ", though done"])
def test_another_value_is_made_and_the_refused_one_is_proven_dead(shape, lie) -> None:
    story = Story(by_rule(make("x", shape)), "opened", f"install 2 {BY_RULE}{lie}").to_the_end()
    assert story.facts.ending is Ending.SUCCEEDED
    assert story.alive() == {3}
    assert story.facts.state(Gen(2), HOME) is State.DEAD
    assert run_of(story.facts).unfit == 1


def test_after_the_last_value_that_may_be_refused_it_goes_back() -> None:
    story = Story(by_rule(make("o", overlap())), "opened", *(f"install {n} {BY_RULE}" for n in (2, 3, 4))).to_the_end()
    assert story.facts.ending is Ending.ROLLED_BACK
    assert story.facts.top == 4
    assert story.alive() == {1}


def test_one_value_that_may_be_refused_is_the_first() -> None:
    story = Story(by_rule(make("o", overlap()), values=1), "opened", f"install 2 {BY_RULE}").to_the_end()
    assert story.facts.ending is Ending.ROLLED_BACK
    assert story.facts.top == 2


def test_in_a_contain_a_person_is_asked_after_the_last_and_retry_buys_one_more() -> None:
    config = by_rule(make("c", overlap(), runs=(C,)), values=2)
    story = Story(config, "opened", *(f"install {n} {BY_RULE}" for n in (2, 3))).to_the_end()
    assert story.facts.question is not None
    assert story.facts.question.topic is Topic.REFUSED
    story.says(AnswerKind.RETRY).until(f"install 4 {BY_RULE}").to_the_end()
    assert story.facts.question is not None
    story.says(AnswerKind.RETRY).to_the_end()
    assert story.facts.ending is Ending.SUCCEEDED
    assert story.alive() == {5}


def test_a_filler_that_the_rules_refuse_is_followed_by_another() -> None:
    story = Story(by_rule(make("x", in_place(), runs=(X,))), "opened", f"neutralise 2 {BY_RULE}").to_the_end()
    assert story.facts.ending is Ending.SUCCEEDED
    assert story.facts.fillers == {2, 3}
    assert story.alive() == set()


def test_any_other_refusal_goes_back_at_once() -> None:
    story = Story(by_rule(make("o", overlap())), "opened", "install 2 p@a: refused").to_the_end()
    assert story.facts.ending is Ending.ROLLED_BACK
    assert story.facts.top == 2
    assert run_of(story.facts).unfit == 0


def test_a_value_that_is_in_use_is_not_doomed_by_a_refusal() -> None:
    """Set again while it is current: the refusal says nothing against it that its use does not deny."""
    config = by_rule(make("x", alternating()))
    story = Story(config, "opened", "push 2 c2: done")
    plan, step = config.plan, Step(StepKind.INSTALL, Gen(2), Home("a", "q"))
    facts = evolve(plan, story.facts, Intended(step, 0, 0, 1), 0)
    facts = evolve(plan, facts, Outcome(step, OutcomeKind.REFUSED, reason="policy"), 0)
    assert Gen(2) not in facts.doomed
    assert facts.refusal is not None


def test_a_value_of_old_that_is_refused_when_it_is_set_again_is_no_reason_for_a_new_one() -> None:
    story = Story(by_rule(make("p", in_place())), "opened", "push 2 c2: done").says(AnswerKind.GO_BACK)
    story.until(f"install 1 {BY_RULE}")
    assert leg_of(story.facts) is LegName.RETURN
    story.to_the_end()
    assert story.facts.top == 2
    assert Gen(1) not in story.facts.doomed
    assert story.facts.question is not None


def test_what_was_accepted_and_is_not_listed_takes_no_slot() -> None:
    """Else the search for it would go on for ever: nothing can make an accepted value more gone than it is."""
    story = Story(by_rule(make("two", overlap(slots=2))), "opened", f"install 2 {BY_RULE}", "find 2", "find 2")
    story.until("prove 2 p@a: inconclusive").until("prove 2 p@a: inconclusive").until("asked unproven")
    story.says(AnswerKind.ACCEPT).to_the_end()
    assert story.facts.ending is Ending.SUCCEEDED
    assert story.alive() == {3}
