"""holds(plan, facts, do, limits, now): what holds a decided step back, asked between decision and intent.

Called by the engine's runner, which fills `Limits` for this very step. Ordered tiny checks, each with a reason code;
the first that objects is the answer. Must never decide a step, and must not know how a limit is counted.

K6: pause, freeze, window, brake and approval hold a step only while current is one known value that works: stopping
in the middle of a lock-out would make it last. The calendar is asked at the first write, the first displacing install
and the first kill; breaker, rate, places, repeats and probe budget always. K2: for a verify that precedes a kill the
question is asked for the kill, and nothing but breaker, rate, places and repeats holds that kill afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from rotator.machine.decisions import Do
from rotator.machine.facts import Facts, LegName
from rotator.machine.ids import Millis
from rotator.machine.plan import Plan
from rotator.machine.reading import current_known, fresh, is_kill, leg_of, run_of, victims, works, writes
from rotator.machine.steps import Step, StepKind

FOREVER: Millis = 2**62
"""Until somebody acts."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What stands outside the facts, for one step at one instant. None: nothing holds. Else the instant until which."""

    paused_until: Millis | None = None
    frozen_until: Millis | None = None
    window_opens: Millis | None = None
    brake_until: Millis | None = None
    approval_until: Millis | None = None
    """FOREVER while the plan's digest is not approved."""
    breaker_until: Millis | None = None
    """Of the step's endpoint or store."""
    rate_until: Millis | None = None
    busy_until: Millis | None = None
    """As many steps are under way at the endpoint or store as it may have."""
    repeats_until: Millis | None = None
    """Enough calls to it are repeats already."""
    probes_until: Millis | None = None
    """Until when the home has no probe left (a displacing install needs those that follow it)."""


@dataclass(frozen=True, slots=True)
class Held:
    """The step must not be taken before `until`; ask again then. `why` is a reason code."""

    until: Millis
    why: str


Check: TypeAlias = Callable[[Plan, Facts, Step, Limits], Millis | None]


def holds(plan: Plan, facts: Facts, do: Do, limits: Limits, now: Millis) -> Held | None:
    """The first limit that holds the step, or None. Held is no attempt."""
    step = do.before or do.step
    let_through = do.before is None and _cleared(plan, facts, step, now)
    for name, calendar, check in CHECKS:
        if calendar and (let_through or not _calendar_counts(facts)):
            continue
        asked = step if calendar else do.step
        until = check(plan, facts, asked, limits)
        if until is not None and until > now:
            return Held(until, name)
    return None


def _calendar_counts(facts: Facts) -> bool:
    """K6: only while current is one known value that works, and never against a leak."""
    if leg_of(facts) in (LegName.CONTAIN, LegName.GIVE_UP):
        return False
    if leg_of(facts) is LegName.RETIRE:
        return not run_of(facts).killed
    current = current_known(facts)
    return current is not None and works(facts, current)


def _cleared(plan: Plan, facts: Facts, step: Step, now: Millis) -> bool:
    """This kill was let through before the verify that it waited for (K2)."""
    current = current_known(facts)
    if current is None or run_of(facts).cleared != step:
        return False
    return fresh(plan, facts, current, now)


def _first_of_its_kind(plan: Plan, facts: Facts, step: Step) -> bool:
    run = run_of(facts)
    if is_kill(step):
        return not run.killed
    if any(True for _ in victims(plan, facts, step)):
        return not run.displaced
    return writes(step) and not run.wrote


def _pause(plan: Plan, facts: Facts, step: Step, limits: Limits) -> Millis | None:
    return limits.paused_until if writes(step) else None


def _brake(plan: Plan, facts: Facts, step: Step, limits: Limits) -> Millis | None:
    return limits.brake_until if writes(step) else None


def _freeze(plan: Plan, facts: Facts, step: Step, limits: Limits) -> Millis | None:
    return limits.frozen_until if _first_of_its_kind(plan, facts, step) else None


def _window(plan: Plan, facts: Facts, step: Step, limits: Limits) -> Millis | None:
    return limits.window_opens if _first_of_its_kind(plan, facts, step) else None


def _approval(plan: Plan, facts: Facts, step: Step, limits: Limits) -> Millis | None:
    return limits.approval_until if _first_of_its_kind(plan, facts, step) else None


def _breaker(plan: Plan, facts: Facts, step: Step, limits: Limits) -> Millis | None:
    return limits.breaker_until


def _rate(plan: Plan, facts: Facts, step: Step, limits: Limits) -> Millis | None:
    return limits.rate_until


def _busy(plan: Plan, facts: Facts, step: Step, limits: Limits) -> Millis | None:
    return limits.busy_until


def _repeats(plan: Plan, facts: Facts, step: Step, limits: Limits) -> Millis | None:
    return limits.repeats_until


def _probes(plan: Plan, facts: Facts, step: Step, limits: Limits) -> Millis | None:
    probing = step.kind in (StepKind.VERIFY, StepKind.PROVE)
    return limits.probes_until if probing or any(True for _ in victims(plan, facts, step)) else None


CHECKS: tuple[tuple[str, bool, Check], ...] = (
    ("paused", True, _pause),
    ("frozen", True, _freeze),
    ("outside_window", True, _window),
    ("brake", True, _brake),
    ("approval", True, _approval),
    ("breaker", False, _breaker),
    ("rate", False, _rate),
    ("busy", False, _busy),
    ("repeats", False, _repeats),
    ("probe_budget", False, _probes),
)
"""Reason code, whether it is of the calendar (K6), check. In this order."""
