"""The transport against a hostile server: what it says of an exchange, and what it never does."""

from __future__ import annotations

import gzip
import ipaddress
import socket
import ssl
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rotator.effects.transport import Broken, Incoming, NotSent, Outgoing, Transport
from rotator.effects.transport_address import is_refused
from tests.lab.tls import Authority, ServerTls

from .hostile_server import Say, answer, drip, hostile, raw, whole


class Clock:
    def monotonic(self) -> float:
        return time.monotonic()


def get(url: str, seconds: float = 5, **options: Any) -> Incoming:
    return Transport(Clock(), **options).exchange(Outgoing("GET", url, "/x", {"X-Key": "canary-1"}), seconds)


def test_an_answer_comes_back_whole() -> None:
    with hostile(answer(201, b'{"a": 1}', "X-More: yes")) as server:
        got = get(server.url)
    assert (got.status, got.body, got.headers["x-more"]) == (201, b'{"a": 1}', "yes")
    assert server.requests[0].startswith(b"GET /x HTTP/1.1\r\n")
    assert b"X-Key: canary-1" in server.requests[0]


def test_the_repr_of_a_request_and_an_answer_shows_no_content() -> None:
    request = Outgoing("POST", "https://x.example", "/canary-path", {"A": "canary-head"}, b"canary-body")
    assert "canary" not in repr(request)
    assert "canary" not in repr(Incoming(200, {"a": "canary"}, b"canary"))


@pytest.mark.parametrize(
    ("say", "reason"),
    [
        (raw(b""), "connection_lost"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Le"), "connection_lost"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"), "connection_lost"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}"), "connection_lost"),
        (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"), "connection_lost"),
        (raw(b"SSH-2.0-nonsense\r\n"), "connection_lost"),
        (answer(200, b"x" * 200_000), "too_large"),
        (answer(200, gzip.compress(b"0" * 50_000_000), "Content-Encoding: gzip"), "too_large"),
        (answer(200, zlib.compress(b"0" * 50_000_000), "Content-Encoding: deflate"), "too_large"),
        (answer(200, b"no gzip at all", "Content-Encoding: gzip"), "unrecognised_answer"),
    ],
)
def test_an_answer_that_is_not_complete_is_broken(say: Say, reason: str) -> None:
    with hostile(say) as server, pytest.raises(Broken) as caught:
        get(server.url, max_body=100_000)
    assert caught.value.reason == reason
    assert caught.value.__cause__ is None
    assert server.connections == 1  # R11: nothing repeats a request


@pytest.mark.parametrize(
    "say",
    [
        lambda connection, _: time.sleep(5),
        drip(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n", 0.05),
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"x", 0.05),
        drip(b"", b"H", 0.05),
    ],
)
def test_a_server_that_drips_cannot_hold_a_call(say: Say) -> None:
    with hostile(say) as server:
        began = time.monotonic()
        with pytest.raises(Broken) as caught:
            get(server.url, 0.6)
        assert time.monotonic() - began < 1.6
    assert caught.value.reason == "deadline"


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    with hostile(answer(200)) as other, hostile(answer(307, b"", f"Location: {other.url}/")) as server:
        assert get(server.url).status == 307
    assert other.connections == 0


def test_no_connection_is_not_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NotSent) as caught:
        get(f"http://127.0.0.1:{port}")
    assert caught.value.reason == "unreachable"


def test_the_environment_names_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with hostile(answer(500)) as proxy, hostile(answer(200)) as server:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert get(server.url).status == 200
    assert proxy.connections == 0


def test_cookies_are_not_sent_back_and_each_exchange_has_a_connection() -> None:
    with hostile(answer(200, b"{}", "Set-Cookie: a=canary-cookie")) as server:
        transport = Transport(Clock())
        for _ in range(2):
            transport.exchange(Outgoing("GET", server.url, "/", {}), 5)
    assert server.connections == 2
    assert b"ookie" not in server.requests[1]


def named(*addresses: str) -> Callable[..., list[Any]]:
    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        family = {4: socket.AF_INET, 6: socket.AF_INET6}
        return [(family[ipaddress.ip_address(one).version], 1, 6, "", (one, port)) for one in addresses]

    return resolve


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "169.254.1.1", "fe80::1", "100.100.100.200", "fd00:ec2::254", "0.0.0.0", "::"]
)
def test_a_name_for_a_metadata_address_is_refused_as_a_whole(address: str) -> None:
    with pytest.raises(NotSent) as caught:
        get("https://itsm.example", resolve=named("127.0.0.1", address))
    assert caught.value.reason == "address_refused"


@pytest.mark.parametrize("text", ["::ffff:169.254.169.254", "2002:a9fe:a9fe::1", "64:ff9b::a9fe:a9fe"])
def test_a_wrapped_address_is_unwrapped(text: str) -> None:
    assert is_refused(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", ["127.0.0.1", "::1", "10.0.0.1", "192.0.2.1", "2001:db8::1"])
def test_private_addresses_are_allowed(text: str) -> None:
    assert not is_refused(ipaddress.ip_address(text))


def test_it_connects_to_the_address_that_it_checked() -> None:
    with hostile(answer(200)) as server:
        calls: list[str] = []

        def resolve(host: str, port: int, **_: Any) -> list[Any]:
            calls.append(host)
            return named("127.0.0.1")(host, port)

        assert get(f"http://itsm.example:{server.port}", resolve=resolve).status == 200
    assert calls == ["itsm.example"]
    assert f"Host: itsm.example:{server.port}".encode() in server.requests[0]


def test_plain_http_to_another_machine_needs_the_flag() -> None:
    with pytest.raises(NotSent) as caught:
        get("http://itsm.example", resolve=named("192.0.2.1"))
    assert caught.value.reason == "plain_http"


def secured(tls: ServerTls, say: Say) -> Say:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.certificate, tls.key)

    def wrapped(connection: socket.socket, _: bytes) -> None:
        with context.wrap_socket(connection.dup(), server_side=True) as inner:
            whole(inner)
            say(inner, b"")

    return wrapped


def test_a_certificate_is_verified_and_the_ca_file_is_what_is_trusted(tmp_path: Path) -> None:
    tls = Authority(tmp_path).server(dns_names=("itsm.example",))
    with hostile(secured(tls, answer(200)), reads=False) as server:
        url = f"https://itsm.example:{server.port}"
        assert get(url, ca=tls.ca, resolve=named("127.0.0.1")).status == 200
        for host, ca in (("itsm.example", None), ("other.example", tls.ca)):
            with pytest.raises(NotSent) as caught:
                get(f"https://{host}:{server.port}", ca=ca, resolve=named("127.0.0.1"))
            assert caught.value.reason == "tls"


def test_a_tls_server_that_drips_cannot_hold_a_call(tmp_path: Path) -> None:
    tls = Authority(tmp_path).server()
    say = drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"x", 0.05)
    with hostile(secured(tls, say), reads=False) as server:
        began = time.monotonic()
        with pytest.raises(Broken) as caught:
            get(f"https://127.0.0.1:{server.port}", 0.8, ca=tls.ca)
        assert time.monotonic() - began < 1.8
    assert caught.value.reason == "deadline"


def test_tls_is_at_least_1_2_and_verified() -> None:
    context = Transport(Clock())._tls
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
