"""What the watchdog sees: overdue, stuck, uncertain, undead, unowned, read from the tables by queries of its own.

Called through the ledger's `watched` by `daemon.watchdog`. It shares nothing with the path that opens, works and ends
runs: no projection, no codec, no facts, no schedule, so that a bug there cannot hide what it leaves. JSON is read as
plain JSON. Portable SQL, read only. Instants are milliseconds since the epoch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, func, select

from .tables import credentials, journal, placements, runs

CONDITIONS: Final = {
    "overdue": "a credential should have been rotated by now, and no run of it is open",
    "stuck": "a run is open, waits for nobody, and its journal stands still beyond its own waits",
    "uncertain": "a run waits for a person",
    "undead": "an old value is not proven dead",
    "unowned": "a value may be alive that nobody answers for: no longer configured, or its need has expired",
}
"""Each condition in words."""
NEVER_AGAIN: Final = frozenset({"retired", "contained", "unmanaged", "removed", "not_adopted"})
"""Reasons for which a credential rightly has no next time."""
BURIED: Final = frozenset({"dead", "accepted"})
"""Placements that nobody need answer for; every other state may be alive."""
GRACE: Final = 900_000
"""So late may anything be before it is noticed: a tick, a worker, a lease, a back-off take their time."""


@dataclass(frozen=True, slots=True)
class Noticed:
    """One thing that is not as it should be. `since`: from when on it has been so; `why`: a slug within the
    condition."""

    condition: str
    why: str
    subject: str
    since: int


def watched(connection: Connection, now: int) -> tuple[Noticed, ...]:
    """Everything that is noticed at `now`."""
    return tuple(
        one
        for look in (_overdue, _stuck, _uncertain, _undead, _left_behind, _expired)
        for one in look(connection, now)
        if one.since <= now
    )


_C = credentials.c


def _overdue(connection: Connection, now: int) -> Iterator[Noticed]:
    """Due by its row and not opened; without a next time though nothing ended it; or older than twice its own interval,
    whatever its row says. What somebody paused is late on purpose."""
    columns = (_C.id, _C.definition, _C.adopted_at, _C.last_success_at, _C.next_due_at, _C.due_why)
    here = (_C.managed == 1, _C.adopted_at.is_not(None), _C.open_run.is_(None), _C.pause.is_(None))
    late = select(*columns).where(*here)
    for row in connection.execute(late):
        renewed = max(row.adopted_at, row.last_success_at or 0)
        if row.next_due_at is None:
            if row.due_why not in NEVER_AGAIN:
                yield Noticed("overdue", "no_next_time", row.id, renewed)
            continue
        if row.next_due_at + GRACE < now:
            yield Noticed("overdue", "not_opened", row.id, row.next_due_at)
            continue
        policy = _part(row.definition, "policy")
        every = _part(policy.get("schedule"), "").get("every") if policy else None
        if isinstance(every, int) and renewed + 2 * every + GRACE < now and _part(policy, "pause") == {}:
            yield Noticed("overdue", "too_old", row.id, renewed + every)


def _stuck(connection: Connection, now: int) -> Iterator[Noticed]:
    """Nothing was written for long, though the run's own wait is over or it names none."""
    last = select(func.max(journal.c.at)).where(journal.c.run == runs.c.id).scalar_subquery()
    columns = (runs.c.id, runs.c.opened_at, runs.c.wake_at, runs.c.held_why, last.label("last"))
    for row in connection.execute(select(*columns).where(runs.c.ended_at.is_(None))):
        if row.wake_at is None and row.held_why:
            continue  # it waits for a person, or for the end of what a person set
        since = max(row.opened_at, row.last or 0, row.wake_at or 0)
        if since + GRACE < now:
            yield Noticed("stuck", "no_progress", row.id, since)


def _uncertain(connection: Connection, now: int) -> Iterator[Noticed]:
    last = select(func.max(journal.c.at)).where(journal.c.run == runs.c.id).scalar_subquery()
    waits = (runs.c.ended_at.is_(None), runs.c.held_why == "waiting_for_you")
    for row in connection.execute(select(runs.c.id, runs.c.opened_at, last.label("last")).where(*waits)):
        yield Noticed("uncertain", "waits_for_a_person", row.id, row.last or row.opened_at)


def _undead(connection: Connection, now: int) -> Iterator[Noticed]:
    """Counted from the placements themselves: also where nobody called it a debt though it was revoked."""
    p = placements.c
    columns = (p.credential, p.gen, p.endpoint, p.principal, p.state, p.since, p.owed_since)
    for row in connection.execute(select(*columns).where(p.state.not_in(BURIED))):
        if row.owed_since is not None:
            yield Noticed(
                "undead", "debt", f"{row.credential} g{row.gen} {row.principal}@{row.endpoint}", row.owed_since
            )
        elif row.state in ("gone", "lingers") and row.since + GRACE < now:
            yield Noticed("undead", "no_debt", f"{row.credential} g{row.gen} {row.principal}@{row.endpoint}", row.since)


def _left_behind(connection: Connection, now: int) -> Iterator[Noticed]:
    p = placements.c
    statement = (
        select(_C.id, func.min(p.since).label("since"))
        .join(placements, p.credential == _C.id)
        .where(_C.managed == 0, p.state.not_in(BURIED))
        .group_by(_C.id)
    )
    for row in connection.execute(statement):
        yield Noticed("unowned", "not_configured", row.id, row.since)


def _expired(connection: Connection, now: int) -> Iterator[Noticed]:
    for row in connection.execute(
        select(_C.id, _C.definition, _C.adopted_at).where(
            _C.managed == 1, _C.adopted_at.is_not(None), _C.due_why != "retired"
        )
    ):
        definition = _part(row.definition, "")
        expires = definition.get("expires")
        if isinstance(expires, int) and expires <= now:
            yield Noticed("unowned", "expired", row.id, expires)
        if not str(definition.get("owner") or "").strip():
            yield Noticed("unowned", "no_owner", row.id, row.adopted_at)


def _part(text: Any, name: str) -> dict[str, Any]:
    """An object of a JSON text or of an object already read, or of its member `name`; empty where there is none."""
    try:
        whole = json.loads(text) if isinstance(text, str) else text
    except ValueError:
        return {}
    found = whole.get(name) if name and isinstance(whole, dict) else whole
    return found if isinstance(found, dict) else {}
