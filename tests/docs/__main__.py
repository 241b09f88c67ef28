"""python -m tests.docs: write the generated blocks of docs/ and the schema of the configuration that editors use.

`--check`: write nothing, exit 1 if something is out of date.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from rotator.daemon.offline import plugin_parts
from rotator.machine import tables
from rotator.settings import schema

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


SCHEMA = f"config/schema/{schema.FILE}"


def schema_text() -> str:
    """What `rotator config schema --draft 07` prints where the shipped plugins are installed, and no others."""
    return json.dumps(schema.schema(plugin_parts(), "07"), indent=2, ensure_ascii=False) + "\n"


def stale() -> list[str]:
    """Documents whose block is not what the code says; the schema."""
    old = [
        name for name, block, body in BLOCKS if blocks.found(blocks.ROOT / name, block) != blocks.block(block, body())
    ]
    file = blocks.ROOT / SCHEMA
    return old if file.exists() and file.read_text(encoding="utf-8") == schema_text() else [*old, SCHEMA]


def main(arguments: list[str]) -> int:
    """Write, or check."""
    if arguments == ["--check"]:
        old = stale()
        sys.stdout.write("".join(f"{name} is out of date: python -m tests.docs\n" for name in old))
        return 1 if old else 0
    for name, block, body in BLOCKS:
        path = Path(blocks.ROOT / name)
        sys.stdout.write(f"{name}: {'written' if blocks.put(path, block, body()) else 'as it was'}\n")
    (blocks.ROOT / SCHEMA).parent.mkdir(exist_ok=True)
    (blocks.ROOT / SCHEMA).write_text(schema_text(), encoding="utf-8")
    sys.stdout.write(f"{SCHEMA}: written\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
