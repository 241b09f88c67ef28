"""A Zabbix token is made by two calls: what becomes of either when its answer is lost, late, doubled or not there.

Against a real Zabbix, behind the fault proxy, through the real host.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rotator.plugin_api import Alive, Failed, Generation, Misconfigured, OutcomeUnknown, PluginError, Refused, Subject
from tests.conformance.bench import Credential
from tests.lab.postgres import Postgres
from tests.lab.proxy import Answer, Fault, Proxy
from tests.lab.shapes_zabbix import CREATE, GENERATE, GET, rpc_error
from tests.real.zabbix_bench import IssuingBench, Site, make_site

pytestmark = pytest.mark.real("zabbix")


@pytest.fixture
def site(real_server: Callable[..., Any], postgres: Postgres, start_proxy: Callable[..., Proxy]) -> Site:
    zabbix = real_server("zabbix", postgres)
    return make_site(zabbix, start_proxy(zabbix.port))


@pytest.fixture
def bench(site: Site) -> IssuingBench:
    return site.bench


def test_a_token_is_made_with_our_label_for_the_right_user(site: Site) -> None:
    target = site.bench.fresh().target
    issued = site.bench.issue(target)
    (row,) = site.rows()
    assert (row["tokenid"], row["name"], row["expires_at"]) == (issued.handle, target.label, "0")
    assert site.zabbix.whose(issued.value.reveal()) == site.bench.subject.principal
    assert len(issued.value.reveal()) == 64


def test_an_expiry_that_is_asked_for_is_set(site: Site) -> None:
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
    site.bench.issue(site.bench.fresh().target, expires_at=until)
    (row,) = site.rows()
    assert row["expires_at"] == str(int(until.timestamp()))


def test_the_record_made_and_nobody_heard_it_is_unknown_and_found_by_its_label(site: Site) -> None:
    """It has no value: nobody can come in by it. It is removed by the id that the list shows."""
    bench, target = site.bench, site.bench.fresh().target
    rule = site.proxy.rule(Fault.ANSWER_LOST, content=CREATE, times=1)
    with pytest.raises(OutcomeUnknown):
        bench.issue(target)
    assert rule.struck == 1
    (row,) = [row for row in bench.platform().listing(bench.call(), bench.subject) if row.label == target.label]
    assert site.zabbix.query("SELECT token FROM token WHERE tokenid = %s", int(row.handle)) == [(None,)]
    assert not bench.revoke(Credential("unused", Generation(subject=bench.subject, handle=row.handle))).already
    assert site.rows() == []


def test_the_value_made_and_nobody_heard_it_is_unknown_and_its_record_can_be_killed(site: Site) -> None:
    bench, target = site.bench, site.bench.fresh().target
    site.proxy.rule(Fault.ANSWER_LOST, content=GENERATE, times=1)
    with pytest.raises(OutcomeUnknown):
        bench.issue(target)
    (row,) = [row for row in bench.platform().listing(bench.call(), bench.subject) if row.label == target.label]
    assert site.zabbix.query("SELECT length(token) FROM token WHERE tokenid = %s", int(row.handle)) == [(128,)]
    assert not bench.revoke(Credential("unused", Generation(subject=bench.subject, handle=row.handle))).already
    assert site.rows() == []


def test_the_second_call_never_left_is_unknown_because_the_first_did(site: Site) -> None:
    """No connection for the second: "nothing was sent" would be untrue, a record is there."""
    bench, target = site.bench, site.bench.fresh().target
    site.proxy.rule(Fault.REQUEST_LOST, content=GENERATE, times=1)
    with pytest.raises(OutcomeUnknown) as caught:
        bench.issue(target)
    assert not caught.value.unsent
    assert [row["name"] for row in site.rows()] == [target.label]


def test_no_connection_at_all_is_failed_and_never_sent(site: Site) -> None:
    with site.proxy.refusing(), pytest.raises(Failed) as caught:
        site.bench.issue(site.bench.fresh().target)
    assert caught.value.unsent
    assert site.rows() == []


def test_a_list_that_fails_before_the_first_call_makes_nothing(site: Site) -> None:
    site.proxy.rule(Fault.ANSWER_LOST, content=GET, times=1)
    with pytest.raises(Failed):
        site.bench.issue(site.bench.fresh().target)
    assert site.rows() == []


def test_half_an_answer_to_the_second_call_says_nothing(site: Site) -> None:
    site.proxy.rule(Fault.HALF_ANSWER, content=GENERATE, times=1)
    with pytest.raises(OutcomeUnknown):
        site.bench.issue(site.bench.fresh().target)
    assert len(site.rows()) == 1


def test_the_first_call_late_is_found_by_the_look_after_it(site: Site) -> None:
    bench, target = site.bench, site.bench.fresh().target
    rule = site.proxy.rule(Fault.REQUEST_LATE, content=CREATE, times=1)
    with pytest.raises(OutcomeUnknown):
        bench.issue(target, seconds=1.0)
    assert bench.platform().listing(bench.call(), bench.subject) == ()
    rule.release()
    site.proxy.wait_idle()
    (row,) = bench.platform().listing(bench.call(), bench.subject)
    assert row.label == target.label
    assert not bench.revoke(Credential("unused", Generation(subject=bench.subject, handle=row.handle))).already


def test_a_record_of_ours_without_a_value_is_used_and_not_doubled(site: Site) -> None:
    """The same label asked for again: one record, its new value works."""
    bench, target = site.bench, site.bench.fresh().target
    site.proxy.rule(Fault.MADE_UP, content=GENERATE, times=1, answer=rpc_error(1, "Error connecting to database."))
    with pytest.raises(Failed) as caught:
        bench.issue(target)
    assert not caught.value.unsent
    issued = bench.issue(target)
    (row,) = site.rows()
    assert (row["tokenid"], row["name"]) == (issued.handle, target.label)
    assert bench.accepts(issued.value.reveal())


def test_a_second_value_on_one_record_ends_the_first(site: Site) -> None:
    """Why a label is never asked for again once a value of it was stored: the engine takes a new one for each."""
    bench, target = site.bench, site.bench.fresh().target
    first = bench.issue(target).value.reveal()
    second = bench.issue(target).value.reveal()
    assert not bench.accepts(first)
    assert bench.accepts(second)
    assert len(site.rows()) == 1


def test_a_label_that_came_between_list_and_create_is_unknown(site: Site) -> None:
    """An earlier request of ours that came late, or somebody who copied the name: a look tells, nothing is minted."""
    bench, target = site.bench, site.bench.fresh().target
    params = {"name": target.label, "userid": site.userid}
    rule = site.proxy.rule(
        Fault.DELAY, content=CREATE, times=1, seconds=0.1,
        hook=lambda event: site.zabbix.call("token.create", params),
    )  # fmt: skip
    with pytest.raises(OutcomeUnknown) as caught:
        bench.issue(target)
    assert (caught.value.reason, rule.struck) == ("label_taken", 1)
    assert len(site.named(target.label)) == 1
    assert site.proxy.count(path="api_jsonrpc") == 2, "list and create, no generate"


def test_a_record_that_goes_between_the_calls_is_refused(site: Site) -> None:
    bench, target = site.bench, site.bench.fresh().target
    site.proxy.rule(
        Fault.DELAY, content=GENERATE, times=1, seconds=0.1,
        hook=lambda event: site.zabbix.delete_token(site.rows()[0]["tokenid"]),
    )  # fmt: skip
    with pytest.raises(Refused) as caught:
        bench.issue(target)
    assert caught.value.reason == "record_gone"


@pytest.mark.parametrize("content", [CREATE, GENERATE], ids=["create", "generate"])
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(503), OutcomeUnknown),
        (Answer(200), OutcomeUnknown),
        (Answer(200, {"Content-Type": "text/html"}, b"<html>Please log in</html>"), OutcomeUnknown),
        (Answer.json(200, {"jsonrpc": "2.0", "result": {}, "id": 1}), OutcomeUnknown),
        (Answer.json(200, {"jsonrpc": "2.0", "result": {"tokenids": []}, "id": 1}), OutcomeUnknown),
        (Answer.json(200, {"jsonrpc": "2.0", "result": [{"tokenid": "7"}], "id": 1}), OutcomeUnknown),
        (rpc_error(-32500, "SQL statement execution has failed."), OutcomeUnknown),
        (rpc_error(-32602, 'Invalid parameter "/1/name": value is too long.'), Refused),
        (rpc_error(1, "Error connecting to database."), Failed),
        (rpc_error(-32602, "Not authorized."), Misconfigured),
    ],
    ids=["503", "nothing", "page", "nobody", "no ids", "no token", "inside", "parameters", "no database", "actor"],
)
def test_no_answer_but_its_own_is_success(site: Site, content: bytes, answer: Answer, error: type[PluginError]) -> None:
    site.proxy.rule(Fault.MADE_UP, content=content, answer=answer)
    with pytest.raises(error) as caught:
        site.bench.issue(site.bench.fresh().target)
    assert type(caught.value) is error
    assert not caught.value.unsent


def test_an_overloaded_server_is_told_once(site: Site) -> None:
    for answer in (Answer(503), Answer.too_many(1)):
        site.proxy.clear()
        site.proxy.rule(Fault.MADE_UP, content=CREATE, answer=answer)
        before = site.proxy.count(Fault.MADE_UP)
        with pytest.raises(PluginError):
            site.bench.issue(site.bench.fresh().target)
        assert site.proxy.count(Fault.MADE_UP) == before + 1


def test_a_success_that_did_nothing_is_found_out_by_the_next_probe(site: Site) -> None:
    bench, target = site.bench, site.bench.fresh().target
    lie = Answer.json(200, {"jsonrpc": "2.0", "result": [{"tokenid": "7", "token": "0" * 64}], "id": 1})
    site.proxy.rule(Fault.MADE_UP, content=GENERATE, times=1, answer=lie)
    issued = bench.issue(target)
    assert not isinstance(bench.probe(Credential(issued.value.reveal(), target)), Alive)


def test_a_user_who_does_not_exist_is_a_matter_for_a_person(bench: IssuingBench) -> None:
    nobody = Subject(principal="nobody", params={"userid": "999999"})
    with pytest.raises(Misconfigured) as caught:
        bench.issue(bench.fresh(nobody).target)
    assert caught.value.reason == "no_such_userid"


@pytest.mark.parametrize("userid", ["svc-sync", "-1", "1 OR 1=1"])
def test_a_userid_that_is_no_number_changes_nothing(site: Site, userid: str) -> None:
    before = set(site.bench.stored())
    with pytest.raises(Misconfigured) as caught:
        site.bench.issue(site.bench.fresh(Subject(principal="x", params={"userid": userid})).target)
    assert caught.value.reason == "no_such_userid"
    assert set(site.bench.stored()) == before


def test_without_a_userid_nothing_is_made(site: Site) -> None:
    """The list would be everybody's: it is asked for, and then the record cannot be."""
    before = set(site.bench.stored())
    with pytest.raises(Misconfigured) as caught:
        site.bench.issue(site.bench.fresh(Subject(principal=site.bench.subject.principal)).target)
    assert (caught.value.reason, caught.value.unsent) == ("missing_variable", True)
    assert set(site.bench.stored()) == before
