"""Statements about heartbeats. Called by the ledger: writes with the writer's connection, reads with a reader's.
Portable SQL; nothing here begins or ends a transaction. Implements `engine.heartbeat.Beats`.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Select, exists, insert, select, update

from rotator.engine.heartbeat import DRIFTED, BeatRow
from rotator.engine.inventory import CredentialId
from rotator.machine.ids import Millis

from .rows import AnyRow
from .tables import credentials, heartbeats


def due_statement(now: Millis, limit: int) -> Select[str]:
    """By the index `heartbeats_due`."""
    rows = select(heartbeats.c.credential).where(heartbeats.c.next_at <= now)
    return rows.order_by(heartbeats.c.next_at, heartbeats.c.credential).limit(limit)


def due(connection: Connection, now: Millis, limit: int) -> Sequence[CredentialId]:
    """Earliest first."""
    return [CredentialId(name) for name in connection.execute(due_statement(now, limit)).scalars()]


def one(connection: Connection, credential: CredentialId) -> BeatRow | None:
    """A credential's row."""
    row = connection.execute(select(heartbeats).where(heartbeats.c.credential == credential)).one_or_none()
    return None if row is None else _row(row)


def found(connection: Connection) -> Sequence[BeatRow]:
    """Drifts, oldest first."""
    statement = select(heartbeats).where(heartbeats.c.finding.in_(sorted(DRIFTED)))
    return [_row(row) for row in connection.execute(statement.order_by(heartbeats.c.since, heartbeats.c.credential))]


def without(connection: Connection, limit: int) -> Sequence[CredentialId]:
    """Adopted, managed credentials without a row."""
    c = credentials.c
    missing = ~exists().where(heartbeats.c.credential == c.id)
    statement = select(c.id).where(c.managed == 1, c.adopted_at.is_not(None), missing).order_by(c.id).limit(limit)
    return [CredentialId(name) for name in connection.execute(statement).scalars()]


def keep(connection: Connection, rows: Sequence[BeatRow]) -> None:
    """Insert or replace."""
    for row in rows:
        values = {
            "next_at": row.next_at, "at": row.at, "finding": row.finding, "since": row.since, "place": row.place,
            "reason": row.reason,
        }  # fmt: skip
        here = heartbeats.c.credential == row.credential
        if connection.execute(update(heartbeats).where(here).values(values)).rowcount == 0:
            connection.execute(insert(heartbeats).values(values | {"credential": row.credential}))


def _row(row: AnyRow) -> BeatRow:
    return BeatRow(CredentialId(row.credential), row.next_at, row.at, row.finding, row.since, row.place, row.reason)
