"""The kubernetes-secret pack: what it finds before a change, which rights it needs. Against the FAKE API server."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from rotator_http import load_pack, pack_path
from ruamel.yaml import YAML

from rotator.effects.host import objections
from rotator.plugin_api import (
    Alive,
    Installed,
    Misconfigured,
    Ready,
    Revoked,
    Subject,
)
from tests.fakes.kubernetes_api import KubernetesFake
from tests.lab.proxy import Proxy
from tests.unit.kubernetes_bench import INTO, ROOT, TOKEN, USER, Bench, role, started


@pytest.fixture
def bench(start_proxy: Callable[..., Proxy]) -> Iterator[Bench]:
    with KubernetesFake(tokens={TOKEN: USER}, documents=role()) as fake:
        yield started(fake, start_proxy(fake.port))


# ---- before anything is changed ------------------------------------------------------------------------------------


def test_preflight_says_who_we_are_and_changes_nothing(bench: Bench) -> None:
    version = bench.fake.version("shop", "orders-db")
    assert bench.preflight() == Ready(acting=USER)
    assert [(one.method, one.query.get("dryRun")) for one in bench.fake.seen] == [("POST", None), ("PATCH", "All")]
    assert bench.fake.version("shop", "orders-db") == version


def test_preflight_finds_what_a_change_would_be_refused_for(bench: Bench) -> None:
    bench.fake.documents = ()
    assert bench.preflight().findings == ("may_not_patch",)
    bench.fake.documents = role()
    bench.fake.secrets.clear()
    assert bench.preflight().findings == ("secret_missing",)


def test_preflight_of_nobody_in_particular_asks_only_who_we_are(bench: Bench) -> None:
    assert bench.preflight(Subject(principal=USER)) == Ready(acting=USER)
    assert [one.method for one in bench.fake.seen] == ["POST"]


def test_preflight_with_a_dead_token_is_an_error(bench: Bench) -> None:
    with pytest.raises(Misconfigured, match="acting_refused"):
        bench.preflight(token="canary-dead")


# ---- rights --------------------------------------------------------------------------------------------------------


def test_shipped_rights_are_enough(bench: Bench) -> None:
    assert bench.install() == Installed()
    assert bench.check() == Alive(principal=None)
    assert bench.preflight().findings == ()
    assert bench.empty() == Revoked()


PLACES = [
    ("Role", ("rules", 0, "verbs")),
    ("Role", ("rules", 0, "resources")),
    ("Role", ("rules", 0, "apiGroups")),
    ("Role", ("rules",)),
    ("RoleBinding", ("subjects",)),
]


@pytest.mark.parametrize(("kind", "place"), PLACES, ids=lambda one: str(one))
def test_each_right_is_needed(bench: Bench, kind: str, place: tuple[str | int, ...]) -> None:
    documents = role()
    (spot,) = [one for one in documents if one["kind"] == kind]
    for key in place[:-1]:
        spot = spot[key]
    spot[place[-1]] = []
    bench.fake.documents = documents
    with pytest.raises(Misconfigured, match="may_not_patch"):
        bench.install()


def test_rights_reach_no_other_secret_and_no_other_verb(bench: Bench) -> None:
    bench.fake.create("shop", "other", {"A": "theirs"})
    bench.fake.create("billing", "orders-db", {"A": "theirs"})
    elsewhere = Subject(principal="orders-db", params={"namespace": "billing"})
    for into in (Subject(principal="other", params=INTO.params), elsewhere):
        with pytest.raises(Misconfigured, match="may_not_patch"):
            bench.install(into=into)
    (rights,) = [one for one in role() if one["kind"] == "Role"]
    assert [rule["verbs"] for rule in rights["rules"]] == [["patch"]]
    assert all(rule["resourceNames"] for rule in rights["rules"])


def test_the_declaration_has_nothing_to_object_to() -> None:
    plugin = load_pack("kubernetes-secret")
    assert objections(plugin) == ()
    assert all("GET" not in route and "DELETE" not in route for route in plugin.routes)


def test_every_reason_is_told_in_the_manual() -> None:
    manual = (ROOT / "docs/pack-kubernetes-secret.md").read_text()
    own = set(YAML(typ="safe").load(pack_path("kubernetes-secret"))["reasons"])
    own |= {"holds_another", "holds_nothing", "no_label"}
    assert own <= set(load_pack("kubernetes-secret").reasons)
    assert [slug for slug in sorted(own) if f"`{slug}`" not in manual] == []
