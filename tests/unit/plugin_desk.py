"""What the plugin tests call a plugin with: an endpoint without a host, and a proxy that spoils one exchange.

Used by `test_plugin_postgresql*` and `test_plugin_file*`. Imports the public plugin API only.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from rotator.plugin_api import Actor, Generation, HttpRequest, Response, Secret, Subject


@dataclass
class Desk:
    """An `Endpoint` for one call after another; `seconds` is the deadline of each."""

    config: Any
    actor: Actor
    seconds: float = 10.0
    closing: ExitStack = field(default_factory=ExitStack)
    moment: datetime = field(default_factory=lambda: datetime.now(UTC))
    ends: float = 0.0

    def __call__(self, ability: Callable[..., Any] | None, request: Any) -> Any:
        """Makes one call as the host does: with a deadline, and everything closed after it."""
        assert ability is not None
        self.ends = time.monotonic() + self.seconds
        with ExitStack() as self.closing:
            return ability(self, request)

    def send(self, request: HttpRequest) -> Response:
        raise AssertionError("this plugin has no HTTP")

    def token(self, mint: Callable[[], tuple[Secret, timedelta]]) -> Secret:
        raise AssertionError("this plugin has no tokens")

    def hold(self, secret: Secret) -> Secret:
        return secret

    def now(self) -> datetime:
        return self.moment

    def remaining(self) -> float:
        return self.ends - time.monotonic()


def acting(principal: str, value: str) -> Actor:
    return Actor(is_self=False, generation=Generation(subject=Subject(principal=principal)), value=Secret(value))


@dataclass
class Spoil:
    """What happens to the first client message that contains `marker`.

    `forward`: it still reaches the server, whose answer is then lost. `reply`: made-up bytes in place of an answer.
    `hang`: the connection stays open and silent instead of being cut.
    """

    marker: bytes
    forward: bool = False
    reply: bytes = b""
    hang: bool = False


class Proxy:
    """A TCP proxy on 127.0.0.1 in front of `target`, with at most one rule. `seen`: all that clients sent."""

    def __init__(self, target: int, spoil: Spoil | None = None) -> None:
        self.target, self.spoil, self.seen = target, spoil, b""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.done = threading.Event()
        self.threads: list[threading.Thread] = []
        self._start(self._accept)

    def _start(self, work: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=work, args=args)
        self.threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        self.listener.settimeout(0.05)
        while not self.done.is_set():
            with contextlib.suppress(TimeoutError):
                client, _ = self.listener.accept()
                self._start(self._serve, client)
        self.listener.close()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self.target)) as server, contextlib.suppress(OSError):
            self._exchange(client, server)

    def _exchange(self, client: socket.socket, server: socket.socket) -> None:
        for end in (client, server):
            end.settimeout(0.01)
        while not self.done.is_set():
            with contextlib.suppress(TimeoutError):
                sent = client.recv(65536)
                if not sent:
                    return
                self.seen += sent
                if self.spoil and self.spoil.marker in sent:
                    self._spoiled(self.spoil, sent, client, server)
                    return
                server.sendall(sent)
            with contextlib.suppress(TimeoutError):
                answer = server.recv(65536)
                if not answer:
                    return
                client.sendall(answer)

    def _spoiled(self, spoil: Spoil, sent: bytes, client: socket.socket, server: socket.socket) -> None:
        if spoil.forward:
            server.settimeout(10)
            server.sendall(sent)
            assert server.recv(65536)  # the server acted and said so; nobody hears it
        client.sendall(spoil.reply)
        if spoil.reply or spoil.hang:
            self.done.wait(20 if spoil.hang else 0.3)


@contextlib.contextmanager
def proxied(target: int, spoil: Spoil | None = None) -> Iterator[Proxy]:
    proxy = Proxy(target, spoil)
    try:
        yield proxy
    finally:
        proxy.done.set()
        for thread in list(proxy.threads):
            thread.join(5)
