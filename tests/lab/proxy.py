"""A fault proxy in front of any server: it loses, holds, cuts, replaces and invents what passes through it.

Called by tests, in their own process: `proxy.rule(...)` says what shall happen, `proxy.log` what did. HTTP/1 is
understood call by call; anything else (PostgreSQL) passes in raw mode, where a call is what the client sends before
the server speaks again. It must never repeat a call: what a server gets twice, the client sent twice.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Literal, Self

from tests.lab.process import LabError, free_port
from tests.lab.proxy_lines import HttpLine, Line, Link, RawLine
from tests.lab.proxy_rules import Answer, Event, Fault, How, Rule, RuleBook

__all__ = ["Answer", "Event", "Fault", "Proxy", "Rule"]

_MADE_UP = {Fault.MADE_UP, Fault.REPLACED}


class Proxy:
    """A proxy on 127.0.0.1:`port` in front of 127.0.0.1:`upstream_port`. A context manager; safe from any thread."""

    def __init__(
        self,
        upstream_port: int,
        *,
        protocol: Literal["http", "raw"] = "http",
        seed: int = 0,
        rewrite_host: bool = False,
        server_timeout_s: float = 60.0,
    ) -> None:
        """Choose the port; nothing listens yet.

        `rewrite_host` replaces the client's Host by the server's, otherwise it stays. `server_timeout_s` bounds the
        wait for the server. `seed` fixes the draws of rules with a `chance`.
        """
        self.port = free_port()
        self.upstream_port = upstream_port
        self.protocol = protocol
        self._book = RuleBook(seed)
        self._stopping = threading.Event()
        self._link = Link(self._book, upstream_port, server_timeout_s, rewrite_host, self._stopping)
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._connections = 0
        self._lines: dict[threading.Thread, Line] = {}

    @property
    def url(self) -> str:
        """The address for HTTP clients, without a path."""
        return f"http://127.0.0.1:{self.port}"

    # --- what shall happen, and what did ---

    def rule(
        self,
        fault: Fault | str,
        *,
        method: str | None = None,
        path: str | None = None,
        content: bytes | None = None,
        connection: int | None = None,
        exchange: int | None = None,
        request: int | None = None,
        skip: int = 0,
        times: int | None = None,
        for_seconds: float | None = None,
        chance: float = 1.0,
        seconds: float | None = None,
        how: How = "close",
        answer: Answer | None = None,
        hook: Callable[[Event], None] | None = None,
    ) -> Rule:
        """Add a rule behind those in force (the first that applies to a call wins) and return it.

        Which calls: `method` (exact) and `path` (regex, searched in the target with its query) for HTTP; `content`
        (regex, searched in the request's body, or in what the client sent in raw mode); `connection`, `request` (the
        n-th of the proxy's life, from 1), `exchange` (the n-th of its connection). Of those: not the first `skip`, at
        most `times`, only `for_seconds` from now, each with the probability `chance`.

        What: `seconds` is how long to hold (None: until `release()`); `how` the end of a connection: "close", "reset"
        or "hang" (stays open, silent); `answer` for MADE_UP and REPLACED; `hook` is called with the event when the
        fault strikes, after the delivery if there is one, and before the client notices.
        """
        kind = Fault(fault)
        if (kind in _MADE_UP) != (answer is not None):
            raise ValueError(f"{kind.value}: an answer belongs to made_up and replaced, and to nothing else")
        if self.protocol == "raw" and (kind in _MADE_UP or method is not None or path is not None):
            raise ValueError(f"{kind.value}: answers, methods and paths are for HTTP")
        made = Rule(
            fault=kind, method=method, path=None if path is None else re.compile(path),
            content=None if content is None else re.compile(content, re.DOTALL), connection=connection,
            exchange=exchange, request=request, skip=skip, times=times,
            until=None if for_seconds is None else time.monotonic() + for_seconds, chance=chance, seconds=seconds,
            how=how, answer=answer, hook=hook,
        )  # fmt: skip
        self._book.add(made)
        return made

    def clear(self) -> None:
        """Remove all rules and let go what they hold. The log stays."""
        self._book.clear()

    @property
    def log(self) -> list[Event]:
        """All calls so far, in the order they came, the untouched ones too."""
        return self._book.log

    def count(self, fault: Fault | str | None = None, method: str | None = None, path: str | None = None) -> int:
        """Return how many calls of the log fit: by fault, method and path (regex)."""
        return sum(
            (fault is None or event.fault is Fault(fault))
            and (method is None or event.method == method)
            and (path is None or re.search(path, event.path) is not None)
            for event in self.log
        )

    def wait_idle(self, timeout_s: float = 30.0) -> None:
        """Wait until no call is under way or held; LabError after `timeout_s`."""
        limit = time.monotonic() + timeout_s
        while not all(event.done for event in self.log):
            if time.monotonic() > limit:
                raise LabError(f"proxy: a call is still under way after {timeout_s:g} s")
            time.sleep(0.01)

    # --- listening ---

    def start(self) -> Self:
        """Listen."""
        self._stopping.clear()
        self.accept()
        return self

    def accept(self) -> None:
        """Listen (again); harmless if it does."""
        with self._lock:
            if self._listener is not None:
                return
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", self.port))
            listener.listen(128)
            self._listener = listener
        threading.Thread(target=self._listen, args=(listener,), name="lab-proxy", daemon=True).start()

    def refuse(self, *, drop_open: bool = True) -> None:
        """Refuse new connections until `accept()`; end the open ones too unless `drop_open` is False."""
        with self._lock:
            listener, self._listener = self._listener, None
            open_ones = list(self._lines.values()) if drop_open else []
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept()
            listener.close()
        for line in open_ones:
            line.drop()

    @contextlib.contextmanager
    def refusing(self, *, drop_open: bool = True) -> Iterator[None]:
        """Refuse connections within the block."""
        self.refuse(drop_open=drop_open)
        try:
            yield
        finally:
            self.accept()

    def stop(self) -> None:
        """End: refuse, drop all connections, let go what is held without delivering it, wait for the threads."""
        self._stopping.set()
        self.refuse()
        self.clear()
        with self._lock:
            threads = list(self._lines)
        for thread in threads:
            thread.join(10)

    def __enter__(self) -> Self:
        """Listen."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def _listen(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open(listener, client)

    def _open(self, listener: socket.socket, client: socket.socket) -> None:
        with self._lock:
            if self._listener is not listener:  # accepted while `refuse` was called
                client.close()
                return
            self._connections += 1
            number = self._connections
            line = (HttpLine if self.protocol == "http" else RawLine)(self._link, client, number)
            thread = threading.Thread(target=self._serve, args=(line,), name=f"lab-proxy-{number}", daemon=True)
            self._lines[thread] = line
        thread.start()

    def _serve(self, line: Line) -> None:
        try:
            with contextlib.suppress(OSError):
                line.run()
        finally:
            with self._lock:
                self._lines.pop(threading.current_thread())
            line.finish()
