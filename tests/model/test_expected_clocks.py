"""Every clock by its numbers: from when on a step may be taken, and until when a place stays closed, by expectation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rotator.machine.events import Answered, AnswerKind, Opened, Outcome
from rotator.machine.evolve import evolve
from rotator.machine.facts import Facts, LegName, Placement, RunKind, State
from rotator.machine.ids import ConsumerId, Gen, Home
from rotator.machine.plan import Clocks
from rotator.machine.reading import place_of
from rotator.machine.ripe import death_is_settled, in_place_home, ripe
from rotator.machine.steps import Made, OutcomeKind, Step, StepKind
from tests.model.configurations import NO_TIME, Configuration, alternating, in_place, issuing, make, overlap
from tests.model.standing import HOME, IDLE, QUIET, intend, made, placed, standing

O = make("o", overlap())  # noqa: E741 - the study's name for it
OLD, NEW = Gen(1), Gen(2)
ELSEWHERE = Home("gone from the plan", "p")
PUSH, OTHER_PUSH = (Step(StepKind.PUSH, NEW, consumer=ConsumerId(name)) for name in ("c1", "c2"))
INSTALL, PROVE = Step(StepKind.INSTALL, NEW, HOME), Step(StepKind.PROVE, OLD, HOME)


def advancing(config: Configuration = O) -> Facts:
    return placed(made(standing(config, LegName.ADVANCE, candidate=NEW), 2), 2, State.ALIVE)


# -- K3: places --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "at"),
    [
        (PUSH, 7),
        (OTHER_PUSH, 9),
        (Step(StepKind.PUSH, NEW, consumer=ConsumerId("c3")), 0),
        (Step(StepKind.PROMOTE, NEW), 0),
        (Step(StepKind.LIST, None, HOME), 9),
        (Step(StepKind.DESTROY, OLD), 9),
    ],
)
def test_k3_a_step_waits_for_its_own_place_and_the_late_list_and_a_destruction_for_all(step: Step, at: int) -> None:
    facts = advancing()
    for push, until in ((PUSH, 7), (OTHER_PUSH, 9)):
        facts = facts.but(closed_until=facts.closed_until.put(place_of(O.plan, push), until))
    assert ripe(O.plan, facts, step) == at


@pytest.mark.parametrize("kind", OutcomeKind)
def test_k3_every_outcome_but_done_and_unsent_leaves_its_place_closed_until_it_can_no_longer_land(
    kind: OutcomeKind,
) -> None:
    facts = intend(O.plan, placed(advancing(), 2, State.GONE), INSTALL)
    facts = evolve(O.plan, facts, Outcome(INSTALL, kind, Made() if kind is OutcomeKind.DONE else None, "no"), 1)
    assert facts.intent is None
    settled = kind in (OutcomeKind.DONE, OutcomeKind.UNSENT)
    assert dict(facts.closed_until) == ({} if settled else {place_of(O.plan, INSTALL): QUIET})


@pytest.mark.parametrize("kind", [StepKind.LIST, StepKind.DESTROY, StepKind.INSTALL])
def test_where_no_place_is_closed_nothing_waits(kind: StepKind) -> None:
    assert ripe(O.plan, advancing(), Step(kind, OLD, HOME)) == 0


@pytest.mark.parametrize(("settle", "at", "closed"), [(0, 99, True), (0, 100, False), (5, 104, True), (5, 105, False)])
def test_an_open_intent_of_an_abandoned_run_keeps_its_place_closed_over_the_next_opening(
    settle: int, at: int, closed: bool
) -> None:
    """Until it can no longer land, and what it did can be seen."""
    config = make("o", overlap(), clocks=replace(NO_TIME, settle=settle))
    facts = intend(config.plan, advancing(config), INSTALL)
    facts = evolve(config.plan, facts, Answered(AnswerKind.ABANDON), 1)
    assert facts.intent is not None
    facts = evolve(config.plan, facts, Opened(RunKind.ROTATE), at)
    assert facts.intent is None
    assert dict(facts.closed_until) == ({place_of(config.plan, INSTALL): QUIET} if closed else {})


# -- K1: overlap -------------------------------------------------------------------------------------------------------


def test_a_value_is_replaced_in_place_where_there_is_one_slot_and_one_principal() -> None:
    for shape, where, expected in (
        (in_place(), HOME, True),
        (alternating(), HOME, False),
        (alternating(), IDLE, False),
        (overlap(), HOME, False),
        (issuing(), HOME, False),
        (in_place(), ELSEWHERE, False),
    ):
        assert in_place_home(make("x", shape).plan, where) is expected, shape


def test_k1_nothing_is_revoked_before_its_overlap_is_over_but_in_place_there_is_none() -> None:
    clocks = replace(NO_TIME, overlap=10)
    for shape, step, at in (
        (overlap(), Step(StepKind.REVOKE, OLD, HOME), 15),
        (alternating(), Step(StepKind.NEUTRALISE, Gen(3), HOME), 15),
        (in_place(), Step(StepKind.NEUTRALISE, Gen(3), HOME), 0),
        (in_place(), Step(StepKind.INSTALL, NEW, HOME), 0),
    ):
        config = make("x", shape, clocks=clocks)
        facts = advancing(config)
        facts = facts.but(left_at=facts.left_at.put(OLD, 5))
        assert ripe(config.plan, facts, step) == at, shape


# -- K4: proofs --------------------------------------------------------------------------------------------------------

SPANS = replace(NO_TIME, settle=3)


@pytest.mark.parametrize(
    ("shape", "spans", "where", "at"),
    [
        (overlap(), SPANS, HOME, 103),
        (in_place(grace=7), SPANS, HOME, 107),
        (in_place(grace=2), SPANS, HOME, 103),
        (overlap(), replace(SPANS, derived_life=9), HOME, 109),
        (overlap(sweeps=True), replace(SPANS, derived_life=9), HOME, 103),
        (in_place(grace=7), SPANS, ELSEWHERE, 103),
        (in_place(grace=7), NO_TIME, ELSEWHERE, 100),
        (overlap(sweeps=True), replace(SPANS, derived_life=9), ELSEWHERE, 109),
    ],
)
def test_k4_a_death_is_settled_after_the_longest_of_settling_grace_and_derived_tokens_that_nothing_sweeps(
    shape, spans: Clocks, where: Home, at: int
) -> None:
    plan = make("x", shape, clocks=spans).plan
    assert death_is_settled(plan, Placement(State.GONE, gone_at=100), where) == at
    assert death_is_settled(plan, Placement(State.GONE, gone_at=100, grace_until=200), where) == 200


def test_what_never_ended_has_no_death_to_wait_for() -> None:
    plan = make("x", in_place(grace=7), clocks=SPANS).plan
    assert death_is_settled(plan, Placement(State.MAYBE), HOME) == 0


@pytest.mark.parametrize(
    ("times", "over", "rejections", "first", "last", "at"),
    [
        (1, 10, 1, 20, 20, 30),
        (2, 10, 1, 20, 20, 30),
        (2, 10, 2, 20, 24, 30),
        (2, 10, 5, 20, 29, 30),
        (3, 10, 1, 20, 20, 25),
        (3, 10, 2, 20, 25, 30),
        (3, 9, 1, 20, 20, 25),
        (4, 10, 2, 20, 30, 34),
        (2, 0, 1, 20, 20, 20),
        (3, 10, 0, None, None, 8),
        (3, 1, 1, 2, 2, 8),
    ],
)
def test_k4_rejections_are_spread_evenly_over_the_time_that_a_proof_takes(
    times: int, over: int, rejections: int, first: int | None, last: int | None, at: int
) -> None:
    """So many, over so long; none of them before the death is settled."""
    config = make("o", overlap(), clocks=replace(NO_TIME, settle=3, times=times, over=over))
    row = Placement(State.GONE, gone_at=5, rejections=rejections, first=first, last=last)
    assert ripe(config.plan, placed(advancing(config), 1, row), PROVE) == at
