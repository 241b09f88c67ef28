"""What a pack's words do at run time: bodies, logins, replies, the two compositions. Through the real host and HTTP."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rotator.plugin_api import (
    Alive,
    CheckRequest,
    Failed,
    Generation,
    Inconclusive,
    InstallRequest,
    IssueRequest,
    Misconfigured,
    OutcomeUnknown,
    ProbeRequest,
    Refused,
    Rejected,
    RevokeRequest,
    Secret,
    Subject,
)
from tests.unit.pack_server import ADMIN, CALL, REPLY, Got, platform, serving

VALUE = "canary-of-the-value"
SUBJECT = Subject(principal="svc", params={"userid": "7"})

ZABBIX = """
    pack: 1
    name: zabbix
    version: 1.0.0
    config: {url: {is: url}}
    requests:
      rpc: {post: /api_jsonrpc.php, json: {jsonrpc: "2.0", id: 1}}
    auth:
      acting: {json: {/auth: "{acting.value}"}}
    replies:
      rpc:
        - {when: {at: /error/data, matches: "^Not authorized"}, is: rejected, reason: token_refused}
        - {when: {at: /error/data, matches: "^No permissions to referred object"}, is: maybe_gone}
        - {when: {at: /error}, is: refused, reason: rpc_error}
        - {when: {at: /result}, is: ok}
    reasons: {token_refused: The token is refused., rpc_error: See the server's log.}
    kinds:
      token:
        title: API token
        traits: {role: authority, origin: issued, live: many, old_lives: until_revoked, lost: resend,
                 undo: revoke_new, revokes: one, lists: all, label: {max: 64, unique: true}, expiry: {min: 1m}}
        params: {userid: numeric id of the user}
        probe:
          request: {like: rpc, json: {method: user.checkAuthentication, params: {token: "{value}"}}}
          replies: rpc
          take: {principal: /result/username}
        list:
          request: {like: rpc, json: {method: token.get, params: {userids: "{param.userid?}"}}}
          auth: acting
          replies: rpc
          items: /result
          each: {handle: /tokenid, label: /name, active: {at: /status, equals: "0"},
                 expires_at: {at: /expires_at, as: epoch, none: "0"}}
        reserve:
          request: {like: rpc, json: {method: token.create, params: {name: "{label}", userid: "{param.userid}",
                    expires_at: "{expires.epoch?}"}}}
          auth: acting
          replies: rpc
          take: {handle: /result/tokenids/0}
        issue:
          request: {like: rpc, json: {method: token.generate, params: ["{handle}"]}}
          auth: acting
          replies: rpc
          take: {value: /result/0/token, handle: /result/0/tokenid}
        revoke:
          request: {like: rpc, json: {method: token.delete, params: ["{handle}"]}}
          auth: acting
          replies: rpc
"""


class Tokens:
    """Enough of the JSON-RPC dialect, as it was seen on a real server."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def __call__(self, got: Got) -> REPLY:
        asked = got.json
        params = asked["params"]
        match asked["method"]:
            case "token.get":
                return 200, {"result": self.rows}
            case "token.create":
                row = {"tokenid": str(31 + len(self.rows)), "name": params["name"], "status": "0"}
                self.rows.append({**row, "expires_at": str(params.get("expires_at", 0))})
                return 200, {"result": {"tokenids": [row["tokenid"]]}}
            case "token.generate":
                return 200, {"result": [{"tokenid": params[0], "token": VALUE}]}
            case "token.delete":
                if params[0] in {row["tokenid"] for row in self.rows if row["status"] == "0"}:
                    self.rows = [row for row in self.rows if row["tokenid"] != params[0]]
                    return 200, {"result": {"tokenids": params}}
                data = "No permissions to referred object or it does not exist!"
                return 200, {"error": {"code": -32500, "data": data}}
            case _ if params["token"] == VALUE:
                return 200, {"result": {"username": "svc"}}
        return 200, {"error": {"code": -32602, "data": "Not authorized."}}


def issue(expires_at: datetime | None = None) -> IssueRequest:
    return IssueRequest(subject=SUBJECT, label="rot-a-1", expires_at=expires_at)


def test_reserve_and_issue_make_one_record_even_when_asked_twice(tmp_path: Path) -> None:
    tokens = Tokens()
    with serving(tokens) as script:
        hosted = platform(tmp_path, script, ZABBIX)
        until = datetime(2027, 1, 1, tzinfo=UTC)
        first = hosted.issue(CALL, issue(until))
        second = hosted.issue(CALL, issue(until))
    assert (first.handle, second.handle) == ("31", "31")
    assert first.value.matches(Secret(VALUE))
    methods = [one.json["method"] for one in script.got]
    assert methods == ["token.get", "token.create", "token.generate", "token.get", "token.generate"]
    create = script.got[1].json
    assert create["params"] == {"name": "rot-a-1", "userid": "7", "expires_at": 1798761600}
    assert (create["jsonrpc"], create["id"], create["auth"]) == ("2.0", 1, ADMIN)


def test_without_an_expiry_its_key_is_left_out(tmp_path: Path) -> None:
    with serving(Tokens()) as script:
        platform(tmp_path, script, ZABBIX).issue(CALL, issue())
    assert "expires_at" not in script.got[1].json["params"]


def test_a_listing_for_everybody_leaves_the_subject_out_and_reads_times_and_flags(tmp_path: Path) -> None:
    tokens = Tokens()
    tokens.rows = [
        {"tokenid": 5, "name": "a", "status": "0", "expires_at": "1798761600"},
        {"tokenid": "6", "name": "b", "status": 1, "expires_at": "0"},
    ]
    with serving(tokens) as script:
        rows = platform(tmp_path, script, ZABBIX).listing(CALL, None)
    assert script.got[0].json["params"] == {}
    assert [(row.handle, row.active, row.expires_at) for row in rows] == [
        ("5", True, datetime(2027, 1, 1, tzinfo=UTC)),
        ("6", False, None),
    ]


def test_maybe_gone_looks_at_the_whole_list_before_it_believes(tmp_path: Path) -> None:
    tokens = Tokens()
    tokens.rows = [{"tokenid": "9", "name": "a", "status": "1"}]
    with serving(tokens) as script:
        hosted = platform(tmp_path, script, ZABBIX)
        assert hosted.revoke(CALL, RevokeRequest(target=Generation(subject=SUBJECT, handle="8"))).already
        with pytest.raises(Refused):
            hosted.revoke(CALL, RevokeRequest(target=Generation(subject=SUBJECT, handle="9")))


def test_an_error_under_status_200_is_no_success_and_outside_a_probe_it_is_the_actor(tmp_path: Path) -> None:
    said = {"error": {"data": "Not authorized."}}
    with serving(lambda got: (200, said)) as script:
        hosted = platform(tmp_path, script, ZABBIX)
        probe = ProbeRequest(target=Generation(subject=SUBJECT), value=Secret(VALUE))
        assert hosted.probe(CALL, probe) == Rejected(reason="token_refused")
        with pytest.raises(Misconfigured) as caught:
            hosted.listing(CALL, SUBJECT)
        assert caught.value.reason == "acting_refused"
    with serving(lambda got: (200, {"neither": 1})) as script:
        hosted = platform(tmp_path, script, ZABBIX)
        assert hosted.probe(CALL, probe) == Inconclusive(reason="unrecognised_answer")
        with pytest.raises(OutcomeUnknown):
            hosted.revoke(CALL, RevokeRequest(target=Generation(subject=SUBJECT, handle="8")))


# ---- issue without a handle ----------------------------------------------------------------------------------------

ZAMMAD = """
    pack: 1
    name: zammad
    version: 1.0.0
    config: {url: {is: url}}
    auth:
      acting: {header: {Authorization: "Token token={acting.value}"}}
      value: {header: {Authorization: "Token token={value}"}}
    reasons: {token_refused: The token is refused.}
    kinds:
      token:
        title: Access token
        traits: {role: authority, origin: issued, live: many, old_lives: until_revoked, lost: by_label,
                 undo: revoke_new, revokes: one, lists: own, label: {max: 100}}
        probe:
          request: {get: /me}
          auth: value
          replies:
            - {when: {status: 401, at: /error, matches: "^Invalid"}, is: rejected, reason: token_refused}
            - {when: {status: 200, at: /id}, is: ok}
          take: {principal: /login}
        issue:
          request: {post: /tokens, json: {name: "{label}", permission: "{scopes}", until: "{expires.date?}"}}
          auth: acting
          take: {value: /token}
        list: {request: {get: /tokens}, auth: acting, items: /tokens, each: {handle: /id, label: /name}}
        revoke:
          request: {delete: "/tokens/{handle}"}
          auth: acting
          replies: [{when: {status: 404, at: /error, equals: Not found}, is: gone}]
"""


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_an_issue_without_a_handle_takes_it_from_the_one_row_with_the_label(tmp_path: Path, rows: int) -> None:
    listed = [{"id": 4, "name": "other"}, *({"id": 40 + n, "name": "rot-a-1"} for n in range(rows))]

    def answer(got: Got) -> REPLY:
        return (201, {"token": VALUE}) if got.method == "POST" else (200, {"tokens": listed})

    with serving(answer) as script:
        hosted = platform(tmp_path, script, ZAMMAD)
        request = IssueRequest(subject=SUBJECT, label="rot-a-1", scopes=frozenset({"b", "a"}))
        if rows == 1:
            assert hosted.issue(CALL, request).handle == "40"
        else:
            with pytest.raises(OutcomeUnknown):
                hosted.issue(CALL, request)
    assert script.got[0].json == {"name": "rot-a-1", "permission": ["a", "b"]}
    assert script.got[0].headers["authorization"] == f"Token token={ADMIN}"


def test_a_list_that_fails_after_an_issue_is_unknown_not_failed(tmp_path: Path) -> None:
    with serving(lambda got: (201, {"token": VALUE}) if got.method == "POST" else (503, "")) as script:
        with pytest.raises(OutcomeUnknown):
            platform(tmp_path, script, ZAMMAD).issue(CALL, IssueRequest(subject=SUBJECT, label="rot-a-1"))
        assert script.calls() == ["POST /tokens", "GET /tokens"]


# ---- forms, Basic, plain text --------------------------------------------------------------------------------------

RT = """
    pack: 1
    name: rt
    version: 1.0.0
    config: {url: {is: url}, realm: {is: text, default: main}, retries: {is: int, default: 3}}
    auth:
      acting: {form: {user: "{acting.principal}", pass: "{acting.value}"}}
      value: {basic: {user: "{principal}", password: "{value}"}}
    reasons: {edit_refused: Look at the server., password_refused: Not this password.}
    kinds:
      password:
        title: Password
        traits: {role: authority, origin: generated, lost: probe}
        install:
          request: {post: "/{config.realm}/edit", query: {n: "{config.retries}"},
                    form: {content: "id: user/{principal}\\nPassword: {value}\\n"}}
          auth: acting
          replies:
            - {when: {text: '^RT/\\S+ 409 (?s:.*)at least'}, is: refused, reason: policy}
            - {when: {text: '^RT/\\S+ 4\\d\\d '}, is: refused, reason: edit_refused}
            - {when: {text: '^RT/\\S+ 503 '}, is: failed, reason: server_error, retry_after: 30s}
            - {when: {text: '^RT/\\S+ 200 Ok(?s:.*)updated'}, is: ok}
        probe:
          request: {get: "/REST/2.0/user/{principal}"}
          auth: value
          replies:
            - {when: {status: 401, header: {WWW-Authenticate: "^Basic"}, at: /message, equals: Unauthorized},
               is: rejected, reason: password_refused}
            - {when: {status: 200}, is: ok}
          take: {principal: {header: X-User}}
"""


def rt_install(principal: str = "svc") -> InstallRequest:
    subject = Subject(principal=principal)
    return InstallRequest(into=subject, value=Secret(VALUE), of=Generation(subject=subject), label="rot-a-1")


def test_a_form_with_a_secret_in_a_text_and_rules_on_plain_text(tmp_path: Path) -> None:
    answers = iter(["RT/5.0 200 Ok\n\n# User svc updated.", "RT/5.0 409 Syntax\nat least 8", "RT/5.0 401 no",
                    "RT/5.0 503 x", "RT/5.0 200 Ok\n\nnothing"])  # fmt: skip
    with serving(lambda got: (200, next(answers))) as script:
        hosted = platform(tmp_path, script, RT)
        hosted.install(CALL, rt_install())
        for kind, reason in ((Refused, "policy"), (Refused, "edit_refused"), (Failed, "server_error")):
            with pytest.raises(kind) as caught:
                hosted.install(CALL, rt_install())
            assert caught.value.reason == reason
            assert (caught.value.retry_after is not None) == (kind is Failed)
        with pytest.raises(OutcomeUnknown):
            hosted.install(CALL, rt_install())
    first = script.got[0]
    assert (first.path, first.query) == ("/main/edit", {"n": "3"})
    assert first.form == {"content": f"id: user/svc\nPassword: {VALUE}\n", "user": "adm", "pass": ADMIN}


@pytest.mark.parametrize("principal", ["a\nPassword: mine", "a\rb", "{}"])
def test_a_name_cannot_start_a_line_of_its_own(tmp_path: Path, principal: str) -> None:
    with serving(lambda got: (200, "")) as script:
        with pytest.raises(Misconfigured) as caught:
            platform(tmp_path, script, RT).install(CALL, rt_install(principal))
        assert (caught.value.reason, caught.value.unsent) == ("unfit_name", True)
        assert script.got == []


def test_basic_and_a_header_rule(tmp_path: Path) -> None:
    reply: list[REPLY] = [
        (200, {}, {"X-User": "svc"}),
        (401, {"message": "Unauthorized"}, {"WWW-Authenticate": "Basic realm=x"}),
        (401, {"message": "Unauthorized"}),
        (200, {}),
    ]
    answers = iter(reply)
    with serving(lambda got: next(answers)) as script:
        hosted = platform(tmp_path, script, RT)
        request = ProbeRequest(target=Generation(subject=Subject(principal="svc")), value=Secret(VALUE))
        assert hosted.probe(CALL, request) == Alive(principal="svc")
        assert hosted.probe(CALL, request) == Rejected(reason="password_refused")
        assert hosted.probe(CALL, request) == Inconclusive(reason="unrecognised_answer")
        assert hosted.probe(CALL, request) == Inconclusive(reason="incomplete_answer")
        odd = ProbeRequest(target=Generation(subject=Subject(principal="a:b")), value=Secret(VALUE))
        assert hosted.probe(CALL, odd) == Inconclusive(reason="unfit_name")
    packed = base64.b64encode(f"svc:{VALUE}".encode()).decode()
    assert script.got[0].headers["authorization"] == f"Basic {packed}"
    assert len(script.got) == 4


# ---- JSON in a form, consumers -------------------------------------------------------------------------------------

HOLDER = """
    pack: 1
    name: holder
    version: 1.0.0
    config: {url: {is: url}, other: {is: url, default: "http://127.0.0.1:9"}}
    auth:
      acting: {header: {X-Key: "{acting.value}"}}
    kinds:
      stored:
        title: Stored credential
        traits: {role: consumer, origin: generated, lost: resend}
        install:
          request:
            post: /set
            form: {json_data: {json: {op: update, data: "{fields}", of: "{of.handle?}", n: [1, true]}}}
          auth: acting
        check:
          request: {post: "/try/{principal}"}
          auth: acting
          replies:
            - {when: {at: /fine, equals: true}, is: ok}
            - {when: {at: /fine, equals: false}, is: inconclusive, reason: refused}
"""


def test_fields_in_json_in_a_form_field_and_a_check_without_a_value(tmp_path: Path) -> None:
    answers: Any = iter([(200, {}), (200, {"fine": True}), (200, {"fine": False})])
    with serving(lambda got: next(answers)) as script:
        hosted = platform(tmp_path, script, HOLDER)
        into = Subject(principal="slot/1")
        of = Generation(subject=SUBJECT)
        fields = {"user": Secret("svc"), "pass": Secret('quote " and ä')}
        hosted.install(CALL, InstallRequest(into=into, value=Secret(VALUE), of=of, label="", fields=fields))
        assert hosted.check(CALL, CheckRequest(into=into, of=of)) == Alive(principal=None)
        assert hosted.check(CALL, CheckRequest(into=into, of=of)) == Inconclusive(reason="refused")
    sent = json.loads(script.got[0].form["json_data"])
    assert sent == {"op": "update", "data": {"user": "svc", "pass": 'quote " and ä'}, "n": [1, True]}
    assert script.got[1].path == "/try/slot%2F1"
