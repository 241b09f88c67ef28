"""evolve(plan, facts, event, at) -> facts: the only way in which facts change. Pure; never decides.

Called by the engine inside the transaction that commits the event, and by the dry run and the tests. Raises
IllegalEvent for an event that does not fit (an outcome that is not the open intent's, an answer that is not legal), and
then nothing has changed: a wrong fact would silently change the route.
"""

from __future__ import annotations

from typing import assert_never

from rotator.machine.change import IllegalEvent, with_run
from rotator.machine.events import Accepted, Answered, Asked, Event, Finished, Intended, Opened, Outcome, Turned
from rotator.machine.evolve_intent import intended
from rotator.machine.evolve_open import opened
from rotator.machine.evolve_outcome import outcome
from rotator.machine.evolve_person import accepted, answered
from rotator.machine.facts import Facts, LegName
from rotator.machine.ids import Millis
from rotator.machine.plan import Plan
from rotator.machine.reading import leg_of, run_of


def evolve(plan: Plan, facts: Facts, event: Event, at: Millis) -> Facts:
    """Facts after `event`, which happened at `at` (never earlier than the event before it)."""
    if isinstance(event, Opened):
        return opened(plan, facts, event, at)
    if isinstance(event, Accepted):
        return accepted(facts, event)
    if facts.run is None or facts.ending is not None:
        raise IllegalEvent(f"{type(event).__name__} without an open run")
    if isinstance(event, Intended):
        return intended(plan, facts, event, at)
    if isinstance(event, Outcome):
        return outcome(plan, facts, event, at)
    if isinstance(event, Answered):
        return answered(plan, facts, event, at)
    if facts.intent is not None:
        raise IllegalEvent(f"{type(event).__name__} over an open intent")
    if isinstance(event, Turned):
        return _turned(facts, event)
    if isinstance(event, Asked):
        return facts.but(question=event.question)
    if isinstance(event, Finished):
        return facts.but(ending=event.ending)
    assert_never(event)


def _turned(facts: Facts, event: Turned) -> Facts:
    if facts.question is not None:
        raise IllegalEvent("a person is asked: the run cannot turn")
    run, leg = run_of(facts), leg_of(facts)
    back = leg if event.legs[:1] == (LegName.RETURN,) and leg is LegName.ADVANCE else run.returned_from
    if event.legs[:1] != (LegName.RETURN,):
        back = None
    return with_run(
        facts.but(refusal=None),
        legs=event.legs,
        old=run.old if event.old is None else event.old,
        way_back=run.way_back if event.way_back is None else event.way_back,
        returned_from=back,
    )


__all__ = ["IllegalEvent", "evolve"]
