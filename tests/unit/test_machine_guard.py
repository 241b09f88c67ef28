"""The guard by expectation: with a way back it never fires in a correct ladder, so enumeration cannot miss it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rotator.machine.facts import ANYTHING, Facts, LegName, Placement, State, Topic
from rotator.machine.guard import objection
from rotator.machine.ids import ConsumerId, Gen, Home
from rotator.machine.steps import Step, StepKind
from tests.model.configurations import Configuration, alternating, in_place, make, overlap
from tests.model.story import Story

HOME, IDLE = Home("a", "p"), Home("a", "q")
C1 = ConsumerId("c1")
KILL_OLD = Step(StepKind.REVOKE, Gen(1), HOME)


def at(config: Configuration, told: str) -> tuple[Configuration, Facts]:
    """Facts just before a transition."""
    story = Story(config, "opened")
    while not any(edge.name.startswith(told) for edge in story.edges()):
        story.state = story._honest(story.edges(), told)
    return story.config, story.facts


@pytest.fixture
def ready() -> tuple[Configuration, Facts]:
    """The old value is about to be revoked: everything is as it should be."""
    return at(make("o", overlap()), "revoke 1")


def legs(facts: Facts, leg: LegName) -> Facts:
    assert facts.run is not None
    return facts.but(run=replace(facts.run, legs=(leg,)))


def test_it_lets_the_old_value_go_when_nothing_uses_it(ready):
    config, facts = ready
    assert objection(config.plan, facts, KILL_OLD) is None


def test_never_the_target(ready):
    config, facts = ready
    assert objection(config.plan, facts, Step(StepKind.REVOKE, Gen(2), HOME)) is Topic.IN_USE
    assert objection(config.plan, legs(facts, LegName.CONTAIN), Step(StepKind.REVOKE, Gen(2), HOME)) is Topic.IN_USE


def test_not_what_may_be_current(ready):
    config, facts = ready
    assert objection(config.plan, facts.but(current=frozenset({Gen(1), Gen(2)})), KILL_OLD) is Topic.IN_USE


@pytest.mark.parametrize("held", [{Gen(1)}, {Gen(1), Gen(2)}, {ANYTHING}])
def test_not_what_a_consumer_may_hold(ready, held):
    config, facts = ready
    facts = facts.but(held=facts.held.put(C1, frozenset(held)))
    assert objection(config.plan, facts, KILL_OLD) is Topic.IN_USE


def test_not_while_it_is_unknown_what_a_consumer_holds(ready):
    config, facts = ready
    assert objection(config.plan, facts.but(held=facts.held.drop(C1)), KILL_OLD) is Topic.IN_USE


def test_but_what_only_a_skipped_consumer_holds(ready):
    config, facts = ready
    assert facts.run is not None
    facts = facts.but(
        held=facts.held.put(C1, frozenset({Gen(1)})), run=replace(facts.run, skipped=frozenset({(C1, Gen(2))}))
    )
    assert objection(config.plan, facts, KILL_OLD) is None


def test_nothing_while_what_serves_was_not_seen_alive(ready):
    config, facts = ready
    row = replace(facts.placements[Gen(2), HOME], state=State.INSTALLED)
    facts = facts.but(placements=facts.placements.put((Gen(2), HOME), row))
    assert objection(config.plan, facts, KILL_OLD) is Topic.NOT_VERIFIED


def test_nothing_while_current_is_unknown(ready):
    config, facts = ready
    assert objection(config.plan, facts.but(current=frozenset({Gen(2), Gen(9)})), KILL_OLD) is Topic.NOT_VERIFIED


@pytest.mark.parametrize("leg", [LegName.CONTAIN, LegName.GIVE_UP, LegName.RETIRE])
def test_it_stands_aside_where_the_kill_is_the_purpose(ready, leg):
    config, facts = ready
    facts = legs(facts, leg).but(current=frozenset({Gen(1)}), held=facts.held.put(C1, frozenset({Gen(1)})))
    assert objection(config.plan, facts, KILL_OLD) is None


def test_an_install_that_displaces_what_is_in_use_on_another_principal():
    config, facts = at(make("x", alternating()), "install 2")
    step = Step(StepKind.INSTALL, Gen(2), IDLE)
    assert objection(config.plan, facts, step) is None
    facts = facts.but(placements=facts.placements.put((Gen(1), IDLE), Placement(State.MAYBE)))
    assert objection(config.plan, facts, step) is Topic.IN_USE


def test_in_place_the_successor_takes_the_place_of_what_is_in_use():
    config, facts = at(make("p", in_place()), "install 2")
    assert objection(config.plan, facts, Step(StepKind.INSTALL, Gen(2), HOME)) is None


def test_a_neutralisation_hits_everything_in_the_slot():
    config, facts = at(make("x", alternating()), "neutralise 3")
    step = Step(StepKind.NEUTRALISE, Gen(3), HOME)
    assert objection(config.plan, facts, step) is None
    assert objection(config.plan, facts.but(held=facts.held.put(C1, frozenset({Gen(1)}))), step) is Topic.IN_USE


def test_without_a_way_back_gone_but_unproven_values_count_too():
    """L11: after going on over a flaky refusal the value in use is *gone* in the facts, and alive."""
    config, facts = at(make("x", alternating()), "neutralise 3")
    row = replace(facts.placements[Gen(1), HOME], state=State.GONE)
    facts = facts.but(
        placements=facts.placements.put((Gen(1), HOME), row), held=facts.held.put(C1, frozenset({Gen(1)}))
    )
    step = Step(StepKind.NEUTRALISE, Gen(3), HOME)
    assert objection(config.plan, facts, step) is None
    assert facts.run is not None
    no_way_back = facts.but(run=replace(facts.run, way_back=False))
    assert objection(config.plan, no_way_back, step) is Topic.IN_USE


@pytest.mark.parametrize("kind", [StepKind.PROMOTE, StepKind.PUSH])
def test_nothing_is_put_in_force_that_was_not_verified(ready, kind):
    config, facts = ready
    step = Step(kind, Gen(2), consumer=C1 if kind is StepKind.PUSH else None)
    assert objection(config.plan, facts, step) is None
    row = replace(facts.placements[Gen(2), HOME], state=State.INSTALLED)
    unsure = facts.but(placements=facts.placements.put((Gen(2), HOME), row))
    assert objection(config.plan, unsure, step) is Topic.NOT_VERIFIED


@pytest.mark.parametrize("kind", [StepKind.INSTALL, StepKind.PROMOTE, StepKind.PUSH])
def test_nothing_doomed_is_put_in_force(ready, kind):
    config, facts = ready
    step = Step(kind, Gen(2), HOME if kind is StepKind.INSTALL else None)
    assert objection(config.plan, facts.but(doomed=frozenset({Gen(2)})), step) is Topic.IN_USE
