"""Rows to dataclasses and back, through the machine's codec. Used by every file of statements in this room.

A row of a newer FORMAT is `newer_schema`; one that does not fit its type is `damaged`. Frozen objects that were read
once are kept by their text, so a hundred thousand definitions are not parsed at every question.
"""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import replace
from typing import Any, Final, TypeAlias

from sqlalchemy import Row

from rotator.engine.inventory import Credential, CredentialId, Pause, Policy
from rotator.engine.ports import CredentialRow, Entry, LedgerError, Observed, RunId, RunRow
from rotator.machine.codec import FORMAT, NotPlain, from_plain, to_plain
from rotator.machine.events import Event
from rotator.machine.facts import Ending, Facts, RunKind
from rotator.machine.plan import Plan

AnyRow: TypeAlias = Row[*tuple[Any, ...]]

KEPT_DEFINITIONS: Final = 200_000
KEPT_FACTS: Final = 20_000


def to_text(value: Any) -> str:
    """JSON of a value that the codec knows: the same value gives the same text."""
    return json.dumps(to_plain(value), separators=(",", ":"), ensure_ascii=False)


def from_text(kind: Any, text: str, fmt: int = FORMAT) -> Any:
    """The inverse of `to_text`. Raises LedgerError."""
    if fmt > FORMAT:
        raise LedgerError("newer_schema")
    try:
        return from_plain(kind, json.loads(text))
    except (NotPlain, ValueError):
        raise LedgerError("damaged") from None


BLANK: Final = Facts()
NO_FACTS: Final = to_text(BLANK)


class Texts:
    """What each name's text said when it was last read, known again by a digest. Thread-safe; forgets the oldest beyond
    `limit`. Equal parts (a policy that thousands have) are kept once."""

    def __init__(self, kind: type[Any], limit: int) -> None:
        self._kind, self._limit = kind, limit
        self._known: dict[str, tuple[bytes, Any]] = {}
        self._policies: dict[Policy, Policy] = {}
        self._lock = threading.Lock()

    def read(self, name: str, text: str, fmt: int) -> Any:
        """The value of `text`; `name` is whose it is: only the last text of each is kept."""
        mark = hashlib.blake2b(text.encode(), digest_size=16).digest()
        known = self._known.get(name)
        if known is not None and known[0] == mark and fmt <= FORMAT:
            return known[1]
        value = from_text(self._kind, text, fmt)
        if isinstance(value, Credential):
            value = replace(value, policy=self._policies.setdefault(value.policy, value.policy))
        with self._lock:
            if len(self._known) >= self._limit and name not in self._known:
                self._known.pop(next(iter(self._known)))
            self._known[name] = (mark, value)
        return value


class Reader:
    """Reads rows of one ledger."""

    def __init__(self) -> None:
        self._definitions = Texts(Credential, KEPT_DEFINITIONS)
        self._facts = Texts(Facts, KEPT_FACTS)

    def credential(self, row: AnyRow) -> CredentialRow:
        """A row of `credentials`."""
        plain = row.facts == NO_FACTS and row.format <= FORMAT
        return CredentialRow(
            definition=self._definitions.read(row.id, row.definition, row.format),
            facts=BLANK if plain else self._facts.read(row.id, row.facts, row.format),
            managed=bool(row.managed),
            adopted_at=row.adopted_at,
            last_success_at=row.last_success_at,
            next_due_at=row.next_due_at,
            due_why=row.due_why,
            pause=None if row.pause is None else from_text(Pause, row.pause, row.format),
            open_run=None if row.open_run is None else RunId(row.open_run),
            facts_sequence=row.facts_sequence,
        )

    def run(self, row: AnyRow) -> RunRow:
        """A row of `runs`."""
        return RunRow(
            id=RunId(row.id),
            credential=CredentialId(row.credential),
            kind=RunKind(row.kind),
            definition=self._definitions.read(row.credential, row.definition, row.format),
            plan=from_text(Plan, row.plan, row.format),
            actor=row.actor,
            reason=row.reason,
            campaign=row.campaign,
            opened_at=row.opened_at,
            ended_at=row.ended_at,
            ending=None if row.ending is None else Ending(row.ending),
            wake_at=row.wake_at,
            held_why=row.held_why,
            owner=row.owner,
            fence=row.fence,
        )


def entry(row: AnyRow) -> Entry:
    """A row of `journal`."""
    return Entry(
        sequence=row.sequence,
        run=RunId(row.run),
        at=row.at,
        fence=row.fence,
        actor=row.actor,
        event=from_text(Event, row.event, row.format),
        observed=None if row.observed is None else from_text(Observed, row.observed, row.format),
    )
