"""What the store logic needs below it: numbered versions of small maps, with compare-and-set (the form of Vault KV v2).

`keyvalue.KeyValueStore` is written against these protocols once; `vault_kv` and `local` implement them. A shelf never
decides, and never sends a write twice unless its compare-and-set makes that harmless.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from .content import Content


class Clock(Protocol):
    """The time port: `now` in milliseconds since the epoch, `monotonic` and `sleep` in seconds."""

    def now(self) -> int: ...

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One version of a path. `content` is None if it was deleted or destroyed; the number still counts for cas."""

    version: int
    content: Content | None


class Shelf(Protocol):
    """One call's view of the versions; it has the call's deadline and raises the errors of the plugin API."""

    def sync(self) -> None:
        """Make what follows in this call see everything that was written before it. No effect on secrets."""
        ...

    def read(self, path: str, version: int = 0) -> Entry | None:
        """A version, 0 for the newest; None: it never existed or is kept no more."""
        ...

    def write(self, path: str, content: Content, cas: int) -> int | None:
        """Write if the newest version is `cas` (0: no version yet). The new version, or None: surely refused for its
        version, confirmed by a consistent read. A lost answer is resolved by resending the same compare-and-set once;
        what cannot be resolved is OutcomeUnknown."""
        ...

    def kept(self, path: str) -> tuple[int, ...]:
        """The numbers of the versions that are not destroyed, ascending; empty if there are none."""
        ...

    def destroy(self, path: str, versions: Sequence[int]) -> None:
        """Destroy the content of these versions for good and confirm it; their numbers stay. Again is done."""
        ...

    def drop(self, path: str) -> None:
        """Remove a path with all its versions and numbers. Again is done."""
        ...

    def names(self, folder: str) -> tuple[str, ...]:
        """The names directly under a folder; those that are folders end in "/"."""
        ...


class Room(Protocol):
    """Where shelves come from."""

    def shelf(self) -> Shelf:
        """A view for one call; its deadline starts now."""
        ...

    def close(self) -> None:
        """Release what is held."""
        ...
