"""One screen: what is due, open, waiting for a person, owed, frozen, braked, left behind. Pure, of rows already read.

Called by `enquiries`; the shape is promised in `docs/api.md`. `unmanaged` lists what the configuration no longer names
and what may still be alive: it stays there until it is named again, or retired.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rotator.machine.facts import OWED
from rotator.machine.ids import Millis

from .brake import Braking
from .freezes import Freeze, begins, ends
from .ports import CredentialRow
from .protection import SAYS, Standing
from .selectors import matches
from .views import instant

SOON = 5


def left_alive(row: CredentialRow) -> bool:
    """Whether the configuration no longer names it though a value of it may be alive."""
    return not row.managed and any(one.state in OWED for one in row.facts.placements.values())


def counts(
    rows: Sequence[CredentialRow], open_runs: Sequence[Mapping[str, Any]], debts: Sequence[Any], now: Millis
) -> dict[str, int]:
    """How many of each."""
    ready = (row for row in rows if row.managed and row.adopted_at is not None and row.open_run is None)
    return {
        "managed": sum(row.managed for row in rows),
        "unmanaged": sum(left_alive(row) for row in rows),
        "adopted": sum(row.adopted_at is not None for row in rows),
        "due": sum(row.next_due_at is not None and row.next_due_at <= now for row in ready),
        "paused": sum(row.pause is not None for row in rows),
        "open_runs": len(open_runs),
        "waiting": sum(run["question"] is not None for run in open_runs),
        "debts": len(debts),
    }


def coming(rows: Sequence[CredentialRow]) -> list[dict[str, Any]]:
    """What is due next."""
    waits = (row for row in rows if row.next_due_at is not None and row.open_run is None)
    first = sorted(waits, key=lambda row: row.next_due_at or 0)[:SOON]
    return [{"credential": row.definition.id, "due": instant(row.next_due_at), "why": row.due_why} for row in first]


def unmanaged(rows: Sequence[CredentialRow]) -> list[dict[str, Any]]:
    """What was left behind, and the two ways out."""
    return [
        {
            "credential": row.definition.id,
            "owner": row.definition.owner,
            "values": sum(one.state in OWED for one in row.facts.placements.values()),
            "open_run": row.open_run,
            "command": f"rotator retire --only id={row.definition.id}",
        }
        for row in rows
        if left_alive(row)
    ]


def braking_view(state: Braking | None, per_hour: int) -> dict[str, Any] | None:
    """The present mass; None: there is none."""
    if state is None:
        return None
    return {
        "since": instant(state.since), "due": state.due, "per_hour": per_hour, "released": instant(state.released_at),
        "by": state.by, "reason": state.reason,
    }  # fmt: skip


def standing_view(one: Standing) -> dict[str, Any]:
    """An endpoint or store that is left alone."""
    return {
        "sort": one.target.sort, "name": one.target.name, "why": one.reason, "says": SAYS[one.reason],
        "failures": one.failures, "since": instant(one.since), "until": instant(one.held_until),
    }  # fmt: skip


def freeze_view(freeze: Freeze, rows: Sequence[CredentialRow], now: Millis) -> dict[str, Any]:
    """One freeze: whether it is in force, until when, when it begins next, and whom it means."""
    meant = [row for row in rows if row.managed and matches(freeze.only, row.definition)]
    until = ends(freeze, now)
    return {
        "id": freeze.id, "reason": freeze.reason, "zone": freeze.zone, "in_force": until is not None,
        "until": instant(until), "begins": instant(begins(freeze, now)), "except": sorted(freeze.passes),
        "credentials": len(meant),
    }  # fmt: skip
