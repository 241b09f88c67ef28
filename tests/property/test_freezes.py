"""Freezes over all zones and clock changes: a freeze is in force exactly between its points, and never shorter."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rotator.engine.calendar import DAY, HOUR, MINUTE
from rotator.engine.freezes import (
    PASSES,
    Freeze,
    Moment,
    Once,
    Weekly,
    Yearly,
    begins,
    broken,
    ends,
    frozen,
    kinds_passing,
)
from rotator.engine.selectors import parse
from rotator.machine.facts import RunKind
from rotator.machine.holds import FOREVER
from tests.unit.engine_bench import credential

from .calendar_draws import END, START, ZONES, at, zone_and_moment

ONE = credential("alpha")
BERLIN = "Europe/Berlin"
MINUTES = st.integers(0, 1440)


def freeze(start, end, zone="UTC", **more):
    return Freeze("f", start, end, zone, "why", **more)


def wall(moment, zone):
    return datetime.fromtimestamp(moment / 1000, ZoneInfo(zone)).replace(tzinfo=None)


@st.composite
def yearly(draw):
    month = draw(st.integers(1, 12))
    return Yearly(
        month, draw(st.integers(1, [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1])), draw(MINUTES)
    )


weekly = st.builds(Weekly, st.integers(0, 6), MINUTES)


def of_week(point):
    return (point.weekday * 1440 + point.minute) % (7 * 1440)


@settings(max_examples=300, deadline=None)
@given(where=zone_and_moment(), start=weekly, end=weekly)
def test_a_weekly_freeze_is_in_force_when_the_wall_clock_says_so(where, start, end):
    zone, now = where
    assume(of_week(start) != of_week(end))
    shown = wall(now, zone)
    minute = shown.weekday() * 1440 + shown.hour * 60 + shown.minute
    within = (
        of_week(start) <= minute < of_week(end)
        if of_week(start) < of_week(end)
        else minute >= of_week(start) or minute < of_week(end)
    )
    until = ends(freeze(start, end, zone), now)
    if within:
        assert until is not None
        assert now < until <= now + 9 * DAY
    elif until is not None:  # in a repeated hour it goes on to the second showing of its end
        assert _near_a_change(now, zone)


@settings(max_examples=300, deadline=None)
@given(where=zone_and_moment(), start=yearly(), end=yearly())
def test_a_yearly_freeze_ends_where_the_wall_clock_says_so_and_is_over_then(where, start, end):
    zone, now = where
    assume((start.month, start.day) != (end.month, end.day))
    one = freeze(start, end, zone)
    until = ends(one, now)
    coming = begins(one, now)
    assert coming is not None
    assert now < coming <= now + 367 * DAY
    assert ends(one, coming) is not None, "it is in force from its first moment"
    if until is not None:
        assert until > now
        assert ends(one, until) is None, "it is over at its end"
        assert ends(one, until - 1) == until
    else:
        assert ends(one, coming - 1) is None


@settings(max_examples=200, deadline=None)
@given(where=zone_and_moment(), minute=MINUTES, days=st.integers(0, 30), to=MINUTES)
def test_a_freeze_of_once_holds_every_moment_that_its_text_names(where, minute, days, to):
    zone, now = where
    day = wall(now, zone).date()
    assume(days * 1440 + to > minute)
    one = freeze(Once(day, minute), Once(day + timedelta(days=days), to), zone)
    start = begins(one, now - 40 * DAY)
    assert start is not None
    until = ends(one, start)
    assume(until is not None)  # swallowed whole by a leap: there is no such time
    shown = wall(start, zone)
    begin = datetime.combine(day, datetime.min.time()) + timedelta(minutes=minute)
    assert shown >= begin
    assert wall(start - MINUTE, zone) < begin or _near_a_change(start, zone)
    for share in range(40):
        assert ends(one, start + (until - 1 - start) * share // 40) == until
    assert ends(one, until) is None
    assert begins(one, until) is None


def _near_a_change(now, zone):
    offsets = {
        datetime.fromtimestamp(moment / 1000, ZoneInfo(zone)).utcoffset()
        for moment in (now - 30 * HOUR, now, now + HOUR)
    }
    return len(offsets) > 1


@pytest.mark.parametrize(
    ("start", "end", "zone", "begin", "until"),
    [
        (Once(date(2026, 12, 20), 0), Once(date(2027, 1, 4), 1440), BERLIN, "2026-12-20T00:00+01:00",
         "2027-01-05T00:00+01:00"),
        # a point in the missing hour is the end of the leap; one in the repeated hour counts at its far end
        (Once(date(2026, 3, 29), 150), Once(date(2026, 3, 29), 300), BERLIN, "2026-03-29T03:00+02:00",
         "2026-03-29T05:00+02:00"),
        (Once(date(2026, 10, 25), 150), Once(date(2026, 10, 25), 165), BERLIN, "2026-10-25T02:30+02:00",
         "2026-10-25T02:45+01:00"),
        (Weekly(4, 1080), Weekly(0, 360), BERLIN, "2026-11-27T18:00+01:00", "2026-11-30T06:00+01:00"),
        (Yearly(12, 20, 0), Yearly(1, 4, 1440), BERLIN, "2026-12-20T00:00+01:00", "2027-01-05T00:00+01:00"),
        (Yearly(2, 29, 0), Yearly(3, 2, 0), "UTC", "2027-03-01T00:00+00:00", "2027-03-02T00:00+00:00"),
        # Apia had no 30 December 2011
        (Moment(at("2026-12-24T00:00Z")), Moment(at("2026-12-25T00:00Z")), BERLIN, "2026-12-24T01:00+01:00",
         "2026-12-25T01:00+01:00"),
    ],
)  # fmt: skip
def test_points_of_freezes(start, end, zone, begin, until):
    one = freeze(start, end, zone)
    now = at("2026-11-24T12:00", zone) if not begin.startswith(("2026-03", "2026-10")) else at("2026-01-01", zone)
    found = begins(one, now)
    assert found is not None
    over = ends(one, found)
    assert over is not None
    shown = [datetime.fromtimestamp(m / 1000, ZoneInfo(zone)).isoformat(timespec="minutes") for m in (found, over)]
    assert shown == [begin, until]


def test_freezes_that_follow_one_another_are_one_hold():
    first = Freeze("a", Moment(100), Moment(200), "UTC", "first")
    second = Freeze("b", Moment(150), Moment(300), "UTC", "second")
    third = Freeze("c", Moment(300), Moment(400), "UTC", "third")
    apart = Freeze("d", Moment(401), Moment(500), "UTC", "apart")
    held = frozen((apart, third, second, first), ONE, frozenset(), 120)
    assert (held.until, held.freeze, held.reason) == (400, "a", "first")
    assert frozen((apart, third, second, first), ONE, frozenset(), 400) is None


def test_a_freeze_without_a_gap_has_no_end():
    odd = freeze(Weekly(0, 0), Weekly(3, 0))
    even = freeze(Weekly(3, 0), Weekly(0, 0))
    assert frozen((odd, even), ONE, frozenset(), START).until == FOREVER


@pytest.mark.parametrize("zone", ZONES[::40])
def test_every_moment_of_a_fortnight_is_judged_alike_by_ends_and_begins(zone):
    one = freeze(Weekly(5, 1400), Weekly(6, 100), zone)
    now = at("2026-03-20T00:00Z")
    for step in range(0, 14 * 24 * 4):
        moment = now + step * 15 * MINUTE
        until, coming = ends(one, moment), begins(one, moment)
        assert coming is not None
        assert coming > moment
        assert until is None or until > moment


def test_a_selector_says_who_is_frozen():
    mine = freeze(Moment(0), Moment(END), only=parse("team=a"))
    assert frozen((mine,), ONE, frozenset(), 5) is not None
    assert frozen((mine,), credential("beta"), frozenset(), 5) is None


@pytest.mark.parametrize(
    ("kind", "actor", "words"),
    [
        (RunKind.ROTATE, "scheduler", set()),
        (RunKind.ROTATE, "uid:7 (ann)", {"manual"}),
        (RunKind.OVERLAP, "uid:7 (ann)", {"manual", "emergency"}),
        (RunKind.CONTAIN, "uid:7 (ann)", {"manual", "emergency"}),
        (RunKind.ADOPT, "uid:7 (ann)", {"manual", "adopt"}),
        (RunKind.RETIRE, "uid:7 (ann)", {"manual", "retire"}),
        (RunKind.RECONCILE, "scheduler", set()),
    ],
)
def test_what_a_run_passes_by(kind, actor, words):
    assert kinds_passing(kind, actor) == words
    assert words <= set(PASSES)
    for word in PASSES:
        one = freeze(Moment(0), Moment(100), passes=frozenset({word}))
        held = frozen((one,), ONE, kinds_passing(kind, actor), 50)
        assert (held is None) is (word in words)
        passes = word in words or kind is RunKind.CONTAIN
        assert (broken((one,), ONE, kind, actor, 50) is one) is passes
        assert broken((one,), ONE, kind, actor, 100) is None
