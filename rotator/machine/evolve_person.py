"""A person's answers as events. Called by `evolve` only; what is legal when stands in `answers`."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from rotator.machine.answers import is_legal
from rotator.machine.change import IllegalEvent, close_intent, put, with_run
from rotator.machine.events import Accepted, Answered, AnswerKind
from rotator.machine.facts import EMPTY, Ending, Facts, LegName, Placement, State, Topic
from rotator.machine.frozen import FrozenMap
from rotator.machine.ids import Gen, Millis
from rotator.machine.plan import Plan
from rotator.machine.reading import current_known, debts, numbered, run_of, target_of


def answered(plan: Plan, facts: Facts, event: Answered, at: Millis) -> Facts:
    """Facts after the answer. Raises IllegalEvent if it is not legal now."""
    if not is_legal(plan, facts, event):
        raise IllegalEvent(f"{event.kind.value} is not legal now")
    match event.kind:
        case AnswerKind.RETRY:
            return _again(facts, _asked_about(facts))
        case AnswerKind.ABANDON:
            return facts.but(question=None, ending=Ending.ABANDONED)
        case AnswerKind.GO_BACK:
            facts = close_intent(plan, facts, done=False)
            return with_run(_heard(facts), legs=(LegName.RETURN,), returned_from=LegName.ADVANCE)
        case AnswerKind.GO_ON:
            return _go_on(facts)
        case AnswerKind.CONTAIN_NOW:
            return _contain(plan, facts)
        case AnswerKind.GIVE_UP:
            run = run_of(facts)
            doomed = facts.doomed if run.candidate is None else facts.doomed | {run.candidate}
            return with_run(_heard(facts).but(doomed=doomed), legs=(LegName.GIVE_UP,))
        case AnswerKind.OVERWRITE:
            return with_run(_heard(facts), overwrite=True)
        case AnswerKind.TAKE:
            return _take(plan, facts)
        case AnswerKind.ACCEPT | AnswerKind.SKIP | AnswerKind.NAME:
            return _about_one(facts, event)
    assert_never(event.kind)


def accepted(facts: Facts, event: Accepted) -> Facts:
    """A debt is accepted between runs. Raises IllegalEvent for what is none, and while a run is open: its target is
    nothing to accept, and what it is about to prove needs nobody's word."""
    if facts.run is not None and facts.ending is None:
        raise IllegalEvent("a run is open")
    if (event.gen, event.home) not in debts(facts):
        raise IllegalEvent("it is no debt")
    row = facts.placements[event.gen, event.home]
    # Never a target again: while it is accepted nobody looks at it.
    facts = facts.but(doomed=facts.doomed | {event.gen})
    return put(facts, event.gen, event.home, replace(row, state=State.ACCEPTED, until=event.until))


def _heard(facts: Facts) -> Facts:
    """A person spoke: no question, no refusal, and patience begins anew."""
    return facts.but(question=None, refusal=None, attempts=FrozenMap())


def _asked_about(facts: Facts) -> Gen | None:
    """Whose *gone* is looked at again by a retry: the target's, or what serves if that was asked about."""
    question = facts.question
    if question is not None and question.topic is Topic.NOT_VERIFIED:
        serves = target_of(facts)
        known = current_known(facts)
        if question.step is not None:
            return question.step.gen
        return known if serves is None else serves
    if question is not None and question.topic is Topic.NO_OLD:
        return current_known(facts)
    return target_of(facts)


def _again(facts: Facts, gen: Gen | None) -> Facts:
    facts = with_run(_heard(facts), repeated=frozenset()).but(suspects=FrozenMap())
    for (who, home), row in tuple(facts.placements.items()):
        if who == gen and row.state is State.GONE:
            facts = put(facts, who, home, replace(row, state=State.MAYBE, absent=0, absent_at=None))
    return facts


def _go_on(facts: Facts) -> Facts:
    """Back to the advance; over an unexplained refusal of current there is no way back."""
    question, run = facts.question, run_of(facts)
    facts = _heard(facts)
    if question is not None and question.topic in (Topic.NO_OLD, Topic.NO_WAY_BACK):
        old = run.old if current_known(facts) in (None, EMPTY) else current_known(facts)
        return with_run(facts, legs=(LegName.ADVANCE,), way_back=False, old=old, returned_from=None)
    return with_run(facts, legs=(LegName.ADVANCE,), returned_from=None)


def _contain(plan: Plan, facts: Facts) -> Facts:
    """An open intent is closed unlooked: what it touched stays uncertain, its place stays closed (K8)."""
    facts = _heard(close_intent(plan, facts, done=False))
    run = run_of(facts)
    keep = run.candidate if run.candidate is not None and run.candidate not in facts.doomed else None
    doomed = numbered(facts) - facts.fillers
    if keep is not None:
        doomed = doomed - {keep}
    facts = facts.but(doomed=facts.doomed | doomed)
    return with_run(
        facts,
        legs=(LegName.CONTAIN,),
        candidate=keep,
        returned_from=None,
        repeated=frozenset(),
        listed=frozenset(),
    )


def _take(plan: Plan, facts: Facts) -> Facts:
    """A value that somebody else made current becomes a generation of ours, not yet looked at."""
    gen = Gen(facts.top + 1)
    homes = tuple(authority.homes()[0] for authority in plan.authorities)
    facts = _heard(facts).but(
        top=gen, current=frozenset({gen}), homes=facts.homes.put(gen, homes), stored=facts.stored - {gen}
    )
    for home in homes:
        facts = put(facts, gen, home, Placement(State.MAYBE))
    return with_run(facts, old=None)


def _about_one(facts: Facts, event: Answered) -> Facts:
    run = run_of(facts)
    facts = _heard(facts)
    if event.kind is AnswerKind.SKIP and event.consumer is not None:
        target = target_of(facts)
        key = (event.consumer, EMPTY if target is None else target)
        return with_run(facts, skipped=run.skipped | {key})
    if event.gen is None or event.home is None:
        raise IllegalEvent(f"{event.kind.value} names no placement")
    if event.kind is AnswerKind.NAME and event.handle is not None:
        key_ = (event.gen, event.home)
        return facts.but(handles=facts.handles.put(key_, event.handle), suspects=facts.suspects.drop(key_))
    if event.gen in (target_of(facts), run.candidate):
        # A lost issue that a person accepts may be alive: its number is never issued again.
        facts = facts.but(doomed=facts.doomed | {event.gen})
    row = facts.placed(event.gen, event.home) or Placement(State.ACCEPTED)
    return put(facts, event.gen, event.home, replace(row, state=State.ACCEPTED, until=None))
