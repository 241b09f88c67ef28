"""The alerta pack against a real alerta server, behind the fault proxy, through the real host."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from rotator.effects.host import objections
from rotator.plugin_api import (
    Alive,
    Generation,
    Inconclusive,
    OutcomeUnknown,
    PluginError,
    PreflightRequest,
    Refused,
    Rejected,
    Subject,
)
from tests.conformance import checks
from tests.conformance.alerta_bench import SERVICE, make_bench, row_of
from tests.conformance.bench import Bench, Credential
from tests.lab.alerta import ADMIN, Alerta
from tests.lab.proxy import Answer, Fault, Proxy
from tests.lab.shapes import handle_of


@pytest.fixture
def bench(alerta: Alerta, start_proxy: Callable[..., Proxy]) -> Bench:
    return make_bench(alerta, start_proxy(alerta.port))


def test_the_declaration_has_nothing_to_object_to(bench: Bench) -> None:
    assert objections(bench.plugin) == ()
    assert bench.plugin.routes == ("DELETE /key/{row.id}", "GET /keys", "POST /key")


def test_lost_after_write(bench: Bench) -> None:
    checks.lost_after_write(bench)


def test_the_same_write_again_after_a_lost_answer_is_unknown_and_the_key_is_there_once(bench: Bench) -> None:
    credential = bench.installed()
    with pytest.raises(OutcomeUnknown) as caught:
        bench.install(credential)
    assert caught.value.reason == "maybe_ours"
    assert isinstance(bench.probe(credential), Alive)
    rows = bench.platform().listing(bench.call(), SERVICE)
    assert [row.label for row in rows].count(credential.target.label) == 1


def test_lands_late(bench: Bench) -> None:
    checks.lands_late(bench)


def test_half_an_answer(bench: Bench) -> None:
    checks.half_an_answer(bench)


def test_lost_before_write(bench: Bench) -> None:
    checks.lost_before_write(bench)


def test_create_is_sent_once(bench: Bench) -> None:
    checks.sent_once(bench)


def test_two_keys_with_one_label_are_two_rows_and_each_is_revoked_alone(bench: Bench) -> None:
    """`text` is not unique: what tells keys apart is the digest of the id."""
    first, second = bench.installed(), bench.fresh()
    second = Credential(second.value, replace(second.target, label=first.target.label))
    second = Credential(second.value, replace(second.target, handle=bench.install(second).handle))
    assert first.target.handle != second.target.handle
    assert not bench.revoke(first).already
    assert not bench.accepts(first.value)
    assert bench.accepts(second.value)


def test_dead_is_rejected(bench: Bench) -> None:
    checks.dead_is_rejected(bench)


@pytest.mark.parametrize("answer", checks.FOREIGN.values(), ids=checks.FOREIGN.keys())
def test_refusal_is_not_death(bench: Bench, answer: Answer) -> None:
    checks.refusal_is_not_death(bench, bench.installed(), answer)


@pytest.mark.parametrize(
    "words",
    [
        "Missing authorization API Key or Bearer Token",
        "Token has expired",
        "email not verified",
        "API key parameter 'x' is invalid or your account is locked",
    ],
)
def test_other_refusals_of_the_same_server_are_not_death(bench: Bench, words: str) -> None:
    answer = Answer.json(401, {"status": "error", "message": words, "code": 401, "errors": None})
    checks.refusal_is_not_death(bench, bench.installed(), answer)


def test_silence_is_not_death(bench: Bench) -> None:
    checks.silence_is_not_death(bench, bench.installed())


def test_an_expired_key_is_rejected(bench: Bench, alerta: Alerta) -> None:
    credential = bench.installed()
    past = {"expireTime": "2020-01-01T00:00:00.000Z"}
    assert alerta.ask("PUT", f"/key/{row_of(alerta, credential)['id']}", past).status == 200
    assert bench.probe(credential) == Rejected(reason="key_refused")


def test_a_key_without_the_scope_to_look_is_inconclusive_not_dead(bench: Bench) -> None:
    credential = bench.fresh()
    bench.install(credential, scopes=frozenset({"write:alerts"}))
    assert bench.probe(credential) == Inconclusive(reason="unrecognised_answer")


# ---- who a key belongs to ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scopes", [{"read"}, {"read:keys"}, {"read", "write", "admin"}, {"admin:keys", "read:keys"}])
def test_alive_names_owner_handle_and_scopes(bench: Bench, scopes: set[str]) -> None:
    neighbour = bench.installed(Subject(principal="aaa-first@lab.test"))
    credential = bench.fresh()
    made = bench.install(credential, scopes=frozenset(scopes)).handle
    for handle in (made, None):
        known = Credential(credential.value, Generation(subject=SERVICE, handle=handle))
        found = bench.probe(known)
        assert isinstance(found, Alive)
        assert (found.principal, found.handle) == (SERVICE.principal, made)
        assert found.scopes == frozenset(scopes)
    assert bench.accepts(neighbour.value)


def test_alive_names_the_owner_of_somebody_elses_key(bench: Bench) -> None:
    checks.alive_names_the_owner(bench, Subject(principal="other@lab.test"))


def test_alive_without_credentials_is_not_alive(bench: Bench, alerta: Alerta) -> None:
    """A server that asks nobody shows all keys: the row of the value is not among them, so nobody was let in by it."""
    credential = bench.installed()
    listing = Answer.json(200, {"status": "ok", "keys": [], "more": False, "total": 0})
    bench.proxy.rule(Fault.MADE_UP, path=bench.probe_path, answer=listing)
    assert bench.probe(credential) == Inconclusive(reason="incomplete_answer")
    others = [{"id": "x", "key": "another", "user": SERVICE.principal}]
    bench.proxy.clear()
    bench.proxy.rule(Fault.MADE_UP, path=bench.probe_path, answer=Answer.json(200, {"status": "ok", "keys": others}))
    assert bench.probe(credential) == Inconclusive(reason="incomplete_answer")


def test_the_admins_own_key_is_a_witness(bench: Bench) -> None:
    found = bench.platform().witness(bench.call())
    assert isinstance(found, Alive)
    assert found.principal == ADMIN


def test_preflight_says_who_acts(bench: Bench) -> None:
    assert bench.platform().preflight(bench.call(), PreflightRequest(subject=SERVICE)).acting == ADMIN


# ---- writing -------------------------------------------------------------------------------------------------------


def test_the_server_chooses_the_id_and_the_handle_is_its_digest(bench: Bench, alerta: Alerta) -> None:
    credential = bench.installed()
    row = row_of(alerta, credential)
    assert credential.target.handle == handle_of(row)
    assert (row["user"], row["text"]) == (SERVICE.principal, credential.target.label)
    assert not {row["id"], row["key"]} & {credential.target.label, credential.target.handle, SERVICE.principal}
    assert alerta.accepts(row["id"]), "why it is a digest: the id is as good as the key"
    assert not alerta.accepts(credential.target.handle)
    assert not alerta.accepts(credential.target.label)
    year = datetime.now(UTC) + timedelta(days=364)
    assert row["expireTime"] > year.isoformat()


def test_an_expiry_that_is_asked_for_is_set_and_read_back(bench: Bench) -> None:
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
    credential = bench.fresh()
    bench.install(credential, expires_at=until)
    found = bench.probe(credential)
    assert isinstance(found, Alive)
    assert found.expires_at == until


def test_scopes_that_cannot_be_given_are_refused(bench: Bench, alerta: Alerta) -> None:
    weak = bench.fresh()
    bench.install(weak, scopes=frozenset({"admin:keys", "write:keys", "read:keys"}))
    with pytest.raises(Refused) as caught:
        bench.install(bench.fresh(), bench.platform(admin_value=weak.value), scopes=frozenset({"admin:users"}))
    assert caught.value.reason == "scope_refused"
    with pytest.raises(Refused) as caught:
        bench.install(bench.fresh(), scopes=frozenset({"no-such-scope"}))
    assert caught.value.reason == "scope_refused"


def test_success_that_did_nothing(bench: Bench) -> None:
    checks.success_that_did_nothing(bench, Answer.json(201, {"status": "ok", "data": {"id": "rot-lie-1"}}))


@pytest.mark.parametrize("lie", [Answer(201), Answer(200, {}, b"<html>"), Answer.json(200, {"status": "ok"})])
def test_a_success_without_its_parts_is_unknown(bench: Bench, lie: Answer) -> None:
    bench.proxy.rule(Fault.MADE_UP, method="POST", answer=lie)
    with pytest.raises(OutcomeUnknown):
        bench.install(bench.fresh())


def test_revoke_gone(bench: Bench) -> None:
    checks.revoke_gone(bench)


def test_a_404_of_a_proxy_is_not_gone(bench: Bench) -> None:
    credential = bench.installed()
    bench.proxy.rule(Fault.MADE_UP, method="DELETE", answer=Answer(404, {}, b"<html>404</html>"))
    with pytest.raises(Refused):
        bench.revoke(credential)


def test_revoke_only_mine(bench: Bench) -> None:
    first, second = bench.installed(), bench.installed()
    checks.revoke_only_mine(bench, [first, second])


def test_a_revoke_without_a_handle_is_never_sent(bench: Bench) -> None:
    with pytest.raises(PluginError) as caught:
        bench.revoke(Credential("unused", Generation(subject=SERVICE)))
    assert caught.value.unsent
    assert bench.proxy.log == []


@pytest.mark.parametrize("handle", ["../keys", "a/b", "a?b=", "%2e%2e", "a\nb", "a'b\"", "..", "a#b", "ключ"])
def test_hostile_handle(bench: Bench, handle: str) -> None:
    checks.hostile_handle(bench, handle)


@pytest.mark.parametrize("principal", ["o'brien@lab.test", 'a"b', "a{}b", "ä ö", "~.*", "x; drop table keys"])
def test_a_hostile_principal_arrives_as_it_is(bench: Bench, principal: str) -> None:
    credential = bench.installed(Subject(principal=principal))
    found = bench.probe(credential)
    assert isinstance(found, Alive)
    assert found.principal == principal


# ---- secrets and faults of the line --------------------------------------------------------------------------------


def test_echo_the_refused_key_in_the_401_comes_nowhere(bench: Bench, alerta: Alerta) -> None:
    credential = bench.fresh()
    raw = alerta.ask("GET", "/keys", key=credential.value)
    assert raw.status == 401
    assert credential.value in str(raw.json()), "the server does repeat the key"
    found = bench.probe(credential)
    assert credential.value not in repr(found)
    platform = bench.platform(admin_value=credential.value)
    with pytest.raises(PluginError) as caught:
        bench.install(bench.fresh(), platform)
    assert credential.value not in "".join(traceback.format_exception(caught.value))


def test_echo_a_server_that_names_the_key_as_its_user_fails_the_call(bench: Bench) -> None:
    credential = bench.installed()
    row = {"id": "x", "key": credential.value, "user": f"owner of {credential.value}"}
    bench.proxy.rule(Fault.MADE_UP, path=bench.probe_path, answer=Answer.json(200, {"status": "ok", "keys": [row]}))
    found = bench.probe(credential)
    assert found == Inconclusive(reason="echo")


def test_redirect(bench: Bench, alerta: Alerta, start_proxy: Callable[..., Proxy]) -> None:
    checks.redirect(bench, bench.installed(), start_proxy(alerta.port))


def test_throttled(bench: Bench) -> None:
    checks.throttled(bench, bench.installed())


def test_acting_refused(bench: Bench) -> None:
    checks.acting_refused(bench, bench.installed())


def test_the_key_never_stands_in_a_path(bench: Bench) -> None:
    credential = bench.installed()
    bench.probe(credential)
    bench.platform().listing(bench.call(), None)
    bench.revoke(credential)
    assert not any(credential.value in event.path or bench.admin_value in event.path for event in bench.proxy.log)
