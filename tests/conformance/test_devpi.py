"""The devpi pack against a real devpi server, behind the fault proxy, through the real host."""

from __future__ import annotations

import secrets
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from rotator_http import load_pack

from rotator.effects.host import objections
from rotator.plugin_api import (
    Alive,
    Failed,
    Generation,
    Inconclusive,
    Misconfigured,
    OutcomeUnknown,
    PluginError,
    PreflightRequest,
    Refused,
    Rejected,
    Subject,
)
from tests.conformance import checks
from tests.conformance.bench import Bench, Credential
from tests.lab.devpi import ADMIN, WRONG_PASSWORD, Devpi
from tests.lab.install import NotInstalled
from tests.lab.proxy import Answer, Fault, Proxy

LOGIN, WHO, WRITE = r"^/\+login$", r"^/\+api$", r"^/svc-[0-9a-f]+$"
DEAD = Rejected(reason="password_refused")


@pytest.fixture(scope="module")
def devpi() -> Iterator[Devpi]:
    try:
        server = Devpi()
    except NotInstalled as absent:
        pytest.fail(str(absent), pytrace=False)
    with server:
        yield server


@pytest.fixture
def bench(devpi: Devpi, start_proxy: Callable[..., Proxy]) -> Bench:
    """A user of the test's own."""
    return make_bench(devpi, start_proxy(devpi.port), WHO)


def make_bench(devpi: Devpi, proxy: Proxy, probe_path: str) -> Bench:
    user = f"svc-{secrets.token_hex(4)}"
    devpi.create_user(user)
    return Bench(
        plugin=load_pack("devpi"),
        kind="password",
        proxy=proxy,
        admin=ADMIN,
        admin_value=devpi.admin_password,
        subject=Subject(principal=user),
        scopes=frozenset(),
        write=WRITE,
        probe_path=probe_path,
        refusal="password_refused",
        accepts=lambda value: devpi.accepts(user, value),
        stored=lambda: [],
    )


def test_the_declaration_has_nothing_to_object_to(bench: Bench) -> None:
    assert objections(bench.plugin) == ()
    assert bench.plugin.routes == ("GET /+api", "PATCH /{principal}", "POST /+login")


# ---- what a password is --------------------------------------------------------------------------------------------


def test_the_right_password_is_alive_as_its_user(bench: Bench) -> None:
    credential = bench.installed()
    assert bench.accepts(credential.value)
    found = bench.probe(credential)
    assert isinstance(found, Alive)
    assert found.principal == bench.subject.principal


def test_a_changed_password_kills_the_old_one_at_once_and_can_be_set_again(bench: Bench) -> None:
    old = bench.installed()
    new = bench.installed()
    assert bench.probe(old) == DEAD
    assert isinstance(bench.probe(new), Alive)
    bench.install(old)
    assert isinstance(bench.probe(old), Alive)
    assert bench.probe(new) == DEAD
    assert (bench.accepts(old.value), bench.accepts(new.value)) == (True, False)


def test_the_refusal_is_the_servers_own_words(bench: Bench, devpi: Devpi) -> None:
    answer = devpi.login(bench.subject.principal, "canary-wrong")
    assert (answer.status, answer.json()) == (401, {"message": f"user '{bench.subject.principal}' {WRONG_PASSWORD}"})
    assert bench.probe(bench.fresh()) == DEAD
    assert bench.refusal in bench.plugin.reasons


def test_somebody_elses_password_is_not_this_users(bench: Bench, devpi: Devpi) -> None:
    other = f"svc-{secrets.token_hex(4)}"
    devpi.create_user(other)
    theirs = bench.installed(Subject(principal=other))
    assert devpi.accepts(other, theirs.value)
    asked = Credential(theirs.value, Generation(subject=bench.subject))
    assert bench.probe(asked) == DEAD
    assert isinstance(bench.probe(theirs), Alive)


def test_a_server_that_takes_us_for_somebody_else_says_so(bench: Bench) -> None:
    credential = bench.installed()
    other = {"type": "apiconfig", "result": {"authstatus": ["ok", "somebody-else", []]}}
    bench.proxy.rule(Fault.MADE_UP, path=WHO, answer=Answer.json(200, other))
    found = bench.probe(credential)
    assert isinstance(found, Alive)
    assert found.principal == "somebody-else"


def test_a_user_that_does_not_exist_is_refused_in_the_same_words_and_gets_no_password(bench: Bench) -> None:
    """devpi does not tell the two apart at a login; at a change it does."""
    nobody = bench.fresh(Subject(principal=f"svc-{secrets.token_hex(4)}"))
    assert bench.probe(nobody) == DEAD
    with pytest.raises(Refused) as caught:
        bench.install(nobody)
    assert caught.value.reason == "no_such_user"


def test_a_deleted_user_is_dead(bench: Bench, devpi: Devpi) -> None:
    credential = bench.installed()
    devpi.delete_user(bench.subject.principal)
    assert bench.probe(credential) == DEAD


def test_a_login_outlives_the_password_which_is_why_the_pack_says_derived_live(bench: Bench, devpi: Devpi) -> None:
    credential = bench.installed()
    answer = devpi.login(bench.subject.principal, credential.value).json()["result"]
    (kind,) = bench.plugin.kinds
    assert kind.traits.derived_live == timedelta(seconds=answer["expiration"])
    bench.installed()
    assert bench.probe(credential) == DEAD
    still = devpi.ask("GET", "/+api", user=bench.subject.principal, password=answer["password"])
    assert still.json()["result"]["authstatus"][:2] == ["ok", bench.subject.principal]


# ---- what proves nothing -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [LOGIN, WHO], ids=["login", "who"])
@pytest.mark.parametrize("answer", checks.FOREIGN.values(), ids=checks.FOREIGN.keys())
def test_refusal_is_not_death(
    devpi: Devpi, start_proxy: Callable[..., Proxy], shared: Credential, path: str, answer: Answer
) -> None:
    bench = shared_bench(devpi, start_proxy(devpi.port), shared, path)
    checks.refusal_is_not_death(bench, shared, answer)


@pytest.fixture(scope="module")
def shared(devpi: Devpi) -> Iterator[Credential]:
    """A user with a password that no test changes."""
    with Proxy(devpi.port) as proxy:
        yield make_bench(devpi, proxy, WHO).installed()


def shared_bench(devpi: Devpi, proxy: Proxy, shared: Credential, path: str) -> Bench:
    return replace(make_bench(devpi, proxy, path), subject=shared.target.subject)


OTHER_WORDS = ("", "authentication required", f"user 'x' {WRONG_PASSWORD}, locked", f"the user 'x' {WRONG_PASSWORD}")


@pytest.mark.parametrize("message", OTHER_WORDS)
def test_other_refusals_of_a_login_are_not_death(bench: Bench, message: str) -> None:
    bench.proxy.rule(Fault.MADE_UP, path=LOGIN, answer=Answer.json(401, {"message": message}))
    assert isinstance(bench.probe(bench.fresh()), Inconclusive)


def test_the_words_of_a_refusal_under_another_status_are_not_death(bench: Bench) -> None:
    said = {"message": f"user '{bench.subject.principal}' {WRONG_PASSWORD}"}
    for status in (200, 403, 500):
        bench.proxy.clear()
        bench.proxy.rule(Fault.MADE_UP, path=LOGIN, answer=Answer.json(status, said))
        assert isinstance(bench.probe(bench.fresh()), Inconclusive)


def test_a_proxy_that_takes_the_credentials_away_kills_nothing(bench: Bench, devpi: Devpi) -> None:
    """devpi then says noauth with 200, of a living password as well; this is its real answer to nobody."""
    credential = bench.installed()
    stripped = devpi.ask("GET", "/+api", user="nobody-at-all", password="canary-none").json()
    assert stripped["result"]["authstatus"][0] == "noauth"
    bench.proxy.rule(Fault.MADE_UP, path=WHO, answer=Answer.json(200, stripped))
    assert isinstance(bench.probe(credential), Inconclusive)


@pytest.mark.parametrize("path", [LOGIN, WHO], ids=["login", "who"])
def test_silence_is_not_death(devpi: Devpi, start_proxy: Callable[..., Proxy], shared: Credential, path: str) -> None:
    checks.silence_is_not_death(shared_bench(devpi, start_proxy(devpi.port), shared, path), shared)


def test_the_servers_own_500_proves_nothing_and_leaves_a_write_unknown(bench: Bench, devpi: Devpi) -> None:
    """Beyond 4096 signs this server breaks; the pack never makes such a password."""
    before = bench.installed()
    giant = Credential("canary" * 1000, bench.fresh().target)
    assert devpi.login(bench.subject.principal, giant.value).status == 500
    assert isinstance(bench.probe(giant), Inconclusive)
    with pytest.raises(OutcomeUnknown):
        bench.install(giant)
    assert isinstance(bench.probe(before), Alive)


def test_a_server_that_is_down_proves_nothing(start_proxy: Callable[..., Proxy]) -> None:
    with Devpi() as own:
        bench = make_bench(own, start_proxy(own.port), WHO)
        credential = bench.installed()
        own.kill()
        assert isinstance(bench.probe(credential), Inconclusive)
        with pytest.raises(PluginError):
            bench.install(bench.fresh())
        own.start()
        assert isinstance(bench.probe(credential), Alive)


# ---- writing -------------------------------------------------------------------------------------------------------


def test_a_lost_answer_to_a_change_is_unknown_and_the_probe_finds_out(bench: Bench) -> None:
    old, new = bench.installed(), bench.fresh()
    rule = bench.proxy.rule(Fault.ANSWER_LOST, method="PATCH", path=bench.write, times=1)
    with pytest.raises(OutcomeUnknown):
        bench.install(new)
    assert rule.struck == 1
    assert isinstance(bench.probe(new), Alive)
    assert bench.probe(old) == DEAD


def test_half_an_answer_to_a_change_is_unknown(bench: Bench) -> None:
    new = bench.fresh()
    bench.proxy.rule(Fault.HALF_ANSWER, method="PATCH", path=bench.write, times=1)
    with pytest.raises(OutcomeUnknown):
        bench.install(new)
    assert isinstance(bench.probe(new), Alive)


def test_a_change_that_lands_late_is_unknown_and_seen_by_a_later_look(bench: Bench) -> None:
    old, new = bench.installed(), bench.fresh()
    rule = bench.proxy.rule(Fault.REQUEST_LATE, method="PATCH", path=bench.write, times=1)
    with pytest.raises(OutcomeUnknown):
        bench.install(new, seconds=1.0)
    assert bench.probe(new) == DEAD
    assert isinstance(bench.probe(old), Alive)
    rule.release()
    bench.proxy.wait_idle()
    assert isinstance(bench.probe(new), Alive)
    assert bench.probe(old) == DEAD


def test_a_change_that_was_never_sent_failed_and_changed_nothing(bench: Bench) -> None:
    old, new = bench.installed(), bench.fresh()
    with bench.proxy.refusing(), pytest.raises(Failed) as caught:
        bench.install(new)
    assert caught.value.unsent
    assert (bench.accepts(old.value), bench.accepts(new.value)) == (True, False)


def test_a_change_is_sent_once(bench: Bench) -> None:
    for answer in (Answer(503), Answer.too_many(1)):
        bench.proxy.clear()
        bench.proxy.rule(Fault.MADE_UP, method="PATCH", path=bench.write, answer=answer)
        before = bench.proxy.count(method="PATCH", path=bench.write)
        with pytest.raises(PluginError):
            bench.install(bench.fresh())
        assert bench.proxy.count(method="PATCH", path=bench.write) == before + 1


def test_throttled_waits_as_long_as_the_server_asks(bench: Bench) -> None:
    credential = bench.installed()
    bench.proxy.rule(Fault.MADE_UP, answer=Answer(429, {"Retry-After": "7"}))
    assert bench.probe(credential) == Inconclusive(reason="throttled", retry_after=timedelta(seconds=7))
    with pytest.raises(Failed) as caught:
        bench.install(bench.fresh())
    assert (caught.value.reason, caught.value.retry_after) == ("throttled", timedelta(seconds=7))


def test_a_success_that_did_nothing_is_found_out(bench: Bench) -> None:
    old, new = bench.installed(), bench.fresh()
    lie = Answer.json(200, {"type": "userpassword", "message": "user updated, new proxy auth", "result": {}})
    bench.proxy.rule(Fault.MADE_UP, method="PATCH", path=bench.write, answer=lie, times=1)
    bench.install(new)
    assert bench.probe(new) == DEAD
    assert isinstance(bench.probe(old), Alive)


@pytest.mark.parametrize("lie", [Answer(200), Answer(200, {}, b"<html>"), Answer.json(200, {"type": "userconfig"})])
def test_a_success_without_its_parts_is_unknown(bench: Bench, lie: Answer) -> None:
    bench.proxy.rule(Fault.MADE_UP, method="PATCH", answer=lie)
    with pytest.raises(OutcomeUnknown):
        bench.install(bench.fresh())


def test_a_404_of_a_proxy_is_not_a_missing_user(bench: Bench) -> None:
    bench.proxy.rule(Fault.MADE_UP, method="PATCH", answer=Answer(404, {}, b"<html>404</html>"))
    with pytest.raises(Refused) as caught:
        bench.install(bench.fresh())
    assert caught.value.reason != "no_such_user"


@pytest.mark.parametrize("principal", ["../root", "root/pypi", "..", "root?x=", "root#x", "%72oot", "ro\not", "ä ö"])
def test_a_hostile_principal_changes_nobody(bench: Bench, devpi: Devpi, principal: str) -> None:
    before = devpi.ask("GET", "/").json()["result"]
    seen = len(bench.proxy.log)
    with pytest.raises(PluginError):
        bench.install(bench.fresh(Subject(principal=principal)))
    paths = [event.path for event in bench.proxy.log[seen:]]
    assert len(paths) <= 1
    assert not any("?" in path or "\n" in path or path.count("/") != 1 for path in paths)
    after = devpi.ask("GET", "/")
    assert after.status == 200
    assert after.json()["result"] == before, "users have the time of their last change"


# ---- who acts ------------------------------------------------------------------------------------------------------


def test_preflight_says_who_acts(bench: Bench) -> None:
    assert bench.platform().preflight(bench.call(), PreflightRequest(subject=bench.subject)).acting == ADMIN


def test_the_admins_own_password_is_a_witness(bench: Bench) -> None:
    found = bench.platform().witness(bench.call())
    assert isinstance(found, Alive)
    assert found.principal == ADMIN


def test_the_admins_wrong_password_is_a_matter_for_a_person(bench: Bench) -> None:
    credential = bench.installed()
    platform = bench.platform(admin_value=bench.fresh().value)
    with pytest.raises(Misconfigured) as caught:
        platform.preflight(bench.call(), PreflightRequest(subject=bench.subject))
    assert caught.value.reason == "acting_refused"
    with pytest.raises(Misconfigured) as caught:
        bench.install(bench.fresh(), platform)
    assert caught.value.reason == "admin_refused"
    assert isinstance(bench.probe(credential, platform), Alive)


def test_an_admin_without_the_right_is_a_matter_for_a_person(bench: Bench, devpi: Devpi) -> None:
    credential = bench.installed()
    weak = f"svc-{secrets.token_hex(4)}"
    acting = replace(bench, admin=weak, admin_value=devpi.create_user(weak))
    with pytest.raises(Misconfigured) as caught:
        acting.install(acting.fresh())
    assert caught.value.reason == "admin_refused"
    assert isinstance(bench.probe(credential), Alive)


def test_a_redirect_is_not_followed(bench: Bench, devpi: Devpi, start_proxy: Callable[..., Proxy]) -> None:
    credential, elsewhere = bench.installed(), start_proxy(devpi.port)
    for status in (302, 307, 308):
        bench.proxy.clear()
        bench.proxy.rule(Fault.MADE_UP, answer=Answer.redirect(f"{elsewhere.url}/root", status))
        with pytest.raises(Misconfigured) as caught:
            bench.install(bench.fresh())
        assert caught.value.reason == "redirect"
        assert isinstance(bench.probe(credential), Inconclusive)
    assert elsewhere.log == []


# ---- secrets -------------------------------------------------------------------------------------------------------


def test_the_password_never_stands_in_a_path_nor_in_an_error(bench: Bench, devpi: Devpi) -> None:
    """devpi reads %2F as a slash: such a "user" is an index, and the refusal of its change repeats the password."""
    credential, index = bench.installed(), f"{bench.subject.principal}/dev"
    assert devpi.ask("PUT", f"/{index}", {"type": "stage", "bases": []}).status == 200
    told = devpi.ask("PATCH", f"/{index.replace('/', '%2F')}", {"password": credential.value})
    assert (told.status, credential.value in str(told.json())) == (400, True)
    with pytest.raises(PluginError) as caught:
        bench.install(Credential(credential.value, Generation(subject=Subject(principal=index))))
    assert credential.value not in "".join(traceback.format_exception(caught.value))
    assert isinstance(bench.probe(credential), Alive)
    assert not any(credential.value in event.path or bench.admin_value in event.path for event in bench.proxy.log)


def test_passwords_of_the_smallest_and_the_largest_size_are_taken_whole(bench: Bench) -> None:
    (kind,) = bench.plugin.kinds
    for size in (kind.value.min, kind.value.max):
        value = secrets.token_hex(size)[:size]
        credential = Credential(value, bench.fresh().target)
        bench.install(credential)
        assert isinstance(bench.probe(credential), Alive)
        assert bench.probe(Credential(value[:-1] + ("a" if value[-1] != "a" else "b"), credential.target)) == DEAD
