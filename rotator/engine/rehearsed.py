"""What a rehearsal of a plan says to a person: its steps, who is cut off meanwhile, what cannot be undone. Pure.

Called by `enquiries` for plan and explain.
"""

from __future__ import annotations

from typing import Any

from rotator.machine.dryrun import Planned, Rehearsal
from rotator.machine.facts import Facts, RunKind
from rotator.machine.plan import Plan

from .wording import step_in_words


def undoable_of(dry: Rehearsal) -> list[str]:
    """What cannot be undone, in words."""
    return [step_in_words(one.step) for one in dry.cannot_be_undone if one.step is not None]


def replaced_of(plan: Plan, facts: Facts) -> list[str]:
    """Of an alternating pair: whose present password will be replaced, though nobody asked for that principal."""
    when = "by the first rotation" if plan.kind is RunKind.ADOPT else "by this run"
    if plan.kind not in {RunKind.ADOPT, RunKind.ROTATE, RunKind.OVERLAP, RunKind.CONTAIN}:
        return []
    used = {home for gen in facts.current for home in facts.homes.get(gen, ())}
    found = []
    for one in plan.authorities:
        if one.alternating:
            # Without anything in use yet, an adopted value is bound to the first of the pair.
            idle = next((home for home in one.homes() if home not in (used or {one.homes()[0]})), one.homes()[1])
            found.append(f"the idle principal {idle}: its present password will be replaced {when}")
    return found


def lines_of(dry: Rehearsal) -> list[dict[str, Any]]:
    """The lines of a rehearsal."""
    return [
        {
            "n": n,
            "leg": one.leg.value,
            "kind": "wait" if one.step is None else one.step.kind.value,
            "says": _wait_in_words(one) if one.step is None else step_in_words(one.step),
        }
        for n, one in enumerate(dry.lines, 1)
    ]


def _wait_in_words(one: Planned) -> str:
    seconds = max(0, (one.until or one.at) - one.at) / 1000
    return f"wait {seconds:g} s"


def exposure_of(dry: Rehearsal) -> list[str]:
    """When readers are locked out, in words."""
    return [
        f"from \u201c{step_in_words(one.step)}\u201d until the store is promoted, what readers fetch is refused"
        for one in dry.exposed
        if one.step is not None
    ]
