"""An admin that is a pair: id and value are read together, and a configuration in which they would part is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest

from rotator.daemon.acting import FRESH_S, Admin, reader
from rotator.effects.host import Acting, Connection, Gateway
from rotator.effects.platforms import Call
from rotator.plugin_api import (
    Alive,
    Failed,
    Kind,
    Lists,
    Lost,
    Misconfigured,
    Origin,
    Plugin,
    PreflightRequest,
    ProbeRequest,
    Ready,
    Role,
    Secret,
    Subject,
    Traits,
)
from rotator.settings.connections import Login
from rotator.settings.loader import load_text
from rotator.settings.problems import ConfigurationRefused

PAIR = Login.model_validate(
    {
        "principal": "rotator",
        "value": {"store": "main", "path": "admin/aws", "field": "secret"},
        "handle": {"store": "main", "path": "admin/aws", "field": "id"},
    }
)
SINGLE = PAIR.model_copy(update={"handle": None})


class Store:
    """Answers each read of a field with the next of its texts; the last one stays."""

    def __init__(self, **fields: list[str | None]) -> None:
        self.reads: list[str] = []
        self._fields: dict[str, Iterator[str | None]] = {
            name: chain(texts, repeat(texts[-1])) for name, texts in fields.items()
        }

    def fetch(self, path: str, name: str) -> Secret | None:
        assert path == "admin/aws"
        self.reads.append(name)
        text = next(self._fields[name])
        return None if text is None else Secret(text)


def read(store: Any, login: Login = PAIR) -> tuple[str, str]:
    found = reader({"main": store}, login)()
    return found.value.reveal(), "" if found.handle is None else found.handle.reveal()


def test_a_value_without_an_id_is_read_alone() -> None:
    store = Store(secret=["canary-1"])
    assert (read(store, SINGLE), store.reads) == (("canary-1", ""), ["secret"])


def test_an_id_and_its_value_are_read_together() -> None:
    assert read(Store(secret=["canary-1"], id=["id-1"])) == ("canary-1", "id-1")


def test_a_rotation_between_the_reads_never_gives_the_id_of_another_value() -> None:
    """The secret is promoted after the first read of the id, or after the read of the value."""
    assert read(Store(id=["id-1", "id-2"], secret=["canary-2"])) == ("canary-2", "id-2")
    assert read(Store(id=["id-1", "id-2"], secret=["canary-1", "canary-2"])) == ("canary-2", "id-2")


def test_an_id_that_never_stands_still_is_tried_again_later() -> None:
    with pytest.raises(Failed) as caught:
        read(Store(id=[f"id-{number}" for number in range(9)], secret=["canary-1"]))
    assert (caught.value.reason, caught.value.unsent) == ("admin_changing", True)


@pytest.mark.parametrize(
    ("store", "reason"),
    [
        (Store(secret=["canary-1"], id=[None]), "admin_handle_missing"),
        (Store(secret=[None], id=["id-1"]), "admin_value_missing"),
    ],
)
def test_a_pair_without_one_half_acts_nowhere(store: Store, reason: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        read(store)
    assert caught.value.reason == reason


def test_an_id_may_stand_in_a_file(tmp_path: Path) -> None:
    place = tmp_path / "id"
    place.write_text("id-1\n")
    place.chmod(0o600)
    login = Login.model_validate(
        {
            "principal": "r",
            "value": {"store": "main", "path": "admin/aws", "field": "secret"},
            "handle": {"file": str(place)},
        }
    )
    assert read(Store(secret=["canary-1"]), login) == ("canary-1", "id-1")


@dataclass
class Clock:
    seconds: float = 0.0

    def now(self) -> int:
        return 0

    def monotonic(self) -> float:
        return self.seconds


def test_a_pair_is_kept_for_a_moment_and_survives_a_store_that_does_not_answer() -> None:
    answers: list[Any] = [Acting(Secret("canary-1"), Secret("id-1")), Failed("unreachable"), Acting(Secret("canary-2"))]

    def next_one() -> Acting:
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        assert isinstance(found, Acting)
        return found

    clock: Any = Clock()
    admin = Admin(next_one, clock)
    first = admin()
    assert admin() is first
    clock.seconds += FRESH_S
    assert admin() is first
    assert admin().value.reveal() == "canary-2"


# ---- what a plugin is given ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    url: str = "http://127.0.0.1:1"


def hosted(admin: Callable[[], Secret | Acting], seen: list[Any]) -> Any:
    def preflight(at: Any, request: PreflightRequest) -> Ready:
        seen.append((at.actor.generation.subject.principal, at.actor.generation.handle, at.actor.value.reveal()))
        return Ready(acting="rotator")

    def probe(at: Any, request: ProbeRequest) -> Alive:
        seen.append((request.target.subject.principal, request.target.handle, request.value.reveal()))
        return Alive(principal="rotator", handle=request.target.handle)

    traits = Traits(role=Role.AUTHORITY, origin=Origin.GENERATED, lost=Lost.NONE, lists=Lists.NONE)
    kind = Kind(name="key", title="A key", traits=traits, preflight=preflight, probe=probe)
    plugin = Plugin(name="sample", version="1", config=Config, kinds=(kind,))
    clock: Any = Clock()
    return Gateway(clock, "0").platform(Connection(name="sample", plugin=plugin, admin="rotator"), "key", admin)


def test_the_id_goes_to_the_plugin_with_the_actor_and_with_the_witness() -> None:
    seen: list[Any] = []
    pair = hosted(lambda: Acting(Secret("canary-1"), Secret("id-1")), seen)
    call = Call("unit", 5.0)
    pair.preflight(call, PreflightRequest(subject=Subject(principal="svc")))
    assert isinstance(pair.witness(call), Alive)
    assert seen == [("rotator", "id-1", "canary-1")] * 2
    hosted(lambda: Secret("canary-1"), seen).preflight(call, PreflightRequest(subject=Subject(principal="svc")))
    assert seen[-1] == ("rotator", None, "canary-1")


# ---- the configuration ---------------------------------------------------------------------------------------------

TEXT = """\
apiVersion: rotator/v1
installation: acme
daemon:
  ledger: /var/lib/rotator/ledger.db
  fingerprint_key: {file: /etc/rotator/fingerprint.key}
  socket: /run/rotator/api.sock
  listen: 127.0.0.1:9464
stores:
  embedded: {type: local, path: /srv/store, key: {file: /etc/rotator/store.key}}
endpoints:
  aws:
    plugin: aws_iam
    config: {account: "111122223333"}
    admin:
      principal: rotator
      value: {store: embedded, path: admin/aws, field: secret}
      handle: {store: embedded, path: HANDLE_PATH, field: HANDLE_FIELD}
policies: {standard: {every: 30d, overlap: 24h, proof: {times: 3, over: 2m, grade: 2}}}
credentials:
  admin:
    owner: itsm@x.example
    purpose: rotates keys
    workflows: []
    expires: 2097-06-30
    tier: T0
    policy: standard
    authority: {endpoint: aws, kind: access-key, principal: rotator}
    store: {in: embedded, path: admin/aws, value: secret, fields: {key_id: handle, user: principal}}
"""


def load(path: str, field: str) -> list[tuple[str, str]]:
    text = TEXT.replace("HANDLE_PATH", path).replace("HANDLE_FIELD", field)
    try:
        load_text(text, "rotator.yaml", plugins={"aws_iam"}, now=1_795_500_000_000)
    except ConfigurationRefused as refused:
        return [(one.code, one.where) for one in refused.problems]
    return []


def test_an_admin_whose_id_changes_with_its_value_may_be_rotated() -> None:
    assert load("admin/aws", "key_id") == []


@pytest.mark.parametrize(("path", "field"), [("admin/aws", "user"), ("admin/aws", "id"), ("admin/other", "key_id")])
def test_an_admin_whose_id_would_stay_is_refused(path: str, field: str) -> None:
    assert load(path, field) == [("CFG-SAME-PLACE", "endpoints.aws.admin.handle")]


def test_a_store_that_is_not_there_is_named() -> None:
    text = TEXT.replace("handle: {store: embedded", "handle: {store: elsewhere")
    with pytest.raises(ConfigurationRefused) as refused:
        load_text(text, "rotator.yaml", plugins={"aws_iam"}, now=1_795_500_000_000)
    assert "endpoints.aws.admin.handle.store" in {one.where for one in refused.value.problems}
