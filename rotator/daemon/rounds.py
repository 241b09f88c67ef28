"""The rounds: what is looked at outside runs, now and then. Threads of their own: no run and no tick waits for them.

Started by the bootstrap. One thread asks what is due; each endpoint that is has a thread while it is looked at, so one
that hangs delays no other. A round that meets a bug or a ledger that does not answer is made again later. Nothing is
kept here: what is due stands in the ledger.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import structlog

from rotator.engine.heartbeat import Heart
from rotator.engine.inventory import CredentialId
from rotator.engine.ports import Clock, LedgerError
from rotator.engine.sweeping import Sweeper

_LOG = structlog.get_logger()
MOST_THREADS: Final = 8
PAUSE_S: Final = 600.0
"""After a round that failed by a bug or the ledger: that one is not made again before."""


class Rounds:
    """Sweeps of endpoints and heartbeats of credentials whose time has come, the heartbeats of an endpoint one by one.
    `seconds`: between two questions what is due."""

    def __init__(
        self,
        clock: Clock,
        *,
        sweeper: Sweeper,
        heart: Heart,
        observing: Callable[[], bool],
        seconds: float = 30.0,
    ) -> None:
        self._clock, self._sweeper, self._heart = clock, sweeper, heart
        self._observing, self._seconds = observing, seconds
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._busy: dict[str, threading.Thread] = {}
        self._not_before: dict[str, float] = {}
        self._thread = threading.Thread(target=self._loop, name="rounds", daemon=True)

    def start(self) -> None:
        """Begin. Once."""
        self._thread.start()

    def stop(self, patience: float = 1.0) -> None:
        """Begin nothing more. A listing that is on its way is not waited for: it changes nothing."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(patience)

    def turn(self) -> list[str]:
        """Set off what is due; the names of it. Raises LedgerError."""
        if self._observing():
            return []
        works: dict[str, Callable[[], object]] = {
            f"sweep:{name}": partial(self._sweeper.sweep, name)
            for name in self._sweeper.due()
            if not self._heart.blocked(name)
        }
        beats: dict[str, list[CredentialId]] = {}
        for endpoint, credential in self._heart.due():
            beats.setdefault(f"beats:{endpoint}", []).append(credential)
        works |= {name: partial(self._beats, these) for name, these in beats.items()}
        return [name for name, work in works.items() if self._set_off(name, work)]

    def _beats(self, names: Sequence[CredentialId]) -> None:
        for name in names:
            if self._stopped.is_set() or self._observing():
                return
            self._heart.beat(name)

    def idle(self) -> bool:
        """Whether nothing is looked at."""
        with self._lock:
            return not any(thread.is_alive() for thread in self._busy.values())

    def _loop(self) -> None:
        while not self._stopped.wait(self._seconds):
            try:
                self.turn()
            except LedgerError as error:
                _LOG.error("daemon.rounds.ledger", code=error.code)
            except Exception as error:  # a bug in one turn must not end all rounds for good
                _LOG.error("daemon.rounds.bug", error=type(error).__name__, exc_info=True)

    def _set_off(self, name: str, work: Callable[[], object]) -> bool:
        with self._lock:
            self._busy = {key: thread for key, thread in self._busy.items() if thread.is_alive()}
            early = self._clock.monotonic() < self._not_before.get(name, 0.0)
            if name in self._busy or early or len(self._busy) >= MOST_THREADS or self._stopped.is_set():
                return False
            thread = threading.Thread(target=self._work, args=(name, work), name=f"round-{name}", daemon=True)
            self._busy[name] = thread
        thread.start()
        return True

    def _work(self, name: str, work: Callable[[], object]) -> None:
        try:
            work()
            return
        except LedgerError as error:
            _LOG.error("daemon.rounds.ledger", code=error.code)
        except Exception as error:
            _LOG.error("daemon.rounds.bug", error=type(error).__name__, exc_info=True)
        with self._lock:
            self._not_before[name] = self._clock.monotonic() + PAUSE_S
