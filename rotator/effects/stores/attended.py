"""A store whose calls are heard: whether it answers is told to whoever decides if it may be called at all.

Made by `daemon.world` around each store that runs use. It changes no call and no answer, and it tells nothing but that
the store answered, failed or asked to wait.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from rotator.engine.protection import Heard, Listener, Target
from rotator.plugin_api import Failed, OutcomeUnknown, PluginError, Secret

from .contract import Current, ForeignError, Mark, Promoted, Slot, Store, Version

T = TypeVar("T")
FAILING: Final = frozenset(
    {
        "connection_lost", "incomplete_answer", "server_error", "store_disk", "store_full", "store_no_leader",
        "store_not_ready", "store_sealed", "store_uninitialised", "unreachable", "unrecognised_answer",
    }
)  # fmt: skip
"""Reasons that say something of the whole store, not of one secret in it."""


class Attended:
    """Implements `Store` by another one."""

    def __init__(self, store: Store, target: Target, listener: Listener) -> None:
        self._store, self._target, self._listener = store, target, listener

    def check(self, slot: Slot) -> tuple[str, ...]:
        """See `Store`."""
        return self._told(lambda: self._store.check(slot))

    def current(self, slot: Slot) -> Current:
        """See `Store`."""
        return self._told(lambda: self._store.current(slot))

    def read(self, slot: Slot, generation: int) -> Secret | None:
        """See `Store`."""
        return self._told(lambda: self._store.read(slot, generation))

    def stage(self, slot: Slot, generation: int, value: Secret) -> None:
        """See `Store`."""
        self._told(lambda: self._store.stage(slot, generation, value))

    def stage_current(self, slot: Slot, generation: int) -> None:
        """See `Store`."""
        self._told(lambda: self._store.stage_current(slot, generation))

    def promote(self, slot: Slot, generation: int, fields: Mapping[str, str], expected: Version) -> Promoted:
        """See `Store`."""
        return self._told(lambda: self._store.promote(slot, generation, fields, expected))

    def finalize(self, slot: Slot, generation: int, *, keep_versions: bool = False) -> None:
        """See `Store`."""
        self._told(lambda: self._store.finalize(slot, generation, keep_versions=keep_versions))

    def clear(self, slot: Slot) -> None:
        """See `Store`."""
        self._told(lambda: self._store.clear(slot))

    def forget(self, slot: Slot, generation: int) -> None:
        """See `Store`."""
        self._told(lambda: self._store.forget(slot, generation))

    def fetch(self, path: str, name: str) -> Secret | None:
        """See `Store`."""
        return self._told(lambda: self._store.fetch(path, name))

    def deposit(self, path: str, name: str, value: Secret, fields: Mapping[str, str], *, replace: bool) -> Version:
        """See `Store`."""
        return self._told(lambda: self._store.deposit(path, name, value, fields, replace=replace))

    def mark(self, mark: Mark) -> None:
        """See `Store`."""
        self._told(lambda: self._store.mark(mark))

    def read_mark(self) -> Mark | None:
        """See `Store`."""
        return self._told(self._store.read_mark)

    def close(self) -> None:
        """See `Store`."""
        self._store.close()

    def _told(self, call: Callable[[], T]) -> T:
        try:
            answer = call()
        except PluginError as error:
            wait = None if error.retry_after is None else int(error.retry_after.total_seconds() * 1000)
            self._listener.heard(self._target, heard_in(error), wait=wait)
            raise
        except ForeignError:
            self._listener.heard(self._target, Heard.WELL)
            raise
        self._listener.heard(self._target, Heard.WELL)
        return answer


def heard_in(error: PluginError) -> Heard:
    """What an error says of the store as a whole. A refused login is asked of a person by each run as it is."""
    if error.reason == "throttled":
        return Heard.THROTTLED
    if not isinstance(error, Failed | OutcomeUnknown):
        return Heard.NOTHING
    failing = error.reason in FAILING or (error.reason == "deadline" and not error.unsent)
    return Heard.FAILING if failing else Heard.NOTHING
