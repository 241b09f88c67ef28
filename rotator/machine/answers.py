"""Which of a person's answers are legal: by facts, never by phase. Called by `evolve`, by the API and the runbook.

An answer never stands as proof. GO_BACK, CONTAIN_NOW and ABANDON need no question.
"""

from __future__ import annotations

from rotator.machine.events import Answered, AnswerKind
from rotator.machine.facts import Facts, LegName, RunKind, Topic
from rotator.machine.plan import Plan
from rotator.machine.policy import can_return
from rotator.machine.reading import RUTHLESS, issued, leg_of, run_of, target_of, works
from rotator.machine.steps import StepKind

OPENING = frozenset({Topic.NO_OLD, Topic.NO_WAY_BACK})
ACCEPTABLE = frozenset({Topic.UNPROVEN, Topic.STRANGERS, Topic.CANNOT_KILL, Topic.REFUSED})
ROTATIONS = frozenset({RunKind.ROTATE, RunKind.OVERLAP})


def legal(plan: Plan, facts: Facts) -> tuple[Answered, ...]:
    """Every legal answer, complete: those about a placement, a consumer or a handle name it."""
    if facts.run is None or facts.ending is not None:
        return ()
    found = [Answered(AnswerKind.ABANDON)]
    if facts.question is not None:
        found.append(Answered(AnswerKind.RETRY))
        found += _about(facts)
    if leg_of(facts) is LegName.ADVANCE and can_return(plan, facts):
        found.append(Answered(AnswerKind.GO_BACK))
    if _may_go_on(plan, facts):
        found.append(Answered(AnswerKind.GO_ON))
    if leg_of(facts) not in RUTHLESS:
        found.append(Answered(AnswerKind.CONTAIN_NOW))
    if leg_of(facts) is LegName.CONTAIN and not _candidate_works(facts):
        found.append(Answered(AnswerKind.GIVE_UP))
    return tuple(found)


def is_legal(plan: Plan, facts: Facts, answer: Answered) -> bool:
    """Whether this very answer is legal now."""
    return answer in legal(plan, facts)


def _candidate_works(facts: Facts) -> bool:
    target = target_of(facts)
    return target is not None and works(facts, target)


def _may_go_on(plan: Plan, facts: Facts) -> bool:
    run, question = run_of(facts), facts.question
    if run.kind in ROTATIONS and leg_of(facts) is LegName.REPAIR:
        return question is not None and question.topic in OPENING
    if leg_of(facts) is not LegName.RETURN or run.returned_from is not LegName.ADVANCE or facts.intent is not None:
        return False
    candidate = run.candidate
    if issued(plan) or (question is not None and question.topic is Topic.NO_WAY_BACK):
        return True  # a value that nothing can be made of any more is followed by another
    return candidate is not None and candidate not in facts.doomed and candidate in facts.kept


def _about(facts: Facts) -> list[Answered]:
    """Answers that the question itself offers."""
    question = facts.question
    step = None if question is None else question.step
    found: list[Answered] = []
    if question is None:
        return found
    if question.topic is Topic.FOREIGN:
        found.append(Answered(AnswerKind.OVERWRITE))
        if leg_of(facts) is LegName.REPAIR:
            found.append(Answered(AnswerKind.TAKE))
    if step is None:
        return found
    if step.kind in (StepKind.PROVE, StepKind.FIND) and question.topic in ACCEPTABLE and step.gen is not None:
        found.append(Answered(AnswerKind.ACCEPT, gen=step.gen, home=step.home))
    if step.kind in (StepKind.PUSH, StepKind.UNPUSH):
        found.append(Answered(AnswerKind.SKIP, consumer=step.consumer))
    if question.topic is Topic.STRANGERS and step.gen is not None and step.home is not None:
        for handle in sorted(facts.suspects.get((step.gen, step.home), frozenset())):
            found.append(Answered(AnswerKind.NAME, gen=step.gen, home=step.home, handle=handle))
    return found
