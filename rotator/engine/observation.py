"""A ledger that was restored: what it says is compared with the world, repaired where a person asks, and worked again
only when a person says so.

Called by the service. While the daemon observes, nothing is opened but the reconciles that are asked for here, and only
those are worked. A run that the copy has open is never simply gone on with: the time that the copy has lost may have
ended it, and its target may be an old value by now; it is abandoned, and what it left is looked at by a reconcile.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from rotator.machine.facts import Facts, RunKind
from rotator.machine.ids import Gen, Label
from rotator.machine.reading import current_known

from .answering import ABANDON, NotLegal, record
from .inspection import Seen
from .inventory import Credential, CredentialId
from .opening import LEASE, LOST, Opener, Order
from .ports import Clock, CredentialRow, Ledger, LedgerError, RunId, RunOpen, RunRow
from .requests import RequestRefused
from .strays import Labels

RESTORED = "restored"
"""The document that `rotator ledger restore` leaves in the file: such a ledger observes, whatever its stores say."""
LOOKED = "looked"
"""The document of one observation: {credential: verdict} and the runs that repair."""
CONFLICT, HELD = 6, 7

MATCH, ENDPOINT_NEWER, STORE_NEWER, UNKNOWN = "match", "endpoint_newer", "store_newer", "unknown"
SAYS: Mapping[str, str] = {
    MATCH: "the store shows the ledger's value, and it works",
    ENDPOINT_NEWER: "the platform has values that this ledger does not know, or refuses the one that the store shows",
    STORE_NEWER: "the store has a value that this ledger does not know",
    UNKNOWN: "it could not be looked at to the end",
}


@dataclass(frozen=True, slots=True)
class Beyond:
    """A live value at a platform with this installation's label."""

    endpoint: str
    principal: str
    label: str
    handle: str


@dataclass(frozen=True, slots=True)
class Compared:
    """What a look found; nothing was changed. `shown`: the generation that the store shows its readers, None if it is
    none that the ledger knows; `absent`: it shows none; `unread`: reasons of what could not be asked; `staged`: numbers
    that the ledger has not given and the store keeps a value under; `beyond`: what bears this installation's label."""

    shown: Gen | None = None
    absent: bool = False
    staged: tuple[int, ...] = ()
    homes: Sequence[Seen] = ()
    beyond: Sequence[Beyond] = ()
    unread: tuple[str, ...] = ()


class Comparer(Protocol):
    """Reads of stores and platforms, through the effects."""

    def compare(self, definition: Credential, facts: Facts, known: Mapping[Gen, str]) -> Compared:
        """`known`: fingerprint by generation. Probes what the store shows, once at each home; changes nothing."""
        ...


class Marking(Protocol):
    """The marks of this ledger in its stores (`daemon.marks`)."""

    def behind(self) -> bool: ...
    def observing(self) -> bool: ...
    def standing(self) -> Mapping[str, Any]: ...
    def renew(self, epoch: str, serials: int) -> None: ...


def verdict(facts: Facts, found: Compared) -> str:
    """One word for a look. What could not be read never makes a match."""
    current = current_known(facts)
    if not found.absent and (found.staged or (found.shown is None and not found.unread)):
        return STORE_NEWER
    if found.beyond or (found.shown is not None and any(one.answer == "rejected" for one in found.homes)):
        return ENDPOINT_NEWER
    alive = bool(found.homes) and all(one.answer == "alive" for one in found.homes)
    if found.unread or found.absent or found.shown != current or not alive:
        return UNKNOWN
    return MATCH


@dataclass(slots=True)
class Looked:
    """What was looked at in this observation, and the runs that repair."""

    verdicts: dict[str, str] = field(default_factory=dict)
    repairs: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Observation:
    """The requests about a restored ledger."""

    ledger: Ledger
    clock: Clock
    opener: Opener
    comparer: Comparer
    labels: Labels
    marks: Marking
    owner: str
    new_id: Callable[[], str]

    def look(self, rows: Sequence[CredentialRow]) -> list[dict[str, Any]]:
        """Compare each with the world. While observing it is noted who was looked at."""
        items = [self._compared(row) for row in rows]
        if self.marks.observing():
            looked = self._looked()
            looked.verdicts |= {one["credential"]: one["verdict"] for one in items}
            self._keep(looked)
        return items

    def repair(self, row: CredentialRow, actor: str, reason: str) -> RunId:
        """A reconcile of this credential, also while observing; a run that the copy has open is abandoned before it.
        Raises RequestRefused, LedgerError, RunOpen, LookupError."""
        if row.adopted_at is None:
            raise RequestRefused("ROT-NOT-ADOPTED", "it is not adopted yet", exit=CONFLICT)
        observing = self.marks.observing()
        if observing:
            if row.open_run is not None and row.open_run not in self._looked().repairs:
                self._abandon(row.open_run, f"{actor}: {reason}")
            self._lost_until_now()
        run = self.opener.open(row.definition.id, Order(RunKind.RECONCILE, actor, reason))
        if observing:
            looked = self._looked()
            looked.repairs.append(run)
            self._keep(looked)
        return run

    def repairs(self) -> frozenset[RunId]:
        """The runs that may be worked while observing."""
        return frozenset(RunId(one) for one in self._looked().repairs)

    def unseen(self) -> list[CredentialId]:
        """Adopted credentials that nobody looked at in this observation."""
        seen = self._looked().verdicts
        rows = self.ledger.credentials()
        return [r.definition.id for r in rows if r.adopted_at is not None and r.definition.id not in seen]

    def end(self, actor: str, reason: str, *, unseen: bool) -> dict[str, Any]:
        """Work again. Every run that the copy has open is abandoned, numbers and serials of the lost time are left out
        for ever, and the epoch changes. Refused while a credential was not looked at, or a store's mark cannot be read,
        unless `unseen`."""
        if not self.marks.observing():
            raise RequestRefused(
                "ROT-NOT-OBSERVING", "the daemon does not observe", exit=CONFLICT, hint="rotator status"
            )
        missing = self.unseen()
        if missing and not unseen:
            some = ", ".join(missing[:5]) + (" …" if len(missing) > 5 else "")
            raise RequestRefused(
                "ROT-UNSEEN", f"not looked at yet: {some} ({len(missing)})", exit=HELD, hint="rotator reconcile --all"
            )
        marks = self.marks.standing()
        silent = sorted(name for name, mark in marks.items() if isinstance(mark, str))
        if silent and not unseen:
            says = f"no mark could be read of store {', '.join(silent)}"
            raise RequestRefused("ROT-MARK-UNREAD", says, exit=HELD, hint="rotator doctor")
        repairs = self.repairs()
        left = [run for run in self.ledger.runs(open_only=True, limit=100_000) if run.id not in repairs]
        for run in left:
            self._abandon(run.id, f"{actor}: {reason}")
        self._lost_until_now()
        epoch = self.new_id()
        self.marks.renew(epoch, max((getattr(mark, "serials", 0) for mark in marks.values()), default=0))
        self._keep(Looked())
        return {"epoch": epoch, "abandoned": [run.id for run in left], "unseen": missing, "unread": silent}

    # -- parts

    def _compared(self, row: CredentialRow) -> dict[str, Any]:
        name, current = row.definition.id, current_known(row.facts)
        head = {"credential": name, "current": current or None, "open_run": row.open_run}
        if row.adopted_at is None:
            empty = {"shown": None, "staged": [], "homes": [], "beyond": [], "unread": ["not_adopted"]}
            return head | {"verdict": UNKNOWN, "says": SAYS[UNKNOWN]} | empty | {"commands": [f"rotator adopt {name}"]}
        found = self._unknown_to_us(self.comparer.compare(row.definition, row.facts, self.ledger.fingerprints(name)))
        word = verdict(row.facts, found)
        repair = f"rotator reconcile --repair {name} --reason TEXT"
        return head | {
            "verdict": word,
            "says": SAYS[word],
            "shown": found.shown,
            "staged": list(found.staged),
            "homes": [{"home": one.home, "answer": one.answer, "reason": one.reason} for one in found.homes],
            "beyond": [
                {"endpoint": b.endpoint, "principal": b.principal, "label": b.label, "handle": b.handle}
                for b in found.beyond
            ],
            "unread": list(found.unread),
            "commands": [] if word == MATCH and row.open_run is None else [repair],
        }

    def _unknown_to_us(self, found: Compared) -> Compared:
        """Of what bears our label, what no intent of this ledger made."""
        beyond: list[Beyond] = []
        for endpoint in sorted({one.endpoint for one in found.beyond}):
            here = [one for one in found.beyond if one.endpoint == endpoint]
            ours = self.labels.makings(endpoint, [Label(one.label) for one in here])
            beyond += [one for one in here if Label(one.label) not in ours]
        return replace(found, beyond=beyond)

    def _lost_until_now(self) -> None:
        """Whatever the ledger knows now may be older than the world: also what was appended to abandon a run. By the
        facts' own numbers too: on PostgreSQL the high-water mark counts rows, and numbers leave gaps. Too late does no
        harm, numbers leap once more."""
        known = [row.facts_sequence for row in self.ledger.credentials()]
        self.ledger.keep_document(LOST, str(max(self.ledger.sequence(), *known, 0)))

    def _abandon(self, run: RunId, actor: str) -> None:
        """End it with things as they are: its open intent stays in the facts and is looked at by the next run."""
        now = self.clock.now()
        try:
            claim = self.ledger.claim(run, now, f"{self.owner}/observe", now + LEASE)
        except LedgerError as error:
            if error.code == "run_ended":
                return
            raise
        if claim is None:
            raise RunOpen(run)
        try:
            record(self.ledger, self.clock, claim, ABANDON, actor)
        except NotLegal:
            return

    def _looked(self) -> Looked:
        kept = json.loads(self.ledger.document(LOOKED) or "{}")
        return Looked(dict(kept.get("verdicts", {})), list(kept.get("repairs", [])))

    def _keep(self, looked: Looked) -> None:
        self.ledger.keep_document(LOOKED, json.dumps({"verdicts": looked.verdicts, "repairs": looked.repairs}))


def workable(run: RunRow, now: int) -> bool:
    """Whether a run that repairs is to be given to a worker now."""
    return run.ended_at is None and not run.owner and run.wake_at is not None and run.wake_at <= now
