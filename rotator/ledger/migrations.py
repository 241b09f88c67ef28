"""How the ledger's file came to its present schema: numbered steps, each one transaction. Called by `opening`.

A released step is never changed: older files have it behind them. It is frozen SQL text and must not look at `tables`,
which moves on. To change the schema: append a step, change `tables`, let the test that compares them pass, and add a
file of the version before to tests/contract/ledger. A step may only add what the last release can live without, or
rewrite rows here; the journal is never rewritten.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection

from rotator.engine.ports import LedgerError
from rotator.machine.codec import FORMAT

APPLICATION_ID: Final = 0x526F7461
"""Stands in the file's header: "Rota"."""

_FIRST: Final = (
    "CREATE TABLE schema_version (version INTEGER PRIMARY KEY, applied_at INTEGER)",
    """CREATE TABLE installation (
        id INTEGER PRIMARY KEY CHECK (id = 1), name TEXT NOT NULL, epoch TEXT NOT NULL,
        fingerprint_check TEXT NOT NULL)""",
    "CREATE TABLE counters (name TEXT PRIMARY KEY NOT NULL, value INTEGER NOT NULL)",
    "INSERT INTO counters (name, value) VALUES ('serial', 0), ('format', 0)",
    "CREATE TABLE documents (name TEXT PRIMARY KEY NOT NULL, text TEXT NOT NULL)",
    "CREATE TABLE digests (file TEXT PRIMARY KEY NOT NULL, digest TEXT NOT NULL)",
    """CREATE TABLE credentials (
        id TEXT PRIMARY KEY NOT NULL, format INTEGER NOT NULL, definition TEXT NOT NULL, facts TEXT NOT NULL,
        facts_sequence INTEGER NOT NULL, managed INTEGER NOT NULL CHECK (managed IN (0, 1)), adopted_at INTEGER,
        last_success_at INTEGER, next_due_at INTEGER, due_why TEXT NOT NULL, pause TEXT, open_run TEXT)""",
    """CREATE INDEX credentials_due ON credentials (next_due_at, id)
        WHERE managed = 1 AND adopted_at IS NOT NULL AND open_run IS NULL AND next_due_at IS NOT NULL""",
    """CREATE TABLE runs (
        id TEXT PRIMARY KEY NOT NULL, credential TEXT NOT NULL REFERENCES credentials (id), kind TEXT NOT NULL,
        format INTEGER NOT NULL, definition TEXT NOT NULL, plan TEXT NOT NULL, actor TEXT NOT NULL,
        reason TEXT NOT NULL, campaign TEXT NOT NULL, opened_at INTEGER NOT NULL, ended_at INTEGER, ending TEXT,
        wake_at INTEGER, held_why TEXT NOT NULL, owner TEXT NOT NULL, fence INTEGER NOT NULL,
        lease_until INTEGER, last_sequence INTEGER NOT NULL, CHECK ((ended_at IS NULL) = (ending IS NULL)))""",
    "CREATE UNIQUE INDEX runs_one_open ON runs (credential) WHERE ended_at IS NULL",
    "CREATE INDEX runs_wake ON runs (wake_at, id) WHERE ended_at IS NULL",
    "CREATE INDEX runs_of_credential ON runs (credential, opened_at, id)",
    """CREATE TABLE journal (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL REFERENCES runs (id), at INTEGER NOT NULL,
        fence INTEGER NOT NULL, actor TEXT NOT NULL, format INTEGER NOT NULL, event TEXT NOT NULL, observed TEXT)""",
    "CREATE INDEX journal_of_run ON journal (run, sequence)",
    """CREATE TRIGGER journal_no_update BEFORE UPDATE ON journal
        BEGIN SELECT RAISE(ABORT, 'append_only'); END""",
    """CREATE TRIGGER journal_no_delete BEFORE DELETE ON journal
        BEGIN SELECT RAISE(ABORT, 'append_only'); END""",
    """CREATE TABLE placements (
        credential TEXT NOT NULL REFERENCES credentials (id), gen INTEGER NOT NULL, endpoint TEXT NOT NULL,
        principal TEXT NOT NULL, state TEXT NOT NULL, since INTEGER NOT NULL, owed_since INTEGER, label TEXT,
        handle TEXT, PRIMARY KEY (credential, gen, endpoint, principal)) WITHOUT ROWID""",
    "CREATE INDEX placements_owed ON placements (owed_since) WHERE owed_since IS NOT NULL",
    """CREATE TABLE probes (
        sequence INTEGER PRIMARY KEY, endpoint TEXT NOT NULL, principal TEXT NOT NULL, at INTEGER NOT NULL)""",
    "CREATE INDEX probes_of_home ON probes (endpoint, principal, at)",
    """CREATE TABLE fingerprints (
        credential TEXT NOT NULL REFERENCES credentials (id), gen INTEGER NOT NULL, text TEXT NOT NULL,
        PRIMARY KEY (credential, gen)) WITHOUT ROWID""",
)

_WOKEN: Final = (
    # A wake that came while a worker had the run was lost when the worker gave it back with a later time.
    "ALTER TABLE runs ADD COLUMN woken_at INTEGER",
    # Newest runs first, over all credentials: was a sort of the whole table.
    "CREATE INDEX runs_newest ON runs (opened_at, id)",
)

_OUTBOX: Final = (
    # Who is told of what: written with the event, delivered when it can be.
    """CREATE TABLE notices (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, event TEXT NOT NULL, at INTEGER NOT NULL,
        credential TEXT, run TEXT NOT NULL, about TEXT NOT NULL, facts TEXT NOT NULL, routed_at INTEGER, body TEXT,
        CHECK ((routed_at IS NULL) = (body IS NULL)))""",
    "CREATE UNIQUE INDEX notices_key ON notices (key)",
    "CREATE INDEX notices_unrouted ON notices (sequence) WHERE routed_at IS NULL",
    "CREATE INDEX notices_routed ON notices (routed_at) WHERE routed_at IS NOT NULL",
    """CREATE TABLE deliveries (
        id INTEGER PRIMARY KEY AUTOINCREMENT, notice INTEGER NOT NULL REFERENCES notices (sequence),
        channel TEXT NOT NULL, route TEXT NOT NULL, state TEXT NOT NULL CHECK (state IN ('waiting', 'sent', 'dead')),
        attempts INTEGER NOT NULL, first_at INTEGER NOT NULL, next_at INTEGER, last_at INTEGER, code TEXT NOT NULL)""",
    "CREATE UNIQUE INDEX deliveries_once ON deliveries (notice, channel)",
    "CREATE INDEX deliveries_waiting ON deliveries (channel, id, next_at) WHERE state = 'waiting'",
    "CREATE INDEX deliveries_of_channel ON deliveries (channel, state)",
)

_PROTECTION: Final = (
    # What replicas share of endpoints and stores: tokens, breakers, what a platform asked to wait.
    """CREATE TABLE budgets (
        sort TEXT NOT NULL, name TEXT NOT NULL, full_us INTEGER NOT NULL, why TEXT NOT NULL, failures INTEGER NOT NULL,
        since INTEGER, until INTEGER, opened INTEGER NOT NULL, probing_until INTEGER, wait_until INTEGER,
        PRIMARY KEY (sort, name)) WITHOUT ROWID""",
    # What was seen of what serves, between rotations.
    """CREATE TABLE heartbeats (
        credential TEXT PRIMARY KEY NOT NULL REFERENCES credentials (id), next_at INTEGER NOT NULL, at INTEGER,
        finding TEXT NOT NULL, since INTEGER, place TEXT NOT NULL, reason TEXT NOT NULL) WITHOUT ROWID""",
    "CREATE INDEX heartbeats_due ON heartbeats (next_at, credential)",
    # Emergencies are claimed before everything else.
    "ALTER TABLE runs ADD COLUMN urgent INTEGER NOT NULL DEFAULT 0",
    "UPDATE runs SET urgent = 1 WHERE ended_at IS NULL AND kind IN ('overlap', 'contain', 'retire')",
    "CREATE INDEX runs_urgent ON runs (wake_at, id) WHERE ended_at IS NULL AND urgent = 1",
)

STEPS: Final[Sequence[tuple[str, ...]]] = (_FIRST, _WOKEN, _OUTBOX, _PROTECTION)
"""Migration n is STEPS[n - 1]."""

SCHEMA_VERSION: Final = len(STEPS)


def version_of(connection: Connection) -> int:
    """The file's schema version; 0 for an empty file. Changes nothing. Raises LedgerError: `not_a_ledger` for a
    database of somebody else, `newer_schema` for one that a later release wrote (schema, or FORMAT of its rows)."""
    marked = connection.exec_driver_sql("PRAGMA application_id").scalar_one()
    tables = {name for (name,) in connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables and marked == 0:
        return 0
    if marked != APPLICATION_ID or "schema_version" not in tables:
        raise LedgerError("not_a_ledger")
    version = int(connection.exec_driver_sql("SELECT max(version) FROM schema_version").scalar_one() or 0)
    if version > SCHEMA_VERSION:
        raise LedgerError("newer_schema")
    written = connection.exec_driver_sql("SELECT value FROM counters WHERE name = 'format'").scalar_one()
    if int(written) > FORMAT:
        raise LedgerError("newer_schema")
    return version


def step_once(connection: Connection, at: int | None, upto: int = SCHEMA_VERSION) -> bool:
    """Apply the next step in the open transaction; False if there is none. Another process may have been quicker."""
    version = version_of(connection)
    if version >= upto:
        return False
    for statement in STEPS[version]:
        connection.exec_driver_sql(statement)
    if version == 0:
        connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.exec_driver_sql("INSERT INTO schema_version (version, applied_at) VALUES (?, ?)", (version + 1, at))
    return True


def note_format(connection: Connection) -> None:
    """Write down, in the open transaction, that rows of our FORMAT may stand in the file from now on."""
    connection.exec_driver_sql("UPDATE counters SET value = ? WHERE name = 'format' AND value < ?", (FORMAT, FORMAT))
