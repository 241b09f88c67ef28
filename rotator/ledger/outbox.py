"""Statements about notices and their deliveries. Called by `sqlite`, and by those who write an event: `tell` runs in
their transaction, so nothing happens without its notice and no notice is of something that did not happen.

Nothing here begins or ends a transaction. Must never hold more than `engine.notices` lets through.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    case,
    delete,
    exists,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy import insert as plain_insert
from sqlalchemy.dialects import postgresql, sqlite

from rotator.engine.delivery import LONGEST_PAUSE
from rotator.engine.inventory import CredentialId
from rotator.engine.notices import Notice
from rotator.engine.outbox import ChannelFigures, Delivery, DeliveryId, DeliveryState, Tried, Waiting
from rotator.machine.ids import Millis

from .rows import AnyRow
from .tables import deliveries, notices

_WAITING: Final = deliveries.c.state == literal_column("'waiting'")  # spelled as in the partial index


def tell(connection: Connection, told: Iterable[Notice]) -> int:
    """Insert those whose key is new."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    count = 0
    for one in told:
        row = {
            "key": one.key, "event": one.event, "at": one.at, "credential": one.credential, "run": one.run,
            "about": one.about, "facts": json.dumps(dict(one.facts), separators=(",", ":")),
        }  # fmt: skip
        made = insert(notices).values(row).on_conflict_do_nothing().returning(notices.c.sequence)
        count += len(connection.execute(made).all())
    return count


def unrouted(connection: Connection, limit: int) -> Sequence[Waiting]:
    """Oldest first."""
    return [Waiting(row.sequence, _notice(row)) for row in connection.execute(unrouted_statement(limit))]


def unrouted_statement(limit: int) -> Select[Any]:
    """By the index `notices_unrouted`."""
    return select(notices).where(notices.c.routed_at.is_(None)).order_by(notices.c.sequence).limit(limit)


def oldest_unrouted(connection: Connection) -> Millis | None:
    """When it was made."""
    statement = select(notices.c.at).where(notices.c.routed_at.is_(None)).order_by(notices.c.sequence).limit(1)
    at: Millis | None = connection.execute(statement).scalar_one_or_none()
    return at


def route(connection: Connection, sequence: int, body: str, to: Sequence[tuple[str, str]], at: Millis) -> None:
    """Mark it routed and write its deliveries, or nothing if it was routed already."""
    here = (notices.c.sequence == sequence, notices.c.routed_at.is_(None))
    if connection.execute(update(notices).where(*here).values(routed_at=at, body=body)).rowcount == 0:
        return
    for channel, name in dict(to).items():
        row = {
            "notice": sequence, "channel": channel, "route": name, "state": DeliveryState.WAITING.value,
            "attempts": 0, "first_at": at, "next_at": at, "code": "",
        }  # fmt: skip
        connection.execute(plain_insert(deliveries).values(row))


def waiting(connection: Connection, now: Millis) -> Sequence[str]:
    """Names."""
    return sorted(connection.execute(waiting_statement(now)).scalars())


def waiting_statement(now: Millis) -> Select[str]:
    """By the index `deliveries_waiting`."""
    return select(deliveries.c.channel).where(_WAITING, _due(now)).distinct()


def _due(now: Millis) -> ColumnElement[bool]:
    """Its time has come, or was written by a clock that ran far ahead and was set back since."""
    return or_(deliveries.c.next_at <= now, deliveries.c.next_at > now + 2 * LONGEST_PAUSE)


def deliverable(connection: Connection, now: Millis, channel: str, limit: int) -> Sequence[Delivery]:
    """Oldest first."""
    return [_delivery(row) for row in connection.execute(deliverable_statement(now, channel, limit))]


def deliverable_statement(now: Millis, channel: str, limit: int) -> Select[Any]:
    """By the index `deliveries_of_channel`, whose rows come in the order of their ids."""
    statement = _whole().where(_WAITING, deliveries.c.channel == channel, _due(now))
    return statement.order_by(deliveries.c.id).limit(limit)


def tried(connection: Connection, outcome: Tried) -> None:
    """Only of one that waits."""
    here = (deliveries.c.id == outcome.delivery, _WAITING)
    values = {
        "state": outcome.state.value, "attempts": deliveries.c.attempts + 1, "next_at": outcome.next_at,
        "code": outcome.code, "last_at": outcome.at,
    }  # fmt: skip
    connection.execute(update(deliveries).where(*here).values(values))


def listed(connection: Connection, state: DeliveryState | None, channel: str, limit: int) -> Sequence[Delivery]:
    """Newest first."""
    statement = _whole().order_by(deliveries.c.id.desc()).limit(limit)
    if state is not None:
        statement = statement.where(deliveries.c.state == state.value)
    if channel:
        statement = statement.where(deliveries.c.channel == channel)
    return [_delivery(row) for row in connection.execute(statement)]


def resend(connection: Connection, channel: str, at: Millis) -> int:
    """Dead ones wait again."""
    here = (deliveries.c.channel == channel, deliveries.c.state == DeliveryState.DEAD.value)
    values = {"state": DeliveryState.WAITING.value, "attempts": 0, "first_at": at, "next_at": at, "code": ""}
    return connection.execute(update(deliveries).where(*here).values(values)).rowcount


def channels(connection: Connection) -> Sequence[ChannelFigures]:
    """Counts by channel."""

    def count(state: DeliveryState) -> Any:
        return func.sum(case((deliveries.c.state == state.value, 1), else_=0))

    waiting = deliveries.c.state == DeliveryState.WAITING.value
    statement = (
        select(
            deliveries.c.channel,
            count(DeliveryState.WAITING),
            count(DeliveryState.DEAD),
            count(DeliveryState.SENT),
            func.sum(case((waiting, deliveries.c.attempts), else_=0)),
            func.min(case((waiting, deliveries.c.first_at))),
        )
        .group_by(deliveries.c.channel)
        .order_by(deliveries.c.channel)
    )
    return [ChannelFigures(*row) for row in connection.execute(statement)]


def forget(connection: Connection, before: Millis) -> int:
    """Routed ones of before that nothing waits for."""
    waits = exists().where(and_(deliveries.c.notice == notices.c.sequence, _WAITING))
    statement = select(notices.c.sequence).where(notices.c.routed_at < before, ~waits).limit(1000)
    old = list(connection.execute(statement).scalars())
    if old:
        connection.execute(delete(deliveries).where(deliveries.c.notice.in_(old)))
        connection.execute(delete(notices).where(notices.c.sequence.in_(old)))
    return len(old)


def _whole() -> Select[Any]:
    joined = deliveries.join(notices, notices.c.sequence == deliveries.c.notice)
    return select(deliveries, notices.c.event, notices.c.credential, notices.c.body).select_from(joined)


def _delivery(row: AnyRow) -> Delivery:
    return Delivery(
        DeliveryId(row.id), row.channel, row.route, DeliveryState(row.state), row.attempts, row.first_at, row.next_at,
        row.code, row.event, None if row.credential is None else CredentialId(row.credential), row.body or "",
    )  # fmt: skip


def _notice(row: AnyRow) -> Notice:
    facts = tuple((str(name), str(text)) for name, text in json.loads(row.facts).items())
    credential = None if row.credential is None else CredentialId(row.credential)
    return Notice(row.event, row.at, row.key, credential, row.run, row.about, facts)
