"""The catalogue part of docs/runbook.md: one row a code, with an anchor, what it means and what to do.

`entries` is the whole catalogue as data; the tests compare it with what the code can give (`codes`).
"""

from __future__ import annotations

from dataclasses import dataclass

from rotator.daemon import advice
from rotator.daemon.advice import Entry, anchor_of

from .blocks import table
from .codes import declared

NAME = "codes"


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
    "stray": Group("What bears a label at a platform", "`rotator strays`; see [strays](strays.md)."),
    "not taken": Group("Why a stray was not taken up", "`rotator strays ENDPOINT --apply`."),
    "drift": Group("What a heartbeat found", "`rotator explain ID`, `rotator status`; see [drift](strays.md#drift)."),
    "ledger": Group("The ledger", "At the start (`the ledger cannot be used: …`), in the log, as `ROT-LEDGER-…`."),
    "readiness": Group("Health", "The body of `/livez` and `/readyz`."),
}  # fmt: skip


def entries() -> list[Entry]:
    """The whole catalogue, with what the plugins declare, in the order of the document."""
    return advice.entries(declared())


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
                anchor = anchor_of(entry.code, entry.group)
                mark = "" if anchor in taken else f'<a id="{anchor}"></a>'
                taken.add(anchor)
                rows.append((f"{mark}`{entry.code}`", _sentence(entry.means), entry.do or "–"))
        parts.append(f"### {title}\n\n{seen}\n\n{table(('code', 'means', 'do'), rows)}")
    return "\n\n".join(parts)


def _sentence(text: str) -> str:
    text = text[0].upper() + text[1:]
    return text if text.endswith((".", "?")) else f"{text}."
