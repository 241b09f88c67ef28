"""One HTTP exchange with a platform, and nothing kept of it: the only way by which a plugin reaches the network.

Called by `effects.host` for every request of a plugin. Each exchange has a connection of its own: a kept one may be
closed by the server just as a write goes out, and a probe on it would prove less. It never follows a redirect, keeps a
cookie, asks the environment for a proxy, repeats a request, or talks to an address other than the one it checked.
What goes wrong is told as `NotSent` or `Broken`, with a slug; texts of the library are cut off, they may hold a URL.
"""

from __future__ import annotations

import http.client
import ipaddress
import logging
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import DecodeError, HTTPError
from urllib3.response import BaseHTTPResponse

from .transport_address import AddressRefused, Resolve, resolved
from .transport_socket import Deadline, dialled, trusting

MAX_BODY: Final = 4 * 1024 * 1024
_PIECE: Final = 64 * 1024
_BODILESS: Final = frozenset({204, 304})

# It logs headers that it cannot parse, with the URL and what the server said.
logging.getLogger("urllib3.connection").disabled = True


class Clock(Protocol):
    """Seconds of a clock that never goes back."""

    def monotonic(self) -> float: ...


class TransportFault(Exception):
    """An exchange without a usable answer. `reason` is a reserved slug of the plugin API."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotSent(TransportFault):
    """Nothing of the request left: not resolved, not allowed, not connected, not trusted."""


class Broken(TransportFault):
    """The request may have left, and no complete answer came back."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A rendered request. `url` is https://host[:port] without a path; `target` is path and query, encoded. Secrets are
    inside: it lives for one call, and its repr shows the method only."""

    method: str
    url: str = field(repr=False)
    target: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Incoming:
    """A complete answer: status, headers (names in lower case, the first of each; of `set-cookie` all, a line each),
    decoded body."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class Transport:
    """How one endpoint is reached. `ca`: file of the authorities to trust instead of the system's. `insecure` allows
    plain http; loopback may have it always. There is no switch for unverified certificates."""

    def __init__(
        self,
        clock: Clock,
        *,
        ca: Path | None = None,
        insecure: bool = False,
        max_body: int = MAX_BODY,
        resolve: Resolve = socket.getaddrinfo,
    ) -> None:
        self._clock = clock
        self._insecure = insecure
        self._max_body = max_body
        self._resolve = resolve
        self._tls = trusting(ca)

    def exchange(self, request: Outgoing, seconds: float) -> Incoming:
        """Send once and read the whole answer within `seconds`. Raises NotSent or Broken."""
        deadline = Deadline(self._clock.monotonic, self._clock.monotonic() + seconds)
        connection = self._connect(request.url, deadline)
        try:
            return self._converse(connection, request, deadline)
        except TransportFault:
            raise
        except (HTTPError, http.client.HTTPException, OSError, ValueError):
            # ValueError: http.client's objections to a header quote it. Everything is cut: texts may quote the request.
            raise Broken("deadline" if deadline.left() <= 0 else "connection_lost") from None
        finally:
            connection.close()

    def _connect(self, url: str, deadline: Deadline) -> HTTPConnection:
        parsed = urllib3.util.parse_url(url)
        host, secure = parsed.host or "", parsed.scheme == "https"
        if not host or parsed.scheme not in {"http", "https"}:
            raise NotSent("route_refused")
        host = host.strip("[]")
        port = parsed.port or (443 if secure else 80)
        try:
            addresses = resolved(host, port, deadline, self._resolve)
        except AddressRefused:
            raise NotSent("address_refused") from None
        except (OSError, UnicodeError):
            raise NotSent("unreachable") from None
        if not secure and not self._insecure and not all(ipaddress.ip_address(one[0]).is_loopback for one in addresses):
            raise NotSent("plain_http")
        dial = lambda: dialled(addresses, deadline)  # noqa: E731 - the connection classes call it once
        connection = _Tls(host, port, dial, self._tls) if secure else _Plain(host, port, dial)
        try:
            connection.connect()
        except ssl.SSLCertVerificationError:
            connection.close()
            raise NotSent("tls") from None
        except (HTTPError, OSError) as error:
            connection.close()
            raise NotSent("tls" if _distrusted(error) else "unreachable") from None
        return connection

    def _converse(self, connection: HTTPConnection, request: Outgoing, deadline: Deadline) -> Incoming:
        headers = {"Accept-Encoding": "identity", "Connection": "close", **request.headers}
        connection.request(
            request.method,
            request.target,
            body=request.body,
            headers={name: value.encode() for name, value in headers.items()},  # type: ignore[misc]
            preload_content=False,
            decode_content=True,
            enforce_content_length=True,
        )
        answer = connection.getresponse()
        body = self._read(answer, deadline)
        seen: dict[str, str] = {}
        for name, value in answer.headers.items():
            key = name.lower()
            if key in seen and key == "set-cookie":
                seen[key] += f"\n{value}"  # what stands before the platform sets cookies too, often first
            seen.setdefault(key, value)
        if not body and answer.status not in _BODILESS and not {"content-length", "transfer-encoding"} & set(seen):
            # http.client takes a connection that ends among the headers for a complete answer without a body.
            raise Broken("connection_lost")
        return Incoming(answer.status, seen, body)

    def _read(self, answer: BaseHTTPResponse, deadline: Deadline) -> bytes:
        body = bytearray()
        while True:
            if deadline.left() <= 0:
                raise Broken("deadline")
            try:
                piece = answer.read(_PIECE, decode_content=True)
            except DecodeError:
                raise Broken("unrecognised_answer") from None
            if not piece:
                return bytes(body)
            body += piece
            # Both sides of the decompression are bounded: a bomb is small on the wire, its reverse is small unpacked.
            if len(body) > self._max_body or answer.tell() > self._max_body:
                raise Broken("too_large")


class _Plain(HTTPConnection):
    """A connection to addresses that were checked before."""

    def __init__(self, host: str, port: int, dial: Callable[[], socket.socket]) -> None:
        super().__init__(host, port)
        self._dial = dial

    def _new_conn(self) -> socket.socket:
        return self._dial()


class _Tls(HTTPSConnection):
    """The same with TLS; the certificate is verified for the name, not for the address."""

    def __init__(self, host: str, port: int, dial: Callable[[], socket.socket], context: ssl.SSLContext) -> None:
        super().__init__(host, port, ssl_context=context)
        self._dial = dial

    def _new_conn(self) -> socket.socket:
        return self._dial()


def _distrusted(error: BaseException) -> bool:
    seen: Any = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError | ssl.CertificateError):
            return True
        arguments = [one for one in getattr(seen, "args", ()) if isinstance(one, ssl.SSLCertVerificationError)]
        if arguments:
            return True
        seen = seen.__cause__ or seen.__context__
    return False
