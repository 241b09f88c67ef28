"""The catalogue of a store's reasons is complete, and reads are retried as they are said to be."""

from __future__ import annotations

import ast
from datetime import timedelta
from pathlib import Path

import pytest

import rotator.effects.stores
from rotator.effects.stores.reasons import REASONS
from rotator.effects.stores.vault_errors import ROWS
from rotator.effects.transport_retry import ATTEMPTS, read_patiently
from rotator.plugin_api import RESERVED, Failed, OutcomeUnknown, Refused

ERRORS = {"Refused", "Failed", "OutcomeUnknown", "Misconfigured", "broken"}
FOLDER = Path(next(iter(rotator.effects.stores.__path__)))


def _used() -> set[str]:
    used = {row.reason for row in ROWS} - {""}
    for file in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ERRORS:
                used |= {
                    arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
                }
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("store_"):
                used |= {node.value} if not file.name.endswith("reasons.py") and node.value.isidentifier() else set()
    return used


def test_every_reason_is_explained_and_every_explanation_is_used() -> None:
    used = _used()
    assert used - set(RESERVED) == set(REASONS)
    assert not set(REASONS) & set(RESERVED)


class _Clock:
    def __init__(self) -> None:
        self.time, self.sleeps = 0.0, [0.0][:0]

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.time += seconds


def _failing(times: int, error: Exception) -> tuple[list[int], object]:
    calls: list[int] = []

    def read() -> str:
        calls.append(1)
        if len(calls) <= times:
            raise error
        return "value"

    return calls, read


def test_a_passing_failure_is_repeated_with_growing_waits() -> None:
    clock = _Clock()
    calls, read = _failing(3, Failed("server_error"))
    assert read_patiently(read, clock, 100.0) == "value"  # type: ignore[arg-type]
    assert (len(calls), clock.sleeps) == (4, [0.1, 0.2, 0.4])


def test_attempts_are_bounded_and_the_last_failure_is_raised() -> None:
    clock = _Clock()
    calls, read = _failing(99, Failed("store_sealed", status="503"))
    with pytest.raises(Failed, match="store_sealed"):
        read_patiently(read, clock, 100.0)  # type: ignore[arg-type]
    assert len(calls) == ATTEMPTS


def test_retry_after_is_kept_and_never_waited_past_the_deadline() -> None:
    clock = _Clock()
    calls, read = _failing(1, Failed("throttled", retry_after=timedelta(seconds=3)))
    assert read_patiently(read, clock, 100.0) == "value"  # type: ignore[arg-type]
    assert clock.sleeps == [3.0]
    calls, read = _failing(1, Failed("throttled", retry_after=timedelta(seconds=30)))
    with pytest.raises(Failed, match="throttled"):
        read_patiently(read, clock, clock.time + 20.0)  # type: ignore[arg-type]
    assert (len(calls), clock.sleeps) == (1, [3.0])


@pytest.mark.parametrize("error", [Refused("refused"), OutcomeUnknown("deadline"), ValueError("bug")])
def test_anything_else_is_raised_at_once(error: Exception) -> None:
    calls, read = _failing(9, error)
    with pytest.raises(type(error)):
        read_patiently(read, _Clock(), 100.0)  # type: ignore[arg-type]
    assert len(calls) == 1
