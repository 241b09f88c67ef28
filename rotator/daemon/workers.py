"""Worker threads: each takes a claimed run from the tick and works it until it waits, asks or ends.

Bounded: the tick claims only what a free worker can take. Some workers take emergencies only, so that a mass of normal
work cannot make one wait. A worker that meets a bug gives the run back to its lease.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

import structlog

from rotator.engine.ports import Claim, LedgerError

_LOG = structlog.get_logger()
RESERVED = 8
"""One worker of so many is for emergencies alone; one of two already."""


def reserved_of(count: int) -> int:
    """How many of `count` workers take emergencies only."""
    return 0 if count < 2 else max(1, count // RESERVED)


class Workers:
    """`work` is the runner's; `after` is told which run was worked, so that due times and marks can follow; `more` is
    called when a worker is free again: what is due is not left until the next tick."""

    def __init__(
        self,
        count: int,
        work: Callable[[Claim], None],
        after: Callable[[Claim], None],
        more: Callable[[], None] = lambda: None,
    ) -> None:
        self._work, self._after, self._more = work, after, more
        self._queue: queue.SimpleQueue[Claim | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._busy = 0
        self._count, self._reserved = count, reserved_of(count)
        self._stopped = False
        self._threads = [threading.Thread(target=self._loop, name=f"worker-{n}", daemon=True) for n in range(count)]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def submit(self, claim: Claim) -> None:
        """Give a claimed run to the next free worker."""
        with self._lock:
            self._busy += 1
        self._queue.put(claim)

    def free(self, *, urgent: bool = False) -> int:
        """How many workers have nothing to do and may take such a run; normal work leaves the reserved ones."""
        with self._lock:
            return max(0, self._count - self._busy - (0 if urgent else self._reserved))

    def idle(self) -> bool:
        """Whether nothing is worked: the drain is over."""
        return self.free(urgent=True) == self._count

    def stop(self) -> None:
        """End the threads that are idle; one in the middle of a step ends with the process (the journal knows)."""
        self._stopped = True
        for _ in self._threads:
            self._queue.put(None)

    def _loop(self) -> None:
        while (claim := self._queue.get()) is not None:
            try:
                self._work(claim)
                self._after(claim)
            except LedgerError as error:
                _LOG.error("daemon.worker.ledger", run=claim.run, code=error.code)
            except Exception as error:  # a bug in one run must not stop the others; its lease brings it back
                _LOG.error("daemon.worker.bug", run=claim.run, error=type(error).__name__, exc_info=True)
            finally:
                with self._lock:
                    self._busy -= 1
            if not self._stopped:
                self._more_work()

    def _more_work(self) -> None:
        try:
            self._more()
        except Exception as error:  # the next tick asks again
            _LOG.error("daemon.worker.bug", run="", error=type(error).__name__, exc_info=True)
