"""The plan that people see and approve: a dry run of `decide` against a world that obliges.

Called by the engine for `plan`, `explain` and approvals. Nothing is sent, nothing journaled. Every write is done,
every value that should live answers alive, every one that should be dead is rejected; what is not known is assumed as
the facts last had it. Must never be mistaken for a promise: what happens is decided step by step.
"""

from __future__ import annotations

from dataclasses import dataclass

from rotator.machine.decide import decide
from rotator.machine.decisions import Ask, Do, Finish, Look, Turn, Wait
from rotator.machine.events import Asked, Event, Finished, Intended, Outcome, Turned
from rotator.machine.evolve import evolve
from rotator.machine.facts import HERE, Ending, Facts, LegName, Question, State
from rotator.machine.ids import Gen, Handle, Millis
from rotator.machine.plan import Plan
from rotator.machine.reading import (
    by_handle,
    current_known,
    displaces,
    homes_of,
    is_kill,
    leg_of,
    makes_value,
    run_of,
    victims,
)
from rotator.machine.steps import (
    Answer,
    CurrentIs,
    Found,
    Grade,
    Listed,
    Made,
    OutcomeKind,
    Probed,
    Row,
    Staged,
    Step,
    StepKind,
)

LONGEST = 1_000
"""More decisions than any plan has: a dry run that goes on is a fault of the ladder."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One line: a step, or a wait (step None)."""

    leg: LegName
    step: Step | None
    at: Millis
    until: Millis | None = None
    exposes: bool = False
    """Between this and the promote, what readers fetch is not accepted."""
    final: bool = False
    """It ends a value for good: what it hits is never a target again."""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """The steps to come. `ending` None: it comes to `question`."""

    lines: tuple[Planned, ...]
    ending: Ending | None
    question: Question | None
    ends_at: Millis

    @property
    def exposed(self) -> tuple[Planned, ...]:
        """Steps from which readers are locked out until the promote."""
        return tuple(line for line in self.lines if line.exposes)

    @property
    def cannot_be_undone(self) -> tuple[Planned, ...]:
        """Steps after which there is no way back for what they hit."""
        return tuple(line for line in self.lines if line.final)


def rehearse(plan: Plan, facts: Facts, now: Millis) -> Rehearsal:
    """Walk an open run (`facts` with a run opened) to its end, or to a question."""
    lines: list[Planned] = []
    for _ in range(LONGEST):
        decision = decide(plan, facts, now)
        leg = leg_of(facts)
        if isinstance(decision, Finish):
            if facts.ending is None:
                facts = evolve(plan, facts, Finished(decision.ending), now)
            return Rehearsal(tuple(lines), decision.ending, None, now)
        if isinstance(decision, Ask):
            if facts.question is None:
                facts = evolve(plan, facts, Asked(decision.question), now)
            return Rehearsal(tuple(lines), None, decision.question, now)
        if isinstance(decision, Wait):
            lines.append(Planned(leg, None, now, until=decision.until))
            now = max(now, decision.until)
            continue
        for event in _events(plan, facts, decision, now):
            facts = evolve(plan, facts, event, now)
        if isinstance(decision, Do):
            lines.append(_line(plan, facts, leg, decision.step, now))
    raise RuntimeError("the dry run does not end")


def _line(plan: Plan, after: Facts, leg: LegName, step: Step, now: Millis) -> Planned:
    installs = step.kind in (StepKind.INSTALL, StepKind.ISSUE)
    home = step.home
    taken = home is not None and installs and displaces(plan.authority(home))
    current = current_known(after)
    shut_out = taken and current is not None and current != step.gen and home in homes_of(after, current)
    final = is_kill(step) or step.kind is StepKind.DESTROY
    if taken and home is not None:
        authority = plan.authority(home)
        final = authority is not None and not authority.settable and any(True for _ in victims(plan, after, step))
    return Planned(leg, step, now, exposes=shut_out, final=final)


def _events(plan: Plan, facts: Facts, decision: Look | Do | Turn, now: Millis) -> tuple[Event, ...]:
    if isinstance(decision, Turn):
        return (Turned(decision.legs, decision.why, decision.old, decision.way_back),)
    if isinstance(decision, Look):
        return (Outcome(decision.step, OutcomeKind.UNKNOWN),)
    step = decision.step
    label = None
    handle = None
    if step.gen is not None and step.home is not None and step.kind is StepKind.REVOKE:
        handle = facts.handles.get((step.gen, step.home))
    if makes_value(step) and step.gen is not None:
        label = facts.labels.get(step.gen)
    intent = Intended(step, now, now, 0, label, handle, facts.version, decision.before)
    return intent, Outcome(step, OutcomeKind.DONE, _obliging(plan, facts, step))


def _obliging(plan: Plan, facts: Facts, step: Step) -> Found:
    gen, home = step.gen, step.home
    match step.kind:
        case StepKind.READ_CURRENT:
            known = current_known(facts)
            guess = known if known is not None else run_of(facts).old
            return CurrentIs(guess or _newest(facts), facts.version)
        case StepKind.PROMOTE:
            return CurrentIs(gen, facts.version)
        case StepKind.CHECK_STAGE:
            return Staged(True)
        case StepKind.VERIFY:
            return Probed(Answer.ALIVE)
        case StepKind.PROVE:
            return Probed(Answer.REJECTED, Grade.SUCCESSOR if _successor(facts, step) else plan.weakest)
        case StepKind.LIST | StepKind.SNAPSHOT:
            return Listed(frozenset())
        case StepKind.FIND if gen is not None and home is not None:
            label = facts.labels.get(gen)
            listed = by_handle(plan, home) and facts.state(gen, home) is not State.GONE and label is not None
            return Listed(frozenset({Row(Handle(f"(handle of {gen})"), label)}) if listed else frozenset())
        case StepKind.INSTALL | StepKind.ISSUE | StepKind.NEUTRALISE:
            return Made(Handle(f"(handle of {gen})"))
    return None


def _newest(facts: Facts) -> Gen | None:
    kept = facts.kept - facts.fillers
    return max(kept) if kept else None


def _successor(facts: Facts, step: Step) -> bool:
    return any(row.state in HERE and home == step.home for (_, home), row in facts.placements.items())
