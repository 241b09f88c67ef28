"""What one replica keeps of one target between two looks at the ledger: tokens, repeats, places, the queue.

Used by `governor` alone, under the lock of the target. Lost at a restart, which costs what is said beside each part.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from rotator.machine.ids import Millis

from .ports import RunId
from .protection import Budgets, Rate, Rules, Standing, Target

REPEATS: Final = 10.0
"""Repeats that are always there: one run's own patience is never cut by the share."""
REPEAT_EVERY: Final[Millis] = 10_000
"""One more in this time, however little is called."""
LONGEST_QUEUE: Final = 10_000
_SHORTEST: Final[Millis] = 50
_QUEUED: Final[Millis] = 30_000


@dataclass(slots=True)
class Pocket:
    """Tokens that were taken from the shared bucket ahead of their use.

    A batch is a quarter of the burst, or what comes in a second, whichever is less: so the ledger is written once a
    batch and not once a call. Bound: in any span T no more calls are begun than `burst + rate * T + replicas * batch`,
    and what a step spends beyond its one token (pages, a control, a login) is charged to the next.
    """

    tokens: int = 0
    stale_at: Millis = 0
    owed_at: Millis = 0
    dry: dict[bool, Millis] = field(default_factory=dict)
    """Until when there is nothing in the bucket, for emergencies and for others: not asked again before."""

    def take(self, budgets: Budgets, target: Target, rules: Rules, now: Millis, *, urgent: bool) -> Millis | None:
        """One token; None: had. Else when there may be one."""
        rate = rules.rate
        if rate is None:
            return None
        if self.tokens < 0:
            budgets.charge(target, -self.tokens, rate, min(self.owed_at, now))
            self.tokens = 0
        if self.tokens > 0 and now < self.stale_at:
            self.tokens -= 1
            return None
        again = self.dry.get(urgent, 0)
        if now < again <= now + rules.longest:
            return again
        taken = budgets.take(target, 1 if urgent else batch_of(rate), rate, 0 if urgent else rules.kept_tokens, now)
        if not taken.count:
            self.dry[urgent] = taken.again
            return taken.again
        self.tokens, self.dry = taken.count - 1, {}
        self.stale_at = now + max(1_000, batch_of(rate) * rate.spacing_us // 1000)
        return None

    def spend(self, calls: int, now: Millis) -> None:
        """Calls that were made."""
        if self.tokens >= 0:
            self.owed_at = now
        self.tokens -= calls


def batch_of(rate: Rate) -> int:
    """How many tokens are taken at once."""
    return max(1, min(rate.burst // 4, rate.calls * 1000 // rate.per))


@dataclass(slots=True)
class Repeats:
    """Calls that may be repeated: a share of the first calls, beside a few that are always there. Counted by each
    replica for itself; a restart gives the few anew."""

    left: float = REPEATS
    at: Millis = 0

    def first(self, rules: Rules) -> None:
        """A first call was let through."""
        self.left = min(REPEATS, self.left + rules.repeats / 100)

    def take(self, now: Millis) -> Millis | None:
        """One repeat; None: had. Else when there is one."""
        passed = max(0, now - self.at) if self.at else 0
        self.left, self.at = min(REPEATS, self.left + passed / REPEAT_EVERY), now
        if self.left >= 1:
            self.left -= 1
            return None
        return now + max(1, int((1 - self.left) * REPEAT_EVERY))


@dataclass(slots=True)
class Line:
    """Gives those who are put back different times to come again, so that they do not all come at once."""

    last: Millis = 0

    def next(self, now: Millis, first: Millis, spacing: Millis) -> Millis:
        """The next time, not before `first`; never more than half a minute behind it."""
        first = max(first, now + _SHORTEST)
        self.last = min(max(self.last + spacing, first), first + _QUEUED)
        return self.last


@dataclass(slots=True)
class Own:
    """One target, as this replica knows it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    standing: Standing | None = None
    in_use: int = 0
    failures: int = 0
    refusals: int = 0
    throttles: int = 0
    admitted: bool = False
    passed_at: Millis = 0
    """When an emergency last went past what the platform asked for."""
    pocket: Pocket = field(default_factory=Pocket)
    repeats: Repeats = field(default_factory=Repeats)
    lines: dict[str, Line] = field(default_factory=dict)
    visits: dict[RunId, Millis] = field(default_factory=dict)
    """Runs that had a place and may want one again at once, and since when."""
    visit: float = 200.0
    """Milliseconds that a visit lasts, of late."""
    queue: OrderedDict[RunId, bool] = field(default_factory=OrderedDict)
    """Runs that were put back because it was full; whether each is an emergency."""

    def room(self, rules: Rules, replicas: int, *, urgent: bool) -> int:
        """Places for such a step, taken ones among them. Normal work leaves one to emergencies, and halves what it
        takes at each failure in a row: a target that hangs keeps one thread, not all that it may have."""
        share = max(1, -(-rules.concurrency // max(1, replicas)))
        if urgent:
            return share
        return max(1, (share - rules.reserved) >> min(self.failures, 16)) if share > 1 else 1

    def later(self, why: str, now: Millis, first: Millis, spacing: Millis = 1) -> Millis:
        """When to come again."""
        return self.lines.setdefault(why, Line()).next(now, first, spacing)

    def wait_for(self, run: RunId, *, urgent: bool) -> None:
        """Queue a run that is held for another reason, to be woken when that is over."""
        if len(self.queue) < LONGEST_QUEUE:
            self.queue[run] = urgent

    def put_back(self, run: RunId, now: Millis, places: int, *, urgent: bool) -> Millis:
        """Queue a run; when it is to come again by itself, should nobody wake it sooner."""
        self.wait_for(run, urgent=urgent)
        wait = int(2 * self.visit * len(self.queue) / max(1, places))
        return now + min(max(wait, 1_000), _QUEUED)

    def next_in_queue(self) -> RunId | None:
        """Who has a turn now: an emergency first, else who waited longest."""
        if not self.queue:
            return None
        run = next((one for one, urgent in self.queue.items() if urgent), next(iter(self.queue)))
        del self.queue[run]
        return run
