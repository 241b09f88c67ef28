"""Limits of one step at one instant: pause, window, probe budget. Read for `holds`, never kept.

The calendar holds only what the calendar opened: a person's own request and an emergency are not held by a window.
"""

from __future__ import annotations

from collections.abc import Callable

from rotator.engine.calendar import in_window, window_opens
from rotator.engine.inventory import paused_until
from rotator.engine.planning import TraitsOf
from rotator.engine.ports import Ledger, RunRow
from rotator.machine.facts import Facts, RunKind
from rotator.machine.holds import Limits
from rotator.machine.ids import Millis

SCHEDULER = "scheduler"
EMERGENCIES = frozenset({RunKind.OVERLAP, RunKind.CONTAIN})


class LimitsOf:
    """Callable (run, facts, now) -> Limits."""

    def __init__(self, ledger: Ledger, traits: Callable[[], TraitsOf]) -> None:
        self._ledger = ledger
        self._traits = traits

    def __call__(self, run: RunRow, facts: Facts, now: Millis) -> Limits:
        return Limits(
            paused_until=self._paused(run, now),
            window_opens=self._window(run, now),
            probes_until=self._probes(run, facts, now),
        )

    def _paused(self, run: RunRow, now: Millis) -> Millis | None:
        if run.kind in EMERGENCIES:
            return None
        row = self._ledger.credential(run.credential)
        return None if row is None else paused_until(row.pause, row.definition.policy.pause, now)

    def _window(self, run: RunRow, now: Millis) -> Millis | None:
        window = run.definition.policy.schedule.window
        if window is None or run.actor != SCHEDULER or in_window(window, now):
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
