"""One client's connection through the fault proxy: HTTP/1 call by call, or raw flights of bytes.

Called by `tests.lab.proxy`, one thread for each connection. It must never send a call to the server more than once,
nor reuse a connection to an HTTP server, where an old one that broke would have to be tried again.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
from dataclasses import dataclass
from typing import assert_never

from tests.lab.http_bytes import Message, Stream, read_answer, read_request
from tests.lab.proxy_rules import Answer, Event, Fault, How, Rule, RuleBook


@dataclass(frozen=True, slots=True)
class Link:
    """What all connections of one proxy share."""

    book: RuleBook
    upstream_port: int
    server_timeout_s: float
    rewrite_host: bool
    stopping: threading.Event


def reset_on_close(sock: socket.socket) -> None:
    """Make closing the socket a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Line:
    """One client's connection, served by one thread."""

    def __init__(self, link: Link, client: socket.socket, number: int) -> None:
        """`client` is the accepted socket, `number` counts the connections of the proxy from 1."""
        self.link, self.client, self.number = link, client, number
        self.event: Event | None = None
        self.upstream: socket.socket | None = None

    def run(self) -> None:
        """Serve until the connection ends. OSError: it ended because one of the two peers went away."""
        raise NotImplementedError

    def finish(self) -> None:
        """Close both connections."""
        self.disconnect()
        self.client.close()
        if self.event is not None:
            self.event.done = True

    def drop(self) -> None:
        """End the connection from another thread; what waits for the server goes on unless the proxy is stopping."""
        with contextlib.suppress(OSError):
            self.client.shutdown(socket.SHUT_RDWR)
        upstream = self.upstream
        if self.link.stopping.is_set() and upstream is not None:
            with contextlib.suppress(OSError):
                upstream.shutdown(socket.SHUT_RDWR)

    def connect(self) -> socket.socket:
        """Open a connection to the server."""
        self.upstream = socket.create_connection(("127.0.0.1", self.link.upstream_port), timeout=10)
        self.upstream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.upstream.settimeout(self.link.server_timeout_s)
        return self.upstream

    def disconnect(self) -> None:
        """Close the connection to the server, if there is one."""
        if self.upstream is not None:
            self.upstream.close()
            self.upstream = None

    def begin(self, exchange: int, method: str = "", path: str = "") -> Event:
        """Record a new call; the one before it is over."""
        if self.event is not None:
            self.event.done = True
        self.event = self.link.book.open(self.number, exchange, method, path)
        return self.event

    def send(self, event: Event, data: bytes, *, whole: bool) -> None:
        """Send the client an answer. A client sees it no sooner than the event says so."""
        event.answered = whole
        try:
            self.client.sendall(data)
        except OSError:
            event.answered = False
            raise

    def lose(self, how: How) -> None:
        """End the client's connection; the caller ends the line afterwards."""
        if how == "hang":
            while not self.link.stopping.is_set() and not self.client_has_left():
                self.link.stopping.wait(0.01)
        elif how == "reset":
            reset_on_close(self.client)
        self.client.close()

    def hold(self, rule: Rule) -> bool:
        """Hold the call as the rule says; False if the proxy was stopped meanwhile."""
        rule.hold(self.link.stopping.is_set)
        return not self.link.stopping.is_set()

    def client_has_left(self) -> bool:
        """Tell whether the client closed or reset its side, even if bytes that it sent before wait to be read."""
        poll = select.poll()
        poll.register(self.client, select.POLLRDHUP)
        return bool(poll.poll(0))


def _may_deliver(line: Line, rule: Rule | None, event: Event) -> bool:
    """Do what a rule does before the delivery; False: nothing is to be delivered, and the client was dealt with."""
    if rule is None:
        return True
    match rule.fault:
        case Fault.REQUEST_LOST:
            rule.strike(event)
            line.lose(rule.how)
            return False
        case Fault.RESET | Fault.HANG:
            rule.strike(event)
            line.lose("reset" if rule.fault is Fault.RESET else "hang")
            return False
        case Fault.REQUEST_LATE:
            rule.strike(event)
            return line.hold(rule)
        case Fault.ORPHANED:
            rule.strike(event)
            line.lose(rule.how)
            return line.hold(rule)
        case Fault.DELAY:
            rule.strike(event)
            return line.hold(rule) and not line.client_has_left()
        case Fault.PASS | Fault.ANSWER_LOST | Fault.ANSWER_LATE | Fault.HALF_ANSWER | Fault.MADE_UP | Fault.REPLACED:
            return True
        case _:
            assert_never(rule.fault)


def _half(answer: Message) -> bytes:
    """Half of the body; without a body half of the first line: some clients take half a head for a whole one."""
    if answer.body:
        return answer.head + answer.body[: len(answer.body) // 2]
    return answer.head[: answer.head.index(b"\r\n") // 2]


class HttpLine(Line):
    """HTTP/1: every request is read whole, then delivered on a connection of its own."""

    def run(self) -> None:
        """Serve requests until the client closes, a message says so, or a fault ends it."""
        stream = Stream(self.client)
        exchange = 0
        while (request := read_request(stream)) is not None:
            exchange += 1
            event = self.begin(exchange, request.first[0], request.first[1])
            alive = self._serve(request, event)
            event.done = True
            if not alive:
                return

    def _serve(self, request: Message, event: Event) -> bool:
        """Deal with one request; return whether the connection goes on."""
        rule = self.link.book.choose(event, request.body)
        if rule is not None and rule.fault is Fault.MADE_UP:
            rule.strike(event)
            return self._send_ours(rule.answer, request, event)
        if not _may_deliver(self, rule, event):
            return False
        answer = self._deliver(request, event)
        if rule is not None and rule.fault is Fault.ORPHANED:
            return False
        if rule is None:
            return self._pass_on(answer, request, event)
        if rule.fault in {Fault.PASS, Fault.ANSWER_LOST, Fault.ANSWER_LATE, Fault.HALF_ANSWER, Fault.REPLACED}:
            rule.strike(event)
        if rule.fault is Fault.ANSWER_LOST:
            self.lose(rule.how)
            return False
        if rule.fault is Fault.HALF_ANSWER:
            self.send(event, _half(answer), whole=False)
            self.lose(rule.how)
            return False
        if rule.fault is Fault.REPLACED:
            return self._send_ours(rule.answer, request, event)
        if rule.fault is Fault.ANSWER_LATE and not self.hold(rule):
            return False
        return self._pass_on(answer, request, event)

    def _deliver(self, request: Message, event: Event) -> Message:
        upstream = self.connect()
        try:
            sent = request.with_host(f"127.0.0.1:{self.link.upstream_port}") if self.link.rewrite_host else request
            upstream.sendall(sent.to_bytes())
            event.delivered = True
            answer = read_answer(Stream(upstream), request.first[0])
        finally:
            self.disconnect()
        event.status = int(answer.first[1])
        return answer

    def _pass_on(self, answer: Message, request: Message, event: Event) -> bool:
        self.send(event, answer.to_bytes(), whole=True)
        return request.keeps_alive and answer.keeps_alive

    def _send_ours(self, answer: Answer | None, request: Message, event: Event) -> bool:
        if answer is None:
            raise ValueError(f"{event.fault.value} without an answer")
        self.send(event, answer.to_bytes(head_only=request.first[0] == "HEAD"), whole=True)
        return request.keeps_alive


class RawLine(Line):
    """Any protocol in which the client speaks first: bytes as they come, faults at the turns of the talk.

    A rule is asked for with every piece that the client sends before the server speaks again, until one applies; the
    pieces before it have been delivered then.
    """

    def run(self) -> None:
        """Pass bytes both ways until a peer closes or a fault ends it."""
        upstream = self.connect()
        reading = [self.client, upstream]
        exchange, asking = 0, False
        content = b""
        rule: Rule | None = None
        event = None
        while not self.link.stopping.is_set():
            ready = select.select(reading, [], [], 0.2)[0]
            if self.client in ready:
                piece = self._from_client()
                if not piece:
                    reading.remove(self.client)
                    upstream.shutdown(socket.SHUT_WR)
                    continue
                if event is None or not asking:
                    exchange, asking, content, rule = exchange + 1, True, b"", None
                    event = self.begin(exchange)
                content += piece
                if rule is None:
                    rule = self.link.book.choose(event, content)
                    if not _may_deliver(self, rule, event):
                        return
                upstream.sendall(piece)
                event.delivered = True
                if rule is not None and rule.fault is Fault.ORPHANED:
                    upstream.recv(65536)  # the server has done it; nobody is told
                    return
            elif upstream in ready:
                piece = upstream.recv(65536)
                if not piece:
                    return
                if event is not None and asking:
                    asking = False
                    event.status = 0
                    if not self._may_answer(rule, event, piece):
                        return
                    self.send(event, piece, whole=True)
                    event.done = True
                else:
                    self._send_more(piece)

    def _from_client(self) -> bytes:
        # A client that resets has left, as one that closes: what it sent before still goes its way.
        try:
            return self.client.recv(65536)
        except ConnectionError:
            return b""

    def _send_more(self, piece: bytes) -> None:
        # The rest of an answer, or word from the server unasked. A client that has left does not end the delivery.
        with contextlib.suppress(OSError):
            self.client.sendall(piece)

    def _may_answer(self, rule: Rule | None, event: Event, piece: bytes) -> bool:
        """Do what a rule does between the server's answer and the client; False: the line ends."""
        if rule is None:
            return True
        if rule.fault in {Fault.PASS, Fault.ANSWER_LOST, Fault.ANSWER_LATE, Fault.HALF_ANSWER}:
            rule.strike(event)
        if rule.fault is Fault.ANSWER_LOST:
            self.lose(rule.how)
            return False
        if rule.fault is Fault.HALF_ANSWER:
            self.send(event, piece[: len(piece) // 2], whole=False)
            self.lose(rule.how)
            return False
        return rule.fault is not Fault.ANSWER_LATE or self.hold(rule)
