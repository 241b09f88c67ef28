"""No value of a call in what an error carries: text, arguments, notes, causes and contexts, to any depth."""

from __future__ import annotations

import gzip
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rotator.effects.transport import Broken, Outgoing, Transport
from rotator.plugin_api import HttpRequest, Installed, InstallRequest, PluginError, Secret

from .hostile_server import Say, answer, hostile, raw
from .test_host_doubt import CALL, Clock, install_request, platform

VALUES = ("canary-value", "canary-admin-value")
OURS = ("rotator.", "builtins")


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error with everything that hangs on it."""
    while error is not None:
        yield error
        if error.__cause__ is not None and error.__cause__ is not error.__context__:
            yield from chain(error.__cause__)
        error = error.__context__


def install_with(header: str) -> Callable[[Any, InstallRequest], Installed]:
    def install(at: Any, request: InstallRequest) -> Installed:
        headers = {"Authorization": at.actor.value.wrap("Key {}"), "X-Key": request.value.wrap(header)}
        at.send(HttpRequest(method="POST", route="/keys", headers=headers, json={"key": request.value})).ok(200)
        return Installed()

    return install


def quoting(connection: socket.socket, request: bytes) -> None:
    answer(500, b'{"error": "canary-value canary-admin-value"}', "X-Echo: canary-value")(connection, request)


def quoting_status_line(connection: socket.socket, request: bytes) -> None:
    connection.sendall(b"HTTP/9 canary-value canary-admin-value\r\n\r\n")


@pytest.mark.parametrize(
    ("header", "say"),
    [
        ("{}", raw(b"")),
        ("{}", raw(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{")),
        ("{}", quoting),
        ("{}", quoting_status_line),
        ("{}\r\nX-More: 1", answer(200)),
        ("{}\ud800", answer(200)),
    ],
)
def test_an_error_drags_no_value_along(header: str, say: Say) -> None:
    with hostile(say) as server, pytest.raises(PluginError) as caught:
        platform(server.url, install=install_with(header)).install(CALL, install_request())
    for one in chain(caught.value):
        words = repr((str(one), one.args, getattr(one, "__notes__", ()), getattr(one, "object", "")))
        assert not any(value in words for value in VALUES), type(one)
        assert type(one).__module__.startswith(OURS), "a vendor's exception came along"


def test_a_value_in_a_drivers_exception_stays_behind() -> None:
    def install(at: Any, request: InstallRequest) -> Installed:
        try:
            raise ValueError("password canary-value")
        except ValueError as error:
            error.add_note("canary-value")
            raise RuntimeError("canary-admin-value") from error

    with pytest.raises(PluginError) as caught:
        platform(install=install).install(CALL, install_request())
    assert [one for one in chain(caught.value) if "canary" in repr((one.args, getattr(one, "__notes__", ())))] == []


def test_session_keys_are_not_written_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Who can set the daemon's environment could otherwise read every value that leaves it."""
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    Transport(Clock())
    assert list(tmp_path.iterdir()) == []


def test_a_small_answer_that_unpacks_to_a_large_one_is_refused() -> None:
    bomb = gzip.compress(b"0" * 50_000_000)
    assert len(bomb) < 100_000
    with hostile(answer(200, bomb, "Content-Encoding: gzip")) as server, pytest.raises(Broken, match="too_large"):
        Transport(Clock()).exchange(Outgoing("GET", server.url, "/", {}), 10.0)


def test_a_value_never_stands_in_a_repr() -> None:
    hosted = platform(install=install_with("{}"))
    words = f"{hosted!r} {install_request()!r} {Outgoing('GET', 'http://x', '/', {'A': 'canary-value'})!r}"
    assert "canary" not in words.replace(repr(Secret("x")), "")
