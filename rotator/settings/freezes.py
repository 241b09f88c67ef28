"""Models of what holds the calendar back: freezes and the brake; and selectors as they stand in a configuration.

Read by the loader; `freezes_of` and `brake_of` give the engine's plain data. Must never hold a value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from rotator.engine import brake, selectors
from rotator.engine import freezes as engine

from .values import Duration, Model, Text, as_tuple, refuse

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME: Final = r"(?:[T ]+(?P<hour>[01]\d|2[0-4]):(?P<minute>[0-5]\d))?"
_ONCE: Final = re.compile(rf"(?P<year>\d{{4}})-(?P<month>\d{{2}})-(?P<day>\d{{2}}){_TIME}")
_YEARLY: Final = re.compile(rf"(?P<month>\d{{2}})-(?P<day>\d{{2}}){_TIME}")
_WEEKLY: Final = re.compile(rf"(?P<name>[A-Za-z]{{3}}){_TIME}")
_END_OF_DAY: Final = 1440


def _selector(value: Any) -> str:
    if not isinstance(value, str):
        raise refuse("CFG-WRONG-TYPE", "a selector belongs here, such as `team=itsm, tier in (T0, T1)`")
    try:
        selectors.parse(value)
    except selectors.SelectorRefused as refused:
        raise refuse("CFG-BAD-SELECTOR", f"the selector, {refused}") from None
    return value


def _zone(value: Any) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, OSError, ValueError, TypeError):
        raise refuse(
            "CFG-BAD-ZONE", "no time zone has this name: write an IANA name such as Europe/Berlin, or UTC"
        ) from None
    return str(value)


def parse_point(text: str, *, end: bool) -> engine.Point:
    """`2026-12-20`, `2026-12-20 18:00`, `2026-12-20T18:00:00+01:00`, `12-20`, `12-20 18:00`, `Fri`, `Fri 18:00`.

    A day without a time is its beginning, or with `end` its end: a freeze to the 4th has the 4th in it. Raises
    ValueError in words.
    """
    if (found := _ONCE.fullmatch(text)) is not None:
        return engine.Once(date(int(found["year"]), int(found["month"]), int(found["day"])), _minute(found, end))
    if (found := _YEARLY.fullmatch(text)) is not None:
        date(2028, int(found["month"]), int(found["day"]))  # a leap year
        return engine.Yearly(int(found["month"]), int(found["day"]), _minute(found, end))
    if (found := _WEEKLY.fullmatch(text)) is not None and found["name"].lower() in DAYS:
        return engine.Weekly(DAYS.index(found["name"].lower()), _minute(found, end))
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no zone")
    return engine.Moment(round(moment.timestamp() * 1000))


def _minute(found: re.Match[str], end: bool) -> int:
    if found["hour"] is None:
        return _END_OF_DAY if end else 0
    minute = int(found["hour"]) * 60 + int(found["minute"])
    if minute > _END_OF_DAY:
        raise ValueError("later than 24:00")
    return minute


def _point(value: Any) -> str:
    try:
        parse_point(value, end=False)
    except (ValueError, TypeError):
        words = "write 2026-12-20 or 2026-12-20 18:00 (once), 12-20 or 12-20 18:00 (every year), Fri 18:00 (every week)"
        raise refuse("CFG-BAD-TIME", words) from None
    return str(value)


Selector = Annotated[
    str, BeforeValidator(_selector), WithJsonSchema({"type": "string", "examples": ["team=itsm, tier in (T0, T1)"]})
]
Zone = Annotated[str, BeforeValidator(_zone), WithJsonSchema({"type": "string", "minLength": 1})]
PointText = Annotated[str, BeforeValidator(_point), WithJsonSchema({"type": "string", "minLength": 1})]
Passes = Annotated[tuple[Literal["emergency", "manual", "adopt", "retire"], ...], BeforeValidator(as_tuple)]


class Freeze(Model):
    """A span of time in which nothing is changed that can wait: no run is opened by the calendar, and an open one takes
    neither its first write nor its first kill. A contain is never held."""

    start: PointText = Field(alias="from")
    """When it begins, by the wall clock of `zone`: `2026-12-20` or `2026-12-20 18:00` once, `12-20` every year,
    `Fri 18:00` every week."""
    end: PointText = Field(alias="to")
    """When it ends, written as `from` is. A day without a time is in it to its end."""
    zone: Zone = "UTC"
    """IANA name of the zone whose clock counts."""
    only: Selector | None = None
    """Which credentials; none said: all."""
    reason: Text
    """Why; shown wherever it holds something."""
    passes: Passes = Field(default=("emergency",), alias="except")
    """What passes: `emergency`, `manual` (whatever a person opens), `adopt`, `retire`."""

    @model_validator(mode="after")
    def _one_sort(self) -> Freeze:
        start, end = parse_point(self.start, end=False), parse_point(self.end, end=True)
        once = (engine.Moment, engine.Once)
        if type(start) is not type(end) and not (isinstance(start, once) and isinstance(end, once)):
            raise refuse("CFG-CONFLICT", "`from` and `to` are written in one way: both once, yearly or weekly", at="to")
        if isinstance(start, once):
            freeze = engine.Freeze("", start, end, self.zone, "")
            if engine.is_empty(freeze):
                raise refuse("CFG-OUT-OF-RANGE", "it ends before it begins", at="to")
        elif start == end:
            raise refuse(
                "CFG-OUT-OF-RANGE", "`from` and `to` are the same: a freeze without an end is a pause", at="to"
            )
        return self


class Brake(Model):
    """What slows down a sudden mass of due credentials. Emergencies, what a person opens, work on debts and what is
    about to expire pass."""

    share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """A mass is more than this share of all managed credentials due at once …"""
    at_least: Annotated[int, Field(ge=0, le=1_000_000)] = 50
    """… and more than so many."""
    per_hour: Annotated[int, Field(ge=0, le=1_000_000)] = 20
    """How many of a mass are begun in an hour; 0: none until somebody says `rotator brake release`."""
    expiring: Duration = 14 * 86_400_000
    """What expires this soon is let through."""


def freezes_of(freezes: Mapping[str, Freeze]) -> tuple[engine.Freeze, ...]:
    """The freeze calendar as the engine takes it, by id."""
    return tuple(
        engine.Freeze(
            id=name,
            start=parse_point(one.start, end=False),
            end=parse_point(one.end, end=True),
            zone=one.zone,
            reason=one.reason,
            only=None if one.only is None else selectors.parse(one.only),
            passes=frozenset(one.passes),
        )
        for name, one in sorted(freezes.items())
    )


def brake_of(one: Brake) -> brake.BrakeRules:
    """The brake's rules as the engine takes them."""
    return brake.BrakeRules(one.share, one.at_least, one.per_hour, one.expiring)


def strange_labels(text: str, known: frozenset[str]) -> list[str]:
    """The labels that a selector asks for and no credential has: it would mean nothing, or everything, in silence."""
    return sorted({term.key for term in selectors.parse(text).labels()} - known)
