"""Somebody sets the clock back between two runs: facts have instants of the run before, and the newest run is found by
when it was opened."""

from __future__ import annotations

from pathlib import Path

from rotator.engine.inventory import CredentialId
from rotator.machine.facts import Ending
from tests.unit.engine_bench import DAY, Bench, credential

HOUR = 3_600_000
ALPHA = CredentialId("alpha")


def test_a_run_is_never_earlier_than_the_one_before_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path, credential())
    try:
        bench.adopted()
        first = bench.rotate()
        assert bench.finish(first).ending is Ending.SUCCEEDED
        ended = bench.ledger.journal(first)[-1].at
        bench.clock.move(-3 * HOUR)
        second = bench.rotate()
        assert [one.id for one in bench.ledger.runs(credential=ALPHA, limit=2)] == [second, first]
        assert bench.run(second).opened_at > ended
        assert bench.finish(second).ending is Ending.SUCCEEDED
        instants = [entry.at for run in (first, second) for entry in bench.ledger.journal(run)]
        assert instants == sorted(instants)
    finally:
        bench.close()


def test_it_is_worked_at_once_and_not_when_the_clock_has_caught_up(tmp_path: Path) -> None:
    bench = Bench(tmp_path, credential())
    try:
        bench.adopted()
        bench.finish(bench.rotate())
        bench.clock.move(-2 * DAY)
        run = bench.rotate()
        assert bench.work() > 0
        assert len(bench.ledger.journal(run)) > 1
    finally:
        bench.close()
