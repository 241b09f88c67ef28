"""The local API: JSON over HTTP/1.1 on a unix socket, in front of an implementation of `engine.requests.Requests`.

Started by the bootstrap, spoken to by the command line. The actor of every act is the peer's uid as the kernel tells
it, never a word of the request. Only the daemon's own uid and root may speak, and the uids that are configured. Must
never let an exception's text out: a bug answers ROT-INTERNAL with the id of the report in the log.
"""

from __future__ import annotations

import os
import select
import socket
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import structlog

from rotator.engine.ports import Clock
from rotator.engine.requests import Caller, Json, RequestRefused, Requests
from rotator.settings.problems import ConfigurationRefused

from .api_bodies import Fields, bad, parse_body
from .api_routes import EVENTS_ROUTE, LONGEST_WAIT, Ask, Found, find_route, query_fields
from .api_socket import LocalSocket, Peer, SocketRefused, peer_of
from .api_threads import JSON, BoundedServer, DeadlineHandler, rendered
from .clock import new_id

__all__ = ["ApiServer", "Peer", "SocketRefused"]

SCHEMA_VERSION: Final = 1
LARGEST_BODY: Final = 1 << 20
_SLICE: Final = 1.0
_LOG = structlog.get_logger()

_STATUS_BY_EXIT: Final = {1: 500, 2: 400, 3: 422, 4: 403, 5: 404, 6: 409, 7: 423, 11: 409, 12: 409, 13: 503}
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


def _not_reloaded(refused: ConfigurationRefused) -> RequestRefused:
    """A new configuration that is wrong: the first problem, and how many there are."""
    errors = [one for one in refused.problems if not one.warning]
    first = f"{errors[0].place}: {errors[0].message} [{errors[0].code}]" if errors else "it is refused"
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return RequestRefused(
        errors[0].code if errors else "CFG-REFUSED",
        f"the old configuration stands whole; the new one: {first}{more}",
        exit=3,
        hint="rotator config validate PATH tells all of it",
    )


class ApiServer:
    """The API on `path`. `start` listens (raises SocketRefused), `stop` ends.

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
        self._server.waits = threading.BoundedSemaphore(max(1, self._limit // 2))
        self._server.start("api")
        _LOG.info("daemon.api.listening", path=str(self._path), mode=f"{self._socket.mode:04o}")

    def stop(self, patience: float = 5.0) -> bool:
        """Accept nothing more, end waits for events, wait for the other answers. Whether all were given."""
        if self._server is None or self._socket is None:
            return True
        waited = self._server.stop(patience)
        self._socket.close()
        self._server = self._socket = None
        _LOG.info("daemon.api.stopped", waited=waited)
        return waited


class _Server(BoundedServer):
    requests: Requests
    may_speak: frozenset[int]
    peer: Callable[[socket.socket], Peer]
    waits: threading.BoundedSemaphore

    def answer_busy(self, request: socket.socket) -> None:
        _LOG.warning("daemon.api.busy", limit=self.limit)
        busy = RequestRefused("ROT-BUSY", "the daemon answers too many at once", exit=13, hint="again in a moment")
        body = rendered(error_document(busy))
        head = f"HTTP/1.1 503 Busy\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        request.setblocking(False)
        try:
            request.send(head.encode() + b"Connection: close\r\n\r\n" + body)
        except OSError:  # gone, or not reading: it is closed next
            return


class _Handler(DeadlineHandler):
    server: _Server
    route = ""

    def respond(self) -> None:
        began = self.server.clock.monotonic()
        peer = self.server.peer(self.connection)
        status = 200
        refused: RequestRefused | None = None
        try:
            answer = self._answer(peer)
        except RequestRefused as error:
            refused, answer = error, rendered(error_document(error))
            status = _STATUS_BY_CODE.get(error.code) or _STATUS_BY_EXIT.get(error.exit, 400)
        ms = round((self.server.clock.monotonic() - began) * 1000, 1)
        about = {"method": self.command, "route": self.route, "actor": peer.actor, "ms": ms}
        if refused is not None:
            _LOG.info("daemon.api.refused", code=refused.code, exit=refused.exit, **about)
        elif self.command == "GET":
            _LOG.debug("daemon.api.request", status=status, **about)
        else:
            _LOG.info("daemon.api.request", status=status, **about)
        self.send(status, answer, JSON)

    def _answer(self, peer: Peer) -> bytes:
        if peer.uid not in self.server.may_speak:
            _LOG.warning("daemon.api.peer_refused", uid=peer.uid, pid=peer.pid)
            raise RequestRefused(
                "ROT-NOT-ALLOWED",
                f"uid {peer.uid} may not speak to this daemon",
                exit=4,
                hint="run the command as the daemon's user or as root, or add the uid to `daemon.allow_uids`",
            )
        found, query = self._find()
        self.route = found.route
        ask = Ask(Caller(peer.actor), found.path, query, Fields(self._body(), "body"))
        try:
            document = self._wait(found, ask) if found.route == EVENTS_ROUTE else self._call(found, ask)
            return rendered({"schema_version": SCHEMA_VERSION, **document})
        except RequestRefused:
            raise
        except ConfigurationRefused as refused:
            raise _not_reloaded(refused) from None
        except Exception:  # the boundary: a bug is told by its report only
            report = new_id()
            _LOG.exception("daemon.api.internal", method=self.command, route=found.route, report=report)
            message = f"a bug in the daemon; its log has more under report {report}"
            raise RequestRefused("ROT-INTERNAL", message, exit=1) from None

    def _find(self) -> tuple[Found, Fields]:
        try:
            url = urlsplit(self.path)
            parts = [unquote(one, errors="strict") for one in url.path.strip("/").split("/")]
            pairs = parse_qsl(url.query, keep_blank_values=True, errors="strict", max_num_fields=1000)
        except ValueError:
            raise bad("the path or its query is not well formed") from None
        found = find_route(self.command, parts)
        return found, query_fields(pairs)

    def _body(self) -> dict[str, Any]:
        if "Transfer-Encoding" in self.headers:
            raise bad("a body comes whole, with its Content-Length")
        length = self.headers.get("Content-Length", "0")
        if not (length.isascii() and length.isdigit()) or len(self.headers.get_all("Content-Length", [])) > 1:
            raise bad("Content-Length is no number")
        if len(length) > 12 or int(length) > LARGEST_BODY:
            raise RequestRefused("ROT-TOO-LARGE", f"a body has at most {LARGEST_BODY} bytes", exit=2)
        if int(length) and self.command == "GET":
            raise bad("a GET has no body")
        if int(length) and self.headers.get_content_type() != "application/json":
            raise bad("Content-Type must be application/json")
        try:
            raw = self.rfile.read(int(length))
        except TimeoutError:
            raise RequestRefused("ROT-TOO-SLOW", "the body did not arrive in time", exit=2) from None
        if len(raw) != int(length):
            raise bad("the body ended early")
        return parse_body(raw)

    def _call(self, found: Found, ask: Ask) -> Json:
        call = found.read(self.server.requests, ask)
        # Before the call: a request that is refused must not have been carried out.
        ask.query.end()
        ask.body.end()
        return call()

    def _wait(self, found: Found, ask: Ask) -> Json:
        """A long wait in short slices: it ends when the caller is gone or the daemon stops, and never takes more than
        half of the threads (then it answers at once, and the caller asks again)."""
        after, wait = (
            ask.query.number("after", 0, low=0, high=2**62),
            ask.query.number("wait", 0, low=0, high=LONGEST_WAIT),
        )
        ask.query.end()
        ask.body.end()
        may_wait = wait > 0 and self.server.waits.acquire(blocking=False)
        try:
            until = self.server.clock.monotonic() + (wait if may_wait else 0)
            while True:
                left = max(0.0, until - self.server.clock.monotonic())
                document = self.server.requests.events(ask.path[0], int(after), min(_SLICE, left))
                settled = document["items"] or document["ended"] or document["exit"] is not None
                if settled or left <= _SLICE or self.server.stopping.is_set() or self._gone():
                    return document
        finally:
            if may_wait:
                self.server.waits.release()

    def _gone(self) -> bool:
        """Whether the caller hung up. It has sent all it had to say: anything readable is the end."""
        return bool(select.select([self.connection], [], [], 0)[0])

    def too_slow(self) -> None:
        slow = RequestRefused("ROT-TOO-SLOW", "the request did not arrive in time", exit=2)
        self.send(408, rendered(error_document(slow)), JSON)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the standard server refuses by itself: a first line or headers that are none."""
        self.close_connection = True
        self.send(code, rendered(error_document(bad("the request is not HTTP/1.1 as this server reads it"))), JSON)
