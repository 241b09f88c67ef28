"""python -m tests.docs: write the generated blocks of docs/. `--check`: write nothing, exit 1 if one is out of date."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from rotator.machine import tables

from . import blocks, configuration, metrics, runbook

Body = Callable[[], str]


def ladder() -> str:
    """The machine's own block, without its markers."""
    return tables.block().removeprefix(tables.BEGIN).strip().removesuffix(tables.END)


BLOCKS: tuple[tuple[str, str, Body], ...] = (
    ("docs/configuration.md", configuration.NAME, configuration.body),
    ("docs/metrics.md", metrics.NAME, metrics.body),
    ("docs/runbook.md", runbook.NAME, runbook.body),
    ("docs/design.md", "ladder", ladder),
)
"""Document, name of its block, what stands in it."""


def stale() -> list[str]:
    """Documents whose block is not what the code says."""
    return [
        name for name, block, body in BLOCKS if blocks.found(blocks.ROOT / name, block) != blocks.block(block, body())
    ]


def main(arguments: list[str]) -> int:
    """Write, or check."""
    if arguments == ["--check"]:
        old = stale()
        sys.stdout.write("".join(f"{name} is out of date: python -m tests.docs\n" for name in old))
        return 1 if old else 0
    for name, block, body in BLOCKS:
        path = Path(blocks.ROOT / name)
        sys.stdout.write(f"{name}: {'written' if blocks.put(path, block, body()) else 'as it was'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
