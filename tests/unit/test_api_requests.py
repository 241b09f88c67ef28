"""The API's requests: every route reaches its call, everything odd is refused, a bug says nothing."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from rotator.daemon.api import LARGEST_BODY, ApiServer
from rotator.daemon.api_routes import ROUTES
from rotator.daemon.clock import SystemClock
from rotator.engine.requests import RequestRefused, Selection
from rotator.settings.problems import ConfigurationRefused, Problem
from tests.unit.api_rows import NOT_RESTORING, RESTORING
from tests.unit.http_on_socket import call, parse, raw
from tests.unit.requests_double import CAMPAIGN, RUN, RecordingRequests

ROOT = Path(__file__).resolve().parents[2]
SOME = {"selection": {"ids": ["orders"]}}
WHY = {"reason": "drill"}


class Api:
    def __init__(self, path: Path, requests: RecordingRequests) -> None:
        self.path, self.requests = path, requests

    def __call__(self, method: str, target: str, body: Any = None, **more: Any) -> tuple[int, Any]:
        return call(self.path, method, target, body, **more)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    tmp_path.chmod(0o700)
    requests = RecordingRequests()
    server = ApiServer(tmp_path / "api.sock", requests, SystemClock(), limit=6, seconds=1.0)
    server.start()
    yield Api(tmp_path / "api.sock", requests)
    requests.hold.set()
    server.stop(2)


WELL_FORMED = [
    ("GET", "/v1/status", None, "status", {}),
    ("GET", "/v1/status?selector=tier%3DT0", None, "status", {"selector": "tier=T0"}),
    ("GET", "/v1/freezes", None, "freezes", {}),
    ("GET", "/v1/notify", None, "notify", {}),
    ("GET", "/v1/notify/deliveries", None, "deliveries", {"channel": "", "state": "", "limit": 50}),
    (
        "GET", "/v1/notify/deliveries?channel=soc&state=dead&limit=3", None, "deliveries",
        {"channel": "soc", "state": "dead", "limit": 3},
    ),
    ("POST", "/v1/notify/routes/pages/test", {}, "test_route", {"route": "pages"}),
    ("POST", "/v1/notify/channels/soc/resend", {}, "resend", {"channel": "soc"}),
    ("POST", "/v1/brake/release", {"reason": "seen"}, "release_brake", {"reason": "seen"}),
    *RESTORING,
    ("GET", "/v1/strays", None, "strays", {}),
    ("POST", "/v1/endpoints/api/strays", {}, "sweep", {"endpoint": "api", "apply": False, "reason": ""}),
    (
        "POST", "/v1/endpoints/api/strays", {"apply": True, "reason": "seen"}, "sweep",
        {"endpoint": "api", "apply": True, "reason": "seen"},
    ),
    (
        "POST", "/v1/retire", {"selection": {"selector": "k=v"}, "apply": False}, "retire_selected",
        {"selection": Selection(selector="k=v"), "apply": False, "reason": "", "ticket": ""},
    ),
    ("GET", "/v1/credentials", None, "credentials", {"selection": Selection(everything=True)}),
    ("GET", "/v1/credentials?id=a&id=b", None, "credentials", {"selection": Selection(ids=("a", "b"))}),
    (
        "GET", "/v1/credentials?selector=team%3Dops%2C%20env%21%3D%2A", None, "credentials",
        {"selection": Selection(selector="team=ops, env!=*")},
    ),
    ("GET", "/v1/credentials?workflow=w", None, "credentials", {"selection": Selection(workflow="w")}),
    ("GET", "/v1/credentials/a%2Fb", None, "explain", {"credential": "a/b"}),
    ("POST", "/v1/plan", {**SOME, "kind": "contain"}, "plan", {"selection": Selection(("orders",)), "kind": "contain"}),
    ("POST", "/v1/adopt", {"ids": ["a", "a"]}, "adopt", {"ids": ("a",), "source": "", "reason": ""}),
    (
        "POST", "/v1/adopt", {"ids": ["a"], "from": "/run/x", "reason": "r"}, "adopt",
        {"ids": ("a",), "source": "/run/x", "reason": "r"},
    ),
    (
        "POST", "/v1/rotate", {"selection": {"all": True}, **WHY, "ticket": "C1"}, "rotate",
        {"selection": Selection(everything=True), "reason": "drill", "ticket": "C1"},
    ),
    (
        "POST", "/v1/emergency", {"selection": {"selector": "k=v"}, "mode": "overlap", **WHY}, "emergency",
        {"selection": Selection(selector="k=v"), "mode": "overlap", "reason": "drill", "ticket": ""},
    ),
    ("POST", "/v1/verify", {"selection": {"workflow": "w"}}, "verify", {"selection": Selection(workflow="w")}),
    (
        "POST", "/v1/workflows/w/retire", {}, "retire",
        {"workflow": "w", "apply": False, "reason": "", "ticket": ""},
    ),
    (
        "POST", "/v1/workflows/w/retire", {"apply": True, **WHY}, "retire",
        {"workflow": "w", "apply": True, "reason": "drill", "ticket": ""},
    ),
    ("GET", f"/v1/campaigns/{CAMPAIGN}/certificate", None, "certificate", {"campaign": CAMPAIGN}),
    ("GET", "/v1/runs", None, "runs", {"credential": "", "open_only": False, "limit": 50}),
    (
        "GET", "/v1/runs?credential=a&open=true&limit=5", None, "runs",
        {"credential": "a", "open_only": True, "limit": 5},
    ),
    ("GET", f"/v1/runs/{RUN}", None, "run", {"run": RUN}),
    ("GET", f"/v1/runs/{RUN}/events?after=2", None, "events", {"run": RUN, "after": 2, "wait": 0.0}),
    (
        "POST", f"/v1/runs/{RUN}/answer", {"answer": "accept", "about": {"gen": "3", "home": "a@b"}, **WHY}, "answer",
        {"run": RUN, "answer": "accept", "about": {"gen": "3", "home": "a@b"}, "reason": "drill"},
    ),
    ("POST", f"/v1/runs/{RUN}/back", WHY, "back", {"run": RUN, "reason": "drill"}),
    ("GET", "/v1/debts", None, "debts", {"credential": ""}),
    ("POST", "/v1/pause", {**SOME, **WHY, "until": "2026-12-01T00:00:00Z"}, "pause",
     {"selection": Selection(("orders",)), "reason": "drill", "until": "2026-12-01T00:00:00Z"}),
    ("POST", "/v1/resume", SOME, "resume", {"selection": Selection(("orders",)), "reason": ""}),
    ("POST", "/v1/reload", {}, "reload", {}),
    ("GET", "/v1/plugins", None, "plugins", {}),
    (
        "POST", "/v1/endpoints/db/admin", {"from": "/run/x", "replace": True}, "deposit",
        {"endpoint": "db", "source": "/run/x", "replace": True, "reason": ""},
    ),
    ("POST", "/v1/endpoints/db/try", {}, "attempt", {"endpoint": "db"}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "target", "body", "name", "said"), WELL_FORMED)
def test_every_request_reaches_its_call(
    api: Api, method: str, target: str, body: Any, name: str, said: dict[str, Any]
) -> None:
    status, answer = api(method, target, body)
    assert status == 200, answer
    assert answer["schema_version"] == 1
    assert api.requests.said(name) == said


def test_every_route_is_tried_here() -> None:
    def fits(route: str, target: str) -> bool:
        return re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", route), target.partition("?")[0]) is not None

    untried = [key for key in ROUTES if not any(key[0] == one[0] and fits(key[1], one[1]) for one in WELL_FORMED)]
    assert untried == []


def test_every_route_is_documented_and_nothing_else() -> None:
    told = re.findall(r"^### `(GET|POST) (\S+)`", (ROOT / "docs/api.md").read_text(), re.MULTILINE)
    assert sorted(told) == sorted(ROUTES)


MALFORMED = [
    ("POST", "/v1/rotate", {**SOME, **WHY, "force": True}, "force"),
    ("POST", "/v1/rotate", {**SOME, **WHY, "tiket": "x"}, "unknown field: tiket"),
    ("POST", "/v1/rotate", SOME, "`reason`"),
    ("POST", "/v1/rotate", {**SOME, "reason": "  "}, "`reason`"),
    ("POST", "/v1/rotate", {**SOME, "reason": "two\nlines"}, "`reason`"),
    ("POST", "/v1/rotate", {**SOME, "reason": "x" * 501}, "`reason`"),
    ("POST", "/v1/rotate", {**SOME, "reason": 7}, "`reason`"),
    ("POST", "/v1/rotate", WHY, "exactly one"),
    ("POST", "/v1/rotate", {"selection": {}, **WHY}, "exactly one"),
    ("POST", "/v1/rotate", {"selection": {"all": False}, **WHY}, "exactly one"),
    ("POST", "/v1/rotate", {"selection": {"ids": ["a"], "all": True}, **WHY}, "exactly one"),
    ("POST", "/v1/rotate", {"selection": {"ids": "a"}, **WHY}, "`ids`"),
    ("POST", "/v1/rotate", {"selection": {"ids": [1]}, **WHY}, "`ids`"),
    ("POST", "/v1/rotate", {"selection": {"id": ["a"]}, **WHY}, "unknown field"),
    ("POST", "/v1/rotate", {"selection": ["a"], **WHY}, "`selection`"),
    ("POST", "/v1/emergency", {**SOME, **WHY}, "`mode`"),
    ("POST", "/v1/emergency", {**SOME, **WHY, "mode": "fast"}, "`mode`"),
    ("POST", "/v1/plan", {**SOME, "kind": "destroy"}, "`kind`"),
    ("POST", "/v1/adopt", {"ids": []}, "`ids`"),
    ("POST", "/v1/adopt", {"ids": ["a", "b"], "from": "/x"}, "one credential"),
    ("POST", "/v1/adopt", {"ids": ["a"], "from": "x"}, "absolute"),
    ("POST", "/v1/adopt", {"ids": ["a"], "from": "/x/../y"}, "absolute"),
    ("POST", "/v1/endpoints/db/admin", {}, "`from`"),
    ("POST", "/v1/endpoints/db/admin", {"from": "/x", "value": "canary-field"}, "value"),
    ("POST", "/v1/endpoints/db/try", {"x": 1}, "unknown field"),
    ("POST", "/v1/workflows/w/retire", {"apply": True}, "`reason`"),
    ("POST", "/v1/workflows/w/retire", {"apply": "yes"}, "`apply`"),
    ("POST", f"/v1/runs/{RUN}/answer", {"answer": "perhaps", **WHY}, "`answer`"),
    ("POST", f"/v1/runs/{RUN}/answer", {"answer": "accept", "about": {"gen": "g3"}, **WHY}, "`gen`"),
    ("POST", f"/v1/runs/{RUN}/answer", {"answer": "accept", "about": {"when": "now"}, **WHY}, "unknown field"),
    ("POST", "/v1/reload", {"hard": True}, "unknown field"),
    ("GET", "/v1/status?x=1", None, "unknown field"),
    ("GET", "/v1/plugins?x=1", None, "unknown field"),
    ("GET", "/v1/credentials?id=a&workflow=w", None, "exactly one"),
    ("GET", "/v1/credentials?selector=a&selector=b", None, "twice"),
    ("GET", "/v1/credentials?label=a%3Db", None, "unknown field"),
    ("GET", "/v1/notify/deliveries?state=lost", None, "one of waiting"),
    ("POST", "/v1/brake/release", {}, "needs `reason`"),
    ("POST", "/v1/endpoints/api/strays", {"apply": True}, "needs `reason`"),
    *NOT_RESTORING,
    ("POST", "/v1/retire", {"selection": {"selector": "k=v"}, "apply": True}, "needs `reason`"),
    ("GET", "/v1/runs?limit=0", None, "`limit`"),
    ("GET", "/v1/runs?limit=nan", None, "`limit`"),
    ("GET", "/v1/runs?open=1", None, "`open`"),
    ("GET", "/v1/runs?limit=1&limit=2", None, "twice"),
    ("GET", f"/v1/runs/{RUN}/events?wait=9999", None, "`wait`"),
    ("GET", "/v1/credentials/%ff", None, "not well formed"),
    ("GET", "/v1/status", {"a": 1}, "no body"),
]


@pytest.mark.parametrize(("method", "target", "body", "says"), MALFORMED)
def test_what_is_odd_is_refused_and_nothing_is_called(api: Api, method: str, target: str, body: Any, says: str) -> None:
    status, answer = api(method, target, body)
    assert status == 400
    error = answer["error"]
    assert (error["code"], error["exit"]) == ("ROT-BAD-REQUEST", 2)
    assert says in error["message"]
    assert api.requests.calls == []


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"selection": {"all": true}, "selection": {"all": true}}',
        b'{"a": NaN}',
        b"[" * 99_999,
    ],
)
def test_a_body_that_is_no_plain_json_object_is_refused(api: Api, text: bytes) -> None:
    assert api("POST", "/v1/rotate", text=text)[0] == 400
    assert api.requests.calls == []


def test_what_stood_in_a_wrong_field_does_not_come_back(api: Api) -> None:
    canary = "canary-" + "s3cr3t value"
    for body in ({"from": canary}, {"from": "/x", canary: 1}, {"from": "/x", "reason": [canary]}):
        assert canary not in str(api("POST", "/v1/endpoints/db/admin", body))


def test_an_unknown_path_or_method_is_told_apart(api: Api) -> None:
    assert api("GET", "/v1/nothing")[1]["error"]["code"] == "ROT-NO-ROUTE"
    assert api("GET", "/v2/status")[0] == 404
    assert api("GET", "/v1/runs//events")[0] == 404
    status, answer = api("POST", "/v1/status", {})
    assert (status, answer["error"]["code"]) == (405, "ROT-BAD-METHOD")


def test_a_body_over_the_limit_is_refused_before_it_is_read(api: Api) -> None:
    head = f"POST /v1/rotate HTTP/1.1\r\nHost: x\r\nContent-Length: {LARGEST_BODY + 1}\r\n\r\n".encode()
    status, answer = parse(raw(api.path, head + b"{" * 100_000))
    assert (status, answer["error"]["code"]) == (413, "ROT-TOO-LARGE")


def test_framing_that_could_be_read_in_two_ways_is_refused(api: Api) -> None:
    for headers in ("Transfer-Encoding: chunked\r\n", "Content-Length: 2\r\n", "Content-Length: -1\r\n"):
        request = (
            f"POST /v1/reload HTTP/1.1\r\nContent-Length: 2\r\n{headers}Content-Type: application/json\r\n\r\n{{}}"
        )
        assert parse(raw(api.path, request.encode()))[0] == 400
    assert api.requests.calls == []


def test_a_form_is_not_taken_for_json(api: Api) -> None:
    request = b"POST /v1/reload HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}"
    assert parse(raw(api.path, request))[0] == 400


@pytest.mark.parametrize("request_", [b"nonsense\r\n\r\n", b"GET / HTTP/9\r\n\r\n", b"G" * 70_000 + b"\r\n\r\n"])
def test_what_is_no_http_gets_a_json_error(api: Api, request_: bytes) -> None:
    status, answer = parse(raw(api.path, request_))
    assert status in {400, 414, 505}
    assert answer["error"]["code"] == "ROT-BAD-REQUEST"


def test_a_refusal_of_the_engine_arrives_whole(api: Api) -> None:
    api.requests.answers["rotate"] = RequestRefused("ROT-RUN-OPEN", "a run is open", exit=6, hint="look", run=RUN)
    status, answer = api("POST", "/v1/rotate", {**SOME, **WHY})
    assert status == 409
    assert answer["error"] == {
        "code": "ROT-RUN-OPEN", "message": "a run is open", "hint": "look", "exit": 6, "run": RUN,
        "docs": "docs/runbook.md#rot-run-open",
    }  # fmt: skip


@pytest.mark.parametrize(
    "bug", [ValueError("canary-in-a-message"), OSError(5, "canary-in-a-message"), KeyError("canary-k")]
)
def test_a_bug_says_only_its_report(api: Api, bug: Exception) -> None:
    api.requests.answers["status"] = bug
    with structlog.testing.capture_logs() as logged:
        status, answer = api("GET", "/v1/status")
    assert (status, answer["error"]["code"], answer["error"]["exit"]) == (500, "ROT-INTERNAL", 1)
    assert "canary" not in str(answer)
    [report] = [line["report"] for line in logged if line["event"] == "daemon.api.internal"]
    assert report in answer["error"]["message"]


def test_a_silent_caller_and_a_dripping_one_are_ended(api: Api) -> None:
    began = time.monotonic()
    answer = raw(api.path, b"GET /v1/status HTTP/1.1\r\n")
    assert parse(answer)[1]["error"]["code"] == "ROT-TOO-SLOW"
    assert parse(
        raw(api.path, b"POST /v1/reload HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\n{")
    )[1]["error"]["code"] in {"ROT-TOO-SLOW", "ROT-BAD-REQUEST"}
    assert time.monotonic() - began < 5
    assert _drip(api.path) < 3
    assert api.requests.calls == []


def _drip(path: Path) -> float:
    """A byte each 0.3 s: every read is in time, the request is not."""
    import socket

    began = time.monotonic()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(str(path))
        for byte in b"GET /v1/status HTTP/1.1\r\nHost: a-long-one\r\n":
            try:
                connection.sendall(bytes((byte,)))
            except OSError:
                break
            time.sleep(0.3)
    return time.monotonic() - began


def test_callers_too_many_are_told_to_come_again(api: Api) -> None:
    import socket

    held = []
    for _ in range(6):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(api.path))
        held.append(connection)
    time.sleep(0.3)
    status, answer = api("GET", "/v1/status")
    assert (status, answer["error"]["code"], answer["error"]["exit"]) == (503, "ROT-BUSY", 13)
    for connection in held:
        connection.close()
    time.sleep(0.3)
    assert api("GET", "/v1/status")[0] == 200


def test_waiting_for_events_ends_with_the_first_one(api: Api) -> None:
    api.requests.journal[RUN], api.requests.ends[RUN] = [], (None, -1)
    found: list[Any] = []
    asking = threading.Thread(target=lambda: found.append(api("GET", f"/v1/runs/{RUN}/events?wait=20")))
    asking.start()
    assert api.requests.entered.wait(5)
    api.requests.journal[RUN] = [{"sequence": 1, "says": "opened"}]
    asking.join(5)
    assert found
    assert found[0][1]["items"] == [{"sequence": 1, "says": "opened"}]


def test_waiting_for_events_takes_half_of_the_threads_at_most(api: Api) -> None:
    api.requests.journal[RUN], api.requests.ends[RUN] = [], (None, -1)
    waiting = [threading.Thread(target=lambda: api("GET", f"/v1/runs/{RUN}/events?wait=2")) for _ in range(3)]
    for one in waiting:
        one.start()
    time.sleep(0.4)
    began = time.monotonic()
    assert api("GET", f"/v1/runs/{RUN}/events?wait=20")[0] == 200
    assert time.monotonic() - began < 1
    for one in waiting:
        one.join(10)


def test_a_stop_ends_a_wait_for_events(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    requests = RecordingRequests()
    requests.journal[RUN], requests.ends[RUN] = [], (None, -1)
    server = ApiServer(tmp_path / "api.sock", requests, SystemClock())
    server.start()
    found: list[Any] = []
    target = f"/v1/runs/{RUN}/events?wait=30"
    asking = threading.Thread(target=lambda: found.append(call(tmp_path / "api.sock", "GET", target)))
    asking.start()
    assert requests.entered.wait(5)
    assert server.stop(5)
    asking.join(5)
    assert found[0][0] == 200


def test_an_answer_that_is_no_document_is_a_bug_and_not_a_silence(api: Api) -> None:
    api.requests.answers["status"] = {"version": object()}
    assert api("GET", "/v1/status")[1]["error"]["code"] == "ROT-INTERNAL"


def test_any_text_of_a_platform_can_be_sent(api: Api) -> None:
    text = "half \udce9 \x00 \u2028 é"
    api.requests.answers["status"] = {"version": text}
    assert api("GET", "/v1/status")[1]["version"] == text


def test_a_configuration_that_is_refused_is_told_with_its_place(api: Api) -> None:
    problem = Problem("CFG-MISSING", "`owner` is missing", "credentials.a", "r.yaml", 7, 3)
    warned = Problem("CFG-EXPIRY-NEAR", "expires soon", "credentials.b", "r.yaml", 1, 1, warning=True)
    api.requests.answers["reload"] = ConfigurationRefused([problem, warned])
    status, answer = api("POST", "/v1/reload", {})
    assert (status, answer["error"]["code"], answer["error"]["exit"]) == (422, "CFG-MISSING", 3)
    assert "r.yaml:7:3: `owner` is missing" in answer["error"]["message"]
    assert "the old configuration stands" in answer["error"]["message"]
