"""Where the ledger stands, learnt without parsing the whole configuration; and what the ledger accepted last.

Called by the bootstrap: with unchanged files the daemon starts from the ledger's own copy and parses no YAML but the
few lines under `daemon:`. A guess: whoever uses it compares digests before believing anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rotator.engine.ports import Ledger
from rotator.settings.documents import parse_document
from rotator.settings.folders import files_of

CONNECTIONS = "configuration"
"""The effective configuration without its credentials: these are rows of the ledger."""
MANAGED = "managed"
SCHEDULED = "scheduled"
"""The digests for which every due time was written: another one means that a start or a reload died half-way."""

_BLOCK = re.compile(r"^daemon:.*\n(?:[ \t#].*\n|\s*\n)*", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the ledger accepted last. Empty: nothing yet."""

    digests: Mapping[str, str] = field(default_factory=dict)
    connections: str = ""
    managed: int = 0


def accepted_of(ledger: Ledger) -> Accepted:
    """What stands in this ledger."""
    managed = ledger.document(MANAGED) or "0"
    return Accepted(ledger.digests(), ledger.document(CONNECTIONS) or "", int(managed))


def ledger_of(config: Path) -> Path | None:
    """The ledger's path if the configuration says it plainly; None: parse all of it."""
    try:
        texts = [one.read_text() for one in files_of(config)]
    except (OSError, UnicodeDecodeError):
        return None
    for text in texts:
        daemon = _daemon(text)
        if isinstance(daemon, dict) and isinstance(daemon.get("ledger"), str):
            return None if "$" in daemon["ledger"] else Path(daemon["ledger"])
    return None


def _daemon(text: str) -> Any:
    if text.lstrip().startswith("{"):  # JSON is YAML
        try:
            return json.loads(text).get("daemon")
        except ValueError:
            return None
    block = _BLOCK.search(text if text.endswith("\n") else f"{text}\n")
    return None if block is None else parse_document("daemon", block[0]).data.get("daemon")
