"""The positive control beside a refusal, strongest first. Called by `perform.prove`.

A refusal alone proves nothing: the account may be locked, the proxy in the way, the platform ill. The control is tried
by the same ability on the same endpoint, before the value that should be dead, and its kind is the grade of the proof.
A control on another principal does not exclude that the principal is merely locked: that is grade 3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rotator.engine.ports import Work
from rotator.machine.facts import HERE, State
from rotator.machine.ids import Gen, Home
from rotator.machine.steps import Grade
from rotator.plugin_api import Secret


@dataclass(frozen=True, slots=True)
class Control:
    """What held, and in words for the evidence."""

    grade: Grade
    what: str


def find_control(
    work: Work,
    home: Home,
    *,
    value_of: Callable[[Gen], Secret | None],
    alive: Callable[[Home, Gen, Secret], bool],
    witness: Callable[[], bool],
    handles: Callable[[], frozenset[str] | None],
) -> Control | None:
    """The strongest control that holds now, or None.

    `alive` tries a value of ours at a home; `witness` the endpoint's own credential; `handles` lists what lives at the
    home (None: no healthy listing).
    """
    gen = work.step.gen
    for grade, what, candidates in _levels(work, home):
        for other_home, other in candidates:
            value = value_of(other)
            if other != gen and value is not None and alive(other_home, other, value):
                return Control(grade, f"{what} g{other} at {other_home}")
    if witness():
        return Control(Grade.WITNESS, f"witness: the admin credential of {home.endpoint}")
    placement = None if gen is None else work.facts.placed(gen, home)
    handle = None if gen is None else work.facts.handles.get((gen, home))
    if placement is not None and placement.alive_at is not None and handle is not None:
        listed = handles()
        if listed is not None and handle not in listed:
            return Control(Grade.LISTING, "listing without the handle, seen alive before the revoke")
    return None


def _levels(work: Work, home: Home) -> list[tuple[Grade, str, list[tuple[Home, Gen]]]]:
    here = [
        (where, gen)
        for (gen, where), row in work.facts.placements.items()
        if where.endpoint == home.endpoint and gen != work.step.gen and _may_serve(work, gen, row.state)
    ]
    same = sorted((pair for pair in here if pair[0] == home), key=lambda pair: -pair[1])
    fillers = work.facts.fillers
    return [
        (Grade.SUCCESSOR, "successor", [pair for pair in same if pair[1] not in fillers]),
        (Grade.NEUTRAL, "neutral value", [pair for pair in same if pair[1] in fillers]),
        (Grade.WITNESS, "witness", [pair for pair in here if pair[0] != home]),
    ]


def _may_serve(work: Work, gen: Gen, state: State) -> bool:
    """In place, or possibly so and meant to be: a value that is to die is no control, and trying it costs budget."""
    return state in HERE or (state is State.MAYBE and gen not in work.facts.doomed)
