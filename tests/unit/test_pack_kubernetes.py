"""The kubernetes-secret pack against the FAKE API server of `tests.fakes`, behind the fault proxy and the real host.

No cluster was seen here: what the fake cannot know, these tests do not show.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from rotator.plugin_api import (
    Alive,
    Failed,
    Generation,
    Inconclusive,
    Installed,
    Misconfigured,
    OutcomeUnknown,
    PluginError,
    Refused,
    Rejected,
    Revoked,
    Subject,
)
from tests.fakes.kubernetes_api import KubernetesFake
from tests.lab.proxy import Answer, Fault, Proxy
from tests.unit.kubernetes_bench import APP, CANARY, INTO, PATCH, TOKEN, USER, Bench, role, started


@pytest.fixture
def bench(start_proxy: Callable[..., Proxy]) -> Iterator[Bench]:
    with KubernetesFake(tokens={TOKEN: USER}, documents=role()) as fake:
        yield started(fake, start_proxy(fake.port))


# ---- put in place, shown, taken away -------------------------------------------------------------------------------


def test_fields_are_written_and_the_others_stay(bench: Bench) -> None:
    assert bench.install() == Installed()
    assert bench.values() == {"OTHER": "theirs", "PASS": CANARY, "USER": "orders_a"}
    assert bench.fake.annotations("shop", "orders-db") == {"rotator/label": "rot-t-2"}
    assert [one.query["fieldManager"] for one in bench.fake.seen] == ["rotator"]


def test_no_answer_ever_carries_a_value(bench: Bench) -> None:
    bench.install()
    bench.check()
    bench.preflight()
    bench.empty()
    assert {one.shown for one in bench.fake.seen} == {False}


def test_server_that_shows_the_whole_secret_all_the_same_changes_nothing_for_us(bench: Bench) -> None:
    bench.fake.partial = False
    assert bench.install() == Installed()
    assert bench.check() == Alive(principal=None)
    assert {one.shown for one in bench.fake.seen} == {True}


def test_same_again_is_done_once(bench: Bench) -> None:
    bench.install()
    version = bench.fake.version("shop", "orders-db")
    assert bench.install() == Installed()
    assert bench.fake.version("shop", "orders-db") == version


def test_old_value_can_be_put_back(bench: Bench) -> None:
    for value, label in (("old", "rot-t-1"), ("new", "rot-t-2"), ("old", "rot-t-1")):
        bench.install(value, label=label)
    assert bench.values()["PASS"] == "old"
    assert bench.check() == Rejected(reason="holds_another")
    assert bench.check(Generation(subject=APP, label="rot-t-1")) == Alive(principal=None)


def test_value_that_was_there_before_us_replaces_the_label_of_the_newer_one(bench: Bench) -> None:
    bench.install("new")
    assert bench.check() == Alive(principal=None)
    bench.install("adopted", label="")
    assert bench.values()["PASS"] == "adopted"
    assert bench.check() == Rejected(reason="holds_another")
    assert bench.check(Generation(subject=APP)) == Inconclusive(reason="no_label")


def test_check_of_a_secret_that_we_never_wrote_to(bench: Bench) -> None:
    assert bench.check() == Rejected(reason="holds_nothing")


def test_emptying_takes_our_keys_and_no_others(bench: Bench) -> None:
    bench.install()
    assert bench.empty() == Revoked()
    assert bench.values() == {"OTHER": "theirs"}
    assert bench.fake.annotations("shop", "orders-db") == {}
    assert bench.empty() == Revoked()
    del bench.fake.secrets["shop", "orders-db"]
    assert bench.empty() == Revoked(already=True)


def test_shared_secret_keeps_the_keys_and_marks_of_others(bench: Bench) -> None:
    bench.install()
    bench.install(kind="shared", label="rot-t-9", fields={"API_KEY": "second"})
    assert bench.values() == {"OTHER": "theirs", "PASS": CANARY, "USER": "orders_a", "API_KEY": "second"}
    assert bench.check() == Alive(principal=None)
    bench.empty("shared", ("API_KEY",))
    assert bench.values() == {"OTHER": "theirs", "PASS": CANARY, "USER": "orders_a"}
    assert bench.platform("shared").kind.check is None


def test_without_fields_nothing_is_sent(bench: Bench) -> None:
    for ask in (lambda: bench.install(fields={}), lambda: bench.empty(fields=())):
        with pytest.raises(Misconfigured, match="missing_variable") as caught:
            ask()
        assert caught.value.unsent
    assert bench.fake.seen == []


@pytest.mark.parametrize("name", ["../kube-system", "a/b", "a?dryRun=All", "%2e%2e", "x\ny"])
def test_hostile_names_stay_one_piece_of_the_path(bench: Bench, name: str) -> None:
    for into in (
        Subject(principal=name, params=INTO.params),
        Subject(principal="orders-db", params={"namespace": name}),
    ):
        with pytest.raises(PluginError):
            bench.install(into=into)
    assert all(one.path.count("/") == 6 and "dryRun" not in one.query for one in bench.fake.seen)
    assert bench.values() == {"OTHER": "theirs"}


# ---- refusals ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    reason: str
    kind: type[PluginError]
    spoil: Callable[[Bench], Any]
    fields: Mapping[str, str] | None = None


def immutable(bench: Bench) -> None:
    bench.fake.secrets["shop", "orders-db"]["immutable"] = True


CASES = [
    Case("secret_missing", Misconfigured, lambda bench: bench.fake.secrets.clear()),
    Case("may_not_patch", Misconfigured, lambda bench: setattr(bench.fake, "documents", ())),
    Case("acting_refused", Misconfigured, lambda bench: bench.fake.tokens.clear()),
    Case("secret_immutable", Misconfigured, immutable),
    Case("secret_invalid", Misconfigured, lambda bench: None, {"NOT A KEY": "x"}),
    Case("secret_invalid", Misconfigured, lambda bench: None, {"BIG": "x" * 1_100_000}),
    Case("changed_meanwhile", Failed, lambda bench: setattr(bench.fake, "conflicts", 1)),
    Case("admission_denied", Refused, lambda bench: setattr(bench.fake, "denies", f"no {CANARY[:13]}")),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.reason}-{len(case.fields or ())}")
def test_refusal_has_its_name_and_changes_nothing(bench: Bench, case: Case) -> None:
    case.spoil(bench)
    before = copy.deepcopy(bench.fake.secrets)
    with pytest.raises(PluginError) as caught:
        bench.install(fields=case.fields)
    assert type(caught.value) is case.kind
    assert caught.value.reason == case.reason
    assert bench.fake.secrets == before
    assert "canary" not in f"{caught.value!r} {caught.value.status}"


def test_conflict_passes_when_it_is_tried_again(bench: Bench) -> None:
    bench.fake.conflicts = 1
    with pytest.raises(Failed, match="changed_meanwhile"):
        bench.install()
    assert bench.install() == Installed()


def needing_its_keys(bench: Bench) -> None:
    """A Secret whose type asks for the very keys that are to be taken away."""
    secret = bench.fake.secrets["shop", "orders-db"]
    secret["type"] = "kubernetes.io/tls"
    secret["data"] |= {"tls.crt": "eA==", "tls.key": "eA=="}


EMPTYING = [one for one in CASES if one.reason not in {"secret_missing", "secret_invalid"}]
EMPTYING.append(Case("secret_invalid", Misconfigured, needing_its_keys))


@pytest.mark.parametrize("case", EMPTYING, ids=lambda one: one.reason)
def test_emptying_is_refused_by_the_same_names(bench: Bench, case: Case) -> None:
    bench.install()
    case.spoil(bench)
    before = copy.deepcopy(bench.fake.secrets)
    with pytest.raises(PluginError) as caught:
        bench.empty(fields=("PASS", "USER", "tls.key"))
    assert (type(caught.value), caught.value.reason) == (case.kind, case.reason)
    assert bench.fake.secrets == before


FOREIGN = {
    "404 of a proxy": (Answer.json(404, {"message": "not found"}), Refused),
    "403 of a proxy": (Answer.json(403, {"message": "blocked"}), Misconfigured),
    "200 with HTML": (Answer(200, {"Content-Type": "text/html"}, b"<html>log in</html>"), OutcomeUnknown),
    "200 with nothing": (Answer(200), OutcomeUnknown),
    "200 of another object": (Answer.json(200, {"kind": "Status", "status": "Success"}), OutcomeUnknown),
    "302": (Answer.redirect("/login", 302), Misconfigured),
    "429": (Answer.too_many(3), Failed),
    "500": (Answer(500), OutcomeUnknown),
    "504": (Answer(504), OutcomeUnknown),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_answer_of_somebody_else_is_neither_done_nor_gone(bench: Bench, name: str) -> None:
    answer, kind = FOREIGN[name]
    bench.proxy.rule(Fault.MADE_UP, path=PATCH, answer=answer)
    for ask in (bench.install, bench.empty):
        with pytest.raises(PluginError) as caught:
            ask()
        assert type(caught.value) is kind
    assert isinstance(bench.check(), Inconclusive)


# ---- lost, late, twice ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [Fault.ANSWER_LOST, Fault.HALF_ANSWER])
def test_lost_answer_is_unknown_and_again_is_fine(bench: Bench, fault: Fault) -> None:
    rule = bench.proxy.rule(fault, method="PATCH", path=PATCH, times=1)
    with pytest.raises(OutcomeUnknown):
        bench.install()
    assert rule.struck == 1
    version = bench.fake.version("shop", "orders-db")
    assert bench.install() == Installed()
    assert bench.fake.version("shop", "orders-db") == version
    bench.proxy.rule(fault, method="PATCH", path=PATCH, times=1)
    with pytest.raises(OutcomeUnknown):
        bench.empty()
    assert bench.empty() == Revoked()


def test_no_connection_was_never_sent(bench: Bench) -> None:
    with bench.proxy.refusing(), pytest.raises(Failed) as caught:
        bench.install()
    assert caught.value.unsent
    assert bench.values() == {"OTHER": "theirs"}


def test_request_that_lands_late_is_seen_by_check(bench: Bench) -> None:
    """An old request overtakes a newer one: the label goes with the value, so check tells which of the two is in."""
    rule = bench.proxy.rule(Fault.REQUEST_LATE, method="PATCH", path=PATCH, times=1)
    with pytest.raises(OutcomeUnknown):
        bench.install("late", label="rot-t-1", seconds=1.0)
    bench.install("newer")
    assert bench.check() == Alive(principal=None)
    rule.release()
    bench.proxy.wait_idle()
    assert bench.values()["PASS"] == "late"
    assert bench.check() == Rejected(reason="holds_another")


def test_check_that_gets_no_answer_proves_nothing(bench: Bench) -> None:
    bench.install()
    for fault in (Fault.ANSWER_LOST, Fault.RESET):
        bench.proxy.clear()
        bench.proxy.rule(fault, path=PATCH)
        assert isinstance(bench.check(), Inconclusive)
