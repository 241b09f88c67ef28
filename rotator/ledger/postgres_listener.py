"""Hears that a run may go on, from whichever replica: LISTEN on a connection of its own, in a thread of its own.

Started by `postgres`. A word that is lost costs a tick and no more: the tick polls. Must never do work itself: it calls
one function, and what that raises ends nothing.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any, Final

import psycopg

from rotator.engine.ports import LedgerError

from .postgres_place import Place

CHANNEL: Final = "rotator_wake"


class Listener:
    """`heard` is called after every word, and each time that listening begins anew. Ended by `stop`."""

    def __init__(self, place: Place, heard: Callable[[], None], seconds: float) -> None:
        self._place, self._heard, self._seconds = place, heard, seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="ledger-listener", daemon=True)

    def start(self) -> None:
        """Begin. Once."""
        self._thread.start()

    def stop(self) -> None:
        """End. What is being heard at this moment is finished."""
        self._stopped.set()
        if self._thread is not threading.current_thread():
            self._thread.join(2 * self._seconds + 5)

    def _loop(self) -> None:
        while not self._stopped.is_set():
            with contextlib.suppress(psycopg.Error, LedgerError), self._place.connect() as connection:
                connection.autocommit = True
                connection.execute(f"LISTEN {CHANNEL}")
                self._call()
                self._hear(connection)
            self._stopped.wait(self._seconds)

    def _hear(self, connection: psycopg.Connection[Any]) -> None:
        while not self._stopped.is_set():
            words = list(connection.notifies(timeout=self._seconds, stop_after=1))
            if words:
                self._call()
            else:
                connection.execute("SELECT 1")  # a connection that died silently is found out

    def _call(self) -> None:
        if not self._stopped.is_set():
            with contextlib.suppress(LedgerError):
                self._heard()
