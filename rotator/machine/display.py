"""What people see of a run: a word and a progress, derived from leg and rung, never stored.

Called by the engine's views. The progress may fall back, and the word says why. Must decide nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from rotator.machine.facts import Facts, LegName
from rotator.machine.ids import Millis
from rotator.machine.ladder import LEGS, RUNGS
from rotator.machine.plan import Plan
from rotator.machine.reading import leg_of, target_of

PREFIX = {
    LegName.RETURN: "going back: ",
    LegName.CONTAIN: "containing: ",
    LegName.GIVE_UP: "giving up: ",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """`word` for people; `held` of `rungs` of the leg that is walked; `rung` that does not hold, None if all do."""

    word: str
    leg: LegName | None
    rung: str | None
    held: int
    rungs: int


def shown(plan: Plan, facts: Facts, now: Millis) -> Shown:
    """Where a run stands. Of an ended run the word is its ending, of one never opened "idle"."""
    if facts.run is None:
        return Shown("idle", None, None, 0, 0)
    leg = leg_of(facts)
    rungs = LEGS[leg].rungs
    if facts.ending is not None:
        return Shown(facts.ending.value.replace("_", " "), leg, None, len(rungs), len(rungs))
    target = target_of(facts)
    open_rungs = [name for name in rungs if RUNGS[name].needs(plan, facts, target, now)]
    held = len(rungs) - len(open_rungs)
    first = open_rungs[0] if open_rungs else None
    word = PREFIX.get(leg, "") + (RUNGS[first].word if first is not None else "finishing")
    if facts.question is not None:
        word = f"waiting for you: {facts.question.topic.value.replace('_', ' ')}"
    return Shown(word, leg, None if first is None else first.value, held, len(rungs))
