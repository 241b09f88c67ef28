"""What the journal's events mean for the rows that are asked by index. Called by `runs`, in the transaction that
appends; must never be called alone.

Debts come from the machine's own rule over the facts that are written with them: there is no second definition here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from rotator.engine.inventory import CredentialId
from rotator.engine.notices import of_events
from rotator.engine.ports import RunId
from rotator.machine.codec import FORMAT
from rotator.machine.events import Event, Finished, Intended
from rotator.machine.facts import Ending, Facts, RunKind
from rotator.machine.ids import Gen, Home, Millis
from rotator.machine.reading import debts, lapses
from rotator.machine.steps import StepKind

from . import outbox
from .tables import credentials, placements, probes

RENEWS = frozenset({RunKind.ROTATE, RunKind.OVERLAP, RunKind.CONTAIN})
SERVES = frozenset({Ending.SUCCEEDED, Ending.OWED})

Key = tuple[int, str, str]


@dataclass(frozen=True, slots=True)
class Known:
    """The facts after a journal row, and their JSON."""

    sequence: int
    facts: Facts
    text: str


_FACTS = (
    update(credentials)
    .where(credentials.c.id == bindparam("b_id"))
    .values(
        facts=bindparam("b_facts"),
        facts_sequence=bindparam("b_sequence"),
        format=bindparam("b_format"),
        open_run=bindparam("b_open"),
    )
)
_PLACED = select(placements).where(placements.c.credential == bindparam("b_id"))


def project(
    connection: Connection,
    credential: CredentialId,
    run: RunId,
    kind: RunKind,
    events: Sequence[tuple[int, Event]],
    known: Known,
    at: Millis,
) -> None:
    """Facts, placements, probes, the open run, what an ending means for the credential, what somebody is to be told.
    `events` with their journal sequence numbers."""
    ending = next((event.ending for _, event in reversed(events) if isinstance(event, Finished)), None)
    bound = {"b_id": credential, "b_facts": known.text, "b_sequence": known.sequence, "b_format": FORMAT}
    connection.execute(_FACTS, bound | {"b_open": run if ending is None else None})
    here = credentials.c.id == credential
    if ending in SERVES and kind is RunKind.ADOPT:
        connection.execute(update(credentials).where(here).values(adopted_at=at, last_success_at=None))
    elif ending in SERVES and kind in RENEWS:
        connection.execute(update(credentials).where(here).values(last_success_at=at))
    owed = _place(connection, credential, known.facts, at)
    outbox.tell(connection, of_events(credential, run, kind, events, owed, at))
    counted = [
        {"sequence": sequence, "endpoint": event.step.home.endpoint, "principal": event.step.home.principal, "at": at}
        for sequence, event in events
        if isinstance(event, Intended) and event.step.kind is StepKind.PROVE and event.step.home is not None
    ]
    if counted:
        connection.execute(insert(probes), counted)


def _place(connection: Connection, credential: CredentialId, facts: Facts, at: Millis) -> int:
    """Write what differs. How many debts there are."""
    known = {(row.gen, row.endpoint, row.principal): row for row in connection.execute(_PLACED, {"b_id": credential})}
    owed = set(debts(facts))
    again = {(gen, home): until for until, gen, home in lapses(facts)}
    wanted = {_key(gen, home): (gen, home, row.state.value) for (gen, home), row in facts.placements.items()}
    for key, (gen, home, state) in wanted.items():
        old = known.get(key)
        handle = facts.handles.get((gen, home))
        values: dict[str, Any] = {
            "state": state,
            "since": old.since if old is not None and old.state == state else at,
            "owed_since": None,
            "label": facts.labels.get(gen),
            "handle": handle,
        }
        if (gen, home) in owed:
            values["owed_since"] = old.owed_since if old is not None and old.owed_since is not None else at
        elif (gen, home) in again:  # a debt again from then on, whether or not anybody looks at it
            values["owed_since"] = again[gen, home]
        if old is None:
            row = {"credential": credential, "gen": gen, "endpoint": home.endpoint, "principal": home.principal}
            connection.execute(insert(placements).values(row | values))
        elif any(getattr(old, name) != value for name, value in values.items()):
            connection.execute(update(placements).where(*_is(credential, key)).values(values))
    for key in known.keys() - wanted.keys():
        connection.execute(delete(placements).where(*_is(credential, key)))
    return len(owed)


def _key(gen: Gen, home: Home) -> Key:
    return (gen, home.endpoint, home.principal)


def _is(credential: CredentialId, key: Key) -> list[Any]:
    gen, endpoint, principal = key
    return [
        placements.c.credential == credential,
        placements.c.gen == gen,
        placements.c.endpoint == endpoint,
        placements.c.principal == principal,
    ]
