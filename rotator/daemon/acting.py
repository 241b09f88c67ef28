"""What acts at an endpoint: its admin value, with its id where the platform wants one, read from where they stand.

Made by `world`, called by the plugin host for each call that acts. It keeps nothing on disk, and it never shows either.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from rotator.effects.host import Acting
from rotator.effects.inspect import read_value
from rotator.effects.stores.contract import Store
from rotator.engine.ports import Clock
from rotator.plugin_api import Failed, Misconfigured, PluginError, Secret
from rotator.settings.connections import Login, ValueRef

FRESH_S: Final = 1.0
TRIES: Final = 3
"""How often a pair is read until its id is the same before and after its value."""


class Admin:
    """An endpoint's acting value: read from its reference, kept for a while, so that a store that does not answer
    cannot shield a leaked key from being revoked."""

    def __init__(self, read: Callable[[], Acting], clock: Clock) -> None:
        self._read, self._clock = read, clock
        self._lock = threading.Lock()
        self._kept: tuple[Acting, float] | None = None

    def __call__(self) -> Acting:
        with self._lock:
            kept = self._kept
            if kept is not None and self._clock.monotonic() - kept[1] < FRESH_S:
                return kept[0]
            try:
                found = self._read()
            except PluginError:
                if kept is None:
                    raise
                return kept[0]
            self._kept = (found, self._clock.monotonic())
            return found


def reader(stores: Mapping[str, Store], login: Login) -> Callable[[], Acting]:
    """A function that reads what acts by `login`. It raises a PluginError."""
    value, handle = login.value, login.handle

    def secret() -> Secret:
        found = _read(stores, value)
        if found is None:
            raise Misconfigured("admin_value_missing")
        return found

    def pair(place: ValueRef) -> Acting:
        """Both parts, of one rotation: an id that is the same before and after the value belongs to it."""
        before = _read(stores, place)
        for _ in range(TRIES):
            found, after = secret(), _read(stores, place)
            if after is None:
                raise Misconfigured("admin_handle_missing")
            if before is not None and after.matches(before):
                return Acting(found, after)
            before = after
        raise Failed("admin_changing", unsent=True)

    if handle is None:
        return lambda: Acting(secret())
    return lambda: pair(handle)


def _read(stores: Mapping[str, Store], ref: ValueRef) -> Secret | None:
    if ref.file is not None:
        return read_value(Path(ref.file))
    return stores[str(ref.store)].fetch(str(ref.path), str(ref.field))
