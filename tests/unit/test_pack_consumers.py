"""What the vocabulary has for consumers: fields to forget, the mark, a check by label, a rehearsal. Over HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest
from rotator_http import check_pack

from rotator.plugin_api import (
    Alive,
    CheckRequest,
    Failed,
    Generation,
    Inconclusive,
    InstallRequest,
    Misconfigured,
    PreflightRequest,
    Ready,
    Rejected,
    RevokeRequest,
    Secret,
    Subject,
)
from tests.unit.pack_server import CALL, REPLY, Got, platform, serving

INTO = Subject(principal="box", params={"room": "7"})
OF = Generation(subject=Subject(principal="svc"), label="rot-a-1")
PACK = """
    pack: 1
    name: holder
    version: 1.0.0
    config: {url: {is: url}}
    auth:
      acting: {header: {Authorization: "Bearer {acting.value}"}}
      session:
        login:
          request: {post: /login, json: {password: "{acting.value}"}}
          take: {token: /token}
          lives: 5m
          then: {header: {Authorization: "Bearer {login.token}"}}
    reasons: {no_right: Give it the right.}
    kinds:
      box:
        title: A box
        traits: {role: consumer, origin: generated, lost: resend, revokes: one, identity: false}
        params: {room: where it stands}
        preflight:
          request: {get: /me}
          auth: acting
          take: {acting: /login}
          rehearse:
            request: {post: "/rooms/{param.room}/rehearse", json: {}}
            auth: session
            replies:
              - {when: {status: 403, at: /error, equals: right}, is: misconfigured, reason: no_right}
              - {when: {status: 200}, is: ok}
        install:
          request: {put: "/boxes/{principal}", json: {mark: "{mark}", put: "{fields}"}}
          auth: acting
        check:
          request: {get: "/boxes/{principal}"}
          auth: acting
          take: {label: /mark}
        revoke:
          request: {REVOKE}
          auth: acting
"""
AS_JSON = PACK.replace("{REVOKE}", '{patch: "/boxes/{principal}", json: {put: "{fields}"}}')
AS_FORM = PACK.replace("{REVOKE}", '{patch: "/boxes/{principal}", form: "{fields}"}')


class Box:
    """A server that keeps what is put into it."""

    def __init__(self) -> None:
        self.mark: str | None = None
        self.rehearsal: REPLY = (200, {})

    def __call__(self, got: Got) -> REPLY:
        match got.method, got.path:
            case "GET", "/me":
                return 200, {"login": "adm"}
            case "POST", "/login":
                return 200, {"token": "canary-session"}
            case "POST", _:
                return self.rehearsal
            case "PUT", _:
                self.mark = got.json["mark"]
            case "GET", _:
                return 200, {"mark": self.mark}
        return 200, {}


def install(label: str = "rot-a-1", fields: bool = True) -> InstallRequest:
    rows = {"A": Secret("canary-a"), "B": Secret("canary-b")} if fields else {}
    of = Generation(subject=OF.subject, label=label)
    return InstallRequest(into=INTO, value=Secret("canary-a"), of=of, label=label, fields=rows)


def test_names_of_fields_are_given_to_be_forgotten_and_no_values(tmp_path: Path) -> None:
    request = RevokeRequest(target=Generation(subject=INTO), fields=("A", "B"))
    with serving(Box()) as script:
        assert not platform(tmp_path, script, AS_JSON).revoke(CALL, request).already
        assert not platform(tmp_path, script, AS_FORM).revoke(CALL, request).already
    assert [script.got[0].json, script.got[1].form] == [{"put": {"A": None, "B": None}}, {"A": "", "B": ""}]


@pytest.mark.parametrize("pack", [AS_JSON, AS_FORM])
def test_without_names_nothing_is_sent(tmp_path: Path, pack: str) -> None:
    with serving(Box()) as script:
        hosted = platform(tmp_path, script, pack)
        with pytest.raises(Misconfigured, match="missing_variable"):
            hosted.revoke(CALL, RevokeRequest(target=Generation(subject=INTO)))
        with pytest.raises(Misconfigured, match="missing_variable"):
            hosted.install(CALL, install(fields=False))
    assert script.got == []


def test_authority_has_no_fields_to_forget(tmp_path: Path) -> None:
    path = tmp_path / "pack.yaml"
    path.write_text(AS_JSON.replace("role: consumer", "role: authority").replace("\n    ", "\n"))
    assert "unknown_variable" in {one.code for one in check_pack(path)}


def test_check_compares_the_mark_with_the_label(tmp_path: Path) -> None:
    with serving(Box()) as script:
        hosted = platform(tmp_path, script, AS_JSON)

        def check(label: str = "rot-a-1") -> object:
            of = Generation(subject=OF.subject, label=label)
            return hosted.check(CALL, CheckRequest(into=INTO, of=of))

        assert check() == Rejected(reason="holds_nothing")
        hosted.install(CALL, install())
        assert check() == Alive(principal=None)
        assert check("rot-a-11") == Rejected(reason="holds_another")
        hosted.install(CALL, install(label=""))
        assert script.got[-1].json["mark"] == "unlabelled"
        assert check() == Rejected(reason="holds_another")
        assert check("") == Inconclusive(reason="no_label")


def test_what_is_refused_in_rehearsal_is_a_finding(tmp_path: Path) -> None:
    box = Box()
    with serving(box) as script:
        hosted = platform(tmp_path, script, AS_JSON)
        assert hosted.preflight(CALL, PreflightRequest(subject=INTO)) == Ready(acting="adm")
        assert script.calls() == ["GET /me", "POST /login", "POST /rooms/7/rehearse"]
        box.rehearsal = 403, {"error": "right"}
        assert hosted.preflight(CALL, PreflightRequest(subject=INTO)).findings == ("no_right",)
        box.rehearsal = 404, {}
        assert hosted.preflight(CALL, PreflightRequest(subject=INTO)).findings == ("not_found",)
        box.rehearsal = 503, {}
        with pytest.raises(Failed, match="server_error"):  # no finding: nothing is known
            hosted.preflight(CALL, PreflightRequest(subject=INTO))


def test_rehearsal_is_left_out_where_the_subject_lacks_what_it_needs(tmp_path: Path) -> None:
    with serving(Box()) as script:
        hosted = platform(tmp_path, script, AS_JSON)
        assert hosted.preflight(CALL, PreflightRequest(subject=Subject(principal="adm"))) == Ready(acting="adm")
    assert script.calls() == ["GET /me"]


def test_rehearsal_belongs_to_preflight(tmp_path: Path) -> None:
    path = tmp_path / "pack.yaml"
    path.write_text(AS_JSON.replace("take: {label: /mark}", "rehearse: {request: {get: /x}}").replace("\n    ", "\n"))
    assert "unknown_key" in {one.code for one in check_pack(path)}
