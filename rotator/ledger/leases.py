"""Whose clock counts where a lease is compared: the caller's, or the database's.

On one machine there is one clock, and the caller has read it. Replicas have a clock each, so with PostgreSQL the spans
come from the caller and every instant from the server: `DatabaseLeases`. Used by `runs` and chosen by whoever opens the
ledger. Must never let two replicas compare their own clocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol

from sqlalchemy import BigInteger, ColumnElement, bindparam, cast, func, literal, literal_column
from sqlalchemy.sql.dml import ReturningUpdate

from rotator.engine.ports import Clock
from rotator.machine.ids import Millis

from .tables import runs

_WIDE: Final = BigInteger()


@dataclass(frozen=True, slots=True)
class Lease:
    """The present instant and the lease's end, as SQL."""

    now: ColumnElement[int]
    until: ColumnElement[int]


class Leases(Protocol):
    """`hold` checks the fence and extends the lease in one statement (b_run, b_fence, b_why, b_wake, b_lease)."""

    hold: ReturningUpdate[Any]

    def at(self, now: Millis, until: Millis) -> Lease:
        """For a claim."""
        ...

    def extended(self, until: Millis | None) -> Millis | None:
        """What `hold` is given as b_lease. None: the lease stays."""
        ...


def _hold(until: ColumnElement[int]) -> ReturningUpdate[Any]:
    return (
        runs.update()
        .where(runs.c.id == bindparam("b_run"), runs.c.fence == bindparam("b_fence"), runs.c.ended_at.is_(None))
        .values(
            held_why=bindparam("b_why"),
            wake_at=func.coalesce(bindparam("b_wake", type_=_WIDE), runs.c.wake_at),
            lease_until=func.coalesce(until, runs.c.lease_until),
        )
        .returning(runs.c.credential, runs.c.kind)
    )


class CallersLeases:
    """Instants as the caller says them."""

    hold = _hold(bindparam("b_lease", type_=_WIDE))

    def at(self, now: Millis, until: Millis) -> Lease:
        """See `Leases`."""
        return Lease(literal(now, _WIDE), literal(until, _WIDE))

    def extended(self, until: Millis | None) -> Millis | None:
        """See `Leases`."""
        return until


# The statement's instant, not the transaction's: stable inside a statement, so that an index answers, and never later
# than the truth when the statement waited for a lock.
DATABASE_NOW: Final[ColumnElement[int]] = cast(
    func.floor(literal_column("extract(epoch FROM statement_timestamp())") * literal_column("1000")), _WIDE
)


class DatabaseLeases:
    """Instants as the database sees them. `clock`: the one that the callers computed their spans with."""

    hold = _hold(DATABASE_NOW + bindparam("b_lease", type_=_WIDE))

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def at(self, now: Millis, until: Millis) -> Lease:
        """See `Leases`."""
        return Lease(DATABASE_NOW, DATABASE_NOW + literal(max(0, until - now), _WIDE))

    def extended(self, until: Millis | None) -> Millis | None:
        """See `Leases`."""
        return None if until is None else max(0, until - self._clock.now())
