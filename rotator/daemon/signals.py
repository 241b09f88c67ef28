"""Signals and the process's own protection, called by the bootstrap on the main thread.

A handler only writes a byte into a pipe: an Event set inside a handler can wait for a lock that the interrupted code
holds. Must never do work in a handler, and never exit the process by itself.
"""

from __future__ import annotations

import ctypes
import os
import resource
import select
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

import structlog

from rotator.engine.ports import Clock

_LOG = structlog.get_logger()
_PR_SET_DUMPABLE: Final = 4
_STOPS: Final = (signal.SIGTERM, signal.SIGINT)
_WAKE: Final = 0xFF
_TURN: Final = 0.1


def harden() -> tuple[str, ...]:
    """No core dumps, no reading of our memory by processes of the same user. What failed, by name; logged too."""
    failed: list[str] = []
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (OSError, ValueError) as error:
        failed.append("core_limit")
        _LOG.warning("daemon.hardening.failed", protection="core_limit", errno=getattr(error, "errno", None))
    # A piped core pattern ignores the limit; this holds for it too.
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        done = libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) == 0
        errno = ctypes.get_errno()
    except (OSError, AttributeError) as error:
        done, errno = False, getattr(error, "errno", None) or 0
    if not done:
        failed.append("not_dumpable")
        _LOG.warning("daemon.hardening.failed", protection="not_dumpable", errno=errno)
    return tuple(failed)


class Signals:
    """SIGTERM and SIGINT stop, a second one hurries; SIGHUP reloads. `stopping` is set for all other threads to see.

    Used as a context on the main thread: `with Signals(...) as signals: signals.wait(); ... signals.drained(done)`.
    """

    def __init__(self, clock: Clock, *, reload: Callable[[], None], drain: float) -> None:
        self.stopping = threading.Event()
        self.hurry = threading.Event()
        self._clock = clock
        self._reload = reload
        self._drain = drain
        self._deadline: float | None = None
        self._read, self._write = os.pipe()
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Signals:
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        for one in (*_STOPS, signal.SIGHUP):
            self._before[one] = signal.signal(one, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for one, before in self._before.items():
            signal.signal(one, before if before is not None else signal.SIG_DFL)
        os.close(self._read)
        os.close(self._write)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self._put(number)

    def _put(self, byte: int) -> None:
        try:
            os.write(self._write, bytes((byte,)))
        except BlockingIOError:  # thousands of signals are waiting already
            return

    def stop(self) -> None:
        """Stop as SIGTERM does; from any thread, for what makes the daemon unable to go on."""
        self._put(_WAKE)

    def wait(self) -> None:
        """Return when the daemon is to stop. Reloads run here, on the main thread, one after the other."""
        while not self.stopping.is_set():
            self._turn(None)

    def drained(self, done: Callable[[], bool]) -> bool:
        """After `wait`: True once `done()`; False at the deadline or at a second signal, when nobody waits any more."""
        while not done():
            if self.hurry.is_set() or self.left() <= 0:
                return False
            self._turn(min(_TURN, self.left()))
        return True

    def left(self) -> float:
        """Seconds of the drain that are left; all of them before it began."""
        return self._drain if self._deadline is None else max(0.0, self._deadline - self._clock.monotonic())

    def _turn(self, timeout: float | None) -> None:
        if not select.select([self._read], [], [], timeout)[0]:
            return
        for number in os.read(self._read, 512):
            if number == signal.SIGHUP:
                self._do_reload()
            else:
                self._do_stop(number)

    def _do_reload(self) -> None:
        if self.stopping.is_set():
            return
        _LOG.info("daemon.signal.reload")
        try:
            self._reload()
        except Exception:  # the old configuration stands, whatever is wrong with the new one
            _LOG.exception("daemon.reload.failed")

    def _do_stop(self, number: int) -> None:
        name = "own" if number == _WAKE else signal.Signals(number).name
        if not self.stopping.is_set():
            _LOG.info("daemon.signal.stop", signal=name)
            self._deadline = self._clock.monotonic() + self._drain
            self.stopping.set()
        elif number != _WAKE:
            _LOG.warning("daemon.signal.hurry", signal=name)
            self.hurry.set()
