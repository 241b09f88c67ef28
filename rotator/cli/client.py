"""The client of the local API. Used by every command that needs the daemon; imported only then.

An act whose answer is lost is told as uncertain, never repeated: whether the daemon took it is not known here.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from . import exits
from .failures import Failure

_LONGEST_REQUEST = 300.0
_CONNECT = 5.0
_LARGEST_ANSWER = 256 << 20
_START = "rotator serve --config DIR"


def path_of(*parts: str) -> str:
    """A path of the API, its parts encoded."""
    return "/v1/" + "/".join(quote(one, safe="") for one in parts)


class _Local(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_CONNECT)
        self.sock.connect(self._path)
        self.sock.settimeout(self.timeout)


class Client:
    """Requests to the daemon at `socket_path`. `timeout`: for one answer, in seconds. Raises Failure."""

    def __init__(self, socket_path: str, *, timeout: float | None = None) -> None:
        self._path = socket_path
        self._timeout = min(_LONGEST_REQUEST, _LONGEST_REQUEST if timeout is None else max(1.0, timeout))

    def get(self, path: str, query: Sequence[tuple[str, str]] = (), *, timeout: float | None = None) -> dict[str, Any]:
        """Read something."""
        target = f"{path}?{urlencode(query)}" if query else path
        return self._request("GET", target, None, act=False, timeout=timeout)

    def post(self, path: str, body: Mapping[str, Any], *, act: bool = True) -> dict[str, Any]:
        """Ask for something; `act` false: it changes nothing, so an answer that is lost does not matter."""
        return self._request("POST", path, body, act=act)

    def _request(
        self, method: str, target: str, body: Mapping[str, Any] | None, *, act: bool, timeout: float | None = None
    ) -> dict[str, Any]:
        connection = _Local(self._path, self._timeout if timeout is None else timeout)
        try:
            self._connect(connection)
            return self._exchange(connection, method, target, body, act)
        finally:
            connection.close()

    def _connect(self, connection: _Local) -> None:
        try:
            connection.connect()
        except PermissionError:
            me = os.geteuid()
            raise Failure(
                "ROT-NOT-ALLOWED",
                f"uid {me} may not open {self._path}",
                exits.NOT_ALLOWED,
                hint="run the command as the daemon's user or as root",
            ) from None
        except FileNotFoundError:
            raise self._unreachable(f"no daemon listens here: {self._path} is not there") from None
        except ConnectionRefusedError:
            raise self._unreachable(f"the daemon of {self._path} is not running") from None
        except OSError as error:
            raise self._unreachable(f"the daemon does not answer: {error.strerror or 'no connection'}") from None

    def _unreachable(self, message: str) -> Failure:
        hint = "another daemon? --socket PATH or ROTATOR_SOCKET"
        return Failure("ROT-UNREACHABLE", message, exits.UNREACHABLE, hint=hint, do=(f"start it: {_START}",))

    def _exchange(
        self, connection: _Local, method: str, target: str, body: Mapping[str, Any] | None, act: bool
    ) -> dict[str, Any]:
        raw = None if body is None else json.dumps(body).encode()
        headers = {} if raw is None else {"Content-Type": "application/json"}
        try:
            # The daemon may answer before it has read all: its answer says more than the broken pipe.
            with contextlib.suppress(BrokenPipeError):
                connection.request(method, target, raw, headers)
            answer = connection.getresponse()
            text = answer.read(_LARGEST_ANSWER)
            document = json.loads(text)
        except (OSError, http.client.HTTPException, ValueError):
            raise self._lost(act) from None
        if not isinstance(document, dict):
            raise self._lost(act)
        if answer.status >= 400:
            raise _refusal(document)
        return document

    def _lost(self, act: bool) -> Failure:
        if not act:
            return self._unreachable("the daemon took the question and gave no answer")
        return Failure(
            "ROT-ANSWER-LOST",
            "the daemon's answer was lost: it may have taken the request, or not",
            exits.UNCERTAIN,
            hint="a second run of the same credential cannot open while the first is open",
            do=("rotator runs list --open", "rotator status"),
        )


def _refusal(document: Mapping[str, Any]) -> Failure:
    error = document.get("error")
    if not isinstance(error, dict):
        return Failure("ROT-INTERNAL", "the daemon refused without a reason", exits.BUG)
    given = error.get("exit")
    return Failure(
        str(error.get("code", "ROT-INTERNAL")),
        str(error.get("message", "")),
        given if isinstance(given, int) and 0 < given < 256 else exits.BUG,
        hint=str(error.get("hint", "")),
        run=str(error.get("run", "")),
        docs=str(error.get("docs", "")),
    )
