"""`rotator health`: what a container's health check asks, as a process."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.lab.process import free_port
from tests.unit.hostile_server import answer, hostile, raw


def health(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rotator.cli", "health", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize(("words", "path"), [((), b"GET /livez "), (("--ready",), b"GET /readyz ")])
def test_a_daemon_that_is_well_is_0(words: tuple[str, ...], path: bytes) -> None:
    with hostile(answer(200, b"ok\n")) as server:
        done = health("--listen", f"127.0.0.1:{server.port}", *words)
    assert (done.returncode, done.stdout) == (0, "ok\n")
    assert server.requests[0].startswith(path)


def test_a_daemon_that_is_unwell_says_why() -> None:
    with hostile(answer(503, b"ticker_dead\n")) as server:
        done = health("--listen", f"127.0.0.1:{server.port}")
    assert (done.returncode, done.stdout) == (13, "ticker_dead\n")


def test_nobody_and_nonsense_are_unwell() -> None:
    assert health("--listen", f"127.0.0.1:{free_port()}").returncode == 13
    with hostile(raw(b"220 mail.example\r\n")) as server:
        assert health("--listen", f"127.0.0.1:{server.port}").returncode == 13
    assert health("--listen", "9464").returncode == 2
