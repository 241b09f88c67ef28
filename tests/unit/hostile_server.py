"""A tiny HTTP server that says exactly the bytes that a test wants, and remembers what it was sent.

For the transport and host tests; loopback only, ends with the test.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Say = Callable[[socket.socket, bytes], None]


@dataclass
class Hostile:
    """`say` is called with the connection and the bytes of the request, for each connection."""

    say: Say
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def answer(status: int, body: bytes = b"{}", *headers: str, kind: str = "application/json") -> Say:
    """A proper answer."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", f"Content-Type: {kind}", *headers, "", ""]
    return lambda connection, _: connection.sendall("\r\n".join(lines).encode() + body)


def raw(data: bytes) -> Say:
    """These bytes, then the end."""
    return lambda connection, _: connection.sendall(data)


def drip(head: bytes, piece: bytes, pause_s: float) -> Say:
    """A byte now and then, for ever."""

    def say(connection: socket.socket, _: bytes) -> None:
        connection.sendall(head)
        for _ in range(200):
            time.sleep(pause_s)
            connection.sendall(piece)

    return say


@contextlib.contextmanager
def hostile(say: Say, *, reads: bool = True) -> Iterator[Hostile]:
    """Run one on a free port of the loopback; with `reads` off, `say` reads the request itself."""
    server = Hostile(say)
    listener = socket.create_server(("127.0.0.1", 0))
    server.port = listener.getsockname()[1]

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            server.connections += 1
            threading.Thread(target=talk, args=(connection,), daemon=True).start()

    def talk(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(10)
            request = whole(connection) if reads else b""
            server.requests.append(request)
            server.say(connection, request)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(2)


def whole(connection: socket.socket) -> bytes:
    """A request with the body that its Content-Length promises."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return data
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
    length = int(lengths[0].split(b":")[1]) if lengths else 0
    while len(body) < length:
        piece = connection.recv(65536)
        if not piece:
            break
        body += piece
    return head + b"\r\n\r\n" + body
