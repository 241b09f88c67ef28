"""Reads HTTP/1 messages off a socket as the bytes they are, so that the fault proxy can pass them on unchanged.

Called by `tests.lab.proxy` only. It understands just enough to find where a message ends: Content-Length, chunked,
end of stream, and answers that have no body. It must never change a byte that it was not asked to.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass, field

_MOST = 64 * 1024 * 1024


class Broken(OSError):
    """The peer stopped in the middle of a message, or what it sent is not HTTP/1."""


class Stream:
    """A socket with a buffer in front of it."""

    def __init__(self, sock: socket.socket) -> None:
        """`sock` stays the caller's to close."""
        self.sock = sock
        self._buffer = bytearray()

    def _more(self) -> bool:
        data = self.sock.recv(65536)
        self._buffer += data
        if len(self._buffer) > _MOST:
            raise Broken("message too large")
        return bool(data)

    def through(self, mark: bytes) -> bytes:
        """Return the bytes up to and including `mark`; b"" if the stream ends before its first byte."""
        while (at := self._buffer.find(mark)) < 0:
            if not self._more():
                if self._buffer:
                    raise Broken("end of stream within a message")
                return b""
        return self._take(at + len(mark))

    def exactly(self, count: int) -> bytes:
        """Return the next `count` bytes."""
        while len(self._buffer) < count:
            if not self._more():
                raise Broken("end of stream within a message")
        return self._take(count)

    def rest(self) -> bytes:
        """Return everything up to the end of the stream."""
        while self._more():
            pass
        return self._take(len(self._buffer))

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken


@dataclass(frozen=True, slots=True)
class Message:
    """A request or an answer: the head with its empty line, and the body as it came (chunks with their frames)."""

    head: bytes = field(repr=False)
    body: bytes = field(repr=False)
    first: tuple[str, str, str]
    """The three words of the first line."""
    to_the_end: bool = False
    """The body ended with the stream."""

    def header(self, name: str) -> str:
        """Return a header's value in lower case, "" if it is absent."""
        return _header(self.head, name)

    @property
    def keeps_alive(self) -> bool:
        """Whether the connection lives on after this message."""
        version = next(word for word in self.first if word.startswith("HTTP/"))
        wish = self.header("connection")
        return not self.to_the_end and "close" not in wish and (version == "HTTP/1.1" or "keep-alive" in wish)

    def with_host(self, host: str) -> Message:
        """Return the message with another Host."""
        head = re.sub(rb"(?im)^host:[^\r\n]*", b"Host: " + host.encode("latin-1"), self.head, count=1)
        return Message(head, self.body, self.first, self.to_the_end)

    def to_bytes(self) -> bytes:
        """Return it as it goes over the wire."""
        return self.head + self.body


def _header(head: bytes, name: str) -> str:
    found = re.search(rb"(?im)^" + re.escape(name.encode()) + rb":[ \t]*([^\r\n]*)", head)
    return found.group(1).decode("latin-1").strip().lower() if found else ""


def _first_line(head: bytes) -> tuple[str, str, str]:
    words = head.partition(b"\r\n")[0].decode("latin-1").split(" ", 2)
    words += [""] * (3 - len(words))
    if not any(word.startswith("HTTP/1.") for word in words):
        raise Broken("not an HTTP/1 message")
    return words[0], words[1], words[2]


def _framed_body(stream: Stream, head: bytes) -> bytes | None:
    """Return a body whose end the head tells; None if it does not."""
    if "chunked" in _header(head, "transfer-encoding"):
        return _chunks(stream)
    length = _header(head, "content-length")
    if not length:
        return None
    if not length.isdigit():
        raise Broken("Content-Length is not a number")
    return stream.exactly(int(length))


def _chunks(stream: Stream) -> bytes:
    parts: list[bytes] = []
    while True:
        line = stream.through(b"\r\n")
        parts.append(line)
        try:
            size = int(line.partition(b";")[0], 16)
        except ValueError:
            raise Broken("a chunk without a size") from None
        if size:
            parts.append(stream.exactly(size + 2))
            continue
        while (trailer := stream.through(b"\r\n")) not in {b"\r\n", b""}:
            parts.append(trailer)
        return b"".join([*parts, b"\r\n"])


def read_request(stream: Stream) -> Message | None:
    """Return the next request, whole; None if the client has closed instead. A 100-continue is given by ourselves."""
    head = stream.through(b"\r\n\r\n")
    if not head:
        return None
    first = _first_line(head)
    if _header(head, "expect") == "100-continue":
        head = re.sub(rb"(?im)^expect:[^\r\n]*\r\n", b"", head, count=1)
        stream.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    return Message(head, _framed_body(stream, head) or b"", first)


def read_answer(stream: Stream, method: str) -> Message:
    """Return the answer to a request of `method`, whole, leaving out interim ones (1xx)."""
    while True:
        head = stream.through(b"\r\n\r\n")
        if not head:
            raise Broken("no answer")
        first = _first_line(head)
        if not first[1].startswith("1"):
            break
    if method == "HEAD" or first[1] in {"204", "304"}:
        return Message(head, b"", first)
    body = _framed_body(stream, head)
    if body is None:
        return Message(head, stream.rest(), first, to_the_end=True)
    return Message(head, body, first)
