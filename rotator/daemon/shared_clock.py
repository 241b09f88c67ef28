"""The clock of a daemon that shares its ledger: the database's time, kept between two askings by our own clocks.

Made by the bootstrap, taken by every room; `follow` binds it to a ledger. With one machine it is the machine's clock.
Quiet times and deadlines are compared by whichever replica has the run, so all replicas must mean the same instant:
a replica whose clock is wrong would look before another's request has landed. Must never go on with a doubt that it
could settle by asking.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

from rotator.engine.ports import Clock, LedgerError
from rotator.machine.ids import Millis

EVERY_S: Final = 10.0
"""How often the database is asked again: clocks drift by less than a millisecond in that time."""
DOUBT: Final[Millis] = 250
"""Our two clocks disagree by so much since the last asking: one was set, or the machine slept."""
TOLD: Final[Millis] = 1_000
AGAIN_S: Final = 1.0
_LOG = structlog.get_logger()


class SharedClock:
    """`own`: the machine's clock. Thread-safe."""

    def __init__(self, own: Clock) -> None:
        self._own = own
        self._ask: Callable[[], Millis] | None = None
        self._lock = threading.Lock()
        self._known = (0, 0, 0.0)  # the database's instant, ours at that moment, our monotonic seconds
        self._tried = 0.0
        self._told = False

    def follow(self, ask: Callable[[], Millis]) -> None:
        """From now on the instant that `ask` gives counts. Raises LedgerError."""
        self._measure(ask)
        self._ask = ask

    def now(self) -> Millis:
        """Milliseconds since the epoch. Between two askings the later of both clocks: a deadline is never missed."""
        if self._ask is None:
            return self._own.now()
        by_wall, by_monotonic, age = self._estimates()
        doubtful = abs(by_wall - by_monotonic) > DOUBT
        if (doubtful or age > EVERY_S) and self._may_ask():
            with suppress(LedgerError):  # away: nothing can be committed now, what is under way keeps to its deadline
                self._measure(self._ask)
            by_wall, by_monotonic, _ = self._estimates()
        return max(by_wall, by_monotonic)

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return self._own.monotonic()

    def sleep(self, seconds: float) -> None:
        """Our own."""
        self._own.sleep(seconds)

    def _estimates(self) -> tuple[Millis, Millis, float]:
        shared, ours, monotonic = self._known
        age = self._own.monotonic() - monotonic
        return shared + self._own.now() - ours, shared + int(age * 1000), age

    def _may_ask(self) -> bool:
        """One thread at a time, and not again and again while it does not answer."""
        with self._lock:
            now = self._own.monotonic()
            if now - self._tried < AGAIN_S:
                return False
            self._tried = now
            return True

    def _measure(self, ask: Callable[[], Millis]) -> None:
        before = self._own.monotonic()
        shared = ask()
        after, ours = self._own.monotonic(), self._own.now()
        self._known = (shared + int((after - before) * 500), ours, after)
        off = shared - ours
        if abs(off) > TOLD and not self._told:
            _LOG.warning("daemon.clock.off", ahead=-off)
        self._told = abs(off) > TOLD
