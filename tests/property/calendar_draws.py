"""Zones, moments, windows and schedules for the tests of the calendar: drawn by Hypothesis, the clock changes first."""

from __future__ import annotations

import importlib.resources
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import assume
from hypothesis import strategies as st

from rotator.engine.calendar import (
    DAY,
    HOUR,
    MINUTE,
    Schedule,
    Window,
)

ZONES = tuple(importlib.resources.files("tzdata").joinpath("zones").read_text().split())
START = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp() * 1000)
END = int(datetime(2037, 1, 1, tzinfo=UTC).timestamp() * 1000)


def offset(moment: int, zone: str) -> timedelta:
    found = datetime.fromtimestamp(moment // 1000, ZoneInfo(zone)).utcoffset()
    assert found is not None
    return found


def changes_of(zone: str, first: int = 2005, last: int = 2030) -> list[int]:
    """Every moment of these years at which the zone's offset changes, found by another way than the calendar's own."""
    found = []
    week = 7 * DAY
    moment = int(datetime(first, 1, 1, tzinfo=UTC).timestamp() * 1000)
    while moment < int(datetime(last, 1, 1, tzinfo=UTC).timestamp() * 1000):
        if offset(moment, zone) != offset(moment + week, zone):
            second = next(
                at
                for hour in range(moment, moment + week, HOUR)
                if offset(hour, zone) != offset(hour + HOUR, zone)
                for at in range(hour + MINUTE, hour + HOUR + 1, MINUTE)
                if offset(at, zone) != offset(at - MINUTE, zone)
            )
            found.append(second)
        moment += week
    return found


CHANGES: dict[str, list[int]] = {}


@st.composite
def zone_and_moment(draw: st.DrawFn) -> tuple[str, int]:
    """A zone and a moment, more often than not within two days of a change of its clock."""
    zone = draw(st.sampled_from(ZONES))
    if draw(st.integers(0, 3)):
        if zone not in CHANGES:
            CHANGES[zone] = changes_of(zone)
        if CHANGES[zone]:
            change = draw(st.sampled_from(CHANGES[zone]))
            return zone, change + draw(st.integers(-2 * DAY, 2 * DAY) | st.integers(-2 * HOUR, 2 * HOUR))
    return zone, draw(st.integers(START, END))


minutes = st.integers(0, 1439) | st.integers(0, 240)


@st.composite
def windows(draw: st.DrawFn, zone: str | None = None) -> Window:
    start, end = draw(minutes), draw(minutes | st.just(1440))
    assume(start != end)
    missed = draw(st.sampled_from([None, "next", "now", "skip"]))
    return Window(start, end, zone or draw(st.sampled_from(ZONES)), missed)


crons = st.sampled_from(
    [
        "0 0 * * *",
        "30 2 * * *",
        "30 1 * * *",
        "*/30 2 * * *",
        "15 * * * *",
        "0 3 * * 6",
        "0 3 1 * 1",
        "0 12 L * *",
        "59 23 31 12 *",
        "0 4 29 2 *",
    ]
)


@st.composite
def schedules(draw: st.DrawFn, zone: str) -> Schedule:
    window = draw(st.none() | windows(zone) | windows())
    jitter = draw(st.just(0) | st.integers(1, 2 * DAY))
    if draw(st.booleans()):
        return Schedule(every=draw(st.integers(1, 400 * DAY)), window=window, jitter=jitter)
    min_age = draw(st.just(0) | st.integers(0, 3 * DAY))
    return Schedule(cron=draw(crons), zone=zone, window=window, jitter=jitter, min_age=min_age)


def at(text: str, zone: str = "UTC") -> int:
    """A wall-clock time as milliseconds; `Z` and offsets are honoured."""
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))).timestamp() * 1000)
