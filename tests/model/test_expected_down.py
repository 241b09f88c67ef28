"""What the rungs that end values ask for, by expectation: from facts that stand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rotator.machine.facts import Facts, LegName, Placement, Question, State, Topic
from rotator.machine.ids import Gen
from rotator.machine.needs import Impossible, Needs, Pause
from rotator.machine.rungs_down import kill_needs, killed, proven, tidied, waited
from rotator.machine.steps import Step, StepKind
from tests.model.configurations import (
    NO_TIME,
    Configuration,
    X,
    alternating,
    in_place,
    in_place_issued,
    make,
    overlap,
)
from tests.model.standing import HOME, made, nobody_has, placed, standing
from tests.model.story import Story

O = make("o", overlap())  # noqa: E741 - the study's name for it
IN_PLACE = make("p", in_place())
NOT_SETTABLE = make("p", in_place(settable=False))
UNKILLABLE = make("i", in_place_issued())
OLD, NEW = Gen(1), Gen(2)
CANNOT_KILL = (Impossible(Question(Topic.CANNOT_KILL, Step(StepKind.FIND, OLD, HOME))),)


def advancing(config: Configuration, old: Placement | State, new: Placement | State | None = None) -> Facts:
    """In an advance from 1 to 2, both known to be so at their one home."""
    facts = placed(made(standing(config, LegName.ADVANCE, candidate=NEW), 2), 1, old)
    return facts if new is None else placed(facts, 2, new)


@pytest.mark.parametrize("state", [State.MAYBE, State.INSTALLED, State.LINGERS, State.GONE])
def test_the_overlap_of_every_value_that_is_not_proven_dead_is_waited_for(state: State) -> None:
    config = make("o", overlap(), clocks=replace(NO_TIME, overlap=10))
    facts = advancing(config, state, State.ALIVE)
    facts = facts.but(left_at=facts.left_at.put(OLD, 5))
    assert waited(config.plan, facts, NEW, 14) == (Pause(15, "overlap"),)
    assert waited(config.plan, facts, NEW, 15) == ()


@pytest.mark.parametrize("state", [State.DEAD, State.ACCEPTED])
def test_nobody_waits_for_the_overlap_of_what_is_dead_or_was_accepted(state: State) -> None:
    config = make("o", overlap(), clocks=replace(NO_TIME, overlap=10))
    facts = advancing(config, state, State.ALIVE)
    facts = facts.but(left_at=facts.left_at.put(OLD, 5))
    assert waited(config.plan, facts, NEW, 5) == ()


@pytest.mark.parametrize(("shape", "waits"), [(in_place(), False), (alternating(), True), (overlap(), True)])
def test_a_value_whose_place_its_successor_takes_has_no_overlap(shape, waits: bool) -> None:
    config = make("x", shape, clocks=replace(NO_TIME, overlap=10))
    facts = advancing(config, State.GONE, State.ALIVE)
    facts = facts.but(left_at=facts.left_at.put(OLD, 5))
    assert bool(waited(config.plan, facts, NEW, 5)) is waits


def tried(needs: Needs) -> bool:
    """The old value counts as gone: what is left is to try it."""
    return needs == (Step(StepKind.PROVE, OLD, HOME),)


@pytest.mark.parametrize(
    ("old", "new", "alive"),
    [
        (State.MAYBE, State.INSTALLED, False),
        (State.MAYBE, State.ALIVE, False),
        (State.LINGERS, State.ALIVE, True),
        (State.MAYBE, State.MAYBE, True),
        (State.MAYBE, None, True),
        (State.GONE, None, False),
    ],
)
def test_l9_a_slot_that_holds_the_target_holds_nothing_else_but_what_was_found_alive(
    old: State, new: State | None, alive: bool
) -> None:
    """Such a *maybe* comes from a label in the late list: it is tried, and nothing is written for it."""
    facts = advancing(IN_PLACE, old, new)
    assert bool(killed(IN_PLACE.plan, facts, NEW, 0)) is alive
    assert tried(proven(IN_PLACE.plan, facts, NEW, 0)) is not alive


def test_without_a_target_what_may_be_in_a_slot_is_to_be_killed() -> None:
    facts = placed(standing(IN_PLACE, LegName.GIVE_UP), 1, State.MAYBE)
    assert killed(IN_PLACE.plan, facts, None, 0) == (Step(StepKind.STAGE, NEW, HOME),)
    assert proven(IN_PLACE.plan, facts, None, 0) == ()


@pytest.mark.parametrize(
    ("old", "new", "alive"),
    [
        (State.MAYBE, State.ALIVE, False),
        (State.MAYBE, State.MAYBE, False),
        (State.LINGERS, State.ALIVE, True),
        (State.LINGERS, State.MAYBE, False),
    ],
)
def test_where_nothing_of_ours_kills_only_what_was_found_alive_beside_the_target_is_asked_about(
    old: State, new: State, alive: bool
) -> None:
    """While the target is not in, its install may still end the old value: there is nothing to ask yet."""
    facts = advancing(UNKILLABLE, old, new)
    assert killed(UNKILLABLE.plan, facts, NEW, 0) == (CANNOT_KILL if alive else ())
    assert tried(proven(UNKILLABLE.plan, facts, NEW, 0)) is not alive


@pytest.mark.parametrize(("old", "alive"), [(State.MAYBE, False), (State.LINGERS, True)])
def test_without_a_target_what_nothing_of_ours_kills_is_tried_and_asked_about_when_found_alive(
    old: State, alive: bool
) -> None:
    facts = placed(standing(UNKILLABLE, LegName.RETIRE), 1, old)
    assert killed(UNKILLABLE.plan, facts, None, 0) == (CANNOT_KILL if alive else ())
    assert tried(proven(UNKILLABLE.plan, facts, None, 0)) is not alive


SET_ONCE, NEVER_SET = Placement(State.GONE, acked_at=3), Placement(State.GONE)
TAKES_IT = (Step(StepKind.INSTALL, NEW, HOME),)


@pytest.mark.parametrize(
    ("config", "new", "needs"),
    [
        (IN_PLACE, None, TAKES_IT),
        (IN_PLACE, SET_ONCE, TAKES_IT),
        (NOT_SETTABLE, None, TAKES_IT),
        (NOT_SETTABLE, NEVER_SET, TAKES_IT),
        (NOT_SETTABLE, SET_ONCE, CANNOT_KILL),
    ],
)
def test_the_target_ends_what_is_in_its_slot_unless_it_was_set_once_and_cannot_be_again(
    config: Configuration, new: Placement | None, needs: Needs
) -> None:
    """No filler is made for a slot that the target belongs in: readers would be locked out by it."""
    facts = advancing(config, State.MAYBE, new)
    row = facts.placements[OLD, HOME]
    assert kill_needs(config.plan, facts, OLD, HOME, row, NEW, 0) == needs


@pytest.mark.parametrize("state", [State.INSTALLED, State.ALIVE])
def test_a_value_that_nobody_has_is_proven_dead_by_the_target_that_is_in_its_slot(state: State) -> None:
    facts = nobody_has(advancing(IN_PLACE, State.GONE, state), 1)
    assert proven(IN_PLACE.plan, facts, NEW, 0) == (Step(StepKind.VERIFY, NEW, HOME),)


def test_a_value_that_nobody_has_is_asked_about_while_nothing_else_is_in_its_slot() -> None:
    facts = nobody_has(placed(standing(IN_PLACE, LegName.GIVE_UP), 1, State.GONE), 1)
    asked = (Impossible(Question(Topic.UNPROVEN, Step(StepKind.PROVE, OLD, HOME))),)
    assert proven(IN_PLACE.plan, facts, None, 0) == asked


def test_our_labels_are_listed_once_at_every_home_before_anything_is_destroyed() -> None:
    two = make("two", overlap(), overlap("b"), consumers=1)
    homes = [authority.homes()[0] for authority in two.plan.authorities]
    facts = made(standing(two, LegName.ADVANCE, candidate=NEW), 2, *homes)
    for home in homes:
        facts = placed(placed(facts, 1, State.DEAD, home), 2, State.ALIVE, home)
    facts = facts.but(current=frozenset({NEW}))

    def after(*listed: int) -> Needs:
        run = replace(facts.run, listed=frozenset(homes[at] for at in listed))
        return tidied(two.plan, facts.but(run=run), NEW, 0)

    assert after() == tuple(Step(StepKind.LIST, None, home) for home in homes)
    assert after(0) == (Step(StepKind.LIST, None, homes[1]),)
    assert after(0, 1) == (Step(StepKind.DESTROY, OLD),)


@pytest.mark.parametrize(("leg", "destroyed"), [(LegName.GIVE_UP, False), (LegName.RETIRE, True)])
def test_what_is_current_is_destroyed_in_a_retirement_only(leg: LegName, destroyed: bool) -> None:
    facts = placed(standing(IN_PLACE, leg), 1, State.DEAD)
    assert tidied(IN_PLACE.plan, facts, None, 0) == ((Step(StepKind.DESTROY, OLD),) if destroyed else ())


@pytest.mark.parametrize("shape", [overlap(), in_place(), alternating()])
def test_a_retirement_leaves_nothing_in_the_store(shape) -> None:
    story = Story(make("x", shape, runs=(X,)), "opened").to_the_end()
    assert story.facts.stored == frozenset()
    assert story.state.world.staged == frozenset()
