"""The policy: where a run goes when a step is refused, impossible or out of patience.

Called by `decide`. In advance it goes back if the old value can still work; everything else asks a person. A refusal
may be a lie, so nothing is concluded from it about the world.
"""

from __future__ import annotations

from rotator.machine.decisions import Ask, Decision, Do, Turn, Wait
from rotator.machine.facts import HERE, Attempts, Effort, Facts, LegName, Question, State, Topic
from rotator.machine.ids import Millis
from rotator.machine.plan import Plan
from rotator.machine.reading import effort_of, homes_of, leg_of, role_of, run_of, works
from rotator.machine.ripe import ripe
from rotator.machine.steps import OutcomeKind, Step, StepKind

KILLS_AND_PROOFS = frozenset(
    {StepKind.REVOKE, StepKind.NEUTRALISE, StepKind.PROVE, StepKind.FIND, StepKind.SWEEP, StepKind.DESTROY}
)


def can_return(plan: Plan, facts: Facts) -> bool:
    """The old value is kept, undoomed, and at each of its homes in place, possibly so, or settable again."""
    run = run_of(facts)
    old = run.old
    if old is None or not run.way_back or old in facts.doomed or old not in facts.kept:
        return False
    for home in homes_of(facts, old):
        state, authority = facts.state(old, home), plan.authority(home)
        settable = authority is not None and authority.settable and not authority.issued
        if state not in HERE and state is not State.MAYBE and not settable:
            return False
    return bool(homes_of(facts, old))


def turns_back(plan: Plan, facts: Facts) -> bool:
    """The run goes back by itself: not over a candidate that works and may be current while the old one does not."""
    run = run_of(facts)
    if leg_of(facts) is not LegName.ADVANCE or not can_return(plan, facts):
        return False
    candidate, old = run.candidate, run.old
    if candidate is None or old is None:
        return True
    return not (works(facts, candidate) and not works(facts, old) and candidate in facts.current)


def patience_is_out(plan: Plan, facts: Facts, step: Step, now: Millis) -> bool:
    """Number and span are both used up (K5), or the platform refused. In contain what stands before the kill gets one
    attempt: an unreachable store must not shield a leaked key (K8)."""
    row = facts.attempts.get(effort_of(facts, step))
    if row is None:
        return False
    if row.refused is not None:
        return True
    clocks = plan.clocks
    if leg_of(facts) is LegName.CONTAIN and step.kind in (StepKind.STAGE, StepKind.CHECK_STAGE) and step.home is None:
        return row.n >= 1
    if step.kind in KILLS_AND_PROOFS:
        return row.n >= clocks.kill_patience and now - row.first >= clocks.kill_patience_span
    return row.n >= clocks.patience and now - row.first >= clocks.patience_span


def must_read_first(facts: Facts, step: Step) -> bool:
    """A promote that was refused or is out of patience: the store's current is read before the run turns (K7)."""
    row = _promotes(facts, step)
    return row is not None and not row.read


def _promotes(facts: Facts, step: Step) -> Attempts | None:
    if step.kind is not StepKind.PROMOTE:
        return None
    return facts.attempts.get(Effort(StepKind.PROMOTE, role_of(facts, step.gen)))


def refused(plan: Plan, facts: Facts, now: Millis) -> Decision | None:
    """What follows from the refusal that the facts hold."""
    refusal = facts.refusal
    if refusal is None:
        return None
    if refusal.outcome is OutcomeKind.MISCONFIGURED:
        return Ask(Question(Topic.MISCONFIGURED, refusal.step, refusal.reason))
    return give_way(plan, facts, Question(Topic.REFUSED, refusal.step, refusal.reason), now)


def give_way(plan: Plan, facts: Facts, question: Question, now: Millis) -> Decision:
    """Turn back if the policy says so, else ask."""
    step = question.step
    if step is not None and must_read_first(facts, step):
        read = Step(StepKind.READ_CURRENT)
        if not patience_is_out(plan, facts, read, now):
            at = ripe(plan, facts, read)
            return Wait(at, read, "ripe") if at > now else Do(read)
    if turns_back(plan, facts):
        why = question.topic.value if step is None else f"{step.kind.value}_{question.topic.value}"
        return Turn((LegName.RETURN,), why)
    return Ask(question)
