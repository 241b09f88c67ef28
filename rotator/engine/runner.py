"""Works one run until it waits, asks or ends. The only place that knows the order:

    decide -> holds -> commit intent -> perform -> commit outcome                                            (R1)

Called by the worker threads with a claim. It keeps nothing between calls: whatever kills this process, the next owner
reads the facts and goes on. One `now` a decision (R7), never before the last event of the run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import structlog

from rotator.machine.decide import decide
from rotator.machine.decisions import Ask, Do, Finish, Look, Turn, Wait
from rotator.machine.events import Asked, Event, Finished, Intended, Outcome, Turned
from rotator.machine.evolve import evolve
from rotator.machine.facts import Facts
from rotator.machine.holds import Limits, holds
from rotator.machine.ids import Label, Millis
from rotator.machine.steps import MAKES, READS, OutcomeKind, Step, StepKind

from .ports import Claim, Clock, Effects, LeaseLost, Ledger, Observed, RunRow, Work

_LOG = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Timing:
    """Spans in milliseconds. An effect is sent before `deadline` and has landed `landing` later; `lease` is longer."""

    deadline: Millis = 30_000
    landing: Millis = 30_000
    lease: Millis = 60_000

    def __post_init__(self) -> None:
        if self.deadline >= self.lease:
            raise ValueError("the deadline of an effect is shorter than the lease (R15)")


@dataclass(slots=True)
class Passage:
    """One run in one worker's hands."""

    claim: Claim
    run: RunRow
    facts: Facts
    last_at: Millis


class Place(Protocol):
    """What the endpoint or store of a step says: its limits, all None if it may be sent; then `leave` ends it."""

    @property
    def limits(self) -> Limits: ...
    @property
    def leave(self) -> Callable[[], None]: ...


@dataclass(frozen=True, slots=True)
class Anywhere:
    """Nothing holds it."""

    limits: Limits = field(default_factory=Limits)
    leave: Callable[[], None] = lambda: None


class Runner:
    """`limits` answers what holds steps now (pause, freeze, budgets); `enter` takes a place at the step's endpoint or
    store, asked only when nothing else holds; `stopping` is asked between steps."""

    def __init__(
        self,
        ledger: Ledger,
        effects: Effects,
        clock: Clock,
        timing: Timing,
        *,
        installation: str,
        limits: Callable[[RunRow, Facts, Millis], Limits],
        stopping: Callable[[], bool] = lambda: False,
        enter: Callable[[RunRow, Facts, Step, Millis], Place] = lambda run, facts, step, now: Anywhere(),
        serial: Callable[[], int] | None = None,
    ) -> None:
        """`serial`: the next serial of a label, for ever (the ledger's own counter, if none is given)."""
        self._ledger = ledger
        self._effects = effects
        self._clock = clock
        self._timing = timing
        self._installation = installation
        self._limits = limits
        self._stopping = stopping
        self._enter = enter
        self._serial = serial or (lambda: ledger.serials(1))

    def work(self, claim: Claim) -> None:
        """Advance the run as far as it goes now. Stops silently when another worker has taken it."""
        try:
            passage = self._load(claim)
            while passage is not None:
                if self._stopping():
                    self._ledger.release(claim, self._clock.now(), "")
                    return
                passage = self._advance(passage)
        except LeaseLost:
            _LOG.warning("engine.run.lease_lost", run=claim.run)

    def _load(self, claim: Claim) -> Passage | None:
        run = self._ledger.run(claim.run)
        row = None if run is None else self._ledger.credential(run.credential)
        if run is None or row is None or run.ended_at is not None:
            return None
        journal = self._ledger.journal(claim.run)
        return Passage(claim, run, row.facts, journal[-1].at if journal else run.opened_at)

    def _advance(self, p: Passage) -> Passage | None:
        """One decision. None: nothing more to do now."""
        now = max(self._clock.now(), p.last_at)
        decision = decide(p.run.plan, p.facts, now)
        match decision:
            case Look(step=step):
                return self._commit(p, [Outcome(step, OutcomeKind.UNKNOWN, reason="worker_lost")], now)
            case Turn():
                turned = Turned(decision.legs, decision.why, decision.old, decision.way_back)
                return self._commit(p, [turned], now)
            case Ask(question=question):
                if p.facts.question != question:
                    return self._commit(p, [Asked(question)], now)
                self._ledger.release(p.claim, None, "waiting_for_you")
                return None
            case Finish(ending=ending):
                self._finish(p, Finished(ending), now)
                _LOG.info("engine.run.ended", run=p.run.id, credential=p.run.credential, ending=ending.value)
                return None
            case Wait(until=until, why=why):
                self._ledger.release(p.claim, until, why)
                return None
            case Do():
                return self._do(p, decision, now)

    def _do(self, p: Passage, decision: Do, now: Millis) -> Passage | None:
        held = holds(p.run.plan, p.facts, decision, self._limits(p.run, p.facts, now), now)
        if held is not None:
            self._ledger.release(p.claim, held.until, held.why)
            return None
        place = self._enter(p.run, p.facts, decision.step, now)
        held = holds(p.run.plan, p.facts, decision, place.limits, now)
        if held is not None:
            self._ledger.release(p.claim, held.until, held.why)
            return None
        try:
            return self._send(p, decision, now)
        finally:
            place.leave()

    def _send(self, p: Passage, decision: Do, now: Millis) -> Passage:
        """Commit the intent, perform, commit the outcome."""
        intended = self._intended(p, decision, now)
        p = self._commit(p, [intended], now)
        intent = p.facts.intent
        if intent is None:
            raise AssertionError("an intent that was committed is open")
        performed = self._effects.perform(Work(p.run.id, p.run.definition, p.run.plan, p.facts, decision.step, intent))
        after = max(self._clock.now(), p.last_at)
        _LOG.info(
            "engine.step.done",
            run=p.run.id,
            credential=p.run.credential,
            step=decision.step.kind.value,
            gen=decision.step.gen,
            outcome=performed.outcome.kind.value,
            reason=performed.outcome.reason,
        )
        # The ledger notes the fingerprint that was observed with it, in the same transaction.
        return self._commit(p, [performed.outcome], after, performed.observed)

    def _intended(self, p: Passage, do: Do, now: Millis) -> Intended:
        """All that the effect is sent with, fixed now (R17)."""
        step, deadline = do.step, now + self._timing.deadline
        reads = step.kind in READS
        handle = None
        if step.gen is not None and step.home is not None and step.kind is StepKind.REVOKE:
            handle = p.facts.handles.get((step.gen, step.home))
        return Intended(
            step,
            deadline=deadline,
            quiet_until=now if reads else deadline + self._timing.landing,
            fence=p.claim.fence,
            label=self._label(p.facts, step),
            handle=handle,
            expected_version=p.facts.version if step.kind is StepKind.PROMOTE else None,
            before=do.before,
        )

    def _label(self, facts: Facts, step: Step) -> Label | None:
        """A new label for every generation that is made (R18), reserved before the first write (R13). A generation
        whose making is sent again keeps the label that the facts know: by another one it would never be found."""
        if step.kind not in MAKES or step.from_current:
            return None
        known = None if step.gen is None else facts.labels.get(step.gen)
        return known or Label(f"rot-{self._installation}-{self._serial()}")

    def _finish(self, p: Passage, finished: Finished, now: Millis) -> None:
        """End the run. Facts that were ended by a person's answer stay as that answer left them."""
        if p.facts.ending is None:
            self._commit(p, [finished], now)
        else:
            self._ledger.append(p.claim, [finished], p.facts, now)

    def _commit(self, p: Passage, events: Sequence[Event], at: Millis, observed: Observed | None = None) -> Passage:
        """Evolve and append: facts change only together with the journal."""
        facts = p.facts
        for event in events:
            facts = evolve(p.run.plan, facts, event, at)
        lease_until = self._clock.now() + self._timing.lease
        self._ledger.append(p.claim, events, facts, at, observed=observed, lease_until=lease_until)
        return replace(p, facts=facts, last_at=at)
