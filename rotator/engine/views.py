"""Rows of the ledger as JSON-able data for people and programs: references and reason codes, never a value.

Pure. Called by `service`; the shapes are promised in `docs/api.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rotator.machine.events import Outcome
from rotator.machine.facts import Ending, Facts, State
from rotator.machine.holds import FOREVER
from rotator.machine.ids import Gen, Millis
from rotator.machine.reading import current_known

from .ports import CredentialRow, Debt, Entry, Observed, RunRow

EXIT_BY_ENDING: Mapping[Ending, int] = {
    Ending.SUCCEEDED: 0,
    Ending.ROLLED_BACK: 11,
    Ending.ABANDONED: 12,
    Ending.CONTAINED: 14,
    Ending.OWED: 15,
}
EXIT_WAITING = 12


def instant(at: Millis | None) -> str | None:
    """RFC 3339 in UTC with milliseconds; None for none, and for "until somebody acts"."""
    if at is None or at >= FOREVER:
        return None
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def credential_view(row: CredentialRow, debts: int) -> dict[str, Any]:
    """One line of the inventory."""
    one = row.definition
    return {
        "id": one.id,
        "owner": one.owner,
        "purpose": one.purpose,
        "workflows": list(one.workflows),
        "tier": one.tier.value,
        "expires": instant(one.expires),
        "policy": one.policy.name,
        "labels": dict(one.labels),
        "managed": row.managed,
        "adopted": instant(row.adopted_at),
        "last_success": instant(row.last_success_at),
        "due": instant(row.next_due_at),
        "why": row.due_why,
        "paused": None
        if row.pause is None
        else {"by": row.pause.by, "reason": row.pause.reason, "until": instant(row.pause.until)},
        "open_run": row.open_run,
        "current": current_known(row.facts) or None,
        "debts": debts,
    }


def debt_view(debt: Debt, fingerprint: str) -> dict[str, Any]:
    """One debt."""
    return {
        "credential": debt.credential,
        "gen": debt.gen,
        "home": str(debt.home),
        "state": "maybe" if debt.state is State.ACCEPTED else debt.state.value,
        "since": instant(debt.since),
        "label": debt.label,
        "handle": debt.handle,
        "fingerprint": fingerprint,
    }


def observed_view(seen: Observed | None) -> dict[str, Any] | None:
    """What was seen beside an outcome."""
    if seen is None:
        return None
    return {
        "gen": seen.gen,
        "home": None if seen.home is None else str(seen.home),
        "refusal": seen.refusal,
        "status": seen.status,
        "grade": None if seen.grade is None else int(seen.grade),
        "control": seen.control,
        "identity": seen.identity,
        "fingerprint": seen.fingerprint,
    }


def event_view(entry: Entry, says: str, display: str) -> dict[str, Any]:
    """One journal row."""
    return {
        "sequence": entry.sequence,
        "run": entry.run,
        "at": instant(entry.at),
        "actor": entry.actor,
        "event": type(entry.event).__name__.lower(),
        "outcome": entry.event.kind.value if isinstance(entry.event, Outcome) else None,
        "says": says,
        "display": display,
        "observed": observed_view(entry.observed),
    }


def generations_view(facts: Facts, fingerprints: Mapping[Gen, str]) -> list[dict[str, Any]]:
    """Every value ever numbered: where it is, what is known of it."""
    numbers = sorted(set(facts.homes) | {gen for gen, _ in facts.placements} | set(facts.stored))
    return [
        {
            "gen": gen,
            "label": facts.labels.get(gen),
            "current": gen in facts.current,
            "kept": gen in facts.kept,
            "doomed": gen in facts.doomed,
            "filler": gen in facts.fillers,
            "fingerprint": fingerprints.get(gen, ""),
            "homes": [
                {
                    "home": str(home),
                    "state": row.state.value,
                    "alive": instant(row.alive_at),
                    "gone": instant(row.gone_at),
                    "rejections": row.rejections,
                    "grade": None if row.grade is None else int(row.grade),
                    "handle": facts.handles.get((gen, home)),
                }
                for (other, home), row in sorted(facts.placements.items(), key=lambda item: str(item[0]))
                if other == gen
            ],
        }
        for gen in numbers
    ]


def run_exit(run: RunRow, facts: Facts) -> int | None:
    """The exit code of a run that has ended or waits for a person; None while it works."""
    if run.ending is not None:
        return EXIT_BY_ENDING[run.ending]
    if run.ended_at is None and facts.question is not None:
        return EXIT_WAITING
    return None
