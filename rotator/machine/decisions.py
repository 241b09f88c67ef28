"""What `decide` answers. Read by the engine's runner, which alone knows what to commit and perform for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from rotator.machine.facts import Ending, LegName, Question
from rotator.machine.ids import Gen, Millis
from rotator.machine.steps import Step


@dataclass(frozen=True, slots=True)
class Look:
    """An intent of a worker that is gone is open. Commit Outcome(step, UNKNOWN): the facts stay as the intent left
    them, its place stays closed until its quiet_until, and the finding-out is what the next decision gives."""

    step: Step


@dataclass(frozen=True, slots=True)
class Do:
    """Ask `holds`, commit Intended, perform, commit Outcome. `before`: the kill that this verify precedes (K2)."""

    step: Step
    before: Step | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before `until`; `step` is what will then be due, `why` a reason code."""

    until: Millis
    step: Step | None
    why: str


@dataclass(frozen=True, slots=True)
class Turn:
    """Commit Turned with the same fields."""

    legs: tuple[LegName, ...]
    why: str
    old: Gen | None = None
    way_back: bool | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """Commit Asked, unless facts.question is this one already: then a person's answer is awaited."""

    question: Question


@dataclass(frozen=True, slots=True)
class Finish:
    """Commit Finished, unless facts.ending is set already: then the run is over."""

    ending: Ending


Decision: TypeAlias = Look | Do | Wait | Turn | Ask | Finish
