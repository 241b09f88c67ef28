"""One HTTP exchange with a test server, on the standard library: no pool, no retry, no redirect, no proxy variable.

Called by the server classes and by tests that look at a server behind our back. It must never retry: a test counts
what reaches the server.
"""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: status, headers in lower case, body as it came. Neither headers nor body are in its repr."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """Return the body read as JSON; None if it is empty."""
        return json.loads(self.body) if self.body else None


def call(
    method: str,
    url: str,
    body: Mapping[str, Any] | bytes | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    ca: Path | None = None,
    timeout_s: float = 10.0,
) -> Reply:
    """Send one request over a connection of its own and return the answer, whatever its status.

    A mapping is sent as JSON. `ca`: the certificate bundle that an https server must be signed by. Network trouble is
    OSError or http.client.HTTPException.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "127.0.0.1", parts.port
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=None if ca is None else str(ca))
        connection = http.client.HTTPSConnection(host, port, timeout=timeout_s, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    sent = dict(headers or {})
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    if data is not None and not any(name.lower() == "content-type" for name in sent):
        sent["Content-Type"] = "application/json"
    try:
        connection.request(method, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), data, sent)
        answer = connection.getresponse()
        return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()
