"""due(schedule, now): why a run opens, or why none does. Called by the tick and by `explain`.

Ordered pure checks with reason codes, as for an auditor: the first that says something is the answer. The times come
from `engine.calendar` and the ledger; none is computed here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from rotator.machine.facts import RunKind
from rotator.machine.ids import Millis


@dataclass(frozen=True, slots=True)
class Schedule:
    """What is known of a credential's schedule. Instants; None: not set, which never means "now"."""

    adopted: bool = False
    retired: bool = False
    removed: bool = False
    """No longer in the configuration."""
    open_run: RunKind | None = None
    asked: bool = False
    """The open run waits for a person."""
    observing: bool = False
    """The ledger is older than the store says: nothing is opened."""
    paused_until: Millis | None = None
    frozen_until: Millis | None = None
    braked_until: Millis | None = None
    retry_at: Millis | None = None
    """Not before this after a run that did not succeed."""
    rotate_at: Millis | None = None
    window_opens: Millis | None = None
    """When a closed window opens; None while it is open, there is none, or none is waited for."""
    late: bool = False
    """The window is closed and was missed, and the policy says not to wait for the next."""
    reconcile_at: Millis | None = None
    """When debts are worked on next; None without debts."""


@dataclass(frozen=True, slots=True)
class Due:
    """`open`: the kind of run to open now, or None. `at`: when to ask again, None if only an event changes it."""

    open: RunKind | None
    why: str
    at: Millis | None = None


Check: TypeAlias = Callable[[Schedule, Millis], Due | None]


def due(schedule: Schedule, now: Millis) -> Due:
    """What to open now, and why."""
    for check in CHECKS:
        answer = check(schedule, now)
        if answer is not None:
            return answer
    return Due(None, "no_schedule")


def _known(s: Schedule, now: Millis) -> Due | None:
    if s.retired:
        return Due(None, "retired")
    if s.removed:
        return Due(None, "removed")
    return None if s.adopted else Due(None, "not_adopted")


def _open(s: Schedule, now: Millis) -> Due | None:
    """A rotation that falls due ends an open reconcile; its facts stay."""
    if s.open_run is None:
        return None
    if s.open_run is RunKind.RECONCILE and s.rotate_at is not None and s.rotate_at <= now:
        return None
    return Due(None, "waits_for_answer" if s.asked else "run_open")


def _observing(s: Schedule, now: Millis) -> Due | None:
    return Due(None, "observing") if s.observing else None


def _paused(s: Schedule, now: Millis) -> Due | None:
    return _until(s.paused_until, now, "paused")


def _frozen(s: Schedule, now: Millis) -> Due | None:
    return _until(s.frozen_until, now, "frozen")


def _braked(s: Schedule, now: Millis) -> Due | None:
    return _until(s.braked_until, now, "brake")


def _backing_off(s: Schedule, now: Millis) -> Due | None:
    return _until(s.retry_at, now, "backing_off")


def _until(until: Millis | None, now: Millis, why: str) -> Due | None:
    return None if until is None or until <= now else Due(None, why, until)


def _rotation(s: Schedule, now: Millis) -> Due | None:
    if s.rotate_at is None or s.rotate_at > now:
        return None
    if s.window_opens is not None and s.window_opens > now:
        return Due(None, "outside_window", s.window_opens) if _nothing_owed(s, now) else None
    return Due(RunKind.ROTATE, "missed_window" if s.late else "due")


def _nothing_owed(s: Schedule, now: Millis) -> bool:
    return s.reconcile_at is None or s.reconcile_at > now or s.open_run is not None


def _reconcile(s: Schedule, now: Millis) -> Due | None:
    if s.open_run is not None or s.reconcile_at is None or s.reconcile_at > now:
        return None
    return Due(RunKind.RECONCILE, "debts")


def _later(s: Schedule, now: Millis) -> Due | None:
    if s.open_run is not None:
        return Due(None, "run_open", s.window_opens)
    coming = [at for at in (s.rotate_at, s.reconcile_at) if at is not None]
    return Due(None, "not_due", min(coming)) if coming else None


CHECKS: tuple[Check, ...] = (
    _known,
    _open,
    _observing,
    _paused,
    _frozen,
    _braked,
    _backing_off,
    _rotation,
    _reconcile,
    _later,
)
