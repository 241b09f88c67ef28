"""The freeze calendar: spans of time in which nothing is changed that can wait. Pure functions of the time.

Called by the tick (nothing is opened), by the daemon's limits (no first write, displacing install or kill is taken; K6)
and by `explain`, `status` and notices. A freeze moves no due time. It never holds a contain, nor whatever must still be
done while no working value is known; that is the machine's own rule.

Points are wall-clock times of the freeze's zone. A point that the clock shows twice begins a freeze at its first
showing and ends it after its second; one that the clock leaps over is the end of the leap. So a freeze is never shorter
than it reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo

from rotator.machine.facts import RunKind
from rotator.machine.holds import FOREVER
from rotator.machine.ids import Millis

from .calendar import DAY_MINUTES, first_showing, last_showing
from .inventory import Credential
from .selectors import Selector, matches

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LINKS: Final = 100
"""Freezes that follow one another without a gap are one hold; beyond so many it is said to have no end."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment, once."""

    at: Millis


@dataclass(frozen=True, slots=True)
class Once:
    """A day and a minute of it (1440: its end), once."""

    day: date
    minute: int


@dataclass(frozen=True, slots=True)
class Yearly:
    """The same in every year. 29 February is 1 March in a year that has none."""

    month: int
    day: int
    minute: int


@dataclass(frozen=True, slots=True)
class Weekly:
    """A day of the week (0: Monday) and a minute of it, every week."""

    weekday: int
    minute: int


Point: TypeAlias = Moment | Once | Yearly | Weekly

PASSES: Final = ("emergency", "manual", "adopt", "retire")
"""Words of `except`: what a freeze lets through. `manual` is whatever a person opened."""


@dataclass(frozen=True, slots=True)
class Freeze:
    """[start, end) in `zone`; both points are once, or both of the same recurring sort. `only` None: everything."""

    id: str
    start: Point
    end: Point
    zone: str
    reason: str
    only: Selector | None = None
    passes: frozenset[str] = frozenset({"emergency"})


@dataclass(frozen=True, slots=True)
class Frozen:
    """A hold: until when, by which freeze (the one that ends last now), and why. `until` may be FOREVER."""

    until: Millis
    freeze: str
    reason: str


def kinds_passing(kind: RunKind, actor: str, *, scheduler: str = "scheduler") -> frozenset[str]:
    """The words of `except` that a run answers to."""
    words = set() if actor == scheduler else {"manual"}
    if kind in (RunKind.OVERLAP, RunKind.CONTAIN):
        words.add("emergency")
    if kind in (RunKind.ADOPT, RunKind.RETIRE):
        words.add(kind.value)
    return frozenset(words)


def frozen(freezes: Sequence[Freeze], one: Credential, passing: frozenset[str], now: Millis) -> Frozen | None:
    """What holds a run that answers to `passing`, or None. Freezes that follow one another count as one."""
    holding = [freeze for freeze in freezes if not freeze.passes & passing and matches(freeze.only, one)]
    return _chained(holding, now)


def broken(freezes: Sequence[Freeze], one: Credential, kind: RunKind, actor: str, now: Millis) -> Freeze | None:
    """The freeze in force that such a run passes: by its `except`, or because nothing holds a contain. None: none."""
    passing = kinds_passing(kind, actor)
    for freeze in freezes:
        passes = kind is RunKind.CONTAIN or bool(freeze.passes & passing)
        if passes and matches(freeze.only, one) and ends(freeze, now) is not None:
            return freeze
    return None


def ends(freeze: Freeze, now: Millis) -> Millis | None:
    """When the freeze that is in force now ends; None: it is not in force."""
    found = [end for start, end in _spans(freeze, now) if start <= now < end]
    return max(found, default=None)


def begins(freeze: Freeze, now: Millis) -> Millis | None:
    """When it begins next, later than now; None: never again."""
    return min((start for start, _ in _spans(freeze, now) if start > now), default=None)


def is_empty(freeze: Freeze) -> bool:
    """Whether a freeze of once ends before it begins."""
    start, end = next(_spans(freeze, 0))
    return end <= start


def _chained(freezes: Sequence[Freeze], now: Millis) -> Frozen | None:
    by: Freeze | None = None
    until = now
    for _ in range(_LINKS):
        found = [(end, freeze) for freeze in freezes if (end := ends(freeze, until)) is not None]
        if not found:
            return None if by is None else Frozen(until, by.id, by.reason)
        until, last = max(found, key=lambda one: one[0])
        by = by or last
    return None if by is None else Frozen(FOREVER, by.id, by.reason)


def _spans(freeze: Freeze, now: Millis) -> Iterator[tuple[Millis, Millis]]:
    """The spans around now: the one in force, the one before and those that come next."""
    zone = ZoneInfo(freeze.zone)
    start, end = freeze.start, freeze.end
    today = (_EPOCH + timedelta(milliseconds=now)).astimezone(zone).date()
    if isinstance(start, Yearly) and isinstance(end, Yearly):
        over = int((end.month, end.day, end.minute) <= (start.month, start.day, start.minute))
        for year in range(max(2, today.year - 1), min(9998, today.year + 2)):
            yield _span(zone, _in_year(start, year), _in_year(end, year + over))
    elif isinstance(start, Weekly) and isinstance(end, Weekly):
        over = int((end.weekday, end.minute) <= (start.weekday, start.minute))
        monday = today - timedelta(days=today.weekday())
        for week in (-1, 0, 1):
            first = monday + timedelta(weeks=week)
            yield _span(zone, _in_week(start, first), _in_week(end, first + timedelta(weeks=over)))
    else:
        yield (_once(start, zone, first=True), _once(end, zone, first=False))


def _once(point: Point, zone: ZoneInfo, *, first: bool) -> Millis:
    if isinstance(point, Moment):
        return point.at
    if isinstance(point, Once):
        wall = _wall(point.day, point.minute)
        return first_showing(wall, zone) if first else last_showing(wall, zone)
    raise ValueError("a freeze begins and ends by points of one sort")


def _span(zone: ZoneInfo, start: datetime, end: datetime) -> tuple[Millis, Millis]:
    return first_showing(start, zone), last_showing(end, zone)


def _in_year(point: Yearly, year: int) -> datetime:
    if (point.month, point.day) == (2, 29) and not (year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)):
        return _wall(date(year, 3, 1), 0)
    return _wall(date(year, point.month, point.day), point.minute)


def _in_week(point: Weekly, monday: date) -> datetime:
    return _wall(monday + timedelta(days=point.weekday), point.minute)


def _wall(day: date, minute: int) -> datetime:
    days, rest = divmod(minute, DAY_MINUTES)
    midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - a wall-clock time
    return midnight + timedelta(days=days, minutes=rest)
