"""The guard: nothing in use is ever killed outside contain, retire and give up.

Asked by `decide` before every kill, and before every install that takes another value's place (unless that is the
credential's nature). With a way back it never fires in a correct ladder: that it does not is a test (G1). Must read
nothing but facts.
"""

from __future__ import annotations

from rotator.machine.facts import LIVES, OWED, Facts, Topic
from rotator.machine.plan import Plan
from rotator.machine.reading import (
    RUTHLESS,
    current_known,
    in_place,
    is_kill,
    leg_of,
    maybe_held,
    run_of,
    target_of,
    victims,
    works,
)
from rotator.machine.steps import Step, StepKind


def objection(plan: Plan, facts: Facts, step: Step) -> Topic | None:
    """Why the step must not be taken, or None."""
    target = target_of(facts)
    if step.kind in (StepKind.INSTALL, StepKind.PROMOTE, StepKind.PUSH) and step.gen in facts.doomed:
        return Topic.IN_USE
    if step.kind in (StepKind.PROMOTE, StepKind.PUSH) and step.gen is not None and not works(facts, step.gen):
        return Topic.NOT_VERIFIED
    if step.kind is StepKind.REVOKE and step.gen == target:
        return Topic.IN_USE
    if leg_of(facts) in RUTHLESS or in_place(plan, facts, step):
        return None
    return _in_use(plan, facts, step)


def _in_use(plan: Plan, facts: Facts, step: Step) -> Topic | None:
    way_back = run_of(facts).way_back
    counted = LIVES if way_back else OWED
    hit = [(gen, row) for gen, _, row in victims(plan, facts, step) if row.state in counted]
    for gen, _ in hit:
        if gen in facts.current or maybe_held(plan, facts, gen):
            return Topic.IN_USE
    if way_back and (hit or is_kill(step)):
        serves = current_known(facts)
        if serves is None or not works(facts, serves):
            return Topic.NOT_VERIFIED
    return None
