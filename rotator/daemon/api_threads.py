"""A small threaded HTTP server over a socket that listens already: bounded threads, one deadline a request.

Used by `api` (unix socket) and `health` (TCP). Every answer closes its connection: a thread is never held by a caller
who has nothing to ask. Must never wait for a slow caller longer than the deadline, nor queue callers without bound.
"""

from __future__ import annotations

import io
import json
import socket
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from typing import Any, Final

import structlog

from rotator.engine.ports import Clock

JSON: Final = "application/json"
_LOG = structlog.get_logger()


def rendered(document: Any) -> bytes:
    """A document as JSON, in ASCII: whatever text is in it can be sent. Raises TypeError if it is no document."""
    return json.dumps(document).encode() + b"\n"


class BoundedServer(socketserver.BaseServer):
    """Serves `listening` with at most `limit` threads; `answer_busy` is told of a caller too many."""

    def __init__(
        self, listening: socket.socket, handler: type[DeadlineHandler], clock: Clock, *, limit: int, seconds: float
    ) -> None:
        super().__init__(listening.getsockname(), handler)
        self.clock = clock
        self.limit = limit
        self.seconds = seconds
        self.stopping = threading.Event()
        self._listening = listening
        self._free = threading.BoundedSemaphore(limit)
        self._accepting: threading.Thread | None = None

    def start(self, name: str) -> None:
        """Accept in a thread of its own."""
        self._accepting = threading.Thread(target=self.serve_forever, args=(0.1,), name=name, daemon=True)
        self._accepting.start()

    def stop(self, patience: float) -> bool:
        """Accept nothing any more; wait for the answers in progress, so long. Whether all were given."""
        self.stopping.set()
        if self._accepting is not None:
            self.shutdown()
            self._accepting.join()
        until = self.clock.monotonic() + patience
        return all(self._free.acquire(timeout=max(0.0, until - self.clock.monotonic())) for _ in range(self.limit))

    def fileno(self) -> int:
        return self._listening.fileno()

    def get_request(self) -> tuple[socket.socket, Any]:
        return self._listening.accept()

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.answer_busy(request)
            self.shutdown_request(request)
            return
        try:
            threading.Thread(target=self._serve, args=(request, client_address), daemon=True).start()
        except RuntimeError:  # the system gives no thread
            self._free.release()
            self.answer_busy(request)
            self.shutdown_request(request)

    def _serve(self, request: socket.socket, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except OSError:  # the caller is gone, or was too slow: nobody is left to be told
            pass
        except Exception:  # the boundary of the thread: what passed would be printed with its text
            _LOG.exception("daemon.http.bug")
        finally:
            self.shutdown_request(request)
            self._free.release()

    def shutdown_request(self, request: Any) -> None:
        try:
            request.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        finally:
            request.close()

    def answer_busy(self, request: socket.socket) -> None:
        """Called on the accepting thread: must not block."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The standard one prints a traceback with whatever the exception says."""


class _Timed(io.RawIOBase):
    """Reads from a socket until one deadline for all reads together: a caller that drips is as late as a silent one."""

    def __init__(self, connection: socket.socket, clock: Clock, until: float) -> None:
        self._connection = connection
        self._clock = clock
        self._until = until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._until - self._clock.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


class DeadlineHandler(BaseHTTPRequestHandler):
    """One request a connection, JSON or text, an HTTP/1.1 server without what it does not need."""

    protocol_version = "HTTP/1.1"
    server_version = "rotator"
    sys_version = ""
    server: BoundedServer
    connection: socket.socket
    requestline = command = path = ""
    """Until a first line arrived."""

    def setup(self) -> None:
        until = self.server.clock.monotonic() + self.server.seconds
        self.connection = self.request
        self.connection.settimeout(self.server.seconds)
        self.rfile = io.BufferedReader(_Timed(self.connection, self.server.clock, until))
        self.wfile = io.BufferedWriter(socket.SocketIO(self.connection, "w"))

    def handle(self) -> None:
        self.close_connection = True
        try:
            self.handle_one_request()
        except TimeoutError:
            self.too_slow()

    def handle_one_request(self) -> None:
        """As the standard one, but a time-out of the first line is told too, and any method reaches `respond`."""
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline:
            return
        if len(self.raw_requestline) > 65536:
            self.requestline = self.request_version = self.command = ""
            self.send_error(414)
            return
        if not self.parse_request():
            return
        self.close_connection = True
        self.respond()
        self.wfile.flush()

    def respond(self) -> None:
        """Answer the request that was parsed."""
        raise NotImplementedError

    def too_slow(self) -> None:
        """The request did not arrive in time."""

    def send(self, status: int, body: bytes, kind: str) -> None:
        """One whole answer, with a status line also where the request had no version."""
        self.request_version = self.protocol_version
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """The standard one prints the request line."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """The standard one prints the request line."""
