"""Repeats a read for seconds inside one step when it failed in passing. The one policy, made with tenacity.

Called by the stores for reads (never for a write, never for a probe). It keeps nothing of what the read returns: no
callbacks, no logging, no statistics. Retries over minutes and days are rows in the ledger, not here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type

from rotator.plugin_api import Failed

T = TypeVar("T")

ATTEMPTS = 4
FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 2.0


class Clock(Protocol):
    """Seconds of a clock that never goes back, and a sleep."""

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


def read_patiently(read: Callable[[], T], clock: Clock, deadline: float, attempts: int = ATTEMPTS) -> T:
    """`read()`, again after a `Failed` at most `attempts` times in all; only `Failed` is repeated.

    Waits 0.1 s, doubling, at most 2 s, or what the server asks for by `retry_after`. A wait that would reach `deadline`
    (of `clock.monotonic()`) is not begun: the last `Failed` is raised at once.
    """

    def wait(state: RetryCallState) -> float:
        error = _failure(state)
        asked = error.retry_after.total_seconds() if error is not None and error.retry_after is not None else 0.0
        return max(asked, min(FIRST_WAIT_S * float(2 ** (state.attempt_number - 1)), LONGEST_WAIT_S))

    def stop(state: RetryCallState) -> bool:
        return state.attempt_number >= attempts or clock.monotonic() + wait(state) >= deadline

    retrying = Retrying(sleep=clock.sleep, stop=stop, wait=wait, retry=retry_if_exception_type(Failed), reraise=True)
    return retrying(read)


def _failure(state: RetryCallState) -> Failed | None:
    error = state.outcome.exception() if state.outcome is not None else None
    return error if isinstance(error, Failed) else None
