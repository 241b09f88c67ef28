"""How the SDK's requests are sent: by the transport of everything else of ours, in place of the SDK's own.

Registered by `aws_login` with the session of a store, for Secrets Manager and STS alike. So one deadline holds over
name look-up, connection, request and answer, redirects end here, addresses are checked, no proxy is asked for, and it
is known whether a request ever left. What the SDK asks on the machine itself (the instance's or container's own
service) it still sends by itself.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from botocore.awsrequest import AWSResponse

from rotator.effects.transport import NotSent, Outgoing, Transport


class Wire:
    """The sender of one store, shared by its threads; each thread says how long its next requests may take."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._of = threading.local()

    def allow(self, seconds: float) -> None:
        """What this thread sends from now on ends within this time, each request for itself."""
        self._of.seconds = seconds

    def send(self, request: Any, **_: Any) -> AWSResponse:
        """The SDK's `before-send`: send a prepared, signed request. Raises NotSent and Broken of the transport."""
        seconds = getattr(self._of, "seconds", 0.0)
        if seconds <= 0:
            raise NotSent("deadline")
        parts = urlsplit(request.url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {str(name): _text(value) for name, value in request.headers.items()}
        body = request.body.encode() if isinstance(request.body, str) else request.body
        answer = self._transport.exchange(
            Outgoing(request.method, f"{parts.scheme}://{parts.netloc}", target, headers, body), seconds
        )
        return AWSResponse(request.url, answer.status, dict(answer.headers), _Body(answer.body))


class _Body:
    """A complete answer in the form that the SDK reads."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        """The whole of it."""
        yield self._body


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
