"""Statements about runs and their journal. Called by `sqlite`: writes with the writer's connection, reads with a
reader's. Nothing here begins or ends a transaction.

Whoever writes into a run names its fencing number in the same statement; a claim makes it higher. So a worker whose
lease ran out, in whichever process, changes nothing any more from the moment at which another has claimed.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    bindparam,
    case,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from rotator.engine.inventory import CredentialId
from rotator.engine.ports import Claim, Debt, LeaseLost, LedgerError, Observed, RunId, RunOpen, RunRow
from rotator.machine.codec import FORMAT
from rotator.machine.events import Answered, AnswerKind, Event, Finished
from rotator.machine.facts import Facts, RunKind, State
from rotator.machine.ids import Gen, Handle, Home, Label, Millis

from .leases import Lease, Leases
from .projections import Known, project
from .rows import AnyRow, to_text
from .tables import counters, credentials, fingerprints, journal, placements, probes, runs

URGENT = frozenset({RunKind.OVERLAP, RunKind.CONTAIN, RunKind.RETIRE})
"""What is claimed before all others; a run that is told to contain is, too."""


@dataclass(frozen=True, slots=True)
class Passage:
    """What one append brings. Texts are JSON of the same, made by the caller's thread: the writer only writes."""

    events: Sequence[Event]
    texts: Sequence[str]
    facts: Facts
    facts_text: str
    at: Millis
    actor: str = ""
    observed: Observed | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """What an append makes of the run beside its events. None: as it was."""

    wake_at: Millis | None
    why: str
    lease_until: Millis | None


# The statements of every append are built once (also `Leases.hold`): building one costs more than running it.
_ENTRY = insert(journal)
_COUNT = (
    update(counters)
    .where(counters.c.name == bindparam("b_shard"))
    .values(value=counters.c.value + bindparam("b_rows", type_=BigInteger()))
)
SHARDS = 16
"""Counters of the journal on PostgreSQL: one would make all commits wait for each other."""
_LAST = update(runs).where(runs.c.id == bindparam("b_run")).values(last_sequence=bindparam("b_last"))


def open_run(
    connection: Connection, row: RunRow, frozen: tuple[str, str], passage: Passage, lease: Lease, claim_by: str,
    after: int | None,
) -> Claim:  # fmt: skip
    """Insert the run, claimed, with its first events. `frozen`: definition and plan as JSON; `after`: what the facts
    were read at. Raises RunOpen, LedgerError (`unknown_credential`, `run_exists`, `stale_facts`)."""
    here = credentials.c.id == row.credential
    if connection.execute(select(credentials.c.id).where(here)).one_or_none() is None:
        raise LedgerError("unknown_credential")
    definition, plan = frozen
    values = {
        "id": row.id,
        "credential": row.credential,
        "kind": row.kind.value,
        "format": FORMAT,
        "definition": definition,
        "plan": plan,
        "actor": row.actor,
        "reason": row.reason,
        "campaign": row.campaign,
        "opened_at": row.opened_at,
        "wake_at": row.wake_at,
        "held_why": row.held_why,
        "owner": claim_by,
        "fence": 1,
        "lease_until": lease.until,
        "last_sequence": 0,
        "urgent": int(row.kind in URGENT),
    }
    try:
        with connection.begin_nested():  # PostgreSQL forgets a whole transaction for one refused row
            until = connection.execute(insert(runs).values(values).returning(runs.c.lease_until)).scalar_one()
    except IntegrityError:
        there = select(runs.c.id).where(runs.c.credential == row.credential, runs.c.ended_at.is_(None))
        other = connection.execute(there).scalar_one_or_none()
        if other is None or other == row.id:
            raise LedgerError("run_exists") from None
        raise RunOpen(RunId(other)) from None
    # Only now: until the row was in, another run of the credential could end. From here on nobody else writes facts.
    facts_at = connection.execute(select(credentials.c.facts_sequence).where(here)).scalar_one()
    if after is not None and facts_at != after:
        raise LedgerError("stale_facts")
    claim = Claim(row.id, 1, until)
    _write(connection, claim, row.credential, row.kind, passage)
    return claim


def append(connection: Connection, claim: Claim, passage: Passage, leases: Leases, hold: Hold) -> None:
    """Append events and facts. Raises LeaseLost, LedgerError (`unknown_run`, `run_ended`)."""
    bound = {"b_run": claim.run, "b_fence": claim.fence, "b_why": hold.why, "b_wake": hold.wake_at}
    bound["b_lease"] = leases.extended(hold.lease_until)
    run = connection.execute(leases.hold, bound).one_or_none()
    if run is None:
        raise _why_not(connection, claim)
    _write(connection, claim, CredentialId(run.credential), RunKind(run.kind), passage)


def _write(connection: Connection, claim: Claim, credential: CredentialId, kind: RunKind, passage: Passage) -> None:
    numbered = []
    last = len(passage.events) - 1
    for index, (event, text) in enumerate(zip(passage.events, passage.texts, strict=True)):
        row = {
            "run": claim.run,
            "at": passage.at,
            "fence": claim.fence,
            "actor": passage.actor,
            "format": FORMAT,
            "event": text,
            "observed": None if passage.observed is None or index < last else to_text(passage.observed),
        }
        result = connection.execute(_ENTRY, row)
        assert result.inserted_primary_key is not None
        numbered.append((int(result.inserted_primary_key[0]), event))
    connection.execute(_LAST, {"b_run": claim.run, "b_last": numbered[-1][0]})
    if any(isinstance(event, Answered) and event.kind is AnswerKind.CONTAIN_NOW for event in passage.events):
        connection.execute(update(runs).where(runs.c.id == claim.run).values(urgent=1))
    ending = next((event.ending for event in passage.events if isinstance(event, Finished)), None)
    if ending is not None:
        values: dict[str, Any] = {"ended_at": passage.at, "ending": ending.value, "owner": "", "held_why": ""}
        values |= {"lease_until": None, "wake_at": None, "woken_at": None}
        connection.execute(update(runs).where(runs.c.id == claim.run).values(values))
    known = Known(numbered[-1][0], passage.facts, passage.facts_text)
    project(connection, credential, claim.run, kind, numbered, known, passage.at)
    _note_fingerprint(connection, credential, passage.observed)
    _count(connection, claim.run, len(numbered))


def _note_fingerprint(connection: Connection, credential: CredentialId, observed: Observed | None) -> None:
    """The first fingerprint of a generation stays: what was seen later stands in the journal."""
    if observed is None or observed.gen is None or not observed.fingerprint:
        return
    here = (fingerprints.c.credential == credential, fingerprints.c.gen == observed.gen)
    if connection.execute(select(fingerprints.c.gen).where(*here)).one_or_none() is None:
        row = {"credential": credential, "gen": observed.gen, "text": observed.fingerprint}
        connection.execute(insert(fingerprints).values(row))


def opened_statement(actor: str, since: Millis) -> Select[int]:
    """How many runs an actor opened since then, itself included."""
    return select(func.count()).select_from(runs).where(runs.c.opened_at >= since, runs.c.actor == actor)


def claim_next(connection: Connection, lease: Lease, owner: str, *, urgent: bool = False) -> Claim | None:
    """Claim the open run that has been due longest, an emergency before all others; with `urgent` only such. Each lane
    is one statement: what another is claiming at this moment is passed over (SKIP LOCKED), never waited for."""
    first = _claimed(connection, runs.c.id == next_statement(lease.now, urgent=True).scalar_subquery(), lease, owner)
    if first is not None or urgent:
        return first
    return _claimed(connection, runs.c.id == next_statement(lease.now).scalar_subquery(), lease, owner)


def next_statement(now: ColumnElement[int] | None = None, *, urgent: bool = False) -> Select[str]:
    """Which run is claimed next; with `urgent` which emergency. Without `now` it is a parameter of this name."""
    lane = (runs.c.urgent == literal_column("1"),) if urgent else ()  # literal: a partial index is for this text
    at: ColumnElement[int] = bindparam("now") if now is None else now
    return (
        select(runs.c.id)
        .where(*lane, runs.c.ended_at.is_(None), runs.c.wake_at <= at, _free(at))
        .order_by(runs.c.wake_at, runs.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )


def _free(now: ColumnElement[int]) -> ColumnElement[bool]:
    return or_(runs.c.lease_until.is_(None), runs.c.lease_until <= now)


def claim(connection: Connection, run: RunId, lease: Lease, owner: str) -> Claim | None:
    """Claim one run, also one that is not due. Raises LedgerError (`unknown_run`, `run_ended`)."""
    mine = (runs.c.id == run) & or_(_free(lease.now), runs.c.owner == owner)
    got = _claimed(connection, mine, lease, owner)
    if got is None:
        row = connection.execute(select(runs.c.ended_at).where(runs.c.id == run)).one_or_none()
        if row is None:
            raise LedgerError("unknown_run")
        if row.ended_at is not None:
            raise LedgerError("run_ended")
    return got


def _claimed(connection: Connection, which: ColumnElement[bool], lease: Lease, owner: str) -> Claim | None:
    # The worker reads everything anew after this: a wake up to now has been heard, a later one has not.
    woken = case((runs.c.woken_at <= lease.now, None), else_=runs.c.woken_at)
    statement = (
        update(runs)
        .where(which, runs.c.ended_at.is_(None))
        .values(fence=runs.c.fence + 1, owner=owner, lease_until=lease.until, woken_at=woken)
        .returning(runs.c.id, runs.c.fence, runs.c.lease_until)
    )
    row = connection.execute(statement).one_or_none()
    return None if row is None else Claim(RunId(row.id), row.fence, row.lease_until)


def release(connection: Connection, claim: Claim, wake_at: Millis | None, held_why: str) -> None:
    """Give the run back. A wake that came meanwhile is minded: the earlier of the two counts. Giving back a run that
    ended under this claim changes nothing. Raises LeaseLost, LedgerError("unknown_run")."""
    woken = runs.c.woken_at
    later = woken if wake_at is None else case((woken.is_(None), wake_at), (woken < wake_at, woken), else_=wake_at)
    values = {"wake_at": later, "woken_at": None, "held_why": held_why, "owner": "", "lease_until": None}
    done = connection.execute(update(runs).where(*_mine(claim)).values(values))
    if done.rowcount == 0:
        refused = _why_not(connection, claim)
        if refused.code != "run_ended":
            raise refused


def end_leases(connection: Connection) -> int:
    """Every lease ends: whoever had one is dead. A claim raises the fence, so a survivor could append nothing."""
    held = (runs.c.ended_at.is_(None), runs.c.owner != "")
    return connection.execute(update(runs).where(*held).values(owner="", lease_until=None)).rowcount


def wake(connection: Connection, run: RunId, at: Millis) -> None:
    """Work the run at `at` at the latest. Nothing for an ended run. Raises LedgerError("unknown_run")."""
    sooner = case((or_(runs.c.wake_at.is_(None), runs.c.wake_at > at), at), else_=runs.c.wake_at)
    noted = case((runs.c.owner == "", None), (runs.c.woken_at < at, runs.c.woken_at), else_=at)
    here = (runs.c.id == run, runs.c.ended_at.is_(None))
    done = connection.execute(update(runs).where(*here).values(wake_at=sooner, woken_at=noted))
    if done.rowcount == 0 and connection.execute(select(runs.c.id).where(runs.c.id == run)).one_or_none() is None:
        raise LedgerError("unknown_run")


def _mine(claim: Claim) -> tuple[Any, ...]:
    return (runs.c.id == claim.run, runs.c.fence == claim.fence, runs.c.ended_at.is_(None))


def _why_not(connection: Connection, claim: Claim) -> LedgerError:
    row = connection.execute(select(runs.c.fence, runs.c.ended_at).where(runs.c.id == claim.run)).one_or_none()
    if row is None:
        return LedgerError("unknown_run")
    return LeaseLost() if row.fence != claim.fence else LedgerError("run_ended")


def read_run(connection: Connection, run: RunId) -> AnyRow | None:
    """One run."""
    return connection.execute(select(runs).where(runs.c.id == run)).one_or_none()


def runs_statement(credential: CredentialId | None, open_only: bool, limit: int) -> Select[*tuple[Any, ...]]:
    """Newest first."""
    statement = select(runs).order_by(runs.c.opened_at.desc(), runs.c.id.desc()).limit(limit)
    if credential is not None:
        statement = statement.where(runs.c.credential == credential)
    if open_only:
        statement = statement.where(runs.c.ended_at.is_(None))
    return statement


def journal_statement(run: RunId, after: int) -> Select[*tuple[Any, ...]]:
    """Rows of the run with a higher sequence, in order."""
    return select(journal).where(journal.c.run == run, journal.c.sequence > after).order_by(journal.c.sequence)


def read_sequence(connection: Connection) -> int:
    """The journal's high-water mark; 0 for an empty journal."""
    if connection.dialect.name == "postgresql":
        counted = select(func.coalesce(func.sum(counters.c.value), 0)).where(counters.c.name.like("journal/%"))
        return int(connection.execute(counted).scalar_one())
    return int(connection.execute(select(func.coalesce(func.max(journal.c.sequence), 0))).scalar_one())


def _count(connection: Connection, run: RunId, rows: int) -> None:
    """PostgreSQL gives numbers before it commits: 100 may be there and 99 not yet, so the highest number would say of a
    copy that it is whole. Rows that are there are counted instead, in shards, last in a transaction."""
    if connection.dialect.name == "postgresql":
        shard = f"journal/{zlib.crc32(run.encode()) % SHARDS:02}"
        connection.execute(_COUNT, {"b_shard": shard, "b_rows": rows})


def debts_statement(only: CredentialId | None) -> Select[*tuple[Any, ...]]:
    """Placements that are owed, oldest first."""
    order = (placements.c.owed_since, placements.c.credential, placements.c.gen)
    statement = select(placements).where(placements.c.owed_since.is_not(None)).order_by(*order)
    return statement if only is None else statement.where(placements.c.credential == only)


def read_debts(connection: Connection, only: CredentialId | None) -> Sequence[Debt]:
    """Every debt, or those of one credential."""
    return [
        Debt(
            credential=CredentialId(row.credential),
            gen=Gen(row.gen),
            home=Home(row.endpoint, row.principal),
            state=State(row.state),
            since=row.owed_since,
            label=None if row.label is None else Label(row.label),
            handle=None if row.handle is None else Handle(row.handle),
        )
        for row in connection.execute(debts_statement(only))
    ]


def probes_statement(home: Home, since: Millis) -> Select[int]:
    """How many negative probes of the home from `since` on."""
    here = (probes.c.endpoint == home.endpoint, probes.c.principal == home.principal, probes.c.at >= since)
    return select(func.count()).select_from(probes).where(*here)
