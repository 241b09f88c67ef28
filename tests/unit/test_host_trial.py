"""`plugins try`: what is read is told as what it is: works, missing, fails, or proves nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from rotator_http import problems

from rotator.daemon.clock import SystemClock
from rotator.effects.host import Connection, Finding, Gateway, HostedPlatform, try_endpoint
from rotator.effects.host.trial import MOST_SUBJECTS
from rotator.effects.inspect import Inspection, subjects_at
from rotator.effects.platforms import Call
from rotator.effects.stores.contract import Current, Version
from rotator.engine.inventory import AuthorityRef, ConsumerRef
from rotator.machine.facts import Facts
from rotator.machine.frozen import FrozenMap
from rotator.machine.ids import Gen, Home, Label
from rotator.plugin_api import (
    Alive,
    CheckRequest,
    Failed,
    Found,
    Inconclusive,
    Kind,
    Lists,
    Lost,
    Misconfigured,
    Origin,
    Page,
    Plugin,
    PreflightRequest,
    Ready,
    Rejected,
    Revokes,
    Role,
    Secret,
    Subject,
    Traits,
)
from tests.unit.engine_bench import credential

ADMIN = "canary-admin-value"
CALL = Call("unit", 3.0)
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    url: str = "http://127.0.0.1:1"


@dataclass
class Asked:
    subjects: list[str] = field(default_factory=list)


def platform(role: Role = Role.AUTHORITY, admin: bool = True, **slots: Any) -> HostedPlatform:
    lists = Lists.ALL if "list" in slots else Lists.NONE
    traits = Traits(role=role, origin=Origin.GENERATED, lost=Lost.RESEND, lists=lists, revokes=Revokes.ONE)
    plugin = Plugin(
        name="sample",
        version="1",
        config=Config,
        reasons={"told": "Do this.", "other": "Do that."},
        kinds=(Kind(name="key", title="A key", traits=traits, **slots),),
    )
    connection = Connection(name="sample", plugin=plugin, admin="adm")
    return Gateway(SystemClock(), "0").platform(connection, "key", (lambda: Secret(ADMIN)) if admin else None)


def answering(answer: Any) -> Callable[..., Any]:
    def slot(at: Any, request: Any) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return slot


def shown(found: tuple[Finding, ...]) -> list[tuple[str, str, str, str]]:
    return [(one.ability, one.subject, one.verdict, one.says) for one in found]


def test_works_is_said_without_a_code_or_a_thing_to_do() -> None:
    rows = Page(items=(Found(handle="1", label="rot-t-1"), Found(handle="2", active=False)))
    found = try_endpoint(
        platform(
            preflight=answering(Ready(acting="adm")), list=answering(rows), probe=answering(Alive(principal="adm"))
        ),
        CALL,
    )
    assert shown(found) == [
        ("preflight", "", "works", "we are adm"),
        ("list", "", "works", "2 rows, 1 active, 1 with a label of Rotator's"),
        ("probe of the admin value", "", "works", "alive as adm"),
    ]
    assert all(one.ok and not one.code and not one.do and not one.as_json()["docs"] for one in found)


@pytest.mark.parametrize(
    ("answer", "code", "do"),
    [
        (Inconclusive(reason="told"), "told", "proves nothing either way"),
        (Inconclusive(reason="throttled", retry_after=timedelta(seconds=7)), "throttled", "wait 7 s"),
        (Failed("unreachable", unsent=True), "unreachable", "proves nothing either way"),
        (Rejected(reason="told"), "told", "proves nothing either way"),
    ],
)
def test_inconclusive_is_never_told_as_working(answer: Any, code: str, do: str) -> None:
    (found,) = try_endpoint(platform(probe=answering(answer)), CALL)
    assert (found.verdict, found.ok, found.code) == ("inconclusive", False, code)
    assert do in found.do
    assert found.as_json()["docs"] == f"docs/runbook.md#rot-{code}"
    assert found.says.startswith(f"{code}: ")


def test_endpoint_without_an_admin_value_is_not_ticked_either() -> None:
    (found,) = try_endpoint(platform(admin=False, probe=answering(Alive(principal="adm"))), CALL)
    assert (found.verdict, found.code) == ("inconclusive", "no_witness")


def test_admin_value_that_works_as_somebody_else_fails() -> None:
    (found,) = try_endpoint(platform(probe=answering(Alive(principal="root"))), CALL)
    assert (found.verdict, found.code, found.subject) == ("fails", "wrong_identity", "adm")
    assert found.says.endswith("(as root)")


def test_each_finding_is_by_itself_with_whom_it_is_about() -> None:
    def preflight(at: Any, request: PreflightRequest) -> Ready:
        return Ready(acting="adm", findings=("told", "other") if request.subject.principal == "b" else ())

    subjects = [Subject(principal=name) for name in "abc"]
    found = try_endpoint(platform(preflight=preflight), CALL, subjects)
    assert shown(found) == [
        ("preflight", "", "works", "we are adm"),
        ("preflight", "b", "missing", "told: Do this."),
        ("preflight", "b", "missing", "other: Do that."),
    ]


def test_error_ends_the_preflights_and_nothing_is_asked_twice() -> None:
    asked = Asked()

    def preflight(at: Any, request: PreflightRequest) -> Ready:
        asked.subjects.append(request.subject.principal)
        raise Misconfigured("acting_refused", status="401")

    found = try_endpoint(platform(preflight=preflight), CALL, [Subject(principal=name) for name in "abc"])
    assert asked.subjects == ["a"]
    assert [(one.verdict, one.code) for one in found] == [("fails", "acting_refused")]
    assert "(401)" in found[0].says


def test_what_is_not_asked_about_is_said() -> None:
    subjects = [Subject(principal=str(number)) for number in range(MOST_SUBJECTS + 3)]
    found = try_endpoint(platform(preflight=answering(Ready(acting="adm"))), CALL, subjects)
    assert [one.verdict for one in found] == ["works", "nothing"]
    assert found[1].says.startswith("3 more")


def test_consumer_is_asked_about_its_places_and_never_about_the_admin() -> None:
    asked = Asked()

    def preflight(at: Any, request: PreflightRequest) -> Ready:
        asked.subjects.append(request.subject.principal)
        return Ready(acting="0")

    hosted = platform(role=Role.CONSUMER, preflight=preflight, list=answering(Page(items=())))
    assert [one.verdict for one in try_endpoint(hosted, CALL)] == ["nothing"]
    assert asked.subjects == []
    assert [one.verdict for one in try_endpoint(hosted, CALL, [Subject(principal="app.env")])] == ["works"]
    assert asked.subjects == ["app.env"]


def test_errors_carry_no_value() -> None:
    hosted = platform(preflight=answering(Failed(ADMIN)), list=answering(ValueError(ADMIN)))
    found = try_endpoint(hosted, CALL)
    assert [one.verdict for one in found] == ["fails", "fails"]
    assert ADMIN not in repr(found)


# ---- from the configuration ----------------------------------------------------------------------------------------


def test_subjects_are_those_of_the_endpoint_and_kind_each_once() -> None:
    one = replace(
        credential("one"),
        authorities=(AuthorityRef("db", "password", ("a", "b")), AuthorityRef("other", "password", ("x",))),
        consumers=(ConsumerRef("c", "db", "password", "place", (("room", "7"),)),),
    )
    found = subjects_at("db", "password", [one, one])
    assert [(each.principal, dict(each.params)) for each in found] == [("a", {}), ("b", {}), ("place", {"room": "7"})]


class World:
    def __init__(self, hosted: HostedPlatform | Exception) -> None:
        self._hosted = hosted

    def platform(self, endpoint: str, kind: str) -> HostedPlatform:
        if isinstance(self._hosted, Exception):
            raise self._hosted
        return self._hosted

    def store(self, name: str) -> Any:
        raise Misconfigured("unknown_store")


def test_endpoint_that_cannot_be_built_is_a_step_that_fails() -> None:
    world: Any = World(Misconfigured("tls"))
    (step,) = Inspection(world, lambda name: None, lambda name: ["key"], list).attempt("db")
    assert (step["ok"], step["verdict"], step["code"]) == (False, "fails", "tls")
    assert step["docs"] == "docs/runbook.md#rot-tls"


def test_findings_of_a_plan_include_its_consumers_with_words() -> None:
    hosted = platform(role=Role.CONSUMER, preflight=answering(Ready(acting="0", findings=("told",))))
    world: Any = World(hosted)
    one = replace(credential("one"), authorities=(), consumers=(ConsumerRef("c", "files", "key", "app.env"),))
    found = Inspection(world, lambda name: None, lambda name: [], list).findings(one)
    assert ("told", "app.env at files: told: Do this.") in found


def test_every_code_of_a_pack_s_problem_has_its_place_in_the_manual() -> None:
    manual = (ROOT / "docs/packs.md").read_text()
    sources = [path.read_text() for path in Path(problems.__file__).parent.glob("*.py")]
    pattern = r'(?:\.add|\.unknown|self\.add|self\.unknown)\(\s*[^"()]*(?:\([^()]*\))?[^"()]*,\s*"([a-z_]+)"'
    used = {code for source in sources for code in re.findall(pattern, source)} | {"slow_pattern", "wrong_pattern"}
    assert {"unknown_key", "syntax", "unused", "contradiction", "unheard_reason", "secret_in_url"} <= used
    assert [code for code in sorted(used) if f'<a id="pack-{code.replace("_", "-")}"></a>`{code}`' not in manual] == []


# ---- verify asks consumers -----------------------------------------------------------------------------------------


class Store:
    def current(self, slot: Any) -> Any:
        return Current(Version("1"), Secret("canary-value"), {})


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        (Alive(principal=None), [("c", "alive", "")]),
        (Rejected(reason="told"), [("c", "rejected", "told")]),
        (Inconclusive(reason="told"), [("c", "inconclusive", "told")]),
        (Failed("unreachable"), [("c", "inconclusive", "unreachable")]),
        (None, []),
    ],
)
def test_verify_asks_the_consumers_that_can_show_what_they_hold(answer: Any, seen: list[Any]) -> None:
    asked: list[Any] = []

    def check(at: Any, request: CheckRequest) -> Any:
        asked.append((request.into.principal, request.of.label))
        return answering(answer)(at, request)

    hosted = platform(role=Role.CONSUMER, **({} if answer is None else {"check": check}))
    world: Any = World(hosted)
    world.store = lambda name: Store()
    one = replace(credential("one"), authorities=(), consumers=(ConsumerRef("c", "files", "key", "app.env"),))
    home, gen = Home("api", "svc"), Gen(2)
    known = Facts(
        top=gen,
        current=frozenset({gen}),
        homes=FrozenMap({gen: (home,)}),
        labels=FrozenMap({gen: Label("rot-t-2")}),
    )
    inspection = Inspection(world, lambda name: None, lambda name: [], list)
    found = [(each.home, each.answer, each.reason) for each in inspection.verify(one, known)]
    assert found[1:] == seen
    assert asked == ([] if answer is None else [("app.env", "rot-t-2")])
    # A value that was there before us has no label: nobody can say whether it is that one.
    assert len(inspection.verify(one, known.but(labels=FrozenMap()))) == 1
