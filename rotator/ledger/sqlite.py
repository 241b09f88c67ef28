"""The ledger on SQLite: the engine's port `Ledger`, tied to a file. Opened by the daemon's bootstrap.

Every write is an item of the one writer's next commit; every read is one consistent snapshot on a connection of its
own. JSON is made in the caller's thread, so the writer only writes. Must never be reached by a value of a credential:
the types of the port have no place for one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy import Connection, Engine

from rotator.engine.inventory import Credential, CredentialId, Pause
from rotator.engine.notices import Notice
from rotator.engine.outbox import ChannelFigures, Delivery, DeliveryState, Tried, Waiting
from rotator.engine.ports import (
    Claim,
    Clock,
    CredentialRow,
    Debt,
    Entry,
    Installation,
    LedgerError,
    Observed,
    RunId,
    RunRow,
)
from rotator.machine.events import Event
from rotator.machine.facts import Facts
from rotator.machine.ids import Gen, Home, Millis

from . import inventory, outbox, runs
from .backup import copy_to
from .failures import translated
from .guard import guarded
from .opening import connected, open_engines, resolve
from .rows import Reader, entry, to_text
from .runs import Passage
from .writer import Writer, WriterFigures

T = TypeVar("T")

BUSY: Final[Millis] = 10_000
"""How long another process may hold the write lock before a write is refused as `locked`."""


def open_ledger(path: Path, clock: Clock | None = None, *, busy: Millis = BUSY) -> SqliteLedger:
    """Open, make or migrate the ledger at `path`. `clock` stamps migrations only.

    Raises LedgerError: `missing_directory`, `read_only`, `disk_full`, `locked`, `damaged` (no database),
    `not_a_ledger` (somebody else's database), `newer_schema`, `unavailable`. Then the file is as it was.
    """
    real = resolve(path)
    writer, reader = open_engines(real, None if clock is None else clock.now(), busy_ms=busy)
    return SqliteLedger(real, writer, reader)


class SqliteLedger:
    """Implements `rotator.engine.ports.Ledger`. Thread-safe; two processes on one file do each other no harm."""

    def __init__(self, path: Path, writer: Engine, reader: Engine) -> None:
        self.path = path
        self._engines = (writer, reader)
        self._reader = reader
        self._writer = Writer(writer)
        self._rows = Reader()
        self._closed = False

    # -- the file
    def guard(self) -> AbstractContextManager[None]:
        """Hold the right to be the daemon of this file. Raises LedgerError("second_daemon")."""
        return guarded(self.path)

    def backup(self, path_to: Path) -> None:
        """A consistent copy, made while everything goes on. Raises LedgerError(`backup_exists`, `disk_full` ...)."""
        self._refuse_closed()
        copy_to(self._reader, path_to)

    def figures(self) -> WriterFigures:
        """What the writer did since the opening."""
        return self._writer.figures

    def close(self) -> None:
        """Finish what is queued and let the file go. May be called twice."""
        self._writer.close()
        self._closed = True
        for engine in self._engines:
            engine.dispose()

    # -- whose it is
    def installation(self) -> Installation | None:
        """Whose ledger this is; None: not founded."""
        return self._read(inventory.read_installation)

    def found(self, installation: Installation) -> None:
        """Raises LedgerError(`other_installation`, `other_epoch`, `other_fingerprint_key`)."""
        self._writer.do(lambda c: inventory.found(c, installation))

    # -- inventory
    def accept(self, definitions: Sequence[Credential], digests: Mapping[str, str], at: Millis) -> None:
        """Raises LedgerError("duplicate_credential")."""
        texts = {one.id: to_text(one) for one in definitions}
        if len(texts) != len(definitions):
            raise LedgerError("duplicate_credential")
        files = dict(digests)
        self._writer.do(lambda c: inventory.accept(c, texts, files, at))

    def digests(self) -> Mapping[str, str]:
        """Digest by file."""
        return self._read(inventory.read_digests)

    def document(self, name: str) -> str | None:
        """An accepted document's text."""
        return self._read(lambda c: inventory.read_document(c, name))

    def keep_document(self, name: str, text: str) -> None:
        """Write or replace a document."""
        self._writer.do(lambda c: inventory.keep_document(c, name, text))

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
        self._writer.do(lambda c: inventory.set_due(c, list(last.values())))

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
        self._writer.do(lambda c: inventory.pause(c, credential, pause))

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
        claim = Claim(row.id, 1, lease_until)
        self._writer.do(lambda c: runs.open_run(c, row, frozen, passage, claim, claim_by, after))
        return claim

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

    def claim_next(self, now: Millis, owner: str, lease_until: Millis) -> Claim | None:
        """The open run that has been due longest and has no live lease, not even one of this owner."""
        return self._writer.do(lambda c: runs.claim_next(c, now, owner, lease_until))

    def claim(self, run: RunId, now: Millis, owner: str, lease_until: Millis) -> Claim | None:
        """None: another owner has it. Raises LedgerError(`unknown_run`, `run_ended`)."""
        return self._writer.do(lambda c: runs.claim(c, run, now, owner, lease_until))

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
        self._writer.do(
            lambda c: runs.append(c, claim, passage, wake_at=wake_at, held_why=held_why, lease_until=lease_until)
        )

    def release(self, claim: Claim, wake_at: Millis | None, held_why: str) -> None:
        """A wake that came meanwhile still counts. Raises LeaseLost, LedgerError("unknown_run")."""
        self._writer.do(lambda c: runs.release(c, claim, wake_at, held_why))

    def end_leases(self) -> int:
        """How many there were. For the one daemon of a file, at its start, under `guard`."""
        return self._writer.do(runs.end_leases)

    def wake(self, run: RunId, at: Millis) -> None:
        """Never later than it would be worked anyway. Raises LedgerError("unknown_run")."""
        self._writer.do(lambda c: runs.wake(c, run, at))

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
        return self._writer.do(lambda c: inventory.serials(c, count))

    def debts(self, credential: CredentialId | None = None) -> Sequence[Debt]:
        """Oldest first."""
        return self._read(lambda c: runs.read_debts(c, credential))

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

        return self._writer.do(write)

    def unrouted(self, limit: int) -> Sequence[Waiting]:
        """Oldest first."""
        return self._read(lambda c: outbox.unrouted(c, limit))

    def route(self, sequence: int, body: str, to: Sequence[tuple[str, str]], at: Millis) -> None:
        """Once."""
        self._writer.do(lambda c: outbox.route(c, sequence, body, to, at))

    def waiting(self, now: Millis) -> Sequence[str]:
        """By the index `deliveries_waiting` alone."""
        return self._read(lambda c: outbox.waiting(c, now))

    def deliverable(self, now: Millis, channel: str, limit: int) -> Sequence[Delivery]:
        """Oldest first."""
        return self._read(lambda c: outbox.deliverable(c, now, channel, limit))

    def tried(self, outcome: Tried) -> None:
        """Of a delivery that waits."""
        self._writer.do(lambda c: outbox.tried(c, outcome))

    def deliveries(self, state: DeliveryState | None, channel: str, limit: int) -> Sequence[Delivery]:
        """Newest first."""
        return self._read(lambda c: outbox.listed(c, state, channel, limit))

    def resend(self, channel: str, at: Millis) -> int:
        """How many."""
        return self._writer.do(lambda c: outbox.resend(c, channel, at))

    def channels(self) -> Sequence[ChannelFigures]:
        """By name."""
        return self._read(outbox.channels)

    def oldest_unrouted(self) -> Millis | None:
        """When it was made."""
        return self._read(outbox.oldest_unrouted)

    def forget(self, before: Millis) -> int:
        """A thousand at a time."""
        return self._writer.do(lambda c: outbox.forget(c, before))

    # -- fingerprints
    def fingerprint(self, credential: CredentialId, gen: Gen, text: str) -> None:
        """Once for a generation. Raises LedgerError(`other_fingerprint`, `unknown_credential`)."""
        self._writer.do(lambda c: inventory.keep_fingerprint(c, credential, gen, text))

    def fingerprints(self, credential: CredentialId) -> Mapping[Gen, str]:
        """By generation."""
        return self._read(lambda c: inventory.read_fingerprints(c, credential))

    def _passage(
        self, events: Sequence[Event], facts: Facts, at: Millis, actor: str, observed: Observed | None
    ) -> Passage:
        if not events:
            raise LedgerError("no_events")
        return Passage(tuple(events), tuple(map(to_text, events)), facts, to_text(facts), at, actor, observed)

    def _read(self, question: Callable[[Connection], T]) -> T:
        self._refuse_closed()
        with translated(), connected(self._reader) as connection, connection.begin():
            return question(connection)

    def _refuse_closed(self) -> None:
        if self._closed:
            raise LedgerError("closed")
