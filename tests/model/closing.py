"""The line that closes an exploration, here and at the end of a test run. Called by `tests.model`, by the tests of the
26, and (the hook) by pytest through tests/conftest.py: workers that run in parallel send their figures as properties.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

PROPERTY = "model explored"


def closing_line(figures: Iterable[tuple[int, int, float]], seconds: float | None = None) -> str:
    """Of (states, transitions, seconds) of each configuration; `seconds` if they ran beside each other."""
    rows = list(figures)
    states, transitions = sum(row[0] for row in rows), sum(row[1] for row in rows)
    took = sum(row[2] for row in rows) if seconds is None else seconds
    return f"{len(rows)} configurations, {states:,} states, {transitions:,} transitions, {took:.0f} s"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the line if configurations were explored in this test run."""
    figures = []
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            figures += [tuple(value) for name, value in getattr(report, "user_properties", ()) if name == PROPERTY]
    if figures:
        terminalreporter.write_line("model: " + closing_line(figures))
