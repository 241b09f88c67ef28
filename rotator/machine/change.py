"""Small changes to facts that several events share: what became gone, what left, what failed. Called by `evolve*` only.

Each takes facts and gives facts. Must decide nothing: no target is chosen here, no leg is turned.
"""

from __future__ import annotations

from dataclasses import replace

from rotator.machine.facts import LIVES, OWED, Attempts, Effort, Facts, Placement, Run, State
from rotator.machine.ids import Gen, Handle, Home, Millis
from rotator.machine.plan import Plan
from rotator.machine.reading import at_home, displaces, effort_of, place_of, role_of, run_of
from rotator.machine.steps import Grade, Step, StepKind


class IllegalEvent(ValueError):
    """The event does not fit the facts. Nothing was changed."""


def with_run(facts: Facts, **changes: object) -> Facts:
    """A copy with some fields of the run changed."""
    run: Run = run_of(facts)
    return facts.but(run=replace(run, **changes))  # type: ignore[arg-type]


def put(facts: Facts, gen: Gen, home: Home, row: Placement) -> Facts:
    """A placement's row as given."""
    return facts.but(placements=facts.placements.put((gen, home), row))


def unproven(row: Placement) -> Placement:
    """Every rejection and absence seen before means nothing any more (K4)."""
    return replace(row, rejections=0, first=None, last=None, grade=None, absent=0, absent_at=None)


def gone_row(row: Placement, at: Millis) -> Placement:
    """Gone from now on."""
    return replace(unproven(row), state=State.GONE, gone_at=at)


def make_gone(facts: Facts, gen: Gen, home: Home, at: Millis) -> Facts:
    """A kill or a look says that it is not there."""
    row = facts.placed(gen, home) or Placement(State.GONE)
    return put(facts, gen, home, gone_row(row, at))


def alone_in_slot(plan: Plan, facts: Facts, gen: Gen, home: Home, at: Millis, by_look: bool) -> Facts:
    """`gen` is in a single slot: the others in it are gone. An acknowledged write says so of all that are owed, those
    already gone too (K4); a look, of those that may have been in place, but not of one that was found alive after a
    kill."""
    if not displaces(plan.authority(home)):
        return facts
    over = LIVES - {State.LINGERS} if by_look else OWED
    rows = facts.placements
    for other, row in at_home(facts, home, gen):
        if row.state in over:
            rows = rows.put((other, home), gone_row(row, at))
    return facts.but(placements=rows)


def learn_handle(facts: Facts, gen: Gen, home: Home, handle: Handle | None) -> Facts:
    """The platform's id of the value at a home, if it told one."""
    if handle is None:
        return facts
    return facts.but(handles=facts.handles.put((gen, home), handle), suspects=facts.suspects.drop((gen, home)))


def failed_once(plan: Plan, facts: Facts, step: Step, at: Millis, not_before: Millis | None) -> Facts:
    """One attempt more (K5). The count stops at the longer patience: beyond it only the span matters."""
    effort, clocks = effort_of(facts, step), plan.clocks
    before = facts.attempts.get(effort)
    n = min(max(clocks.patience, clocks.kill_patience), (before.n if before else 0) + 1)
    pause = min(clocks.backoff_max, clocks.backoff * 2 ** min(n - 1, 20))
    again = max(not_before or 0, at + pause) if not_before is not None else at + pause
    first = before.first if before else at
    refused = before.refused if before else None
    return facts.but(attempts=facts.attempts.put(effort, Attempts(n, first, at, again, refused)))


def refused_once(facts: Facts, step: Step, at: Millis, reason: str) -> Facts:
    """A refusal needs no patience."""
    effort = effort_of(facts, step)
    before = facts.attempts.get(effort)
    first = before.first if before else at
    row = Attempts(before.n if before else 0, first, at, at, refused=reason)
    return facts.but(attempts=facts.attempts.put(effort, row))


def succeeded(facts: Facts, step: Step, *also: StepKind) -> Facts:
    """The effort is over, and so are those that this step's finding settles."""
    own = effort_of(facts, step)
    done = {own} | {Effort(kind, own.role, own.home, own.consumer, own.gen) for kind in also}
    if not any(effort in facts.attempts for effort in done):
        return facts
    return facts.but(attempts=facts.attempts.drop(*done))


def close_place(plan: Plan, facts: Facts, step: Step, until: Millis) -> Facts:
    """The intent is closed, its place stays so until the effect can no longer land (K3)."""
    place = place_of(plan, step)
    known = facts.closed_until.get(place)
    if known is not None and known >= until:
        return facts
    return facts.but(closed_until=facts.closed_until.put(place, until))


def used(facts: Facts) -> frozenset[Gen]:
    """Generations that may be current, or that a consumer may hold."""
    found = facts.current
    for held in facts.held.values():
        found = found | held
    return found


def leave(before: Facts, after: Facts, at: Millis) -> Facts:
    """Note when a generation left current or a consumer: its overlap counts from there (K1)."""
    if before.current == after.current and before.held == after.held:
        return after
    marks = after.left_at
    stay = after.current
    for gen in used(before):
        gone_from_current = gen in before.current and gen not in stay
        gone_from_held = any(gen in h and gen not in after.held.get(c, h) for c, h in before.held.items())
        if gen > 0 and (gone_from_current or gone_from_held):
            marks = marks.put(gen, at)
    return after.but(left_at=marks)


def unseen_dead(facts: Facts, gen: Gen, home: Home, at: Millis) -> Facts:
    """A value that nobody can try any more: it is not listed, or its slot is another's."""
    row = facts.placed(gen, home) or Placement(State.GONE, gone_at=at)
    return put(facts, gen, home, replace(row, state=State.DEAD, grade=Grade.UNSEEN, last=at))


def close_intent(plan: Plan, facts: Facts, done: bool) -> Facts:
    """No intent is open any more; if its effect may still be under way, its place is closed."""
    intent = facts.intent
    if intent is None:
        return facts
    facts = facts.but(intent=None, undo=None)
    if done or intent.quiet_until <= intent.at:
        return facts
    if intent.step.kind is StepKind.ISSUE and intent.step.gen is not None:
        # An issue is staged in the same step: its stage stays closed with its home.
        facts = close_place(plan, facts, Step(StepKind.CHECK_STAGE, intent.step.gen), intent.quiet_until)
    return close_place(plan, facts, intent.step, intent.quiet_until)


__all__ = [
    "IllegalEvent",
    "alone_in_slot",
    "close_intent",
    "failed_once",
    "gone_row",
    "learn_handle",
    "leave",
    "make_gone",
    "put",
    "refused_once",
    "role_of",
    "succeeded",
    "unseen_dead",
    "with_run",
]
