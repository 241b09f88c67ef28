"""Whether an endpoint may be called: each protection with a clock moved by hand, on a real ledger."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rotator.engine.governor import EMERGENCY_EVERY, Ask, Entry, Governor
from rotator.engine.ports import RunId
from rotator.engine.protection import Heard, Rate, Rules, Target, Why, endpoint, store
from rotator.ledger import SqliteLedger, open_ledger
from rotator.machine.holds import Limits
from tests.unit.engine_bench import HandClock

API, OTHER, MAIN = endpoint("api"), endpoint("other"), store("main")
PLAIN = Rules(concurrency=4, failures=3, open_for=1_000, refusals=3, held_for=60_000, longest=600_000)


class Stand:
    """A governor, and another replica on the same ledger."""

    def __init__(self, folder: Path) -> None:
        self.clock, self.rules, self.woken = HandClock(), dict[Target, Rules](), list[RunId]()
        self.ledger = open_ledger(folder / "ledger.db")
        self.governor, self.second = self.made(self.ledger), self.made(self.ledger)
        self.numbers = 0

    def made(self, ledger: SqliteLedger) -> Governor:
        return Governor(
            ledger.budgets(), self.clock, lambda target: self.rules.get(target, PLAIN), wake=self.woken.append,
            patience=30_000,
        )  # fmt: skip

    def enter(self, target: Target = API, *, run: str = "", by: Governor | None = None, **more: object) -> Entry:
        self.numbers += 1
        ask = Ask(RunId(run or f"r{self.numbers}"), target)
        return (by or self.governor).enter(replace(ask, **more), self.clock.now())  # type: ignore[arg-type]

    def call(self, what: Heard = Heard.WELL, target: Target = API, **more: object) -> Limits:
        """A step with one call in it, if it is let through."""
        wait, calls = more.pop("wait", None), more.pop("calls", 1)
        entry = self.enter(target, **more)  # type: ignore[arg-type]
        if entry.limits == Limits():
            by = more.get("by") or self.governor
            by.heard(target, what, calls, wait)  # type: ignore[attr-defined]
            entry.leave()
            by.over(RunId(f"r{self.numbers}"))  # type: ignore[attr-defined]
        return entry.limits

    def through(self, **more: object) -> bool:
        return self.call(**more) == Limits()  # type: ignore[arg-type]


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    made = Stand(tmp_path)
    yield made
    made.ledger.close()


# ---- places --------------------------------------------------------------------------------------------------------


def test_normal_work_takes_all_places_but_one(stand: Stand) -> None:
    held = [stand.enter() for _ in range(3)]
    assert all(one.limits == Limits() for one in held)
    full = stand.enter(run="late").limits
    assert full.busy_until is not None
    assert full == Limits(busy_until=full.busy_until)
    assert stand.enter(urgent=True).limits == Limits()
    assert stand.enter(urgent=True).limits.busy_until is not None
    assert stand.enter(OTHER).limits == Limits()


def test_who_was_put_back_is_woken_when_a_place_is_free(stand: Stand) -> None:
    entries = {f"r{n}": stand.enter(run=f"r{n}") for n in range(3)}
    for name in ("first", "second"):
        assert stand.enter(run=name).limits.busy_until is not None
    entries["r0"].leave()
    assert stand.woken == []  # its run may go on there at once
    stand.governor.over(RunId("r0"))
    assert stand.woken == ["first"]
    entries["r1"].leave()
    assert stand.enter(OTHER, run="r1").limits == Limits()  # it went on elsewhere
    assert stand.woken == ["first", "second"]


def test_an_emergency_that_was_put_back_comes_first(stand: Stand) -> None:
    entries = [stand.enter(run=f"r{n}") for n in range(3)]
    urgent = stand.enter(urgent=True, run="u0")
    for name, fire in (("a", False), ("b", True)):
        assert stand.enter(run=name, urgent=fire).limits.busy_until is not None
    urgent.leave()
    stand.governor.over(RunId("u0"))
    assert stand.woken == ["b"]
    entries[0].leave()


def test_a_target_that_fails_keeps_fewer_places_and_a_single_one_at_last(stand: Stand) -> None:
    stand.rules[API] = replace(PLAIN, concurrency=9, failures=100)
    stand.call(Heard.FAILING)
    assert sum(stand.enter().limits == Limits() for _ in range(20)) == 4
    stand.governor.heard(API, Heard.FAILING)
    stand.governor.heard(API, Heard.FAILING)
    stand.governor.heard(API, Heard.FAILING)
    assert stand.enter().limits.busy_until is not None
    assert stand.enter(urgent=True).limits == Limits()  # an emergency is not made to wait behind what hangs


def test_places_are_shared_among_replicas_that_work(stand: Stand) -> None:
    shared = stand.governor._budgets
    shared.replicas = lambda now: 2  # type: ignore[method-assign]
    assert sum(stand.enter().limits == Limits() for _ in range(9)) == 1  # half of four, one of it for emergencies


def test_a_single_place_is_for_all(stand: Stand) -> None:
    stand.rules[API] = replace(PLAIN, concurrency=1)
    entry = stand.enter()
    assert entry.limits == Limits()
    assert stand.enter().limits.busy_until is not None
    entry.leave()
    assert stand.through()


# ---- the breaker ---------------------------------------------------------------------------------------------------


def broken(stand: Stand, count: int = 3) -> None:
    for _ in range(count):
        assert stand.through(what=Heard.FAILING)


def test_it_opens_after_so_many_failures_in_a_row(stand: Stand) -> None:
    broken(stand, 2)
    assert stand.through()
    broken(stand, 3)
    held = stand.call()
    assert held.breaker_until is not None
    assert 1_000 <= held.breaker_until - stand.clock.now() <= 1_100
    assert stand.through(target=OTHER)
    [standing] = stand.governor.standings()
    assert (standing.target, standing.why, standing.failures) == (API, Why.FAILING, 3)


def test_one_call_tries_and_the_others_wait_for_what_it_says(stand: Stand) -> None:
    broken(stand)
    stand.clock.move(1_000)
    trying = stand.enter()
    assert trying.limits == Limits()
    assert stand.enter().limits.breaker_until is not None
    assert stand.enter(by=stand.second).limits.breaker_until is not None
    stand.governor.heard(API, Heard.WELL)
    trying.leave()
    assert stand.through()
    assert stand.governor.standings() == []


def test_a_failed_try_opens_it_again_for_twice_as_long(stand: Stand) -> None:
    broken(stand)
    stand.clock.move(1_000)
    assert stand.through(what=Heard.FAILING)
    assert not stand.through()
    stand.clock.move(1_999)
    assert not stand.through()
    stand.clock.move(1)
    assert stand.through()


def test_a_try_that_says_nothing_is_another_ones_turn(stand: Stand) -> None:
    broken(stand)
    stand.clock.move(1_000)
    assert stand.through(what=Heard.NOTHING)
    assert stand.through(what=Heard.WELL)


def test_a_try_whose_replica_died_is_anothers_when_its_time_is_over(stand: Stand) -> None:
    broken(stand)
    stand.clock.move(1_000)
    assert stand.enter(by=stand.second).limits == Limits()
    stand.clock.move(29_999)
    assert not stand.through()
    stand.clock.move(1)
    assert stand.through()


def test_another_replica_sees_it_open_within_a_second_and_a_restart_too(stand: Stand) -> None:
    assert stand.through(by=stand.second)
    broken(stand)
    stand.clock.move(999)
    stand.clock.ran += 1
    assert stand.enter(by=stand.second).limits.breaker_until is not None
    assert stand.enter(by=stand.made(stand.ledger)).limits.breaker_until is not None


def test_who_was_held_is_woken_when_it_closes(stand: Stand) -> None:
    broken(stand)
    assert stand.enter(run="held").limits.breaker_until is not None
    stand.governor.heard(API, Heard.WELL)  # a person tried it by hand
    assert stand.woken == ["held"]


def test_a_store_that_is_broken_holds_the_steps_that_need_it(stand: Stand) -> None:
    for _ in range(3):
        stand.call(Heard.FAILING, MAIN)
    assert stand.enter(API, also=(MAIN,)).limits.breaker_until is not None
    assert stand.enter(API).limits == Limits()


def test_an_emergency_tries_an_open_breaker_now_and_then(stand: Stand) -> None:
    broken(stand)
    stand.governor.heard(API, Heard.FAILING)
    assert stand.through(urgent=True, what=Heard.FAILING)
    held = stand.call(urgent=True)
    assert held.breaker_until is not None
    assert held.breaker_until <= stand.clock.now() + EMERGENCY_EVERY
    stand.clock.move(EMERGENCY_EVERY)
    assert stand.through(urgent=True)


# ---- what the platform asks for ------------------------------------------------------------------------------------


def test_nobody_calls_before_what_it_asked_for(stand: Stand) -> None:
    assert stand.through(what=Heard.THROTTLED, wait=7_000)
    held = stand.call()
    assert held.rate_until is not None
    assert held.rate_until - stand.clock.now() >= 7_000
    assert stand.enter(by=stand.made(stand.ledger)).limits.rate_until is not None
    stand.clock.move(7_000)
    assert stand.through()


def test_it_is_never_asked_to_wait_beyond_the_longest(stand: Stand) -> None:
    stand.call(Heard.THROTTLED, wait=86_400_000)
    stand.clock.move(PLAIN.longest)
    assert stand.through()


def test_without_a_word_it_is_waited_for_longer_each_time(stand: Stand) -> None:
    stand.rules[API] = replace(PLAIN, refusals=99)
    spans = []
    for _ in range(12):
        assert stand.through(what=Heard.THROTTLED)
        [standing] = stand.governor.standings()
        assert standing.wait_until is not None
        spans.append(standing.wait_until - stand.clock.now())
        stand.clock.move(spans[-1])
    assert spans[:3] == [2_000, 4_000, 8_000]
    assert spans[-1] == PLAIN.longest


def test_failing_with_a_word_when_to_come_again_is_waited_for(stand: Stand) -> None:
    stand.call(Heard.FAILING, wait=5_000)
    assert stand.call().rate_until is not None


def test_an_emergency_passes_what_was_asked_for_now_and_then(stand: Stand) -> None:
    stand.call(Heard.THROTTLED, wait=500_000)
    assert stand.through(urgent=True)
    held = stand.call(urgent=True)
    assert held.rate_until is not None
    assert held.rate_until <= stand.clock.now() + EMERGENCY_EVERY
    assert not stand.through()


# ---- bans ----------------------------------------------------------------------------------------------------------


def test_refusals_of_the_acting_account_in_a_row_hold_the_endpoint(stand: Stand) -> None:
    assert stand.through(what=Heard.ADMITTED)
    for _ in range(3):
        assert stand.through(what=Heard.REFUSED)
    assert not stand.through()
    [standing] = stand.governor.standings()
    assert standing.why is Why.REFUSED
    assert standing.until == stand.clock.now() + PLAIN.held_for
    assert stand.governor.worked_before(API)


def test_a_refusal_among_successes_is_no_ban(stand: Stand) -> None:
    for _ in range(9):
        assert stand.through(what=Heard.REFUSED)
        assert stand.through(what=Heard.ADMITTED)


def test_an_answer_that_lets_nobody_in_does_not_end_a_ban(stand: Stand) -> None:
    for _ in range(3):
        stand.call(Heard.REFUSED)
    stand.clock.move(PLAIN.held_for)
    assert stand.through(what=Heard.WELL)
    assert stand.governor.standings()[0].why is Why.REFUSED
    assert stand.through(what=Heard.ADMITTED)
    assert stand.governor.standings() == []


def test_throttling_in_spite_of_waiting_is_a_ban(stand: Stand) -> None:
    for _ in range(3):
        assert stand.through(what=Heard.THROTTLED, wait=2_000)
        stand.clock.move(2_000)
    [standing] = stand.governor.standings()
    assert standing.why is Why.THROTTLED
    assert not stand.through()


def test_throttlings_of_calls_that_were_under_way_together_are_one(stand: Stand) -> None:
    entries = [stand.enter() for _ in range(3)]
    for entry in entries:
        stand.governor.heard(API, Heard.THROTTLED, wait=2_000)
        entry.leave()
    assert [one.why for one in stand.governor.standings()] == [None]


# ---- tokens --------------------------------------------------------------------------------------------------------

SLOW = replace(PLAIN, rate=Rate(10, 1_000, 10))  # one in 100 ms; emergencies have two of the ten


def test_calls_beyond_the_rate_are_held_until_there_is_a_token(stand: Stand) -> None:
    stand.rules[API] = SLOW
    assert sum(stand.through() for _ in range(20)) == 8
    held = stand.call()
    assert held.rate_until is not None
    stand.clock.move(100)
    assert sum(stand.through() for _ in range(5)) == 1


def test_normal_work_does_not_use_up_what_emergencies_have(stand: Stand) -> None:
    stand.rules[API] = SLOW
    while stand.through():
        pass
    assert sum(stand.through(urgent=True) for _ in range(5)) == 2


def test_calls_in_a_step_are_charged_to_the_next(stand: Stand) -> None:
    stand.rules[API] = SLOW
    assert stand.through(calls=20)
    stand.clock.move(1_000)
    assert not stand.through()
    stand.clock.move(400)
    assert stand.through()


def test_over_two_replicas_the_bound_holds(stand: Stand) -> None:
    rate = Rate(50, 1_000, 20)
    stand.rules[API] = replace(PLAIN, rate=rate)
    begun, batch = 0, 5
    for _ in range(500):  # five seconds
        begun += stand.through() + stand.through(by=stand.second)
        stand.clock.move(10)
    assert begun <= rate.burst + 5 * rate.calls + 2 * batch
    assert begun >= 0.9 * 5 * rate.calls


def test_the_ledger_is_not_written_while_nothing_is_scarce(stand: Stand) -> None:
    before = stand.ledger.figures().items
    for _ in range(200):
        assert stand.through()
    assert stand.ledger.figures().items == before
    stand.rules[API] = replace(PLAIN, rate=Rate(1_000, 1_000, 400))
    before = stand.ledger.figures().items
    for _ in range(300):
        assert stand.through()
    assert stand.ledger.figures().items - before <= 300 / 100 + 1


def test_those_who_are_held_do_not_come_again_all_at_once(stand: Stand) -> None:
    stand.rules[API] = SLOW
    while stand.through():
        pass
    times = [stand.call().rate_until or 0 for _ in range(50)]
    assert len(set(times)) == 50
    assert max(times) - stand.clock.now() <= 40_000


# ---- repeats -------------------------------------------------------------------------------------------------------


def test_repeats_are_a_share_beside_a_few_that_are_always_there(stand: Stand) -> None:
    assert sum(stand.through(repeat=True) for _ in range(50)) == 10
    held = stand.call(repeat=True)
    assert held.repeats_until is not None
    assert stand.through()  # a first call is not held
    for _ in range(24):
        assert stand.through()
    assert sum(stand.through(repeat=True) for _ in range(50)) == 5  # a fifth of 25
    stand.clock.move(20_000)
    assert sum(stand.through(repeat=True) for _ in range(50)) == 2


def test_an_emergency_may_repeat(stand: Stand) -> None:
    while stand.through(repeat=True):
        pass
    assert stand.through(repeat=True, urgent=True)
