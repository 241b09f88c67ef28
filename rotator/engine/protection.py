"""What protects an endpoint or a store from us, as data: its rules, what replicas share of it, what was heard of it.

`Governor` works with these, the settings make the rules, the ledger keeps what is shared (`Budgets`). Nothing here has
a value in it. Times are milliseconds since the epoch, spans milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from rotator.machine.ids import Millis


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """What is protected: an endpoint or a store, by its configured name."""

    sort: str
    name: str

    def __str__(self) -> str:
        return f"{self.sort}:{self.name}"


def endpoint(name: str) -> Target:
    """The endpoint of this name."""
    return Target("endpoint", name)


def store(name: str) -> Target:
    """The store of this name."""
    return Target("store", name)


@dataclass(frozen=True, slots=True)
class Rate:
    """`calls` in each `per` (ms) in the long run, and at most `burst` at once after a rest."""

    calls: int
    per: Millis
    burst: int

    @property
    def spacing_us(self) -> int:
        """Microseconds between two calls at the full rate, never none."""
        return max(1, self.per * 1000 // self.calls)


@dataclass(frozen=True, slots=True)
class Rules:
    """How one target is treated. `repeats`: percent of first calls that may be repeated; `rate` None: not limited.

    `refusals` of the acting account, or throttlings in spite of waiting, in a row: it is held and a person is told.
    `longest`: nothing is held longer at one go, whatever the platform asks and however often it failed.
    """

    concurrency: int = 8
    rate: Rate | None = None
    failures: int = 10
    open_for: Millis = 30_000
    refusals: int = 5
    held_for: Millis = 300_000
    repeats: int = 20
    longest: Millis = 3_600_000

    @property
    def reserved(self) -> int:
        """Places that normal work leaves to emergencies."""
        return 1 if self.concurrency > 1 else 0

    @property
    def kept_tokens(self) -> int:
        """Tokens that normal work leaves in the bucket: a fifth."""
        return 0 if self.rate is None else min(self.rate.burst - 1, -(-self.rate.burst // 5))


class Why(Enum):
    """Why a target is held."""

    FAILING = "failing"  # no connection, no answer, its own errors
    REFUSED = "refused"  # the acting account is refused, again and again
    THROTTLED = "throttled"  # it goes on throttling though it was waited for


SAYS: Final[dict[str, str]] = {
    "failing": "it fails: no connection, no answer in time, or its own errors",
    "refused": "the acting account is refused again and again: perhaps it is locked or banned",
    "throttled": "it goes on throttling though it is waited for: perhaps we are banned",
    "asked": "it asked to wait",
}
"""Why a target is held, for people."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What replicas share of a target. `why` None: the breaker is closed.

    `until`: from then on one call may try. `opened`: how often in succession. `probing_until`: one tries until then.
    `wait_until`: what the platform asked for (Retry-After), bounded.
    """

    target: Target
    why: Why | None = None
    failures: int = 0
    since: Millis | None = None
    until: Millis | None = None
    opened: int = 0
    probing_until: Millis | None = None
    wait_until: Millis | None = None

    @property
    def reason(self) -> str:
        """A code of `SAYS`."""
        return "asked" if self.why is None else self.why.value

    @property
    def held_until(self) -> Millis | None:
        """Until when nobody calls."""
        return self.wait_until if self.why is None else self.until


@dataclass(frozen=True, slots=True)
class Taken:
    """Tokens that were given: so many, and when there is one again if there was none."""

    count: int
    again: Millis


class Budgets(Protocol):
    """What is the same for every replica, durable. Each writing call is one transaction. Raises LedgerError."""

    def take(self, target: Target, count: int, rate: Rate, kept: int, now: Millis) -> Taken:
        """Take up to `count` tokens of the bucket, down to `kept` of its burst. The bucket is full at first."""
        ...

    def charge(self, target: Target, count: int, rate: Rate, now: Millis) -> None:
        """Take `count` tokens that were spent already; the bucket may owe them."""
        ...

    def trip(self, target: Target, why: Why, failures: int, rules: Rules, now: Millis) -> Standing:
        """Open the breaker; again after a failed try, for twice as long: at most ten times `rules.open_for` for what
        fails, and never more than `rules.longest`. One that is open already and not being tried stays as it is."""
        ...

    def close(self, target: Target) -> None:
        """Close the breaker and forget what the platform asked for."""
        ...

    def try_one(self, target: Target, now: Millis, until: Millis, *, early: bool) -> bool:
        """Be the one that tries a breaker whose time is over (`early`: that is open at all). False: it is another's
        turn, or the breaker is closed."""
        ...

    def give_back(self, target: Target) -> None:
        """The one that should have tried did not."""
        ...

    def wait(self, target: Target, until: Millis) -> None:
        """Nobody calls before `until`; never sooner than what stands."""
        ...

    def standings(self) -> Sequence[Standing]:
        """Whatever is open or waits, or was; by name. Reads only."""
        ...

    def replicas(self, now: Millis) -> int:
        """How many owners have a lease that lives, persons left out. Reads only."""
        ...


class Heard(Enum):
    """What one call said about the target, whatever it said about the credential."""

    WELL = "well"  # it answered
    ADMITTED = "admitted"  # it answered, and let the acting account in
    FAILING = "failing"
    REFUSED = "refused"
    THROTTLED = "throttled"
    NOTHING = "nothing"  # it never left, for a reason of ours


class Listener(Protocol):
    """Who hears what calls say of a target."""

    def heard(self, target: Target, what: Heard, calls: int = 1, wait: Millis | None = None) -> None:
        """`calls`: exchanges with the network in it; `wait`: what it asked for, in milliseconds. Never raises."""
        ...

    def longest(self, target: Target) -> Millis:
        """How long it may ask us to wait at most."""
        ...


class Nobody:
    """A listener that does not mind."""

    def heard(self, target: Target, what: Heard, calls: int = 1, wait: Millis | None = None) -> None:
        """See `Listener`."""

    def longest(self, target: Target) -> Millis:
        """See `Listener`."""
        return 86_400_000
