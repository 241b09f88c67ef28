"""The life of a Request Tracker password by the real daemon: adopted, rotated, gone back, contained, retired.

A real OpenBao holds the values, a real Request Tracker judges them; everything is done with the `rotator` command.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.alerta import Alerta
from tests.lab.estate import Estate, Servers, Tempo
from tests.lab.openbao import OpenBaoDev
from tests.lab.postgres import Postgres
from tests.lab.process import wait_until
from tests.lab.proxy import Answer, Fault, Proxy
from tests.lab.request_tracker import ADMIN, WRONG_PASSWORD, RequestTracker
from tests.lab.shapes import staged, stored
from tests.lab.shapes_request_tracker import DEADLINE, ENDPOINT, FAULTS, WHO, TrackerPassword, tracker_proxy

pytestmark = [pytest.mark.real("request-tracker"), pytest.mark.timeout(300)]
WHY = ("--reason", "test")
REFUSED = f"401 Credentials required: {WRONG_PASSWORD}"


class Life:
    """One password in an estate, adopted and running."""

    def __init__(self, estate: Estate, shape: TrackerPassword, proxy: Proxy) -> None:
        self.estate, self.shape, self.proxy = estate, shape, proxy

    def rotator(self, *arguments: str, code: int = 0) -> str:
        """A command, which must end with `code`; what it printed."""
        ran = self.estate.rotator(*arguments)
        assert ran.code == code, f"{arguments}: {ran.code}\n{ran.out}{ran.err}\n{self.estate.complaints()}"
        return ran.out + ran.err

    def rotate(self) -> dict[str, Any]:
        """One rotation by hand, to its end or its question; its run."""
        self.rotator("rotate", self.shape.name, *WHY, "--yes", "--no-wait")
        return self.estate.settled(self.shape.name)

    @property
    def user(self) -> str:
        """The user of readers, or of all that had been."""
        current = self.shape.current(self.estate)
        return current[0] if current is not None else self.shape.users(self.estate)[0]

    def value(self) -> str:
        """What readers of the store find."""
        current = self.shape.current(self.estate)
        assert current is not None
        return current[1]

    def refusal(self, value: str, user: str = "") -> str:
        """RT's own words about a value of the user, asked past Rotator; empty if it lives."""
        return self.shape.refusal(self.estate, user or self.user, value)

    def debts(self) -> list[dict[str, Any]]:
        """What the ledger says is owed."""
        return list(self.estate.ask("GET", f"/v1/debts?credential={self.shape.name}")[1]["items"])

    def assert_current_lives(self) -> None:
        """Readers find a password that works, its user and the neighbour field; nothing is owed."""
        assert self.refusal(self.value()) == ""
        assert (stored(self.estate, self.shape.name) or {})["url"] == self.shape.tracker.url
        assert self.debts() == []
        assert {value for _, value in staged(self.estate, self.shape.name)} <= {self.value()}

    def written(self) -> bytes:
        """Every byte of the daemon's log and ledger."""
        files = self.estate.folder.iterdir()
        return b"".join(one.read_bytes() for one in files if one.name.startswith(("ledger.db", "daemon.log")))


@pytest.fixture(scope="module")
def tracker(real_server: Callable[..., Any]) -> RequestTracker:
    server = real_server("request-tracker")
    assert isinstance(server, RequestTracker)
    return server


Begin = Callable[..., Life]


@pytest.fixture(scope="module")
def begin(
    tmp_path_factory: pytest.TempPathFactory,
    tracker: RequestTracker,
    openbao: OpenBaoDev,
    postgres: Postgres,
    alerta: Alerta,
) -> Iterator[Begin]:
    estates: list[Estate] = []

    def adopted(*, alternating: bool = False, **tempo: Any) -> Life:
        folder: Path = tmp_path_factory.mktemp("estate")
        calm = {"deadline": DEADLINE, "patience": {"attempts": 4, "span": "8s"}}
        estate = Estate(folder / "e", Servers(openbao, postgres, alerta), Tempo(**{**calm, **tempo}))
        estates.append(estate)
        shape = TrackerPassword("desk", tracker, alternating)
        shape.prepare(estate)
        estate.start()
        life = Life(estate, shape, tracker_proxy(estate, tracker))
        life.rotator("adopt", shape.name, *WHY, "--wait")
        return life

    yield adopted
    for estate in estates:
        estate.close()


def test_adopted_rotated_contained_and_retired(begin: Begin, tracker: RequestTracker) -> None:
    life = begin()
    first = life.value()
    assert life.refusal(first) == "", "adopting changes nothing"
    assert ADMIN in life.rotator("plugins", "try", ENDPOINT)

    run = life.rotate()
    assert (run["kind"], run["ending"], run["debts"]) == ("rotate", "succeeded", [])
    second = life.value()
    assert life.refusal(first) == REFUSED
    life.assert_current_lives()

    life.rotator("emergency", life.shape.name, "--mode", "contain", *WHY, "--yes", "--wait")
    assert life.estate.runs(life.shape.name)[0]["ending"] == "succeeded"
    third = life.value()
    assert len({first, second, third}) == 3
    assert life.refusal(second) == REFUSED
    life.assert_current_lives()

    flow = f"flow-{life.shape.name}"
    life.rotator("retire", flow, *WHY, "--apply", "--confirm", flow, "--wait")
    assert life.estate.runs(life.shape.name)[0]["ending"] == "succeeded"
    assert life.refusal(third) == REFUSED
    assert life.shape.current(life.estate) is None
    assert stored(life.estate, life.shape.name) == {"url": tracker.url}
    assert list(staged(life.estate, life.shape.name)) == []
    # A value that nobody keeps is in place: the user is there and enabled, which is why its control could be accepted.
    assert str(tracker.ask("GET", f"/user/{life.user}").json()["Disabled"]) == "0"

    for value in (first, second, third, tracker.admin_password):
        assert value.encode() not in life.written()
    assert tracker.sessions_of(life.user) == 0


def test_going_back_by_hand_sets_the_old_password_again(begin: Begin) -> None:
    life = begin(proof={"times": 2, "over": "20s", "grade": 4})
    first = life.value()
    life.rotator("rotate", life.shape.name, *WHY, "--yes", "--no-wait")
    run: dict[str, Any] = {}

    def proving() -> bool:
        run.update(life.estate.runs(life.shape.name)[0])
        return "prov" in run["display"] or run["ended"] is not None

    wait_until(proving, "the proof", 60)
    assert run["ended"] is None
    second = life.value()
    assert (life.refusal(first), life.refusal(second)) == (REFUSED, "")
    life.rotator("runs", "back", run["id"], *WHY, "--no-wait")
    assert life.estate.settled(life.shape.name)["ending"] == "rolled_back"
    assert life.value() == first
    assert life.refusal(second) == REFUSED
    life.assert_current_lives()


def test_two_users_take_turns_and_the_idle_one_is_neutralised(begin: Begin) -> None:
    life = begin(alternating=True, overlap="3s")
    one, two = life.shape.users(life.estate)
    first = life.value()
    assert life.user == one
    life.rotator("rotate", life.shape.name, *WHY, "--yes", "--no-wait")
    wait_until(lambda: life.user == two, "the other user", 60)
    second = life.value()
    assert (life.refusal(first, one), life.refusal(second, two)) == ("", ""), "both work in the overlap"
    assert life.estate.settled(life.shape.name)["ending"] == "succeeded"
    assert life.refusal(first, one) == REFUSED
    life.assert_current_lives()


def test_a_login_as_somebody_else_takes_the_new_password_back(begin: Begin) -> None:
    life = begin()
    first = life.value()
    other = Answer.json(200, {"Name": "somebody-else", "Disabled": "0"})
    # The old value was seen just now; the next question is for the new one.
    life.rotator("verify", life.shape.name)
    rule = life.proxy.rule(Fault.MADE_UP, path=WHO, answer=other, skip=1, times=1)
    run = life.rotate()
    assert rule.struck == 1
    assert (run["question"], run["ending"]) == (None, "rolled_back"), life.estate.complaints()
    assert life.value() == first
    life.assert_current_lives()


def test_a_disabled_user_stops_a_rotation_and_loses_nothing(begin: Begin, tracker: RequestTracker) -> None:
    """RT refuses every password of a disabled user in the words of a wrong one, the new one as well."""
    life = begin()
    first = life.value()
    tracker.disable_user(life.user)
    try:
        run = life.rotate()
        assert (run["ending"], run["question"]["topic"]) == (None, "no_old"), run
        assert life.value() == first, "nothing was changed"
    finally:
        tracker.disable_user(life.user, disabled=False)
    life.rotator("runs", "answer", run["id"], "retry", *WHY, "--no-wait")
    assert life.estate.settled(life.shape.name)["ending"] == "succeeded"
    assert life.refusal(first) == REFUSED
    life.assert_current_lives()


def test_an_admin_without_the_right_changes_nothing_and_asks_a_person(begin: Begin, tracker: RequestTracker) -> None:
    life = begin()
    first = life.value()
    weak = f"weak-{life.estate.tag}"
    path = f"admin-{life.estate.tag}/tracker"
    life.estate.endpoints[ENDPOINT]["admin"]["principal"] = weak
    life.estate.servers.openbao.admin.put(path, {"password": tracker.create_user(weak)})
    life.estate.stop()
    life.estate.start()
    run = life.rotate()
    assert (run["ended"], run["ending"]) == (None, None)
    assert "no_right" in json.dumps(run["question"]), run
    assert (life.value(), life.refusal(first)) == (first, "")


@pytest.fixture(scope="module")
def shared(begin: Begin) -> Life:
    """One password for all of them: each must leave it as it found it, with one value that lives."""
    return begin()


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_lost_answer_leaves_one_living_password(shared: Life, fault: dict[str, Any]) -> None:
    """Whatever became of it, the run ends with the store's current value, and no other, accepted."""
    life = shared
    life.assert_current_lives()
    first = life.value()
    rule = life.proxy.rule(**fault, times=1)
    run = life.rotate()
    assert rule.struck == 1
    life.estate.clear_faults()
    life.proxy.wait_idle()
    assert run["question"] is None, run
    assert run["ending"] in {"succeeded", "rolled_back"}, life.estate.complaints()
    if run["ending"] == "succeeded":
        assert life.value() != first
        assert life.refusal(first) == REFUSED
    else:
        assert life.value() == first
    life.assert_current_lives()
