"""What a store really sends: a proxy that keeps every request with its headers, and a server that answers all alike.

Used where the headers matter (tokens, namespace) or the server is exchanged under a running store; faults are made with
the lab's proxy. HTTP/1.1 on loopback, one thread a connection.
"""

from __future__ import annotations

import http.client
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Seen:
    """One request that arrived: what a recording needs, values included (the values are test values)."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = field(repr=False)


class RecordingProxy:
    """`url` in place of the server's; `seen` is what arrived."""

    def __init__(self, upstream: str) -> None:
        proxy = self
        self.seen: list[Seen] = []
        self._lock = threading.Lock()
        self.reroute(upstream)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def exchange(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                with proxy._lock:
                    proxy.seen.append(Seen(self.command, self.path, dict(self.headers.items()), body))
                connection = http.client.HTTPConnection(proxy._target[0], proxy._target[1], timeout=30)
                try:
                    connection.request(self.command, self.path, body, dict(self.headers.items()))
                    answer = connection.getresponse()
                    data, status, headers = answer.read(), answer.status, answer.getheaders()
                finally:
                    connection.close()
                self._answer(status, headers, data)

            def _answer(self, status: int, headers: list[tuple[str, str]], data: bytes) -> None:
                self.send_response(status)
                for name, value in headers:
                    if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

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

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


class Recorder:
    """A server that answers every request alike and keeps what it got."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes = b"", *, health: bytes = b"") -> None:
        recorder = self
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                recorder.requests.append((self.command, self.path, dict(self.headers.items()), data))
                well = health if self.path.endswith("/sys/health") else b""
                self.send_response(429 if well else status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(well or body)))
                self.end_headers()
                self.wfile.write(well or body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Quiet."""

            do_GET = do_POST = do_PUT = do_DELETE = do_LIST = answer  # noqa: N815

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> Recorder:
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
