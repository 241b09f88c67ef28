"""Facts as they stand in one leg, built directly. Called by tests by expectation that begin where no story leads in a
few steps. They may be facts that no honest world brings about: what a line promises is asked of that line.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rotator.machine.events import Intended, Outcome
from rotator.machine.evolve import evolve
from rotator.machine.facts import Facts, LegName, Placement, Run, State
from rotator.machine.ids import Gen, Home, Millis
from rotator.machine.plan import Plan
from rotator.machine.reading import run_of
from rotator.machine.steps import Found, OutcomeKind, Step
from tests.model.configurations import Configuration, opening
from tests.model.world import label_of

HOME, IDLE = Home("a", "p"), Home("a", "q")
QUIET = 100
"""When what an intent of `intend` sent can no longer land."""


def standing(config: Configuration, leg: LegName, **of_run: Any) -> Facts:
    """What an adopt left (with a debt, the value in use is 2 and the debt 1), and a run that walks `leg`; the store's
    current was read."""
    facts, _ = opening(config)
    (serves,) = facts.current
    run = Run(config.runs[0], (leg,), **{"old": serves, **of_run})
    return facts.but(run=run, read_at=0)


def but_run(facts: Facts, **changes: Any) -> Facts:
    """With some fields of the run changed."""
    return facts.but(run=replace(run_of(facts), **changes))


def made(facts: Facts, gen: int, *homes: Home) -> Facts:
    """The generation is numbered, labelled and kept, and was not put anywhere yet."""
    number = Gen(gen)
    return facts.but(
        top=max(facts.top, number),
        kept=facts.kept | {number},
        stored=facts.stored | {number},
        homes=facts.homes.put(number, homes or (HOME,)),
        labels=facts.labels.put(number, label_of(number)),
    )


def nobody_has(facts: Facts, gen: int) -> Facts:
    """The value is not in the store: it cannot be tried."""
    return facts.but(kept=facts.kept - {Gen(gen)}, stored=facts.stored - {Gen(gen)})


def placed(facts: Facts, gen: int, row: Placement | State, home: Home = HOME) -> Facts:
    """With this row, or one that is in this state and knows nothing else."""
    row = row if isinstance(row, Placement) else Placement(row)
    return facts.but(placements=facts.placements.put((Gen(gen), home), row))


def intend(plan: Plan, facts: Facts, step: Step, at: Millis = 0) -> Facts:
    """The step's intent is open."""
    return evolve(plan, facts, Intended(step, QUIET, QUIET, 1), at)


def done(plan: Plan, facts: Facts, step: Step, found: Found = None, at: Millis = 0) -> Facts:
    """The step was acknowledged, and this was found."""
    return evolve(plan, intend(plan, facts, step, at), Outcome(step, OutcomeKind.DONE, found), at)


def refused(plan: Plan, facts: Facts, step: Step, at: Millis = 0) -> Facts:
    """The platform said no."""
    return evolve(plan, intend(plan, facts, step, at), Outcome(step, OutcomeKind.REFUSED, reason="no"), at)
