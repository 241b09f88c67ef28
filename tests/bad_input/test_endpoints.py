"""Endpoints that do not answer as they should: `rotator doctor` says what, with its code, its page and the fix, and
nothing is changed.

Every server here listens on the loopback and says exactly what the case is about.
"""

from __future__ import annotations

import gzip
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path

import pytest

from tests.bad_input.desk import Desk, documented, said_of, setting
from tests.lab.process import free_port
from tests.lab.tls import Authority
from tests.unit.hostile_server import Say, answer, hostile, raw

Case = Callable[[Desk], AbstractContextManager[None]]


@dataclass(frozen=True)
class Row:
    """What stands at the other end, and the code that is told."""

    name: str
    code: str
    case: Case


def says(say: Say) -> Case:
    """A server that always says this."""

    @contextmanager
    def case(desk: Desk) -> Iterator[None]:
        with hostile(say) as server:
            desk.url = server.url
            yield

    return case


def address(url: str) -> Case:
    """Nobody of ours there."""

    @contextmanager
    def case(desk: Desk) -> Iterator[None]:
        desk.url = url
        yield

    return case


@contextmanager
def closed(desk: Desk) -> Iterator[None]:
    desk.url = f"http://127.0.0.1:{free_port()}"
    yield


def reset(connection: socket.socket, _: bytes) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")


@contextmanager
def untrusted(desk: Desk) -> Iterator[None]:
    """HTTPS by an authority that this machine does not know."""
    with tls(desk, "localhost"):
        yield


@contextmanager
def other_name(desk: Desk) -> Iterator[None]:
    """A certificate of a known authority, for another name."""
    with tls(desk, "somebody.else") as authority:
        desk.change(setting("endpoints", "alerta", "ca", to=str(authority.ca)))
        yield


@contextmanager
def tls(desk: Desk, name: str) -> Iterator[Authority]:
    import ssl
    import threading

    folder = desk.folder.parent / "ca"
    folder.mkdir()
    authority = Authority(folder)
    made = authority.server(dns_names=(name,))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            try:
                context.wrap_socket(connection, server_side=True).close()
            except OSError:
                connection.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    desk.url = f"https://localhost:{listener.getsockname()[1]}"
    try:
        yield authority
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(3)


def keys(*rows: dict[str, object], headers: tuple[str, ...] = ()) -> Say:
    """Alerta's list of keys, well formed."""
    body = json.dumps({"status": "ok", "keys": list(rows), "total": len(rows), "more": False}).encode()
    return answer(200, body, *headers)


HTML = b"<!doctype html><html><body>Please sign in</body></html>"
WRONG = b"""{"message": "API key parameter 'x' is invalid"}"""
BOMB = gzip.compress(b"[" + b" " * 30_000_000 + b"]")

ROWS = (
    Row("nobody listens", "unreachable", closed),
    Row("a name that is nowhere", "unreachable", address("https://nowhere.invalid")),
    Row("a cloud's metadata address", "address_refused", address("https://169.254.169.254")),
    Row("an authority that nobody knows", "tls", untrusted),
    Row("a certificate for another name", "tls", other_name),
    Row("it resets the connection", "connection_lost", says(reset)),
    Row("it says nothing and hangs up", "connection_lost", says(raw(b""))),
    Row("not HTTP", "connection_lost", says(raw(b"220 mail.example ESMTP\r\n"))),
    Row("half an answer", "connection_lost", says(raw(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{\"status\":"))),
    Row("a page of HTML", "unrecognised_answer", says(answer(200, HTML, kind="text/html"))),
    Row("not JSON", "unrecognised_answer", says(answer(200, b"{status: ok", kind="application/json"))),
    Row("nothing in it", "unrecognised_answer", says(answer(200, b""))),
    Row("JSON of another shape", "unrecognised_answer", says(answer(200, b'["keys"]'))),
    Row("another charset than it says", "unrecognised_answer", says(answer(200, '{"status":"\xe4'.encode("latin-1")))),
    Row("too much", "too_large", says(answer(200, b"[" + b" " * 5_000_000 + b"]"))),
    Row("too much, packed", "too_large", says(answer(200, BOMB, "Content-Encoding: gzip"))),
    Row("a redirect", "redirect", says(answer(302, b"", "Location: https://login.example/"))),
    Row("the admin value is wrong", "acting_refused", says(answer(401, WRONG))),
    Row("too many requests", "throttled", says(answer(429, b"{}", "Retry-After: 7"))),
    Row("a server's error", "server_error", says(answer(500, b"{}"))),
    Row("maintenance", "server_error", says(answer(503, HTML, kind="text/html"))),
)  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_strange_endpoint_is_told_with_code_page_and_fix(row: Row, tmp_path: Path) -> None:
    desk = Desk(tmp_path / "desk").prepared()
    with row.case(desk):
        desk.write()
        before = desk.state()
        said = desk.doctor()
    assert said.code == 10, said.err
    found = said.failing
    assert row.code in found, [said_of(one) for one in said.items]
    one = found[row.code]
    assert one["do"], one
    assert len(one["says"]) > len(row.code) + 5, one
    assert documented(one["docs"]), one["docs"]
    assert desk.lost(before) == []
    assert (desk.folder / "admin").read_text() not in said.out + said.err


def row_of(desk: Desk, user: str) -> dict[str, object]:
    key = (desk.folder / "admin").read_text()
    return {
        "id": "1",
        "key": key,
        "user": user,
        "scopes": ["admin"],
        "text": "",
        "expireTime": "2099-01-01T00:00:00.000Z",
    }


def test_the_right_password_with_the_wrong_account_behind_it_is_told(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "desk").prepared()
    with hostile(keys(row_of(desk, "somebody.else@desk.test"))) as server:
        desk.url = server.url
        said = desk.doctor()
    assert said.code == 10
    one = said.failing["wrong_identity"]
    assert "somebody.else@desk.test" in one["says"]
    assert documented(one["docs"])


@pytest.mark.parametrize(("off", "word"), [(-3600, "ahead of"), (7200, "behind")])
def test_a_clock_that_is_wrong_is_told(off: int, word: str, tmp_path: Path) -> None:
    desk = Desk(tmp_path / "desk").prepared()
    date = formatdate(time.time() + off, usegmt=True)
    with hostile(keys(row_of(desk, "adm@desk.test"), headers=(f"Date: {date}",))) as server:
        desk.url = server.url
        said = desk.doctor()
    one = said.failing["ROT-CLOCK"]
    assert word in one["says"]
    assert one["do"]
    assert documented(one["docs"])


def test_a_sound_desk_has_nothing_that_fails(tmp_path: Path) -> None:
    """The other cases could not fail if this one did."""
    desk = Desk(tmp_path / "desk").prepared()
    with hostile(keys(row_of(desk, "adm@desk.test"))) as server:
        desk.url = server.url
        said = desk.doctor()
    failing = {code: one for code, one in said.failing.items() if one["verdict"] == "fails"}
    assert not failing, [said_of(one) for one in failing.values()]
    assert said.code == 0
