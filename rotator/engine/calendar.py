"""Due times: a pure function of policy, durable history and calendar.

Called by the tick and by `explain` to fill the ledger's indexed column `next_due_at`, and by settings to judge a
policy. Must never read a clock, draw a random number or keep anything between calls: the same inputs give the same
answer before and after a restart. Freezes, pauses and brakes are not here: they hold a step and move no due time.

Times are whole milliseconds since the epoch. The rules at clock changes:

- **cron** is a sequence of wall-clock times in its zone. A time that the clock shows twice counts at its first showing
  only; a time that the clock leaps over counts at the end of the leap. So no day is lost and none fires twice.
- **every** is a span of real time: 24h stays 24 hours on the day that has 23.
- a **window** is open whenever the wall clock of its zone shows a time inside it: twice in a repeated hour, not at all
  on a day whose missing hour swallows it whole (the next day's is taken).
- **jitter** is a share of its span fixed by a hash of the credential's id. What the window pushes back is spread over
  the window in the same way, or a thousand credentials would start in its first second.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Final, Literal
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from rotator.machine.ids import Millis

Missed = Literal["next", "now", "skip"]

SECOND: Final = 1_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
DAY_MINUTES: Final = 24 * 60

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Where cron is sampled to learn how often it fires: a leap year and what follows, so that 29 February is met.
_SAMPLE_FROM: Final = datetime(2028, 1, 1)  # noqa: DTZ001 - a wall-clock time without a zone is what cron counts in
_SAMPLE_FIRINGS: Final = 400
# A window is open for a day at most, a day has 25 hours at most, and one may be missing: what is older has closed.
_LONG_AGO: Final = 4 * DAY
_NEVER: Final[Millis] = 2**62


class CronRefused(ValueError):
    """A cron text that is no cron, or that never fires. `str()` says which, in words and without the text."""


@dataclass(frozen=True, slots=True)
class Window:
    """Hours of the day in which a scheduled run may start: [start, end), minutes of the day, wall clock of `zone`.

    end <= start reaches over midnight; end may be 1440. `missed` None leaves the choice to the schedule.
    """

    start: int
    end: int
    zone: str
    missed: Missed | None = None

    def __post_init__(self) -> None:
        if not (0 <= self.start < DAY_MINUTES and 0 <= self.end <= DAY_MINUTES) or self.start == self.end:
            raise ValueError("a window is two different times of the day")

    @property
    def length(self) -> Millis:
        """How long it is open on an ordinary day."""
        return ((self.end - self.start) % DAY_MINUTES or DAY_MINUTES) * MINUTE


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a credential is to change: exactly one of `every` (ms) and `cron` (five fields, in `zone`).

    `jitter` (ms) is the span over which credentials are spread. `missed` says what happens when a window went by while
    nobody was there: `next` waits for the next one, `now` runs at once, `skip` leaves this rotation out and waits for
    the next time that the calendar itself gives. `min_age` (ms): a value younger than that is not changed by cron (the
    hand may have been quicker than the calendar by a minute).
    """

    every: Millis | None = None
    cron: str | None = None
    zone: str = "UTC"
    window: Window | None = None
    jitter: Millis = 0
    missed: Missed = "next"
    min_age: Millis = 0

    def __post_init__(self) -> None:
        if (self.every is None) == (self.cron is None):
            raise ValueError("a schedule has either `every` or `cron`")
        if self.every is not None and self.every < 1:
            raise ValueError("`every` is a positive span")
        if self.jitter < 0 or self.min_age < 0:
            raise ValueError("spans are not negative")


def next_due(schedule: Schedule, last_success: Millis | None, adopted_at: Millis, credential_id: str) -> Millis:
    """The time at which the credential is next due; always later than `last_success` (or `adopted_at` without one).

    Adoption counts as the birth of the value: nothing is due because it was never rotated. Raises CronRefused for a
    cron that is none (settings refuse it first).
    """
    born = adopted_at if last_success is None else last_success
    offset = jitter_of(credential_id, schedule.jitter)
    if schedule.every is not None:
        due = born + schedule.every
    else:
        assert schedule.cron is not None
        due = next_firing(schedule.cron, schedule.zone, born + schedule.min_age)
    return _clamped(schedule.window, due + offset, credential_id if schedule.jitter else None)


def catch_up(schedule: Schedule, due: Millis, now: Millis, credential_id: str) -> Millis:
    """When a run that was due at `due` may start, seen at `now`: the earliest moment, never before `due`.

    Not yet due: `due`. No window, or the window open: at once (`now`). The window went by while we were away (down,
    paused, frozen, in another run): `missed: next` gives the next opening, `now` gives `now`, `skip` the next time of
    the calendar. Several missed times are one. Under `skip` a later window is not enough: it must be the one in which
    a time of the calendar fell, so that a night's rotation is not made up for in the night after.
    """
    if now < due:
        return due
    window = schedule.window
    if window is None:
        return now
    missed = window.missed or schedule.missed
    if missed == "skip":
        return _unless_missed(schedule, window, due, now, credential_id)
    if missed == "now" or in_window(window, now):
        return now
    return window_opens(window, now)


def _unless_missed(schedule: Schedule, window: Window, due: Millis, now: Millis, credential_id: str) -> Millis:
    """`now`, if a time of the calendar fell into the window that is open now; else the next time of the calendar."""
    spread_by = credential_id if schedule.jitter else None
    coming: list[Millis] = []
    for raw in _times(schedule, due, now - _LONG_AGO, jitter_of(credential_id, schedule.jitter)):
        at = due if raw == due else _clamped(window, raw, spread_by)
        if at <= now < window_closes(window, at):
            return now
        if at > now:
            coming.append(at)
            if raw > now:
                break
    return min(coming)


def _times(schedule: Schedule, due: Millis, since: Millis, offset: Millis) -> Iterator[Millis]:
    """The calendar's times from `due` on, before the window has moved them; none older than `since`. Without an end."""
    if schedule.every is not None:
        step = schedule.every * max(1, HOUR // schedule.every)  # an hour finds every window; fewer would only cost
        at = due + max(0, -((due - since) // step)) * step
        while True:
            yield at
            at += step
    assert schedule.cron is not None
    if since <= due:
        yield due
    at = max(due, since) - offset
    while True:
        at = next_firing(schedule.cron, schedule.zone, at)
        if at + offset > due:
            yield at + offset


def in_window(window: Window, now: Millis) -> bool:
    """Whether the wall clock of the window's zone shows a time inside it."""
    wall = _wall(now, ZoneInfo(window.zone))
    minute = wall.hour * 60 + wall.minute
    if window.start < window.end:
        return window.start <= minute < window.end
    return minute >= window.start or minute < window.end


def window_opens(window: Window, now: Millis) -> Millis:
    """The first moment at or after `now` at which the window is open: `now` itself when it is."""
    if in_window(window, now):
        return now
    zone = ZoneInfo(window.zone)
    today = _wall(now, zone).date()
    for days in (range(3), range(3, 9)):  # nine: a day may be missing whole (Apia, 30 December 2011), two never were
        moments = [
            moment
            for day in (today + timedelta(days=number) for number in days)
            for moment in _moments(window, zone, day)
            if moment > now and in_window(window, moment)
        ]
        if moments:
            return min(moments)
    raise AssertionError("a window opens within nine days")


def window_closes(window: Window, now: Millis) -> Millis:
    """The first moment at or after `now` at which the window is shut; 2**62 for one that is open all day."""
    start, end = window.end % DAY_MINUTES, window.start or DAY_MINUTES
    if start == end % DAY_MINUTES:
        return _NEVER
    return window_opens(Window(start, end, window.zone), now)


def next_firing(cron: str, zone: str, after: Millis) -> Millis:
    """The first firing of `cron` strictly later than `after`. Raises CronRefused."""
    where = ZoneInfo(zone)
    for wall in _firings(cron, _wall(after, where).replace(tzinfo=None)):
        moment = first_showing(wall, where)
        if moment > after:  # `after` may stand in the second showing of an hour whose first is past
            return moment
    raise CronRefused("it never fires")


def check_cron(cron: str) -> None:
    """Raises CronRefused for a text that is no five-field cron, or that has no firing within fifty years."""
    next(_firings(cron, _SAMPLE_FROM), None)


def cron_in_words(cron: str) -> str:
    """What the cron says, in English. Raises CronRefused."""
    check_cron(cron)
    return str(CronSim(cron, _SAMPLE_FROM).explain())


def shortest_interval(schedule: Schedule) -> Millis:
    """The least time between two due times, the window and jitter aside (cron: over its next 400 firings)."""
    if schedule.every is not None:
        return schedule.every
    assert schedule.cron is not None
    least: timedelta | None = None
    previous: datetime | None = None
    for number, firing in enumerate(_firings(schedule.cron, _SAMPLE_FROM)):
        if previous is not None and (least is None or firing - previous < least):
            least = firing - previous
        if number >= _SAMPLE_FIRINGS:
            break
        previous = firing
    return max(schedule.min_age, (least or timedelta(days=366)) // timedelta(milliseconds=1))


def jitter_of(credential_id: str, span: Millis) -> Millis:
    """A stable share of `span` in [0, span]: sha256 of the id, the same on every machine and after every restart."""
    return _draw(credential_id) % (span + 1)


def _clamped(window: Window | None, due: Millis, spread_by: str | None) -> Millis:
    if window is None or in_window(window, due):
        return due
    opening = window_opens(window, due)
    if spread_by is None:
        return opening
    spread = opening + _draw(spread_by) % window.length
    # On the day of a clock change the window may be shorter than usual; its first moment is then the safe choice.
    return spread if in_window(window, spread) else opening


def _draw(credential_id: str) -> int:
    return int.from_bytes(hashlib.sha256(credential_id.encode()).digest()[:8], "big")


def _firings(cron: str, after: datetime) -> Iterator[datetime]:
    """Wall-clock times without a zone. Debian's rule of day and weekday (either, unless one begins with a star)."""
    if len(cron.split()) != 5:
        raise CronRefused("a cron has five fields: minute, hour, day of month, month, day of week")
    try:
        firings = CronSim(cron, after)
    except CronSimError as bad:
        raise CronRefused(_cron_words(str(bad))) from None
    fired = False
    for firing in firings:
        fired = True
        yield firing
    if not fired:
        raise CronRefused("it never fires")


def _cron_words(complaint: str) -> str:
    field = complaint.removeprefix("Bad ")
    return f"the field `{field}` is not one of its values, or names a day that its months do not have"


def _wall(moment: Millis, zone: ZoneInfo) -> datetime:
    return (_EPOCH + timedelta(milliseconds=moment)).astimezone(zone)


def _since_epoch(moment: datetime) -> Millis:
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _offset(moment: Millis, zone: ZoneInfo) -> Millis:
    offset = _wall(moment, zone).utcoffset()
    assert offset is not None
    return offset // timedelta(milliseconds=1)


def _showings(wall: datetime, zone: ZoneInfo) -> list[Millis]:
    """The moments at which the zone's clock shows `wall`: one, two (in order) in a repeated hour, none in a missing."""
    both = {_since_epoch(wall.replace(tzinfo=zone, fold=fold)) for fold in (0, 1)}
    return sorted(moment for moment in both if _wall(moment, zone).replace(tzinfo=None) == wall)


def last_showing(wall: datetime, zone: ZoneInfo) -> Millis:
    """The last moment at which the zone's clock shows `wall` (no zone in it); the end of the leap, if it never does."""
    showings = _showings(wall, zone)
    return showings[-1] if showings else first_showing(wall, zone)


def first_showing(wall: datetime, zone: ZoneInfo) -> Millis:
    """The first moment at which the zone's clock shows `wall` (no zone in it); the end of the leap if it never does."""
    showings = _showings(wall, zone)
    if showings:
        return showings[0]
    # In a leap the earlier offset (fold 0) gives a moment after it and the later one (fold 1) a moment before it.
    after, before = (_since_epoch(wall.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
    return _change_between(before, after, zone)


def _change_between(before: Millis, after: Millis, zone: ZoneInfo) -> Millis:
    """The first moment of the offset that holds at `after`; the offset changes once between the two."""
    new = _offset(after, zone)
    while after - before > 1:
        middle = (before + after) // 2
        if _offset(middle, zone) == new:
            after = middle
        else:
            before = middle
    return after


def _moments(window: Window, zone: ZoneInfo, day: date) -> list[Millis]:
    """Every moment around `day` at which the window can turn open: its start is shown, or the clock leaps into it."""
    midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - a wall-clock time
    moments = _showings(midnight + timedelta(minutes=window.start), zone)
    edges = [_since_epoch(midnight.replace(tzinfo=UTC)) + hours * HOUR for hours in range(-14, 45, 6)]
    for before, after in pairwise(edges):
        if _offset(before, zone) != _offset(after, zone):
            moments.append(_change_between(before, after, zone))
    return moments
