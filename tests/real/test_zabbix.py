"""The zabbix pack against a real Zabbix, behind the fault proxy, through the real host: trying and listing."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rotator.effects.host import objections
from rotator.plugin_api import (
    Alive,
    Failed,
    Generation,
    Inconclusive,
    Misconfigured,
    PreflightRequest,
    Rejected,
    Subject,
)
from tests.conformance import checks
from tests.conformance.bench import Credential
from tests.lab.postgres import Postgres
from tests.lab.proxy import Answer, Fault, Proxy
from tests.lab.shapes_zabbix import rpc_error
from tests.lab.zabbix import ADMIN, NOT_AUTHORIZED
from tests.real.zabbix_bench import API, IssuingBench, Site, make_site

pytestmark = pytest.mark.real("zabbix")
FOREIGN = {name: answer for name, answer in checks.FOREIGN.items() if name != "200 for anybody"} | {
    "200 for anybody": Answer.json(200, {"jsonrpc": "2.0", "result": {}, "id": 1}),
    "another error": rpc_error(-32500, "Session terminated, re-login, please.", batch=True),
    "no database": rpc_error(1, "Error connecting to database."),
    "the words without the batch": rpc_error(-32602, NOT_AUTHORIZED),
    "the words within others": rpc_error(-32602, f"{NOT_AUTHORIZED} Maintenance.", batch=True),
    "the words under 403": Answer.json(403, [{"error": {"data": NOT_AUTHORIZED}}] * 2),
}


@pytest.fixture
def site(real_server: Callable[..., Any], postgres: Postgres, start_proxy: Callable[..., Proxy]) -> Site:
    zabbix = real_server("zabbix", postgres)
    return make_site(zabbix, start_proxy(zabbix.port))


@pytest.fixture
def bench(site: Site) -> IssuingBench:
    return site.bench


def test_the_declaration_has_nothing_to_object_to(bench: IssuingBench) -> None:
    assert objections(bench.plugin) == ()
    assert bench.plugin.routes == ("POST /api_jsonrpc.php",)


# ---- trying --------------------------------------------------------------------------------------------------------


def test_alive_names_the_owner_and_the_tokens_own_id(site: Site) -> None:
    credential = site.bench.installed()
    found = site.bench.probe(Credential(credential.value, Generation(subject=site.bench.subject)))
    assert isinstance(found, Alive)
    assert (found.principal, found.handle) == (site.bench.subject.principal, credential.target.handle)
    assert found.expires_at is None


def test_alive_names_the_owner_of_somebody_elses_token(site: Site) -> None:
    checks.alive_names_the_owner(site.bench, site.user())


def test_with_the_userid_of_somebody_else_the_owner_is_named_and_no_id(site: Site) -> None:
    """Whoever mistyped the number learns it at the adoption, where an id is needed."""
    credential = site.bench.installed()
    mistyped = Subject(principal=site.bench.subject.principal, params=site.user().params)
    found = site.bench.probe(Credential(credential.value, Generation(subject=mistyped)))
    assert isinstance(found, Alive)
    assert (found.principal, found.handle) == (site.bench.subject.principal, None)


def test_a_user_who_may_not_manage_tokens_is_alive_without_an_id(site: Site) -> None:
    credential = site.bench.installed()
    rules = {"actions": [{"name": "manage_api_tokens", "status": 0}]}
    site.zabbix.give_role(site.userid, site.zabbix.create_role(f"no-tokens-{site.userid}", rules))
    found = site.bench.probe(credential)
    assert isinstance(found, Alive)
    assert (found.principal, found.handle) == (site.bench.subject.principal, None)


def test_dead_is_rejected(bench: IssuingBench) -> None:
    checks.dead_is_rejected(bench)


def test_an_expired_token_is_rejected_with_a_reason_of_its_own(site: Site) -> None:
    credential = site.bench.installed()
    site.zabbix.call("token.update", {"tokenid": credential.target.handle, "expires_at": 1})
    assert site.bench.probe(credential) == Rejected(reason="token_expired")


def test_a_disabled_token_is_rejected_and_still_listed(site: Site) -> None:
    """It can be enabled again: rejected is not gone, and it is removed all the same."""
    credential = site.bench.installed()
    site.zabbix.call("token.update", {"tokenid": credential.target.handle, "status": 1})
    assert site.bench.probe(credential) == Rejected(reason="token_refused")
    (row,) = site.bench.platform().listing(site.bench.call(), site.bench.subject)
    assert (row.handle, row.active) == (credential.target.handle, True)
    assert not site.bench.revoke(credential).already
    assert site.rows() == []


def test_tokens_of_a_disabled_user_get_the_words_of_dead_ones_and_so_does_any_control(site: Site) -> None:
    """Why a refusal alone is no proof: the successor of the same user is refused in the same words."""
    old, new = site.bench.installed(), site.bench.installed()
    site.zabbix.disable_user(site.userid)
    assert site.bench.probe(old) == site.bench.probe(new) == Rejected(reason="token_refused")
    site.zabbix.disable_user(site.userid, back=True)
    assert isinstance(site.bench.probe(old), Alive)


@pytest.mark.parametrize("answer", FOREIGN.values(), ids=FOREIGN.keys())
def test_refusal_is_not_death(bench: IssuingBench, answer: Answer) -> None:
    checks.refusal_is_not_death(bench, bench.installed(), answer)


def test_silence_is_not_death(bench: IssuingBench) -> None:
    checks.silence_is_not_death(bench, bench.installed())


def test_wrong_tokens_lock_nobody_out(site: Site) -> None:
    credential = site.bench.installed()
    for _ in range(8):
        wrong = Credential(site.bench.fresh().value, credential.target)
        assert site.bench.probe(wrong) == Rejected(reason="token_refused")
    assert isinstance(site.bench.probe(credential), Alive)


def test_the_admins_own_token_is_a_witness(bench: IssuingBench) -> None:
    found = bench.platform().witness(bench.call())
    assert isinstance(found, Alive)
    assert found.principal == ADMIN


# ---- who acts ------------------------------------------------------------------------------------------------------


def test_preflight_says_who_acts(bench: IssuingBench) -> None:
    assert bench.platform().preflight(bench.call(), PreflightRequest(subject=bench.subject)).acting == ADMIN


def test_preflight_finds_a_number_that_is_another_users_or_nobodys(site: Site) -> None:
    platform, name = site.bench.platform(), site.bench.subject.principal
    for userid, findings in ((site.userid, ()), (site.user().params["userid"], ("no_such_userid",)),
                             ("999999", ("no_such_userid",)), ("svc", ("no_such_userid",))):  # fmt: skip
        subject = Subject(principal=name, params={"userid": userid})
        try:
            found = platform.preflight(site.bench.call(), PreflightRequest(subject=subject)).findings
        except Misconfigured as error:  # what is no number is refused by the list already
            found = (error.reason,)
        assert found == findings, userid


def test_acting_refused(bench: IssuingBench) -> None:
    checks.acting_refused(bench, bench.installed())


def test_an_expired_admin_token_is_a_matter_for_a_person(site: Site) -> None:
    tokenid, value = site.zabbix.create_token("3", f"expiring-{site.userid}", int(time.time()) + 3600)
    site.zabbix.call("token.update", {"tokenid": tokenid, "expires_at": 1})
    with pytest.raises(Misconfigured) as caught:
        site.bench.platform(admin_value=value).listing(site.bench.call(), site.bench.subject)
    assert caught.value.reason == "acting_refused"


@pytest.mark.parametrize("kind", [1, 2])
def test_the_list_of_an_admin_who_was_demoted_is_not_believed(site: Site, kind: int) -> None:
    """Zabbix shows him an empty list, as a success: what is not in it would be taken for gone."""
    bench, credential = site.bench, site.bench.installed()
    demoted = f"demoted-{kind}-{site.userid}"
    userid = site.zabbix.create_user(demoted, site.zabbix.create_role(demoted, {}, kind))
    token = site.zabbix.create_token(userid, "admin")[1]
    assert site.zabbix.call("token.get", {"userids": site.userid}, auth=token) == []
    platform = bench.platform(admin_value=token)
    for work in (
        lambda: platform.listing(bench.call(), bench.subject),
        lambda: platform.preflight(bench.call(), PreflightRequest(subject=bench.subject)),
        lambda: bench.revoke(credential, platform),
        lambda: bench.issue(bench.fresh().target, platform),
    ):
        with pytest.raises(Misconfigured) as caught:
            work()
        assert caught.value.reason == "not_super_admin"
    assert [row["tokenid"] for row in site.rows()] == [credential.target.handle]


@pytest.mark.parametrize(
    "rules", [{"actions": [{"name": "manage_api_tokens", "status": 0}]}, {"api.access": 0}], ids=["action", "api"]
)
def test_a_role_without_the_right_is_a_matter_for_a_person(site: Site, rules: dict[str, Any]) -> None:
    bench, name = site.bench, f"bound-{site.userid}"
    userid = site.zabbix.create_user(name, site.zabbix.create_role(name, rules, 3))
    token = site.zabbix.create_token(userid, "admin")[1]
    platform = bench.platform(admin_value=token)
    for work in (
        lambda: platform.listing(bench.call(), bench.subject),
        lambda: platform.preflight(bench.call(), PreflightRequest(subject=bench.subject)),
        lambda: bench.issue(bench.fresh().target, platform),
    ):
        with pytest.raises(Misconfigured) as caught:
            work()
        assert caught.value.reason == "role_forbids"


# ---- listing -------------------------------------------------------------------------------------------------------


def test_the_list_holds_the_subjects_tokens_only_and_for_everybody_all(site: Site) -> None:
    mine, other = site.bench.installed(), site.bench.installed(site.user())
    rows = site.bench.platform().listing(site.bench.call(), site.bench.subject)
    assert [(row.handle, row.label) for row in rows] == [(mine.target.handle, mine.target.label)]
    everybody = {row.handle for row in site.bench.platform().listing(site.bench.call(), None)}
    assert {mine.target.handle, other.target.handle} <= everybody


def test_the_list_tells_when_a_token_was_used_and_when_it_ends(site: Site) -> None:
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
    target = site.bench.fresh().target
    issued = site.bench.issue(target, expires_at=until)
    (row,) = site.bench.platform().listing(site.bench.call(), site.bench.subject)
    assert (row.handle, row.expires_at, row.last_used_at) == (issued.handle, until, None)
    found = site.bench.probe(Credential(issued.value.reveal(), replace(target, handle=issued.handle)))
    assert isinstance(found, Alive)
    assert found.expires_at == until
    (row,) = site.bench.platform().listing(site.bench.call(), site.bench.subject)
    assert row.last_used_at is not None
    assert row.created_at is not None
    assert row.created_at <= row.last_used_at


@pytest.mark.parametrize(
    "answer",
    [
        Answer(503), Answer(200), Answer.json(200, [{"result": {"type": 3}}]), Answer.json(200, {"result": []}),
        Answer.json(200, [{"result": {}}, {"result": []}]), rpc_error(1, "Error connecting to database."),
        Answer.json(200, [{"result": {"type": 3}}, {"error": {"code": -32500, "data": "SQL statement has failed"}}]),
    ],
    ids=["503", "nothing", "half", "no batch", "nobody", "no database", "no rows"],
)  # fmt: skip
def test_a_list_that_is_not_whole_is_an_error_never_short(bench: IssuingBench, answer: Answer) -> None:
    bench.installed()
    bench.proxy.rule(Fault.MADE_UP, path=API, answer=answer)
    with pytest.raises(Failed):
        bench.platform().listing(bench.call(), bench.subject)


# ---- secrets and faults of the line --------------------------------------------------------------------------------


def test_redirect(site: Site, start_proxy: Callable[..., Proxy]) -> None:
    checks.redirect(site.bench, site.bench.installed(), start_proxy(site.zabbix.port))


def test_throttled(bench: IssuingBench) -> None:
    checks.throttled(bench, bench.installed())


def test_echo_a_server_that_repeats_the_token_fails_the_call(bench: IssuingBench) -> None:
    credential = bench.installed()
    said = [{"result": {"username": f"owner of {credential.value}"}}, {"result": []}]
    bench.proxy.rule(Fault.MADE_UP, path=API, answer=Answer.json(200, said))
    assert bench.probe(credential) == Inconclusive(reason="echo")


def test_no_token_stands_in_a_path(bench: IssuingBench) -> None:
    credential = bench.installed()
    bench.probe(credential)
    bench.platform().listing(bench.call(), None)
    bench.revoke(credential)
    assert {event.path for event in bench.proxy.log} == {"/api_jsonrpc.php"}


# ---- what the manual says of the server ----------------------------------------------------------------------------


def test_in_a_batch_the_server_looks_at_the_first_token_only(site: Site) -> None:
    """Why two tokens never stand in one: a dead second one would be called alive."""
    credential = site.bench.installed()
    check = {"jsonrpc": "2.0", "id": 1, "method": "user.checkAuthentication"}
    first, second = {**check, "params": {"token": credential.value}}, {**check, "params": {"token": "0" * 64}}
    told = site.zabbix.post([first, second]).json()
    assert [one["result"]["username"] for one in told] == [site.bench.subject.principal] * 2
    (alone,) = site.zabbix.post([second]).json()
    assert alone["error"]["data"] == NOT_AUTHORIZED


def test_a_token_outlives_its_users_password_and_ends_with_its_user(site: Site) -> None:
    credential = site.bench.installed()
    site.zabbix.call("user.update", {"userid": site.userid, "passwd": f"Aa1-{secrets.token_urlsafe(12)}"})
    assert isinstance(site.bench.probe(credential), Alive)
    site.zabbix.call("user.delete", [site.userid])
    assert site.bench.probe(credential) == Rejected(reason="token_refused")
    assert site.bench.revoke(credential).already


def test_a_role_without_api_access_leaves_the_token_alive(site: Site) -> None:
    credential = site.bench.installed()
    site.zabbix.give_role(site.userid, site.zabbix.create_role(f"no-api-{site.userid}", {"api.access": 0}))
    assert isinstance(site.bench.probe(credential), Alive)
