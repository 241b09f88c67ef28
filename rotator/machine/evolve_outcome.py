"""What an outcome makes certain, and what it does not. Called by `evolve` only.

Only *done* makes anything certain. A refusal leaves the facts as the intent left them: it may be a lie. Must decide
nothing: a refusal is written down, `decide` says where to go.
"""

from __future__ import annotations

from dataclasses import replace

from rotator.machine import evolve_found as found
from rotator.machine.change import (
    IllegalEvent,
    close_intent,
    failed_once,
    leave,
    refused_once,
    succeeded,
    used,
    with_run,
)
from rotator.machine.events import Outcome
from rotator.machine.facts import Facts, Placement, Refusal, Role, State
from rotator.machine.ids import Gen, Home, Millis
from rotator.machine.plan import Plan
from rotator.machine.reading import effort_of, role_of, run_of
from rotator.machine.steps import (
    Answer,
    CurrentIs,
    Found,
    Intent,
    Listed,
    Made,
    OutcomeKind,
    Probed,
    Staged,
    Step,
    StepKind,
)

STEERING = frozenset({StepKind.STAGE, StepKind.INSTALL, StepKind.ISSUE, StepKind.VERIFY, StepKind.PROMOTE})
"""Steps towards the target: their refusal turns the run. Of the others, the rest is done first."""

VALUE_REFUSED = "policy"
"""The plugin API's word for a refusal of the value itself by the platform's rules."""

EXPECTED: dict[StepKind, type[object]] = {
    StepKind.READ_CURRENT: CurrentIs,
    StepKind.PROMOTE: CurrentIs,
    StepKind.CHECK_STAGE: Staged,
    StepKind.VERIFY: Probed,
    StepKind.PROVE: Probed,
    StepKind.FIND: Listed,
    StepKind.LIST: Listed,
    StepKind.SNAPSHOT: Listed,
    StepKind.ISSUE: Made,
}
"""What a done of these kinds must bring. INSTALL and NEUTRALISE may bring Made."""


def outcome(plan: Plan, facts: Facts, event: Outcome, at: Millis) -> Facts:
    """Facts after the outcome. Raises IllegalEvent if it does not belong to the open intent."""
    intent = facts.intent
    if intent is None or intent.step != event.step:
        raise IllegalEvent(f"{event.step.kind.value} is not the open intent")
    if event.kind is OutcomeKind.DONE:
        _fits(event.step, event.found)
        after = _done(plan, close_intent(plan, facts, done=True), intent, event, at)
        return leave(facts, after, at)
    if event.kind is OutcomeKind.UNSENT:
        return failed_once(plan, _undone(facts), event.step, at, event.not_before)
    after = close_intent(plan, facts, done=False)
    if event.kind is OutcomeKind.REFUSED:
        return _refused(plan, after, event, at)
    if event.kind is OutcomeKind.MISCONFIGURED:
        return after.but(refusal=Refusal(event.step, event.kind, event.reason))
    return failed_once(plan, after, event.step, at, event.not_before)


def _refused(plan: Plan, facts: Facts, event: Outcome, at: Millis) -> Facts:
    """Where the platform's rules refuse this very value, it is never a target again, and the refusal is passed over
    while the run may make another (ADR 0020). What is in use is not doomed for it."""
    step, gen = event.step, event.step.gen
    ours = gen is not None and role_of(facts, gen) in (Role.CANDIDATE, Role.FILLER) and gen not in used(facts)
    sets = step.kind in (StepKind.INSTALL, StepKind.NEUTRALISE)
    if gen is None or not ours or not sets or event.reason != VALUE_REFUSED:
        return refuse(facts, step, at, event.reason)
    unfit = run_of(facts).unfit + 1
    facts = with_run(facts.but(doomed=facts.doomed | {gen}), unfit=unfit)
    return refuse(facts, step, at, event.reason) if unfit >= plan.values else succeeded(facts, step)


def refuse(facts: Facts, step: Step, at: Millis, reason: str) -> Facts:
    """Write a refusal down."""
    facts = refused_once(facts, step, at, reason)
    if step.kind in STEERING and role_of(facts, step.gen) is not Role.FILLER:
        return facts.but(refusal=Refusal(step, OutcomeKind.REFUSED, reason))
    return facts


def _fits(step: Step, what: Found) -> None:
    expected = EXPECTED.get(step.kind)
    if expected is not None and not isinstance(what, expected):
        raise IllegalEvent(f"{step.kind.value} was answered with {type(what).__name__}")


def _undone(facts: Facts) -> Facts:
    """Our transport never connected: facts as before the intent. *Doomed*, numbers and labels stay."""
    undo, intent = facts.undo, facts.intent
    if undo is None or intent is None:
        raise IllegalEvent("nothing to undo")
    facts = with_run(facts, wrote=undo.wrote, displaced=undo.displaced, killed=undo.killed)
    return facts.but(
        kept=undo.kept,
        stored=undo.stored,
        current=undo.current,
        held=undo.held,
        placements=undo.placements,
        listing=undo.listing,
        intent=None,
        undo=None,
    )


def _done(plan: Plan, facts: Facts, intent: Intent, event: Outcome, at: Millis) -> Facts:
    step, what = event.step, event.found
    gen, home = step.gen, step.home
    if isinstance(what, Probed):
        return _probed(plan, facts, step, what, event, at)
    facts = succeeded(facts, step)
    match step.kind:
        case StepKind.READ_CURRENT | StepKind.PROMOTE if isinstance(what, CurrentIs):
            return found.current_is(facts, step, what, at)
        case StepKind.CHECK_STAGE if gen is not None and isinstance(what, Staged):
            return found.staged(plan, facts, gen, what, at)
        case StepKind.STAGE if gen is not None:
            return facts.but(kept=facts.kept | {gen}, stored=facts.stored | {gen})
        case StepKind.DESTROY if gen is not None:
            return found.destroyed(facts, gen)
        case StepKind.PUSH if gen is not None and step.consumer is not None:
            return facts.but(held=facts.held.put(step.consumer, frozenset({gen})))
        case StepKind.UNPUSH if step.consumer is not None:
            return facts.but(held=facts.held.put(step.consumer, found.NOTHING))
    if home is None:
        raise IllegalEvent(f"{step.kind.value} names no home")
    return _done_at_home(plan, facts, step, home, what, at)


def _done_at_home(plan: Plan, facts: Facts, step: Step, home: Home, what: Found, at: Millis) -> Facts:
    if isinstance(what, Listed) and step.kind is StepKind.LIST:
        return found.listed(facts, home, what)
    if isinstance(what, Listed) and step.kind is StepKind.SNAPSHOT:
        return facts.but(listing=facts.listing.put(home, frozenset(row.handle for row in what.rows)))
    gen = step.gen
    if gen is None:
        raise IllegalEvent(f"{step.kind.value} names no generation")
    match step.kind:
        case StepKind.FIND if isinstance(what, Listed):
            return found.searched(facts, gen, home, what, at)
        case StepKind.INSTALL | StepKind.ISSUE | StepKind.NEUTRALISE:
            handle = what.handle if isinstance(what, Made) else None
            facts = found.installed(plan, facts, gen, home, handle, at)
            return facts.but(kept=facts.kept | {gen}) if step.kind is StepKind.ISSUE else facts
        case StepKind.REVOKE:
            return found.killed(facts, gen, home, at)
        case StepKind.SWEEP:
            row = facts.placed(gen, home) or Placement(State.GONE, gone_at=at)
            return facts.but(placements=facts.placements.put((gen, home), replace(row, swept=True)))
    raise IllegalEvent(f"{step.kind.value} cannot be done so")


def _probed(plan: Plan, facts: Facts, step: Step, what: Probed, event: Outcome, at: Millis) -> Facts:
    gen, home = step.gen, step.home
    if gen is None or home is None:
        raise IllegalEvent(f"{step.kind.value} names no placement")
    row = facts.placed(gen, home) or Placement(State.MAYBE)
    weak = step.kind is StepKind.PROVE and (what.grade is None or what.grade > plan.weakest)
    if what.answer is Answer.INCONCLUSIVE or (what.answer is Answer.REJECTED and weak):
        return failed_once(plan, facts, step, at, event.not_before)
    if step.kind is StepKind.PROVE:
        facts = succeeded(facts, step)
        if what.answer is Answer.REJECTED and what.grade is not None:
            return found.rejected_dead(plan, facts, gen, home, row, what.grade, at)
        return found.lingers(facts, gen, home, row, at)
    if what.answer is Answer.ALIVE:
        facts = succeeded(facts, step, StepKind.INSTALL, StepKind.ISSUE, StepKind.NEUTRALISE)
        return found.verified(plan, facts, gen, home, row, at)
    if what.answer is Answer.STRANGER:
        return refuse(facts, step, at, event.reason or "stranger")
    return _not_verified(plan, facts, step, gen, home, row, event, at)


def _not_verified(
    plan: Plan, facts: Facts, step: Step, gen: Gen, home: Home, row: Placement, event: Outcome, at: Millis
) -> Facts:
    """A rejected verify. On *maybe* it is a look; soon after the write it means nothing yet (K9)."""
    acked = row.state in (State.INSTALLED, State.ALIVE)
    settled = None if row.acked_at is None else row.acked_at + plan.clocks.settle
    if acked and settled is not None and at < settled:
        return failed_once(plan, facts, step, at, settled)
    reason = event.reason or "rejected"
    authority = plan.authority(home)
    role = effort_of(facts, step).role
    if authority is not None and authority.issued and role is Role.CANDIDATE:
        # The platform may still let it in: it stays possibly alive, and another one is made under a new number.
        facts = facts.but(
            placements=facts.placements.put((gen, home), replace(row, state=State.MAYBE)), doomed=facts.doomed | {gen}
        )
        return refuse(facts, step, at, reason)
    facts = found.killed(facts, gen, home, at)
    return refuse(facts, step, at, reason) if acked else succeeded(facts, step)
