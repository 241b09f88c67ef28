"""What a rung that does not hold asks for. Made by the rungs, weighed by `decide`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from rotator.machine.decisions import Turn
from rotator.machine.facts import Facts, Question
from rotator.machine.ids import Gen, Millis
from rotator.machine.plan import Plan
from rotator.machine.steps import Step


@dataclass(frozen=True, slots=True)
class Impossible:
    """No step makes the rung hold. `policy`: the run may turn instead of asking."""

    question: Question
    policy: bool = False


@dataclass(frozen=True, slots=True)
class Pause:
    """Only time makes the rung hold."""

    until: Millis
    why: str


Need: TypeAlias = Step | Impossible | Pause | Turn
Needs: TypeAlias = tuple[Need, ...]
"""Empty: the rung holds. Else in order; where the ladder says so, the first that is ripe is taken (K8)."""

Rung: TypeAlias = Callable[[Plan, Facts, Gen | None, Millis], Needs]
"""rung(plan, facts, target, now) -> what it needs."""
