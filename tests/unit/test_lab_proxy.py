"""The fault proxy, against a small HTTP server that counts: what the client sees, and what the server got."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.lab import wire
from tests.lab.process import LabError
from tests.lab.proxy import Answer, Event, Fault, Proxy

StartProxy = Callable[..., Proxy]


class CountingServer(ThreadingHTTPServer):
    """Keeps what it was sent: (method, path, body, host)."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.got: list[tuple[str, str, bytes, str]] = []

    @property
    def calls(self) -> list[str]:
        return [f"{method} {path}" for method, path, _, _ in self.got]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: CountingServer

    def _serve(self) -> None:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.server.got.append((self.command, self.path, body, self.headers.get("Host", "")))
        answer = f"{self.command} {self.path} ".encode() + body
        if self.path.startswith("/empty"):
            self.send_response(204)
            self.end_headers()
            return
        self.send_response(200)
        if self.path.startswith("/chunked"):
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for part in (answer[:5], answer[5:]):
                self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")
            return
        if self.path.startswith("/until-close"):
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _serve  # noqa: N815 - http.server's names

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[CountingServer]:
    with CountingServer() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def proxy(server: CountingServer, start_proxy: StartProxy) -> Proxy:
    return start_proxy(server.server_address[1])


def call(
    proxy: Proxy, method: str = "POST", path: str = "/key", body: bytes = b"ab", timeout_s: float = 5
) -> wire.Reply:
    return wire.call(method, proxy.url + path, body, timeout_s=timeout_s)


def soon(condition: Callable[[], bool], timeout_s: float = 5) -> bool:
    limit = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < limit:
        time.sleep(0.005)
    return condition()


@pytest.mark.parametrize("path", ["/a?b=c", "/chunked", "/until-close", "/empty"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_untouched_call_passes_and_is_logged(proxy: Proxy, server: CountingServer, method: str, path: str) -> None:
    straight = wire.call(method, f"http://127.0.0.1:{server.server_address[1]}{path}", b"ab")
    through = call(proxy, method, path)
    assert (through.status, through.body) == (straight.status, straight.body)
    assert server.calls == [f"{method} {path}"] * 2
    (event,) = proxy.log
    assert (event.fault, event.method, event.path, event.delivered) == (Fault.PASS, method, path, True)
    assert (event.status, event.answered) == (straight.status, True)


def test_chunked_request_head_and_keep_alive_pass(proxy: Proxy, server: CountingServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=5)
    connection.request(
        "POST", "/chunked", iter([b"one", b"two"]), encode_chunked=True, headers={"Transfer-Encoding": "chunked"}
    )
    assert connection.getresponse().read() == b"POST /chunked onetwo"
    for method, expected in (("HEAD", b""), ("GET", b"GET /x ")):
        connection.request(method, "/x")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, expected)
    connection.close()
    assert server.got[0][2] == b"onetwo"
    assert [(event.connection, event.exchange) for event in proxy.log] == [(1, 1), (1, 2), (1, 3)]


def test_host_stays_unless_it_is_to_be_rewritten(server: CountingServer, start_proxy: StartProxy) -> None:
    port = server.server_address[1]
    kept, rewritten = start_proxy(port), start_proxy(port, rewrite_host=True)
    call(kept)
    call(rewritten)
    assert [host for *_, host in server.got] == [f"127.0.0.1:{kept.port}", f"127.0.0.1:{port}"]


@pytest.mark.parametrize(
    ("how", "error"),
    [("close", http.client.RemoteDisconnected), ("reset", ConnectionResetError), ("hang", TimeoutError)],
)
@pytest.mark.parametrize(("fault", "delivered"), [("answer_lost", True), ("request_lost", False)])
def test_lost_call_reaches_the_server_or_not(
    proxy: Proxy, server: CountingServer, fault: str, delivered: bool, how: Any, error: type[Exception]
) -> None:
    rule = proxy.rule(fault, method="POST", path="^/key$", times=1, how=how)
    call(proxy, "GET", "/key")
    with pytest.raises(error) as caught:
        call(proxy, timeout_s=0.4)
    # A RemoteDisconnected is a ConnectionResetError too, and must not pass for a real reset.
    assert how == "close" or not isinstance(caught.value, http.client.RemoteDisconnected)
    assert server.calls.count("POST /key") == (1 if delivered else 0)
    assert (rule.hits, proxy.count(fault)) == (1, 1)
    assert (rule.events[0].delivered, rule.events[0].answered) == (delivered, False)
    assert rule.events[0].status == (200 if delivered else None)
    assert call(proxy).status == 200


def test_reset_and_hang_deliver_nothing(proxy: Proxy, server: CountingServer) -> None:
    proxy.rule(Fault.RESET, times=1)
    proxy.rule(Fault.HANG, times=1)
    with pytest.raises(ConnectionResetError):
        call(proxy)
    with pytest.raises(TimeoutError):
        call(proxy, timeout_s=0.2)
    proxy.wait_idle(5)
    assert server.calls == []


@pytest.mark.parametrize("path", ["/key", "/chunked", "/empty"])
def test_half_an_answer_follows_a_whole_delivery(proxy: Proxy, server: CountingServer, path: str) -> None:
    proxy.rule("half_answer")
    with pytest.raises(http.client.HTTPException) as caught:
        call(proxy, path=path)
    if path == "/key":
        assert isinstance(caught.value, http.client.IncompleteRead)
        assert 0 < len(caught.value.partial) < len(b"POST /key ab")
    assert server.calls == [f"POST {path}"]


def test_late_request_is_delivered_after_its_client_has_gone(proxy: Proxy, server: CountingServer) -> None:
    rule = proxy.rule("request_late", times=1)
    with pytest.raises(TimeoutError):
        call(proxy, timeout_s=0.2)
    rule.wait()
    assert server.calls == []
    assert call(proxy, path="/look").status == 200
    rule.release()
    proxy.wait_idle()
    assert server.calls == ["POST /look", "POST /key"]
    assert rule.events[0].delivered


def test_delayed_request_dies_with_its_client(proxy: Proxy, server: CountingServer) -> None:
    rule = proxy.rule("delay", times=1)
    with pytest.raises(TimeoutError):
        call(proxy, timeout_s=0.2)
    rule.release()
    proxy.wait_idle()
    assert (server.calls, rule.events[0].delivered) == ([], False)


@pytest.mark.parametrize("fault", ["delay", "request_late", "answer_late"])
def test_held_call_is_answered_to_a_patient_client(proxy: Proxy, server: CountingServer, fault: str) -> None:
    proxy.rule(fault, seconds=0.3)
    before = time.monotonic()
    assert call(proxy).status == 200
    assert 0.3 <= time.monotonic() - before < 3
    assert server.calls == ["POST /key"]


def test_late_answer_follows_a_prompt_delivery(proxy: Proxy, server: CountingServer) -> None:
    rule = proxy.rule("answer_late")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(call, proxy)
        rule.wait()
        assert (server.calls, waiting.done()) == (["POST /key"], False)
        rule.release()
        assert waiting.result().status == 200


def test_made_up_answer_leaves_the_server_untouched(proxy: Proxy, server: CountingServer) -> None:
    proxy.rule("made_up", method="DELETE", answer=Answer.json(200, {"status": "ok"}))
    answer = call(proxy, "DELETE", "/key/1")
    assert (answer.status, answer.json()) == (200, {"status": "ok"})
    assert server.calls == []
    assert (proxy.log[0].status, proxy.log[0].answered) == (None, True)


def test_replaced_answer_follows_a_delivery_and_keeps_the_connection(proxy: Proxy, server: CountingServer) -> None:
    proxy.rule("replaced", path="^/w", answer=Answer(503, {"Retry-After": "2"}, b"busy"))
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=5)
    for path, expected in (("/w", (503, b"busy")), ("/x", (200, b"GET /x "))):
        connection.request("GET", path)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == expected
    connection.close()
    assert server.calls == ["GET /w", "GET /x"]
    assert [event.status for event in proxy.log] == [200, 200]
    assert {event.connection for event in proxy.log} == {1}


def test_too_many_and_redirect_have_their_headers(proxy: Proxy) -> None:
    proxy.rule("made_up", times=1, answer=Answer.too_many(7))
    proxy.rule("made_up", times=1, answer=Answer.redirect("http://127.0.0.1:9/else"))
    first, second = call(proxy), call(proxy)
    assert (first.status, first.headers["retry-after"]) == (429, "7")
    assert (second.status, second.headers["location"]) == (307, "http://127.0.0.1:9/else")


def test_refused_connection_is_refused_then_accepted_on_the_same_port(proxy: Proxy, server: CountingServer) -> None:
    kept = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=5)
    kept.request("GET", "/1")
    kept.getresponse().read()
    with proxy.refusing():
        with pytest.raises(ConnectionRefusedError):
            call(proxy)
        assert kept.sock.recv(1) == b""
    kept.close()
    assert call(proxy).status == 200
    assert server.calls == ["GET /1", "POST /key"]


def test_rules_choose_by_content_number_skip_times_and_time(proxy: Proxy, server: CountingServer) -> None:
    def statuses(count: int, body: bytes = b"ab") -> list[int]:
        return [call(proxy, body=body).status for _ in range(count)]

    proxy.rule("made_up", content=rb"secret-\d", answer=Answer(409))
    assert statuses(1) + statuses(1, b"a secret-1") == [200, 409]
    proxy.clear()
    proxy.rule("made_up", request=4, answer=Answer(418))
    assert statuses(3) == [200, 418, 200]
    proxy.clear()
    proxy.rule("made_up", skip=1, times=2, answer=Answer(503))
    assert statuses(4) == [200, 503, 503, 200]
    proxy.rule("made_up", for_seconds=0.2, answer=Answer(500))
    assert statuses(1) == [500]
    assert soon(lambda: statuses(1) == [200])


def test_chance_is_drawn_from_the_seed(server: CountingServer, start_proxy: StartProxy) -> None:
    def draw(seed: int) -> list[int]:
        proxy = start_proxy(server.server_address[1], seed=seed)
        proxy.rule("made_up", chance=0.5, answer=Answer(503))
        return [call(proxy).status for _ in range(24)]

    first = draw(1)
    assert set(first) == {200, 503}
    assert first == draw(1) != draw(2)


def test_hook_runs_between_delivery_and_loss(proxy: Proxy, server: CountingServer) -> None:
    seen: list[tuple[bool, list[str]]] = []

    def look(event: Event) -> None:
        seen.append((event.delivered, list(server.calls)))

    proxy.rule("answer_lost", hook=look)  # e.g. to kill the client at this very moment
    with pytest.raises(http.client.RemoteDisconnected):
        call(proxy)
    assert seen == [(True, ["POST /key"])]


def test_stop_does_not_deliver_what_is_held(server: CountingServer) -> None:
    with Proxy(server.server_address[1]) as proxy, ThreadPoolExecutor(1) as pool:
        rule = proxy.rule("request_late")
        waiting = pool.submit(call, proxy)
        rule.wait()
        proxy.stop()
        assert isinstance(waiting.exception(5), (OSError, http.client.HTTPException))
    assert server.calls == []


def test_stop_does_not_wait_for_a_server_that_hangs() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(1) as pool:
        proxy = Proxy(silent.getsockname()[1]).start()
        waiting = pool.submit(call, proxy)
        assert soon(lambda: proxy.count() == 1 and proxy.log[0].delivered)
        before = time.monotonic()
        proxy.stop()
        assert time.monotonic() - before < 2
        assert isinstance(waiting.exception(5), (OSError, http.client.HTTPException))


def test_dead_server_is_a_closed_connection(start_proxy: StartProxy) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        proxy = start_proxy(nobody.getsockname()[1])
        with pytest.raises(http.client.RemoteDisconnected):
            call(proxy)
    assert not proxy.log[0].delivered


def test_rules_that_make_no_sense_are_refused(proxy: Proxy, start_proxy: StartProxy) -> None:
    with pytest.raises(ValueError, match="answer"):
        proxy.rule("made_up")
    with pytest.raises(ValueError, match="answer"):
        proxy.rule("answer_lost", answer=Answer(200))
    with pytest.raises(ValueError, match="HTTP"):
        start_proxy(proxy.port, protocol="raw").rule("reset", method="GET")
    with pytest.raises(LabError, match="struck 0 times"):
        proxy.rule("reset").wait(timeout_s=0.05)
