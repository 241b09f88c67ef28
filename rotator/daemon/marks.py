"""The ledger's high-water mark in every store: a ledger that is older than its mark was restored and only observes.

Written when a run begins and ends; a store that does not answer is tried at the next boundary. Read at the start.
"""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from rotator.effects.stores.contract import Mark, Store
from rotator.engine.ports import Installation, Ledger
from rotator.plugin_api import PluginError

_LOG = structlog.get_logger()


class Marks:
    """Marks of one ledger in its stores."""

    def __init__(self, ledger: Ledger, installation: Installation, stores: Mapping[str, Store]) -> None:
        self._ledger, self._installation, self._stores = ledger, installation, stores

    def behind(self) -> bool:
        """Whether some store has seen more of this ledger than the ledger knows: it is a restored copy."""
        for name, store in self._stores.items():
            try:
                mark = store.read_mark()
            except PluginError as error:
                _LOG.warning("daemon.mark.unread", store=name, reason=error.reason)
                continue
            if mark is None:
                continue
            if mark.epoch != self._installation.epoch or mark.sequence > self._ledger.sequence():
                _LOG.error("daemon.mark.behind", store=name, ours=self._ledger.sequence(), theirs=mark.sequence)
                return True
        return False

    def write(self) -> None:
        """Write the present mark everywhere."""
        mark = Mark(self._installation.epoch, self._ledger.sequence())
        for name, store in self._stores.items():
            try:
                store.mark(mark)
            except PluginError as error:
                _LOG.warning("daemon.mark.unwritten", store=name, reason=error.reason)
