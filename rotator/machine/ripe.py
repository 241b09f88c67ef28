"""ripe(plan, facts, step) -> the first instant at which the step may be taken: every clock, in this one place.

Called by `decide`. Pure; 0 means at once. What limits outside (windows, pauses, rates) is in `holds`, never here. The
rules, each of which cost a violation to learn:

K1  overlap is a clock of the value: `left_at`, not of the run. K3  an outcome closes the intent, not its place.
K4  a proof counts from the last end of the value. K5  attempts back off. K9  where nothing is displaced, a verify
before the platform has settled means nothing. K10 a displaced value is tried only after its grace.
"""

from __future__ import annotations

from rotator.machine.facts import Facts, Placement, State
from rotator.machine.ids import Gen, Home, Millis
from rotator.machine.plan import Plan
from rotator.machine.reading import (
    RUTHLESS,
    displaces,
    effort_of,
    in_place,
    leg_of,
    place_of,
    victims,
)
from rotator.machine.steps import Step, StepKind


def ripe(plan: Plan, facts: Facts, step: Step) -> Millis:
    """The first instant at which `step` may be taken (milliseconds since the epoch)."""
    return max(
        backed_off(facts, step),
        place_open(plan, facts, step),
        overlap_over(plan, facts, step),
        worth_looking(plan, facts, step),
    )


def backed_off(facts: Facts, step: Step) -> Millis:
    """K5: the pause after a failure, or what the platform wished for."""
    attempts = facts.attempts.get(effort_of(facts, step))
    return 0 if attempts is None else attempts.not_before


def place_open(plan: Plan, facts: Facts, step: Step) -> Millis:
    """K3: nothing is written, looked at or proved where an effect may still land. The late list waits for all."""
    closed = facts.closed_until
    if not closed:
        return 0
    if step.kind in (StepKind.LIST, StepKind.DESTROY):
        return max(closed.values())
    return closed.get(place_of(plan, step), 0)


def overlap_until(plan: Plan, facts: Facts, gen: Gen) -> Millis | None:
    """Until when readers that fetched a value may still use it, None if it was never in use."""
    left = facts.left_at.get(gen)
    return None if left is None else left + plan.clocks.overlap


def in_place_home(plan: Plan, home: Home) -> bool:
    """The successor takes the value's place there by nature: its overlap is none."""
    authority = plan.authority(home)
    return authority is not None and authority.single and not authority.alternating


def overlap_over(plan: Plan, facts: Facts, step: Step) -> Millis:
    """K1: outside contain, retire and give up nothing owed is ended before its overlap is over."""
    if leg_of(facts) in RUTHLESS or in_place(plan, facts, step):
        return 0
    until = 0
    for gen, home, _ in victims(plan, facts, step):
        if not in_place_home(plan, home):
            until = max(until, overlap_until(plan, facts, gen) or 0)
    return until


def worth_looking(plan: Plan, facts: Facts, step: Step) -> Millis:
    """K4, K9, K10, R20: before this an answer means nothing."""
    gen, home = step.gen, step.home
    if gen is None or home is None:
        return 0
    row = facts.placed(gen, home)
    if row is None:
        return 0
    match step.kind:
        case StepKind.VERIFY:
            return _verify(plan, row, home)
        case StepKind.PROVE:
            return _prove(plan, row, home)
        case StepKind.FIND:
            return _find(plan, facts, step, row)
    return 0


def _verify(plan: Plan, row: Placement, home: Home) -> Millis:
    if displaces(plan.authority(home)):
        return row.grace_until or 0
    if row.state is State.INSTALLED and row.acked_at is not None:
        return row.acked_at + plan.clocks.settle
    return 0


def death_is_settled(plan: Plan, row: Placement, home: Home) -> Millis:
    """K4: the longest of settling, grace and (if nothing sweeps) the life of derived tokens after its end."""
    authority = plan.authority(home)
    grace = 0 if authority is None else authority.grace
    tokens = 0 if authority is not None and authority.sweeps else plan.clocks.derived_life
    after = max(plan.clocks.settle, grace, tokens)
    return max(row.grace_until or 0, 0 if row.gone_at is None else row.gone_at + after)


def _prove(plan: Plan, row: Placement, home: Home) -> Millis:
    start = death_is_settled(plan, row, home)
    if row.last is None or row.first is None:
        return start
    clocks = plan.clocks
    gap = -(-clocks.over // max(1, clocks.times - 1))
    following = row.last + gap if row.rejections < clocks.times else row.first + clocks.over
    return max(start, following)


def _find(plan: Plan, facts: Facts, step: Step, row: Placement) -> Millis:
    """Each of the two listings after the platform's list has settled (R20)."""
    settle = plan.clocks.settle
    closed = facts.closed_until.get(place_of(plan, step))
    since = [0 if closed is None else closed + settle]
    if row.absent_at is not None:
        since.append(row.absent_at + settle)
    if row.gone_at is not None and row.state is State.GONE:
        since.append(death_is_settled(plan, row, step.home) if step.home is not None else 0)
    return max(since)
