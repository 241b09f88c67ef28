"""The watchdog: what has stopped, computed apart from what does the work; and the dead man's ping beside it.

Started by the bootstrap; asked by the metrics. It knows the ledger's own queries (`ledger.watch_queries`) and nothing
of the engine: no tick, no runner, no facts. What it notices is exported, and the rules of `config/alerts.yaml` make
alarms of it. The ping goes to an alarm outside: it is sent only while ticks come and the ledger answers, so that a
daemon that hangs, or cannot read its ledger, is missed there. It never acts on anything.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from rotator.engine.ports import Clock, LedgerError
from rotator.ledger.watch_queries import CONDITIONS, Noticed

_LOG = structlog.get_logger()
EVERY_S: Final = 60.0
STALE_S: Final = 300.0
"""A look at the ledger that is older counts as none."""

Samples = list[tuple[str, float]]


@dataclass(frozen=True, slots=True)
class Looked:
    """The last look: when (wall clock and monotonic), and what was noticed."""

    at: int
    mono: float
    noticed: tuple[Noticed, ...]


class Watchdog:
    """`look` reads the ledger at an instant; `ticking`: whether ticks come; `url`: where the ping goes now, None:
    nowhere; `ping` sends it and gives the reason of a failure. Two threads, so that a ledger that hangs does not look
    alive."""

    def __init__(
        self,
        clock: Clock,
        look: Callable[[int], Sequence[Noticed]],
        *,
        ticking: Callable[[], bool],
        url: Callable[[], str | None],
        ping: Callable[[str], str],
        seconds: float = EVERY_S,
    ) -> None:
        self._clock, self._look, self._ticking, self._url, self._ping = clock, look, ticking, url, ping
        self._seconds = seconds
        self._stopped = threading.Event()
        self._looked: Looked | None = None
        self._pinged: int = 0
        self._threads = [
            threading.Thread(target=self._loop, args=(one,), name=name, daemon=True)
            for name, one in (("watchdog", self.look), ("deadman", self.ping))
        ]

    def start(self) -> None:
        """Begin. Once."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """No look and no ping any more: a daemon that was stopped is missed, as it should be."""
        self._stopped.set()

    def look(self) -> None:
        """Look at the ledger once. Raises LedgerError."""
        now = self._clock.now()
        noticed = tuple(self._look(now))
        self._looked = Looked(now, self._clock.monotonic(), noticed)

    def well(self) -> bool:
        """Whether ticks come and the ledger was read a moment ago."""
        looked = self._looked
        fresh = looked is not None and self._clock.monotonic() - looked.mono <= max(STALE_S, 5 * self._seconds)
        return fresh and self._ticking()

    def ping(self) -> None:
        """Say "still here", if it is so and somebody listens."""
        url = self._url()
        if url is None or not self.well():
            return
        why = self._ping(url)
        if why:
            _LOG.warning("daemon.deadman.failed", code=why)
            return
        self._pinged = self._clock.now()

    def samples(self) -> dict[str, Samples]:
        """By metric, without the prefix. A condition that nothing meets is 0; the age of a look tells whether to
        believe that."""
        looked = self._looked
        found: dict[str, Samples] = {
            "watchdog_last_look_seconds": [("", 0.0 if looked is None else looked.at / 1000)],
            "tick_alive": [("", float(self._ticking()))],
        }
        if self._url() is not None:
            found["deadman_last_ping_seconds"] = [("", self._pinged / 1000)]
        if looked is None:
            return found
        now = self._clock.now()
        counts, oldest = [], []
        for name in CONDITIONS:
            these = [one for one in looked.noticed if one.condition == name]
            counts.append((f'{{condition="{name}"}}', float(len(these))))
            age = max((max(0, now - one.since) / 1000 for one in these), default=0.0)
            oldest.append((f'{{condition="{name}"}}', age))
        return found | {"watchdog_conditions": counts, "watchdog_oldest_seconds": oldest}

    def _loop(self, work: Callable[[], None]) -> None:
        while not self._stopped.is_set():
            try:
                work()
            except LedgerError as error:
                _LOG.error("daemon.watchdog.ledger", code=error.code)
            except Exception as error:  # the watchdog must outlive its own bugs; its last look grows old
                _LOG.error("daemon.watchdog.bug", error=type(error).__name__, exc_info=True)
            self._stopped.wait(self._seconds)
