"""The clock of a daemon that shares its ledger: the database's instant, through steps of our own and its absence."""

from __future__ import annotations

from rotator.daemon.shared_clock import SharedClock
from rotator.engine.ports import LedgerError


class Own:
    """A machine's clock that can be set."""

    def __init__(self) -> None:
        self.wall, self.seconds = 1_000_000, 100.0

    def now(self) -> int:
        return self.wall

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.pass_(seconds)

    def pass_(self, seconds: float) -> None:
        self.seconds += seconds
        self.wall += int(seconds * 1000)


class Database:
    """Its time goes on with the machine's true seconds, from another beginning."""

    def __init__(self, own: Own, off: int) -> None:
        self.own, self.off, self.asked, self.away = own, off, 0, False

    def __call__(self) -> int:
        if self.away:
            raise LedgerError("unavailable")
        self.asked += 1
        return self.off + int(self.own.seconds * 1000)


def test_alone_it_is_the_machines_clock() -> None:
    own = Own()
    assert SharedClock(own).now() == own.wall


def test_it_shows_the_databases_time_and_asks_now_and_then() -> None:
    own = Own()
    clock, database = SharedClock(own), Database(own, 5_000_000)
    clock.follow(database)
    for _ in range(5):
        assert clock.now() == 5_000_000 + int(own.seconds * 1000)
        own.pass_(1)
    assert database.asked == 1
    own.pass_(10)
    clock.now()
    assert database.asked == 2


def test_a_step_of_our_clock_is_settled_by_asking() -> None:
    own = Own()
    clock, database = SharedClock(own), Database(own, 5_000_000)
    clock.follow(database)
    own.pass_(2)
    for step in (3_600_000, -7_200_000):
        own.wall += step
        assert clock.now() == 5_000_000 + int(own.seconds * 1000)
        own.pass_(2)


def test_while_the_database_is_away_the_later_clock_counts() -> None:
    own = Own()
    clock, database = SharedClock(own), Database(own, 5_000_000)
    clock.follow(database)
    before, database.away = clock.now(), True
    own.wall += 60_000  # the machine slept, and its monotonic clock did not see it
    own.pass_(2)
    assert clock.now() == before + 62_000
    own.wall -= 600_000
    assert clock.now() == before + 2_000
