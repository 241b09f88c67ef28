"""What must hold, always and at every ending. Each check names itself by the study's number.

`always` is asked of every state, also of the one between an effect and its outcome; `at_end` of a state whose run has
just ended.
"""

from __future__ import annotations

from rotator.machine.facts import ANYTHING, EMPTY, OWED, Ending, Facts, LegName, RunKind, State, Topic
from rotator.machine.ids import Gen
from rotator.machine.plan import Plan
from rotator.machine.reading import debts
from rotator.machine.steps import StepKind
from tests.model.world import STRANGER, World, held_of, lives


def overlapping(plan: Plan) -> bool:
    """I1 to I3 hold at every instant: no authority is written in place."""
    return all(not (one.single and not one.alternating) for one in plan.authorities)


def accepted_everywhere(plan: Plan, world: World, gen: Gen) -> bool:
    """Let in at each authority, at one of its principals."""
    return _let_in(plan, world, gen)


_KNOWN: dict[tuple[object, ...], bool] = {}


def forget() -> None:
    """What was found for one configuration's plan says nothing about the next."""
    _KNOWN.clear()


def _serves(plan: Plan, world: World) -> bool:
    key = (world.accepted, world.staged, world.current)
    found = _KNOWN.get(key)
    if found is None:
        known = {gen for gen, _ in world.staged} | {world.current}
        there = lives(world)
        found = all(any((gen, home) in there for home in one.homes() for gen in known) for one in plan.authorities)
        _KNOWN[key] = found
    return found


def _let_in(plan: Plan, world: World, gen: Gen) -> bool:
    key = (world.accepted, gen)
    found = _KNOWN.get(key)
    if found is None:
        homes = {key.home for key in world.accepted if key.gen == gen}
        found = all(any(home in homes for home in one.homes()) for one in plan.authorities)
        _KNOWN[key] = found
    return found


def retrievable(plan: Plan, world: World) -> bool:
    """I1: at each authority some accepted value can be fetched from the store."""
    return _serves(plan, world)


def consumers_served(plan: Plan, facts: Facts, world: World) -> bool:
    """I3, but for consumers that a person skipped."""
    skipped = set() if facts.run is None else {consumer for consumer, _ in facts.run.skipped}
    return all(
        accepted_everywhere(plan, world, held_of(world, one.id)) for one in plan.consumers if one.id not in skipped
    )


def serving(plan: Plan, facts: Facts, world: World) -> str | None:
    """I1 to I3, as far as they are owed at this instant."""
    if world.broken:
        return None
    made_by_us = all(not one.issued for one in plan.authorities)
    if (overlapping(plan) or made_by_us) and not retrievable(plan, world):
        return "I1: nothing accepted can be fetched from the store"
    if world.expired or not overlapping(plan):
        return None
    if not accepted_everywhere(plan, world, world.current):
        return "I2: the store's current is not accepted"
    if not consumers_served(plan, facts, world):
        return "I3: a consumer's value is not accepted"
    for gen, _ in world.recent:
        if not accepted_everywhere(plan, world, gen):
            return "K1: a value that readers may still use is not accepted"
    return None


def always(plan: Plan, facts: Facts, world: World) -> str | None:
    """The first invariant that a state breaks, or None."""
    for found in (serving(plan, facts, world), _placements(facts, world), _honest(plan, facts, world)):
        if found is not None:
            return found
    return _asked(plan, facts, world)


def _placements(facts: Facts, world: World) -> str | None:
    if facts.top == 0:
        return None  # before the adopt nothing is ours
    for key in world.accepted:
        if key.gen == STRANGER:
            continue
        state = facts.state(key.gen, key.home)
        if state is None:
            return f"I6: {key.gen} at {key.home} lives and has no placement"
        if state is State.DEAD:
            return f"I7: {key.gen} at {key.home} is called dead and is accepted"
        if key.gen in world.destroyed and key.gen not in facts.fillers:
            return f"I9: {key.gen} was destroyed and lives"
    return None


def _honest(plan: Plan, facts: Facts, world: World) -> str | None:
    current = world.current if world.current > 0 else EMPTY
    if facts.current and current not in facts.current:
        return f"F1: current is {world.current}, facts say {sorted(facts.current)}"
    for one in plan.consumers:
        known = facts.held.get(one.id)
        if known is not None and ANYTHING not in known and held_of(world, one.id) not in known:
            return f"F2: {one.id} holds {held_of(world, one.id)}, facts say {sorted(known)}"
    staged = {gen for gen, _ in world.staged}
    if not facts.kept <= staged:
        return f"F3: {sorted(facts.kept - staged)} called kept"
    pending = {step.gen for step, _, _ in world.pending if step.kind in (StepKind.STAGE, StepKind.ISSUE)}
    if not staged - pending <= facts.stored:
        return f"F4: {sorted(staged - facts.stored)} is stored, facts deny it"
    return None


def _asked(plan: Plan, facts: Facts, world: World) -> str | None:
    question, run = facts.question, facts.run
    if question is None or run is None:
        return None
    if run.way_back and question.topic is Topic.IN_USE:
        return "G1: the guard fired"
    pushing = question.step is not None and question.step.kind is StepKind.PUSH
    if pushing and not world.broken and not world.expired and not accepted_everywhere(plan, world, world.current):
        return "I12: a person is asked over a consumer while readers of the store are locked out"
    return None


ENDINGS: dict[RunKind, frozenset[Ending]] = {
    RunKind.ROTATE: frozenset({Ending.SUCCEEDED, Ending.OWED, Ending.ROLLED_BACK, Ending.ABANDONED}),
    RunKind.OVERLAP: frozenset({Ending.SUCCEEDED, Ending.OWED, Ending.ROLLED_BACK, Ending.ABANDONED}),
    RunKind.CONTAIN: frozenset({Ending.SUCCEEDED, Ending.CONTAINED, Ending.ABANDONED}),
    RunKind.RETIRE: frozenset({Ending.SUCCEEDED, Ending.ABANDONED}),
    RunKind.RECONCILE: frozenset({Ending.SUCCEEDED, Ending.OWED, Ending.ABANDONED}),
    RunKind.ADOPT: frozenset({Ending.SUCCEEDED, Ending.ABANDONED}),
}


def at_end(plan: Plan, facts: Facts, world: World) -> str | None:
    """The first promise that an ending breaks, or None."""
    run, ending = facts.run, facts.ending
    assert run is not None
    assert ending is not None
    leg = run.legs[0]
    fits = ENDINGS[run.kind]
    if leg in (LegName.CONTAIN, LegName.GIVE_UP):
        fits = ENDINGS[RunKind.CONTAIN]
    if ending not in fits:
        return f"I13: a {run.kind.value} ended {ending.value}"
    if (ending is Ending.CONTAINED) is not (leg is LegName.GIVE_UP) and ending is not Ending.ABANDONED:
        return f"I14: {leg.value} ended {ending.value}"
    backwards = leg is LegName.RETURN and run.kind is not RunKind.RECONCILE
    if ending is Ending.SUCCEEDED and backwards:
        return "I13: going back was called a success"
    owed = set(debts(facts))
    for gen, home in lives(world):
        row = facts.placed(gen, home)
        free = gen == STRANGER or gen in facts.fillers or (row is not None and row.state is State.ACCEPTED)
        if not free and gen not in facts.current and (gen, home) not in owed:
            return f"I8: {gen} at {home} lives, is not current and no debt"
    if ending is Ending.ABANDONED:
        return None
    return _promised(plan, facts, world, run.kind, leg, ending)


def _promised(plan: Plan, facts: Facts, world: World, kind: RunKind, leg: LegName, ending: Ending) -> str | None:
    run = facts.run
    assert run is not None
    left = _still_alive(facts, world, ending)
    if leg in (LegName.RETIRE, LegName.GIVE_UP):
        if left:
            return f"I5c: {sorted(left)} lives after {ending.value}"
        if leg is LegName.RETIRE:
            holding = [c for c, gen in world.held if gen != 0 and (c, EMPTY) not in run.skipped]
            return f"I4: {holding} still hold something after retire" if holding else None
        return None
    target = run.candidate if leg in (LegName.ADVANCE, LegName.CONTAIN) else run.old
    assert target is not None
    number = "I5" if ending is Ending.ROLLED_BACK else "I4"
    if {gen for gen, _ in left} - {target}:
        return f"{number}: {sorted(left)} live, only {target} should"
    if not world.expired and not accepted_everywhere(plan, world, target):
        return f"{number}: {target} is not accepted"
    copies = [key for key in world.accepted if key.gen == target]
    if len(copies) != len({key.home for key in copies}):
        return f"{number}: {target} lives twice"
    if world.current != target:
        return f"{number}: current is {world.current}, not {target}"
    skipped = {consumer for consumer, _ in run.skipped}
    wrong = [c for c, gen in world.held if gen != target and c not in skipped]
    if wrong:
        return f"{number}: {wrong} do not hold {target}"
    return _nothing_dead_kept(facts, ending, target) if ending is Ending.ROLLED_BACK else None


def _still_alive(facts: Facts, world: World, ending: Ending) -> set[tuple[Gen, object]]:
    found: set[tuple[Gen, object]] = set()
    for gen, home in lives(world):
        row = facts.placed(gen, home)
        if gen == STRANGER or gen in facts.fillers or (row is not None and row.state is State.ACCEPTED):
            continue
        if ending is Ending.OWED and row is not None and row.state in OWED:
            continue
        found.add((gen, home))
    return found


def _nothing_dead_kept(facts: Facts, ending: Ending, target: Gen) -> str | None:
    for gen in facts.stored - {target}:
        if all(row.state is State.DEAD for (who, _), row in facts.placements.items() if who == gen):
            return f"I5: {gen} is dead everywhere and still kept"
    return None
