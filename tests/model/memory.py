"""A machine that remembers what it answered: the same facts are met in many worlds. Called by the explorer only.

Facts are kept once each, so that they can be told apart by identity: hashing them is what an exploration costs. One
memory serves one exploration, of one plan; it must not outlive it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from rotator.machine.decisions import Decision
from rotator.machine.events import Answered, Event
from rotator.machine.facts import Facts
from rotator.machine.ids import Millis
from rotator.machine.plan import Plan
from tests.model.world import World

Decide: TypeAlias = Callable[[Plan, Facts, Millis], Decision]
Evolve: TypeAlias = Callable[[Plan, Facts, Event, Millis], Facts]
Legal: TypeAlias = Callable[[Plan, Facts], tuple[Answered, ...]]
Check: TypeAlias = Callable[[Plan, Facts, World], str | None]


class Memory:
    """The four functions, each asked once for the same facts. `now` and `at` are always 0 in an exploration."""

    def __init__(self, decide: Decide, evolve: Evolve, legal: Legal, check: Check) -> None:
        self._decide, self._evolve, self._legal, self._check = decide, evolve, legal, check
        self._one: dict[Facts, Facts] = {}
        self._known: set[int] = set()
        self._decided: dict[int, Decision] = {}
        self._evolved: dict[int, dict[Event, Facts]] = {}
        self._answers: dict[int, tuple[Answered, ...]] = {}
        self._checked: dict[tuple[int, World], str | None] = {}

    def one(self, facts: Facts) -> Facts:
        """The one object that stands for equal facts."""
        if id(facts) in self._known:
            return facts
        kept = self._one.setdefault(facts, facts)
        self._known.add(id(kept))
        return kept

    def decide(self, plan: Plan, facts: Facts, now: Millis) -> Decision:
        """As the machine decides."""
        facts = self.one(facts)
        found = self._decided.get(id(facts))
        if found is None:
            found = self._decided[id(facts)] = self._decide(plan, facts, now)
        return found

    def evolve(self, plan: Plan, facts: Facts, event: Event, at: Millis) -> Facts:
        """As the machine evolves; what it raises is raised each time."""
        facts = self.one(facts)
        known = self._evolved.setdefault(id(facts), {})
        found = known.get(event)
        if found is None:
            found = known[event] = self.one(self._evolve(plan, facts, event, at))
        return found

    def legal(self, plan: Plan, facts: Facts) -> tuple[Answered, ...]:
        """As the machine answers."""
        facts = self.one(facts)
        found = self._answers.get(id(facts))
        if found is None:
            found = self._answers[id(facts)] = self._legal(plan, facts)
        return found

    def check(self, plan: Plan, facts: Facts, world: World) -> str | None:
        """The first invariant that is broken, or None."""
        key = (id(self.one(facts)), world)
        if key not in self._checked:
            self._checked[key] = self._check(plan, facts, world)
        return self._checked[key]
