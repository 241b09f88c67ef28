"""The implementations that the contract suite is run over. A driver opens one ledger, as often as asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rotator.engine.ports import Ledger
from rotator.ledger import open_ledger

Driver = Callable[[], Ledger]
"""Opens the same ledger anew: what was durable is there."""


def sqlite_driver(directory: Path) -> Driver:
    """One SQLite file in `directory`."""
    return lambda: open_ledger(directory / "ledger.db")


DRIVERS: dict[str, Callable[[Path], Driver]] = {"sqlite": sqlite_driver}
