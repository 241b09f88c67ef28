"""The emergency lane, the alarm, and which endpoint or store a step means."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rotator.daemon.alarm import Alarm
from rotator.daemon.clock import SystemClock
from rotator.daemon.limits import Gate, is_urgent, targets_of
from rotator.daemon.metrics import render
from rotator.daemon.postroom import told_of
from rotator.daemon.workers import Workers, reserved_of
from rotator.engine.governor import Governor
from rotator.engine.ports import Claim, RunId
from rotator.engine.protection import Heard, Rules, Standing, Why, endpoint, store
from rotator.machine.facts import Facts, LegName, Run, RunKind
from rotator.machine.ids import ConsumerId, Gen, Home
from rotator.machine.steps import OutcomeKind, Step, StepKind
from tests.unit.engine_bench import T0, Bench, credential
from tests.unit.many_endpoints import until

HOME = Home("api", "svc")
CLAIM = Claim(RunId("r"), 1, 0)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, credential("alpha", consumer=True), credential("beta"))
    yield made
    made.close()


# ---- workers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "reserved"), [(1, 0), (2, 1), (8, 1), (16, 2), (64, 8)])
def test_one_worker_of_eight_is_for_emergencies(count: int, reserved: int) -> None:
    assert reserved_of(count) == reserved


def test_normal_work_never_takes_the_reserved_workers() -> None:
    go = threading.Event()

    def work(claim: Claim) -> None:
        go.wait(10)

    workers = Workers(8, work, lambda claim: None)
    workers.start()
    assert (workers.free(), workers.free(urgent=True)) == (7, 8)
    for _ in range(7):
        workers.submit(CLAIM)
    assert (workers.free(), workers.free(urgent=True)) == (0, 1)
    workers.submit(CLAIM)
    assert (workers.free(), workers.free(urgent=True)) == (0, 0)
    go.set()
    assert until(workers.idle, 5)
    workers.stop()


def test_a_worker_that_is_free_asks_for_more_and_survives_what_that_raises() -> None:
    asked = []

    def more() -> None:
        asked.append(workers.free(urgent=True))
        raise ValueError("canary-in-the-tick")

    workers = Workers(1, lambda claim: None, lambda claim: None, more)
    workers.start()
    for _ in range(2):
        workers.submit(CLAIM)
        assert until(workers.idle, 5)
    assert until(lambda: asked == [1, 1], 5)
    workers.stop()


def test_the_tick_gives_emergencies_to_reserved_workers_when_the_others_are_busy(bench: Bench) -> None:
    for name in ("alpha", "beta"):
        bench.adopted(name)
    bench.tick._free, bench.tick._free_urgent = lambda: 0, lambda: 1 - len(bench.claims)
    bench.rotate("alpha")
    assert bench.claims == []
    run = bench.opener.open(bench.row("beta").definition.id, order(RunKind.OVERLAP))
    bench.tick.hand_out()
    assert [claim.run for claim in bench.claims] == [run]


def order(kind: RunKind):  # type: ignore[no-untyped-def]
    from rotator.engine.opening import Order

    return Order(kind, "ann", "test")


# ---- the alarm -----------------------------------------------------------------------------------------------------


def test_it_rings_at_the_earliest_instant_and_not_for_what_is_the_ticks() -> None:
    rings: list[int] = []
    clock = SystemClock()
    alarm = Alarm(lambda: rings.append(clock.now()), clock, beyond=5_000)
    alarm.start()
    now = clock.now()
    alarm.set(now + 60_000)
    alarm.set(now + 4_000)
    alarm.set(now + 100)
    assert until(lambda: len(rings) == 1, 5)
    assert 95 <= rings[0] - now <= 2_000
    assert not until(lambda: len(rings) > 1, 0.3)
    alarm.stop()


def test_it_goes_on_after_a_ring_that_raised() -> None:
    rings: list[int] = []

    def ring() -> None:
        rings.append(1)
        raise ValueError("canary-in-a-ring")

    clock = SystemClock()
    alarm = Alarm(ring, clock, beyond=5_000)
    alarm.start()
    for count in (1, 2):
        alarm.set(clock.now())
        assert until(lambda count=count: len(rings) == count, 5)  # type: ignore[misc]
    alarm.stop()


# ---- the gate ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "targets"),
    [
        (Step(StepKind.READ_CURRENT), (store("main"),)),
        (Step(StepKind.PROMOTE, Gen(2)), (store("main"),)),
        (Step(StepKind.STAGE, Gen(2), HOME), (store("main"),)),
        (Step(StepKind.INSTALL, Gen(2), HOME), (endpoint("api"), store("main"))),
        (Step(StepKind.ISSUE, Gen(2), HOME), (endpoint("api"), store("main"))),
        (Step(StepKind.VERIFY, Gen(2), HOME), (endpoint("api"), store("main"))),
        (Step(StepKind.REVOKE, Gen(1), HOME), (endpoint("api"),)),
        (Step(StepKind.LIST, home=HOME), (endpoint("api"),)),
        (Step(StepKind.PUSH, Gen(2), consumer=ConsumerId("files/file/a")), (endpoint("files"), store("main"))),
        (Step(StepKind.UNPUSH, consumer=ConsumerId("files/file/a")), (endpoint("files"),)),
    ],
)
def test_what_a_step_calls_and_what_it_needs_by_the_way(bench: Bench, step: Step, targets: object) -> None:
    bench.adopted()
    assert targets_of(bench.run(bench.rotate()), step) == targets


def test_a_run_that_was_told_to_contain_is_an_emergency(bench: Bench) -> None:
    bench.adopted()
    run = bench.run(bench.rotate())
    assert not is_urgent(run, Facts())
    assert is_urgent(run, Facts(run=Run(RunKind.ROTATE, (LegName.CONTAIN,))))
    assert is_urgent(replace(run, kind=RunKind.RETIRE), Facts())


def test_nothing_is_intended_while_the_endpoint_is_left_alone_and_explain_says_so(bench: Bench) -> None:
    bench.adopted()
    governor = Governor(bench.ledger.budgets(), bench.clock, lambda target: Rules(failures=2, open_for=5_000))
    bench.runner._enter = Gate(governor)
    for _ in range(2):
        governor.heard(endpoint("api"), Heard.FAILING)
    run = bench.rotate()
    bench.work()
    assert bench.run(run).held_why == "breaker"
    assert all(one.step.home is None for one in bench.intents(run))  # the store was read
    bench.standings = list(governor.standings())
    assert bench.service.explain("alpha")["held_says"] == "the endpoint's or store's circuit breaker is open"
    [held] = bench.service.status()["held"]
    assert (held["sort"], held["name"], held["why"]) == ("endpoint", "api", "failing")
    bench.clock.move(5_000)
    for _ in range(3):
        governor.heard(endpoint("api"), Heard.WELL)
    assert bench.finish(run).ending is not None


def test_a_step_that_failed_before_is_a_repeat(bench: Bench) -> None:
    bench.adopted()
    asked = []

    class Asking(Governor):
        def enter(self, ask, now):  # type: ignore[no-untyped-def]
            asked.append((ask.main.name, ask.repeat))
            return super().enter(ask, now)

    bench.runner._enter = Gate(Asking(bench.ledger.budgets(), bench.clock, lambda target: Rules()))
    fails = iter([OutcomeKind.FAILED, OutcomeKind.FAILED])
    bench.world.script[StepKind.VERIFY] = lambda work: next(fails, None)
    bench.finish(bench.rotate())
    assert [one for one in asked if one == ("api", True)] == [("api", True)] * 2


# ---- told ----------------------------------------------------------------------------------------------------------


def test_a_breaker_is_a_ticket_and_a_ban_a_page_each_told_once_while_it_lasts() -> None:
    failing = Standing(endpoint("api"), Why.FAILING, 10, T0, T0 + 5, 1)
    banned = replace(failing, why=Why.REFUSED, opened=2, until=T0 + 99)
    again = replace(banned, opened=3, until=T0 + 500)
    told = list(told_of([failing, banned, again, Standing(endpoint("b"), wait_until=T0 + 9)], T0))
    assert [one.event for one in told] == ["breaker_open", "ban_suspected", "ban_suspected"]
    assert told[1].key == told[2].key != told[0].key
    assert ("endpoint", "api") in told[1].facts


def test_metrics_show_what_is_left_alone_and_who_waits(bench: Bench) -> None:
    governor = Governor(bench.ledger.budgets(), bench.clock, lambda target: Rules(failures=1, open_for=5_000))
    governor.heard(endpoint("api"), Heard.FAILING)
    governor.heard(endpoint("db"), Heard.THROTTLED, wait=7_000)
    text = render(bench.ledger, bench.clock, bench.tick, False, governor=governor)
    assert 'rotator_endpoint_breaker{sort="endpoint",name="api",reason="failing"} 1' in text
    assert 'rotator_endpoint_held_seconds{sort="endpoint",name="api",reason="failing"} 5.0' in text
    assert 'rotator_endpoint_held_seconds{sort="endpoint",name="db",reason="asked"} 7.0' in text
    assert 'rotator_endpoint_steps{sort="endpoint",name="api"} 0' in text
