"""Paths of secrets: what is a proper one, and where our own staged values and marks stand.

Called by the store logic and by `check`. A path that a server would rewrite (`a//b`, `a/../b`) is refused, or two
credentials could meet in one secret without knowing it.
"""

from __future__ import annotations

import re
from typing import Final

from rotator.plugin_api import Misconfigured

from .contract import Slot

OURS: Final = "rotator"
"""The first segment of everything that the daemon keeps for itself in a store."""

_INSTALLATION: Final = re.compile(r"[a-z0-9-]{1,12}")
_SEGMENT: Final = re.compile(r"[^/\x00-\x1f\x7f]+")


def normal(path: str) -> bool:
    """Whether every segment is non-empty, is not "." or "..", and has no control character or edge space."""
    return all(
        _SEGMENT.fullmatch(part) and part not in {".", ".."} and part == part.strip() for part in path.split("/")
    )


def secret_path(path: str) -> str:
    """The path itself; Misconfigured("store_path_unnormalised" | "store_path_reserved") if it may not be used."""
    if not normal(path):
        raise Misconfigured("store_path_unnormalised")
    if path.split("/", 1)[0] == OURS:
        raise Misconfigured("store_path_reserved")
    return path


class Places:
    """Our own paths in one store: `rotator/<installation>/...`."""

    __slots__ = ("folder",)

    def __init__(self, installation: str) -> None:
        if not _INSTALLATION.fullmatch(installation):
            raise Misconfigured("store_installation")
        self.folder: Final = f"{OURS}/{installation}"

    def stages(self, slot: Slot) -> str:
        """The folder of a credential's staged values."""
        if not normal(slot.credential) or "/" in slot.credential or slot.credential.startswith("_"):
            raise Misconfigured("store_path_unnormalised")
        return f"{self.folder}/{slot.credential}"

    def stage(self, slot: Slot, generation: int) -> str:
        """The path of one staged value."""
        if generation < 0:
            raise ValueError("generations are numbered from 0")
        return f"{self.stages(slot)}/g{generation}"

    @property
    def mark(self) -> str:
        """The path of the ledger's high-water mark; no credential's name begins with an underscore."""
        return f"{self.folder}/_mark"

    @property
    def sync(self) -> str:
        """A path whose metadata is written to learn the newest index of a cluster; it never has a value."""
        return f"{self.folder}/_sync"
