"""The local API: JSON over HTTP/1.1 on a unix socket, in front of an implementation of `engine.requests.Requests`.

Started by the bootstrap, spoken to by the command line. The actor of every act is the peer's uid as the kernel tells
it, never a word of the request. Only the daemon's own uid and root may speak, and the uids that are configured. Must
never let an exception's text out: a bug answers ROT-INTERNAL with the id of the report in the log.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import structlog

from rotator.engine.ports import Clock
from rotator.engine.requests import Caller, Json, RequestRefused, Requests

from .api_bodies import Fields, bad, parse_body
from .api_routes import EVENTS_ROUTE, Ask, Found, find_route, query_fields
from .api_socket import LocalSocket, Peer, SocketRefused, peer_of
from .api_threads import BoundedServer, DeadlineHandler
from .clock import new_id

__all__ = ["ApiServer", "Peer", "SocketRefused"]

SCHEMA_VERSION: Final = 1
LARGEST_BODY: Final = 1 << 20
_SLICE: Final = 1.0
_LOG = structlog.get_logger()

_STATUS_BY_EXIT: Final = {2: 400, 3: 422, 4: 403, 5: 404, 6: 409, 7: 423, 11: 409, 12: 409, 13: 503}
_STATUS_BY_CODE: Final = {
    "ROT-BAD-METHOD": 405,
    "ROT-TOO-LARGE": 413,
    "ROT-TOO-SLOW": 408,
    "ROT-BUSY": 503,
}


def error_document(refused: RequestRefused) -> dict[str, Any]:
    """A refusal as every client sees it."""
    return {
        "schema_version": SCHEMA_VERSION,
        "error": {
            "code": refused.code,
            "message": refused.message,
            "hint": refused.hint,
            "exit": refused.exit,
            "run": refused.run,
            "docs": f"docs/runbook.md#{refused.code.lower()}",
        },
    }


class ApiServer:
    """The API on `path`. `start` listens (raises SocketRefused), `stop` ends; both once.

    `others`: further uids that may speak. `limit`: threads; half of them at most wait for events. `seconds`: for a
    request to arrive. `peer`: how the other end is known; a parameter for tests alone.
    """

    def __init__(
        self,
        path: Path,
        requests: Requests,
        clock: Clock,
        *,
        others: Collection[int] = (),
        limit: int = 32,
        seconds: float = 10.0,
        peer: Callable[[socket.socket], Peer] = peer_of,
    ) -> None:
        self._path = path
        self._requests = requests
        self._clock = clock
        self._others = frozenset(others)
        self._limit = limit
        self._seconds = seconds
        self._peer = peer
        self._socket: LocalSocket | None = None
        self._server: _Server | None = None

    def start(self) -> None:
        """Listen and answer from now on."""
        self._socket = LocalSocket(self._path, others=self._others)
        self._server = _Server(self._socket.socket, _Handler, self._clock, limit=self._limit, seconds=self._seconds)
        self._server.requests = self._requests
        self._server.may_speak = self._others | {0, os.geteuid()}
        self._server.peer = self._peer
        self._server.start("api")
        _LOG.info("daemon.api.listening", path=str(self._path), mode=f"{self._socket.mode:04o}")

    def stop(self, patience: float = 5.0) -> bool:
        """Accept nothing more, end waits for events, wait for the other answers. Whether all were given."""
        waited = self._server is None or self._server.stop(patience)
        if self._socket is not None:
            self._socket.close()
        _LOG.info("daemon.api.stopped", waited=waited)
        return waited


class _Server(BoundedServer):
    requests: Requests
    may_speak: frozenset[int]
    peer: Callable[[socket.socket], Peer]
    waiting: int = 0

    def answer_busy(self, request: socket.socket) -> None:
        _LOG.warning("daemon.api.busy", limit=self.limit)
        request.setblocking(False)
        body = b'{"schema_version": 1, "error": {"code": "ROT-BUSY", "message": "the daemon answers too many at once", '
        body += b'"hint": "again in a moment", "exit": 13, "run": "", "docs": "docs/runbook.md#rot-busy"}}\n'
        head = f"HTTP/1.1 503 Busy\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        try:
            request.send(head.encode() + b"Connection: close\r\n\r\n" + body)
        except OSError:  # gone, or not reading: it is closed next
            return


class _Handler(DeadlineHandler):
    server: _Server

    def respond(self) -> None:
        began = self.server.clock.monotonic()
        route, status, refused = "", 200, None
        peer = self.server.peer(self.connection)
        try:
            self._check(peer)
            found, query = self._route()
            route = found.route
            body = Fields(self._body(), "body")
            document = self._call(found, Ask(Caller(peer.actor), found.path, query, body))
            answer: dict[str, Any] = {"schema_version": SCHEMA_VERSION, **document}
        except RequestRefused as error:
            refused, answer = error, error_document(error)
            status = _STATUS_BY_CODE.get(error.code) or _STATUS_BY_EXIT.get(error.exit, 400)
        except OSError:
            if not isinstance(self.server.stopping, object):  # pragma: no cover
                raise
            raise
        except Exception:  # the boundary: a bug is told by its report only
            report = new_id()
            _LOG.exception("daemon.api.internal", method=self.command, route=route, report=report, actor=peer.actor)
            message = f"a bug in the daemon; its log has more under report {report}"
            answer, status = error_document(RequestRefused("ROT-INTERNAL", message, exit=1)), 500
        self._log(route, status, refused, peer, round((self.server.clock.monotonic() - began) * 1000, 1))
        self.send_json(status, answer)
