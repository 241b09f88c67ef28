"""The explorer: every state that the machine and the world can reach with so many faults, breadth first.

`explore(configuration, faults)` asks the machine it is given (the shipped one unless told otherwise) and checks the
invariants of every state, of every ending, and of the whole graph: L1 an ending is in reach from everywhere, L2
without a fault the run succeeds, and no cycle without a person. Patched copies of the machine are explored by running
this package with another directory first on the path.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from rotator.machine.answers import legal as shipped_legal
from rotator.machine.decide import decide as shipped_decide
from rotator.machine.decisions import Ask, Do, Finish, Look, Turn, Wait
from rotator.machine.events import Answered, AnswerKind, Asked, Event, Finished, Intended, Opened, Outcome, Turned
from rotator.machine.evolve import evolve as shipped_evolve
from rotator.machine.facts import Ending, Facts, LegName, RunKind, Topic
from rotator.machine.ids import Handle, Home
from rotator.machine.reading import RUTHLESS, leg_of, makes_value, run_of
from rotator.machine.steps import OutcomeKind, Step, StepKind
from tests.model import clock, invariants
from tests.model.accepting import acceptances
from tests.model.configurations import Configuration, opening
from tests.model.memory import Check, Decide, Evolve, Legal, Memory
from tests.model.physics import branches
from tests.model.world import STRANGER, Key, World, die, handle_of, label_of, platform_takes


class Machine(NamedTuple):
    """The functions explored, and what is asked of every state."""

    decide: Decide
    evolve: Evolve
    legal: Legal = shipped_legal
    check: Check = invariants.always


SHIPPED = Machine(shipped_decide, shipped_evolve)
WAY_ON = frozenset({Topic.IN_USE, Topic.NO_ROOM, Topic.NOT_VERIFIED})
"""Questions for which contain now is an offered way on."""


class State(NamedTuple):
    """One state: the facts, the truth, what is still to come."""

    facts: Facts
    world: World
    runs: tuple[RunKind, ...]
    faults: int
    said: int = 0


class Edge(NamedTuple):
    """One transition. `person` and `counted` edges are left out of the termination check."""

    name: str
    after: State
    person: bool = False
    counted: bool = False


class Violation(Exception):
    """Found on the way from a state, in no state of its own."""


@dataclass
class Result:
    """What was explored, and what was found: each with the shortest trace."""

    name: str
    states: int = 0
    transitions: int = 0
    seconds: float = 0.0
    endings: dict[str, int] = field(default_factory=dict)
    violations: list[tuple[str, list[str]]] = field(default_factory=list)


def explore(
    config: Configuration, faults: int, machine: Machine = SHIPPED, stop_at_first: bool = True, limit: int = 3_000_000
) -> Result:
    """Explore one configuration with at most `faults` faults. Raises nothing for a violation: it is in the result."""
    collecting = gc.isenabled()
    gc.disable()  # States hold no cycles, and looking for some among millions takes a third of the time.
    try:
        return _Search(config, faults, machine, stop_at_first, limit).run()
    finally:
        if collecting:
            gc.enable()


class _Search:
    def __init__(self, config: Configuration, faults: int, machine: Machine, stop: bool, limit: int) -> None:
        self.config, self.stop, self.limit = config, stop, limit
        self.memory = Memory(*machine)
        self.machine = Machine(self.memory.decide, self.memory.evolve, self.memory.legal, self.memory.check)
        invariants.forget()
        facts, world = opening(config)
        self.first = State(facts, world, config.runs, faults)
        self.result = Result(config.name)
        self.number: dict[tuple[int, World, tuple[RunKind, ...], int, int], int] = {}
        self.states: list[State] = []
        self.came: list[tuple[int, str]] = []
        self.edges: list[list[tuple[int, bool]]] = []
        self.good: list[int] = []

    def run(self) -> Result:
        began = time.perf_counter()
        self._visit(self.first, -1, "")
        at = 0
        while at < len(self.states) and not (self.stop and self.result.violations):
            self._expand(at)
            at += 1
            if len(self.states) > self.limit:
                self._found("the limit of states was reached", at - 1)
                break
        self.result.states = len(self.states)
        if not self.result.violations:
            self._whole()
        self.result.seconds = time.perf_counter() - began
        return self.result

    def _visit(self, state: State, source: int, name: str) -> int:
        facts = self.memory.one(state.facts)
        index = self.number.setdefault((id(facts), *state[1:]), len(self.states))
        if index < len(self.states):
            return index
        self.states.append(state if facts is state.facts else state._replace(facts=facts))
        self.came.append((source, name))
        self.edges.append([])
        broken = self.memory.check(self.config.plan, facts, state.world)
        if broken is None and state.facts.ending is not None:
            broken = invariants.at_end(self.config.plan, state.facts, state.world)
        if broken is not None:
            self._found(broken, index)
        return index

    def _expand(self, at: int) -> None:
        state = self.states[at]
        try:
            for edge in edges_from(self.config, self.machine, state):
                after = edge.after
                target = self._visit(after, at, edge.name)
                self.result.transitions += 1
                self.edges[at].append((target, edge.person or edge.counted))
        except Violation as broken:
            self._found(str(broken), at)
        except (ValueError, LookupError, AssertionError) as broken:
            self._found(f"{type(broken).__name__}: {broken}", at)
        if state.facts.ending is not None:
            ending = state.facts.ending
            word = ending.value
            self.result.endings[word] = self.result.endings.get(word, 0) + 1
            if ending is not Ending.ABANDONED:
                self.good.append(at)

    def _found(self, what: str, at: int) -> None:
        self.result.violations.append((what, self.trace(at)))

    def trace(self, at: int) -> list[str]:
        """The names of the transitions from the start to a state."""
        names: list[str] = []
        while at > 0:
            at, name = self.came[at]
            names.append(name)
        return names[::-1]

    def _whole(self) -> None:
        self._reachable()
        self._acyclic()
        self._faultless()

    def _reachable(self) -> None:
        """L1."""
        back: list[list[int]] = [[] for _ in self.states]
        for source, targets in enumerate(self.edges):
            for target, _ in targets:
                back[target].append(source)
        seen = set(self.good)
        todo = list(self.good)
        while todo:
            for source in back[todo.pop()]:
                if source not in seen:
                    seen.add(source)
                    todo.append(source)
        for at, state in enumerate(self.states):
            told = state.said < self.config.said
            if at not in seen and state.facts.ending is not Ending.ABANDONED and told:
                self._found("L1: no ending is in reach", at)
                return

    def _acyclic(self) -> None:
        """Termination: what neither a person nor a counted attempt moves comes to an end."""
        inward = [0] * len(self.states)
        for targets in self.edges:
            for target, free in targets:
                inward[target] += not free
        todo = [at for at, n in enumerate(inward) if n == 0]
        done = 0
        while todo:
            at = todo.pop()
            done += 1
            for target, free in self.edges[at]:
                if not free:
                    inward[target] -= 1
                    if inward[target] == 0:
                        todo.append(target)
        if done != len(self.states):
            at = next(at for at, n in enumerate(inward) if n > 0)
            self._found("termination: a cycle without a person", at)

    def _faultless(self) -> None:
        """L2: with nothing going wrong every run succeeds."""
        state, hops = self.first, 0
        while hops < 500:
            hops += 1
            following = [e for e in edges_from(self.config, self.machine, state) if not e.person]
            following = [e for e in following if e.after.faults == state.faults and not e.name.startswith("late ")]
            if not following:
                break
            state = following[0].after
        if state.facts.ending is not Ending.SUCCEEDED:
            self.result.violations.append((f"L2: without a fault it ends {state.facts.ending}", []))


def edges_from(config: Configuration, machine: Machine, state: State) -> Iterator[Edge]:
    """Every transition out of a state."""
    facts = state.facts
    if facts.run is None or facts.ending is not None:
        if state.runs:
            yield _open(config, machine, state)
            for taken, name in acceptances(config, facts):
                yield _commit(config, machine, state, taken, name, person=True)
        return
    yield from _nature(config, state)
    decision = machine.decide(config.plan, facts, 0)
    if isinstance(decision, Do):
        yield from _perform(config, machine, state, decision)
    elif isinstance(decision, Look):
        yield _commit(config, machine, state, Outcome(decision.step, OutcomeKind.UNKNOWN), "look")
    elif isinstance(decision, Wait):
        if not config.timed:
            raise Violation(f"a wait where there is no time: {decision}")
    elif isinstance(decision, Turn):
        event = Turned(decision.legs, decision.why, decision.old, decision.way_back)
        yield _commit(config, machine, state, event, f"turn {decision.legs[0].value}: {decision.why}")
    elif isinstance(decision, Finish):
        yield _commit(config, machine, state, Finished(decision.ending), f"finished {decision.ending.value}")
    elif isinstance(decision, Ask) and facts.question is None:
        topic = decision.question.topic.value
        yield _commit(config, machine, state, Asked(decision.question), f"asked {topic} {say(decision.question.step)}")
    yield from _person(config, machine, state)
    if config.timed:
        for tick in clock.ticks(config, facts, state.world, decision):
            if tick.cost <= state.faults:
                after = state._replace(facts=tick.facts, world=tick.world, faults=state.faults - tick.cost)
                # Where the machine waits, time must lead on; elsewhere a tick is a hold, which may last for ever.
                yield Edge(tick.name, after, counted=not isinstance(decision, Wait))


def say(step: Step | None) -> str:
    """A step in a trace."""
    if step is None:
        return ""
    parts = [step.kind.value, step.gen, step.home, step.consumer]
    return " ".join(str(part) for part in parts if part is not None)


def _open(config: Configuration, machine: Machine, state: State) -> Edge:
    kind, rest = state.runs[0], state.runs[1:]
    handles: tuple[tuple[Home, Handle], ...] = ()
    if kind is RunKind.ADOPT:
        keys = [key for key in state.world.accepted if key.gen == state.world.current]
        handles = tuple((key.home, handle_of(key)) for key in sorted(keys))
    facts = machine.evolve(config.plan, state.facts, Opened(kind, handles), 0)
    # What the run before killed on purpose is nothing that this one owes to a reader.
    let_in = tuple(r for r in state.world.recent if invariants.accepted_everywhere(config.plan, state.world, r[0]))
    world = state.world._replace(broken=False, expired=False, recent=let_in)
    # What it killed and is dying still counts as gone: the run opens upon a broken world all the same.
    ended = world
    for key, _ in world.dying:
        ended = die(ended, key)
    whole = (
        invariants.retrievable(config.plan, ended)
        and invariants.accepted_everywhere(config.plan, ended, ended.current)
        and invariants.consumers_served(config.plan, facts, ended)
    )
    world = world._replace(broken=not whole)
    return Edge(f"opened {kind.value}", State(facts, world, rest, state.faults))


def _commit(config: Configuration, machine: Machine, state: State, event: Event, name: str, **more: bool) -> Edge:
    facts = machine.evolve(config.plan, state.facts, event, 0)
    said, faults = state.said, state.faults
    if isinstance(event, Answered) and event.kind in (AnswerKind.GO_BACK, AnswerKind.GO_ON):
        said += 1
        if event.kind is AnswerKind.GO_BACK and state.facts.question is None:
            faults -= config.whim
    after = State(facts, state.world, state.runs, faults, said)
    return Edge(name, after, **more)


def _perform(config: Configuration, machine: Machine, state: State, do: Do) -> Iterator[Edge]:
    step, facts = do.step, state.facts
    _allowed(state, step)
    clocks = config.plan.clocks
    handle = None
    if step.kind is StepKind.REVOKE and step.gen is not None and step.home is not None:
        handle = facts.handles.get((step.gen, step.home))
    event = Intended(
        step,
        deadline=clocks.deadline,
        quiet_until=clocks.deadline + clocks.landing,
        fence=1,
        label=label_of(step.gen) if step.gen is not None and makes_value(step) else None,
        handle=handle,
        expected_version=facts.version,
        before=do.before,
    )
    opened = machine.evolve(config.plan, facts, event, 0)
    world = _on_purpose(config, state, step)
    for branch in branches(config, config.plan, opened, world, step, state.faults):
        if any(key.gen == STRANGER for key in world.accepted - branch.world.accepted):
            raise Violation(f"I11: {say(step)} deleted another administrator's key")
        between = machine.check(config.plan, opened, branch.world)
        if between is not None:
            raise Violation(f"{between} (after {say(step)}: {branch.name}, before its outcome)")
        after = opened
        if branch.kind is not None:
            after = machine.evolve(config.plan, opened, Outcome(step, branch.kind, branch.found, branch.reason), 0)
        moved = clock.noticed(config, world, branch.world)
        following = State(after, moved, state.runs, state.faults - branch.cost, state.said)
        yield Edge(f"{say(step)}: {branch.name}", following, counted=branch.counted)


def _allowed(state: State, step: Step) -> None:
    """I10."""
    facts = state.facts
    sets = step.kind in (StepKind.INSTALL, StepKind.PROMOTE, StepKind.PUSH)
    if leg_of(facts) is LegName.CONTAIN and sets and step.gen in facts.doomed:
        raise Violation(f"I10: contain does {say(step)}, which is doomed")


def _on_purpose(config: Configuration, state: State, step: Step) -> World:
    """After the first kill under contain, retire and give up I1 to I3 are suspended: it is what was asked for."""
    world = state.world
    kills = step.kind in (StepKind.REVOKE, StepKind.NEUTRALISE, StepKind.INSTALL, StepKind.ISSUE, StepKind.UNPUSH)
    if kills and leg_of(state.facts) in RUTHLESS and not world.broken:
        return world._replace(broken=True)
    return world


def _nature(config: Configuration, state: State) -> Iterator[Edge]:
    """What the world does by itself, at any moment: a revoke that was slow takes effect."""
    for key, left in sorted(state.world.dying):
        if left == 0:
            after = state._replace(world=die(state.world, key))
            yield Edge(f"late the end of {key.gen} at {key.home}", after)
    if config.stranger and not state.world.visited:
        home = config.plan.authorities[0].homes()[0]
        if platform_takes(config.plan, state.world, Step(StepKind.ISSUE, STRANGER, home)):
            world = state.world._replace(accepted=state.world.accepted | {Key(STRANGER, 0, home)}, visited=True)
            if not config.copies:
                yield Edge("late another administrator makes a key", state._replace(world=world))
                return
            shown = state.world.accepted - state.world.unlisted
            for gen in sorted({key.gen for key in shown if key.home == home}):
                name = f"late another administrator makes a key with the label of {gen}"
                yield Edge(name, state._replace(world=world._replace(copied=gen)))


def _person(config: Configuration, machine: Machine, state: State) -> Iterator[Edge]:
    facts = state.facts
    for answer in machine.legal(config.plan, facts):
        if not _worth_saying(config, state, answer):
            continue
        name = f"says {answer.kind.value}"
        yield _commit(config, machine, state, answer, name, person=True)


def _worth_saying(config: Configuration, state: State, answer: Answered) -> bool:
    facts, asked = state.facts, state.facts.question is not None
    match answer.kind:
        case AnswerKind.CONTAIN_NOW:
            stuck = facts.question is not None and (facts.question.topic in WAY_ON or not run_of(facts).way_back)
            return stuck or (config.contain_now and run_of(facts).kind is not RunKind.CONTAIN)
        case AnswerKind.GO_BACK if not asked:
            return state.said < config.said and state.faults >= config.whim
        case AnswerKind.GO_BACK | AnswerKind.GO_ON:
            return state.said < config.said
        case AnswerKind.NAME:
            ours = {handle_of(key) for key in state.world.accepted if key.gen == answer.gen}
            return answer.handle in ours
        case AnswerKind.ACCEPT:
            return asked
    return asked
