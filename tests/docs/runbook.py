"""The catalogue part of docs/runbook.md: one row a code, with an anchor, what it means and what to do.

`entries` is the whole catalogue as data; the tests compare it with what the code can give (`codes`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rotator.effects.stores.reasons import REASONS as STORE_REASONS
from rotator.machine import reasons as machine
from rotator.plugin_api.errors import RESERVED
from rotator.settings.problems import CODES as CONFIGURATION_CODES

from . import words_reasons, words_requests, words_state
from .blocks import table
from .codes import declared

NAME = "codes"


@dataclass(frozen=True, slots=True)
class Entry:
    """One code of one group. `do` may be empty: then the meaning says it."""

    group: str
    code: str
    means: str
    do: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """A table of the catalogue: its heading and a sentence on where its codes are seen."""

    title: str
    seen: str


GROUPS: dict[str, Group] = {
    "request": Group("Requests and the daemon's start: `ROT-…`", "In brackets at the end of an error line."),
    "configuration": Group(
        "Configuration: `CFG-…`",
        "Said with file, line and column by `rotator config validate PATH`, at the daemon's start and at a reload.",
    ),
    "reserved": Group(
        "Reasons that every plugin may give",
        "In brackets behind a step in `rotator runs show RUN`; as `ROT-…` when it refuses `adopt` or `admin set`.",
    ),
    "raised": Group("The daemon's own reasons", "In the same places, and when the daemon does not start."),
    "store": Group("Stores", "In the same places, in `rotator plan ID`, and when the daemon does not start."),
    "hold": Group("What holds a step back", "`held` in `rotator runs show RUN`, `rotator explain ID`."),
    "due": Group("Why a run opens, or does not", "The first line of `rotator explain ID`."),
    "schedule": Group("Why the next time is what it is", "The column WHY of `rotator status`."),
    "wait": Group("What a run waits for", "`rotator runs show RUN`."),
    "turn": Group("Why a run turns", "In brackets in the journal: `now advance (leg_done)`. A turn back is named by "
                  "the step and the question that it spares you, as in `verify_refused`."),
    "detail": Group("Why a question is asked", "`because` in the question."),
    "objection": Group("Why a kind cannot be worked with", "In words of `CFG-TRAITS`, and in the log."),
    "ledger": Group("The ledger", "At the start (`the ledger cannot be used: …`), in the log, as `ROT-LEDGER-…`."),
    "readiness": Group("Health", "The body of `/livez` and `/readyz`."),
}  # fmt: skip


def _said(group: str, meanings: Mapping[str, str], do: Mapping[str, str]) -> Iterator[Entry]:
    for code, means in meanings.items():
        yield Entry(group, code, means, do.get(code, ""))


def _written(group: str, words: Mapping[str, tuple[str, str]]) -> Iterator[Entry]:
    for code, (means, do) in words.items():
        yield Entry(group, code, means, do)


def entries() -> list[Entry]:
    """The whole catalogue, in the order of the document."""
    found = list(_written("request", words_requests.REQUESTS))
    means = dict.fromkeys(words_requests.CONFIGURATION, "The new configuration is refused.") | dict(CONFIGURATION_CODES)
    found += _said("configuration", means, words_requests.CONFIGURATION)
    found += _said("reserved", RESERVED, words_reasons.RESERVED_DO)
    found += _written("raised", words_reasons.RAISED)
    found += _said("store", STORE_REASONS, {})
    for name, reasons in declared().items():
        found += _said(f"plugin `{name}`", reasons, {})
    found += _said("hold", machine.HOLDS, words_state.HOLDS)
    found += _said("due", machine.DUE, words_state.DUE)
    found += _written("schedule", words_state.SCHEDULE)
    found += _said("wait", machine.WAITS, words_state.WAITS)
    found += _said("turn", machine.TURNS, words_state.TURNS)
    found += _said("detail", machine.DETAILS, words_state.DETAILS)
    found += _said("objection", machine.OBJECTIONS, words_state.OBJECTIONS)
    found += _written("ledger", words_state.LEDGER)
    found += _written("readiness", words_state.READINESS)
    return found


def anchor_of(code: str) -> str:
    """`ROT-NOT-FOUND` and the reason `not_found` -> `rot-not-found`: the command line prints the same for both."""
    plain = code.lower().replace("_", "-")
    return plain if plain.startswith(("rot-", "cfg-")) else f"rot-{plain}"


def body() -> str:
    """The Markdown of the block."""
    everything, taken, parts = entries(), set[str](), []
    for group in dict.fromkeys(entry.group for entry in everything):
        known = GROUPS.get(group)
        title = group.capitalize() if known is None else known.title
        seen = "In brackets behind a step in `rotator runs show RUN`." if known is None else known.seen
        rows = []
        for entry in everything:
            if entry.group == group:
                anchor = anchor_of(f"ledger-{entry.code}" if group == "ledger" else entry.code)
                mark = "" if anchor in taken else f'<a id="{anchor}"></a>'
                taken.add(anchor)
                rows.append((f"{mark}`{entry.code}`", _sentence(entry.means), entry.do or "–"))
        parts.append(f"### {title}\n\n{seen}\n\n{table(('code', 'means', 'do'), rows)}")
    return "\n\n".join(parts)


def _sentence(text: str) -> str:
    text = text[0].upper() + text[1:]
    return text if text.endswith((".", "?")) else f"{text}."
