"""The ledger's contract: debts and probe counts, computed from the facts and events that are appended."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rotator.engine.ports import Claim, Debt, LeaseLost, Ledger
from rotator.machine.events import Finished, Intended
from rotator.machine.facts import Ending, Facts, Placement, State
from rotator.machine.ids import Gen, Handle, Home, Label
from rotator.machine.steps import Step, StepKind

from .drivers import Driver
from .samples import HOME, T0, definition, owing, reading, start
from .test_inventory import ALPHA, BETA


def begun(ledger: Ledger, credential: str = "alpha") -> tuple[Claim, Facts]:
    ledger.accept([definition("alpha"), definition("beta")], {}, T0)
    return start(ledger, f"r-{credential}", credential)


def owed(ledger: Ledger) -> list[tuple[int, State, int]]:
    return [(debt.gen, debt.state, debt.since) for debt in ledger.debts()]


def test_a_debt_says_whose_which_where_and_since_when(ledger: Ledger, driver: Driver) -> None:
    claim, facts = begun(ledger)
    ledger.append(claim, [reading()], owing(facts, 3, state=State.GONE), T0 + 7)
    expected = Debt(ALPHA, Gen(3), HOME, State.GONE, T0 + 7, Label("rot-x-3"), Handle("h-3"))
    assert ledger.debts() == ledger.debts(ALPHA) == [expected]
    assert ledger.debts(BETA) == []
    other = driver()
    assert other.debts() == [expected]
    other.close()


def test_every_state_that_is_not_proven_dead_is_owed(ledger: Ledger) -> None:
    claim, facts = begun(ledger)
    found = {}
    for number, state in enumerate(State):
        ledger.append(claim, [reading()], owing(facts, 3, state=state), T0 + number)
        found[state] = bool(ledger.debts())
    paid = {State.DEAD, State.ACCEPTED}
    assert found == {state: state not in paid for state in State}


def test_what_is_current_or_may_be_is_no_debt(ledger: Ledger) -> None:
    claim, facts = begun(ledger)
    facts = owing(facts, 3, 4, 5, current=4)
    ledger.append(claim, [reading()], facts, T0 + 1)
    assert [gen for gen, _, _ in owed(ledger)] == [3, 5]
    ledger.append(claim, [reading()], facts.but(current=frozenset({Gen(3), Gen(4)})), T0 + 2)
    assert [gen for gen, _, _ in owed(ledger)] == [5]


def test_the_target_of_the_open_run_becomes_a_debt_when_the_run_ends_without_it(ledger: Ledger) -> None:
    claim, facts = begun(ledger)
    assert facts.run is not None
    old = Gen(1)
    facts = owing(facts, old).but(run=replace(facts.run, old=old))
    ledger.append(claim, [reading()], facts, T0 + 1)
    assert ledger.debts() == []  # the repair leg's target
    ended = facts.but(ending=Ending.ABANDONED)
    ledger.append(claim, [Finished(Ending.ABANDONED)], ended, T0 + 9)
    assert owed(ledger) == [(old, State.MAYBE, T0 + 9)]


def test_a_debt_keeps_its_age_while_its_state_changes_and_begins_anew_once_paid(ledger: Ledger) -> None:
    claim, facts = begun(ledger)
    for at, state in ((1, State.MAYBE), (2, State.GONE), (3, State.LINGERS)):
        ledger.append(claim, [reading()], owing(facts, 3, state=state), T0 + at)
    assert owed(ledger) == [(3, State.LINGERS, T0 + 1)]
    ledger.append(claim, [reading()], owing(facts, 3, state=State.DEAD), T0 + 4)
    assert owed(ledger) == []
    ledger.append(claim, [reading()], owing(facts, 3, state=State.LINGERS), T0 + 5)
    assert owed(ledger) == [(3, State.LINGERS, T0 + 5)]


def test_a_placement_that_never_was_is_forgotten(ledger: Ledger) -> None:
    claim, facts = begun(ledger)
    ledger.append(claim, [reading()], owing(facts, 3, 4), T0 + 1)
    ledger.append(claim, [reading()], owing(facts, 4), T0 + 2)
    assert [gen for gen, _, _ in owed(ledger)] == [4]


def test_debts_of_all_credentials_come_oldest_first(ledger: Ledger) -> None:
    claim, facts = begun(ledger)
    other, more = begun(ledger, "beta")
    ledger.append(other, [reading()], owing(more, 2), T0 + 1)
    ledger.append(claim, [reading()], owing(facts, 9), T0 + 2)
    assert [(debt.credential, debt.gen) for debt in ledger.debts()] == [(BETA, 2), (ALPHA, 9)]


def test_the_same_generation_at_two_homes_is_two_debts(ledger: Ledger) -> None:
    claim, facts = begun(ledger)
    second = Home("api", "svc-b")
    facts = owing(facts, 3)
    facts = facts.but(placements=facts.placements.put((Gen(3), second), Placement(State.LINGERS)))
    ledger.append(claim, [reading()], facts, T0 + 1)
    assert {(debt.home, debt.handle) for debt in ledger.debts()} == {(HOME, Handle("h-3")), (second, None)}


def proving(gen: int, home: Home = HOME) -> Intended:
    return Intended(Step(StepKind.PROVE, Gen(gen), home), T0, T0, 1)


def test_negative_probes_are_counted_per_home_over_runs_and_restarts(ledger: Ledger, driver: Driver) -> None:
    claim, facts = begun(ledger)
    other, more = begun(ledger, "beta")
    elsewhere = Home("api", "svc-b")
    ledger.append(claim, [proving(1)], facts, T0 + 10)
    ledger.append(claim, [proving(1), reading(), proving(2)], facts, T0 + 20)
    ledger.append(other, [proving(1)], more, T0 + 30)
    ledger.append(other, [proving(1, elsewhere)], more, T0 + 30)
    verify = Intended(Step(StepKind.VERIFY, Gen(1), HOME), T0, T0, 1)
    ledger.append(other, [verify], more, T0 + 30)
    ledger.close()
    again = driver()
    assert [again.probes(HOME, T0 + since) for since in (0, 10, 11, 21, 31)] == [4, 4, 3, 1, 0]
    assert (again.probes(elsewhere, T0), again.probes(Home("none", "x"), T0)) == (1, 0)
    again.close()


def test_a_refused_append_changes_no_projection(ledger: Ledger) -> None:
    claim, facts = begun(ledger)
    before = (ledger.debts(), ledger.credentials(), ledger.runs())
    stale = Claim(claim.run, claim.fence + 1, claim.lease_until)
    for events in ([proving(1)], [Finished(Ending.OWED)]):
        with pytest.raises(LeaseLost):
            ledger.append(stale, events, owing(facts, 3), T0 + 1)
    assert (ledger.debts(), ledger.credentials(), ledger.runs()) == before
    assert (ledger.probes(HOME, 0), ledger.sequence()) == (0, 1)
