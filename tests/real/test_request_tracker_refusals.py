"""What Request Tracker refuses, and what only looks like success: rights, rules, names, languages, lines, sessions."""

from __future__ import annotations

import secrets
import traceback
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from rotator_http import PACKS

from rotator.plugin_api import (
    Alive,
    Generation,
    Inconclusive,
    Misconfigured,
    PluginError,
    PreflightRequest,
    ProbeRequest,
    Refused,
    Secret,
    Subject,
)
from tests.conformance.bench import Bench, Credential
from tests.lab import wire
from tests.lab.proxy import Answer, Fault, Proxy
from tests.lab.request_tracker import ADMIN, ROOT_USER, RequestTracker
from tests.lab.shapes_request_tracker import LOGIN, USERS, WRITE
from tests.real.request_tracker_bench import DEAD, make_bench
from tests.unit.pack_server import CALL, platform, serving

pytestmark = pytest.mark.real("request-tracker")


@pytest.fixture(scope="module")
def tracker(real_server: Callable[..., Any]) -> RequestTracker:
    server = real_server("request-tracker")
    assert isinstance(server, RequestTracker)
    return server


@pytest.fixture
def bench(tracker: RequestTracker, start_proxy: Callable[..., Proxy]) -> Bench:
    """A user of the test's own."""
    return make_bench(tracker, start_proxy(tracker.port))


def acting_as(bench: Bench, tracker: RequestTracker, *, privileged: bool = True) -> Bench:
    """The same bench, acting as a new user without any right."""
    name = f"weak-{secrets.token_hex(4)}"
    return replace(bench, admin=name, admin_value=tracker.create_user(name, privileged=privileged))


def preflight(bench: Bench) -> str:
    return bench.platform().preflight(bench.call(), PreflightRequest(subject=bench.subject)).acting


# ---- who acts ------------------------------------------------------------------------------------------------------


def test_preflight_says_who_acts(bench: Bench, tracker: RequestTracker) -> None:
    assert preflight(bench) == ADMIN
    assert preflight(replace(bench, admin=ROOT_USER, admin_value=tracker.root_password)) == ROOT_USER


def test_preflight_finds_users_whose_password_cannot_be_rotated(bench: Bench, tracker: RequestTracker) -> None:
    def findings(principal: str) -> tuple[str, ...]:
        return bench.platform().preflight(bench.call(), PreflightRequest(subject=Subject(principal=principal))).findings

    user = bench.subject.principal
    assert findings(user) == ()
    assert findings(ADMIN) == ()
    tracker.disable_user(user)
    assert findings(user) == ("user_disabled",)
    assert findings(f"svc-{secrets.token_hex(4)}") == ("no_such_user",)


def test_the_admins_own_password_is_a_witness(bench: Bench) -> None:
    found = bench.platform().witness(bench.call())
    assert isinstance(found, Alive)
    assert found.principal == ADMIN


def test_the_admins_wrong_password_is_a_matter_for_a_person(bench: Bench) -> None:
    credential = bench.installed()
    wrong = replace(bench, admin_value=bench.fresh().value)
    for work in (lambda: preflight(wrong), lambda: wrong.install(wrong.fresh())):
        with pytest.raises(Misconfigured) as caught:
            work()
        assert caught.value.reason == "acting_refused"
    assert isinstance(wrong.probe(credential, wrong.platform()), Alive)
    assert bench.accepts(credential.value)


@pytest.mark.parametrize("privileged", [True, False], ids=["privileged", "unprivileged"])
def test_an_admin_without_the_right_is_found_before_anything_is_changed(
    bench: Bench, tracker: RequestTracker, privileged: bool
) -> None:
    weak = acting_as(bench, tracker, privileged=privileged)
    with pytest.raises(Misconfigured) as caught:
        preflight(weak)
    assert caught.value.reason == "no_right"


def test_an_admin_without_the_right_changes_nothing_though_rt_says_updated(
    bench: Bench, tracker: RequestTracker
) -> None:
    credential, weak = bench.installed(), acting_as(bench, tracker)
    told = tracker.edit(bench.subject.principal, "Password: canary-another", weak.admin, weak.admin_value)
    assert "409 Syntax Error" in told
    assert f"# User {bench.subject.principal} updated." in told
    with pytest.raises(Misconfigured) as caught:
        weak.install(weak.fresh())
    assert caught.value.reason == "no_right"
    assert bench.accepts(credential.value)


def test_the_right_reaches_every_user_so_that_the_admin_is_worth_as_much_as_root(tracker: RequestTracker) -> None:
    same = f"Password: {tracker.root_password}"
    assert " 200 Ok\n\n# User root updated.\n" in tracker.edit(ROOT_USER, same, ADMIN, tracker.admin_password)


def test_an_endless_login_page_is_not_a_right(bench: Bench) -> None:
    for answer in (Answer.redirect("/NoAuth/Login.html", 302), Answer(200, {"Content-Type": "text/html"}, b"<html>")):
        bench.proxy.clear()
        bench.proxy.rule(Fault.MADE_UP, path=LOGIN, answer=answer)
        with pytest.raises(PluginError):
            preflight(bench)
        with pytest.raises(PluginError):
            bench.install(bench.fresh())
    assert bench.proxy.count(path=USERS) == bench.proxy.count(path=WRITE) == 0


def test_a_redirect_is_not_followed(bench: Bench, tracker: RequestTracker, start_proxy: Callable[..., Proxy]) -> None:
    credential, elsewhere = bench.installed(), start_proxy(tracker.port)
    for status in (302, 307, 308):
        bench.proxy.clear()
        bench.proxy.rule(Fault.MADE_UP, answer=Answer.redirect(f"{elsewhere.url}/REST/1.0/", status))
        with pytest.raises(Misconfigured) as caught:
            bench.install(bench.fresh())
        assert caught.value.reason == "redirect"
        assert isinstance(bench.probe(credential), Inconclusive)
    assert elsewhere.log == []


# ---- the platform's rules ------------------------------------------------------------------------------------------


def test_a_value_that_the_rules_refuse_is_policy_so_that_another_is_made(bench: Bench, tracker: RequestTracker) -> None:
    old, short = bench.installed(), Credential("canary7", bench.fresh().target)
    told = tracker.edit(bench.subject.principal, f"Password: {short.value}")
    assert f"# User {bench.subject.principal} updated." in told, "even then"
    # In some of these answers the password is repeated, in others not: the server's hashes have no order.
    with pytest.raises(Refused) as caught:
        bench.install(short)
    assert caught.value.reason == "policy"
    assert short.value not in "".join(traceback.format_exception(caught.value))
    assert isinstance(bench.probe(old), Alive)
    assert bench.probe(short) == DEAD


def test_a_refusal_in_another_language_is_still_a_refusal(bench: Bench, tracker: RequestTracker) -> None:
    """The language that an administrator chose wins over the one that is asked for."""
    german = acting_as(bench, tracker)
    assert "200 Ok" in tracker.edit(german.admin, "Lang: de")
    old, short = bench.installed(), Credential("canary7", bench.fresh().target)
    told = tracker.edit(bench.subject.principal, f"Password: {short.value}", german.admin, german.admin_value)
    assert "Permission Denied" not in told
    with pytest.raises(Refused) as caught:
        german.install(short)
    assert caught.value.reason == "change_refused"
    assert isinstance(bench.probe(old), Alive)


def test_the_pack_asks_for_english_since_rt_speaks_as_it_is_asked(tracker: RequestTracker, tmp_path: Path) -> None:
    german = {"Accept-Language": "de", "Content-Type": "application/x-www-form-urlencoded"}
    told = wire.call("POST", f"{tracker.url}/REST/1.0/", b"user=root&pass=canary-wrong", german, timeout_s=30)
    assert b" 401 Credentials required\n\nIhr " in told.body
    with serving(lambda got: (200, "RT/5.0.3 401 Credentials required\n")) as script:
        target = Generation(subject=Subject(principal="svc"))
        hosted = platform(tmp_path, script, (PACKS / "request-tracker.yaml").read_text())
        hosted.probe(CALL, ProbeRequest(target=target, value=Secret("canary-wrong")))
    assert [got.headers.get("accept-language") for got in script.got] == ["en"]


# ---- values that RT would take for others --------------------------------------------------------------------------


def test_rt_strips_spaces_in_front_and_the_probe_finds_out(bench: Bench) -> None:
    spaced = Credential("  canary-with-spaces-in-front", bench.fresh().target)
    bench.install(spaced)
    assert bench.probe(spaced) == DEAD
    assert bench.accepts(spaced.value.strip())


def test_a_password_of_stars_is_called_set_and_is_not(bench: Bench) -> None:
    old, stars = bench.installed(), Credential("*" * 32, bench.fresh().target)
    bench.install(stars)
    assert bench.probe(stars) == DEAD
    assert isinstance(bench.probe(old), Alive)


@pytest.mark.parametrize("sign", ["\n", "\r\n", "\x85"])
def test_a_value_with_lines_of_its_own_is_never_sent_as_a_form(
    bench: Bench, tracker: RequestTracker, sign: str
) -> None:
    """Else whoever sets the own password could write into the form what only an administrator may."""
    user = bench.subject.principal
    old = bench.installed()
    evil = Credential(f"canary-first-line{sign}RealName: Mallory", bench.fresh().target)
    sent = bench.proxy.count(path=WRITE)
    with pytest.raises(Misconfigured) as caught:
        bench.install(evil)
    assert (caught.value.reason, bench.proxy.count(path=WRITE)) == ("unsendable", sent)
    assert evil.value not in "".join(traceback.format_exception(caught.value))
    assert tracker.ask("GET", f"/user/{user}").json().get("RealName", "") == ""
    assert isinstance(bench.probe(old), Alive)


# ---- names that RT would take for others ---------------------------------------------------------------------------


def test_a_name_like_an_address_is_a_name(bench: Bench, tracker: RequestTracker) -> None:
    """In a path of REST 1.0 RT looks for the user with that address."""
    name = f"{secrets.token_hex(4)}@lab.test"
    tracker.create_user(name, email=f"other-{name}")
    bystander = f"svc-{secrets.token_hex(4)}"
    theirs = tracker.create_user(bystander, email=name)
    mine = bench.installed(Subject(principal=name))
    found = bench.probe(mine)
    assert isinstance(found, Alive)
    assert found.principal == name
    assert tracker.accepts(bystander, theirs)


def test_a_name_that_is_a_number_is_refused_before_anything_is_sent(bench: Bench, tracker: RequestTracker) -> None:
    """RT would take it for an id: here root's."""
    number = str(tracker.ask("GET", f"/user/{ROOT_USER}").json()["id"])
    seen = len(bench.proxy.log)
    target = bench.fresh(Subject(principal=number))
    with pytest.raises(Misconfigured) as caught:
        bench.install(target)
    assert (caught.value.reason, caught.value.unsent) == ("unfit_name", True)
    assert bench.probe(target) == Inconclusive(reason="unfit_name")
    assert len(bench.proxy.log) == seen
    assert tracker.accepts(ROOT_USER, tracker.root_password)


def test_a_user_that_does_not_exist_gets_no_password(bench: Bench) -> None:
    """At a login RT does not tell the two apart; at a change it does."""
    nobody = bench.fresh(Subject(principal=f"svc-{secrets.token_hex(4)}"))
    assert bench.probe(nobody) == DEAD
    with pytest.raises(Refused) as caught:
        bench.install(nobody)
    assert caught.value.reason == "no_such_user"


HOSTILE = [
    "new",
    "root,rotator",
    "root/../x",
    "../user/root",
    "user/root",
    "roo(t",
    "[root]",
    "r.*t",
    "--",
    "ro\not",
    "ä ö",
]


@pytest.mark.parametrize("principal", HOSTILE)
def test_a_hostile_principal_changes_nobody_and_makes_nobody(
    bench: Bench, tracker: RequestTracker, principal: str
) -> None:
    before = everybody(tracker)
    with pytest.raises(PluginError):
        bench.install(bench.fresh(Subject(principal=principal)))
    assert everybody(tracker) == before
    assert tracker.accepts(ROOT_USER, tracker.root_password)
    assert tracker.accepts(ADMIN, tracker.admin_password)


def everybody(tracker: RequestTracker) -> dict[str, str]:
    """Every user and the time of its last change."""
    query = "/users?query=%5B%7B%22field%22%3A%22id%22%2C%22operator%22%3A%22%3E%22%2C%22value%22%3A%220%22%7D%5D"
    found = tracker.ask("GET", f"{query}&fields=LastUpdated&per_page=100&find_disabled_rows=1").json()
    assert found["total"] == len(found["items"])
    return {row["id"]: row["LastUpdated"] for row in found["items"]}


# ---- sessions ------------------------------------------------------------------------------------------------------


def test_what_rotator_logged_in_it_logs_out(bench: Bench, tracker: RequestTracker) -> None:
    admins = tracker.sessions_of(ADMIN)
    credential = bench.installed()
    assert isinstance(bench.probe(credential), Alive)
    preflight(bench)
    assert tracker.sessions_of(bench.subject.principal) == 0
    assert tracker.sessions_of(ADMIN) == admins
    weak = acting_as(bench, tracker, privileged=False)
    with pytest.raises(Misconfigured):
        preflight(weak)
    assert tracker.sessions_of(weak.admin) == 0, "an unprivileged user is logged out too"


def test_a_session_outlives_password_and_account_which_is_why_the_pack_says_derived_live(
    bench: Bench, tracker: RequestTracker
) -> None:
    user = bench.subject.principal
    old = bench.installed()
    cookie = tracker.session(user, old.value)
    bench.installed()
    assert bench.probe(old) == DEAD
    assert tracker.session_lives(cookie)
    tracker.disable_user(user)
    assert tracker.session_lives(cookie), "a disabled user goes on too"
    (kind,) = bench.plugin.kinds
    assert kind.traits.derived_live == timedelta(days=1)


def test_rts_own_hourly_cleaning_keeps_sessions_below_derived_live(
    start_real_server: Callable[..., Any],
) -> None:
    """docs/pack-request-tracker.md tells administrators to run it so; use of REST does not make a session younger."""
    with start_real_server("request-tracker") as own:
        cookie = own.session(ROOT_USER, own.root_password)
        own.age_sessions(21)
        own.clean_sessions("22H")
        assert own.session_lives(cookie)
        own.age_sessions(23)
        assert own.session_lives(cookie)
        own.clean_sessions("22H")
        assert not own.session_lives(cookie)


# ---- secrets -------------------------------------------------------------------------------------------------------


def test_the_password_never_stands_in_a_path(bench: Bench) -> None:
    credential = bench.installed()
    assert isinstance(bench.probe(credential), Alive)
    preflight(bench)
    assert not any(credential.value in event.path or bench.admin_value in event.path for event in bench.proxy.log)
    assert bench.probe(Credential(credential.value, Generation(subject=Subject(principal=ADMIN)))) == DEAD
