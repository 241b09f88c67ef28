"""A person's answers, one by one: when each is legal, and what it does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rotator.machine.decide import decide
from rotator.machine.events import Answered, AnswerKind, Asked, Opened
from rotator.machine.evolve import IllegalEvent, evolve
from rotator.machine.facts import (
    EMPTY,
    FOREIGN,
    Ending,
    LegName,
    Question,
    RunKind,
    State,
    Topic,
)
from rotator.machine.frozen import FrozenMap
from rotator.machine.ids import ConsumerId, Gen, Home
from rotator.machine.plan import Consumer, Seen
from rotator.machine.steps import Step, StepKind
from tests.model.configurations import (
    C,
    Configuration,
    R,
    X,
    alternating,
    in_place,
    in_place_issued,
    issuing,
    make,
    overlap,
)
from tests.model.story import Story

A = AnswerKind
HOME = Home("a", "p")
O = make("o", overlap())  # noqa: E741 - the study's name for it


def illegal(story: Story, answer: Answered) -> None:
    with pytest.raises(IllegalEvent):
        evolve(story.config.plan, story.facts, answer, 0)


def test_retry_needs_a_question():
    illegal(Story(O, "opened"), Answered(A.RETRY))


def test_retry_looks_again_before_it_acts():
    story = Story(make("i", in_place_issued()), "opened", "issue 2 p@a: done", "verify 2 p@a: inconclusive", "verify 2")
    assert story.facts.state(Gen(2), HOME) is State.ALIVE
    story = Story(make("p", in_place(settable=False)), "opened", "install 2 p@a: done", "verify 2 p@a: flaky", "asked")
    assert story.facts.state(Gen(2), HOME) is State.GONE
    story.says(A.RETRY)
    assert story.facts.state(Gen(2), HOME) is State.MAYBE
    assert story.facts.question is None
    assert story.facts.attempts == FrozenMap()
    assert decide(story.config.plan, story.facts, 0).step == Step(StepKind.VERIFY, Gen(2), HOME)  # type: ignore[union-attr]
    assert story.to_the_end().facts.ending is Ending.SUCCEEDED


def test_go_back_is_legal_at_any_moment_before_the_first_kill():
    story = Story(O, "opened")
    assert not story.may(A.GO_BACK), "in repair there is nothing to go back from"
    story.until("turn advance")
    seen = []
    while story.facts.ending is None:
        seen.append((story.may(A.GO_BACK), Gen(1) in story.facts.doomed))
        story.state = story._honest(story.edges(), "end")
    assert all(may is not doomed for may, doomed in seen)
    assert (True, False) in seen
    assert (False, True) in seen


def test_go_back_ends_the_new_value_and_keeps_the_old():
    story = Story(O, "opened", "push 2 c1: done").says(A.GO_BACK).to_the_end()
    assert story.facts.ending is Ending.ROLLED_BACK
    assert story.alive() == {1}
    assert story.state.world.current == 1


def test_go_back_over_an_open_intent_looks_at_it_first():
    story = Story(O, "opened", "install 2 p@a: crash after")
    assert story.facts.intent is not None
    story.says(A.GO_BACK)
    assert story.facts.intent is None
    assert story.facts.state(Gen(2), HOME) is State.MAYBE
    assert story.to_the_end().facts.ending is Ending.ROLLED_BACK
    assert story.alive() == {1}


def test_go_back_is_illegal_where_the_old_value_cannot_be_set_again():
    story = Story(make("p", in_place(settable=False)), "opened", "install 2 p@a: done")
    assert not story.may(A.GO_BACK)
    illegal(story, Answered(A.GO_BACK))


def test_go_on_returns_to_the_advance():
    story = Story(O, "opened", "verify 2").says(A.GO_BACK).says(A.GO_ON).to_the_end()
    assert story.facts.ending is Ending.SUCCEEDED
    assert story.alive() == {2}


def test_go_on_is_illegal_once_the_candidate_is_doomed_and_outside_a_return():
    story = Story(O, "opened", "verify 2")
    assert not story.may(A.GO_ON)
    story.says(A.GO_BACK).until("revoke 2 p@a: done")
    assert not story.may(A.GO_ON)


def test_go_on_is_legal_where_nothing_can_be_made_of_the_old_value_any_more():
    """The refused value took the slot, the next was not kept: a third one is the way on."""
    by_rule = replace(make("p", in_place(settable=False)), rules=True)
    story = Story(by_rule, "opened", "install 2 p@a: refused by rule, though done", "stage 3: refused").to_the_end()
    assert story.facts.question is not None
    assert story.facts.question.topic is Topic.NO_WAY_BACK
    story.says(A.GO_ON).to_the_end()
    assert story.facts.ending is Ending.SUCCEEDED
    assert story.alive() == {3}


def test_go_on_is_illegal_in_a_reconcile():
    """K11: its return came from no advance of its own."""
    story = Story(make("o", overlap(), runs=(RunKind.RECONCILE,)), "opened", "turn return")
    assert not story.may(A.GO_ON)
    illegal(story, Answered(A.GO_ON))


def test_going_on_over_an_unexplained_refusal_has_no_way_back():
    story = Story(O, "opened", "verify 1 p@a: flaky", "asked no_old")
    assert story.may(A.GO_ON)
    story.says(A.GO_ON)
    assert story.facts.run is not None
    assert not story.facts.run.way_back
    assert not story.may(A.GO_BACK)


def test_accept_is_for_the_placement_that_was_asked_about():
    story = Story(make("r", overlap(), runs=(X,)), "opened", "prove 1 p@a: inconclusive", "prove 1 p@a: inconclusive")
    story.to_the_end()
    assert story.facts.question == Question(Topic.UNPROVEN, Step(StepKind.PROVE, Gen(1), HOME), "out_of_patience")
    illegal(story, Answered(A.ACCEPT, gen=Gen(1), home=Home("b", "p")))
    illegal(story, Answered(A.ACCEPT, gen=Gen(7), home=HOME))
    story.says(A.ACCEPT)
    assert story.facts.state(Gen(1), HOME) is State.ACCEPTED
    assert story.to_the_end().facts.ending is Ending.SUCCEEDED
    assert Gen(1) in story.facts.kept, "what is accepted is not proven: it can be tried again"


def test_an_accepted_value_still_takes_a_slot():
    story = Story(make("g", overlap(slots=2), debt=True), "opened", "turn advance")
    rows = story.facts.placements
    accepted = evolve_row(rows, (Gen(1), HOME), State.ACCEPTED)
    story.state = story.state._replace(facts=story.facts.but(placements=accepted))
    story.until("revoke 1 p@a: done")
    assert story.to_the_end().facts.ending is Ending.SUCCEEDED


def evolve_row(rows, key, state):
    from dataclasses import replace

    return rows.put(key, replace(rows[key], state=state))


def test_skip_is_for_this_target_only_and_the_next_run_tries_again():
    twice = make("o", overlap(), runs=(R, R))
    story = Story(twice, "opened", "turn advance", "push 2 c1: refused")
    story.until("turn return").until("push 1 c1: refused").to_the_end()
    assert story.facts.question is not None
    illegal(story, Answered(A.SKIP, consumer=ConsumerId("c2")))
    story.says(A.SKIP)
    assert story.facts.run is not None
    assert story.facts.run.skipped == {(ConsumerId("c1"), Gen(1))}
    assert story.to_the_end().facts.ending is Ending.ROLLED_BACK
    story.until("opened")
    assert story.facts.run is not None
    assert story.facts.run.skipped == frozenset()
    story.until("push 1 c1: done")


def test_naming_a_stranger_makes_its_handle_known_and_nothing_else():
    config = make("s", issuing(3, Seen.SNAPSHOT), stranger=True)
    story = Story(config, "opened", "issue 2 p@a: issued, not staged", "late another", "asked strangers")
    offered = {one.handle for one in story.legal() if one.kind is A.NAME}
    assert offered == {"h2.0", "h500.0"}
    illegal(story, Answered(A.NAME, gen=Gen(2), home=HOME, handle=None))
    answer = next(one for one in story.legal() if one.kind is A.NAME and one.handle == "h2.0")
    story.state = story.state._replace(facts=evolve(story.config.plan, story.facts, answer, 0))
    assert story.facts.handles[Gen(2), HOME] == "h2.0"
    assert story.to_the_end().facts.ending is Ending.ROLLED_BACK, "the stranger took the slot that was meant for ours"
    assert story.alive() == {1, 500}


def test_giving_up_is_for_contain_while_its_candidate_does_not_work():
    story = Story(make("c", overlap(), runs=(C,)), "opened", "stage 2")
    assert story.may(A.GIVE_UP)
    story.says(A.GIVE_UP).to_the_end()
    assert story.facts.ending is Ending.CONTAINED
    assert story.alive() == set()
    story = Story(make("c", overlap(), runs=(C,)), "opened", "verify 2 p@a: alive")
    assert not story.may(A.GIVE_UP)
    illegal(Story(O, "opened"), Answered(A.GIVE_UP))


def test_a_sealed_store_asks_at_once_in_contain_and_giving_up_kills():
    """K8: an unreachable store must not shield a leaked key."""
    story = Story(make("c", overlap(), runs=(C,)), "opened", "stage 2: failed", "asked")
    story.says(A.GIVE_UP).until("revoke 1 p@a: done")
    assert story.to_the_end().facts.ending is Ending.CONTAINED


@pytest.mark.parametrize("config", [O, make("p", in_place()), make("x", alternating()), make("i", issuing())])
def test_contain_now_is_legal_at_every_moment_and_dooms_all_but_the_candidate(config: Configuration):
    story = Story(config, "opened")
    moments = 0
    while story.facts.ending is None:
        at = Story(config)
        at.state = story.state
        assert at.may(A.CONTAIN_NOW)
        at.says(A.CONTAIN_NOW)
        assert at.facts.run is not None
        assert at.facts.run.legs == (LegName.CONTAIN,)
        assert Gen(1) in at.facts.doomed
        assert at.facts.run.candidate not in at.facts.doomed
        assert at.to_the_end().facts.ending is Ending.SUCCEEDED
        assert 1 not in at.alive()
        moments += 1
        story.state = story._honest(story.edges(), "end")
    assert moments > 8


def test_contain_now_closes_an_open_intent_unlooked():
    story = Story(O, "opened", "install 2 p@a: crash after").says(A.CONTAIN_NOW)
    assert story.facts.intent is None
    assert story.facts.state(Gen(2), HOME) is State.MAYBE
    assert story.to_the_end().alive() == {2}


def test_contain_now_replaces_a_candidate_that_is_doomed():
    story = Story(O, "opened", "verify 2").says(A.GO_BACK).until("revoke 2 p@a: done").says(A.CONTAIN_NOW)
    assert story.to_the_end().alive() == {3}


@pytest.mark.parametrize("kind", [C, X])
def test_contain_now_adds_nothing_to_contain_and_retire(kind: RunKind):
    story = Story(make("o", overlap(), runs=(kind,)), "opened")
    assert not story.may(A.CONTAIN_NOW)


def test_abandon_is_always_legal_and_keeps_facts_and_open_intent():
    story = Story(O, "opened", "install 2 p@a: crash after")
    before = story.facts
    story.says(A.ABANDON)
    assert story.facts == before.but(ending=Ending.ABANDONED)
    illegal(story, Answered(A.ABANDON))


def test_a_foreign_current_is_asked_about_and_can_be_overwritten():
    story = foreign()
    assert story.may(A.OVERWRITE)
    story.says(A.OVERWRITE)
    assert decide(story.config.plan, story.facts, 0) != Asked(Question(Topic.FOREIGN))
    story.state = story.state._replace(world=story.state.world._replace(current=Gen(0)))
    assert story.facts.run is not None
    assert story.facts.run.overwrite


def test_a_foreign_current_can_be_taken_as_a_generation_of_ours():
    story = foreign().says(A.TAKE)
    assert story.facts.top == 2
    assert story.facts.current == {Gen(2)}
    assert story.facts.state(Gen(2), HOME) is State.MAYBE
    illegal(story, Answered(A.TAKE))


def foreign() -> Story:
    story = Story(O, "opened", "read_current")
    facts = story.facts.but(current=frozenset({FOREIGN}))
    decision = decide(story.config.plan, facts, 0)
    assert decision.question == Question(Topic.FOREIGN)  # type: ignore[union-attr]
    facts = evolve(story.config.plan, facts, Asked(Question(Topic.FOREIGN)), 0)
    story.state = story.state._replace(facts=facts)
    return story


def test_what_cannot_be_emptied_is_asked_about_and_can_be_skipped():
    config = make("r", overlap(), runs=(X,))
    from dataclasses import replace

    plan = replace(config.plan, consumers=(Consumer(ConsumerId("c1"), empties=False),))
    story = Story(replace(config, plan=plan), "opened", "asked cannot_empty").says(A.SKIP)
    assert story.facts.run is not None
    assert story.facts.run.skipped == {(ConsumerId("c1"), EMPTY)}
    assert story.to_the_end().facts.ending is Ending.SUCCEEDED


def test_nothing_can_be_said_before_a_run_or_after_it():
    story = Story(O)
    assert story.legal() == ()
    with pytest.raises(IllegalEvent):
        evolve(O.plan, story.facts.but(run=None, top=Gen(0)), Opened(RunKind.ROTATE), 0)
