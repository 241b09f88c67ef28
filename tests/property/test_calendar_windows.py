"""Windows of the day: when they open, and what a missed one means, over all zones and both clock changes."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotator.engine.calendar import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    Schedule,
    Window,
    catch_up,
    in_window,
    window_closes,
    window_opens,
)

from .calendar_draws import at, changes_of, windows, zone_and_moment

# ---- windows -------------------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(data=st.data(), where=zone_and_moment())
def test_a_window_opens_at_the_first_moment_at_which_it_is_open(data, where):
    zone, now = where
    window = data.draw(windows(zone))
    opening = window_opens(window, now)
    assert opening >= now
    assert in_window(window, opening)
    if opening > now:
        assert not in_window(window, now)
        assert not in_window(window, opening - 1)
        for share in range(1, 40):  # and nothing in between was open
            assert not in_window(window, now + (opening - 1 - now) * share // 40)
    assert opening - now <= 2 * DAY + HOUR


@pytest.mark.parametrize(
    ("window", "zone", "now", "opens"),
    [
        ((60, 300), "Europe/Berlin", "2026-11-24T12:00", "2026-11-25T01:00+01:00"),
        ((1380, 120), "Europe/Berlin", "2026-11-24T12:00", "2026-11-24T23:00+01:00"),
        ((1380, 120), "Europe/Berlin", "2026-11-24T01:59", "2026-11-24T01:59+01:00"),
        ((1380, 120), "Europe/Berlin", "2026-11-24T02:00", "2026-11-24T23:00+01:00"),
        # swallowed by the missing hour: the next day's
        ((130, 170), "Europe/Berlin", "2026-03-29T01:00", "2026-03-30T02:10+02:00"),
        # beginning in the missing hour: from the end of the leap
        ((150, 240), "Europe/Berlin", "2026-03-29T01:00", "2026-03-29T03:00+02:00"),
        # the repeated hour: open in both
        ((130, 170), "Europe/Berlin", "2026-10-25T00:55:00Z", "2026-10-25T02:10+01:00"),
        # closed by nothing but the clock turned back into it
        ((150, 175), "Europe/Berlin", "2026-10-25T00:58:00Z", "2026-10-25T02:30+01:00"),
        ((130, 150), "Australia/Lord_Howe", "2026-10-04T01:30", "2026-10-05T02:10+11:00"),
        # the date that never was
        ((60, 120), "Pacific/Apia", "2011-12-29T12:00", "2011-12-31T01:00+14:00"),
    ],
)
def test_windows_on_the_days_of_clock_changes(window, zone, now, opens):
    opening = window_opens(Window(*window, zone), at(now, zone))
    assert datetime.fromtimestamp(opening / 1000, ZoneInfo(zone)).isoformat(timespec="minutes") == opens


def test_the_clock_turned_back_into_a_window_opens_it_at_the_change():
    zone = "America/Havana"  # back from 01:00 to 00:00: a window from 23:00 to 00:30 closes and opens again
    window = Window(1380, 30, zone)
    change = next(moment for moment in changes_of(zone) if moment > at("2026-08-01T00:00"))
    assert not in_window(window, change - 10 * MINUTE)
    assert window_opens(window, change - 10 * MINUTE) == change


def test_the_end_of_a_window_is_outside_it_and_its_start_inside():
    window = Window(60, 300, "UTC")
    assert in_window(window, at("2026-05-05T01:00"))
    assert not in_window(window, at("2026-05-05T01:00") - 1)
    assert in_window(window, at("2026-05-05T05:00") - 1)
    assert not in_window(window, at("2026-05-05T05:00"))
    assert in_window(Window(0, 1440, "UTC"), at("2026-05-05T23:59") + 59 * SECOND)


@settings(max_examples=300, deadline=None)
@given(data=st.data(), where=zone_and_moment())
def test_a_window_closes_at_the_first_moment_at_which_it_is_shut(data, where):
    zone, now = where
    window = data.draw(windows(zone))
    closing = window_closes(window, now)
    if closing == 2**62:
        assert (window.start, window.end) == (0, 1440)
        return
    assert closing >= now
    assert not in_window(window, closing)
    if closing > now:
        assert in_window(window, closing - 1)
        for share in range(40):
            assert in_window(window, now + (closing - 1 - now) * share // 40)
    assert closing - now <= 2 * DAY + HOUR


def test_a_missed_window_waits_for_the_next_or_runs_at_once():
    due, late = at("2026-05-05T01:30"), at("2026-05-05T09:00")
    nightly = Window(60, 300, "UTC")
    assert catch_up(Schedule(every=DAY, window=nightly), due, late, "a") == at("2026-05-06T01:00")
    assert catch_up(Schedule(every=DAY, window=nightly, missed="now"), due, late, "a") == late
    assert catch_up(Schedule(every=DAY, window=Window(60, 300, "UTC", "now")), due, late, "a") == late
    assert catch_up(Schedule(every=DAY, window=Window(60, 300, "UTC", "next"), missed="now"), due, late, "a") > late
    assert catch_up(Schedule(every=DAY), due, late, "a") == late
    assert catch_up(Schedule(every=DAY, window=nightly), due, due - 1, "a") == due


@pytest.mark.parametrize(
    ("schedule", "due", "now", "starts"),
    [
        # on time, and late but still in the night of its own
        ({"every": 30 * DAY}, "2026-05-05T01:30", "2026-05-05T01:30", "2026-05-05T01:30"),
        ({"every": 30 * DAY}, "2026-05-05T01:30", "2026-05-05T04:59", "2026-05-05T04:59"),
        # the night is over: thirty days later, and the nights between are not its own
        ({"every": 30 * DAY}, "2026-05-05T01:30", "2026-05-05T05:00", "2026-06-04T01:30"),
        ({"every": 30 * DAY}, "2026-05-05T01:30", "2026-05-06T02:00", "2026-06-04T01:30"),
        ({"every": 30 * DAY}, "2026-05-05T01:30", "2026-06-04T02:00", "2026-06-04T02:00"),
        # down for half a year
        ({"every": 30 * DAY}, "2026-05-05T01:30", "2026-11-20T12:00", "2026-12-01T01:30"),
        ({"cron": "0 2 * * 6"}, "2026-05-02T02:00", "2026-05-02T06:00", "2026-05-09T02:00"),
        ({"cron": "0 2 * * 6"}, "2026-05-02T02:00", "2026-05-05T02:30", "2026-05-09T02:00"),
        ({"cron": "0 2 * * 6"}, "2026-05-02T02:00", "2026-08-01T03:00", "2026-08-01T03:00"),
        # outside its window by its own text: the window in which it is moved to is its own
        ({"cron": "0 12 1 * *"}, "2026-05-02T01:00", "2026-05-02T03:00", "2026-05-02T03:00"),
        ({"cron": "0 12 1 * *"}, "2026-05-02T01:00", "2026-05-02T08:00", "2026-06-02T01:00"),
    ],
)
def test_a_rotation_whose_window_was_missed_is_left_out(schedule, due, now, starts):
    nightly = Window(60, 300, "UTC", "skip")
    found = catch_up(Schedule(**schedule, window=nightly), at(due), at(now), "a")
    assert datetime.fromtimestamp(found / 1000, ZoneInfo("UTC")).isoformat(timespec="minutes")[:16] == starts


@pytest.mark.parametrize(
    ("due", "now", "starts"),
    [
        # over midnight: the same window on both sides of it
        ("2026-05-05T23:30", "2026-05-06T01:59", "2026-05-06T01:59"),
        ("2026-05-05T23:30", "2026-05-06T02:00", "2026-05-12T23:30"),
        # the night in which the clock goes forward, and the one in which it goes back
        ("2026-03-28T23:30", "2026-03-29T01:59", "2026-03-29T01:59"),
        ("2026-03-28T23:30", "2026-03-29T03:00", "2026-04-04T23:30"),
        ("2026-10-24T23:30", "2026-10-25T01:30", "2026-10-25T01:30"),
        ("2026-10-24T23:30", "2026-10-25T12:00", "2026-10-31T23:30"),
    ],
)
def test_a_missed_window_over_midnight_and_over_clock_changes(due, now, starts):
    zone = "Europe/Berlin"
    schedule = Schedule(cron="30 23 * * " + ("2" if due.startswith("2026-05") else "6"), zone=zone,
                        window=Window(1380, 120, zone, "skip"))  # fmt: skip
    found = catch_up(schedule, at(due, zone), at(now, zone), "a")
    assert datetime.fromtimestamp(found / 1000, ZoneInfo(zone)).isoformat(timespec="minutes")[:16] == starts


@pytest.mark.parametrize(
    "broken",
    [
        lambda: Schedule(),
        lambda: Schedule(every=DAY, cron="0 0 * * *"),
        lambda: Schedule(every=0),
        lambda: Schedule(every=DAY, jitter=-1),
        lambda: Window(60, 60, "UTC"),
        lambda: Window(1440, 60, "UTC"),
    ],
)
def test_contradictory_schedules_cannot_be_made(broken):
    with pytest.raises(ValueError):
        broken()
