"""HTTP over the daemon's unix socket: the lab asks often, and a command line each time would cost too much.

It speaks the local API as `docs/api.md` describes it and imports no room of ours.
"""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Any


class _Local(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask(socket_path: Path, method: str, target: str, body: Any = None, timeout_s: float = 60.0) -> tuple[int, Any]:
    """Status and JSON of one request. OSError or http.client.HTTPException if the daemon is not there or dies."""
    connection = _Local(socket_path, timeout_s)
    try:
        content = None if body is None else json.dumps(body)
        headers = {} if content is None else {"Content-Type": "application/json"}
        connection.request(method, target, content, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")
    finally:
        connection.close()
