"""Rungs that put a value in force: seen, staged, room, installed, verified, current, held. They read *surely*.

Called by `decide` through the table in `ladder`. Pure conditions: none knows a strategy's name, a leg's history or
another rung.
"""

from __future__ import annotations

from rotator.machine.decisions import Turn
from rotator.machine.facts import ABSENT, FOREIGN, HERE, LIVES, OWED, Facts, LegName, Question, State, Topic
from rotator.machine.ids import Gen, Home, Millis
from rotator.machine.needs import Impossible, Needs
from rotator.machine.plan import Authority, Plan, Seen
from rotator.machine.reading import (
    NEW_TARGET,
    at_home,
    current_known,
    displaces,
    homes_of,
    issued,
    lacking,
    leg_of,
    maybe_held,
    run_of,
    target_homes,
    works,
)
from rotator.machine.rungs_down import kill_needs, prove_needs
from rotator.machine.steps import Step, StepKind


def ask(topic: Topic, step: Step | None = None, policy: bool = False) -> Needs:
    """Nothing to do but to ask, or to turn."""
    return (Impossible(Question(topic, step), policy),)


def seen(plan: Plan, facts: Facts, target: Gen | None, now: Millis) -> Needs:
    """The store's current was read and probed, and the run knows which value it starts from."""
    run = run_of(facts)
    if facts.read_at is None:
        return (Step(StepKind.READ_CURRENT),)
    if FOREIGN in facts.current and not run.overwrite:
        return ask(Topic.FOREIGN)
    if run.old is not None:
        return ()
    current = current_known(facts)
    for gen in _candidates_for_old(facts, current):
        probe = _probe(facts, gen)
        if probe is not None:
            return (probe,)
        if works(facts, gen):
            return (Turn(run.legs, "current_works" if gen == current else "newer_works", old=gen),)
    if current is not None and current > 0 and _explained(plan, facts, current):
        return (Turn(run.legs, "current_displaced", old=current),)
    return ask(Topic.NO_OLD)


def _candidates_for_old(facts: Facts, current: Gen | None) -> list[Gen]:
    """Current, else the newest first of those that came after it and may work."""
    floor = 0 if current is None else current
    newer = [g for g in facts.kept if g > floor and g not in facts.doomed and g not in facts.fillers]
    first = [current] if current is not None and current > 0 else []
    return first + sorted(newer, reverse=True)


def _probe(facts: Facts, gen: Gen) -> Step | None:
    """The next home at which it is not known whether a value works, unless it surely fails at one."""
    states = [(home, facts.state(gen, home)) for home in homes_of(facts, gen)]
    if any(state is not State.MAYBE and state not in HERE for _, state in states):
        return None
    for home, state in states:
        if state is not State.ALIVE:
            return Step(StepKind.VERIFY, gen, home)
    return None


def _explained(plan: Plan, facts: Facts, gen: Gen) -> bool:
    """Our own records say why it is refused: at each home where it is not in, another value of ours took its slot."""
    for home in homes_of(facts, gen):
        if facts.state(gen, home) in HERE:
            continue
        taken = any(row.state in OWED for _, row in at_home(facts, home, gen))
        if not (displaces(plan.authority(home)) and taken):
            return False
    return True


def staged(plan: Plan, facts: Facts, target: Gen | None, now: Millis) -> Needs:
    """The target is kept under its own path. An issued one that is to come cannot be staged before it exists."""
    if leg_of(facts) in NEW_TARGET:
        if issued(plan):
            return ()
        if target is None:
            return (Step(StepKind.STAGE, Gen(facts.top + 1)),)
        if target in facts.kept:
            return ()
        kind = StepKind.CHECK_STAGE if target in facts.stored else StepKind.STAGE
        return (Step(kind, target),)
    if target is None:
        return ask(Topic.NO_OLD)
    if target in facts.kept:
        return ()
    if target in facts.stored:
        return (Step(StepKind.CHECK_STAGE, target),)
    if current_known(facts) == target:
        return (Step(StepKind.STAGE, target, from_current=True),)
    return ask(Topic.CANNOT_INSTALL, Step(StepKind.STAGE, target, from_current=True))


def room(plan: Plan, facts: Facts, target: Gen | None, now: Millis) -> Needs:
    """Where slots are counted, one is free for the target, or the target has it already. What a person accepted takes
    one until the list no longer shows it."""
    for home in target_homes(plan, facts, target):
        authority = plan.authority(home)
        if authority is None or authority.slots is None or authority.single:
            continue
        if target is not None and facts.state(target, home) in OWED:
            continue
        taken = [
            (gen, row)
            for gen, row in sorted(at_home(facts, home, target), key=lambda item: item[0])
            if row.state in OWED or (row.state is State.ACCEPTED and row.absent < ABSENT)
        ]
        if len(taken) >= authority.slots:
            idle = [(g, row) for g, row in taken if g not in facts.current and not maybe_held(plan, facts, g)]
            if not idle:
                return ask(Topic.NO_ROOM, policy=True)
            owed = [item for item in idle if item[1].state in OWED] or idle
            needs: Needs = ()
            for gen, row in owed:
                kills = row.state in LIVES or row.state is State.ACCEPTED
                wanted = (kill_needs if kills else prove_needs)(plan, facts, gen, home, row, target, now)
                if row.state is State.ACCEPTED:  # a person has answered what could be asked about it
                    wanted = tuple(one for one in wanted if not isinstance(one, Impossible))
                needs += wanted
            return needs or ask(Topic.NO_ROOM, policy=True)
    return ()


def installed(plan: Plan, facts: Facts, target: Gen | None, now: Millis) -> Needs:
    """In place at every home, in the plan's order: what issues first, single slots last. There is no way back to what
    is doomed, though it still works: it may be dying."""
    if target in facts.doomed and leg_of(facts) is LegName.RETURN:
        return ask(Topic.NO_WAY_BACK, Step(StepKind.INSTALL, target))
    for home in target_homes(plan, facts, target):
        needs = install_needs(plan, facts, target, home)
        if needs:
            return needs
    return ()


def install_needs(plan: Plan, facts: Facts, target: Gen | None, home: Home) -> Needs:
    """What puts the target in place at one home; on *maybe* a look comes first."""
    authority = plan.authority(home)
    if authority is None:
        return ask(Topic.CANNOT_INSTALL)
    if target is None:
        return _issue(facts, authority, Gen(facts.top + 1), home)
    row = facts.placed(target, home)
    if row is not None and row.state in HERE:
        return ()
    if target in facts.doomed:
        return ask(Topic.NO_WAY_BACK, Step(StepKind.INSTALL, target, home), policy=True)
    if row is not None and row.state is State.MAYBE:
        return _look(facts, authority, target, home)
    if authority.issued:
        if leg_of(facts) not in NEW_TARGET:
            return ask(Topic.NO_WAY_BACK, Step(StepKind.ISSUE, target, home))
        again = target not in facts.kept
        return _issue(facts, authority, target if again else Gen(facts.top + 1), home)
    step = Step(StepKind.INSTALL, target, home)
    spent = leg_of(facts) not in NEW_TARGET and row is not None and (row.acked_at or row.alive_at) is not None
    if target not in facts.kept or (spent and not authority.settable):
        return ask(Topic.NO_WAY_BACK, step, policy=True)
    return (step,)


def _issue(facts: Facts, authority: Authority, gen: Gen, home: Home) -> Needs:
    if not authority.issued:
        return ask(Topic.CANNOT_INSTALL, Step(StepKind.INSTALL, gen, home))
    if authority.seen is Seen.SNAPSHOT and home not in facts.listing:
        return (Step(StepKind.SNAPSHOT, gen, home),)
    return (Step(StepKind.ISSUE, gen, home),)


def _look(facts: Facts, authority: Authority, target: Gen, home: Home) -> Needs:
    """Find out whether an install or issue was done. It never sends one again."""
    if target in facts.kept:
        return (Step(StepKind.VERIFY, target, home),)
    if authority.issued and target in facts.stored:
        return (Step(StepKind.CHECK_STAGE, target),)
    if authority.issued and authority.finds:
        return (Step(StepKind.FIND, target, home),)
    return ask(Topic.CANNOT_INSTALL, Step(StepKind.INSTALL, target, home))


def verified(plan: Plan, facts: Facts, target: Gen | None, now: Millis) -> Needs:
    """Tried and accepted at every home, as the right principal."""
    if target is None:
        return ask(Topic.NO_OLD)
    for home in homes_of(facts, target):
        if facts.state(target, home) is not State.ALIVE:
            return (Step(StepKind.VERIFY, target, home),)
    return ()


def current(plan: Plan, facts: Facts, target: Gen | None, now: Millis) -> Needs:
    """The store's current is surely the target."""
    if facts.read_at is None or len(facts.current) != 1:
        return (Step(StepKind.READ_CURRENT),)
    if FOREIGN in facts.current and not run_of(facts).overwrite:
        return ask(Topic.FOREIGN)
    if target is None:
        return ask(Topic.NO_OLD)
    step = Step(StepKind.PROMOTE, target)
    if facts.current == {target}:
        return ()
    return ask(Topic.NO_WAY_BACK, step) if target in facts.doomed else (step,)


def held(plan: Plan, facts: Facts, target: Gen | None, now: Millis) -> Needs:
    """Each consumer surely holds the target, or was skipped for it."""
    if target is None:
        return ask(Topic.NO_OLD)
    steps = tuple(Step(StepKind.PUSH, target, consumer=one.id) for one in lacking(plan, facts, target))
    return ask(Topic.NO_WAY_BACK, steps[0]) if steps and target in facts.doomed else steps
