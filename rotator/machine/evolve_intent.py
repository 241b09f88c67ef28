"""What an intent makes uncertain. Called by `evolve` only, before any effect; it believes the worst of the effect.

Generations get their numbers here: the first intent of a step that makes a value numbers it. Must decide nothing.
"""

from __future__ import annotations

from dataclasses import replace

from rotator.machine.change import IllegalEvent, put, with_run
from rotator.machine.events import Intended
from rotator.machine.facts import EMPTY, HERE, LIVES, OWED, Facts, LegName, Placement, State, Undo
from rotator.machine.ids import Gen, Home, Millis
from rotator.machine.plan import Plan
from rotator.machine.reading import (
    at_home,
    held_by,
    is_kill,
    leg_of,
    makes_value,
    run_of,
    target_homes,
    victims,
    writes,
)
from rotator.machine.steps import Intent, Step, StepKind


def intended(plan: Plan, facts: Facts, event: Intended, at: Millis) -> Facts:
    """Facts with the intent open. Raises IllegalEvent if one is open, or a person or an end is waited for."""
    step = event.step
    if facts.run is None or facts.ending is not None or facts.question is not None or facts.intent is not None:
        raise IllegalEvent(f"no intent can be opened for {step.kind.value}")
    run = facts.run
    marks = (run.wrote, run.displaced, run.killed)
    undo = Undo(facts.kept, facts.stored, facts.current, facts.held, facts.placements, facts.listing, *marks)
    facts = number(plan, facts, event)
    facts = _uncertain(plan, facts, step, event.quiet_until)
    facts = _marked(plan, facts, event)
    intent = Intent(
        step=step,
        at=at,
        deadline=event.deadline,
        quiet_until=event.quiet_until if writes(step) else at,
        fence=event.fence,
        label=event.label,
        handle=event.handle,
        expected_version=event.expected_version,
    )
    return facts.but(intent=intent, undo=undo)


def _marked(plan: Plan, facts: Facts, event: Intended) -> Facts:
    """What the calendar is asked about is passed once (K6)."""
    run, step = run_of(facts), event.step
    kills = is_kill(step)
    displaced = any(True for _ in victims(plan, facts, step)) and not kills
    marks = (run.wrote or writes(step), run.displaced or displaced, run.killed or kills, event.before)
    if marks == (run.wrote, run.displaced, run.killed, run.cleared):
        return facts
    return with_run(facts, wrote=marks[0], displaced=marks[1], killed=marks[2], cleared=marks[3])


def number(plan: Plan, facts: Facts, event: Intended) -> Facts:
    """A generation met for the first time gets its number, its homes and its label."""
    step = event.step
    gen = step.gen
    if gen is None or not makes_value(step):
        return facts
    if gen > facts.top + 1:
        raise IllegalEvent(f"generation {gen} would leave a gap after {facts.top}")
    if gen == facts.top + 1:
        if step.kind is StepKind.STAGE and step.home is not None:
            facts = facts.but(top=gen, fillers=facts.fillers | {gen}, homes=facts.homes.put(gen, (step.home,)))
        elif leg_of(facts) in (LegName.ADVANCE, LegName.CONTAIN):
            homes = target_homes(plan, facts, None)
            facts = with_run(facts.but(top=gen, homes=facts.homes.put(gen, homes)), candidate=gen)
        else:
            raise IllegalEvent(f"no value is made in the leg {leg_of(facts).value}")
    if event.label is not None and gen not in facts.labels:
        facts = facts.but(labels=facts.labels.put(gen, event.label))
    return facts


def _uncertain(plan: Plan, facts: Facts, step: Step, quiet_until: Millis) -> Facts:
    gen, home = step.gen, step.home
    if step.kind is StepKind.UNPUSH and step.consumer is not None:
        return facts.but(held=facts.held.put(step.consumer, held_by(facts, step.consumer) | {EMPTY}))
    if gen is None:
        return facts
    if step.kind is StepKind.PUSH and step.consumer is not None:
        return facts.but(held=facts.held.put(step.consumer, held_by(facts, step.consumer) | {gen}))
    if step.kind is StepKind.STAGE:
        return facts.but(stored=facts.stored | {gen})
    if step.kind is StepKind.PROMOTE:
        return facts.but(current=facts.current | {gen})
    if step.kind is StepKind.DESTROY:
        current = facts.current | {EMPTY} if gen in facts.current else facts.current
        return facts.but(kept=facts.kept - {gen}, doomed=facts.doomed | {gen}, current=current)
    if home is None:
        return facts
    if step.kind in (StepKind.INSTALL, StepKind.ISSUE, StepKind.NEUTRALISE):
        return _enter(plan, facts, step, gen, home, quiet_until)
    if step.kind is StepKind.REVOKE:
        row = facts.placed(gen, home) or Placement(State.MAYBE)
        state = State.LINGERS if row.state is State.LINGERS else State.MAYBE
        facts = put(facts, gen, home, replace(row, state=state, swept=False))
        return facts.but(doomed=facts.doomed | {gen})
    return facts


def _enter(plan: Plan, facts: Facts, step: Step, gen: Gen, home: Home, quiet_until: Millis) -> Facts:
    """A value may now be at a home; in a single slot all others in it may be gone, or within their grace."""
    authority = plan.authority(home)
    if authority is not None and authority.single:
        for other, row in tuple(at_home(facts, home, gen)):
            if row.state not in OWED:
                continue
            state = State.MAYBE if row.state in HERE else row.state
            grace = quiet_until + authority.grace if authority.grace and row.state in LIVES else row.grace_until
            facts = put(facts, other, home, replace(row, state=state, grace_until=grace, swept=False))
            if step.kind is StepKind.NEUTRALISE and other not in facts.fillers:
                facts = facts.but(doomed=facts.doomed | {other})
    row = facts.placed(gen, home) or Placement(State.MAYBE)
    if row.state not in HERE:
        row = replace(row, state=State.MAYBE, rejections=0, first=None, last=None, grade=None, absent=0, absent_at=None)
    facts = put(facts, gen, home, row)
    if step.kind is StepKind.ISSUE:
        facts = facts.but(stored=facts.stored | {gen})
        if home in facts.listing:
            taken = facts.snapshots.put((gen, home), facts.listing[home])
            facts = facts.but(snapshots=taken, listing=facts.listing.drop(home))
    return facts
