"""The real daemon over raft clusters of OpenBao: sealed, and its leader changed, in the middle of a run.

The daemon speaks to one node only, as it would to one address. At the promote (the write that readers see) the node
is sealed, loses the lead or is killed; the run waits, goes on when it can, and the servers themselves are asked then.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab.alerta import Alerta
from tests.lab.estate import Estate, Servers, Tempo
from tests.lab.openbao import OpenBaoCluster, OpenBaoRaft
from tests.lab.postgres import Postgres
from tests.lab.process import wait_until
from tests.lab.proxy import Event, Fault
from tests.lab.shapes import AlertaKey, Roles, Shape
from tests.lab.truth import violations, watch

pytestmark = pytest.mark.long

PATIENT = Tempo(
    deadline="5s",
    patience={"attempts": 100, "span": "3m"},
    kill_patience={"attempts": 100, "span": "3m"},
)
"""An election takes 10 s after a step-down: nobody shall run out of patience meanwhile."""

_numbers = itertools.count(1)
"""Names are new in each test: all of them share the servers."""


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[OpenBaoCluster, Postgres, Alerta]]:
    with OpenBaoCluster() as cluster, Postgres() as postgres, Alerta(postgres) as alerta:
        yield cluster, postgres, alerta


class Bench:
    """An estate on the present leader, with both shapes adopted."""

    def __init__(self, servers: tuple[OpenBaoCluster, Postgres, Alerta], folder: Path) -> None:
        self.cluster, postgres, alerta = servers
        self.node: OpenBaoRaft = self.cluster.leader
        self.estate = Estate(folder, Servers(self.node, postgres, alerta), PATIENT)
        number = next(_numbers)
        self.shapes: list[Shape] = [AlertaKey(f"key-{number}"), Roles(f"pair-{number}", alternating=True)]
        for shape in self.shapes:
            shape.prepare(self.estate)
        self.estate.start()
        names = [shape.name for shape in self.shapes]
        ran = self.estate.rotator("adopt", *names, "--wait", "--reason", "cluster")
        assert ran.code == 0, ran.out + ran.err

    def at_the_promote(self, shape: Shape, fault: Fault, strike: Callable[[Event], None]) -> None:
        """Strike once, at the promote of this shape."""
        path = rf"/v1/secret/data/{self.estate.path_of(shape.name)}$"
        self.estate.bao.rule(
            fault, method="POST", path=path, times=1, seconds=0.0 if fault is Fault.DELAY else None, hook=strike
        )

    def rotate(self, shape: Shape) -> None:
        """Begin."""
        status, answer = self.estate.ask(
            "POST", "/v1/rotate", {"selection": {"ids": [shape.name]}, "reason": "cluster"}
        )
        assert status == 200, answer

    def healed(self) -> None:
        """Wait until one node leads and the others follow."""
        whole = [200, *[429] * (len(self.cluster.nodes) - 1)]
        wait_until(lambda: sorted(one.health() for one in self.cluster.nodes) == whole, "the cluster", 60)

    def judge(self, shape: Shape) -> str:
        """The ending, and what the servers say; the run's journal as text."""
        run = self.estate.settled(shape.name, 150)
        self.healed()
        shown = self.estate.rotator("runs", "show", run["id"])
        assert (run["ending"], run["question"]) == ("succeeded", None), shown.out + self.estate.complaints()
        assert violations(self.estate, shape, run) == []
        return shown.out


@pytest.fixture
def bench(servers: tuple[OpenBaoCluster, Postgres, Alerta], tmp_path: Path) -> Iterator[Bench]:
    made = Bench(servers, tmp_path / "estate")
    try:
        yield made
    finally:
        made.estate.close()
        made.healed()


@pytest.mark.parametrize("number", [0, 1], ids=["key", "pair"])
@pytest.mark.parametrize("fault", [Fault.DELAY, Fault.ANSWER_LOST], ids=["before the promote", "answer lost"])
def test_leader_that_changes_in_mid_run(bench: Bench, number: int, fault: Fault) -> None:
    shape = bench.shapes[number]
    bench.at_the_promote(shape, fault, lambda _: bench.node.step_down())
    bench.rotate(shape)
    journal = bench.judge(shape)
    assert bench.estate.bao.count(fault) == 1
    # Either the run met the election and waited, or the store found out within the step what became of its write.
    assert fault is Fault.ANSWER_LOST or re.search(r"tried again later \((store_no_leader|server_error)\)", journal)


@pytest.mark.parametrize("number", [0, 1], ids=["key", "pair"])
def test_node_that_is_sealed_in_mid_run_is_waited_for(bench: Bench, number: int) -> None:
    shape = bench.shapes[number]
    bench.at_the_promote(shape, Fault.DELAY, lambda _: bench.node.admin.seal())
    bench.rotate(shape)
    wait_until(lambda: bench.estate.bao.count(Fault.DELAY) == 1, "the promote", 60)
    wait_until(lambda: "store_sealed" in bench.estate.rotator("runs", "list").out or sealed(bench, shape), "sealed", 60)
    watch_nothing_moves(bench, shape)
    bench.node.unseal()
    assert "store_sealed" in bench.judge(shape)


def sealed(bench: Bench, shape: Shape) -> bool:
    """Whether the run has met the seal."""
    (run, *_) = bench.estate.runs(shape.name)
    return "store_sealed" in bench.estate.rotator("runs", "show", run["id"]).out


def watch_nothing_moves(bench: Bench, shape: Shape) -> None:
    """While nobody can read the store, both values live at the platform: nothing was revoked."""
    assert len(shape.living(bench.estate)) == 2


def test_node_that_is_killed_in_mid_run(bench: Bench) -> None:
    """kill -9 of the leader at the promote, and its return: the static seal opens itself."""
    shape = bench.shapes[0]

    def strike(_event: Event) -> None:
        bench.node.kill()

    bench.at_the_promote(shape, Fault.DELAY, strike)
    bench.rotate(shape)
    wait_until(lambda: not bench.node.running, "the death", 60)
    watch_nothing_moves(bench, shape)
    bench.node.start()
    bench.judge(shape)
    watch(bench.estate, shape)


def test_sealed_node_of_three_is_waited_for_while_another_leads(tmp_path: Path) -> None:
    """The others go on and may change what we know; ours comes back as a follower, whose data may be old."""
    with OpenBaoCluster(size=3) as cluster, Postgres() as postgres, Alerta(postgres) as alerta:
        bench = Bench((cluster, postgres, alerta), tmp_path / "estate")
        try:
            shape = bench.shapes[1]
            bench.at_the_promote(shape, Fault.ANSWER_LOST, lambda _: bench.node.admin.seal())
            bench.rotate(shape)
            others = [one for one in cluster.nodes if one is not bench.node]
            wait_until(lambda: sorted(one.health() for one in others) == [200, 429], "another leader", 60)
            wait_until(lambda: sealed(bench, shape), "the seal to be met", 60)
            assert bench.node.health() == 503
            bench.node.unseal()
            assert "store_sealed" in bench.judge(shape)
            assert bench.node.health() == 429
        finally:
            bench.estate.close()
