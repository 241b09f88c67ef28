"""What replicas share of endpoints and stores: tokens, breakers, waits; and that emergencies are claimed first."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol, cast

import pytest

from rotator.engine.inventory import CredentialId
from rotator.engine.ports import Ledger, RunId
from rotator.engine.protection import Budgets, Rate, Rules, Standing, Why, endpoint, store
from rotator.machine.events import Answered, AnswerKind
from rotator.machine.facts import RunKind

from .drivers import Driver
from .samples import T0, definition, start

API, OTHER = endpoint("api"), store("api")
RATE = Rate(10, 1_000, 5)  # one in 100 ms, five at once
RULES = Rules(failures=3, open_for=1_000, held_for=5_000, longest=10_000)


class Shared(Protocol):
    def budgets(self) -> Budgets: ...


@pytest.fixture
def budgets(ledger: Ledger) -> Budgets:
    return cast(Shared, ledger).budgets()


# ---- tokens --------------------------------------------------------------------------------------------------------


def test_a_bucket_is_full_at_first_and_fills_at_its_rate(budgets: Budgets) -> None:
    assert budgets.take(API, 3, RATE, 0, T0).count == 3
    assert budgets.take(API, 9, RATE, 0, T0).count == 2
    none = budgets.take(API, 1, RATE, 0, T0)
    assert (none.count, none.again) == (0, T0 + 100)
    assert budgets.take(API, 1, RATE, 0, T0 + 99).count == 0
    assert budgets.take(API, 1, RATE, 0, T0 + 100).count == 1
    assert budgets.take(API, 9, RATE, 0, T0 + 100_000).count == 5  # never more than its burst


def test_what_is_kept_is_there_for_others_only(budgets: Budgets) -> None:
    assert budgets.take(API, 9, RATE, 2, T0).count == 3
    assert budgets.take(API, 1, RATE, 2, T0).count == 0
    assert budgets.take(API, 1, RATE, 2, T0).again == T0 + 100
    assert budgets.take(API, 9, RATE, 0, T0).count == 2
    held = budgets.take(API, 1, RATE, 2, T0)
    assert (held.count, held.again) == (0, T0 + 300)
    assert budgets.take(API, 1, RATE, 2, held.again).count == 1


def test_targets_do_not_share_a_bucket(budgets: Budgets) -> None:
    assert budgets.take(API, 5, RATE, 0, T0).count == 5
    assert budgets.take(OTHER, 5, RATE, 0, T0).count == 5


def test_what_was_spent_already_is_owed(budgets: Budgets) -> None:
    budgets.charge(API, 7, RATE, T0)
    assert budgets.take(API, 1, RATE, 0, T0).again == T0 + 300
    budgets.charge(API, 10**6, RATE, T0)
    again = budgets.take(API, 1, RATE, 0, T0).again
    assert again <= T0 + 1_001 * 100  # bounded: nobody is shut out for a day by one long listing
    assert budgets.take(API, 1, RATE, 0, again).count == 1


def test_a_clock_that_is_set_back_does_not_keep_the_bucket_empty(budgets: Budgets) -> None:
    budgets.take(API, 5, RATE, 0, T0 + 10**9)
    assert budgets.take(API, 1, RATE, 0, T0).again <= T0 + 1_010 * 100


def test_a_rate_faster_than_a_call_a_millisecond_is_exact(budgets: Budgets) -> None:
    fast = Rate(4_000, 1_000, 8)
    assert budgets.take(API, 8, fast, 0, T0).count == 8
    assert budgets.take(API, 9, fast, 0, T0 + 1).count == 4


def test_two_replicas_take_from_one_bucket_and_never_more_than_there_is(driver: Driver) -> None:
    first, second = driver(), driver()
    given: list[int] = []

    def taking(ledger: Ledger) -> Callable[[], None]:
        shared = cast(Shared, ledger).budgets()
        return lambda: given.extend(shared.take(API, 3, Rate(1, 3_600_000, 50), 0, T0).count for _ in range(15))

    threads = [threading.Thread(target=taking(one)) for one in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    first.close()
    second.close()
    assert sum(given) == 50
    assert len(given) == 30


# ---- breakers ------------------------------------------------------------------------------------------------------


def test_a_breaker_is_closed_until_it_is_tripped_and_stays_open_over_a_restart(driver: Driver) -> None:
    ledger = driver()
    shared = cast(Shared, ledger).budgets()
    assert shared.standings() == []
    opened = shared.trip(API, Why.FAILING, 3, RULES, T0)
    assert opened == Standing(API, Why.FAILING, 3, T0, T0 + 1_000, 1)
    ledger.close()
    ledger = driver()
    assert cast(Shared, ledger).budgets().standings() == [opened]
    ledger.close()


def test_one_only_tries_when_its_time_is_over(budgets: Budgets) -> None:
    assert not budgets.try_one(API, T0, T0 + 500, early=False)  # nothing is open
    budgets.trip(API, Why.FAILING, 3, RULES, T0)
    assert not budgets.try_one(API, T0 + 999, T0 + 1_500, early=False)
    assert budgets.try_one(API, T0 + 1_000, T0 + 1_500, early=False)
    assert not budgets.try_one(API, T0 + 1_001, T0 + 1_501, early=False)
    assert not budgets.try_one(API, T0 + 1_001, T0 + 1_501, early=True)
    assert budgets.try_one(API, T0 + 1_500, T0 + 2_000, early=False)  # who tried before died
    budgets.give_back(API)
    assert budgets.try_one(API, T0 + 1_501, T0 + 2_001, early=False)


def test_an_emergency_may_try_before_the_time_is_over(budgets: Budgets) -> None:
    budgets.trip(API, Why.FAILING, 3, RULES, T0)
    assert budgets.try_one(API, T0 + 1, T0 + 500, early=True)
    assert not budgets.try_one(API, T0 + 2, T0 + 500, early=True)


def test_a_failed_try_opens_it_for_twice_as_long_and_never_beyond_the_longest(budgets: Budgets) -> None:
    at, spans = T0, []
    for _ in range(30):
        opened = budgets.trip(API, Why.FAILING, 3, RULES, at)
        assert opened.until is not None
        assert opened.since == T0
        spans.append(opened.until - at)
        at = opened.until
        assert budgets.try_one(API, at, at + 50, early=False)
    assert spans[:5] == [1_000, 2_000, 4_000, 8_000, 10_000]
    assert set(spans[4:]) == {10_000}


def test_a_late_failure_does_not_open_it_longer(budgets: Budgets) -> None:
    first = budgets.trip(API, Why.FAILING, 3, RULES, T0)
    assert budgets.trip(API, Why.REFUSED, 4, RULES, T0 + 10) == first


def test_a_ban_is_held_for_longer(budgets: Budgets) -> None:
    assert budgets.trip(API, Why.REFUSED, 5, RULES, T0).until == T0 + 5_000


def test_closing_forgets_everything_but_the_tokens(budgets: Budgets) -> None:
    budgets.take(API, 5, RATE, 0, T0)
    budgets.trip(API, Why.FAILING, 3, RULES, T0)
    budgets.wait(API, T0 + 9_000)
    budgets.close(API)
    assert budgets.standings() == [Standing(API)]
    assert budgets.take(API, 1, RATE, 0, T0).count == 0
    assert budgets.trip(API, Why.FAILING, 3, RULES, T0 + 50).until == T0 + 1_050  # from the beginning


def test_what_a_platform_asked_for_is_never_made_shorter(budgets: Budgets) -> None:
    budgets.wait(API, T0 + 9_000)
    budgets.wait(API, T0 + 4_000)
    assert budgets.standings() == [Standing(API, wait_until=T0 + 9_000)]


# ---- the emergency lane --------------------------------------------------------------------------------------------


def opened(ledger: Ledger, *kinds: tuple[str, RunKind]) -> None:
    ledger.accept([definition(name) for name, _ in kinds], {}, T0)
    for at, (name, kind) in enumerate(kinds):
        claim, _ = start(ledger, f"r-{name}", name, kind, at=T0 + at)
        ledger.release(claim, T0 + at, "")


def test_an_emergency_is_claimed_before_what_has_been_due_longer(ledger: Ledger) -> None:
    opened(ledger, ("a", RunKind.ROTATE), ("b", RunKind.RETIRE), ("c", RunKind.CONTAIN), ("d", RunKind.RECONCILE))
    claimed = [ledger.claim_next(T0 + 50, "w1", T0 + 90) for _ in range(5)]
    assert [one and one.run for one in claimed] == ["r-b", "r-c", "r-a", "r-d", None]


def test_a_reserved_worker_takes_nothing_but_emergencies(ledger: Ledger) -> None:
    opened(ledger, ("a", RunKind.ROTATE), ("b", RunKind.OVERLAP))
    first = ledger.claim_next(T0 + 50, "w1", T0 + 90, urgent=True)
    assert first is not None
    assert first.run == "r-b"
    assert ledger.claim_next(T0 + 50, "w1", T0 + 90, urgent=True) is None
    assert ledger.claim_next(T0 + 50, "w1", T0 + 90) is not None


def test_an_emergency_whose_time_has_not_come_is_not_claimed(ledger: Ledger) -> None:
    opened(ledger, ("a", RunKind.ROTATE), ("b", RunKind.OVERLAP))
    assert ledger.claim_next(T0, "w1", T0 + 90, urgent=True) is None


def test_a_run_that_is_told_to_contain_is_an_emergency_from_then_on(ledger: Ledger) -> None:
    opened(ledger, ("a", RunKind.ROTATE), ("b", RunKind.ROTATE))
    claim = ledger.claim(RunId("r-b"), T0 + 10, "ann/person", T0 + 20)
    row = ledger.credential(CredentialId("b"))
    assert claim is not None
    assert row is not None
    ledger.append(claim, [Answered(AnswerKind.CONTAIN_NOW)], row.facts, T0 + 11)
    ledger.release(claim, T0 + 11, "")
    next_ = ledger.claim_next(T0 + 50, "w1", T0 + 90, urgent=True)
    assert next_ is not None
    assert next_.run == "r-b"


def test_replicas_are_the_owners_of_leases_that_live_and_no_persons(ledger: Ledger, budgets: Budgets) -> None:
    assert budgets.replicas(T0) == 0
    opened(ledger, ("a", RunKind.ROTATE), ("b", RunKind.ROTATE), ("c", RunKind.ROTATE), ("d", RunKind.ROTATE))
    for run, owner, until in (("a", "w1", 90), ("b", "w1", 90), ("c", "w2", 70), ("d", "w1/person", 90)):
        assert ledger.claim(RunId(f"r-{run}"), T0 + 10, owner, T0 + until) is not None
    assert budgets.replicas(T0 + 20) == 2
    assert budgets.replicas(T0 + 80) == 1
    assert budgets.replicas(T0 + 95) == 0
