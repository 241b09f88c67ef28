"""Due times: what must hold in every zone and at every clock change, and the days that others got wrong."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rotator.engine.calendar import (
    DAY,
    HOUR,
    MINUTE,
    CronRefused,
    Schedule,
    Window,
    catch_up,
    check_cron,
    cron_in_words,
    in_window,
    jitter_of,
    next_due,
    next_firing,
    shortest_interval,
)

from .calendar_draws import START, ZONES, at, changes_of, crons, minutes, offset, schedules, zone_and_moment

# ---- due times -----------------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(data=st.data(), where=zone_and_moment(), name=st.text(min_size=1, max_size=12))
def test_a_due_time_is_later_than_the_last_success_and_inside_the_window(data, where, name):
    zone, born = where
    schedule = data.draw(schedules(zone))
    due = next_due(schedule, born, START, name)
    assert due > born
    assert due - born >= (schedule.every or schedule.min_age)
    if schedule.window is not None:
        assert in_window(schedule.window, due)
    assert next_due(schedule, born, START, name) == due
    assert next_due(schedule, None, born, name) == due, "adoption counts as the birth of the value"


@settings(max_examples=150, deadline=None)
@given(data=st.data(), where=zone_and_moment(), later=st.integers(0, 40 * DAY))
def test_a_later_success_never_brings_the_due_time_forward_without_jitter(data, where, later):
    zone, born = where
    drawn = data.draw(schedules(zone))
    schedule = Schedule(drawn.every, drawn.cron, drawn.zone, drawn.window, 0, drawn.missed, drawn.min_age)
    assert next_due(schedule, born + later, START, "a") >= next_due(schedule, born, START, "a")


@settings(max_examples=150, deadline=None)
@given(data=st.data(), where=zone_and_moment(), jump=st.integers(-400 * DAY, 400 * DAY))
def test_a_clock_jump_delays_or_catches_up_but_drops_nothing(data, where, jump):
    zone, born = where
    schedule = data.draw(schedules(zone))
    due = next_due(schedule, born, START, "a")
    now = due + jump
    start = catch_up(schedule, due, now, "a")
    assert start >= max(due, now)
    assert catch_up(schedule, due, start, "a") == start, "whoever waits for it finds it open"
    if now < due:
        assert start == due
    elif schedule.window is None:
        assert start == now
    elif (schedule.window.missed or schedule.missed) == "next":
        assert in_window(schedule.window, start)
        assert start - now <= 2 * DAY + HOUR
    elif (schedule.window.missed or schedule.missed) == "skip":
        assert in_window(schedule.window, start)
    else:
        assert start == now


def test_another_process_gives_the_same_answer():
    """A restart changes nothing: no hash seed, no locale, no clock has a say."""
    code = (
        "from rotator.engine.calendar import *;"
        "w = Window(60, 300, 'Europe/Berlin');"
        "print([next_due(Schedule(every=30 * DAY, window=w, jitter=2 * HOUR), 1_790_000_000_000, 0, f'c-{n}')"
        " for n in range(50)])"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "TZ": zone},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed, zone in (("1", "UTC"), ("2", "Asia/Tokyo"))
    }
    here = [
        next_due(
            Schedule(every=30 * DAY, window=Window(60, 300, "Europe/Berlin"), jitter=2 * HOUR),
            1_790_000_000_000,
            0,
            f"c-{number}",
        )
        for number in range(50)
    ]
    assert answers == {f"{here}\n"}


def test_jitter_spreads_and_stays_inside_its_span():
    shares = [jitter_of(f"credential-{number}", 2 * HOUR) for number in range(2000)]
    assert min(shares) >= 0
    assert max(shares) <= 2 * HOUR
    quarters = [sum(1 for share in shares if share * 4 // (2 * HOUR + 1) == quarter) for quarter in range(4)]
    assert min(quarters) > 400
    assert jitter_of("anything", 0) == 0


def test_what_a_window_pushes_back_is_spread_over_it():
    schedule = Schedule(every=DAY, window=Window(60, 300, "UTC"), jitter=HOUR)
    noon = at("2026-05-05T12:00")
    dues = [next_due(schedule, noon, 0, f"credential-{number}") for number in range(500)]
    first, last = at("2026-05-07T01:00"), at("2026-05-07T05:00")
    assert all(first <= due < last for due in dues)
    assert len({due // (10 * MINUTE) for due in dues}) == 24, "every ten minutes of the four hours are used"


# ---- cron ----------------------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(where=zone_and_moment(), minute=minutes)
@example(where=("America/New_York", 1772946000000), minute=0)
def test_a_daily_cron_fires_once_for_every_date_of_the_calendar(where, minute):
    """Over a week around any clock change: as many firings as dates, also for the date that a zone skips whole."""
    zone, moment = where
    cron = f"{minute % 60} {minute // 60} * * *"
    days = 7
    first = next_firing(cron, zone, moment)
    firings = [first]
    for _ in range(days):
        firings.append(next_firing(cron, zone, firings[-1]))
    assert firings == sorted(set(firings))
    shown = [datetime.fromtimestamp(firing / 1000, ZoneInfo(zone)).replace(tzinfo=None) for firing in firings]
    if all((one.hour * 60 + one.minute) == minute for one in shown):
        assert [(one.date() - shown[0].date()).days for one in shown] == list(range(days + 1))
    else:
        leaps = [firing for firing in firings if offset(firing, zone) != offset(firing - 1, zone)]
        assert leaps, "a firing off its minute is the end of a leap"
        off = [firing for firing, one in zip(firings, shown, strict=True) if one.hour * 60 + one.minute != minute]
        assert set(off) <= set(leaps)


@settings(max_examples=200, deadline=None)
@given(where=zone_and_moment(), cron=crons)
def test_no_firing_lies_between_a_moment_and_the_next_firing(where, cron):
    """Asking from any moment in between gives the same firing: a restart neither loses nor doubles one."""
    zone, moment = where
    firing = next_firing(cron, zone, moment)
    assert next_firing(cron, zone, (moment + firing) // 2) == firing
    assert next_firing(cron, zone, firing - 1) == firing
    assert next_firing(cron, zone, firing) > firing


def date_meant(firing: int, minute: int, zone: str) -> date:
    """The date for which a daily cron fired; at the end of a leap it is that of the time leapt over."""
    shown = datetime.fromtimestamp(firing // 1000, ZoneInfo(zone))
    if shown.hour * 60 + shown.minute == minute:
        return shown.date()
    leapt_from = datetime.fromtimestamp(firing // 1000, UTC) + offset(firing - 1, zone)
    return leapt_from.date() if minute >= leapt_from.hour * 60 + leapt_from.minute else shown.date()


def test_in_every_zone_a_daily_cron_fires_once_a_day_at_every_clock_change():
    """All zones of tzdata, each distinct change of 2024-2027: the minutes of the change itself, and around it."""
    seen: set[tuple[int, timedelta, timedelta]] = set()
    for zone in ZONES:
        for change in changes_of(zone, 2024, 2028):
            before, after = offset(change - 1, zone), offset(change, zone)
            if (change, before, after) in seen:
                continue  # the same change of another name
            seen.add((change, before, after))
            shift = int((after - before).total_seconds()) * 1000
            wall = datetime.fromtimestamp(change // 1000, UTC) + before  # what the old clock shows at the change
            for minutes_on in (-90, -30, -1, 0, 1, 15, 30, 59, 60, 90, 150):
                at_minute = wall + timedelta(minutes=minutes_on)
                cron = f"{at_minute.minute} {at_minute.hour} * * *"
                firings = [next_firing(cron, zone, change - 2 * DAY - HOUR)]
                while len(firings) < 5:
                    firings.append(next_firing(cron, zone, firings[-1]))
                gaps = [later - earlier for earlier, later in pairwise(firings)]
                assert all(abs(gap - DAY) <= abs(shift) for gap in gaps), (zone, cron, firings)
                if abs(shift) < DAY:
                    assert min(gaps) > DAY // 2, (zone, cron, firings)
                dates = {date_meant(firing, at_minute.hour * 60 + at_minute.minute, zone) for firing in firings}
                assert len(dates) == len(firings), (zone, cron, firings)
    assert len(seen) > 100, "there are changes to look at"


def days_of(cron: str, zone: str, start: str, count: int) -> list[str]:
    moment, shown = at(start, zone), []
    for _ in range(count):
        moment = next_firing(cron, zone, moment)
        shown.append(datetime.fromtimestamp(moment / 1000, ZoneInfo(zone)).isoformat(timespec="minutes"))
    return shown


CRON_DAYS = [
    # midnight after the clock went forward: the day that a well-known trigger loses
    (
        "0 0 * * *",
        "America/New_York",
        "2026-03-07T12:00",
        ["2026-03-08T00:00-05:00", "2026-03-09T00:00-04:00", "2026-03-10T00:00-04:00"],
    ),
    (
        "0 0 * * *",
        "Europe/Berlin",
        "2026-03-28T12:00",
        ["2026-03-29T00:00+01:00", "2026-03-30T00:00+02:00", "2026-03-31T00:00+02:00"],
    ),
    # the missing hour: not lost, at the end of the leap
    (
        "30 2 * * *",
        "America/New_York",
        "2026-03-07T12:00",
        ["2026-03-08T03:00-04:00", "2026-03-09T02:30-04:00"],
    ),
    ("*/30 2 * * *", "Europe/Berlin", "2026-03-28T12:00", ["2026-03-29T03:00+02:00", "2026-03-30T02:00+02:00"]),
    # the repeated hour: once, at its first showing
    ("30 1 * * *", "America/New_York", "2026-10-31T12:00", ["2026-11-01T01:30-04:00", "2026-11-02T01:30-05:00"]),
    ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00", ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"]),
    # half an hour, in both directions
    ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00", ["2026-10-04T02:30+11:00", "2026-10-05T02:15+11:00"]),
    ("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00", ["2026-04-05T01:45+11:00", "2026-04-06T01:45+10:30"]),
    # a date that never was
    (
        "0 12 * * *",
        "Pacific/Apia",
        "2011-12-28T13:00",
        ["2011-12-29T12:00-10:00", "2011-12-31T00:00+14:00", "2011-12-31T12:00+14:00"],
    ),
    # Unix weekdays: 0 and 7 are Sunday, 1 is Monday
    ("0 3 * * 1", "UTC", "2026-11-24T00:00", ["2026-11-30T03:00+00:00"]),
    ("0 3 * * 7", "UTC", "2026-11-24T00:00", ["2026-11-29T03:00+00:00"]),
    # first of the month or Monday
    ("0 3 1 * 1", "UTC", "2026-11-24T00:00", ["2026-11-30T03:00+00:00", "2026-12-01T03:00+00:00"]),
]


@pytest.mark.parametrize(("cron", "zone", "start", "expected"), CRON_DAYS)
def test_cron_on_the_days_that_others_get_wrong(cron, zone, start, expected):
    assert days_of(cron, zone, start, len(expected)) == expected


def test_a_cron_asked_in_the_second_showing_of_an_hour_does_not_fire_again():
    second = at("2026-10-25T01:10:00Z")  # 02:10 in Berlin, for the second time
    assert next_firing("30 2 * * *", "Europe/Berlin", second) == at("2026-10-26T02:30", "Europe/Berlin")


def test_min_age_keeps_cron_from_changing_what_a_person_just_changed():
    by_hand = at("2026-11-28T02:59")
    saturday = Schedule(cron="0 3 * * 6")
    assert next_due(saturday, by_hand, 0, "a") == at("2026-11-28T03:00")
    patient = Schedule(cron="0 3 * * 6", min_age=DAY)
    assert next_due(patient, by_hand, 0, "a") == at("2026-12-05T03:00")


@pytest.mark.parametrize("cron", ["0 0 30 2 *", "0 0 31 4,6 *", "61 * * * *", "* * * *", "0 0 0 * * *", "@daily", ""])
def test_a_cron_that_is_none_or_never_fires_is_refused_in_words(cron):
    with pytest.raises(CronRefused) as refused:
        check_cron(cron)
    assert cron == "" or cron not in str(refused.value)


def test_cron_in_words():
    assert cron_in_words("0 3 * * 6") == "At 03:00 on Saturday"


def test_shortest_interval():
    assert shortest_interval(Schedule(every=DAY)) == DAY
    assert shortest_interval(Schedule(cron="0 3 * * 6")) == 7 * DAY
    assert shortest_interval(Schedule(cron="0 0,6 * * *")) == 6 * HOUR
    assert shortest_interval(Schedule(cron="0 0 29 2 *")) == (3 * 365 + 366) * DAY
    assert shortest_interval(Schedule(cron="* * * * *", min_age=HOUR)) == HOUR
