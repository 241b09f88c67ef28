"""Rungs that end values: waited, killed, proven, emptied, tidied. They read *possibly*.

Called by `decide` through the table in `ladder`. Each gives all that is missing: the first that is ripe is taken (K8).
"""

from __future__ import annotations

from rotator.machine.facts import EMPTY, HERE, LIVES, Facts, LegName, Placement, Question, State, Topic
from rotator.machine.ids import Gen, Home, Millis
from rotator.machine.needs import Impossible, Need, Needs, Pause
from rotator.machine.plan import Authority, Kill, Plan
from rotator.machine.reading import (
    at_home,
    displaces,
    held_by,
    here,
    homes_of,
    leg_of,
    others,
    run_of,
)
from rotator.machine.ripe import death_is_settled, in_place_home, overlap_until
from rotator.machine.steps import Step, StepKind


def waited(plan: Plan, facts: Facts, target: Gen | None, now: Millis) -> Needs:
    """No other value's overlap runs."""
    until = 0
    for gen, home, row in others(facts, target):
        if row.state not in (State.DEAD, State.ACCEPTED) and not in_place_home(plan, home):
            until = max(until, overlap_until(plan, facts, gen) or 0)
    return (Pause(until, "overlap"),) if until > now else ()


def killed(plan: Plan, facts: Facts, target: Gen | None, now: Millis) -> Needs:
    """No other value may be alive, and what was derived from one is swept."""
    needs: list[Need] = []
    for gen, home, row in others(facts, target):
        if _counts_as_alive(plan, facts, home, row, target):
            for need in kill_needs(plan, facts, gen, home, row, target, now):
                if need not in needs:
                    needs.append(need)
        elif row.state is State.GONE and _sweeps(plan, home) and not row.swept:
            needs.append(Step(StepKind.SWEEP, gen, home))
    return tuple(needs)


def _sweeps(plan: Plan, home: Home) -> bool:
    authority = plan.authority(home)
    return authority is not None and authority.sweeps


def _counts_as_alive(plan: Plan, facts: Facts, home: Home, row: Placement, target: Gen | None) -> bool:
    """A single slot that holds the target holds nothing else: there only what was found alive counts (L9)."""
    if row.state not in LIVES:
        return False
    authority = plan.authority(home)
    if authority is not None and authority.kill is Kill.NONE:
        return row.state is State.LINGERS and (target is None or here(facts, target, home))
    if displaces(authority) and target is not None and here(facts, target, home):
        return row.state is State.LINGERS
    return True


def kill_needs(
    plan: Plan, facts: Facts, gen: Gen, home: Home, row: Placement, target: Gen | None, now: Millis
) -> Needs:
    """What ends one value at one home."""
    authority = plan.authority(home)
    if row.state is State.LINGERS and (gen, home) in run_of(facts).repeated:
        return (Impossible(Question(Topic.UNPROVEN, Step(StepKind.PROVE, gen, home), "alive_after_repeat")),)
    if authority is None or authority.kill is Kill.NONE:
        return (Impossible(Question(Topic.CANNOT_KILL, Step(StepKind.FIND, gen, home))),)
    if authority.kill is Kill.SLOT:
        return _take_the_slot(plan, facts, authority, gen, home, row, target)
    known = (gen, home) in facts.handles and (gen, home) not in facts.suspects
    if not authority.handles or known:
        return (Step(StepKind.REVOKE, gen, home),)
    return _search(facts, authority, gen, home)


def _search(facts: Facts, authority: Authority, gen: Gen, home: Home) -> Needs:
    step = Step(StepKind.FIND, gen, home)
    if (gen, home) in facts.suspects:
        return (Impossible(Question(Topic.STRANGERS, step)),)
    if gen in facts.stored and gen not in facts.kept:
        return (Step(StepKind.CHECK_STAGE, gen),)
    if not authority.finds:
        return (Impossible(Question(Topic.CANNOT_KILL, step)),)
    return (step,)


def _take_the_slot(
    plan: Plan, facts: Facts, authority: Authority, gen: Gen, home: Home, row: Placement, target: Gen | None
) -> Needs:
    """A value in a single slot dies when another is set: the target if it belongs there, else a filler."""
    if target is not None and home in homes_of(facts, target):
        mine = facts.state(target, home)
        if mine is State.MAYBE:
            return (Step(StepKind.VERIFY, target, home),)
        placed = facts.placed(target, home)
        spent = placed is not None and placed.acked_at is not None
        if target not in facts.kept or (spent and not authority.settable):
            return (Impossible(Question(Topic.CANNOT_KILL, Step(StepKind.FIND, gen, home))),)
        return (Step(StepKind.INSTALL, target, home),)
    fillers = [g for g in sorted(facts.fillers) if facts.homes.get(g) == (home,) and g not in facts.doomed]
    for filler in reversed(fillers):
        if filler in facts.kept:
            if facts.state(filler, home) is State.MAYBE:
                return (Step(StepKind.VERIFY, filler, home),)
            return (Step(StepKind.NEUTRALISE, filler, home),)
        kind = StepKind.CHECK_STAGE if filler in facts.stored else StepKind.STAGE
        return (Step(kind, filler, home if kind is StepKind.STAGE else None),)
    return (Step(StepKind.STAGE, Gen(facts.top + 1), home),)


def proven(plan: Plan, facts: Facts, target: Gen | None, now: Millis) -> Needs:
    """Every other value is proven dead at each of its homes, or a person accepted it."""
    needs: list[Need] = []
    for gen, home, row in others(facts, target):
        if row.state in (State.DEAD, State.ACCEPTED) or _counts_as_alive(plan, facts, home, row, target):
            continue
        for need in prove_needs(plan, facts, gen, home, row, target, now):
            if need not in needs:
                needs.append(need)
    return tuple(needs)


def prove_needs(
    plan: Plan, facts: Facts, gen: Gen, home: Home, row: Placement, target: Gen | None, now: Millis
) -> Needs:
    """What proves one value dead: trying it, or, where nobody has it, that it is not listed or its slot is taken."""
    if gen in facts.kept:
        return (Step(StepKind.PROVE, gen, home),)
    if gen in facts.stored:
        # A stage or a destruction was not acknowledged: whether the value is there decides how it can be proven.
        return (Step(StepKind.CHECK_STAGE, gen),)
    authority = plan.authority(home)
    if displaces(authority):
        return _slot_is_taken(plan, facts, gen, home, row, target, now)
    step = Step(StepKind.FIND, gen, home)
    if (gen, home) in facts.suspects:
        return (Impossible(Question(Topic.STRANGERS, step)),)
    if authority is None or not authority.finds:
        return (Impossible(Question(Topic.UNPROVEN, step)),)
    return (step,)


def _slot_is_taken(
    plan: Plan, facts: Facts, gen: Gen, home: Home, row: Placement, target: Gen | None, now: Millis
) -> Needs:
    settled = death_is_settled(plan, row, home)
    if row.state is State.GONE and settled > now:
        return (Pause(settled, "settle"),)
    if target is not None and here(facts, target, home):
        return (Step(StepKind.VERIFY, target, home),)
    for filler, other in sorted(at_home(facts, home, None), key=lambda item: item[0]):
        if filler in facts.fillers and filler in facts.kept and other.state in HERE:
            return (Step(StepKind.VERIFY, filler, home),)
    return (Impossible(Question(Topic.UNPROVEN, Step(StepKind.PROVE, gen, home))),)


def emptied(plan: Plan, facts: Facts, target: Gen | None, now: Millis) -> Needs:
    """No consumer holds anything."""
    needs: list[Need] = []
    skipped = run_of(facts).skipped
    for consumer in plan.consumers:
        if held_by(facts, consumer.id) == {EMPTY} or (consumer.id, EMPTY) in skipped:
            continue
        step = Step(StepKind.UNPUSH, consumer=consumer.id)
        needs.append(step if consumer.empties else Impossible(Question(Topic.CANNOT_EMPTY, step)))
    return tuple(needs)


def tidied(plan: Plan, facts: Facts, target: Gen | None, now: Millis) -> Needs:
    """Our labels were listed once more; what is dead everywhere is destroyed, the rest stays staged."""
    run = run_of(facts)
    needs: list[Need] = []
    for authority in plan.authorities:
        if authority.lists and authority.labelled:
            needs += [Step(StepKind.LIST, None, home) for home in authority.homes() if home not in run.listed]
    if needs:
        return tuple(needs)
    for gen in sorted(facts.stored):
        serves = gen in facts.current and leg_of(facts) is not LegName.RETIRE
        if gen != target and not serves and _done_with(facts, gen, target):
            needs.append(Step(StepKind.DESTROY, gen))
    return tuple(needs)


def _done_with(facts: Facts, gen: Gen, target: Gen | None) -> bool:
    """Proven dead wherever it was put. A filler, once nothing is left at its home that it has to end or to prove."""
    if gen in facts.fillers:
        homes = homes_of(facts, gen)
        return all(row.state in (State.DEAD, State.ACCEPTED) for _, home, row in others(facts, target) if home in homes)
    return all(row.state is State.DEAD for (who, _), row in facts.placements.items() if who == gen)
