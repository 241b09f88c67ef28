"""Stories: one path through the model, told by the names of its transitions. Called by tests by expectation.

Between the named transitions everything goes the honest way and nobody says anything.
"""

from __future__ import annotations

from dataclasses import replace

from rotator.machine.answers import legal
from rotator.machine.events import Answered, AnswerKind
from rotator.machine.evolve import evolve
from rotator.machine.facts import Facts
from rotator.machine.ids import Gen
from tests.model.configurations import Configuration, opening
from tests.model.explorer import SHIPPED, Edge, State, edges_from


class Story:
    """Where the story is."""

    def __init__(self, config: Configuration, *told: str) -> None:
        self.config = replace(config, contain_now=True, said=9, whim=0)
        facts, world = opening(config)
        self.state = State(facts, world, config.runs, 99)
        for name in told:
            self.until(name)

    @property
    def facts(self) -> Facts:
        return self.state.facts

    def edges(self) -> list[Edge]:
        return list(edges_from(self.config, SHIPPED, self.state))

    def until(self, name: str) -> Story:
        """Go the honest way until a transition with this beginning can be taken, and take it."""
        for _ in range(80):
            edges = self.edges()
            meant = [edge for edge in edges if edge.name.strip() == name]
            meant += [edge for edge in edges if edge.name.startswith(name)]
            if meant:
                self.state = meant[0].after
                return self
            self.state = self._honest(edges, name)
        raise AssertionError(f"{name} never comes")

    def to_the_end(self) -> Story:
        """Go the honest way until the run ends or asks."""
        for _ in range(120):
            if self.facts.ending is not None or self.facts.question is not None:
                return self
            self.state = self._honest(self.edges(), "the end")
        raise AssertionError("it does not end")

    def _honest(self, edges: list[Edge], wanted: str) -> State:
        for edge in edges:
            free = edge.after.faults == self.state.faults and not edge.person
            if free and not edge.name.startswith("late"):
                return edge.after
        names = [edge.name for edge in edges]
        raise AssertionError(f"{wanted} does not come: there is {names}")

    def says(self, kind: AnswerKind) -> Story:
        """A person gives this answer; the first of its kind that is legal."""
        answer = next((one for one in self.legal() if one.kind is kind), Answered(kind))
        self.state = self.state._replace(facts=evolve(self.config.plan, self.facts, answer, 0))
        return self

    def legal(self) -> tuple[Answered, ...]:
        return legal(self.config.plan, self.facts)

    def may(self, kind: AnswerKind) -> bool:
        """Whether an answer of this kind is legal now."""
        return any(one.kind is kind for one in self.legal())

    def alive(self) -> set[Gen]:
        """What the platforms accept."""
        return {key.gen for key in self.state.world.accepted} - self.facts.fillers
