"""The gateway: whatever a plugin and a platform do, a checked response or exactly one of the API's errors comes out."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from rotator.effects.host import Connection, Gateway, HostedPlatform
from rotator.effects.platforms import Call
from rotator.plugin_api import (
    Alive,
    Failed,
    Found,
    Generation,
    HttpRequest,
    Inconclusive,
    Installed,
    InstallRequest,
    Kind,
    Lists,
    Lost,
    Misconfigured,
    Origin,
    OutcomeUnknown,
    Page,
    Plugin,
    PluginError,
    PreflightRequest,
    ProbeRequest,
    Ready,
    Refused,
    Rejected,
    Revoked,
    RevokeRequest,
    Revokes,
    Role,
    Secret,
    Subject,
    Traits,
)

from .hostile_server import Say, answer, hostile, raw

SUBJECT = Subject(principal="svc")
TARGET = Generation(subject=SUBJECT, handle="h1")
VALUE, ADMIN = "canary-value/with+signs", "canary-admin-value"
CALL = Call("run-7", 3.0)


class Clock:
    def now(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    url: str


def platform(url: str = "http://127.0.0.1:1", **slots: Any) -> HostedPlatform:
    traits = Traits(role=Role.AUTHORITY, origin=Origin.GENERATED, lost=Lost.PROBE, lists=Lists.ALL, revokes=Revokes.ONE)
    plugin = Plugin(
        name="sample",
        version="1",
        config=Config,
        routes=("GET /who", "POST /keys", "DELETE /keys/{id}"),
        reasons={"told": "A reason."},
        kinds=(Kind(name="key", title="A key", traits=traits, **slots),),
    )
    connection = Connection(name="sample", plugin=plugin, config={"url": url}, admin="adm")
    return Gateway(Clock(), "0.1").platform(connection, "key", lambda: Secret(ADMIN))


def install_request() -> InstallRequest:
    return InstallRequest(into=SUBJECT, value=Secret(VALUE), of=TARGET, label="rot-t-1")


def probe_request() -> ProbeRequest:
    return ProbeRequest(target=TARGET, value=Secret(VALUE))


def send_install(at: Any, request: InstallRequest) -> Installed:
    at.send(HttpRequest(method="POST", route="/keys", json={"key": request.value})).ok(201)
    return Installed(handle="h1")


def send_probe(at: Any, request: ProbeRequest) -> Alive | Inconclusive | Rejected:
    got = at.send(HttpRequest(method="GET", route="/who", headers={"Authorization": request.value.wrap("Key {}")}))
    return Alive(principal=got.ok(200).text("/user"))


def raiser(error: Exception) -> Callable[..., Any]:
    def slot(at: Any, request: Any) -> Any:
        raise error

    return slot


def test_a_write_goes_out_with_its_secret_and_a_user_agent_that_names_the_run() -> None:
    with hostile(answer(201)) as server:
        assert platform(server.url, install=send_install).install(CALL, install_request()) == Installed(handle="h1")
    assert b"User-Agent: rotator/0.1 (install; run run-7)" in server.requests[0]
    assert VALUE.encode() in server.requests[0]


def test_a_probe_names_itself_and_uses_a_new_connection() -> None:
    with hostile(answer(200, b'{"user": "svc"}')) as server:
        hosted = platform(server.url, probe=send_probe)
        assert [hosted.probe(CALL, probe_request()) for _ in range(2)] == [Alive(principal="svc")] * 2
    assert server.connections == 2
    assert b"(probe; run" in server.requests[0]


@pytest.mark.parametrize(
    ("say", "error", "reason"),
    [
        (answer(302, b"", "Location: https://elsewhere.example/"), Misconfigured, "redirect"),
        (answer(401), Misconfigured, "acting_refused"),
        (answer(403), Misconfigured, "acting_refused"),
        (answer(404), Refused, "not_found"),
        (answer(409), Refused, "refused"),
        (answer(500), OutcomeUnknown, "server_error"),
        (answer(200), OutcomeUnknown, "unrecognised_answer"),
        (answer(429), Failed, "throttled"),
        (raw(b""), OutcomeUnknown, "connection_lost"),
        (raw(b"HTTP/1.1 201 OK\r\nContent-Length: 50\r\n\r\n{"), OutcomeUnknown, "connection_lost"),
        (answer(201, b"x" * 5_000_000), OutcomeUnknown, "too_large"),
    ],
)
def test_a_write_is_unknown_where_it_may_have_been_done(say: Say, error: type[PluginError], reason: str) -> None:
    with hostile(say) as server, pytest.raises(error) as caught:
        platform(server.url, install=send_install).install(CALL, install_request())
    assert caught.value.reason == reason
    assert not caught.value.unsent
    assert caught.value.__cause__ is None
    assert server.connections == 1


def test_no_connection_is_failed_and_marked_unsent() -> None:
    with pytest.raises(Failed) as caught:
        platform(install=send_install).install(CALL, install_request())
    assert (caught.value.reason, caught.value.unsent) == ("unreachable", True)


def test_a_reading_request_inside_a_write_is_failed_not_unknown() -> None:
    def install(at: Any, request: InstallRequest) -> Installed:
        at.send(HttpRequest(method="GET", route="/who", read=True))
        return Installed()

    with hostile(raw(b"")) as server, pytest.raises(Failed):
        platform(server.url, install=install).install(CALL, install_request())


@pytest.mark.parametrize(
    "say",
    [
        raw(b""),
        answer(200, b"<html>log in</html>", kind="text/html"),
        answer(302, b"", "Location: /login"),
        answer(401, b"<html>"),
        answer(403),
        answer(429, b"", "Retry-After: 7"),
        answer(500),
        answer(200, b'{"user": null}'),
    ],
)
def test_in_a_probe_everything_unrecognised_is_inconclusive(say: Say) -> None:
    with hostile(say) as server:
        assert isinstance(platform(server.url, probe=send_probe).probe(CALL, probe_request()), Inconclusive)


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("7", 7),
        ("Wed, 21 Oct 2015 07:28:00 GMT", None),
        ("soon", None),
        ("-1", None),
        ("99999999999", 86400),
        ("", None),
    ],
)
def test_retry_after_is_read_in_its_forms(text: str, wait: int | None) -> None:
    with hostile(answer(429, b"", f"Retry-After: {text}")) as server, pytest.raises(Failed) as caught:
        platform(server.url, install=send_install).install(CALL, install_request())
    assert caught.value.retry_after == (None if wait is None else timedelta(seconds=wait))


def test_retry_after_as_a_date_is_a_span_from_now() -> None:
    until = (datetime.now(UTC) + timedelta(seconds=60)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    with hostile(answer(429, b"", f"Retry-After: {until}")) as server, pytest.raises(Failed) as caught:
        platform(server.url, install=send_install).install(CALL, install_request())
    assert caught.value.retry_after is not None
    assert 55 < caught.value.retry_after.total_seconds() <= 61


FORMS = [
    VALUE,
    quote(VALUE, safe=""),
    base64.b64encode(VALUE.encode()).decode(),
    VALUE.encode().hex(),
    f"the key '{VALUE}' exists",
]


@pytest.mark.parametrize("text", [*FORMS, ADMIN])
def test_an_echo_in_a_response_fails_the_call(text: str) -> None:
    with pytest.raises(OutcomeUnknown) as caught:
        platform(install=lambda at, request: Installed(handle=text)).install(CALL, install_request())
    assert caught.value.reason == "echo"
    assert text not in repr(caught.value)


def test_what_an_answer_gave_and_a_plugin_holds_is_an_echo_too() -> None:
    def install(at: Any, request: InstallRequest) -> Installed:
        at.hold(Secret("canary-held"))
        return Installed(handle="id canary-held")

    with pytest.raises(OutcomeUnknown) as caught:
        platform(install=install).install(CALL, install_request())
    assert caught.value.reason == "echo"


def test_an_echo_in_a_probe_is_inconclusive() -> None:
    found = platform(probe=lambda at, request: Alive(principal=VALUE)).probe(CALL, probe_request())
    assert found == Inconclusive(reason="echo")


@pytest.mark.parametrize("error", [KeyError(VALUE), ValueError(VALUE), RuntimeError(), PluginError("told")])
def test_any_other_exception_is_a_bug_and_a_write_is_then_unknown(error: Exception) -> None:
    with pytest.raises(OutcomeUnknown) as caught:
        platform(install=raiser(error)).install(CALL, install_request())
    assert caught.value.reason == "plugin_bug"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_only_slug_and_status_arrive() -> None:
    error = Refused("told", status="409")
    error.__cause__ = ValueError(VALUE)
    error.add_note(VALUE)
    with pytest.raises(Refused) as caught:
        platform(install=raiser(error)).install(CALL, install_request())
    assert caught.value is not error
    assert (caught.value.reason, caught.value.status, caught.value.__cause__) == ("told", "409", None)
    assert not hasattr(caught.value, "__notes__")


@pytest.mark.parametrize("reason", ["not_declared", "Free text!", VALUE])
def test_a_reason_that_is_not_declared_does_not_arrive(reason: str) -> None:
    with pytest.raises(Refused) as caught:
        platform(install=raiser(Refused(reason))).install(CALL, install_request())
    assert caught.value.reason == "unexplained"
    found = platform(probe=lambda at, request: Rejected(reason=reason)).probe(CALL, probe_request())
    assert found == Inconclusive(reason="echo" if reason == VALUE else "unexplained")


@pytest.mark.parametrize("handle", ["x" * 600, "a\nb", 7])
def test_what_is_too_long_or_not_text_is_refused(handle: Any) -> None:
    if handle == 7:
        handle = object()
    with pytest.raises(OutcomeUnknown):
        platform(install=lambda at, request: Installed(handle=handle)).install(CALL, install_request())


def test_a_wrong_type_of_response_is_a_bug() -> None:
    with pytest.raises(OutcomeUnknown):
        platform(install=lambda at, request: Revoked()).install(CALL, install_request())


def send_revoke(at: Any, request: RevokeRequest) -> Revoked:
    at.send(HttpRequest(method="DELETE", route="/keys/{id}", path={"id": request.target.handle or ""})).ok(200)
    return Revoked()


def revoke_of(handle: str | None) -> RevokeRequest:
    return RevokeRequest(target=Generation(subject=SUBJECT, handle=handle))


@pytest.mark.parametrize(
    "handle", ["../x", "a/b", "a?b=c", "%2e", "a\nb", 'q"', "a#b", "ü", "a b", "....", "x\r\nHost: y"]
)
def test_a_hostile_handle_stays_one_segment(handle: str) -> None:
    with hostile(answer(200)) as server:
        platform(server.url, revoke=send_revoke).revoke(CALL, revoke_of(handle))
    assert server.requests[0].startswith(f"DELETE /keys/{quote(handle, safe='')} HTTP/1.1\r\n".encode())


@pytest.mark.parametrize("handle", ["", None, ".", ".."])
def test_a_delete_without_its_id_is_never_sent(handle: str | None) -> None:
    with hostile(answer(200)) as server, pytest.raises((Failed, Misconfigured)) as caught:
        platform(server.url, revoke=send_revoke).revoke(CALL, revoke_of(handle))
    assert caught.value.unsent
    assert server.connections == 0


@pytest.mark.parametrize(("method", "route"), [("DELETE", "/keys"), ("GET", "/keys/{id}"), ("GET", "/who?x=1")])
def test_a_route_that_is_not_declared_is_never_sent(method: str, route: str) -> None:
    def revoke(at: Any, request: RevokeRequest) -> Revoked:
        at.send(HttpRequest(method=method, route=route, path={"id": "1"}))
        return Revoked()

    with hostile(answer(200)) as server, pytest.raises(Failed) as caught:
        platform(server.url, revoke=revoke).revoke(CALL, revoke_of("1"))
    assert (caught.value.reason, caught.value.unsent, server.connections) == ("route_refused", True, 0)


def test_a_header_with_a_line_break_is_never_sent() -> None:
    request = ProbeRequest(target=TARGET, value=Secret("canary\r\nX: y"))
    with hostile(answer(200)) as server:
        found = platform(server.url, probe=send_probe).probe(CALL, request)
    assert (found, server.connections) == (Inconclusive(reason="unsendable"), 0)


def pages(*cursors: str | None) -> Callable[..., Page]:
    def listing(at: Any, request: Any) -> Page:
        number = 0 if request.cursor is None else int(request.cursor)
        return Page(items=(Found(handle=f"h{number}"),), next=cursors[number])

    return listing


def test_a_listing_is_paged_to_the_end() -> None:
    rows = platform(list=pages("1", "2", None)).listing(CALL, None)
    assert [row.handle for row in rows] == ["h0", "h1", "h2"]


def test_a_listing_whose_cursor_comes_back_is_an_error_not_a_short_list() -> None:
    with pytest.raises(Failed):
        platform(list=pages("1", "0")).listing(CALL, None)


def test_a_listing_that_fails_on_a_later_page_is_an_error() -> None:
    with pytest.raises(Failed):
        platform(list=pages("1")).listing(CALL, None)


def test_a_call_ends_at_its_deadline() -> None:
    with hostile(lambda connection, _: time.sleep(4)) as server:
        began = time.monotonic()
        with pytest.raises(OutcomeUnknown) as caught:
            platform(server.url, install=send_install).install(Call("r", 0.5), install_request())
        assert time.monotonic() - began < 1.5
    assert caught.value.reason == "deadline"


def test_a_login_is_kept_for_its_actor_and_dropped_when_refused() -> None:
    minted: list[int] = []

    def preflight(at: Any, request: PreflightRequest) -> Ready:
        def mint() -> tuple[Secret, timedelta]:
            minted.append(1)
            return Secret("canary-login"), timedelta(hours=1)

        at.token(mint)
        if request.subject.principal == "bad":
            raise Misconfigured("acting_refused")
        return Ready(acting="adm")

    hosted = platform(preflight=preflight)
    for principal, so_far in (("svc", 1), ("svc", 1), ("bad", 1), ("svc", 2)):
        try:
            hosted.preflight(CALL, PreflightRequest(subject=Subject(principal=principal)))
        except Failed:  # not yet for a person: the login was kept, the next one is fresh
            assert principal == "bad"
        assert len(minted) == so_far
