"""All codes as one list of entries, and the way from a code to its entry and its place in the runbook.

Read through the package. The words stand in the other files of it, and beside what raises them (settings, machine,
stores, plugin API); the tests compare the list with what the code can give.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from rotator.effects.stores.reasons import REASONS as STORE_REASONS
from rotator.engine import findings
from rotator.machine import reasons as machine
from rotator.plugin_api.errors import RESERVED
from rotator.settings.problems import CODES as CONFIGURATION_CODES

from . import reasons, requests, state

LEDGER = "ledger"


@dataclass(frozen=True, slots=True)
class Entry:
    """One code of one group. `do` may be empty: then the meaning says it."""

    group: str
    code: str
    means: str
    do: str = ""


def entries(plugins: Mapping[str, Mapping[str, str]] | None = None) -> list[Entry]:
    """The whole catalogue, in the order of the runbook. `plugins`: the reasons that each plugin or pack declares."""
    found = list(_written("request", requests.REQUESTS))
    means = dict.fromkeys(requests.CONFIGURATION, "The new configuration is refused.") | dict(CONFIGURATION_CODES)
    found += _said("configuration", means, requests.CONFIGURATION)
    found += _said("reserved", RESERVED, reasons.RESERVED_DO)
    found += _written("raised", reasons.RAISED)
    found += _said("store", STORE_REASONS, {})
    for name, declared in (plugins or {}).items():
        found += _said(f"plugin `{name}`", declared, {})
    found += _said("hold", machine.HOLDS, state.HOLDS)
    found += _said("due", machine.DUE, state.DUE)
    found += _written("schedule", state.SCHEDULE)
    found += _said("wait", machine.WAITS, state.WAITS)
    found += _said("turn", machine.TURNS, state.TURNS)
    found += _said("detail", machine.DETAILS, state.DETAILS)
    found += _said("objection", machine.OBJECTIONS, state.OBJECTIONS)
    for group, words in findings.ALL.items():
        found += _written(group, words)
    found += _written(LEDGER, state.LEDGER)
    found += _written("readiness", state.READINESS)
    return found


def _said(group: str, meanings: Mapping[str, str], do: Mapping[str, str]) -> Iterator[Entry]:
    for code, means in meanings.items():
        yield Entry(group, code, means, do.get(code, ""))


def _written(group: str, words: Mapping[str, tuple[str, str]]) -> Iterator[Entry]:
    for code, (means, do) in words.items():
        yield Entry(group, code, means, do)


def anchor_of(code: str, group: str = "") -> str:
    """`ROT-NOT-FOUND` and the reason `not_found` -> `rot-not-found`: the same for both. Those of the ledger say so."""
    plain = code.lower().replace("_", "-")
    plain = f"ledger-{plain}" if group == LEDGER and not plain.startswith("rot-") else plain
    return plain if plain.startswith(("rot-", "cfg-")) else f"rot-{plain}"


@cache
def _by_anchor() -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for entry in entries():
        found.setdefault(anchor_of(entry.code, entry.group), entry)
    return found


def of(code: str) -> Entry:
    """What a code means, as it is shown (`ROT-…`, `CFG-…`, a reason; of the ledger `ledger_…`). One that the catalogue
    does not have, a plugin's own, comes back with its name in words."""
    known = _by_anchor().get(anchor_of(code))
    return known or Entry("", code, code.replace("_", " "))


def known(code: str) -> bool:
    """Whether the catalogue has it."""
    return anchor_of(code) in _by_anchor()


def place(code: str) -> str:
    """Where the runbook has it."""
    return f"docs/runbook.md#{anchor_of(code)}"
