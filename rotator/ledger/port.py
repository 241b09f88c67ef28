"""The engine's port `Ledger` and its outbox over SQL, the same for every database: which statement answers what.

A database derives its class from `SqlLedger` (`sqlite`, `postgres`) and gives two functions: `_write` runs a function
of a connection in one durable transaction, `_read` in a snapshot. JSON is made in the caller's thread. Must never be
reached by a value of a credential: the types of the port have no place for one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from sqlalchemy import Connection

from rotator.engine.heartbeat import BeatRow
from rotator.engine.inventory import Credential, CredentialId, Pause
from rotator.engine.notices import Notice
from rotator.engine.outbox import ChannelFigures, Delivery, DeliveryState, Tried, Waiting
from rotator.engine.ports import (
    Claim,
    CredentialRow,
    Debt,
    Entry,
    Installation,
    LedgerError,
    Observed,
    RunId,
    RunRow,
)
from rotator.engine.strays import Making
from rotator.machine.events import Event
from rotator.machine.facts import Facts
from rotator.machine.ids import Gen, Home, Label, Millis

from . import beat_queries, inventory, label_queries, outbox, runs, watch_queries
from .budgets import LedgerBudgets
from .leases import Leases
from .rows import Reader, entry, to_text
from .runs import Hold, Passage

T = TypeVar("T")


class SqlLedger:
    """See `rotator.engine.ports.Ledger`. Thread-safe as far as `_write` and `_read` are."""

    def __init__(self, leases: Leases) -> None:
        self._leases = leases
        self._rows = Reader()

    def _write(self, work: Callable[[Connection], T]) -> T:
        """Durable when it returns; LedgerError: nothing was recorded, `outcome_unknown` excepted."""
        raise NotImplementedError

    def _read(self, question: Callable[[Connection], T]) -> T:
        """One snapshot."""
        raise NotImplementedError

    # -- whose it is
    def installation(self) -> Installation | None:
        """Whose ledger this is; None: not founded."""
        return self._read(inventory.read_installation)

    def found(self, installation: Installation) -> None:
        """Raises LedgerError(`other_installation`, `other_epoch`, `other_fingerprint_key`)."""
        self._write(lambda c: inventory.found(c, installation))

    def renew(self, epoch: str) -> None:
        """Raises LedgerError("not_founded")."""
        self._write(lambda c: inventory.renew(c, epoch))

    # -- inventory
    def accept(self, definitions: Sequence[Credential], digests: Mapping[str, str], at: Millis) -> None:
        """Raises LedgerError("duplicate_credential")."""
        texts = {one.id: to_text(one) for one in definitions}
        if len(texts) != len(definitions):
            raise LedgerError("duplicate_credential")
        files = dict(digests)
        self._write(lambda c: inventory.accept(c, texts, files, at))

    def digests(self) -> Mapping[str, str]:
        """Digest by file."""
        return self._read(inventory.read_digests)

    def document(self, name: str) -> str | None:
        """An accepted document's text."""
        return self._read(lambda c: inventory.read_document(c, name))

    def keep_document(self, name: str, text: str) -> None:
        """Write or replace a document."""
        self._write(lambda c: inventory.keep_document(c, name, text))

    def credential(self, credential: CredentialId) -> CredentialRow | None:
        """One credential."""
        rows = self._read(lambda c: inventory.read_credentials(c, credential))
        return self._rows.credential(rows[0]) if rows else None

    def credentials(self) -> Sequence[CredentialRow]:
        """All of them, by name."""
        return [self._rows.credential(row) for row in self._read(inventory.read_credentials)]

    def set_due(self, rows: Sequence[tuple[CredentialId, Millis | None, str]]) -> None:
        """Raises LedgerError("unknown_credential"): then none is written."""
        last = {name: (name, at, why) for name, at, why in rows}
        self._write(lambda c: inventory.set_due(c, list(last.values())))

    def due(self, now: Millis, limit: int) -> Sequence[CredentialId]:
        """By the index `credentials_due` alone."""
        bound = {"now": now, "most": limit}
        names = self._read(lambda c: c.execute(inventory.due_statement(), bound).scalars().all())
        return [CredentialId(name) for name in names]

    def count_due(self, now: Millis) -> int:
        """By the index `credentials_due` alone."""
        return self._read(lambda c: c.execute(inventory.count_due_statement(), {"now": now}).scalar_one())

    def count_opened(self, actor: str, since: Millis) -> int:
        """By the index `runs_newest`."""
        return self._read(lambda c: c.execute(runs.opened_statement(actor, since)).scalar_one())

    def pause(self, credential: CredentialId, pause: Pause | None) -> None:
        """Raises LedgerError("unknown_credential")."""
        self._write(lambda c: inventory.pause(c, credential, pause))

    # -- runs
    def open_run(
        self,
        row: RunRow,
        events: Sequence[Event],
        facts: Facts,
        *,
        claim_by: str,
        lease_until: Millis,
        after: int | None = None,
    ) -> Claim:
        """Raises RunOpen, LedgerError(`unknown_credential`, `run_exists`, `stale_facts`, `no_events`)."""
        passage = self._passage(events, facts, row.opened_at, row.actor, None)
        frozen = (to_text(row.definition), to_text(row.plan))
        lease = self._leases.at(row.opened_at, lease_until)
        return self._write(lambda c: runs.open_run(c, row, frozen, passage, lease, claim_by, after))

    def run(self, run: RunId) -> RunRow | None:
        """One run."""
        row = self._read(lambda c: runs.read_run(c, run))
        return None if row is None else self._rows.run(row)

    def runs(
        self, *, credential: CredentialId | None = None, open_only: bool = False, limit: int = 100
    ) -> Sequence[RunRow]:
        """Newest first."""
        statement = runs.runs_statement(credential, open_only, limit)
        return [self._rows.run(row) for row in self._read(lambda c: c.execute(statement).all())]

    def claim_next(self, now: Millis, owner: str, lease_until: Millis, *, urgent: bool = False) -> Claim | None:
        """The open run that has been due longest and has no live lease, not even one of this owner."""
        lease = self._leases.at(now, lease_until)
        return self._write(lambda c: runs.claim_next(c, lease, owner, urgent=urgent))

    def claim(self, run: RunId, now: Millis, owner: str, lease_until: Millis) -> Claim | None:
        """None: another owner has it. Raises LedgerError(`unknown_run`, `run_ended`)."""
        lease = self._leases.at(now, lease_until)
        return self._write(lambda c: runs.claim(c, run, lease, owner))

    def append(
        self,
        claim: Claim,
        events: Sequence[Event],
        facts: Facts,
        at: Millis,
        *,
        actor: str = "",
        observed: Observed | None = None,
        wake_at: Millis | None = None,
        held_why: str = "",
        lease_until: Millis | None = None,
    ) -> None:
        """`wake_at` and `lease_until` None: as they were. Raises LeaseLost, LedgerError(`run_ended`, `unknown_run`,
        `no_events`)."""
        passage = self._passage(events, facts, at, actor, observed)
        hold = Hold(wake_at, held_why, lease_until)
        self._write(lambda c: runs.append(c, claim, passage, self._leases, hold))

    def release(self, claim: Claim, wake_at: Millis | None, held_why: str) -> None:
        """A wake that came meanwhile still counts. Raises LeaseLost, LedgerError("unknown_run")."""
        self._write(lambda c: runs.release(c, claim, wake_at, held_why))

    def end_leases(self) -> int:
        """How many there were. For the one daemon of a file, at its start, under `guard`."""
        return self._write(runs.end_leases)

    def wake(self, run: RunId, at: Millis) -> None:
        """Never later than it would be worked anyway. Raises LedgerError("unknown_run")."""
        self._write(lambda c: runs.wake(c, run, at))

    def journal(self, run: RunId, after: int = 0) -> Sequence[Entry]:
        """The run's rows beyond `after`, in order."""
        return [entry(row) for row in self._read(lambda c: c.execute(runs.journal_statement(run, after)).all())]

    def sequence(self) -> int:
        """The journal's high-water mark; 0: empty."""
        return self._read(runs.read_sequence)

    def serials(self, count: int) -> int:
        """Raises ValueError for less than one."""
        if count < 1:
            raise ValueError("at least one serial")
        return self._write(lambda c: inventory.serials(c, count))

    def debts(self, credential: CredentialId | None = None) -> Sequence[Debt]:
        """Oldest first."""
        return self._read(lambda c: runs.read_debts(c, credential))

    def makings(self, endpoint: str, labels: Sequence[Label]) -> Mapping[Label, Making]:
        """See `engine.strays.Labels`."""
        return self._read(lambda c: label_queries.makings(c, endpoint, labels))

    def watched(self, now: Millis) -> Sequence[watch_queries.Noticed]:
        """What the watchdog notices, by queries of its own."""
        return self._read(lambda c: watch_queries.watched(c, now))

    # -- heartbeats (`engine.heartbeat.Beats`)
    def beats_due(self, now: Millis, limit: int) -> Sequence[CredentialId]:
        """By the index `heartbeats_due` alone."""
        return self._read(lambda c: beat_queries.due(c, now, limit))

    def beat_of(self, credential: CredentialId) -> BeatRow | None:
        """None: it has no row yet."""
        return self._read(lambda c: beat_queries.one(c, credential))

    def beats_found(self) -> Sequence[BeatRow]:
        """Drifts, oldest first."""
        return self._read(beat_queries.found)

    def beatless(self, limit: int) -> Sequence[CredentialId]:
        """Adopted, managed, without a row."""
        return self._read(lambda c: beat_queries.without(c, limit))

    def keep_beats(self, rows: Sequence[BeatRow]) -> None:
        """One transaction; none for none."""
        if rows:
            self._write(lambda c: beat_queries.keep(c, rows))

    def probes(self, home: Home, since: Millis) -> int:
        """From `since` on, itself included."""
        return self._read(lambda c: c.execute(runs.probes_statement(home, since)).scalar_one())

    # -- the outbox (`engine.outbox.Outbox`)
    def tell(self, notices: Sequence[Notice], *, documents: Mapping[str, str] | None = None) -> int:
        """Those whose key is new, and the documents; one transaction."""
        kept = dict(documents or {})

        def write(connection: Connection) -> int:
            for name, text in kept.items():
                inventory.keep_document(connection, name, text)
            return outbox.tell(connection, notices)

        return self._write(write)

    def unrouted(self, limit: int) -> Sequence[Waiting]:
        """Oldest first."""
        return self._read(lambda c: outbox.unrouted(c, limit))

    def route(self, sequence: int, body: str, to: Sequence[tuple[str, str]], at: Millis) -> None:
        """Once."""
        self._write(lambda c: outbox.route(c, sequence, body, to, at))

    def waiting(self, now: Millis) -> Sequence[str]:
        """By the index `deliveries_waiting` alone."""
        return self._read(lambda c: outbox.waiting(c, now))

    def deliverable(self, now: Millis, channel: str, limit: int) -> Sequence[Delivery]:
        """Oldest first."""
        return self._read(lambda c: outbox.deliverable(c, now, channel, limit))

    def tried(self, outcome: Tried) -> None:
        """Of a delivery that waits."""
        self._write(lambda c: outbox.tried(c, outcome))

    def deliveries(self, state: DeliveryState | None, channel: str, limit: int) -> Sequence[Delivery]:
        """Newest first."""
        return self._read(lambda c: outbox.listed(c, state, channel, limit))

    def resend(self, channel: str, at: Millis) -> int:
        """How many."""
        return self._write(lambda c: outbox.resend(c, channel, at))

    def channels(self) -> Sequence[ChannelFigures]:
        """By name."""
        return self._read(outbox.channels)

    def oldest_unrouted(self) -> Millis | None:
        """When it was made."""
        return self._read(outbox.oldest_unrouted)

    def forget(self, before: Millis) -> int:
        """A thousand at a time."""
        return self._write(lambda c: outbox.forget(c, before))

    # -- fingerprints
    def fingerprint(self, credential: CredentialId, gen: Gen, text: str) -> None:
        """Once for a generation. Raises LedgerError(`other_fingerprint`, `unknown_credential`)."""
        self._write(lambda c: inventory.keep_fingerprint(c, credential, gen, text))

    def fingerprints(self, credential: CredentialId) -> Mapping[Gen, str]:
        """By generation."""
        return self._read(lambda c: inventory.read_fingerprints(c, credential))

    def budgets(self) -> LedgerBudgets:
        """What replicas share of endpoints and stores (`engine.protection.Budgets`)."""
        return LedgerBudgets(self._write, self._read)

    def _passage(
        self, events: Sequence[Event], facts: Facts, at: Millis, actor: str, observed: Observed | None
    ) -> Passage:
        if not events:
            raise LedgerError("no_events")
        return Passage(tuple(events), tuple(map(to_text, events)), facts, to_text(facts), at, actor, observed)
