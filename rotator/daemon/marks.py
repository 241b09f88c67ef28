"""The ledger's high-water mark in every store: a ledger that is older than its mark was restored and only observes.

Written when a run begins and ends; a store that does not answer is tried at the next boundary. Until one store was
read nobody knows whether the ledger is the newest: the daemon observes and asks again.

The mark also says below which number all serials of labels are, always some hundreds ahead of the ledger: a copy of the
ledger, however old, learns from it which serials the time that it has lost may have used.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

import structlog

from rotator.effects.stores.contract import ForeignError, Mark, Store
from rotator.engine.observation import RESTORED
from rotator.engine.ports import Clock, Installation, Ledger
from rotator.plugin_api import PluginError

_LOG = structlog.get_logger()
AGAIN_S = 5.0
BLOCK = 1_000
"""Serials that a mark reserves ahead; it is written again when half of them are used."""


class Marks:
    """Marks of one ledger in its stores; `stores` gives those that are configured now."""

    def __init__(
        self, ledger: Ledger, clock: Clock, installation: Installation, stores: Callable[[], Mapping[str, Store]]
    ) -> None:
        self._ledger, self._clock, self._installation, self._stores = ledger, clock, installation, stores
        self._lock = threading.Lock()
        self._ceiling = 0
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

    def standing(self) -> Mapping[str, Mark | str | None]:
        """What each store says now: a mark, none, or the reason why it could not be read."""
        found: dict[str, Mark | str | None] = {}
        for name, store in self._stores().items():
            try:
                found[name] = store.read_mark()
            except PluginError as error:
                found[name] = error.reason
        return found

    def renew(self, epoch: str, serials: int) -> None:
        """A person said that the copy is to be worked with: a new epoch, no serial up to `serials` ever again, and the
        stores are told. Nothing is observed from then on."""
        given = self._ledger.serials(1)
        if given < serials + BLOCK:  # what the last mark could not say any more is some hundreds at most
            self._ledger.serials(serials + BLOCK - given)
        self._ledger.renew(epoch)
        self._ledger.keep_document(RESTORED, "")
        with self._lock:
            self._installation = replace(self._installation, epoch=epoch)
            self._ceiling, self._behind = 0, False
        self._raise(self._ledger.serials(1) + BLOCK)

    def serial(self) -> int:
        """The next serial of a label. No copy of this ledger will give it again: some store keeps a higher one."""
        number = self._ledger.serials(1)
        if number > self._ceiling - BLOCK // 2:
            self._raise(number + BLOCK)
            if number > self._ceiling:
                # An emergency must not wait for a vault: `renew` keeps a distance for these.
                _LOG.error("daemon.mark.serial_unkept", serial=number)
        return number

    def _raise(self, ceiling: int) -> None:
        if self._write(Mark(self._installation.epoch, self._ledger.sequence(), ceiling)) or not self._stores():
            with self._lock:
                self._ceiling = max(self._ceiling, ceiling)

    def _ask(self) -> bool | None:
        """Whether some store has seen more of this ledger than the ledger knows. None: none of them answered."""
        if self._ledger.document(RESTORED):
            return True
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
        self._write(Mark(self._installation.epoch, self._ledger.sequence(), self._ceiling))

    def _write(self, mark: Mark) -> bool:
        """Whether some store took it."""
        taken = False
        for name, store in self._stores().items():
            try:
                store.mark(mark)
                taken = True
            except (PluginError, ForeignError) as error:
                reason = error.reason if isinstance(error, PluginError) else "foreign_current"
                _LOG.warning("daemon.mark.unwritten", store=name, reason=reason)
        return taken
