"""Limits of one step at one instant: pause, freeze, window, probe budget; and the gate to its endpoint or store. Read
for `holds`, never kept.

A window holds only what the calendar opened, not a person's own request nor an emergency; and not what was opened
because its window was missed. A freeze holds whatever its `except` does not name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rotator.engine.calendar import in_window, window_opens
from rotator.engine.freezes import Freeze, frozen, kinds_passing
from rotator.engine.governor import Ask, Entry, Governor
from rotator.engine.inventory import paused_until
from rotator.engine.planning import TraitsOf
from rotator.engine.ports import Ledger, RunRow
from rotator.engine.protection import Target, endpoint, store
from rotator.machine.facts import Facts, LegName, RunKind
from rotator.machine.holds import Limits
from rotator.machine.ids import Millis
from rotator.machine.reading import effort_of, leg_of
from rotator.machine.steps import Step, StepKind

SCHEDULER = "scheduler"
MISSED = "missed_window"
EMERGENCIES = frozenset({RunKind.OVERLAP, RunKind.CONTAIN})
URGENT = EMERGENCIES | {RunKind.RETIRE}
URGENT_LEGS = frozenset({LegName.CONTAIN, LegName.GIVE_UP, LegName.RETIRE})
WITHOUT_STORE = frozenset(
    {StepKind.LIST, StepKind.FIND, StepKind.SNAPSHOT, StepKind.REVOKE, StepKind.SWEEP, StepKind.UNPUSH}
)
"""Steps that read and write no store: a store that is down must not keep a leaked value alive."""


class Gate:
    """Callable (run, facts, step, now) -> Entry: whether the step's endpoint or store may be called now. A place that
    was given is taken until `Entry.leave`."""

    def __init__(self, governor: Governor) -> None:
        self._governor = governor

    def __call__(self, run: RunRow, facts: Facts, step: Step, now: Millis) -> Entry:
        main, *also = targets_of(run, step)
        effort = facts.attempts.get(effort_of(facts, step))
        ask = Ask(run.id, main, tuple(also), is_urgent(run, facts), repeat=effort is not None)
        return self._governor.enter(ask, now)


def targets_of(run: RunRow, step: Step) -> tuple[Target, ...]:
    """What a step calls, and what it needs by the way."""
    kept = store(run.definition.store.store)
    if step.home is not None and step.kind is not StepKind.STAGE:
        called = endpoint(step.home.endpoint)
    elif step.consumer is not None:
        called = endpoint(next((one.endpoint for one in run.definition.consumers if one.id == step.consumer), ""))
    else:
        return (kept,)
    return (called,) if step.kind in WITHOUT_STORE else (called, kept)


def is_urgent(run: RunRow, facts: Facts) -> bool:
    """Whether the run has the emergency lane: by its kind, or because it was told to contain."""
    return run.kind in URGENT or (facts.run is not None and leg_of(facts) in URGENT_LEGS)


class LimitsOf:
    """Callable (run, facts, now) -> Limits."""

    def __init__(
        self, ledger: Ledger, traits: Callable[[], TraitsOf], freezes: Callable[[], Sequence[Freeze]] = lambda: ()
    ) -> None:
        self._ledger = ledger
        self._traits = traits
        self._freezes = freezes

    def __call__(self, run: RunRow, facts: Facts, now: Millis) -> Limits:
        return Limits(
            paused_until=self._paused(run, now),
            frozen_until=self._frozen(run, now),
            window_opens=self._window(run, now),
            probes_until=self._probes(run, facts, now),
        )

    def _paused(self, run: RunRow, now: Millis) -> Millis | None:
        if run.kind in EMERGENCIES:
            return None
        row = self._ledger.credential(run.credential)
        return None if row is None else paused_until(row.pause, row.definition.policy.pause, now)

    def _frozen(self, run: RunRow, now: Millis) -> Millis | None:
        held = frozen(self._freezes(), run.definition, kinds_passing(run.kind, run.actor, scheduler=SCHEDULER), now)
        return None if held is None else held.until

    def _window(self, run: RunRow, now: Millis) -> Millis | None:
        window = run.definition.policy.schedule.window
        if window is None or run.actor != SCHEDULER or run.reason == MISSED or in_window(window, now):
            return None
        return window_opens(window, now)

    def _probes(self, run: RunRow, facts: Facts, now: Millis) -> Millis | None:
        """Until when a home of this credential has no negative probe left; the strictest counts."""
        latest: Millis | None = None
        kinds = {one.endpoint: one.kind for one in run.definition.authorities}
        for home in {home for _, home in facts.placements}:
            kind = kinds.get(home.endpoint)
            if kind is None:
                continue
            try:
                traits = self._traits()(home.endpoint, kind)
            except LookupError:
                continue  # no longer configured: the step itself says so
            if traits.probe_failures is None:
                continue
            # One is left for the verify that may be refused while a person tries to log in.
            if self._ledger.probes(home, now - traits.probe_per_ms) >= max(1, traits.probe_failures - 1):
                until = now + max(1, traits.probe_per_ms // max(1, traits.probe_failures))
                latest = until if latest is None else max(latest, until)
        return latest
