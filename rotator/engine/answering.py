"""Records an answer in a run, a person's or the scheduler's: the one place in which a run is told something.

Called by the service, and by the opener when a reconcile gives way. The caller holds a claim, so no worker is in the
middle of a step. Must never perform an effect: what the answer means is decided by the machine, done by a worker.
"""

from __future__ import annotations

from rotator.machine import answers
from rotator.machine.events import Answered, AnswerKind, Event, Finished
from rotator.machine.evolve import evolve
from rotator.machine.facts import Facts
from rotator.machine.ids import Millis

from .ports import Claim, Clock, Ledger, RunRow


class NotLegal(Exception):
    """The answer does not fit the facts. Nothing was recorded, the run was given back."""

    def __init__(self, facts: Facts) -> None:
        super().__init__("answer_illegal")
        self.facts = facts


def record(ledger: Ledger, clock: Clock, claim: Claim, answer: Answered, actor: str) -> None:
    """Record `answer` under `claim` and give the run back, to be worked at once. An answer that ends the run (abandon)
    ends it in the same transaction. Raises NotLegal, LeaseLost."""
    row = ledger.run(claim.run)
    found = None if row is None else ledger.credential(row.credential)
    facts = Facts() if found is None else found.facts
    if row is None or row.ended_at is not None or not answers.is_legal(row.plan, facts, answer):
        ledger.release(claim, clock.now(), "")
        raise NotLegal(facts)
    at = max(clock.now(), last_at(ledger, row))
    facts = evolve(row.plan, facts, answer, at)
    events: list[Event] = [answer]
    if facts.ending is not None:
        events.append(Finished(facts.ending))
    ledger.append(claim, events, facts, at, actor=actor, wake_at=at)
    if facts.ending is None:
        ledger.release(claim, at, "")


def last_at(ledger: Ledger, run: RunRow) -> Millis:
    """The instant of the run's last event: no event is ever earlier than the one before it."""
    journal = ledger.journal(run.id)
    return journal[-1].at if journal else run.opened_at


ABANDON = Answered(AnswerKind.ABANDON)

__all__ = ["ABANDON", "NotLegal", "last_at", "record"]
