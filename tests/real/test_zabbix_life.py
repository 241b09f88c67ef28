"""A Zabbix token's whole life by the real daemon: adopted, rotated, gone back, contained, retired; and lost answers.

A real OpenBao holds the values, a real Zabbix makes and judges them; everything is done with the `rotator` command.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.lab.estate import Servers, Tempo
from tests.lab.process import wait_until
from tests.lab.proxy import Fault
from tests.lab.shapes import staged
from tests.lab.shapes_zabbix import CREATE, DELETE, FAULTS, GENERATE
from tests.lab.zabbix import ADMIN, SUPER_ADMIN, USER_ROLE, Zabbix
from tests.leaks.test_a_whole_life import places, search
from tests.real.zabbix_life import WHY, Life, adopted

pytestmark = [pytest.mark.real("zabbix"), pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def site(real_server: Callable[..., Any], servers: Servers) -> tuple[Servers, Zabbix]:
    return servers, real_server("zabbix", servers.postgres)


@pytest.fixture
def begin(tmp_path: Path, site: tuple[Servers, Zabbix]) -> Iterator[Callable[..., Life]]:
    with ExitStack() as stack:

        def one(tempo: Tempo | None = None, **options: Any) -> Life:
            life = adopted(tmp_path / "e", site, tempo, **options)
            stack.callback(life.estate.close)
            return life

        yield one


@pytest.fixture(scope="module")
def lives() -> Iterator[list[Life]]:
    """The life that tests hand on to each other while they leave it as they found it; a broken one is replaced."""
    shared: list[Life] = []
    yield shared
    for life in shared:
        life.estate.close()


@pytest.fixture
def life(lives: list[Life], tmp_path: Path, site: tuple[Servers, Zabbix]) -> Iterator[Life]:
    if not lives:
        lives.append(adopted(tmp_path / "e", site))
    mine = lives.pop()
    try:
        yield mine
        mine.estate.clear_faults()
        mine.assert_only_current_lives()
    except BaseException:
        mine.estate.close()
        raise
    lives.append(mine)


def test_adopted_rotated_contained_and_retired(begin: Callable[..., Life]) -> None:
    life = begin(log_level="debug")
    first = life.value()
    assert life.alive() == ["first token of monitoring"]

    run = life.rotate()
    assert (run["ending"], life.shape.refusal(life.estate, life.shape.user, first)) == (
        "succeeded", "200 -32602 Not authorized.",
    )  # fmt: skip
    life.assert_only_current_lives()
    (name,) = life.alive()
    assert name.startswith(f"rot-{life.estate.installation}-")

    second = life.value()
    life.rotator("emergency", life.shape.name, "--mode", "contain", *WHY, "--yes", "--wait")
    assert life.estate.runs(life.shape.name)[0]["ending"] == "succeeded"
    assert life.value() not in {first, second}
    assert not life.shape.zabbix.accepts(second)
    life.assert_only_current_lives()

    third = life.value()
    flow = f"flow-{life.shape.name}"
    life.rotator("retire", flow, *WHY, "--apply", "--confirm", flow, "--wait")
    assert not life.shape.zabbix.accepts(third)
    assert life.alive() == []
    assert life.shape.current(life.estate) is None
    assert life.fields() == {"url": life.shape.zabbix.url}
    assert list(staged(life.estate, life.shape.name)) == []

    canaries = {first, second, third, life.shape.zabbix.admin_token}
    searched = list(places(life.estate))
    assert {"ledger.db", "daemon.log", "/proc/environ"} <= {name for name, _ in searched}
    assert list(search(canaries, searched)) == []


def test_going_back_during_the_overlap_kills_the_new_token(begin: Callable[..., Life]) -> None:
    life = begin(Tempo(overlap="5s"))
    first = life.value()
    life.rotator("rotate", life.shape.name, *WHY, "--yes", "--no-wait")
    run: dict[str, Any] = {}

    def overlapping() -> bool:
        run.update(life.estate.runs(life.shape.name)[0])
        return "overlap" in run["display"] or run["ended"] is not None

    wait_until(overlapping, "the overlap", 60)
    assert run["ended"] is None
    second = life.value()
    assert life.shape.zabbix.accepts(first)
    assert life.shape.zabbix.accepts(second)
    life.rotator("runs", "back", run["id"], *WHY, "--no-wait")
    assert life.estate.settled(life.shape.name)["ending"] == "rolled_back"
    assert (life.value(), life.alive()) == (first, ["first token of monitoring"])
    assert not life.shape.zabbix.accepts(second)
    life.assert_only_current_lives()


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_lost_answer_leaves_nothing_alive_that_nobody_knows(life: Life, fault: dict[str, Any]) -> None:
    """Whatever became of it, the run ends with one living token: the store's current one."""
    first = life.value()
    rule = life.proxy.rule(**fault)
    life.rotator("rotate", life.shape.name, *WHY, "--yes", "--no-wait")
    run = life.estate.settled(life.shape.name)
    assert rule.struck == 1
    life.proxy.wait_idle()
    assert run["question"] is None, run
    assert run["ending"] in {"succeeded", "rolled_back"}, life.estate.complaints()
    if run["ending"] == "succeeded":
        assert life.value() != first
        assert not life.shape.zabbix.accepts(first)
    else:
        assert life.value() == first
        life.rotate()
    life.assert_only_current_lives()


@pytest.mark.parametrize("content", [CREATE, GENERATE, DELETE], ids=["record", "value", "delete"])
def test_a_daemon_that_died_after_the_call_carries_on(life: Life, content: bytes) -> None:
    """The server has done it, the daemon is dead before the answer: the next one looks, and makes another."""
    first = life.value()
    rule = life.proxy.rule(
        Fault.ANSWER_LOST, content=content, times=1, hook=lambda event: life.estate.daemon.end(signal.SIGKILL)
    )
    life.rotator("rotate", life.shape.name, *WHY, "--yes", "--no-wait")
    wait_until(lambda: rule.struck == 1 and not life.estate.daemon.running, "the end of the daemon", 30)
    life.estate.start()
    run = life.estate.settled(life.shape.name)
    assert (run["ending"], run["question"]) == ("succeeded", None), life.estate.complaints()
    assert life.value() != first
    assert not life.shape.zabbix.accepts(first)


def test_an_admin_who_loses_his_role_is_asked_for_and_nothing_is_taken_for_gone(life: Life) -> None:
    """After the new token was made its maker sees an empty list; the old one must not be believed dead by it."""
    zabbix, first = life.shape.zabbix, life.value()
    (admin,) = zabbix.call("user.get", {"filter": {"username": ADMIN}, "output": ["userid"]})
    boss = zabbix.create_token(zabbix.create_user(f"boss-{life.estate.tag}", SUPER_ADMIN), "boss")[1]

    def role(roleid: str) -> None:
        zabbix.call("user.update", {"userid": admin["userid"], "roleid": roleid}, auth=boss)

    rule = life.proxy.rule(Fault.DELAY, content=GENERATE, times=1, seconds=0.1, hook=lambda event: None)
    life.rotator("rotate", life.shape.name, *WHY, "--yes", "--no-wait")
    wait_until(lambda: rule.struck == 1 and life.value() != first, "the new value", 30)
    role(USER_ROLE)
    try:
        run = life.estate.settled(life.shape.name)
        assert run["ended"] is None, run
        assert run["question"]["detail"] == "not_super_admin", run["question"]
        assert zabbix.accepts(first)
        assert zabbix.accepts(life.value())
    finally:
        role(SUPER_ADMIN)
    life.rotator("runs", "answer", run["id"], "retry", *WHY, "--no-wait")
    assert life.estate.settled(life.shape.name)["ending"] == "succeeded"
    assert not zabbix.accepts(first)
