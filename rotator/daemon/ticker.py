"""The tick: one function, called again and again by APScheduler, which is used here and nowhere else.

Started by the bootstrap with the engine's tick. One job in memory and no more: what is due is a row in the ledger, not
a job. Must never hold users' cron text, nor one job a credential.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from rotator.engine.ports import Clock

_LOG = structlog.get_logger()
_JOB: Final = "tick"


class Ticker:
    """Calls `tick` every `seconds`, first at once, never twice at the same time; late calls become one call.

    A tick that raises is logged and the next one comes. `alive` is false when the scheduler's thread is dead or when
    no tick began for `overdue` seconds (default: ten intervals, at least a minute), also because one never ended.
    """

    def __init__(self, tick: Callable[[], None], clock: Clock, *, seconds: float, overdue: float | None = None) -> None:
        self._tick = tick
        self._clock = clock
        self._seconds = seconds
        self._overdue = max(60.0, 10 * seconds) if overdue is None else overdue
        self._began = clock.monotonic()
        self._stopped = threading.Event()
        self._watch = threading.Thread(target=self._keep_on_time, name="tick-watch", daemon=True)
        self._scheduler = BackgroundScheduler(
            jobstores={"default": MemoryJobStore()},
            executors={"default": ThreadPoolExecutor(1)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
            timezone=UTC,
        )

    def start(self) -> None:
        """Begin. Once."""
        self._began = self._clock.monotonic()
        self._scheduler.add_job(
            self._run, IntervalTrigger(seconds=self._seconds, timezone=UTC), id=_JOB, next_run_time=self._now()
        )
        self._scheduler.start()
        self._watch.start()

    def stop(self) -> None:
        """No tick begins any more; waits for the one in progress."""
        self._stopped.set()
        if self._scheduler.running:
            self._scheduler.shutdown(wait=True)

    def alive(self) -> bool:
        """Whether ticks still come."""
        thread = self._scheduler._thread
        running = self._scheduler.running and thread is not None and thread.is_alive()
        return running and self._clock.monotonic() - self._began <= self._overdue

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now() / 1000, UTC)

    def _run(self) -> None:
        self._began = self._clock.monotonic()
        try:
            self._tick()
        except Exception:  # the boundary: an exception that passed would be logged by the library, with its text
            _LOG.exception("daemon.tick.failed")

    def _keep_on_time(self) -> None:
        """APScheduler waits for an instant of the wall clock: set back by a day, it would sleep for a day."""
        while not self._stopped.wait(self._seconds):
            job = self._scheduler.get_job(_JOB)
            if job is None or job.next_run_time is None:
                continue
            ahead = (job.next_run_time - self._now()).total_seconds()
            if ahead > 2 * self._seconds:
                _LOG.warning("daemon.tick.caught_up", ahead=round(ahead, 3))
                job.modify(next_run_time=self._now())
