"""Statements about what replicas share of endpoints and stores: tokens, breakers, what a platform asked to wait.

Implements `rotator.engine.protection.Budgets` on whichever database the ledger is: `write` runs a function in a durable
transaction, `read` in a snapshot. The bucket is one number, the instant at which it is full again (in microseconds):
taking moves it on. Rows are locked where the database locks rows; SQLite has one writer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, distinct, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from rotator.engine.protection import Rate, Rules, Standing, Taken, Target, Why
from rotator.machine.ids import Millis

from .rows import AnyRow
from .tables import budgets, runs

T = TypeVar("T")
LARGEST = 2**62


class Run(Protocol):
    """Runs a function of a connection in a transaction."""

    def __call__(self, work: Callable[[Connection], T], /) -> T: ...


class LedgerBudgets:
    """See `Budgets`. Thread-safe as far as `write` and `read` are."""

    def __init__(self, write: Run, read: Run) -> None:
        self._write, self._read = write, read

    def take(self, target: Target, count: int, rate: Rate, kept: int, now: Millis) -> Taken:
        """See `Budgets`."""
        return self._write(lambda c: _take(c, target, count, rate, kept, now))

    def charge(self, target: Target, count: int, rate: Rate, now: Millis) -> None:
        """See `Budgets`."""
        self._write(lambda c: _charge(c, target, count, rate, now))

    def trip(self, target: Target, why: Why, failures: int, rules: Rules, now: Millis) -> Standing:
        """See `Budgets`."""
        return self._write(lambda c: _trip(c, target, why, failures, rules, now))

    def close(self, target: Target) -> None:
        """See `Budgets`."""
        nothing = {"why": "", "failures": 0, "since": None, "until": None, "opened": 0, "probing_until": None}
        self._write(lambda c: c.execute(update(budgets).where(_is(target)).values(nothing | {"wait_until": None})))

    def try_one(self, target: Target, now: Millis, until: Millis, *, early: bool) -> bool:
        """See `Budgets`."""
        free = or_(budgets.c.probing_until.is_(None), budgets.c.probing_until <= now)
        over = [] if early else [budgets.c.until <= now]
        mine = update(budgets).where(_is(target), budgets.c.why != "", free, *over).values(probing_until=until)
        return self._write(lambda c: c.execute(mine).rowcount) == 1

    def give_back(self, target: Target) -> None:
        """See `Budgets`."""
        self._write(lambda c: c.execute(update(budgets).where(_is(target)).values(probing_until=None)))

    def wait(self, target: Target, until: Millis) -> None:
        """See `Budgets`."""
        sooner = or_(budgets.c.wait_until.is_(None), budgets.c.wait_until < until)

        def write(connection: Connection) -> None:
            _row(connection, target)
            connection.execute(update(budgets).where(_is(target), sooner).values(wait_until=until))

        self._write(write)

    def standings(self) -> Sequence[Standing]:
        """See `Budgets`."""
        return [_standing(row) for row in self._read(lambda c: c.execute(select(budgets).order_by(*_KEY)).all())]

    def replicas(self, now: Millis) -> int:
        """See `Budgets`."""
        here = (runs.c.ended_at.is_(None), runs.c.lease_until > now, runs.c.owner != "", ~runs.c.owner.like("%/person"))
        counted = select(func.count(distinct(runs.c.owner))).where(*here)
        return int(self._read(lambda c: c.execute(counted).scalar_one()))


_KEY = (budgets.c.sort, budgets.c.name)


def _is(target: Target) -> Any:
    return (budgets.c.sort == target.sort) & (budgets.c.name == target.name)


def _row(connection: Connection, target: Target) -> AnyRow:
    """The target's row, made where there is none, locked for this transaction."""
    found = connection.execute(select(budgets).where(_is(target)).with_for_update()).one_or_none()
    if found is not None:
        return found
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    values = {"sort": target.sort, "name": target.name, "full_us": 0, "why": "", "failures": 0, "opened": 0}
    connection.execute(insert(budgets).values(values).on_conflict_do_nothing())
    return connection.execute(select(budgets).where(_is(target)).with_for_update()).one()


def _take(connection: Connection, target: Target, count: int, rate: Rate, kept: int, now: Millis) -> Taken:
    now_us, spacing = now * 1000, rate.spacing_us
    # A clock that was set back, or a rate that was changed, must not keep it empty for longer than it takes to fill.
    full_us = max(now_us, min(_row(connection, target).full_us, now_us + (rate.burst + _MOST_OWED) * spacing))
    left = rate.burst - kept - -(-(full_us - now_us) // spacing)
    given = max(0, min(count, left))
    if given:
        connection.execute(update(budgets).where(_is(target)).values(full_us=full_us + given * spacing))
        return Taken(given, now)
    missing = full_us - (rate.burst - kept - 1) * spacing
    return Taken(0, max(now + 1, -(-missing // 1000)))


def _charge(connection: Connection, target: Target, count: int, rate: Rate, now: Millis) -> None:
    now_us, spacing = now * 1000, rate.spacing_us
    most = now_us + (rate.burst + _MOST_OWED) * spacing
    full_us = min(max(now_us, _row(connection, target).full_us) + count * spacing, most)
    connection.execute(update(budgets).where(_is(target)).values(full_us=full_us))


_MOST_OWED = 1000
"""Calls that a bucket may owe beyond its burst: a listing of many pages does not close an endpoint for a day."""


def _trip(connection: Connection, target: Target, why: Why, failures: int, rules: Rules, now: Millis) -> Standing:
    row = _row(connection, target)
    standing = _standing(row)
    if standing.why is not None and standing.until is not None and standing.until > now and not standing.probing_until:
        return standing
    # What only fails must not be left alone for long after it is well again; a ban must not be provoked.
    failing = why is Why.FAILING
    first, most = (rules.open_for, 10 * rules.open_for) if failing else (rules.held_for, rules.longest)
    opened = standing.opened if standing.why is not None else 0
    held = min(first << min(opened, 20), most, rules.longest)
    values = {
        "why": why.value, "failures": failures, "since": standing.since or now, "until": now + held,
        "opened": opened + 1, "probing_until": None,
    }  # fmt: skip
    connection.execute(update(budgets).where(_is(target)).values(values))
    return _standing(_row(connection, target))


def _standing(row: AnyRow) -> Standing:
    return Standing(
        target=Target(row.sort, row.name),
        why=Why(row.why) if row.why else None,
        failures=row.failures,
        since=row.since,
        until=row.until,
        opened=row.opened,
        probing_until=row.probing_until,
        wait_until=row.wait_until,
    )
