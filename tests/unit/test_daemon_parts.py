"""Ticker, signals, health and the protection of the process, each against the real thing."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from apscheduler.triggers.interval import IntervalTrigger

from rotator.daemon.clock import SystemClock
from rotator.daemon.health import HealthServer, PortRefused
from rotator.daemon.signals import Signals
from rotator.daemon.ticker import Ticker
from tests.unit.requests_double import RecordingRequests

ROOT = Path(__file__).resolve().parents[2]


def until(condition: Any, seconds: float = 5) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


# ---- ticker --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def ticking(tick: Any, **options: Any) -> Iterator[Ticker]:
    ticker = Ticker(tick, SystemClock(), **options)
    ticker.start()
    try:
        yield ticker
    finally:
        ticker.stop()


def test_ticks_come_at_once_and_again() -> None:
    seen: list[float] = []
    began = time.monotonic()
    with ticking(lambda: seen.append(time.monotonic()), seconds=0.1) as ticker:
        assert until(lambda: len(seen) >= 3)
        assert ticker.alive()
    assert seen[0] - began < 0.5
    assert not ticker.alive()


def test_the_job_is_one_that_never_drops_or_doubles_a_tick() -> None:
    with ticking(lambda: None, seconds=30) as ticker:
        [job] = ticker._scheduler.get_jobs()
        assert job.coalesce is True
        assert job.max_instances == 1
        assert job.misfire_grace_time is None
        assert isinstance(job.trigger, IntervalTrigger)


def test_a_tick_that_takes_long_is_never_run_twice_at_a_time() -> None:
    running, most, done = [0], [0], [0]

    def slow() -> None:
        running[0] += 1
        most[0] = max(most[0], running[0])
        time.sleep(0.25)
        running[0] -= 1
        done[0] += 1

    with ticking(slow, seconds=0.05):
        assert until(lambda: done[0] >= 3)
    assert most[0] == 1


def test_a_tick_that_raises_does_not_end_the_ticks() -> None:
    seen: list[int] = []

    def failing() -> None:
        seen.append(1)
        raise ValueError("canary-in-a-tick")

    with ticking(failing, seconds=0.05):
        assert until(lambda: len(seen) >= 3)


def test_a_clock_set_back_by_a_day_does_not_stop_the_ticks() -> None:
    seen: list[int] = []
    with ticking(lambda: seen.append(1), seconds=0.1) as ticker:
        assert until(lambda: seen)
        # What a clock set back looks like from the scheduler: its next instant is a day away.
        ticker._scheduler.modify_job("tick", next_run_time=datetime.now(UTC) + timedelta(days=1))
        count = len(seen)
        assert until(lambda: len(seen) >= count + 2)


def test_a_tick_that_never_ends_is_not_alive() -> None:
    let_go = threading.Event()
    with ticking(let_go.wait, seconds=0.05, overdue=0.3) as ticker:
        assert ticker.alive()
        assert until(lambda: not ticker.alive())
        let_go.set()
        assert until(ticker.alive)


def test_a_dead_scheduler_thread_is_not_alive() -> None:
    ticker = Ticker(lambda: None, SystemClock(), seconds=30)
    assert not ticker.alive()
    ticker.start()
    assert ticker.alive()
    # It leaves its loop as if it had died: nobody called stop.
    thread = ticker._scheduler._thread
    ticker._scheduler._event.set()
    ticker._scheduler.state, state = 0, ticker._scheduler.state
    thread.join(5)
    ticker._scheduler.state = state
    assert not ticker.alive()
    ticker._stopped.set()
    ticker._scheduler._executors["default"].shutdown()


# ---- signals -------------------------------------------------------------------------------------------------------

DRAINING = """
import sys, threading, time
from rotator.daemon.clock import SystemClock
from rotator.daemon.logs import configure_logs
from rotator.daemon.signals import Signals
clock = SystemClock()
configure_logs(clock, stream=sys.stderr, strict=True)
reloads = []
def reload():
    reloads.append(1)
    print("reloaded", len(reloads), flush=True)
    if len(reloads) == 1:
        raise ValueError("canary-in-a-configuration")
with Signals(clock, reload=reload, drain=float(sys.argv[1])) as signals:
    print("up", flush=True)
    signals.wait()
    print("draining", flush=True)
    done = threading.Event()
    threading.Timer(float(sys.argv[2]), done.set).start()
    print("drained", signals.drained(done.is_set), flush=True)
    import os; os._exit(0)
"""


class Draining:
    def __init__(self, drain: float, work: float) -> None:
        command = [sys.executable, "-c", DRAINING, str(drain), str(work)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
        self.expect("up")

    def expect(self, line: str) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline().strip() == line

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> str:
        _, err = self.process.communicate(timeout=15)
        assert self.process.returncode == 0, err
        return err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_waits_for_the_steps_in_progress(number: signal.Signals) -> None:
    daemon = Draining(drain=10, work=0.3)
    daemon.send(number)
    daemon.expect("draining")
    daemon.expect("drained True")
    assert number.name in daemon.end()


def test_a_stop_does_not_wait_beyond_the_deadline() -> None:
    daemon = Draining(drain=0.3, work=30)
    daemon.send(signal.SIGTERM)
    daemon.expect("draining")
    began = time.monotonic()
    daemon.expect("drained False")
    assert time.monotonic() - began < 3
    daemon.end()


def test_a_second_signal_stops_at_once() -> None:
    daemon = Draining(drain=30, work=30)
    daemon.send(signal.SIGTERM)
    daemon.expect("draining")
    daemon.send(signal.SIGTERM)
    daemon.expect("drained False")
    assert "daemon.signal.hurry" in daemon.end()


def test_sighup_reloads_and_a_reload_that_fails_changes_nothing() -> None:
    daemon = Draining(drain=5, work=0)
    daemon.send(signal.SIGHUP)
    daemon.expect("reloaded 1")
    daemon.send(signal.SIGHUP)
    daemon.expect("reloaded 2")
    daemon.send(signal.SIGTERM)
    daemon.expect("draining")
    daemon.expect("drained True")
    log = daemon.end()
    assert "daemon.reload.failed" in log
    assert "canary-in-a-configuration" not in log


def test_a_flood_of_signals_stops_it_all_the_same() -> None:
    daemon = Draining(drain=10, work=0.1)
    for _ in range(200):
        daemon.send(signal.SIGHUP)
    daemon.send(signal.SIGTERM)
    out, err = daemon.process.communicate(timeout=20)
    assert daemon.process.returncode == 0, err
    assert "drained True" in out


def test_stop_may_come_from_any_thread() -> None:
    with Signals(SystemClock(), reload=lambda: None, drain=1) as signals:
        threading.Timer(0.1, signals.stop).start()
        signals.wait()
        assert signals.stopping.is_set()
        assert not signals.hurry.is_set()
        assert 0 < signals.left() <= 1


def test_the_handlers_of_before_are_given_back() -> None:
    before = [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
    with Signals(SystemClock(), reload=lambda: None, drain=1):
        assert signal.getsignal(signal.SIGTERM) not in before
    assert [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)] == before


def test_the_process_is_hardened() -> None:
    program = (
        "import ctypes, resource; from rotator.daemon.signals import harden; print(harden()); "
        "print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, cwd=ROOT)
    assert done.stdout.splitlines() == ["()", "(0, 0) 0"], done.stderr


def test_a_protection_that_fails_is_named() -> None:
    program = (
        "import resource; from rotator.daemon import signals\n"
        "def refuse(*_): raise OSError(1, 'no')\n"
        "resource.setrlimit = refuse; "
        "signals._PR_SET_DUMPABLE = 10_000; print(signals.harden())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "('core_limit', 'not_dumpable')", done.stderr


# ---- health --------------------------------------------------------------------------------------------------------


@pytest.fixture
def health() -> Iterator[tuple[HealthServer, RecordingRequests, list[bool]]]:
    requests, alive = RecordingRequests(), [True]
    server = HealthServer("127.0.0.1", 0, requests, SystemClock(), alive=lambda: alive[0], limit=2, seconds=1)
    server.start()
    yield server, requests, alive
    server.stop()


def get(server: HealthServer, path: str, method: str = "GET") -> tuple[int, str, str]:
    host, port = server.address
    request = urllib.request.Request(f"http://{host}:{port}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read().decode(), answer.headers["Content-Type"]
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(), error.headers["Content-Type"]


Health = tuple[HealthServer, RecordingRequests, list[bool]]


def test_livez_follows_the_ticker_alone(health: Health) -> None:
    server, requests, alive = health
    requests.answers["ready"] = (False, "no_installation")
    assert get(server, "/livez")[0] == 200
    alive[0] = False
    assert get(server, "/livez")[:2] == (503, "ticker_dead\n")


def test_readyz_says_the_reason(health: Health) -> None:
    server, requests, _ = health
    assert get(server, "/readyz")[0] == 200
    requests.answers["ready"] = (False, "ledger_read_only")
    assert get(server, "/readyz")[:2] == (503, "ledger_read_only\n")


def test_metrics_are_prometheus_text(health: Health) -> None:
    server, _, _ = health
    status, text, kind = get(server, "/metrics")
    assert (status, text) == (200, "rotator_build_info 1\n")
    assert kind.startswith("text/plain; version=0.0.4")


def test_a_bug_is_unwell_and_says_nothing(health: Health) -> None:
    server, requests, _ = health
    requests.answers["metrics"] = ValueError("canary-in-metrics")
    status, text, _ = get(server, "/metrics")
    assert status == 500
    assert "canary" not in text


def test_nothing_else_is_served(health: Health) -> None:
    server, requests, _ = health
    assert get(server, "/v1/status")[0] == 404
    assert get(server, "/livez", "POST")[0] == 405
    assert get(server, "/livez", "HEAD")[:2] == (200, "")
    assert requests.acts() == []


def test_silent_callers_do_not_hold_the_health_port(health: Health) -> None:
    server, _, _ = health
    held = [socket.create_connection(server.address) for _ in range(2)]
    time.sleep(1.4)
    assert get(server, "/livez")[0] == 200
    for one in held:
        one.close()


def test_an_address_that_is_taken_is_an_error(health: Health) -> None:
    server, requests, _ = health
    host, port = server.address
    second = HealthServer(host, port, requests, SystemClock(), alive=lambda: True)
    with pytest.raises(PortRefused, match=r"cannot listen on .*: Address already in use"):
        second.start()
