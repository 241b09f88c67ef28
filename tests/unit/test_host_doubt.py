"""Where the host must not claim more than it knows: several requests in one call, stale logins, unreadable logins."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

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
    ProbeRequest,
    Rejected,
    Revokes,
    Role,
    Secret,
    Subject,
    Traits,
)

from .hostile_server import Say, answer, hostile

SUBJECT = Subject(principal="svc-payments")
TARGET = Generation(subject=SUBJECT, handle="h1", label="rot-t-1")
CALL = Call("run-7", 3.0)


class Clock:
    def now(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    url: str
    other: str = ""


def admin() -> Secret:
    return Secret("canary-admin-value")


def platform(
    url: str = "http://127.0.0.1:1",
    other: str = "http://127.0.0.1:1",
    login: Callable[[], Secret] = admin,
    **slots: Any,
) -> HostedPlatform:
    traits = Traits(role=Role.AUTHORITY, origin=Origin.GENERATED, lost=Lost.PROBE, lists=Lists.ALL, revokes=Revokes.ONE)
    plugin = Plugin(
        name="sample",
        version="1",
        config=Config,
        urls=("url", "other"),
        routes=("GET /who", "POST /login", "POST /keys", "POST /keys/enable"),
        kinds=(Kind(name="key", title="A key", traits=traits, **slots),),
    )
    connection = Connection(name="sample", plugin=plugin, config={"url": url, "other": other}, admin="adm")
    return Gateway(Clock(), "0.1").platform(connection, "key", login)


def install_request(**options: Any) -> InstallRequest:
    return InstallRequest(into=SUBJECT, value=Secret("canary-value"), of=TARGET, label="rot-t-1", **options)


def probe_request() -> ProbeRequest:
    return ProbeRequest(target=TARGET, value=Secret("canary-value"))


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def two_writes(at: Any, request: InstallRequest) -> Installed:
    at.send(HttpRequest(method="POST", route="/keys", json={"key": request.value})).ok(200)
    at.send(HttpRequest(method="POST", route="/keys/enable", base="other")).ok(200)
    return Installed()


def write_then_read(at: Any, request: InstallRequest) -> Installed:
    at.send(HttpRequest(method="POST", route="/keys", json={"key": request.value})).ok(200)
    return Installed(handle=at.send(HttpRequest(method="GET", route="/who", read=True)).ok(200).text("/id"))


def test_a_second_write_that_never_left_does_not_undo_the_first() -> None:
    """*Unsent* gives the engine back its facts from before the call; here something has been done."""
    dead = f"http://127.0.0.1:{closed_port()}"
    with hostile(answer(200)) as server, pytest.raises(OutcomeUnknown, match="unreachable"):
        platform(server.url, dead, install=two_writes).install(CALL, install_request())
    assert len(server.requests) == 1


def test_a_first_write_that_never_left_is_unsent() -> None:
    dead = f"http://127.0.0.1:{closed_port()}"
    with hostile(answer(200)) as server, pytest.raises(Failed, match="unreachable") as caught:
        platform(dead, server.url, install=two_writes).install(CALL, install_request())
    assert caught.value.unsent
    assert server.requests == []


@pytest.mark.parametrize("status", [401, 404, 409, 429, 500])
def test_a_refused_later_request_does_not_say_that_nothing_was_done(status: int) -> None:
    def say(connection: socket.socket, request: bytes) -> None:
        answer(200 if request.startswith(b"POST /keys ") else status)(connection, request)

    with hostile(say) as server, pytest.raises(OutcomeUnknown):
        platform(server.url, server.url, install=two_writes).install(CALL, install_request())
    with hostile(say) as server, pytest.raises(OutcomeUnknown):
        platform(server.url, install=write_then_read).install(CALL, install_request())


def test_an_answer_of_a_later_read_that_lacks_a_part_leaves_the_write_open() -> None:
    with hostile(answer(200, b'{"else": 1}')) as server, pytest.raises(OutcomeUnknown, match="incomplete_answer"):
        platform(server.url, install=write_then_read).install(CALL, install_request())


@pytest.mark.parametrize(
    "say",
    [
        answer(200, b"<!doctype html><html>sign in</html>", kind="text/html; charset=utf-8"),
        answer(200, b"\n <HTML><body>sorry</body></HTML>", kind="text/plain"),
    ],
)
def test_a_page_for_people_is_no_success(say: Say) -> None:
    def install(at: Any, request: InstallRequest) -> Installed:
        at.send(HttpRequest(method="POST", route="/keys", json={"key": request.value})).ok(200)
        return Installed()

    with hostile(say) as server, pytest.raises(OutcomeUnknown, match="unrecognised_answer"):
        platform(server.url, install=install).install(CALL, install_request())


# ---- logins ----------------------------------------------------------------------------------------------------------


def by_login(at: Any, request: ProbeRequest) -> Alive | Rejected:
    def mint() -> tuple[Secret, timedelta]:
        got = at.send(HttpRequest(method="POST", route="/login", json={"secret": at.actor.value}))
        return got.ok(200).secret("/token"), timedelta(hours=1)

    got = at.send(HttpRequest(method="GET", route="/who", headers={"Authorization": at.token(mint).wrap("Bearer {}")}))
    return Alive(principal="adm") if got.status == 200 else Rejected(reason="refused")


def listing_by_login(at: Any, _: Any) -> Page:
    by_login(at, probe_request())
    return Page(items=())


def test_a_kept_login_never_makes_a_value_under_test_look_alive() -> None:
    """The witness is a value under test, too: one that was revoked since must be seen as dead."""
    revoked: list[bool] = []

    def say(connection: socket.socket, request: bytes) -> None:
        dead = revoked and b"/login" in request
        answer(401 if dead else 200, b'{"token": "canary-session"}')(connection, request)

    with hostile(say) as server:
        hosted = platform(server.url, probe=by_login, list=listing_by_login)
        assert hosted.listing(CALL, SUBJECT) == ()
        revoked.append(True)
        assert isinstance(hosted.witness(CALL), Inconclusive)


@pytest.mark.parametrize("error", [OutcomeUnknown("connection_lost"), Failed("unreachable")])
def test_an_admin_value_that_cannot_be_read_leaves_the_platform_untouched(error: Exception) -> None:
    def login() -> Secret:
        raise error

    with hostile(answer(200)) as server, pytest.raises(Failed) as caught:
        platform(server.url, login=login, install=admin_install).install(CALL, install_request())
    assert caught.value.unsent
    assert server.requests == []


def test_a_login_that_breaks_is_still_one_of_the_four_errors_and_shows_nothing() -> None:
    def login() -> Secret:
        raise ValueError("canary-admin-value")

    with pytest.raises(Misconfigured) as caught:
        platform(login=login, install=admin_install).install(CALL, install_request())
    assert "canary" not in repr(caught.value.args)
    assert isinstance(platform(login=login, probe=by_login).probe(CALL, probe_request()), Inconclusive)
    assert isinstance(platform(login=login, probe=by_login).witness(CALL), Inconclusive)


def admin_install(at: Any, request: InstallRequest) -> Installed:
    headers = {"Authorization": at.actor.value.wrap("Key {}")}
    at.send(HttpRequest(method="POST", route="/keys", headers=headers, json={"key": request.value})).ok(200)
    return Installed()


# ---- names and values ------------------------------------------------------------------------------------------------


def test_a_reference_that_travels_among_the_fields_is_no_value() -> None:
    """A consumer's payload holds the principal as a Secret, too; the place of the file may well be named after it."""

    def install(at: Any, request: InstallRequest) -> Installed:
        return Installed(handle=f"{request.of.subject.principal}/credentials.env")

    fields = {"user": Secret("svc-payments"), "password": Secret("canary-value")}
    found = platform(install=install).install(CALL, install_request(fields=fields))
    assert found == Installed(handle="svc-payments/credentials.env")


def test_a_strangers_long_label_does_not_hide_the_others() -> None:
    def rows(at: Any, _: Any) -> Page:
        return Page(items=(Found(handle="1", label="x" * 5000), Found(handle="2", label="rot-t-1")))

    found = platform(list=rows).listing(CALL, SUBJECT)
    assert [(row.handle, len(row.label or "") <= 1024) for row in found] == [("1", True), ("2", True)]


# ---- time ------------------------------------------------------------------------------------------------------------


def test_the_time_that_reading_the_admin_value_takes_is_the_calls_own() -> None:
    """A write that left after its deadline could undo what the next owner did."""

    def slow() -> Secret:
        time.sleep(0.4)
        return admin()

    with hostile(answer(200)) as server, pytest.raises(Failed, match="deadline") as caught:
        platform(server.url, login=slow, install=admin_install).install(Call("run-7", 0.3), install_request())
    assert caught.value.unsent
    assert server.requests == []


def test_a_refused_login_that_was_kept_is_tried_again_before_anybody_is_asked() -> None:
    def rows(at: Any, _: Any) -> Page:
        token = at.token(lambda: (Secret("canary-session"), timedelta(hours=1)))
        at.send(HttpRequest(method="GET", route="/who", headers={"Authorization": token.wrap("Bearer {}")})).ok(200)
        return Page(items=())

    statuses = iter([200, 401, 401])

    def say(connection: socket.socket, request: bytes) -> None:
        answer(next(statuses))(connection, request)

    with hostile(say) as server:
        hosted = platform(server.url, list=rows)
        assert hosted.listing(CALL, SUBJECT) == ()
        with pytest.raises(Failed, match="acting_refused"):
            hosted.listing(CALL, SUBJECT)
        with pytest.raises(Misconfigured, match="acting_refused"):
            hosted.listing(CALL, SUBJECT)
