"""What systemd is told: one datagram each, and nothing where nobody asked."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from rotator.daemon import supervisor


@pytest.fixture(params=["path", "abstract"])
def heard(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    name = str(tmp_path / "notify") if request.param == "path" else f"@rotator-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as inbox:
        inbox.bind(name.replace("@", "\0", 1))
        inbox.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        yield inbox


def test_each_state_is_one_datagram(heard: socket.socket) -> None:
    supervisor.ready()
    supervisor.reloading(12.5)
    supervisor.stopping()
    supervisor.alive()
    said = [heard.recv(200).decode() for _ in range(4)]
    assert said == ["READY=1", "RELOADING=1\nMONOTONIC_USEC=12500000", "STOPPING=1", "WATCHDOG=1"]


@pytest.mark.parametrize("address", ["", "/nowhere/notify", "vsock:2:1", "relative"])
def test_nobody_to_tell_is_no_failure(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    supervisor.ready()
