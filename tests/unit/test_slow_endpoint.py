"""One slow, dead or full endpoint delays no other: real servers, and the parts of a daemon as they are shipped."""

from __future__ import annotations

from pathlib import Path

from rotator.engine.protection import Rate, Rules
from rotator.machine.facts import Ending, RunKind
from tests.unit.many_endpoints import Crowd, crowd, until


def rotated(stand: Crowd, names: list[str], seconds: float) -> None:
    runs = [stand.open(name) for name in names]
    stand.tick.wake()
    assert stand.ended(runs, seconds), {run: stand.row(run).held_why for run in runs}
    assert {stand.row(run).ending for run in runs} == {Ending.SUCCEEDED}


def test_others_finish_while_one_hangs_and_it_holds_a_few_workers_only(tmp_path: Path) -> None:
    with crowd(tmp_path, 21, workers=8, each=1, deadline=20_000) as stand:
        dead = stand.accounts["e00"][0]
        dead.hangs.set()
        hanging = stand.open("e00")
        stand.tick.wake()
        assert until(lambda: dead.now >= 1, 10)
        rotated(stand, [f"e{n:02}" for n in range(1, 21)], 60)
        assert stand.row(hanging).ended_at is None
        assert dead.now == 1
        dead.recover()
        assert stand.ended([hanging], 60)


def test_many_runs_of_a_hanging_endpoint_are_put_back_and_wait_in_no_thread(tmp_path: Path) -> None:
    rules = Rules(concurrency=4, failures=100)
    with crowd(tmp_path, 3, workers=8, each=12, rules=rules, deadline=20_000) as stand:
        dead = stand.accounts["e00"][0]
        dead.hangs.set()
        names = ["e00", *(f"e00-{n}" for n in range(1, 12))]
        hanging = [stand.open(name) for name in names]
        stand.tick.wake()
        assert until(lambda: dead.now == 3, 10)  # four places, one of them for emergencies
        assert until(lambda: sum(stand.row(run).held_why == "busy" for run in hanging) == 9, 10)
        assert stand.workers.free() >= 4
        rotated(stand, ["e01", "e02"], 60)
        emergency = stand.open("e01", RunKind.OVERLAP)
        stand.tick.wake()
        assert stand.ended([emergency], 60)
        assert dead.most == 3


def test_a_full_endpoint_is_worked_off_without_a_tick(tmp_path: Path) -> None:
    with crowd(tmp_path, 1, workers=8, each=20, pause=0.02, rules=Rules(concurrency=3)) as stand:
        rotated(stand, ["e00", *(f"e00-{n}" for n in range(1, 20))], 60)
        assert stand.accounts["e00"][0].most == 2


def test_calls_keep_to_the_rate_and_all_runs_end(tmp_path: Path) -> None:
    rules = Rules(concurrency=4, rate=Rate(40, 1_000, 10))
    with crowd(tmp_path, 1, workers=8, each=8, rules=rules) as stand:
        times = stand.accounts["e00"][0].times
        del times[:]
        rotated(stand, ["e00", *(f"e00-{n}" for n in range(1, 8))], 60)
    assert len(times) > 20
    batch, more = 2, 4 * 2  # four steps under way, of two calls each beyond their token
    for first, at in enumerate(times):
        for last in range(first, len(times)):
            assert last - first + 1 <= 10 + 40 * (times[last] - at) + batch + more


def test_an_endpoint_that_dies_is_left_alone_and_goes_on_when_it_answers(tmp_path: Path) -> None:
    rules = Rules(concurrency=4, failures=2, open_for=300)
    with crowd(tmp_path, 2, workers=8, rules=rules, deadline=300) as stand:
        dead = stand.accounts["e00"][0]
        dead.hangs.set()
        run = stand.open("e00")
        stand.tick.wake()
        assert until(lambda: stand.row(run).held_why == "breaker", 20)
        [standing] = stand.governor.standings()
        assert str(standing.target) == "endpoint:e00"
        rotated(stand, ["e01"], 60)
        dead.recover()
        assert stand.ended([run], 60)
        assert stand.governor.standings() == []
