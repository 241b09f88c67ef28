"""Worker threads: each takes a claimed run from the tick and works it until it waits, asks or ends.

Bounded: the tick claims only what a free worker can take. A worker that meets a bug gives the run back to its lease.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

import structlog

from rotator.engine.ports import Claim, LedgerError

_LOG = structlog.get_logger()


class Workers:
    """`work` is the runner's; `after` is told which run was worked, so that due times and marks can follow."""

    def __init__(self, count: int, work: Callable[[Claim], None], after: Callable[[Claim], None]) -> None:
        self._work, self._after = work, after
        self._queue: queue.SimpleQueue[Claim | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._busy = 0
        self._count = count
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

    def free(self) -> int:
        """How many workers have nothing to do."""
        with self._lock:
            return self._count - self._busy

    def idle(self) -> bool:
        """Whether nothing is worked: the drain is over."""
        return self.free() == self._count

    def stop(self) -> None:
        """End the threads that are idle; one in the middle of a step ends with the process (the journal knows)."""
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
