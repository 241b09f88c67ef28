"""The real daemon rotates a password of a server that its authors did not write, by a pack alone.

A real OpenBao holds the values, a real devpi judges them; everything is done with the `rotator` command.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.lab import api_client
from tests.lab.devpi import ADMIN, WRONG_PASSWORD, Devpi
from tests.lab.install import NotInstalled
from tests.lab.openbao import OpenBaoDev
from tests.lab.process import Process, free_port, wait_until

ROOT = Path(__file__).resolve().parents[2]
ROTATOR = Path(sys.executable).with_name("rotator")
WHY = ("--reason", "acceptance")


class Site:
    """One devpi user with a password in OpenBao, and a daemon that governs it."""

    def __init__(self, folder: Path, bao: OpenBaoDev, devpi: Devpi, traits: dict[str, str]) -> None:
        self.folder, self.bao, self.devpi = folder, bao, devpi
        self.tag = secrets.token_hex(3)
        self.user = f"svc-{self.tag}"
        self.path = f"app-{self.tag}/index"
        self.first = devpi.create_user(self.user)
        bao.admin.put(self.path, {"password": self.first, "username": self.user, "index": "root/dev"})
        bao.admin.put(f"admin-{self.tag}/devpi", {"password": devpi.admin_password})
        self._write(traits)
        start = [str(ROTATOR), "serve", "--config", str(folder / "rotator.yaml")]
        self.daemon = Process("rotator", start, folder / "daemon.log", env=self._environment(), cwd=folder)

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.defpath, "HOME": str(self.folder), "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'plugins'}",
        }  # fmt: skip

    def _secret_file(self, name: str, content: bytes) -> dict[str, str]:
        with os.fdopen(os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(content)
        return {"file": str(self.folder / name)}

    def _write(self, traits: dict[str, str]) -> None:
        name = f"site-{self.tag}"
        policy = (ROOT / "config" / "openbao-policy.hcl").read_text()
        words = {"MOUNT": "secret", "INSTALLATION": name, "APP": f"app-{self.tag}", "ADMIN": f"admin-{self.tag}"}
        for word, text in words.items():
            policy = re.sub(rf"\b{word}\b", text, policy)
        self.bao.admin.write_policy(name, policy)
        role = self.bao.admin.make_approle(name, [name])
        secret_id = self._secret_file("secret-id", role.secret_id.encode())
        document = {
            "apiVersion": "rotator/v1",
            "installation": name,
            "daemon": {
                "ledger": str(self.folder / "ledger.db"), "socket": str(self.folder / "api.sock"),
                "fingerprint_key": self._secret_file("fingerprint.key", secrets.token_bytes(32)),
                "listen": f"127.0.0.1:{free_port()}", "tick": "200ms", "deadline": "5s", "landing": "200ms",
            },
            "stores": {
                "main": {
                    "type": "vault", "url": self.bao.url, "mount": "secret",
                    "auth": {"approle": {"role_id": role.role_id, "secret_id": secret_id}},
                },
            },
            "endpoints": {
                "index": {
                    "plugin": "http", "pack": "devpi", "config": {"url": self.devpi.url}, "traits": traits,
                    "admin": {
                        "principal": ADMIN,
                        "value": {"store": "main", "path": f"admin-{self.tag}/devpi", "field": "password"},
                    },
                },
            },
            "policies": {
                "standard": {
                    "every": "365d", "overlap": "0s", "patience": {"attempts": 4, "span": "2s"},
                    "proof": {"times": 2, "over": "300ms", "grade": 1},
                },
            },
            "credentials": {
                "uploads": {
                    "owner": "itsm@lab.test", "purpose": "uploads packages", "workflows": ["uploads"],
                    "expires": "2099-12-31", "tier": "T2", "policy": "standard",
                    "authority": {"endpoint": "index", "kind": "password", "principal": self.user},
                    "store": {
                        "in": "main", "path": self.path, "value": "password", "fields": {"username": "principal"},
                    },
                },
            },
        }  # fmt: skip
        (self.folder / "rotator.yaml").write_text(json.dumps(document, indent=2))

    def start(self) -> None:
        """Start the daemon and wait for its API."""
        self.daemon.start()
        self.daemon.wait_ready(lambda: self.ask("/v1/plugins")[0] == 200, 30)

    def ask(self, target: str) -> tuple[int, Any]:
        """One question to the daemon; status 0 if nobody answers."""
        try:
            return api_client.ask(self.folder / "api.sock", "GET", target)
        except (OSError, http.client.HTTPException):
            return 0, None

    def rotator(self, *arguments: str, code: int = 0) -> str:
        """Run a command, which must end with `code`; what it printed."""
        done = subprocess.run(
            [str(ROTATOR), "--socket", str(self.folder / "api.sock"), *arguments],
            env=self._environment(), cwd=self.folder, capture_output=True, text=True, timeout=90,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def run(self) -> dict[str, Any]:
        """The newest run."""
        status, found = self.ask("/v1/runs?credential=uploads&limit=1")
        assert status == 200
        newest: dict[str, Any] = found["items"][0]
        return newest

    def stored(self) -> dict[str, Any]:
        """What readers of the store find, read as root."""
        version = self.bao.admin.get(self.path)
        assert version is not None
        return dict(version.data or {})

    def said_of(self, password: str) -> str:
        """The server's own words about a password, asked past Rotator; empty if it is let in."""
        answer = self.devpi.login(self.user, password)
        return "" if answer.status == 200 else f"{answer.status} {answer.json()['message']}"

    def written(self) -> bytes:
        """Every byte that the daemon wrote, but for what was made before it started."""
        files = [one for one in self.folder.iterdir() if one.name.startswith(("ledger.db", "daemon.log"))]
        return b"".join(one.read_bytes() for one in files)


@pytest.fixture(scope="module")
def devpi() -> Iterator[Devpi]:
    try:
        server = Devpi()
    except NotInstalled as absent:
        pytest.fail(str(absent), pytrace=False)
    with server:
        yield server


@pytest.fixture
def start_site(tmp_path: Path, openbao: OpenBaoDev, devpi: Devpi) -> Iterator[Any]:
    """A function that makes a site and starts its daemon; it takes the endpoint's numbers."""
    sites: list[Site] = []

    def start(**traits: str) -> Site:
        site = Site(tmp_path, openbao, devpi, traits)
        sites.append(site)
        site.start()
        return site

    yield start
    for site in sites:
        site.daemon.end()


def test_adopts_and_rotates_a_password_and_the_server_itself_refuses_the_old_one(start_site: Any) -> None:
    # Nobody logs in for a token here: clients send the password with each call, so nothing outlives it.
    site: Site = start_site(derived_live="0s")
    tried = site.rotator("plugins", "try", "index")
    assert ADMIN in tried, tried
    site.rotator("adopt", "uploads", *WHY, "--wait")
    assert site.stored()["password"] == site.first, "adopting changes nothing"
    assert site.said_of(site.first) == ""
    site.rotator("verify", "uploads")

    site.rotator("rotate", "uploads", *WHY, "--yes", "--wait")

    run = site.run()
    assert (run["kind"], run["ending"], run["debts"]) == ("rotate", "succeeded", [])
    held = site.stored()
    assert held["password"] != site.first
    assert (held["username"], held["index"]) == (site.user, "root/dev")
    assert site.said_of(held["password"]) == ""
    assert site.said_of(site.first) == f"401 user '{site.user}' {WRONG_PASSWORD}"
    assert site.devpi.accepts(ADMIN, site.devpi.admin_password)
    site.rotator("verify", "uploads")
    for value in (site.first, held["password"], site.devpi.admin_password):
        assert value.encode() not in site.written()


def test_a_password_is_not_called_dead_while_logins_made_with_it_live(start_site: Any) -> None:
    site: Site = start_site()
    token = site.devpi.login(site.user, site.first).json()["result"]["password"]
    site.rotator("adopt", "uploads", *WHY, "--wait")
    began = datetime.now().astimezone()
    site.rotator("rotate", "uploads", *WHY, "--yes", "--no-wait")
    wait_until(lambda: site.stored()["password"] != site.first, "the new password", 60)
    held = site.stored()["password"]
    wait_until(lambda: site.run()["wake"] is not None and "prov" in site.run()["display"], "the wait", 30)

    run = site.run()
    wake = datetime.fromisoformat(run["wake"])
    assert run["ended"] is None
    assert timedelta(hours=9, minutes=59) < wake - began < timedelta(hours=10, minutes=5)
    assert site.said_of(held) == ""
    assert site.said_of(site.first) == f"401 user '{site.user}' {WRONG_PASSWORD}"
    who = site.devpi.ask("GET", "/+api", user=site.user, password=token).json()["result"]["authstatus"]
    assert who[:2] == ["ok", site.user], "and that is why"


def test_an_admin_whose_password_was_changed_changes_nothing_and_asks_a_person(start_site: Any) -> None:
    site: Site = start_site(derived_live="0s")
    devpi = site.devpi
    site.rotator("adopt", "uploads", *WHY, "--wait")
    other = secrets.token_urlsafe(18)
    devpi.set_password(ADMIN, other)
    try:
        tried = site.rotator("plugins", "try", "index", code=10)
        assert "acting refused" in tried, tried
        site.rotator("rotate", "uploads", *WHY, "--yes", "--no-wait")
        wait_until(lambda: site.run()["question"] is not None or site.run()["ended"] is not None, "the stop", 60)
    finally:
        assert devpi.ask("PATCH", f"/{ADMIN}", {"password": devpi.admin_password}, password=other).status == 200

    run = site.run()
    assert (run["ended"], run["ending"]) == (None, None)
    assert "admin_refused" in json.dumps(run["question"]), run
    assert site.stored()["password"] == site.first
    assert site.said_of(site.first) == ""
