"""An estate: real servers behind fault proxies, a configuration over them, the real daemon and its command line.

Used by the demo, the kills, the soak and the acceptance tests. Everything is done as a user would do it: files, the
`rotator` command, signals. It imports no room of ours, and it asks the servers themselves what is true.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.lab import api_client
from tests.lab.alerta import Alerta
from tests.lab.openbao import OpenBao
from tests.lab.postgres import Postgres
from tests.lab.process import LabError, Process, free_port, wait_until
from tests.lab.proxy import Proxy
from tests.lab.readers import BaoReader, Reader

ROOT = Path(__file__).resolve().parents[2]
ROTATOR = Path(sys.executable).with_name("rotator")


@dataclass(frozen=True, slots=True)
class Servers:
    """The real servers, started by the caller, which also ends them. Many estates may share them."""

    openbao: OpenBao
    postgres: Postgres
    alerta: Alerta


@dataclass(frozen=True, slots=True)
class Tempo:
    """Spans of the daemon and the policies, as configuration text: short, so that a test need not wait for days."""

    tick: str = "200ms"
    deadline: str = "2s"
    landing: str = "200ms"
    every: str = "365d"
    overlap: str = "0s"
    fresh: str = "1m"
    patience: Mapping[str, Any] = field(default_factory=lambda: {"attempts": 4, "span": "2s"})
    kill_patience: Mapping[str, Any] = field(default_factory=lambda: {"attempts": 6, "span": "4s"})
    proof: Mapping[str, Any] = field(default_factory=lambda: {"times": 2, "over": "200ms", "grade": 4})


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command of `rotator` did."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


class Estate:
    """One installation: folder, configuration, daemon. `store`: "main" (OpenBao behind a proxy) or "local"."""

    def __init__(self, folder: Path, servers: Servers, tempo: Tempo, *, store: str = "main", seed: int = 0) -> None:
        self.folder, self.servers, self.tempo, self.store = folder, servers, tempo, store
        self.bao = Proxy(servers.openbao.port, seed=seed).start()
        self.web = Proxy(servers.alerta.port, seed=seed + 1).start()
        self.database = Proxy(servers.postgres.port, protocol="raw", seed=seed + 2).start()
        self.proxies = [self.bao, self.web, self.database]
        self.endpoints: dict[str, Any] = {}
        """Endpoints of servers that not every estate has, by name. A proxy before one belongs into `proxies`."""
        self.stores: dict[str, Any] = {}
        """Stores that not every estate has, by name."""
        self.holds = "main"
        """The store of the credentials, read by `reader`. Admin values stand in "main" always."""
        self.credentials: dict[str, Any] = {}
        self.policies: dict[str, Any] = {"standard": self.policy()}
        self.files = folder / "files"
        self.config = folder / "rotator.yaml"
        self.socket = folder / "api.sock"
        self.port = free_port()
        # Names of one estate never meet those of another on the same servers.
        self.tag = secrets.token_hex(3)
        self.installation = f"lab-{self.tag}"
        self.reader: Reader = BaoReader(servers.openbao.admin, self.installation)
        self._daemon: Process | None = None
        self._prepare()

    # -- preparation -----------------------------------------------------------------------------------------------

    def policy(self, **changes: Any) -> dict[str, Any]:
        """A policy of this tempo, with some keys changed."""
        t = self.tempo
        plain = {
            "every": t.every, "overlap": t.overlap, "fresh": t.fresh, "patience": dict(t.patience),
            "kill_patience": dict(t.kill_patience), "proof": dict(t.proof),
        }  # fmt: skip
        return plain | changes

    def _prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.files.mkdir(exist_ok=True)
        admin = self.servers.openbao.admin
        words = {
            "MOUNT": "secret",
            "INSTALLATION": self.installation,
            "APP": f"app-{self.tag}",
            "ADMIN": f"admin-{self.tag}",
        }
        policy = (ROOT / "config" / "openbao-policy.hcl").read_text()
        for word, text in words.items():
            policy = re.sub(rf"\b{word}\b", text, policy)
        admin.write_policy(f"rotator-{self.tag}", policy)
        role = admin.make_approle(f"rotator-{self.tag}", [f"rotator-{self.tag}"])
        self.role_id = role.role_id
        self.secret_file("secret-id", role.secret_id)
        self.key_file("fingerprint.key")
        self.key_file("store.key")
        admin.put(f"admin-{self.tag}/alerta", {"key": self.servers.alerta.admin_key})
        self.rotator_role = f"rotator_{self.tag}"
        password = self.servers.postgres.create_role(self.rotator_role, createrole=True)
        admin.put(f"admin-{self.tag}/db", {"password": password})

    def secret_file(self, name: str, text: str) -> Path:
        """A 0600 file in the estate's folder."""
        path = self.folder / name
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            out.write(text)
        return path

    def key_file(self, name: str) -> Path:
        """32 random bytes in a 0600 file."""
        path = self.folder / name
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            out.write(secrets.token_bytes(32))
        return path

    def path_of(self, name: str) -> str:
        """Where the credential's secret stands in the store's mount."""
        return f"app-{self.tag}/{name}"

    def describe(self, name: str, body: Mapping[str, Any], **changes: Any) -> None:
        """Put a credential into the configuration (written by `write`)."""
        plain = {
            "owner": "itsm@lab.test", "purpose": f"shape {name} of the laboratory", "workflows": [f"flow-{name}"],
            "expires": "2099-12-31", "tier": "T2", "policy": "standard",
        }  # fmt: skip
        self.credentials[name] = plain | dict(body) | changes

    def write(self) -> None:
        """Write the configuration. JSON is YAML."""
        main = {
            "type": "vault", "url": self.bao.url, "mount": "secret",
            "auth": {"approle": {"role_id": self.role_id, "secret_id": {"file": str(self.folder / "secret-id")}}},
        }  # fmt: skip
        local = {"type": "local", "path": str(self.folder / "store"), "key": {"file": str(self.folder / "store.key")}}
        where = {"store": "main", "path": f"admin-{self.tag}/alerta", "field": "key"}
        database = {"store": "main", "path": f"admin-{self.tag}/db", "field": "password"}
        document = {
            "apiVersion": "rotator/v1",
            "installation": self.installation,
            "daemon": {
                "ledger": str(self.folder / "ledger.db"),
                "fingerprint_key": {"file": str(self.folder / "fingerprint.key")},
                "socket": str(self.socket), "listen": f"127.0.0.1:{self.port}", "tick": self.tempo.tick,
                "workers": 4, "deadline": self.tempo.deadline, "landing": self.tempo.landing,
            },
            "stores": {"main": main} | ({"local": local} if self.store == "local" else {}) | self.stores,
            "endpoints": {
                "alerta": {
                    "plugin": "http", "pack": "alerta", "config": {"url": self.web.url},
                    "admin": {"principal": "admin@lab.test", "value": where},
                },
                "database": {
                    "plugin": "postgresql",
                    "config": {"host": "127.0.0.1", "port": self.database.port, "database": "postgres"},
                    "admin": {"principal": self.rotator_role, "value": database},
                },
                "files": {"plugin": "file", "config": {"root": str(self.files)}},
                **self.endpoints,
            },
            "policies": self.policies,
            "credentials": self.credentials,
        }  # fmt: skip
        self.config.write_text(json.dumps(document, indent=2))

    # -- the daemon and its command line ---------------------------------------------------------------------------

    def environment(self) -> dict[str, str]:
        """The whole environment of the daemon and of the command line: nothing of the caller's."""
        return {
            "PATH": os.defpath, "HOME": str(self.folder), "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'plugins'}",
        }  # fmt: skip

    def start(self, command: Sequence[str] | None = None, timeout_s: float = 30.0, *, log_level: str = "info") -> None:
        """Start the daemon and wait until its API answers. `command`: another program in front of `serve`."""
        self.write()
        start = [*(command or [str(ROTATOR)]), "serve", "--config", str(self.config), "--log-level", log_level]
        log = self.folder / "daemon.log"
        self._daemon = Process("rotator", start, log, env=self.environment(), cwd=self.folder)
        self._daemon.start()
        self._daemon.wait_ready(self.answers, timeout_s)

    def answers(self) -> bool:
        """Whether the daemon's API answers."""
        return self.ask("GET", "/v1/plugins")[0] == 200

    def ask(self, method: str, target: str, body: Any = None) -> tuple[int, Any]:
        """One request to the daemon's API; status 0 if nobody answers."""
        try:
            return api_client.ask(self.socket, method, target, body)
        except (OSError, http.client.HTTPException, ValueError):
            return 0, None

    def runs(self, credential: str) -> list[dict[str, Any]]:
        """The credential's runs, newest first; empty if nobody answers."""
        status, found = self.ask("GET", f"/v1/runs?credential={credential}&limit=20")
        return list(found["items"]) if status == 200 else []

    @property
    def daemon(self) -> Process:
        """The daemon's process."""
        if self._daemon is None:
            raise LabError("the daemon was never started")
        return self._daemon

    def stop(self) -> None:
        """End the daemon in good order (SIGTERM), then with SIGKILL."""
        if self._daemon is not None:
            self._daemon.end()

    def rotator(self, *arguments: str, timeout_s: float = 120.0) -> Ran:
        """Run a command of `rotator` against this daemon."""
        done = subprocess.run(
            [str(ROTATOR), "--socket", str(self.socket), *arguments],
            env=self.environment(), cwd=self.folder, capture_output=True, text=True, timeout=timeout_s,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return Ran(done.returncode, done.stdout, done.stderr)

    def settled(self, credential: str, timeout_s: float = 120.0) -> dict[str, Any]:
        """Wait until the credential's newest run has ended or asks a person; that run."""
        found: dict[str, Any] = {}

        def over() -> bool:
            items = self.runs(credential)
            if not items or (items[0]["ended"] is None and items[0]["question"] is None):
                return False
            found.update(items[0])
            return True

        wait_until(over, f"the run of {credential}", timeout_s, pause_s=0.1, alive=lambda: self.daemon.running)
        return found

    def complaints(self) -> str:
        """What the daemon's log says at level warning and above; the last lines of it."""
        lines = (self.folder / "daemon.log").read_text().splitlines()
        return "\n".join([line for line in lines if '"error"' in line or '"warning"' in line][-20:])

    def clear_faults(self) -> None:
        """Remove every rule of every proxy."""
        for proxy in self.proxies:
            proxy.clear()

    def close(self) -> None:
        """End the daemon and the proxies. The folder stays with the caller."""
        self.stop()
        for proxy in self.proxies:
            proxy.stop()
