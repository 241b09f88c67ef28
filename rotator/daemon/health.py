"""The second port: `/livez`, `/readyz` and `/metrics` for supervisors and Prometheus, over TCP.

Started by the bootstrap on the configured address. Alive is only whether our own threads are; a vault or platform that
is down makes the daemon neither dead nor unready; an incident at a store makes it unready. Must never answer anything
of a credential but what metrics count.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

import structlog

from rotator.engine.ports import Clock
from rotator.engine.requests import Requests

from .api_threads import BoundedServer, DeadlineHandler

_LOG = structlog.get_logger()
_METRICS = "text/plain; version=0.0.4; charset=utf-8"
_TEXT = "text/plain; charset=utf-8"


class PortRefused(Exception):
    """The health port cannot be listened on; the message says which and why."""

    code = "ROT-PORT"


class HealthServer:
    """Health and metrics on `host:port` (port 0: a free one, see `address`). `alive`: whether ticks still come;
    `unready`: what a person must see to first, in words ("": nothing).

    `start` raises PortRefused when the address cannot be had.
    """

    def __init__(
        self,
        host: str,
        port: int,
        requests: Requests,
        clock: Clock,
        *,
        alive: Callable[[], bool],
        unready: Callable[[], str] = lambda: "",
        limit: int = 8,
        seconds: float = 5.0,
    ) -> None:
        self._wanted = (host, port)
        self._requests = requests
        self._clock = clock
        self._alive = alive
        self._unready = unready
        self._limit = limit
        self._seconds = seconds
        self._socket: socket.socket | None = None
        self._server: _Server | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that it listens on; those wanted before it does."""
        if self._socket is None:
            return self._wanted
        host, port = self._socket.getsockname()[:2]
        return str(host), int(port)

    def start(self) -> None:
        """Listen and answer from now on."""
        family = socket.AF_INET6 if ":" in self._wanted[0] else socket.AF_INET
        try:
            self._socket = socket.create_server(self._wanted, family=family, backlog=16)
        except OSError as error:
            where = ":".join(str(part) for part in self._wanted)
            raise PortRefused(f"cannot listen on {where}: {os.strerror(error.errno or 0)}") from None
        self._server = _Server(self._socket, _Handler, self._clock, limit=self._limit, seconds=self._seconds)
        self._server.requests = self._requests
        self._server.alive = self._alive
        self._server.unready = self._unready
        self._server.start("health")
        host, port = self.address
        _LOG.info("daemon.health.listening", address=host, port=port)

    def stop(self, patience: float = 1.0) -> None:
        """Answer nothing any more."""
        if self._server is not None:
            self._server.stop(patience)
        if self._socket is not None:
            self._socket.close()


class _Server(BoundedServer):
    requests: Requests
    alive: Callable[[], bool]
    unready: Callable[[], str]


class _Handler(DeadlineHandler):
    server: _Server

    def respond(self) -> None:
        if self.command not in {"GET", "HEAD"}:
            self.send_error(405)
            return
        path = self.path.partition("?")[0]
        try:
            status, text, kind = self._answer(path)
        except Exception:  # the boundary: a bug makes it unwell, and says nothing more here
            _LOG.exception("daemon.health.failed", route=path if path in {"/livez", "/readyz", "/metrics"} else "")
            status, text, kind = 500, "internal\n", _TEXT
        self.send(status, text.encode(), kind)

    def _answer(self, path: str) -> tuple[int, str, str]:
        match path:
            case "/livez":
                alive = self.server.alive()
                return (200, "ok\n", _TEXT) if alive else (503, "ticker_dead\n", _TEXT)
            case "/readyz":
                ready, reason = self.server.requests.ready()
                reason = self.server.unready() if ready else reason or "not_ready"
                return (503, f"{reason}\n", _TEXT) if reason else (200, "ok\n", _TEXT)
            case "/metrics":
                return 200, self.server.requests.metrics(), _METRICS
            case _:
                return 404, "/livez, /readyz, /metrics\n", _TEXT

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        self.close_connection = True
        self.send(code, b"not understood\n", _TEXT)
