"""Packs of platforms of the session age: logins that are cookies, forms of lines, names that mean somebody else.

And what such a pack's author is told: a reason of `is: rejected` that nobody would ever hear.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from rotator_http import PackProblem, check_pack

from rotator.plugin_api import (
    Alive,
    Failed,
    Generation,
    Inconclusive,
    InstallRequest,
    Misconfigured,
    PreflightRequest,
    ProbeRequest,
    Rejected,
    Secret,
    Subject,
)
from tests.unit.pack_server import ADMIN, CALL, REPLY, Got, platform, serving

VALUE = "canary-of-the-value"
SESSION = "desk_sid_8080=s3ss10n"

DESK = """
    pack: 1
    name: desk
    version: 1.0.0
    config: {url: {is: url}}
    requests:
      logout: {get: /logout, headers: {Cookie: "{login.token}"}}
    auth:
      acting:
        login:
          request: {post: /login, form: {user: "{acting.principal}", pass: "{acting.value}"}}
          replies: login
          take: {token: {cookie: "^desk_sid"}}
          lives: 1h
          then: {header: {Cookie: "{login.token}"}}
          logout: {request: {like: logout}}
      value:
        login:
          request: {post: /login, form: {user: "{principal}", pass: "{value}"}}
          replies: login
          take: {token: {cookie: "^desk_sid"}}
          lives: 1h
          then: {header: {Cookie: "{login.token}"}}
          logout: {request: {like: logout}}
    replies:
      login:
        - {when: {status: 200, text: "^401 wrong password$"}, is: rejected, reason: password_refused}
        - {when: {status: 200, text: "^200 ok"}, is: ok}
      me:
        - {when: {status: 401, at: /error, equals: gone}, is: rejected, reason: acting_refused}
        - {when: {status: 200, at: /name}, is: ok}
    reasons: {password_refused: Not this password.}
    kinds:
      password:
        title: Password
        traits: {role: authority, origin: generated, lost: probe}
        principal: '^[^0-9/]'
        preflight:
          request: {get: /me}
          auth: acting
          replies: me
          take: {acting: /name}
        install:
          request: {post: /edit, form: {content: "id: {principal}\\nPassword: {value}\\n"}}
          auth: acting
          replies: [{when: {status: 200, text: "^200 ok"}, is: ok}]
        probe:
          request: {get: /me}
          auth: value
          replies: [{when: {status: 200, at: /name}, is: ok}]
          take: {principal: /name}
"""


def desk(got: Got) -> REPLY:
    if got.path == "/login":
        known = got.form["pass"] in {ADMIN, VALUE}
        return (200, "200 ok", {"Set-Cookie": f"{SESSION}; path=/; HttpOnly"}) if known else (200, "401 wrong password")
    if got.path == "/edit":
        return 200, "200 ok"
    return 200, {"name": "svc"}


def install_request(value: str = VALUE, principal: str = "svc") -> InstallRequest:
    subject = Subject(principal=principal)
    return InstallRequest(into=subject, value=Secret(value), of=Generation(subject=subject), label="rot-a-1")


def probe_request(value: str = VALUE, principal: str = "svc") -> ProbeRequest:
    return ProbeRequest(target=Generation(subject=Subject(principal=principal)), value=Secret(value))


def problems(tmp_path: Path, old: str, new: str) -> list[PackProblem]:
    text = textwrap.dedent(DESK)
    assert text.count(old) >= 1, old
    path = tmp_path / "changed.yaml"
    path.write_text(text.replace(old, new))
    return check_pack(path)


# ---- cookies -------------------------------------------------------------------------------------------------------


def test_a_session_is_sent_as_its_name_and_value_only_and_is_ended(tmp_path: Path) -> None:
    with serving(desk) as script:
        hosted = platform(tmp_path, script, DESK)
        assert hosted.probe(CALL, probe_request()) == Alive(principal="svc")
        hosted.install(CALL, install_request())
    assert script.calls() == ["POST /login", "GET /me", "GET /logout", "POST /login", "POST /edit", "GET /logout"]
    assert [got.headers.get("cookie") for got in script.got] == [None, SESSION, SESSION] * 2
    assert script.got[4].form == {"content": f"id: svc\nPassword: {VALUE}\n"}


def test_other_cookies_are_left_alone_wherever_they_stand(tmp_path: Path) -> None:
    """A balancer in front of the platform sets its own, before or behind."""

    def answer(got: Got) -> REPLY:
        found = desk(got)
        if got.path != "/login":
            return found
        cookie = f"{SESSION}; path=/"
        return 200, "200 ok", {"set-cookie": "LB=canary-node; path=/", "Set-Cookie": cookie, "SET-COOKIE": "other=1"}

    with serving(answer) as script:
        assert platform(tmp_path, script, DESK).probe(CALL, probe_request()) == Alive(principal="svc")
    assert script.got[1].headers["cookie"] == SESSION


NO_SESSION = {
    "none": {},
    "of others": {"Set-Cookie": "LB=1"},
    "empty": {"Set-Cookie": "desk_sid_8080=; path=/"},
    "no value": {"Set-Cookie": "desk_sid_8080"},
    "two": {"Set-Cookie": "desk_sid_1=a", "set-cookie": "desk_sid_2=b"},
    "in the value": {"Set-Cookie": "other=desk_sid"},
}


@pytest.mark.parametrize("headers", NO_SESSION.values(), ids=NO_SESSION.keys())
def test_a_login_without_its_one_cookie_is_incomplete(tmp_path: Path, headers: dict[str, str]) -> None:
    with serving(lambda got: (200, "200 ok", headers)) as script:
        hosted = platform(tmp_path, script, DESK)
        assert hosted.probe(CALL, probe_request()) == Inconclusive(reason="incomplete_answer")
        with pytest.raises(Failed) as caught:
            hosted.install(CALL, install_request())
        assert caught.value.reason == "incomplete_answer"
    assert script.calls() == ["POST /login"] * 2


def test_refused_logins_in_a_200(tmp_path: Path) -> None:
    with serving(desk) as script:
        hosted = platform(tmp_path, script, DESK)
        assert hosted.probe(CALL, probe_request("another-canary")) == Rejected(reason="password_refused")
    with serving(lambda got: (200, "401 wrong password")) as script, pytest.raises(Misconfigured) as caught:
        platform(tmp_path, script, DESK).install(CALL, install_request())
    assert caught.value.reason == "acting_refused"


MISTAKES = {
    "not for others": ("take: {principal: /name}", "take: {principal: {cookie: x}}", "only the `token` of a login"),
    "no pattern": ('{cookie: "^desk_sid"}', '{cookie: ""}', "a pattern of the cookie's name"),
    "slow": ('{cookie: "^desk_sid"}', '{cookie: "^(a+)+$"}', "`cookie`: the pattern"),
    "two places": ('{cookie: "^desk_sid"}', "{cookie: a, header: X}", "needs one of"),
}


@pytest.mark.parametrize(("old", "new", "words"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_with_cookies_are_told(tmp_path: Path, old: str, new: str, words: str) -> None:
    found = problems(tmp_path, old, new)
    assert found
    assert all(words in one.message for one in found), [str(one) for one in found]


# ---- forms of lines ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", ["\n", "\r", "\x0b", "\x00", "\x7f", "\x85", "\u2028", "\u2029"])
def test_a_value_cannot_start_a_line_of_its_own(tmp_path: Path, sign: str) -> None:
    """Who may set the own password would else write into a form that an administrator sends."""
    value = f"canary-1{sign}Role: admin"
    with serving(desk) as script:
        with pytest.raises(Misconfigured) as caught:
            platform(tmp_path, script, DESK).install(CALL, install_request(value))
        assert (caught.value.reason, caught.value.unsent) == ("unsendable", True)
    assert script.calls() == ["POST /login", "GET /logout"]


def test_a_value_that_stands_alone_is_sent_as_it_is(tmp_path: Path) -> None:
    with serving(desk) as script:
        platform(tmp_path, script, DESK).probe(CALL, probe_request("canary-1\ncanary-2"))
    assert script.got[0].form["pass"] == "canary-1\ncanary-2"


# ---- names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("principal", ["7", "7up", "/svc"])
def test_a_name_that_the_pack_excludes_is_never_sent(tmp_path: Path, principal: str) -> None:
    with serving(desk) as script:
        hosted = platform(tmp_path, script, DESK)
        with pytest.raises(Misconfigured) as caught:
            hosted.install(CALL, install_request(principal=principal))
        assert (caught.value.reason, caught.value.unsent) == ("unfit_name", True)
        assert hosted.probe(CALL, probe_request(principal=principal)) == Inconclusive(reason="unfit_name")
        with pytest.raises(Misconfigured):
            hosted.preflight(CALL, PreflightRequest(subject=Subject(principal=principal)))
    assert script.got == []


def test_the_pattern_of_names_is_one_that_ends(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, "'^[^0-9/]'", "'^(a+)+$'")
    assert found.code == "slow_pattern"


# ---- reasons that nobody would hear --------------------------------------------------------------------------------

REFUSED = "reason: acting_refused"


def test_a_reason_beside_rejected_that_no_call_tells_is_refused_with_its_place(tmp_path: Path) -> None:
    own = "reasons: {password_refused: Not this password., admin_gone: The admin has gone.}"
    text = textwrap.dedent(DESK).replace("reasons: {password_refused: Not this password.}", own)
    text = text.replace(REFUSED, "reason: admin_gone")
    path = tmp_path / "pack.yaml"
    path.write_text(text)
    (found,) = check_pack(path)
    line = text[: text.index("reason: admin_gone")].count("\n") + 1
    column = text.splitlines()[line - 1].index("admin_gone") + 1
    assert (found.code, found.line, found.column) == ("unheard_reason", line, column)
    assert "acting_refused" in found.message
    assert "misconfigured" in found.message


def test_one_set_of_replies_for_the_probe_and_others_is_heard_of_the_probe(tmp_path: Path) -> None:
    """As `login` here: it serves the actor's login too. As `me` would, if the probe used it."""
    assert problems(tmp_path, "reasons: {", "reasons: {") == []
    path = tmp_path / "shared.yaml"
    text = textwrap.dedent(DESK).replace(REFUSED, "reason: password_refused")
    path.write_text(text.replace("replies: [{when: {status: 200, at: /name}, is: ok}]", "replies: me"))
    assert check_pack(path) == []


def test_the_actors_own_login_alone_does_not_tell_its_reason(tmp_path: Path) -> None:
    old = '          replies: login\n          take: {token: {cookie: "^desk_sid"}}\n          lives: 1h\n'
    own = "[{when: {text: ^no}, is: rejected, reason: password_refused}, {when: {text: ^yes}, is: ok}]"
    mine = old.replace("replies: login", f"replies: {own}")
    text = textwrap.dedent(DESK.replace(old, mine, 1))
    path = tmp_path / "pack.yaml"
    path.write_text(text)
    (found,) = check_pack(path)
    assert found.code == "unheard_reason"
