"""A proxy between a store and its server that counts exchanges and breaks the one it is told to.

Used by the tests of lost answers and of what is really sent. It speaks HTTP/1.1 on loopback, one thread a connection.
"""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

FAULTS = ("answer_lost", "request_lost", "half_answer", "not_json", "reset", "gateway")


@dataclass(frozen=True, slots=True)
class Seen:
    """One request that arrived: what a recording needs, values included (the values are test values)."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = field(repr=False)


class FaultProxy:
    """`url` in place of the server's; `fault` is given the number (from 0) and the request, and names a fault or ""."""

    def __init__(self, upstream: str) -> None:
        proxy = self
        self.seen: list[Seen] = []
        self.fault: Callable[[int, Seen], str] = lambda number, seen: ""
        self._lock = threading.Lock()
        self.reroute(upstream)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def exchange(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                seen = Seen(self.command, self.path, dict(self.headers.items()), body)
                with proxy._lock:
                    number = len(proxy.seen)
                    proxy.seen.append(seen)
                    fault = proxy.fault(number, seen)
                if fault == "request_lost":
                    self._cut()
                    return
                connection = http.client.HTTPConnection(*proxy._target, timeout=30)
                try:
                    connection.request(self.command, self.path, body, dict(self.headers.items()))
                    answer = connection.getresponse()
                    data, status, headers = answer.read(), answer.status, answer.getheaders()
                finally:
                    connection.close()
                self._answer(fault, status, headers, data)

            def _answer(self, fault: str, status: int, headers: list[tuple[str, str]], data: bytes) -> None:
                if fault == "answer_lost":
                    self._cut()
                    return
                if fault == "reset":
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    self._cut()
                    return
                if fault == "gateway":
                    status, data = 502, b"<html>bad gateway</html>"
                if fault == "not_json":
                    status, data = 200, data[: len(data) // 2]
                self.send_response(status)
                for name, value in headers:
                    if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if fault == "half_answer":
                    self.wfile.write(data[: len(data) // 2])
                    self._cut()
                    return
                self.wfile.write(data)

            def _cut(self) -> None:
                self.close_connection = True
                self.wfile.flush()
                if not self.connection.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER):
                    self.connection.shutdown(socket.SHUT_RDWR)
                self.connection.close()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Quiet."""

            do_GET = do_POST = do_PUT = do_DELETE = do_LIST = do_PATCH = exchange  # noqa: N815

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                """A cut connection is what this is for."""

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """The proxy's address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def reroute(self, upstream: str) -> None:
        """Send what comes from now on to this server."""
        target = urlsplit(upstream)
        assert target.scheme == "http"
        self._target = (str(target.hostname), target.port or 80)

    def once(self, number: int, fault: str) -> None:
        """Forget what was seen; break the exchange with this number, counted from now."""
        self.seen.clear()
        self.fault = lambda at, seen: fault if at == number else ""

    def never(self) -> None:
        """Forget what was seen and break nothing."""
        self.seen.clear()
        self.fault = lambda at, seen: ""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
