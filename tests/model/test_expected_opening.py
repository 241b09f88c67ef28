"""What comes between two runs, by expectation: a debt that a person accepts for a while, a value of ours that a sweep
found and that the next run takes up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rotator.machine.change import IllegalEvent
from rotator.machine.events import Accepted, Opened, Stray
from rotator.machine.evolve import evolve
from rotator.machine.facts import Ending, Facts, LegName, Placement, RunKind, State
from rotator.machine.ids import Gen, Handle, Home
from tests.model.configurations import make, overlap
from tests.model.standing import HOME, placed, standing
from tests.model.world import label_of

O = make("o + debt", overlap(), debt=True)  # noqa: E741 - the study's name for it
DEBT, SERVES = Gen(1), Gen(2)
ELSEWHERE = Home("a", "former")


def between_runs() -> Facts:
    return standing(O, LegName.RETURN).but(ending=Ending.OWED)


def after(facts: Facts, kind: RunKind, *strays: Stray, at: int = 0) -> Facts:
    return evolve(O.plan, facts, Opened(kind, strays=strays), at)


def stray(gen: int, home: Home = HOME, handle: str | None = "swept") -> Stray:
    return Stray(Gen(gen), home, label_of(Gen(gen)), None if handle is None else Handle(handle))


def buried() -> Facts:
    """Nothing is known any more of the value that was the debt."""
    facts = between_runs()
    return facts.but(
        homes=facts.homes.drop(DEBT),
        labels=facts.labels.drop(DEBT),
        placements=facts.placements.drop((DEBT, HOME)),
        handles=facts.handles.drop((DEBT, HOME)),
        stored=facts.stored - {DEBT},
        kept=facts.kept - {DEBT},
    )


@pytest.mark.parametrize("kind", [RunKind.RECONCILE, RunKind.RETIRE])
def test_a_stray_that_was_buried_comes_back_by_name_as_a_debt(kind: RunKind) -> None:
    facts = after(buried(), kind, stray(DEBT))
    assert facts.placements[DEBT, HOME] == Placement(State.MAYBE)
    assert (facts.homes[DEBT], facts.labels[DEBT], facts.handles[DEBT, HOME]) == ((HOME,), label_of(DEBT), "swept")
    assert DEBT in facts.doomed


@pytest.mark.parametrize("kind", [RunKind.ROTATE, RunKind.OVERLAP, RunKind.CONTAIN])
def test_no_other_run_takes_a_stray(kind: RunKind) -> None:
    with pytest.raises(IllegalEvent):
        after(buried(), kind, stray(DEBT))


@pytest.mark.parametrize("gen", [0, 3])
def test_a_stray_has_a_number_of_this_credential(gen: int) -> None:
    with pytest.raises(IllegalEvent):
        after(buried(), RunKind.RECONCILE, stray(gen))


@pytest.mark.parametrize("state", [State.GONE, State.LINGERS, State.MAYBE, State.ACCEPTED])
def test_a_stray_that_is_owed_already_or_was_accepted_stays_as_it_is(state: State) -> None:
    facts = placed(between_runs(), DEBT, Placement(state, gone_at=3))
    assert after(facts, RunKind.RECONCILE, stray(DEBT)) == after(facts, RunKind.RECONCILE)


def test_a_stray_that_serves_stays_as_it_is() -> None:
    """Its slot was lost sight of: it is current, and nothing that serves is ever doomed by a sweep."""
    facts = between_runs()
    facts = facts.but(placements=facts.placements.drop((SERVES, HOME)))
    assert after(facts, RunKind.RECONCILE, stray(SERVES)) == after(facts, RunKind.RECONCILE)


def test_a_stray_that_was_proven_dead_keeps_its_homes_and_the_handle_that_is_known() -> None:
    """What the ledger knows is worth more than what a sweep has heard."""
    facts = placed(between_runs(), DEBT, State.DEAD)
    known = facts.handles[DEBT, HOME]
    facts = after(facts.but(homes=facts.homes.put(DEBT, (ELSEWHERE, HOME))), RunKind.RECONCILE, stray(DEBT))
    assert facts.placements[DEBT, HOME] == Placement(State.MAYBE)
    assert facts.homes[DEBT] == (ELSEWHERE, HOME)
    assert facts.handles[DEBT, HOME] == known


def test_a_handle_that_was_never_learnt_stays_unknown() -> None:
    facts = after(buried(), RunKind.RECONCILE, stray(DEBT, handle=None))
    assert (DEBT, HOME) not in facts.handles


def accepted(facts: Facts, gen: Gen = DEBT, until: int = 5) -> Facts:
    return evolve(O.plan, facts, Accepted(gen, HOME, until), 0)


def test_a_debt_is_accepted_between_runs_and_is_never_a_target_again() -> None:
    facts = accepted(placed(between_runs(), DEBT, Placement(State.GONE, gone_at=3)))
    assert facts.placements[DEBT, HOME] == Placement(State.ACCEPTED, gone_at=3, until=5)
    assert facts.doomed == {DEBT}


def test_no_debt_is_accepted_while_a_run_is_open() -> None:
    with pytest.raises(IllegalEvent):
        accepted(between_runs().but(ending=None))


def test_what_serves_is_nothing_to_accept() -> None:
    with pytest.raises(IllegalEvent):
        accepted(between_runs(), SERVES)


@pytest.mark.parametrize(
    ("at", "row"), [(4, Placement(State.ACCEPTED, gone_at=3, until=5)), (5, Placement(State.MAYBE))]
)
def test_an_acceptance_that_is_over_when_a_run_opens_leaves_a_debt_of_which_nothing_is_known(
    at: int, row: Placement
) -> None:
    facts = accepted(placed(between_runs(), DEBT, Placement(State.GONE, gone_at=3)))
    assert after(facts, RunKind.ROTATE, at=at).placements[DEBT, HOME] == row


def test_what_was_ended_after_it_was_accepted_is_not_brought_back_by_the_end_of_its_acceptance() -> None:
    """It took a slot, was revoked and proven dead: the moment up to which a person took the risk says nothing more."""
    facts = accepted(between_runs())
    row = replace(facts.placements[DEBT, HOME], state=State.DEAD)
    assert after(placed(facts, DEBT, row), RunKind.ROTATE, at=9).placements[DEBT, HOME] == row
