"""What an intent makes uncertain and what a finding makes certain, fact by fact, by expectation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rotator.machine.change import IllegalEvent
from rotator.machine.events import Intended, Outcome
from rotator.machine.evolve import evolve
from rotator.machine.facts import EMPTY, Effort, Facts, LegName, Placement, Role, State
from rotator.machine.ids import Gen, Handle, Home, Version
from rotator.machine.plan import Seen
from rotator.machine.reading import run_of
from rotator.machine.steps import (
    Answer,
    CurrentIs,
    Grade,
    Listed,
    Made,
    OutcomeKind,
    Probed,
    Row,
    Staged,
    Step,
    StepKind,
)
from tests.model.configurations import NO_TIME, alternating, in_place, in_place_issued, issuing, make, overlap
from tests.model.standing import HOME, done, intend, made, nobody_has, placed, refused, standing
from tests.model.world import label_of

O = make("o", overlap())  # noqa: E741 - the study's name for it
IN_PLACE = make("p", in_place())
ISSUED = make("i", in_place_issued())
OLD, NEW = Gen(1), Gen(2)
READ, PROMOTE = Step(StepKind.READ_CURRENT), Step(StepKind.PROMOTE, NEW)
TRIED = Placement(State.GONE, acked_at=3, gone_at=5, rejections=1, first=6, last=6, grade=Grade.SUCCESSOR, absent=1)
"""Gone, and on the way to be proven dead."""


def advancing(config=O, state: State | None = State.ALIVE) -> Facts:
    facts = made(standing(config, LegName.ADVANCE, candidate=NEW), 2)
    return facts if state is None else placed(facts, 2, state)


def row_of(facts: Facts, gen: int, home: Home = HOME) -> Placement:
    return facts.placements[Gen(gen), home]


# -- current -----------------------------------------------------------------------------------------------------------


def test_an_acknowledged_promote_makes_current_what_was_promoted_whether_the_store_names_it_or_not() -> None:
    facts = done(O.plan, advancing(), PROMOTE, CurrentIs(None, Version("9")), at=4)
    assert (facts.current, facts.version, facts.read_at) == ({NEW}, "9", 4)


def test_a_read_that_finds_nothing_says_that_current_is_empty() -> None:
    assert done(O.plan, advancing(), READ, CurrentIs(None, None)).current == {EMPTY}


@pytest.mark.parametrize("leg", [LegName.ADVANCE, LegName.RETURN])
def test_a_refused_promote_that_was_done_is_believed_when_it_is_read(leg: LegName) -> None:
    """K7, whichever value it was: the refusal and its count are over."""
    gen = NEW if leg is LegName.ADVANCE else OLD
    facts = placed(made(standing(O, leg, candidate=NEW), 2), 2, State.ALIVE)
    facts = facts.but(current=frozenset({OLD, NEW}) - {gen})
    facts = refused(O.plan, facts, Step(StepKind.PROMOTE, gen))
    assert facts.refusal is not None
    assert facts.attempts
    facts = done(O.plan, facts, READ, CurrentIs(gen, None))
    assert facts.refusal is None
    assert not facts.attempts


@pytest.mark.parametrize("gen", [OLD, None])
def test_a_refused_promote_stays_refused_when_the_read_finds_another_value(gen: Gen | None) -> None:
    facts = refused(O.plan, advancing(), PROMOTE)
    after = done(O.plan, facts, READ, CurrentIs(gen, None))
    assert after.refusal == facts.refusal
    row = after.attempts[Effort(StepKind.PROMOTE, Role.CANDIDATE)]
    assert (row.refused, row.read) == ("no", True)


def test_another_refusal_is_not_passed_over_by_a_read_of_its_value() -> None:
    facts = refused(O.plan, advancing(state=None), Step(StepKind.INSTALL, NEW, HOME))
    assert done(O.plan, facts, READ, CurrentIs(NEW, None)).refusal == facts.refusal


def test_a_persons_word_to_overwrite_is_used_up_by_the_promote_and_by_no_read() -> None:
    facts = made(standing(O, LegName.ADVANCE, candidate=NEW, overwrite=True), 2)
    facts = placed(facts, 2, State.ALIVE)
    assert run_of(done(O.plan, facts, READ, CurrentIs(None, None, foreign=True))).overwrite
    assert not run_of(done(O.plan, facts, PROMOTE, CurrentIs(NEW, None))).overwrite


# -- stages and issues -------------------------------------------------------------------------------------------------

CHECK, ISSUE = Step(StepKind.CHECK_STAGE, NEW), Step(StepKind.ISSUE, NEW, HOME)


def lost(config=ISSUED) -> Facts:
    """Nobody knows whether the issue of 2 was done."""
    facts = nobody_has(advancing(config, None), 2)
    facts = evolve(config.plan, intend(config.plan, facts, ISSUE), Outcome(ISSUE, OutcomeKind.UNKNOWN), 0)
    assert facts.state(NEW, HOME) is State.MAYBE
    assert Effort(StepKind.ISSUE, Role.CANDIDATE, HOME) in facts.attempts
    return facts


def test_an_acknowledged_issue_is_kept_since_it_was_staged_in_the_same_step() -> None:
    facts = done(ISSUED.plan, nobody_has(advancing(ISSUED, None), 2), ISSUE, Made(Handle("h")), at=4)
    assert NEW in facts.kept & facts.stored
    assert row_of(facts, 2) == Placement(State.INSTALLED, acked_at=4)
    assert facts.handles[NEW, HOME] == "h"


def test_a_lost_issue_whose_stage_is_found_was_done_and_its_handle_is_known() -> None:
    facts = done(ISSUED.plan, lost(), CHECK, Staged(True, Handle("h")), at=4)
    assert NEW in facts.kept
    assert facts.handles[NEW, HOME] == "h"
    assert row_of(facts, 2) == Placement(State.INSTALLED, acked_at=4)
    assert not facts.attempts


@pytest.mark.parametrize("state", [State.GONE, State.LINGERS, State.DEAD])
def test_a_found_stage_does_not_bring_back_what_was_ended(state: State) -> None:
    facts = done(ISSUED.plan, placed(lost(), 2, state), CHECK, Staged(True, Handle("h")))
    assert facts.state(NEW, HOME) is state
    assert NEW in facts.kept, "it can be tried"


def test_a_found_stage_does_not_call_what_is_doomed_installed() -> None:
    """A kill of it may be under way."""
    facts = done(ISSUED.plan, lost().but(doomed=frozenset({NEW})), CHECK, Staged(True, Handle("h")))
    assert facts.state(NEW, HOME) is State.MAYBE
    assert facts.handles[NEW, HOME] == "h"


def test_a_found_stage_of_our_own_value_says_nothing_about_a_platform() -> None:
    facts = nobody_has(advancing(O, State.MAYBE), 2).but(stored=frozenset({OLD, NEW}))
    facts = done(O.plan, facts, CHECK, Staged(True, Handle("h")))
    assert facts.state(NEW, HOME) is State.MAYBE
    assert (NEW, HOME) not in facts.handles


LISTS = make("l", issuing())


@pytest.mark.parametrize(
    ("config", "state", "current", "doomed"),
    [
        (ISSUED, State.MAYBE, OLD, True),
        (ISSUED, State.MAYBE, NEW, False),
        (ISSUED, State.GONE, OLD, False),
        (LISTS, State.MAYBE, OLD, False),
        (IN_PLACE, State.MAYBE, OLD, False),
    ],
)
def test_a_lost_issue_that_was_not_staged_is_no_target_unless_current_or_a_list_can_give_it_back(
    config, state: State, current: Gen, doomed: bool
) -> None:
    facts = nobody_has(advancing(config, state), 2).but(stored=frozenset({OLD, NEW}), current=frozenset({current}))
    facts = done(config.plan, facts, CHECK, Staged(False))
    assert NEW not in facts.kept | facts.stored
    assert (NEW in facts.doomed) is doomed


@pytest.mark.parametrize(
    ("config", "after", "doomed"), [(ISSUED, State.MAYBE, True), (LISTS, State.MAYBE, True), (O, State.GONE, False)]
)
def test_an_issued_value_that_is_rejected_stays_possibly_alive_and_another_is_made(
    config, after: State, doomed: bool
) -> None:
    """The platform may still let it in. Our own value is simply not there, and is set again."""
    facts = advancing(config, State.INSTALLED)
    verify = Step(StepKind.VERIFY, NEW, HOME)
    facts = done(config.plan, facts, verify, Probed(Answer.REJECTED))
    assert facts.state(NEW, HOME) is after
    assert (NEW in facts.doomed) is doomed
    assert facts.refusal is not None
    assert facts.refusal.step == verify


@pytest.mark.parametrize(("at", "state", "again"), [(11, State.INSTALLED, 12), (12, State.GONE, None)])
def test_k9_a_rejection_soon_after_the_write_is_a_wait_also_where_a_value_was_displaced(
    at: int, state: State, again: int | None
) -> None:
    config = make("p", in_place(), clocks=replace(NO_TIME, settle=9))
    facts = advancing(config, None)
    facts = placed(facts, 2, Placement(State.INSTALLED, acked_at=3))
    verify = Step(StepKind.VERIFY, NEW, HOME)
    facts = done(config.plan, facts, verify, Probed(Answer.REJECTED), at=at)
    assert facts.state(NEW, HOME) is state
    assert (facts.refusal is None) is (again is not None)
    effort = facts.attempts[Effort(StepKind.VERIFY, Role.CANDIDATE, HOME)]
    assert effort.not_before == (at if again is None else again)


# -- in a slot ---------------------------------------------------------------------------------------------------------

INSTALL, VERIFY = Step(StepKind.INSTALL, NEW, HOME), Step(StepKind.VERIFY, NEW, HOME)


def test_an_intent_to_take_a_slot_believes_that_it_may_come_to_be_and_counts_the_proof_anew() -> None:
    facts = placed(placed(advancing(IN_PLACE), 1, replace(TRIED, swept=True)), 2, replace(TRIED, swept=True))
    facts = intend(IN_PLACE.plan, facts, INSTALL)
    new = row_of(facts, 2)
    assert (new.state, new.rejections, new.first, new.last, new.grade, new.absent) == (
        State.MAYBE,
        0,
        None,
        None,
        None,
        0,
    )
    assert not row_of(facts, 1).swept, "what it may displace is swept once more"
    assert row_of(facts, 1).state is State.GONE


@pytest.mark.parametrize("old", [State.MAYBE, State.ALIVE, State.LINGERS, State.GONE])
def test_k4_an_acknowledged_write_to_a_slot_ends_what_was_in_it_also_what_was_gone_before(old: State) -> None:
    """The proof counts from the last end of the value."""
    facts = placed(advancing(IN_PLACE, None), 1, replace(TRIED, state=old))
    row = row_of(done(IN_PLACE.plan, facts, INSTALL, Made(), at=9), 1)
    assert (row.state, row.gone_at, row.rejections, row.absent) == (State.GONE, 9, 0, 0)


@pytest.mark.parametrize(
    ("old", "after", "gone_at"),
    [(State.MAYBE, State.GONE, 9), (State.LINGERS, State.LINGERS, 5), (State.GONE, State.GONE, 5)],
)
def test_a_look_at_a_slot_ends_what_may_have_been_in_it_but_not_what_was_found_alive_after_a_kill(
    old: State, after: State, gone_at: int
) -> None:
    facts = placed(advancing(IN_PLACE, State.INSTALLED), 1, replace(TRIED, state=old))
    row = row_of(done(IN_PLACE.plan, facts, VERIFY, Probed(Answer.ALIVE), at=9), 1)
    assert (row.state, row.gone_at) == (after, gone_at)


def test_what_is_installed_again_has_derived_tokens_again() -> None:
    facts = placed(advancing(IN_PLACE, None), 2, replace(TRIED, swept=True))
    row = row_of(done(IN_PLACE.plan, facts, INSTALL, Made(), at=9), 2)
    assert (row.state, row.acked_at, row.swept) == (State.INSTALLED, 9, False)


@pytest.mark.parametrize(("before", "after"), [(None, 9), (3, 3)])
def test_a_value_that_is_seen_alive_was_written_at_the_latest_now(before: int | None, after: int) -> None:
    """Its settling counts from the write, if that was acknowledged."""
    facts = placed(advancing(O, None), 2, replace(TRIED, state=State.MAYBE, acked_at=before))
    row = row_of(done(O.plan, facts, VERIFY, Probed(Answer.ALIVE), at=9), 2)
    assert (row.state, row.alive_at, row.acked_at) == (State.ALIVE, 9, after)
    assert (row.rejections, row.first, row.last, row.grade) == (0, None, None, None)


def test_a_neutralisation_dooms_what_is_in_the_slot_and_no_filler() -> None:
    config = make("x", alternating())
    facts = made(made(advancing(config), 3), 4).but(fillers=frozenset({Gen(3), Gen(4)}))
    facts = placed(placed(facts, 1, State.ALIVE), 3, State.INSTALLED)
    facts = intend(config.plan, facts, Step(StepKind.NEUTRALISE, Gen(4), HOME))
    assert facts.doomed == {OLD, NEW}
    assert facts.state(Gen(3), HOME) is State.MAYBE


# -- kills, proofs, lists ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (State.ALIVE, State.MAYBE),
        (State.MAYBE, State.MAYBE),
        (State.GONE, State.MAYBE),
        (State.LINGERS, State.LINGERS),
    ],
)
def test_an_intent_to_revoke_makes_a_value_uncertain_but_not_one_that_outlived_a_kill(
    before: State, after: State
) -> None:
    facts = placed(advancing(), 1, before)
    assert intend(O.plan, facts, Step(StepKind.REVOKE, OLD, HOME)).state(OLD, HOME) is after


def test_what_is_found_alive_in_a_proof_is_listed_twice_more_before_it_counts_as_absent() -> None:
    facts = placed(advancing(), 1, replace(TRIED, absent_at=6))
    row = row_of(done(O.plan, facts, Step(StepKind.PROVE, OLD, HOME), Probed(Answer.ALIVE), at=9), 1)
    assert (row.state, row.alive_at, row.absent, row.absent_at) == (State.LINGERS, 9, 0, None)


@pytest.mark.parametrize(("known_at", "suspect"), [(HOME, False), (Home("b", "p"), True)])
def test_a_key_of_ours_is_no_stranger_at_its_own_home_only(known_at: Home, suspect: bool) -> None:
    """Handles are a platform's own: the same text elsewhere is another key."""
    config = make("s", issuing(2, Seen.SNAPSHOT))
    facts = nobody_has(advancing(config, State.MAYBE), 2)
    facts = facts.but(snapshots=facts.snapshots.put((NEW, HOME), frozenset()), handles=facts.handles.drop((OLD, HOME)))
    facts = facts.but(handles=facts.handles.put((OLD, known_at), Handle("h")))
    facts = done(config.plan, facts, Step(StepKind.FIND, NEW, HOME), Listed(frozenset({Row(Handle("h"))})))
    assert ((NEW, HOME) in facts.suspects) is suspect
    assert row_of(facts, 2).absent == (0 if suspect else 1)


LATE = Listed(frozenset({Row(Handle("late"), label_of(OLD))}))


def test_the_late_list_finds_a_value_of_ours_that_was_never_put_there() -> None:
    facts = advancing()
    facts = facts.but(placements=facts.placements.drop((OLD, HOME)), handles=facts.handles.drop((OLD, HOME)))
    facts = done(O.plan, facts, Step(StepKind.LIST, None, HOME), LATE)
    assert row_of(facts, 1) == Placement(State.MAYBE)
    assert facts.handles[OLD, HOME] == "late"


@pytest.mark.parametrize("state", [State.GONE, State.DEAD])
def test_the_late_list_takes_back_the_listings_without_the_value_and_keeps_its_past(state: State) -> None:
    facts = placed(advancing(), 1, replace(TRIED, state=state, absent=2, absent_at=6))
    row = row_of(done(O.plan, facts, Step(StepKind.LIST, None, HOME), LATE), 1)
    assert (row.state, row.absent, row.absent_at) == (State.MAYBE, 0, None)
    assert (row.acked_at, row.gone_at) == (3, 5)


@pytest.mark.parametrize("gen", [4, 9])
def test_no_number_is_left_out_when_a_value_is_made(gen: int) -> None:
    """Between two numbers nothing may hide."""
    with pytest.raises(IllegalEvent):
        evolve(O.plan, advancing(), Intended(Step(StepKind.STAGE, Gen(gen)), 0, 0, 1), 0)
    assert evolve(O.plan, advancing(), Intended(Step(StepKind.STAGE, Gen(3)), 0, 0, 1), 0).top == 3
