"""The whole daemon as a process: a test message and a failed reload reach a receiver, signed; the figures say so."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .hostile_server import Hostile, answer, hostile


@dataclass
class Running:
    """A daemon with a receiver of its messages."""

    folder: Path
    receiver: Hostile
    key: str
    listen: int
    process: subprocess.Popen[bytes]

    def cli(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "rotator.cli", "--socket", str(self.folder / "api.sock"), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def messages(self, event: str, seconds: float = 15) -> list[dict[str, object]]:
        """Those of an event that arrived, each with a good signature; waits for the first."""
        until = time.monotonic() + seconds
        while True:
            found = [checked(request, self.key) for request in self.receiver.requests]
            wanted = [one for one in found if one["type"] == f"rotator.{event}.v1"]
            if wanted or time.monotonic() >= until:
                return wanted
            time.sleep(0.1)

    def metrics(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.listen}/metrics", timeout=10) as got:
            return str(got.read().decode())


def checked(request: bytes, key: str) -> dict[str, object]:
    head, _, body = request.partition(b"\r\n\r\n")
    given = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    signed = f"{given['webhook-id']}.{given['webhook-timestamp']}.".encode() + body
    wanted = base64.b64encode(hmac.new(key.encode(), signed, hashlib.sha256).digest()).decode()
    assert given["webhook-signature"] == f"v1,{wanted}"
    found: dict[str, object] = json.loads(body)
    assert found["id"] == given["webhook-id"]
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    key, listen = secrets.token_urlsafe(32), free_port()
    secret = tmp_path / "hook.key"
    secret.write_text(key)
    secret.chmod(0o600)
    with hostile(answer(204, b"")) as receiver:
        (tmp_path / "rotator.yaml").write_text(
            "apiVersion: rotator/v1\ninstallation: acme\n"
            f"daemon:\n  ledger: {tmp_path}/ledger.db\n  fingerprint_key: {{file: {tmp_path}/keys/f.key}}\n"
            f"  socket: {tmp_path}/api.sock\n  listen: 127.0.0.1:{listen}\n  tick: 1s\n"
            f"stores: {{main: {{type: local, path: {tmp_path}/store, key: {{file: {tmp_path}/keys/s.key}}}}}}\n"
            "notify:\n  channels:\n"
            f"    soc: {{type: webhook, url: {receiver.url}/in, secrets: [{{file: {secret}}}]}}\n"
            "  routes:\n    pages: {events: [all], channels: [soc]}\n"
            "freezes:\n  weekly: {from: Sat, to: Sun, reason: nobody is there}\n"
        )
        config = ["--config", str(tmp_path / "rotator.yaml")]
        subprocess.run(
            [sys.executable, "-m", "rotator.cli", "init", *config], check=True, timeout=60, capture_output=True
        )
        log = (tmp_path / "log").open("wb")
        process = subprocess.Popen([sys.executable, "-m", "rotator.cli", "serve", *config], stdout=log, stderr=log)
        try:
            found = Running(tmp_path, receiver, key, listen, process)
            until = time.monotonic() + 30
            while found.cli("status").returncode != 0:
                assert process.poll() is None, (tmp_path / "log").read_text()
                assert time.monotonic() < until, (tmp_path / "log").read_text()
            yield found
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
            log.close()


def test_a_test_message_goes_the_whole_way_and_a_failed_reload_is_told(running: Running) -> None:
    done = running.cli("notify", "test", "pages", "-o", "json")
    assert done.returncode == 0, f"{done.stdout}{done.stderr}{(running.folder / 'log').read_text()}"
    document = json.loads(done.stdout)
    assert [one["state"] for one in document["items"]] == ["sent"]
    (message,) = running.messages("test")
    assert message["id"] == document["message"]
    assert 'rotator_notices{channel="soc",state="sent"} 1' in running.metrics()
    listed = json.loads(running.cli("notify", "list", "-o", "json").stdout)
    assert [one["channel"] for one in listed["channels"]] == ["soc"]
    assert json.loads(running.cli("freezes", "-o", "json").stdout)["items"][0]["id"] == "weekly"
    path = running.folder / "rotator.yaml"
    path.write_text(path.read_text().replace("installation: acme", "instalation: acme"))
    os.kill(running.process.pid, signal.SIGHUP)
    assert len(running.messages("reload_failed")) == 1
    log = (running.folder / "log").read_text()
    assert running.key not in log
    assert "daemon.courier.bug" not in log
