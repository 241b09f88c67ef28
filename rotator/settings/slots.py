"""Whether the calendar leaves a scheduled rotation any time at all: window, cron and freezes tried together.

Called by the loader when the time is known. Warns and never refuses: what a calendar of once says depends on the day,
and a daemon must start on every day. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rotator.engine import calendar
from rotator.engine.freezes import Freeze, frozen
from rotator.engine.inventory import Credential
from rotator.engine.selectors import matches
from rotator.machine.ids import Millis

from .definitions import definitions
from .documents import Path_
from .freezes import freezes_of
from .models import Configuration
from .problems import Problem
from .sources import Sources

AHEAD: Final = 400 * calendar.DAY
"""So far it is looked: a year, and what a yearly freeze begins in the next one."""
_TRIES: Final = 500


def without_slot(configuration: Configuration, sources: Sources, now: Millis) -> Iterator[Problem]:
    """Credentials that the scheduler could never rotate, though no pause says so. One warning for each policy."""
    freezes = freezes_of(configuration.freezes)
    if not freezes:
        return  # a window opens every day, and a cron that never fires is refused elsewhere
    judged: dict[tuple[str, tuple[str, ...]], bool] = {}
    told: set[str] = set()
    for name, one in definitions(configuration).items():
        mine = [freeze for freeze in freezes if matches(freeze.only, one)]
        key = (one.policy.name, tuple(freeze.id for freeze in mine))
        if key not in judged:
            judged[key] = _has_slot(one, mine, now)
        if not judged[key] and one.policy.name not in told:
            told.add(one.policy.name)
            names = " and ".join(f"`{freeze.id}`" for freeze in mine)
            words = f"`{name}` could not be rotated by the calendar in the next year: the freezes ({names}) leave no"
            words += " time of it"
            path: Path_ = ("policies", one.policy.name)
            yield sources.problem("CFG-NO-SLOT", words, path, warning=True)


def _has_slot(one: Credential, freezes: Sequence[Freeze], now: Millis) -> bool:
    if not freezes:
        return True
    schedule = one.policy.schedule
    window = schedule.window
    missed = schedule.missed if window is None else window.missed or schedule.missed
    at = now
    for _ in range(_TRIES):
        if at > now + AHEAD:
            break
        if missed == "skip" and window is not None:
            due = calendar.next_due(schedule, at, at, str(one.id))
            if _opens_between(freezes, one, due, calendar.window_closes(window, due)):
                return True
            at = max(due, at + calendar.MINUTE)
            continue
        opens = at if window is None or calendar.in_window(window, at) else calendar.window_opens(window, at)
        held = frozen(freezes, one, frozenset(), opens)
        if held is None:
            return True
        at = max(held.until, opens + calendar.MINUTE)
    return False


def _opens_between(freezes: Sequence[Freeze], one: Credential, begin: Millis, close: Millis) -> bool:
    held = frozen(freezes, one, frozenset(), begin)
    return held is None or held.until < close
