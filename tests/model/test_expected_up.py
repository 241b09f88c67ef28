"""What the rungs that put a value in force ask for, and where the policy goes, by expectation."""

from __future__ import annotations

import pytest

from rotator.machine.decide import decide
from rotator.machine.decisions import Ask, Turn
from rotator.machine.facts import FOREIGN, Facts, LegName, Placement, Question, State, Topic
from rotator.machine.ids import ConsumerId, Gen, Handle
from rotator.machine.needs import Impossible
from rotator.machine.policy import must_read_first, turns_back
from rotator.machine.rungs_up import install_needs, installed, room, seen, staged
from rotator.machine.steps import CurrentIs, Step, StepKind
from tests.model.configurations import in_place, in_place_issued, issuing, make, overlap
from tests.model.standing import HOME, done, made, nobody_has, placed, refused, standing

O = make("o", overlap())  # noqa: E741 - the study's name for it
OLD, NEW = Gen(1), Gen(2)
NO_OLD = (Impossible(Question(Topic.NO_OLD)),)
TWO_SLOTS = make("two", overlap(slots=2), debt=True)
TWO_ISSUED = make("two i", issuing(2), debt=True)


def verify(gen: int) -> Step:
    return Step(StepKind.VERIFY, Gen(gen), HOME)


def at_opening(*newer: int) -> Facts:
    """Current is refused; of these newer ones it is not known whether they work."""
    facts = placed(standing(O, LegName.REPAIR, old=None), 1, State.GONE)
    for gen in newer:
        facts = placed(made(facts, gen), gen, State.MAYBE)
    return facts


def test_the_opening_says_whether_what_is_current_works_or_a_newer_one() -> None:
    works = seen(O.plan, placed(at_opening(), 1, State.ALIVE), OLD, 0)
    assert works == (Turn((LegName.REPAIR,), "current_works", old=OLD),)
    newer = seen(O.plan, placed(at_opening(2), 2, State.ALIVE), OLD, 0)
    assert newer == (Turn((LegName.REPAIR,), "newer_works", old=NEW),)


def test_over_a_refused_current_the_newest_value_is_tried_first() -> None:
    assert seen(O.plan, at_opening(2, 3), None, 0) == (verify(3),)
    assert seen(O.plan, placed(at_opening(2, 3), 3, State.GONE), None, 0) == (verify(2),)


def test_over_a_refused_current_no_value_from_before_it_is_tried() -> None:
    """It left for a reason: nobody is sent back to it unasked."""
    debt = make("o + debt", overlap(), debt=True)
    facts = placed(standing(debt, LegName.REPAIR, old=None), 2, State.GONE)
    assert facts.state(OLD, HOME) is State.MAYBE
    assert seen(debt.plan, facts, None, 0) == NO_OLD


def test_over_a_refused_current_a_filler_is_never_what_serves() -> None:
    facts = at_opening(2).but(fillers=frozenset({NEW}))
    assert seen(O.plan, facts, None, 0) == NO_OLD


def test_over_a_current_of_somebody_else_that_is_to_be_overwritten_every_value_of_ours_is_tried() -> None:
    facts = placed(standing(O, LegName.REPAIR, old=None, overwrite=True), 1, State.MAYBE)
    assert seen(O.plan, facts.but(current=frozenset({FOREIGN})), None, 0) == (verify(1),)


def test_a_value_of_old_that_has_no_path_of_its_own_is_staged_from_current_and_never_made() -> None:
    copy = Step(StepKind.STAGE, OLD, from_current=True)
    facts = nobody_has(standing(O, LegName.ADOPT), 1)
    assert staged(O.plan, facts, OLD, 0) == (copy,)
    elsewhere = facts.but(current=frozenset({FOREIGN}))
    assert staged(O.plan, elsewhere, OLD, 0) == (Impossible(Question(Topic.CANNOT_INSTALL, copy)),)


@pytest.mark.parametrize("state", [State.MAYBE, State.INSTALLED, State.ALIVE, State.GONE])
def test_a_target_that_may_be_in_a_slot_needs_no_other(state: State) -> None:
    facts = placed(made(standing(TWO_SLOTS, LegName.ADVANCE, candidate=Gen(3)), 3), 3, state)
    assert room(TWO_SLOTS.plan, facts, Gen(3), 0) == ()


def test_a_debt_makes_room_before_what_a_person_accepted() -> None:
    facts = made(standing(TWO_SLOTS, LegName.ADVANCE, candidate=Gen(4)), 4)
    facts = placed(placed(made(facts, 3), 3, State.MAYBE), 1, State.ACCEPTED)
    facts = facts.but(handles=facts.handles.put((Gen(3), HOME), Handle("h3")))
    assert room(TWO_SLOTS.plan, facts, Gen(4), 0) == (Step(StepKind.REVOKE, Gen(3), HOME),)


def in_use(facts: Facts) -> Facts:
    """Some consumer still holds the debt: nothing may be removed."""
    return facts.but(held=facts.held.put(ConsumerId("c1"), frozenset({OLD})))


def accepted_among_strangers(facts: Facts) -> Facts:
    """A person said that none of them is ours: there is nothing to ask again, and nothing to remove."""
    facts = placed(facts, 1, State.ACCEPTED)
    return facts.but(suspects=facts.suspects.put((OLD, HOME), frozenset({Handle("x"), Handle("y")})))


@pytest.mark.parametrize("full", [in_use, accepted_among_strangers])
def test_without_room_and_without_anybody_to_remove_the_run_goes_back_before_it_made_a_value(full) -> None:
    facts = full(standing(TWO_ISSUED, LegName.ADVANCE))
    assert room(TWO_ISSUED.plan, facts, None, 0) == (Impossible(Question(Topic.NO_ROOM), policy=True),)
    assert decide(TWO_ISSUED.plan, facts, 0) == Turn((LegName.RETURN,), "no_room")


def test_a_debt_among_strangers_is_asked_about_before_there_is_no_room() -> None:
    facts = placed(accepted_among_strangers(standing(TWO_ISSUED, LegName.ADVANCE)), 1, State.MAYBE)
    asked = Question(Topic.STRANGERS, Step(StepKind.FIND, OLD, HOME))
    assert decide(TWO_ISSUED.plan, facts, 0) == Ask(asked)


def test_there_is_no_way_back_to_what_is_doomed_though_it_works_but_it_may_be_repaired() -> None:
    """In a repair the doomed value that serves is left alone: the advance that follows ends it."""
    for leg, needs in (
        (LegName.RETURN, (Impossible(Question(Topic.NO_WAY_BACK, Step(StepKind.INSTALL, OLD))),)),
        (LegName.REPAIR, ()),
    ):
        facts = standing(O, leg).but(doomed=frozenset({OLD}))
        assert installed(O.plan, facts, OLD, 0) == needs


def test_an_issue_that_was_lost_keeps_its_number_and_one_that_is_kept_is_never_asked_for_again() -> None:
    """A second value under one number could not be told from the first."""
    config = make("i", in_place_issued())
    facts = made(standing(config, LegName.ADVANCE, candidate=NEW), 2)
    gone = placed(facts, 2, State.GONE)
    assert install_needs(config.plan, gone, NEW, HOME) == (Step(StepKind.ISSUE, Gen(3), HOME),)
    assert install_needs(config.plan, nobody_has(gone, 2), NEW, HOME) == (Step(StepKind.ISSUE, NEW, HOME),)


@pytest.mark.parametrize(
    ("new", "old", "current", "back"),
    [
        (State.ALIVE, State.GONE, 2, False),
        (State.ALIVE, State.GONE, 1, True),
        (State.ALIVE, State.ALIVE, 2, True),
        (State.INSTALLED, State.GONE, 2, True),
    ],
)
def test_a_candidate_that_works_and_is_current_is_not_left_for_an_old_value_that_does_not(
    new: State, old: State, current: int, back: bool
) -> None:
    config = make("p", in_place())
    facts = made(standing(config, LegName.ADVANCE, candidate=NEW), 2).but(current=frozenset({Gen(current)}))
    assert turns_back(config.plan, placed(placed(facts, 1, old), 2, new)) is back


def test_before_there_is_a_candidate_the_run_goes_back() -> None:
    assert turns_back(O.plan, standing(O, LegName.ADVANCE))
    assert not turns_back(O.plan, standing(O, LegName.REPAIR))


def test_k7_only_a_promote_that_was_refused_is_followed_by_a_read_and_only_once() -> None:
    promote, push = Step(StepKind.PROMOTE, NEW), Step(StepKind.PUSH, NEW, consumer=ConsumerId("c1"))
    facts = placed(made(standing(O, LegName.ADVANCE, candidate=NEW), 2), 2, State.ALIVE)
    assert not must_read_first(facts, promote)
    facts = refused(O.plan, facts, promote)
    assert must_read_first(facts, promote)
    assert not must_read_first(facts, push)
    facts = done(O.plan, facts, Step(StepKind.READ_CURRENT), CurrentIs(OLD, None))
    assert not must_read_first(facts, promote)
    assert decide(O.plan, facts, 0) == Turn((LegName.RETURN,), "promote_refused")


def test_a_value_that_took_a_slot_and_is_found_dead_is_no_debt_that_holds_the_room() -> None:
    facts = standing(TWO_SLOTS, LegName.ADVANCE)
    assert room(TWO_SLOTS.plan, placed(facts, 1, State.DEAD), None, 0) == ()
    assert room(TWO_SLOTS.plan, placed(facts, 1, Placement(State.ACCEPTED, absent=2)), None, 0) == ()
