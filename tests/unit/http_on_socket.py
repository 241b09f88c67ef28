"""One HTTP request over a unix socket, by hand: the tests' own client, so that the product's is not its own witness."""

from __future__ import annotations

import contextlib
import json
import socket
from pathlib import Path
from typing import Any


def raw(path: Path, request: bytes, timeout: float = 10) -> bytes:
    """Send these bytes, read to the end."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout)
        connection.connect(str(path))
        with contextlib.suppress(BrokenPipeError):  # answered before it read all
            connection.sendall(request)
        parts = []
        with contextlib.suppress(ConnectionResetError):
            while part := connection.recv(65536):
                parts.append(part)
    return b"".join(parts)


def parse(answer: bytes) -> tuple[int, Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), json.loads(body)


def call(
    path: Path, method: str, target: str, body: Any = None, *, text: bytes | None = None, headers: str = ""
) -> tuple[int, Any]:
    """Status and document."""
    content = text if text is not None else b"" if body is None else json.dumps(body).encode()
    kind = "Content-Type: application/json\r\n" if content else ""
    head = f"{method} {target} HTTP/1.1\r\nHost: x\r\n{kind}Content-Length: {len(content)}\r\n{headers}\r\n"
    return parse(raw(path, head.encode() + content))
