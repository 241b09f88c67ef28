"""An alarm clock: calls a function at the earliest of the instants that it was asked for, instead of at the next tick.

Set by the bootstrap for runs that come back soon: put back because an endpoint is full, or waiting out a back-off. It
knows nothing of runs; one call hands out whatever is due. Losing one costs a tick, so nothing of it is kept.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

import structlog

from rotator.engine.ports import Clock
from rotator.machine.ids import Millis

_LOG = structlog.get_logger()
SHORTEST: Final = 0.02
"""Seconds between two calls at least: those who come back at nearly one time are handed out together."""


class Alarm:
    """`ring` is called in a thread of its own, at most every 20 ms. `beyond`: later ones are the tick's, in ms."""

    def __init__(self, ring: Callable[[], None], clock: Clock, *, beyond: Millis) -> None:
        self._ring, self._clock, self._beyond = ring, clock, beyond
        self._changed = threading.Condition()
        self._at: float | None = None
        self._stopped = False
        self._thread = threading.Thread(target=self._loop, name="alarm", daemon=True)

    def start(self) -> None:
        """Begin. Once."""
        self._thread.start()

    def set(self, at: Millis) -> None:
        """Ring at `at` (milliseconds since the epoch) at the latest, unless that is beyond what it is for."""
        left = at - self._clock.now()
        if left > self._beyond:
            return
        instant = self._clock.monotonic() + max(0, left) / 1000
        with self._changed:
            if self._at is None or instant < self._at:
                self._at = instant
                self._changed.notify()

    def stop(self) -> None:
        """Ring no more."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def _loop(self) -> None:
        while self._due():
            try:
                self._ring()
            except Exception as error:  # the next tick does the same
                _LOG.error("daemon.alarm.bug", error=type(error).__name__)
            with self._changed:
                if not self._stopped:
                    self._changed.wait_for(lambda: self._stopped, SHORTEST)

    def _due(self) -> bool:
        """Wait for the instant; False: stopped."""
        with self._changed:
            while not self._stopped:
                left = None if self._at is None else self._at - self._clock.monotonic()
                if left is not None and left <= 0:
                    self._at = None
                    return True
                self._changed.wait(left)
            return False
