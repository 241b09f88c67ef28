"""Logins of packs: the actor's is kept, one that must be ended is ended, one with the value is never kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from rotator.plugin_api import (
    Alive,
    Generation,
    Inconclusive,
    InstallRequest,
    Misconfigured,
    ProbeRequest,
    Rejected,
    Secret,
    Subject,
)
from tests.unit.pack_server import ADMIN, CALL, REPLY, Got, platform, serving

VALUE = "canary-of-the-value"
TOKENS = {ADMIN: "token-of-the-" + "admin", VALUE: "token-of-the-" + "value"}

HELIX = """
    pack: 1
    name: helix
    version: 1.0.0
    config: {url: {is: url}}
    auth:
      acting:
        login:
          request: {post: /login, form: {username: "{acting.principal}", password: "{acting.value}"}}
          take: {token: {text: whole}}
          lives: 1h
          then: {header: {Authorization: "AR-JWT {login.token}"}}
      value:
        login:
          request: {post: /login, form: {username: "{principal}", password: "{value}"}}
          replies:
            - {when: {status: 401, text: "Authentication failed"}, is: rejected, reason: password_refused}
            - {when: {status: 200}, is: ok}
          take: {token: {text: whole}}
          lives: 1h
          then: {header: {Authorization: "AR-JWT {login.token}"}}
          logout: {request: {post: /logout, headers: {Authorization: "AR-JWT {login.token}"}}}
    reasons: {password_refused: Not this password.}
    kinds:
      password:
        title: Password
        traits: {role: authority, origin: generated, lost: probe, derived_live: 1h}
        install:
          request: {put: "/user/{principal}", json: {values: {Password: "{value}"}}}
          auth: acting
        probe:
          request: {get: "/user/{principal}"}
          auth: value
          replies: [{when: {status: 200, at: /values}, is: ok}]
          take: {principal: /values/Login}
"""


def helix(got: Got) -> REPLY:
    if got.path == "/login":
        known = TOKENS.get(got.form["password"])
        return (200, known) if known else (401, "Authentication failed")
    if got.headers.get("authorization", "").removeprefix("AR-JWT ") not in TOKENS.values():
        return 401, "no token"
    return 200, {"values": {"Login": got.path.rpartition("/")[2]}}


def install_request() -> InstallRequest:
    subject = Subject(principal="svc")
    return InstallRequest(into=subject, value=Secret(VALUE), of=Generation(subject=subject), label="rot-a-1")


def probe_request(value: str = VALUE) -> ProbeRequest:
    return ProbeRequest(target=Generation(subject=Subject(principal="svc")), value=Secret(value))


def test_the_actors_login_is_kept_for_the_next_call(tmp_path: Path) -> None:
    with serving(helix) as script:
        hosted = platform(tmp_path, script, HELIX)
        hosted.install(CALL, install_request())
        hosted.install(CALL, install_request())
    assert script.calls() == ["POST /login", "PUT /user/svc", "PUT /user/svc"]


def test_a_login_with_the_value_is_new_each_time_and_ended(tmp_path: Path) -> None:
    with serving(helix) as script:
        hosted = platform(tmp_path, script, HELIX)
        assert hosted.probe(CALL, probe_request()) == Alive(principal="svc")
        assert hosted.probe(CALL, probe_request()) == Alive(principal="svc")
    assert script.calls() == ["POST /login", "GET /user/svc", "POST /logout"] * 2
    assert script.got[2].headers["authorization"] == f"AR-JWT {TOKENS[VALUE]}"


def test_a_refused_login_with_the_value_is_its_verdict(tmp_path: Path) -> None:
    with serving(helix) as script:
        hosted = platform(tmp_path, script, HELIX)
        assert hosted.probe(CALL, probe_request("another-canary")) == Rejected(reason="password_refused")
    assert script.calls() == ["POST /login"]


@pytest.mark.parametrize("reply", [(503, ""), (401, "<html>"), (302, "", {"Location": "/x"}), (403, "policy")])
def test_any_other_answer_to_the_login_proves_nothing(tmp_path: Path, reply: REPLY) -> None:
    with serving(lambda got: reply) as script:
        assert isinstance(platform(tmp_path, script, HELIX).probe(CALL, probe_request()), Inconclusive)


def test_the_login_is_ended_even_when_the_probe_fails_and_a_failed_end_changes_nothing(tmp_path: Path) -> None:
    def answer(got: Got) -> REPLY:
        return helix(got) if got.path == "/login" else (500, "")

    with serving(answer) as script:
        found = platform(tmp_path, script, HELIX).probe(CALL, probe_request())
    assert found == Inconclusive(reason="server_error")
    assert script.calls()[-1] == "POST /logout"


def test_a_refused_login_of_the_actor_is_a_matter_for_a_person(tmp_path: Path) -> None:
    with serving(lambda got: (401, "Authentication failed")) as script:
        with pytest.raises(Misconfigured) as caught:
            platform(tmp_path, script, HELIX).install(CALL, install_request())
        assert caught.value.reason == "acting_refused"
        assert script.calls() == ["POST /login"]


def test_an_actors_login_that_must_be_ended_is_not_kept(tmp_path: Path) -> None:
    end = '          logout: {request: {post: /logout, headers: {Authorization: "AR-JWT {login.token}"}}}\n'
    lives = "          lives: 1h\n"
    pack = HELIX.replace(lives, lives + end, 1)
    with serving(helix) as script:
        hosted = platform(tmp_path, script, pack)
        hosted.install(CALL, install_request())
        hosted.install(CALL, install_request())
    assert script.calls() == ["POST /login", "PUT /user/svc", "POST /logout"] * 2
