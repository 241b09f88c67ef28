"""A small HTTP server on loopback for the pack tests: it answers from a function and records what came.

Used by `test_pack_*`. It knows nothing of packs.
"""

from __future__ import annotations

import json
import textwrap
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from rotator_http import load_pack

from rotator.daemon.clock import SystemClock
from rotator.effects.host import Connection, Gateway, HostedPlatform
from rotator.effects.platforms import Call
from rotator.plugin_api import Secret

CALL = Call(run="unit", seconds=5.0)
ADMIN = "admin-" + "canary"
REPLY = tuple[int, Any] | tuple[int, Any, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Got:
    """A request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body, keep_blank_values=True))


@dataclass
class Scripted:
    """`answer(got)` gives (status, JSON value or text[, headers])."""

    answer: Callable[[Got], REPLY]
    got: list[Got] = field(default_factory=list)
    url: str = ""

    def calls(self) -> list[str]:
        return [f"{one.method} {one.path}" for one in self.got]


@contextmanager
def serving(answer: Callable[[Got], REPLY]) -> Iterator[Scripted]:
    script = Scripted(answer)

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            headers = {name.lower(): value for name, value in self.headers.items()}
            query = dict(parse_qsl(parts.query, keep_blank_values=True))
            got = Got(self.command, parts.path, query, headers, self.rfile.read(length).decode())
            script.got.append(got)
            status, value, *more = script.answer(got)
            raw = value.encode() if isinstance(value, str) else json.dumps(value).encode()
            self.send_response(status)
            for name, text in (more[0] if more else {}).items():
                self.send_header(name, text)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    script.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield script
    finally:
        server.shutdown()
        thread.join(5)
        server.server_close()


def platform(tmp_path: Path, script: Scripted, pack: str, **settings: str | int | bool) -> HostedPlatform:
    """The first kind of a pack (its text, dedented) behind the real host."""
    path = tmp_path / "pack.yaml"
    path.write_text(textwrap.dedent(pack))
    plugin = load_pack(str(path))
    connection = Connection(name="e", plugin=plugin, config={"url": script.url, **settings}, admin="adm")
    return Gateway(SystemClock(), "0").platform(connection, plugin.kinds[0].name, lambda: Secret(ADMIN))
