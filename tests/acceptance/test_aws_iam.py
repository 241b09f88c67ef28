"""An access key's whole life by the real daemon: adopted, rotated, gone back, contained, retired; and lost answers.

A real OpenBao holds the values, an AWS emulator that enforces IAM makes and judges them, the admin has the shipped
policy and nothing more; everything is done with the `rotator` command.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.alerta import Alerta
from tests.lab.aws import AwsEmulator
from tests.lab.estate import Estate, Servers, Tempo
from tests.lab.install import NotInstalled
from tests.lab.openbao import OpenBaoDev
from tests.lab.postgres import Postgres
from tests.lab.process import wait_until
from tests.lab.proxy import Answer, Fault, Proxy
from tests.lab.shapes import staged, stored
from tests.lab.shapes_aws_iam import CREATE, DELETE, FAULTS, IamKey, admin_policy, aws_proxy, named, set_lag

pytestmark = [pytest.mark.timeout(240), pytest.mark.long]
WHY = ("--reason", "test")


class Life:
    """One key in an estate, adopted and running."""

    def __init__(self, estate: Estate, shape: IamKey, proxy: Proxy) -> None:
        self.estate, self.shape, self.proxy = estate, shape, proxy

    def rotator(self, *arguments: str, code: int = 0) -> str:
        """A command, which must end with `code`; what it printed."""
        ran = self.estate.rotator(*arguments)
        assert ran.code == code, f"{arguments}: {ran.code}\n{ran.out}{ran.err}\n{self.estate.complaints()}"
        return ran.out + ran.err

    def rotate(self, code: int = 0) -> dict[str, Any]:
        """One rotation by hand; its run."""
        self.rotator("rotate", self.shape.name, *WHY, "--yes", "--wait", code=code)
        return self.estate.runs(self.shape.name)[0]

    def begin_to_rotate(self) -> dict[str, Any]:
        """A rotation that may end in a question; its run, once it has ended or asks."""
        self.rotator("rotate", self.shape.name, *WHY, "--yes", "--no-wait")
        return self.estate.settled(self.shape.name)

    def answer(self, run: dict[str, Any], answer: str) -> dict[str, Any]:
        """Give the only answer of this kind by the command that the question shows; the run, once it is over again."""
        (offer,) = [one for one in run["question"]["answers"] if one["answer"] == answer]
        words = offer["command"].replace("--reason TEXT", "").split()
        self.rotator(*words[1:], *WHY, "--yes", "--no-wait")
        return self.estate.settled(self.shape.name)

    def value(self) -> str:
        """What readers of the store find."""
        current = self.shape.current(self.estate)
        assert current is not None
        return current[1]

    def fields(self) -> dict[str, Any]:
        """All that readers of the store find."""
        return stored(self.estate, self.shape.name) or {}

    def alive(self) -> list[str]:
        """The ids of all keys that the user has at the server."""
        return self.shape.living(self.estate)

    def refused(self, value: str) -> bool:
        """Whether STS itself does not know a value that readers once found."""
        return self.shape.refusal(self.estate, self.shape.user, value) == "InvalidClientTokenId"

    def debts(self) -> list[dict[str, Any]]:
        """What the ledger says is owed."""
        return list(self.estate.ask("GET", f"/v1/debts?credential={self.shape.name}")[1]["items"])

    def assert_only_current_lives(self) -> None:
        """One key at the server, the store's current one, with its own id beside it; nothing owed."""
        assert self.alive() == [self.fields()["access_key_id"]]
        assert self.fields()["region"] == self.shape.aws.region, "a neighbour field was lost"
        assert self.shape.accepts(self.estate, self.shape.user, self.value())
        assert self.debts() == []
        assert [value for _, value in staged(self.estate, self.shape.name)] in ([], [self.value()])


def handles(run: dict[str, Any]) -> list[str]:
    """The key ids that a question offers to be named."""
    offers = [one["command"] for one in run["question"]["answers"] if one["answer"] == "name"]
    return [words.split("--handle ")[1].split()[0] for words in offers]


@pytest.fixture(scope="module")
def aws() -> Iterator[AwsEmulator]:
    try:
        server = AwsEmulator()
    except NotInstalled as absent:
        pytest.fail(str(absent), pytrace=False)
    with server:
        yield server


@pytest.fixture
def begin(
    tmp_path: Path, aws: AwsEmulator, openbao: OpenBaoDev, postgres: Postgres, alerta: Alerta
) -> Iterator[Callable[..., Life]]:
    estates: list[Estate] = []

    def adopted(
        tempo: Tempo | None = None, settle: str = "300ms", prepare: Callable[[Estate, IamKey], None] | None = None
    ) -> Life:
        estate = Estate(tmp_path / "e", Servers(openbao, postgres, alerta), tempo or Tempo())
        estates.append(estate)
        proxy = aws_proxy(estate, aws, settle=settle)
        shape = IamKey("uploads", aws)
        shape.prepare(estate)
        if prepare is not None:
            prepare(estate, shape)
        estate.start()
        life = Life(estate, shape, proxy)
        life.rotator("adopt", shape.name, *WHY, "--wait")
        return life

    yield adopted
    set_lag(aws, 0)
    for estate in estates:
        estate.close()


def test_adopted_rotated_contained_and_retired(begin: Callable[..., Life]) -> None:
    life = begin()
    first = life.value()
    (first_id,) = life.alive()
    assert "rotator-" in life.rotator("plugins", "try", "aws")

    assert life.rotate()["ending"] == "succeeded"
    assert life.refused(first)
    life.assert_only_current_lives()
    assert life.alive() != [first_id]
    life.rotator("verify", life.shape.name)

    second = life.value()
    life.rotator("emergency", life.shape.name, "--mode", "contain", *WHY, "--yes", "--wait")
    assert life.estate.runs(life.shape.name)[0]["ending"] == "succeeded"
    assert life.value() not in {first, second}
    assert life.refused(second)
    life.assert_only_current_lives()

    third, flow = life.value(), f"flow-{life.shape.name}"
    life.rotator("retire", flow, *WHY, "--apply", "--confirm", flow, "--wait")
    assert life.refused(third)
    assert life.alive() == []
    assert life.fields() == {"region": life.shape.aws.region}
    assert list(staged(life.estate, life.shape.name)) == []

    written = [one for one in life.estate.folder.iterdir() if one.name.startswith(("ledger.db", "daemon.log"))]
    for value in (first, second, third):
        assert not any(value.encode() in one.read_bytes() for one in written)


def test_going_back_during_the_overlap_kills_the_new_key(begin: Callable[..., Life]) -> None:
    life = begin(Tempo(overlap="20s"))
    first, before = life.value(), life.alive()
    life.rotator("rotate", life.shape.name, *WHY, "--yes", "--no-wait")
    run: dict[str, Any] = {}

    def overlapping() -> bool:
        run.update(life.estate.runs(life.shape.name)[0])
        return "overlap" in run["display"] or run["ended"] is not None

    wait_until(overlapping, "the overlap", 60)
    assert run["ended"] is None
    second = life.value()
    assert all(life.shape.accepts(life.estate, life.shape.user, value) for value in (first, second))
    assert life.estate.ask("POST", f"/v1/runs/{run['id']}/back", {"reason": "test"})[0] == 200
    assert life.estate.settled(life.shape.name)["ending"] == "rolled_back"
    assert (life.value(), life.alive()) == (first, before)
    assert life.refused(second)
    life.assert_only_current_lives()


LOST: dict[str, dict[str, Any]] = {
    "answer lost": {"fault": Fault.ANSWER_LOST},
    "half an answer": {"fault": Fault.HALF_ANSWER},
    "503 though made": {"fault": Fault.REPLACED, "answer": Answer(503)},
}


@pytest.mark.parametrize("fault", LOST.values(), ids=LOST.keys())
def test_a_key_whose_answer_was_lost_is_shown_to_a_person_who_names_it(
    begin: Callable[..., Life], fault: dict[str, Any]
) -> None:
    """Its secret is gone for ever and it bears no label: what is new in the list may be ours, or a colleague's."""
    life = begin()
    first = life.value()
    (known,) = life.alive()
    rule = life.proxy.rule(**fault, content=CREATE, times=1)
    run = life.begin_to_rotate()
    assert rule.struck == 1
    assert (run["ended"], run["question"]["topic"]) == (None, "strangers"), run
    assert life.value() == first, "readers are served all the time"
    (lost,) = set(life.alive()) - {known}
    assert handles(run) == [lost]

    run = life.answer(run, "name")
    assert run["ending"] == "succeeded", run
    assert not {known, lost} & set(life.alive())
    assert life.refused(first)
    life.assert_only_current_lives()


def test_a_daemon_killed_while_the_key_is_made_asks_after_its_restart(begin: Callable[..., Life]) -> None:
    """The list from before stands in the ledger with the intent; the secret died with the process."""
    life = begin()
    first, (known,) = life.value(), life.alive()
    life.proxy.rule(
        Fault.ANSWER_LATE, content=CREATE, times=1, seconds=1.0,
        hook=lambda _: life.estate.daemon.end(signal.SIGKILL),
    )  # fmt: skip
    life.estate.rotator("rotate", life.shape.name, *WHY, "--yes", "--no-wait")
    wait_until(lambda: not life.estate.daemon.running, "the end of the daemon", 30)
    life.proxy.wait_idle()
    (lost,) = set(life.alive()) - {known}
    life.estate.start()
    run = life.estate.settled(life.shape.name)
    assert (run["question"]["topic"], handles(run)) == ("strangers", [lost])
    assert life.value() == first
    assert life.answer(run, "name")["ending"] == "succeeded"
    life.assert_only_current_lives()


def test_a_colleagues_key_of_the_same_moment_is_never_deleted_unasked(begin: Callable[..., Life]) -> None:
    """Our request is lost while somebody else makes a key: what is new in the list is not ours, and only a person can
    tell."""
    life = begin()
    (known,) = life.alive()
    theirs: list[str] = []
    life.proxy.rule(
        Fault.REQUEST_LOST, content=CREATE, times=1, hook=lambda _: theirs.append(life.shape.another().key_id)
    )
    run = life.begin_to_rotate()
    assert run["question"]["topic"] == "strangers", run
    assert sorted(life.alive()) == sorted([known, *theirs]), "nothing was deleted"
    assert handles(run) == theirs

    run = life.answer(run, "accept")
    assert run["ending"] == "rolled_back", run["question"]
    assert sorted(life.alive()) == sorted([known, *theirs]), "the colleague's key lives"


def test_a_create_that_never_arrived_leaves_no_question(begin: Callable[..., Life]) -> None:
    """Listed twice after settling without a stranger: it is not there."""
    life = begin()
    rule = life.proxy.rule(Fault.REQUEST_LOST, content=CREATE, times=1)
    run = life.begin_to_rotate()
    assert rule.struck == 1
    assert run["question"] is None, run
    if run["ending"] == "rolled_back":
        life.rotate()
    life.assert_only_current_lives()


def test_a_full_user_stops_the_rotation_before_anything_is_made(begin: Callable[..., Life]) -> None:
    life = begin()
    first, extra = life.value(), life.shape.another()
    run = life.begin_to_rotate()
    assert run["ending"] == "rolled_back", run
    assert (life.value(), extra.key_id in life.alive(), len(life.alive())) == (first, True, 2)


def test_what_iam_shows_late_is_waited_for(begin: Callable[..., Life]) -> None:
    """A new key is refused and a deleted one accepted for a second; the kind's settle is longer."""
    life = begin(settle="1500ms")
    first = life.value()
    set_lag(life.shape.aws, 1.0)
    assert life.rotate()["ending"] == "succeeded"
    set_lag(life.shape.aws, 0)
    assert life.refused(first)
    life.assert_only_current_lives()


def test_a_delete_that_did_nothing_is_done_again_until_the_old_key_is_proven_dead(begin: Callable[..., Life]) -> None:
    life = begin()
    first = life.value()
    lie = Answer(200, {"Content-Type": "text/xml"}, b"<DeleteAccessKeyResponse><A/></DeleteAccessKeyResponse>")
    rule = life.proxy.rule(Fault.MADE_UP, content=DELETE, answer=lie, times=1)
    assert life.rotate()["ending"] == "succeeded"
    assert rule.struck == 1
    assert life.refused(first)
    life.assert_only_current_lives()


def governed_admin(estate: Estate, shape: IamKey) -> None:
    """The admin's own key becomes a credential: id and secret stand in one secret, which both the endpoint reads and
    the rotation writes. Its policy lets it change its own keys."""
    aws, user, path = shape.aws, f"rotator-{estate.tag}", estate.path_of("aws-admin")
    policy = admin_policy(aws, estate.tag)
    own = f"arn:aws:iam::{aws.account}:user/{user}"
    verbs = ["iam:ListAccessKeys", "iam:CreateAccessKey", "iam:DeleteAccessKey"]
    policy["Statement"].append({"Effect": "Allow", "Action": verbs, "Resource": own})
    aws.set_policy(user, policy)
    admin = estate.endpoints["aws"]["admin"]
    known = estate.servers.openbao.admin.get(admin["value"]["path"])
    assert known is not None
    estate.servers.openbao.admin.put(path, dict(known.data or {}))
    for part in ("value", "handle"):
        admin[part]["path"] = path
    estate.describe(
        "aws-admin",
        {
            "authority": {"endpoint": "aws", "kind": "access-key", "principal": user},
            "store": {"in": "main", "path": path, "value": "secret", "fields": {"key_id": "handle"}},
        },
        tier="T0",
    )


def test_the_admins_own_key_is_rotated_by_itself_and_never_contained_by_itself(begin: Callable[..., Life]) -> None:
    life = begin(prepare=governed_admin)
    admin = f"rotator-{life.estate.tag}"

    def keys() -> list[str]:
        rows = life.shape.aws.root("iam").list_access_keys(UserName=admin)["AccessKeyMetadata"]
        return [row["AccessKeyId"] for row in rows]

    (before,) = keys()
    life.rotator("adopt", "aws-admin", *WHY, "--wait")
    life.rotator("rotate", "aws-admin", *WHY, "--yes", "--wait")
    assert life.estate.runs("aws-admin")[0]["ending"] == "succeeded"
    (after,) = keys()
    assert after != before
    assert life.rotate()["ending"] == "succeeded", "the new key acts"
    life.assert_only_current_lives()

    life.rotator("emergency", "aws-admin", "--mode", "contain", *WHY, "--yes", "--no-wait")
    run = life.estate.settled("aws-admin")
    assert run["ended"] is None, "whoever ends the acting key locks everybody out: a person is asked"
    assert keys() == [after]


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_no_fault_leaves_a_key_that_nobody_knows(begin: Callable[..., Life], fault: dict[str, Any]) -> None:
    """Whatever became of it, and after at most one answer, one key lives: the store's current one."""
    life = begin()
    rule = life.proxy.rule(**fault, times=1)
    run = life.begin_to_rotate()
    assert rule.struck == 1
    life.proxy.wait_idle()
    answer = named(run)
    if answer is not None:
        assert life.estate.ask("POST", f"/v1/runs/{run['id']}/answer", answer)[0] == 200
        run = life.estate.settled(life.shape.name)
    assert run["question"] is None, run
    if run["ending"] == "rolled_back":
        life.rotate()
    assert life.shape.strays(life.estate, life.debts()) == []
    life.assert_only_current_lives()
