"""What the fault proxy does to which call, and the record of what it did.

Called by `tests.lab.proxy` and, through it, by tests. It must never keep headers or bodies: they hold secrets.
"""

from __future__ import annotations

import enum
import json
import random
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal

from tests.lab.process import LabError


class Fault(enum.Enum):
    """What may happen to a call. "Delivered" means that the server got it, whole, once."""

    PASS = "pass"
    """Delivered, answered."""
    REQUEST_LOST = "request_lost"
    """Not delivered; the connection ends (`how`)."""
    ANSWER_LOST = "answer_lost"
    """Delivered, and the server has answered; the client gets nothing, the connection ends (`how`)."""
    REQUEST_LATE = "request_late"
    """Held (`seconds`, or until `release()`), then delivered even if the client has gone; answered if it is there."""
    ORPHANED = "orphaned"
    """The client's connection ends at once (`how`); the call is held, then delivered all the same."""
    ANSWER_LATE = "answer_late"
    """Delivered; the answer is held (`seconds`, or until `release()`)."""
    HALF_ANSWER = "half_answer"
    """Delivered; half of the answer (of its body, if it has one) reaches the client, the connection ends (`how`)."""
    DELAY = "delay"
    """Held like REQUEST_LATE, but not delivered if the client has gone meanwhile."""
    RESET = "reset"
    """Not delivered; the connection is reset."""
    HANG = "hang"
    """Not delivered; nothing happens until the client gives up."""
    MADE_UP = "made_up"
    """HTTP only. Not delivered; the client gets `answer`."""
    REPLACED = "replaced"
    """HTTP only. Delivered, and the server has answered; the client gets `answer` instead."""


How = Literal["close", "reset", "hang"]


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer to be sent by the proxy; Content-Length is added."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @classmethod
    def json(cls, status: int, value: Any, headers: Mapping[str, str] | None = None) -> Answer:
        """Return an answer whose body is `value` as JSON."""
        return cls(status, {"Content-Type": "application/json", **(headers or {})}, json.dumps(value).encode())

    @classmethod
    def too_many(cls, retry_after_s: int) -> Answer:
        """Return a 429 with Retry-After."""
        return cls(429, {"Retry-After": str(retry_after_s)})

    @classmethod
    def redirect(cls, location: str, status: int = 307) -> Answer:
        """Return a redirect to `location`."""
        return cls(status, {"Location": location})

    def to_bytes(self, *, head_only: bool = False) -> bytes:
        """Return it as it goes over the wire; without the body if it answers a HEAD."""
        try:
            reason = HTTPStatus(self.status).phrase
        except ValueError:
            reason = "Unknown"
        lines = [f"HTTP/1.1 {self.status} {reason}", *(f"{name}: {value}" for name, value in self.headers.items())]
        if self.status not in {204, 304}:
            lines.append(f"Content-Length: {len(self.body)}")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        return head if head_only or self.status in {204, 304} else head + self.body


@dataclass(slots=True)
class Event:
    """One call that came to the proxy. It is filled in as the call goes on; read it when the call is over.

    HTTP: a request; raw: what a client sent before the server spoke again. `number` and `connection` count from 1 over
    the proxy's life, `exchange` from 1 within the connection. `method` and `path` are "" in raw mode.
    """

    number: int
    connection: int
    exchange: int
    method: str
    path: str
    fault: Fault = Fault.PASS
    delivered: bool = False
    """The whole request was sent to the server."""
    status: int | None = None
    """The status of the server's own answer, if it answered (0 in raw mode)."""
    answered: bool = False
    """The client was sent a whole answer, the server's or ours."""
    done: bool = False
    """Nothing more will happen to this call."""


@dataclass(slots=True, eq=False)
class Rule:
    """A fault and the calls it applies to. Made by `Proxy.rule`, which says what the arguments mean."""

    fault: Fault
    method: str | None
    path: re.Pattern[str] | None
    content: re.Pattern[bytes] | None
    connection: int | None
    exchange: int | None
    request: int | None
    skip: int
    times: int | None
    until: float | None
    chance: float
    seconds: float | None
    how: How
    answer: Answer | None
    hook: Callable[[Event], None] | None
    events: list[Event] = field(default_factory=list)
    """The calls it was chosen for."""
    struck: int = 0
    """How often it has struck."""
    removed: bool = False
    let_off: int = 0
    """Number of the last call that fitted and was let off by `skip` or `chance`: it is not asked twice."""
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _gate: threading.Event = field(default_factory=threading.Event)

    @property
    def hits(self) -> int:
        """How often it was chosen."""
        return len(self.events)

    def release(self) -> None:
        """Let go what it holds (REQUEST_LATE, ANSWER_LATE, DELAY), now and from now on."""
        self._gate.set()

    def remove(self) -> None:
        """Apply it no more; what it holds is let go."""
        self.removed = True
        self.release()

    def hold(self, ended: Callable[[], bool]) -> None:
        """Wait `seconds`, or until it is released or `ended` says so."""
        limit = None if self.seconds is None else time.monotonic() + self.seconds
        while not ended() and not self._gate.is_set():
            left = 0.05 if limit is None else min(0.05, limit - time.monotonic())
            if left <= 0:
                return
            self._gate.wait(left)

    def wait(self, times: int = 1, timeout_s: float = 10.0) -> None:
        """Wait until it has struck `times` times: after the delivery, if there is one; what it holds is still held.

        LabError after `timeout_s`.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self.struck >= times, timeout_s):
                raise LabError(f"{self.fault.value}: struck {self.struck} times, not {times}, within {timeout_s:g} s")

    def strike(self, event: Event) -> None:
        """Record that the fault happens to `event` now, and call the hook."""
        with self._changed:
            self.struck += 1
            self._changed.notify_all()
        if self.hook is not None:
            self.hook(event)

    def fits(self, event: Event, content: bytes) -> bool:
        """Tell whether the call is one of those it is for, leaving `skip`, `times` and `chance` aside."""
        if self.removed or (self.until is not None and time.monotonic() > self.until):
            return False
        numbers = (
            (self.connection, event.connection),
            (self.exchange, event.exchange),
            (self.request, event.number),
        )
        if any(wanted is not None and wanted != seen for wanted, seen in numbers):
            return False
        if self.method is not None and self.method != event.method:
            return False
        if self.path is not None and not self.path.search(event.path):
            return False
        return self.content is None or self.content.search(content) is not None


class RuleBook:
    """The rules in force and the log. Safe to use from many threads; which rule applies is decided under one lock."""

    def __init__(self, seed: int = 0) -> None:
        """`seed` fixes the sequence of the draws of rules with a `chance`."""
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._rules: list[Rule] = []
        self._log: list[Event] = []

    def add(self, rule: Rule) -> None:
        """Put a rule behind those in force."""
        with self._lock:
            self._rules.append(rule)

    def clear(self) -> None:
        """Remove all rules; what they hold is let go. The log stays."""
        with self._lock:
            gone, self._rules = self._rules, []
        for rule in gone:
            rule.remove()

    def open(self, connection: int, exchange: int, method: str = "", path: str = "") -> Event:
        """Record a new call."""
        with self._lock:
            event = Event(len(self._log) + 1, connection, exchange, method, path)
            self._log.append(event)
        return event

    def choose(self, event: Event, content: bytes) -> Rule | None:
        """Return the first rule that applies to the call, and record that it does; None: let it pass."""
        with self._lock:
            for rule in self._rules:
                if not rule.fits(event, content) or (rule.times is not None and rule.hits >= rule.times):
                    continue
                if rule.let_off == event.number:
                    continue
                if rule.skip > 0 or (rule.chance < 1 and self._random.random() >= rule.chance):
                    rule.skip = max(0, rule.skip - 1)
                    rule.let_off = event.number
                    continue
                event.fault = rule.fault
                rule.events.append(event)
                return rule
        return None

    @property
    def log(self) -> list[Event]:
        """All calls so far, in the order they came."""
        with self._lock:
            return list(self._log)
