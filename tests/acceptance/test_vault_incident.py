"""The real daemon with a wrapped secret id that somebody else unwrapped: it says so everywhere, and does not hammer.

A real OpenBao; what is seen is what an operator sees: readiness, metrics, the log. No credential is needed for it.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import api_client, wire
from tests.lab.openbao import OpenBaoDev
from tests.lab.openbao_logins import Logins
from tests.lab.process import Process, free_port, wait_until
from tests.lab.proxy import Proxy

ROOT = Path(__file__).resolve().parents[2]
ROTATOR = Path(sys.executable).with_name("rotator")


class Site:
    """A daemon whose one store logs in by a wrapped secret id, behind a proxy."""

    def __init__(self, folder: Path, bao: OpenBaoDev, proxy: Proxy) -> None:
        self.folder, self.bao, self.proxy, self.port = folder, bao, proxy, free_port()
        self.logins, self.file = Logins(bao.admin), folder / "wrapped"
        policy = (ROOT / "config" / "openbao-policy.hcl").read_text()
        for word, text in {"MOUNT": "secret", "INSTALLATION": "incident", "APP": "app", "ADMIN": "admin"}.items():
            policy = re.sub(rf"\b{word}\b", text, policy)
        bao.admin.write_policy("incident", policy)
        self.role_id = self.logins.approle("incident", "rotator", ["incident"])
        self._private("fingerprint.key", secrets.token_bytes(32))
        self.write()

    def _private(self, name: str, content: bytes) -> Path:
        with os.fdopen(os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            out.write(content)
        return self.folder / name

    def write(self, **store: Any) -> None:
        """Write the configuration."""
        login = {
            "role_id": self.role_id, "secret_id": {"file": str(self.file)}, "mount": "incident",
            "wrapped": True, "role": "rotator",
        }  # fmt: skip
        document = {
            "apiVersion": "rotator/v1",
            "installation": "incident",
            "daemon": {
                "ledger": str(self.folder / "ledger.db"), "socket": str(self.folder / "api.sock"),
                "fingerprint_key": {"file": str(self.folder / "fingerprint.key")},
                "listen": f"127.0.0.1:{self.port}", "tick": "200ms",
            },
            "stores": {"main": {"type": "vault", "url": self.proxy.url, "auth": {"approle": login}, **store}},
        }  # fmt: skip
        (self.folder / "rotator.yaml").write_text(json.dumps(document))

    def deliver(self) -> str:
        """A new wrapped secret id in the file; the wrapping token."""
        token = self.logins.wrapped("auth/incident/role/rotator/secret-id")
        self._private("wrapped", token.encode())
        return token

    def start(self) -> Process:
        """Start the daemon and wait until it answers."""
        env = {
            "PATH": os.defpath, "HOME": str(self.folder), "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'plugins'}",
        }  # fmt: skip
        command = [str(ROTATOR), "serve", "--config", str(self.folder / "rotator.yaml")]
        daemon = Process("rotator", command, self.folder / "daemon.log", env=env, cwd=self.folder)
        daemon.start()
        daemon.wait_ready(lambda: self.health("/livez")[0] == 200, 30)
        return daemon

    def health(self, path: str) -> tuple[int, str]:
        """Status and text of the health port; 0 while nobody answers."""
        try:
            answer = wire.call("GET", f"http://127.0.0.1:{self.port}{path}")
        except OSError:
            return 0, ""
        return answer.status, answer.body.decode()

    def metric(self) -> list[str]:
        """The samples of the metric of incidents."""
        return [one for one in self.health("/metrics")[1].splitlines() if one.startswith("rotator_store_incidents")]

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log's lines with this event."""
        lines = [json.loads(one) for one in (self.folder / "daemon.log").read_text().splitlines() if one[:1] == "{"]
        return [one for one in lines if one["event"] == name]

    def reload(self) -> tuple[int, Any]:
        """Ask for a reload, as the command line does."""
        return api_client.ask(self.folder / "api.sock", "POST", "/v1/reload", {})


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with OpenBaoDev() as bao, Proxy(bao.port) as proxy:
        yield Site(tmp_path, bao, proxy)


def test_secret_id_that_somebody_else_unwrapped(site: Site) -> None:
    token = site.deliver()
    site.logins.unwrap(token)
    daemon = site.start()
    try:
        wait_until(lambda: site.health("/readyz")[0] == 503, "not ready", 30)
        words = site.health("/readyz")[1]
        assert words.startswith("store_secret_id_taken: store main: Incident: the wrapped secret id was unwrapped by")
        assert site.metric() == ['rotator_store_incidents{store="main",reason="store_secret_id_taken"} 1']
        (line,) = site.events("store.incident")
        assert (line["level"], line["store"], line["reason"]) == ("error", "main", "store_secret_id_taken")
        wait_until(lambda: len(site.events("daemon.mark.unread")) >= 2, "a second try of the daemon's own", 30)
        asked = [one.path for one in site.proxy.log]
        assert asked.count("/v1/sys/wrapping/lookup") == 2
        assert [one for one in asked if "unwrap" in one or "login" in one] == []
        assert site.health("/livez")[0] == 200
        # The remedy of the runbook: another delivery, and nothing else.
        fresh = site.deliver()
        wait_until(lambda: site.health("/readyz")[0] == 200, "ready again", 30)
        assert site.metric() == []
        assert len(site.events("store.incident.over")) == 1
        # What was unwrapped is kept over a reload: no incident of our own making.
        site.write(insecure=True)
        assert site.reload()[0] == 200
        assert site.health("/readyz")[0] == 200
        text = (site.folder / "daemon.log").read_text()
        assert token not in text
        assert fresh not in text
    finally:
        daemon.end()


def test_bad_ca_at_a_reload_is_told_in_words_with_its_code(site: Site) -> None:
    site.deliver()
    daemon = site.start()
    try:
        wait_until(lambda: site.health("/readyz")[0] == 200, "ready", 30)
        bad = site.folder / "ca.pem"
        bad.write_text("canary: no certificate")
        site.write(ca=str(bad))
        status, answer = site.reload()
        text = json.dumps(answer)
        assert (status >= 400, "CFG-STORE" in text, "store_ca" in text, "ROT-INTERNAL" in text) == (
            True, True, True, False,
        )  # fmt: skip
        os.kill(daemon.pid, signal.SIGHUP)
        wait_until(lambda: site.events("daemon.reload.failed") != [], "the reload by signal", 30)
        assert site.events("daemon.reload.failed")[0]["code"] == "CFG-STORE"
        assert site.health("/readyz")[0] == 200
    finally:
        daemon.end()
