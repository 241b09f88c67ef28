"""The request-tracker pack against a real Request Tracker, behind the fault proxy, through the real host."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rotator.effects.host import objections
from rotator.plugin_api import (
    Alive,
    Failed,
    Generation,
    Inconclusive,
    OutcomeUnknown,
    PluginError,
    Rejected,
    Subject,
)
from tests.conformance import checks
from tests.conformance.bench import Bench, Credential
from tests.lab.proxy import Answer, Fault, Proxy
from tests.lab.request_tracker import WRONG_PASSWORD, RequestTracker
from tests.lab.shapes_request_tracker import LOGIN, WHO, WRITE, said
from tests.real.request_tracker_bench import DEAD, make_bench

pytestmark = pytest.mark.real("request-tracker")
PLACES = pytest.mark.parametrize("path", [LOGIN, WHO], ids=["login", "who"])


@pytest.fixture(scope="module")
def tracker(real_server: Callable[..., Any]) -> RequestTracker:
    server = real_server("request-tracker")
    assert isinstance(server, RequestTracker)
    return server


@pytest.fixture
def bench(tracker: RequestTracker, start_proxy: Callable[..., Proxy]) -> Bench:
    """A user of the test's own."""
    return make_bench(tracker, start_proxy(tracker.port))


@pytest.fixture(scope="module")
def shared(tracker: RequestTracker) -> Credential:
    """A user with a password that no test changes."""
    with Proxy(tracker.port) as proxy:
        return make_bench(tracker, proxy).installed()


def test_the_declaration_has_nothing_to_object_to(bench: Bench) -> None:
    assert objections(bench.plugin) == ()
    assert bench.plugin.routes == (
        "GET /NoAuth/Logout.html", "GET /REST/2.0/user/{principal}", "POST /REST/1.0/", "POST /REST/1.0/edit",
        "POST /REST/2.0/users",
    )  # fmt: skip


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


def test_the_refusal_is_the_servers_own_words(bench: Bench, tracker: RequestTracker) -> None:
    text = tracker.login(bench.subject.principal, "canary-wrong")
    first, empty, words = text.splitlines()
    assert first.split(" ", 1)[1] == "401 Credentials required"
    assert (empty, words) == ("", WRONG_PASSWORD)
    assert bench.probe(bench.fresh()) == DEAD
    assert bench.refusal in bench.plugin.reasons


def test_somebody_elses_password_is_not_this_users(bench: Bench, tracker: RequestTracker) -> None:
    other = f"svc-{secrets.token_hex(4)}"
    tracker.create_user(other)
    theirs = bench.installed(Subject(principal=other))
    assert tracker.accepts(other, theirs.value)
    assert bench.probe(Credential(theirs.value, Generation(subject=bench.subject))) == DEAD
    assert isinstance(bench.probe(theirs), Alive)


def test_a_server_that_takes_us_for_somebody_else_says_so(bench: Bench) -> None:
    credential = bench.installed()
    bench.proxy.rule(Fault.MADE_UP, path=WHO, answer=Answer.json(200, {"Name": "somebody-else", "Disabled": "0"}))
    found = bench.probe(credential)
    assert isinstance(found, Alive)
    assert found.principal == "somebody-else"


def test_what_everybody_may_read_of_a_user_is_not_a_sign_of_life(bench: Bench, tracker: RequestTracker) -> None:
    """A privileged user reads others' names too; only of itself, or with the right to administer users, the rest."""
    other = f"svc-{secrets.token_hex(4)}"
    password = tracker.create_user(other)
    seen = tracker.ask("GET", f"/user/{bench.subject.principal}", user=other, password=password).json()
    assert seen["Name"] == bench.subject.principal
    bench.proxy.rule(Fault.MADE_UP, path=WHO, answer=Answer.json(200, seen))
    assert isinstance(bench.probe(bench.installed()), Inconclusive)


def test_an_unprivileged_user_is_alive_too(bench: Bench, tracker: RequestTracker) -> None:
    plain = Subject(principal=f"plain-{secrets.token_hex(4)}")
    tracker.create_user(plain.principal, privileged=False)
    found = bench.probe(bench.installed(plain))
    assert isinstance(found, Alive)
    assert found.principal == plain.principal


def test_a_disabled_user_is_refused_in_the_same_words_though_the_password_lives(
    bench: Bench, tracker: RequestTracker
) -> None:
    """Which is why a refusal needs its control: the successor, with the same user, is refused as well."""
    credential = bench.installed()
    tracker.disable_user(bench.subject.principal)
    assert bench.probe(credential) == DEAD
    tracker.disable_user(bench.subject.principal, disabled=False)
    assert isinstance(bench.probe(credential), Alive)


def test_wrong_guesses_cost_nothing(bench: Bench) -> None:
    """So the pack declares no limit of probes."""
    credential = bench.installed()
    for _ in range(12):
        assert bench.probe(bench.fresh()) == DEAD
    assert isinstance(bench.probe(credential), Alive)
    (kind,) = bench.plugin.kinds
    assert kind.traits.probe_limit is None


def test_a_password_with_signs_outside_ascii_lives_though_basic_authentication_refuses_it(
    bench: Bench, tracker: RequestTracker
) -> None:
    """A probe by REST 2 alone would call it dead."""
    user = bench.subject.principal
    grown = Credential(f"Grüße-canary-{secrets.token_hex(8)}", bench.fresh().target)
    bench.install(grown)
    assert tracker.ask("GET", f"/user/{user}", user=user, password=grown.value).status == 401
    assert isinstance(bench.probe(grown), Alive)


def test_passwords_of_the_smallest_and_the_largest_size_are_taken_whole(bench: Bench) -> None:
    (kind,) = bench.plugin.kinds
    for size in (kind.value.min, kind.value.max):
        value = secrets.token_hex(size)[:size]
        credential = Credential(value, bench.fresh().target)
        bench.install(credential)
        assert isinstance(bench.probe(credential), Alive)
        assert bench.probe(Credential(value[:-1] + ("a" if value[-1] != "a" else "b"), credential.target)) == DEAD


# ---- what proves nothing -------------------------------------------------------------------------------------------


@PLACES
@pytest.mark.parametrize("answer", checks.FOREIGN.values(), ids=checks.FOREIGN.keys())
def test_refusal_is_not_death(
    tracker: RequestTracker, start_proxy: Callable[..., Proxy], shared: Credential, path: str, answer: Answer
) -> None:
    checks.refusal_is_not_death(shared_bench(tracker, start_proxy(tracker.port), shared, path), shared, answer)


@PLACES
def test_silence_is_not_death(
    tracker: RequestTracker, start_proxy: Callable[..., Proxy], shared: Credential, path: str
) -> None:
    # The login before the question for the user takes its time: bcrypt.
    checks.silence_is_not_death(shared_bench(tracker, start_proxy(tracker.port), shared, path), shared)


def shared_bench(tracker: RequestTracker, proxy: Proxy, shared: Credential, path: str) -> Bench:
    bench = make_bench(tracker, proxy, create=False)
    return replace(bench, subject=shared.target.subject, probe_path=path)


OTHERS = {
    "without words": said("401 Credentials required"),
    "other words": said("401 Credentials required", "Your account is locked"),
    "more words": said("401 Credentials required", f"{WRONG_PASSWORD}, and your account is locked"),
    "other status": said("403 Forbidden", WRONG_PASSWORD),
    "under 401": Answer(401, {}, said("401 Credentials required", WRONG_PASSWORD).body),
    "of nobody": Answer(200, {}, f"401 Credentials required\n\n{WRONG_PASSWORD}\n".encode()),
    "a page with the words": Answer(200, {"Content-Type": "text/html"}, f"<html>{WRONG_PASSWORD}</html>".encode()),
    "another page": Answer.redirect("/NoAuth/Login.html", 302),
}  # fmt: skip


@pytest.mark.parametrize("answer", OTHERS.values(), ids=OTHERS.keys())
def test_other_refusals_of_a_login_are_not_death(bench: Bench, answer: Answer) -> None:
    bench.proxy.rule(Fault.MADE_UP, path=LOGIN, answer=answer)
    assert isinstance(bench.probe(bench.fresh()), Inconclusive)


def test_a_form_that_was_taken_away_kills_nothing(bench: Bench, tracker: RequestTracker) -> None:
    """This is RT's real answer to a login without user and password."""
    credential, stripped = bench.installed(), tracker.say("", {})
    bench.proxy.rule(
        Fault.MADE_UP, path=LOGIN, answer=Answer(stripped.status, {"Content-Type": "text/plain"}, stripped.body)
    )
    assert bench.probe(credential) == Inconclusive(reason="nobody_seen")


def test_a_login_without_a_session_concludes_nothing(bench: Bench) -> None:
    bench.proxy.rule(Fault.MADE_UP, path=LOGIN, answer=said("200 Ok", "# Invalid object specification: ''"))
    assert bench.probe(bench.fresh()) == Inconclusive(reason="incomplete_answer")


def test_a_server_that_is_down_proves_nothing(
    start_real_server: Callable[..., Any], start_proxy: Callable[..., Proxy]
) -> None:
    own = start_real_server("request-tracker")
    bench = make_bench(own, start_proxy(own.port))
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
    rule = bench.proxy.rule(Fault.ANSWER_LOST, path=WRITE, times=1)
    with pytest.raises(OutcomeUnknown):
        bench.install(new)
    assert rule.struck == 1
    assert isinstance(bench.probe(new), Alive)
    assert bench.probe(old) == DEAD


def test_half_an_answer_to_a_change_is_unknown(bench: Bench) -> None:
    new = bench.fresh()
    bench.proxy.rule(Fault.HALF_ANSWER, path=WRITE, times=1)
    with pytest.raises(OutcomeUnknown):
        bench.install(new)
    assert isinstance(bench.probe(new), Alive)


def test_a_change_that_lands_late_is_unknown_and_seen_by_a_later_look(bench: Bench) -> None:
    old, new = bench.installed(), bench.fresh()
    rule = bench.proxy.rule(Fault.REQUEST_LATE, path=WRITE, times=1)
    with pytest.raises(OutcomeUnknown):
        bench.install(new, seconds=3.0)
    assert bench.probe(new) == DEAD
    assert isinstance(bench.probe(old), Alive)
    rule.release()
    bench.proxy.wait_idle()
    assert isinstance(bench.probe(new), Alive)
    assert bench.probe(old) == DEAD


def test_a_lost_answer_to_the_login_changes_nothing_and_may_be_repeated(bench: Bench) -> None:
    old, new = bench.installed(), bench.fresh()
    bench.proxy.rule(Fault.ANSWER_LOST, path=LOGIN, times=1)
    with pytest.raises(Failed):
        bench.install(new)
    assert bench.proxy.count(path=WRITE) == 1, "of the first password only"
    assert isinstance(bench.probe(old), Alive)
    bench.install(new)
    assert isinstance(bench.probe(new), Alive)


def test_a_change_that_was_never_sent_failed_and_changed_nothing(bench: Bench) -> None:
    old, new = bench.installed(), bench.fresh()
    with bench.proxy.refusing(), pytest.raises(Failed) as caught:
        bench.install(new)
    assert caught.value.unsent
    assert (bench.accepts(old.value), bench.accepts(new.value)) == (True, False)


def test_a_change_is_sent_once(bench: Bench) -> None:
    for answer in (Answer(503), Answer.too_many(1)):
        bench.proxy.clear()
        bench.proxy.rule(Fault.MADE_UP, path=WRITE, answer=answer)
        before = bench.proxy.count(path=WRITE)
        with pytest.raises(PluginError):
            bench.install(bench.fresh())
        assert bench.proxy.count(path=WRITE) == before + 1


def test_throttled_waits_as_long_as_the_server_asks(bench: Bench) -> None:
    credential = bench.installed()
    bench.proxy.rule(Fault.MADE_UP, answer=Answer(429, {"Retry-After": "7"}))
    assert bench.probe(credential) == Inconclusive(reason="throttled", retry_after=timedelta(seconds=7))
    with pytest.raises(Failed) as caught:
        bench.install(bench.fresh())
    assert (caught.value.reason, caught.value.retry_after) == ("throttled", timedelta(seconds=7))


def test_a_success_that_did_nothing_is_found_out(bench: Bench) -> None:
    old, new = bench.installed(), bench.fresh()
    bench.proxy.rule(Fault.MADE_UP, path=WRITE, answer=said("200 Ok", "# User svc updated.", ""), times=1)
    bench.install(new)
    assert bench.probe(new) == Rejected(reason=bench.refusal)
    assert isinstance(bench.probe(old), Alive)


LIES = {
    "no words": said("200 Ok"),
    "nothing": Answer(200),
    "a page": Answer(200, {"Content-Type": "text/html"}, b"<html>RT/5.0 200 Ok\n\n# User svc updated.\n</html>"),
    "another status": said("500 Server Error", "# User svc updated."),
    "more than that": said("200 Ok", "# User svc updated.", "# password: Something else"),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_a_success_without_its_parts_is_unknown(bench: Bench, lie: Answer) -> None:
    bench.proxy.rule(Fault.MADE_UP, path=WRITE, answer=lie)
    with pytest.raises(OutcomeUnknown):
        bench.install(bench.fresh())


def test_a_session_that_rt_forgot_is_not_a_refused_admin(bench: Bench) -> None:
    bench.proxy.rule(Fault.MADE_UP, path=WRITE, answer=said("401 Credentials required"))
    with pytest.raises(Failed) as caught:
        bench.install(bench.fresh())
    assert caught.value.reason == "login_forgotten"
