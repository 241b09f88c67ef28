"""The next due time of a credential from its policy and its durable history. Pure; no clock.

Called when a definition is accepted and when a run ends. The answer is written to the indexed column `next_due_at`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rotator.machine.facts import Ending, RunKind
from rotator.machine.ids import Millis

from .calendar import next_due, window_opens
from .ports import CredentialRow, RunRow

RETRY_FIRST: Millis = 3_600_000
"""After a run that did not succeed: not again before an hour; the next window then decides."""

RENEWS = frozenset({RunKind.ROTATE, RunKind.OVERLAP, RunKind.CONTAIN})
SERVED = frozenset({Ending.SUCCEEDED, Ending.OWED})


@dataclass(frozen=True, slots=True)
class Due:
    """`at` None: never by itself. `why` is a reason code."""

    at: Millis | None
    why: str


def due_time(row: CredentialRow, last_run: RunRow | None, *, retry: Millis = RETRY_FIRST) -> Due:
    """When a rotation falls due by the calendar; `last_run` is the newest ended run of the credential."""
    if not row.managed:
        return Due(None, "unmanaged")
    if row.adopted_at is None:
        return Due(None, "not_adopted")
    if last_run is not None and last_run.kind is RunKind.RETIRE and last_run.ending in SERVED:
        return Due(None, "retired")
    if last_run is not None and last_run.ending is Ending.CONTAINED:
        return Due(None, "contained")
    schedule = row.definition.policy.schedule
    at = next_due(schedule, row.last_success_at, row.adopted_at, row.definition.id)
    failed = last_run is not None and last_run.ending not in SERVED and last_run.kind is not RunKind.RECONCILE
    if failed and last_run is not None and last_run.ended_at is not None:
        again = last_run.ended_at + retry
        if schedule.window is not None:  # failing is no missed window: it is tried again in the next
            again = window_opens(schedule.window, again)
        if again > at:
            return Due(again, "after_a_failed_run")
    return Due(at, "policy")


def reconcile_time(runs: Sequence[RunRow], pauses: tuple[Millis, Millis]) -> Millis | None:
    """When debts are worked on next: some time after the last run ended, twice as long after each reconcile in a row
    that left some; never while nothing has ended yet. `runs`: the newest of the credential, newest first; `pauses`: the
    first and the longest. Of history alone, so a restart changes nothing."""
    ended = [run for run in runs if run.ended_at is not None]
    if not ended or ended[0].ended_at is None:
        return None
    first, longest = pauses
    in_a_row = next((n for n, run in enumerate(ended) if run.kind is not RunKind.RECONCILE), len(ended))
    return ended[0].ended_at + min(max(first, longest), first << min(in_a_row, MOST_DOUBLED))


MOST_DOUBLED = 16
"""Reconciles in a row that are looked at: from a second to more than a day."""
