"""Time in the model: `now` is always 0, and a tick moves every instant of the facts one back. Instants so long past that no
clock can tell them apart are kept equal, so that there are finitely many states."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rotator.machine.decisions import Decision
from tests.model.configurations import Configuration
from tests.model.world import World

if TYPE_CHECKING:
    from tests.model.explorer import Edge, State


def ticks(config: Configuration, state: State, decision: Decision) -> Iterator[Edge]:
    """One tick, wherever no call is in progress."""
    return iter(())


def noticed(config: Configuration, before: World, after: World) -> World:
    """A value that left current may be used by readers for the overlap."""
    return after
