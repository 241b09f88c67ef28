"""Spans of time on the command line: 90s, 10m, 1h30m, 2d. Used by options; converts to seconds."""

from __future__ import annotations

import re
from typing import Any, Final

import click

_SPAN: Final = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def seconds_of(text: str) -> float | None:
    """Seconds of a span, a bare number being seconds; None when it is none."""
    if text.isascii() and text.isdigit():
        return float(text)
    match = _SPAN.fullmatch(text)
    if match is None or not text:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


class Span(click.ParamType[float]):
    """A span of time, in seconds."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        found = seconds_of(str(value))
        if found is None:
            self.fail("a span of time is written as 90s, 10m, 1h30m or 2d", param, ctx)
        return found
