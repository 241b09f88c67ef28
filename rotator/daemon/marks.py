"""The ledger's high-water mark in every store: a ledger that is older than its mark was restored and only observes.

Written when a run begins and ends; a store that does not answer is tried at the next boundary. Until one store was
read nobody knows whether the ledger is the newest: the daemon observes and asks again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

import structlog

from rotator.effects.stores.contract import ForeignError, Mark, Store
from rotator.engine.ports import Clock, Installation, Ledger
from rotator.plugin_api import PluginError

_LOG = structlog.get_logger()
AGAIN_S = 5.0


class Marks:
    """Marks of one ledger in its stores; `stores` gives those that are configured now."""

    def __init__(
        self, ledger: Ledger, clock: Clock, installation: Installation, stores: Callable[[], Mapping[str, Store]]
    ) -> None:
        self._ledger, self._clock, self._installation, self._stores = ledger, clock, installation, stores
        self._lock = threading.Lock()
        self._behind: bool | None = None
        self._asked: float | None = None

    def observing(self) -> bool:
        """Whether the ledger may not be worked with: it is a restored copy, or no store could say. Asks the stores
        until one answered, at most every few seconds."""
        with self._lock:
            now = self._clock.monotonic()
            if self._behind is None and (self._asked is None or now - self._asked >= AGAIN_S):
                self._asked = now
                self._behind = self._ask()
            return self._behind is not False

    def behind(self) -> bool:
        """Whether a store has said so: the ledger is a restored copy."""
        with self._lock:
            return self._behind is True

    def _ask(self) -> bool | None:
        """Whether some store has seen more of this ledger than the ledger knows. None: none of them answered."""
        stores = self._stores()
        answered = not stores
        for name, store in stores.items():
            try:
                mark = store.read_mark()
            except PluginError as error:
                _LOG.warning("daemon.mark.unread", store=name, reason=error.reason)
                continue
            answered = True
            ours = self._ledger.sequence()
            if mark is not None and (mark.epoch != self._installation.epoch or mark.sequence > ours):
                _LOG.error("daemon.mark.behind", store=name, ours=ours, theirs=mark.sequence)
                return True
        return False if answered else None

    def write(self) -> None:
        """Write the present mark everywhere."""
        mark = Mark(self._installation.epoch, self._ledger.sequence())
        for name, store in self._stores().items():
            try:
                store.mark(mark)
            except (PluginError, ForeignError) as error:
                reason = error.reason if isinstance(error, PluginError) else "foreign_current"
                _LOG.warning("daemon.mark.unwritten", store=name, reason=reason)
