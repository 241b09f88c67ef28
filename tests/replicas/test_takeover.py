"""A run moves to another replica when its owner dies, hangs, or loses the ledger; nothing is done twice."""

from __future__ import annotations

import itertools
import json
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab.alerta import Alerta
from tests.lab.estate import Servers
from tests.lab.openbao import OpenBaoDev
from tests.lab.postgres import Postgres
from tests.lab.process import wait_until
from tests.lab.proxy import Event, Fault
from tests.lab.shapes import AlertaKey
from tests.lab.truth import watch

from .stand import LEASE_S, Replica, Stand

pytestmark = pytest.mark.long
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    """The ledger's server: of this file alone, since it is restarted."""
    with Postgres() as server:
        yield server


@pytest.fixture
def stand(
    tmp_path: Path, openbao: OpenBaoDev, postgres: Postgres, alerta: Alerta, database: Postgres
) -> Iterator[Stand]:
    made = Stand(tmp_path / "estate", Servers(openbao, postgres, alerta), database)
    yield made
    made.close()


@pytest.fixture
def shape(stand: Stand) -> AlertaKey:
    """A key, adopted over the first replica; both run."""
    key = AlertaKey(f"shared-{next(_numbers)}")
    key.prepare(stand.estate)
    stand.start()
    assert stand.ending(stand.open_run(stand.replicas[0], "adopt", key.name)) == "succeeded"
    watch(stand.estate, key)
    return key


def at_the_promote(stand: Stand, shape: AlertaKey, fault: Fault, hook: Callable[[Event], None]) -> None:
    path = rf"/v1/secret/data/{re.escape(stand.estate.path_of(shape.name))}$"
    stand.estate.bao.rule(fault, method="POST", path=path, times=1, seconds=0.0, hook=hook)


def promotes(stand: Stand, shape: AlertaKey) -> int:
    """How often the store was asked to change what readers find, as the proxy before it counted."""
    return stand.estate.bao.count(
        method="POST", path=rf"/v1/secret/data/{re.escape(stand.estate.path_of(shape.name))}$"
    )


def issues(stand: Stand) -> int:
    return stand.estate.web.count(method="POST", path=r"/key$")


class Struck:
    """What the hook did to whom, and when."""

    def __init__(self, stand: Stand, number: signal.Signals) -> None:
        self.stand, self.number = stand, number
        self.victim: Replica | None = None
        self.fence, self.at = 0, 0.0

    def __call__(self, event: Event) -> None:
        run, fence = self.stand.rows("SELECT id, fence FROM rotator.runs WHERE ended_at IS NULL AND owner <> ''")[0]
        victim = self.stand.owner(str(run))
        self.fence = int(fence)
        self.at = time.time()
        victim.send(self.number)
        self.victim = victim

    def seconds(self, run: str) -> float:
        """From the strike to the first row of the next owner in the journal."""
        rows = self.stand.rows("SELECT fence, at FROM rotator.journal WHERE run = %s ORDER BY sequence", run)
        seconds = float(min(at for fence, at in rows if fence > self.fence)) / 1000 - self.at
        print(f"taken over after {seconds:.2f} s (lease {LEASE_S} s)")
        return seconds


def judged(stand: Stand, shape: AlertaKey, ending: str) -> None:
    watch(stand.estate, shape)
    assert ending == "succeeded"
    assert len(shape.living(stand.estate)) == 1
    current = shape.current(stand.estate)
    assert current is not None
    assert shape.accepts(stand.estate, *current)


@pytest.mark.parametrize("fault", [Fault.ANSWER_LATE, Fault.REQUEST_LOST])
def test_another_replica_takes_over_from_a_killed_one(stand: Stand, shape: AlertaKey, fault: Fault) -> None:
    struck = Struck(stand, signal.SIGKILL)
    at_the_promote(stand, shape, fault, struck)
    before = promotes(stand, shape)
    run = stand.open_run(stand.replicas[0], "rotate", shape.name)
    ending = stand.ending(run)
    assert struck.victim is not None
    assert struck.seconds(run) <= LEASE_S + 1.0
    assert promotes(stand, shape) - before == (1 if fault is Fault.ANSWER_LATE else 2)
    judged(stand, shape, ending)


def test_one_that_hung_does_nothing_when_it_comes_back(stand: Stand, shape: AlertaKey) -> None:
    struck = Struck(stand, signal.SIGSTOP)
    at_the_promote(stand, shape, Fault.ANSWER_LATE, struck)
    before, made = promotes(stand, shape), issues(stand)
    run = stand.open_run(stand.replicas[0], "rotate", shape.name)
    ending = stand.ending(run)
    assert struck.victim is not None
    assert struck.seconds(run) <= LEASE_S + 1.0
    rows, calls = stand.fences(run), len(stand.estate.web.log)
    struck.victim.send(signal.SIGCONT)
    victim = struck.victim
    wait_until(lambda: "engine.run.lease_lost" in victim.log.read_text(), "the stale one hears it", 30)
    assert stand.fences(run) == rows
    assert rows == sorted(rows)
    assert len(stand.estate.web.log) == calls
    assert (promotes(stand, shape) - before, issues(stand) - made) == (1, 1)
    judged(stand, shape, ending)


def test_a_restart_of_the_database_in_mid_run_is_ridden_out(stand: Stand, shape: AlertaKey, database: Postgres) -> None:
    before = promotes(stand, shape)

    def restart(event: Event) -> None:
        database.stop("immediate")
        database.start()

    at_the_promote(stand, shape, Fault.ANSWER_LATE, restart)
    run = stand.open_run(stand.replicas[0], "rotate", shape.name)
    ending = stand.ending(run)
    assert promotes(stand, shape) - before == 1
    rows = stand.rows(
        "SELECT fence, event FROM rotator.journal WHERE run = %s AND event LIKE '%%promote%%' ORDER BY sequence", run
    )
    (intended, outcome) = [(fence, json.loads(event)) for fence, event in rows]
    assert intended[0] == outcome[0], "its owner kept it over the restart"
    assert "done" in json.dumps(outcome[1]), "and could record what came out"
    judged(stand, shape, ending)


def test_one_that_loses_the_ledger_but_not_the_platforms_is_replaced(stand: Stand, shape: AlertaKey) -> None:
    cut: list[Replica] = []

    def away(event: Event) -> None:
        (run,) = stand.rows("SELECT id FROM rotator.runs WHERE ended_at IS NULL AND owner <> ''")[0]
        cut.append(stand.owner(str(run)))
        cut[0].ledger.refuse()

    at_the_promote(stand, shape, Fault.ANSWER_LATE, away)
    before, made = promotes(stand, shape), issues(stand)
    run = stand.open_run(stand.replicas[0], "rotate", shape.name)
    ending = stand.ending(run)
    rows = stand.fences(run)
    cut[0].ledger.accept()
    wait_until(lambda: cut[0].ask("GET", "/v1/status")[0] == 200, "the one that was cut off answers again", 60)
    assert stand.fences(run) == rows
    assert (promotes(stand, shape) - before, issues(stand) - made) == (1, 1)
    judged(stand, shape, ending)
