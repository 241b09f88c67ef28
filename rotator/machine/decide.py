"""decide(plan, facts, now) -> what to do next. Pure and total; one `now` a decision.

Called by the engine's runner for every step, by the dry run and the tests. Must never read a clock or a limit: what
holds a step back from outside is asked of `holds`, between the decision and the intent.

The order: an ended run is finished; a question waits for its answer; an open intent is looked at; a refusal is weighed
by the policy; then the first rung of the leg that does not hold gives the step. If all hold, the next leg, or the end.
"""

from __future__ import annotations

from rotator.machine.decisions import Ask, Decision, Do, Finish, Look, Turn, Wait
from rotator.machine.facts import Ending, Facts, LegName, Question, RunKind, State, Topic
from rotator.machine.guard import objection
from rotator.machine.ids import Gen, Millis
from rotator.machine.ladder import LEGS, RUNGS, RungName
from rotator.machine.needs import Impossible, Needs, Pause
from rotator.machine.plan import Plan
from rotator.machine.policy import give_way, patience_is_out, refused
from rotator.machine.reading import (
    RUTHLESS,
    current_known,
    fresh,
    holds_surely,
    homes_of,
    in_place,
    is_kill,
    leg_of,
    run_of,
    target_of,
    victims,
)
from rotator.machine.ripe import ripe
from rotator.machine.steps import Step, StepKind

OWING = frozenset({LegName.ADVANCE, LegName.RETURN})
"""Legs that may end owing: the target serves, something old could not be proven dead yet."""


def decide(plan: Plan, facts: Facts, now: Millis) -> Decision:
    """The next thing to do. `now` is never earlier than the last event."""
    if facts.ending is not None:
        return Finish(facts.ending)
    if facts.question is not None:
        return Ask(facts.question)
    if facts.intent is not None:
        return Look(facts.intent.step)
    return refused(plan, facts, now) or _climb(plan, facts, now)


def _climb(plan: Plan, facts: Facts, now: Millis) -> Decision:
    target = target_of(facts)
    leg = LEGS[leg_of(facts)]
    owing: Question | None = None
    for name in leg.rungs:
        needs = RUNGS[name].needs(plan, facts, target, now)
        if not needs:
            continue
        decision = _weigh(plan, facts, name, needs, now)
        if isinstance(decision, Ask) and RUNGS[name].owes and _may_owe(facts, decision.question):
            owing = owing or decision.question
            continue
        return decision
    if owing is not None:
        return _owe(plan, facts, target, owing, now)
    run = run_of(facts)
    if len(run.legs) > 1:
        return Turn(run.legs[1:], "leg_done")
    return Finish(_ending(facts))


def _may_owe(facts: Facts, question: Question) -> bool:
    """Refused, out of patience, or alive after the repeat; what only a person can settle is asked."""
    return leg_of(facts) in OWING and question.topic in (Topic.REFUSED, Topic.UNPROVEN)


def _ending(facts: Facts) -> Ending:
    run = run_of(facts)
    if run.kind is RunKind.RECONCILE and run.legs[0] is LegName.RETURN:
        return Ending.SUCCEEDED
    return LEGS[run.legs[0]].ending or Ending.SUCCEEDED


def _weigh(plan: Plan, facts: Facts, name: RungName, needs: Needs, now: Millis) -> Decision:
    """Choose among what a rung needs: in order, or the first that is ripe (K8). What is out of patience comes last."""
    rung = RUNGS[name]
    stuck: list[Question] = []
    policy = rung.policy
    soonest: Wait | None = None
    for need in needs:
        if isinstance(need, Turn):
            return need
        if isinstance(need, Pause):
            soonest = _sooner(soonest, Wait(need.until, None, need.why))
        elif isinstance(need, Impossible):
            stuck.append(need.question)
            policy = policy or need.policy
        elif patience_is_out(plan, facts, need, now):
            stuck.append(_out_of_patience(facts, name, need))
        else:
            decision = _step(plan, facts, need, now)
            if not isinstance(decision, Wait):
                return decision
            soonest = _sooner(soonest, decision)
        if not rung.any_order:
            break
    if soonest is not None:
        return soonest
    return give_way(plan, facts, stuck[0], now) if policy else Ask(stuck[0])


def _sooner(one: Wait | None, other: Wait) -> Wait:
    return other if one is None or other.until < one.until else one


def _out_of_patience(facts: Facts, name: RungName, step: Step) -> Question:
    topic = Topic.REFUSED
    if step.kind in (StepKind.PROVE, StepKind.FIND):
        topic = Topic.UNPROVEN
    elif name is RungName.SEEN and step.kind is StepKind.VERIFY:
        topic = Topic.NOT_VERIFIED
    return Question(topic, step, "out_of_patience")


def _step(plan: Plan, facts: Facts, step: Step, now: Millis) -> Decision:
    """Do it, wait for its clock, or ask because the guard objects."""
    at = ripe(plan, facts, step)
    if at > now:
        return Wait(at, step, "ripe")
    topic = objection(plan, facts, step)
    if topic is Topic.NOT_VERIFIED and step.kind not in (StepKind.PROMOTE, StepKind.PUSH):
        return _see_what_serves(plan, facts, step, now) or Ask(Question(topic, step))
    if topic is not None:
        return Ask(Question(topic, step))
    if leg_of(facts) not in RUTHLESS and _ends_something(plan, facts, step):
        return _see_what_serves(plan, facts, step, now) or Do(step)
    return Do(step)


def _ends_something(plan: Plan, facts: Facts, step: Step) -> bool:
    if is_kill(step):
        return True
    return not in_place(plan, facts, step) and any(True for _ in victims(plan, facts, step))


def what_serves(facts: Facts) -> Gen | None:
    """The target once it is current, else what is current."""
    target = target_of(facts)
    return target if target is not None and facts.current == {target} else current_known(facts)


def _see_what_serves(plan: Plan, facts: Facts, kill: Step | None, now: Millis) -> Decision | None:
    """K2: before a kill, and before a run ends owing, what serves is seen alive again unless it was seen lately."""
    serves = what_serves(facts)
    if serves is None or serves <= 0:
        return Ask(Question(Topic.NOT_VERIFIED, kill))
    if fresh(plan, facts, serves, now):
        return None
    for home in homes_of(facts, serves):
        row = facts.placed(serves, home)
        step = Step(StepKind.VERIFY, serves, home)
        if row is None or row.state not in (State.MAYBE, State.INSTALLED, State.ALIVE):
            return give_way(plan, facts, Question(Topic.NOT_VERIFIED, step, "serves_not"), now)
        lately = row.state is State.ALIVE and row.alive_at is not None and row.alive_at >= now - plan.clocks.fresh
        if lately:
            continue
        if patience_is_out(plan, facts, step, now):
            return give_way(plan, facts, Question(Topic.NOT_VERIFIED, step, "out_of_patience"), now)
        at = ripe(plan, facts, step)
        return Wait(at, step, "ripe") if at > now else Do(step, before=kill)
    return None


def _owe(plan: Plan, facts: Facts, target: Gen | None, question: Question, now: Millis) -> Decision:
    """K12: what is old could not be proven dead, what is new serves everywhere: the run ends by itself, owing."""
    if target is None or facts.current != {target} or not holds_surely(plan, facts, target):
        return Ask(question)
    return _see_what_serves(plan, facts, None, now) or Finish(Ending.OWED)
