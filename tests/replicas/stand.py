"""Two real daemons over one PostgreSQL ledger, on the servers of one estate; each has its own proxy before the ledger.

Used by the tests beside it. What is true is asked of the servers, and of the ledger's rows past every proxy.
"""

from __future__ import annotations

import itertools
import json
import os
import secrets
import signal
from pathlib import Path
from typing import Any

import psycopg

from tests.lab import api_client
from tests.lab.estate import ROTATOR, Estate, Servers, Tempo
from tests.lab.postgres import Postgres
from tests.lab.process import Process, free_port, wait_until
from tests.lab.proxy import Proxy

LEASE_S = 12.2
"""Of this tempo: deadline 2 s, landing 200 ms, and the ten seconds that the daemon adds."""
_numbers = itertools.count(1)


class Replica:
    """One daemon. `ledger`: its own way to the database."""

    def __init__(self, stand: Stand, name: str) -> None:
        self.stand, self.name = stand, name
        self.folder = stand.estate.folder / name
        self.folder.mkdir()
        self.ledger = Proxy(stand.database.port, protocol="raw").start()
        self.config, self.socket = self.folder / "rotator.yaml", self.folder / "api.sock"
        self.process: Process | None = None

    def start(self) -> None:
        """Start and wait until its API answers."""
        estate = self.stand.estate
        document = json.loads(estate.config.read_text())
        document["daemon"] |= {
            "ledger": f"postgresql://{self.stand.role}@127.0.0.1:{self.ledger.port}/{self.stand.role}",
            "ledger_password": {"file": str(self.stand.password)},
            "socket": str(self.socket), "listen": f"127.0.0.1:{free_port()}",
        }  # fmt: skip
        self.config.write_text(json.dumps(document))
        command = [str(ROTATOR), "serve", "--config", str(self.config)]
        self.process = Process(f"rotator-{self.name}", command, self.log, env=estate.environment(), cwd=self.folder)
        self.process.start()
        self.process.wait_ready(lambda: self.ask("GET", "/v1/plugins")[0] == 200, 60)

    @property
    def log(self) -> Path:
        """Its log."""
        return self.folder / "daemon.log"

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self.process is not None
        return int(self.process.pid or 0)

    def ask(self, method: str, target: str, body: Any = None) -> tuple[int, Any]:
        """One request to its API; status 0 if nobody answers."""
        try:
            return api_client.ask(self.socket, method, target, body)
        except (OSError, ValueError, Exception):
            return 0, None

    def send(self, number: signal.Signals) -> None:
        """A signal."""
        os.kill(self.pid, number)

    def close(self) -> None:
        """End it, hung or not."""
        if self.process is not None and self.process.running:
            self.send(signal.SIGCONT)
            self.process.end()
        self.ledger.stop()


class Stand:
    """The estate, the ledger's own database server, two replicas."""

    def __init__(self, folder: Path, servers: Servers, database: Postgres) -> None:
        self.estate = Estate(folder, servers, Tempo())
        self.database = database
        self.role = f"replicas_{next(_numbers)}_{secrets.token_hex(3)}"
        self.password = self.estate.secret_file("ledger-password", database.create_role(self.role))
        database.create_database(self.role, owner=self.role)
        self.replicas = [Replica(self, name) for name in ("one", "two")]

    def start(self) -> None:
        """Write the configuration and start both at once, on an empty database."""
        self.estate.write()
        for one in self.replicas:
            one.start()

    def rows(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Of the ledger, past every proxy."""
        return self.database.query(statement, *parameters, dbname=self.role)

    def open_run(self, replica: Replica, verb: str, name: str) -> str:
        """Ask a replica for a run; its id."""
        body = {"ids": [name]} if verb == "adopt" else {"selection": {"ids": [name]}}
        status, answer = replica.ask("POST", f"/v1/{verb}", body | {"reason": "replicas"})
        assert status == 200, answer
        return str(answer["runs"][0]["id"])

    def ending(self, run: str, timeout_s: float = 60.0) -> str:
        """Wait until the run has ended; how."""

        def ended() -> bool:
            try:
                return self.rows("SELECT 1 FROM rotator.runs WHERE id = %s AND ended_at IS NOT NULL", run) != []
            except psycopg.OperationalError:
                return False  # it is being restarted

        wait_until(ended, f"the end of {run}", timeout_s, pause_s=0.1)
        return str(self.rows("SELECT ending FROM rotator.runs WHERE id = %s", run)[0][0])

    def owner(self, run: str) -> Replica:
        """Which replica has the run now."""
        owner = str(self.rows("SELECT owner FROM rotator.runs WHERE id = %s", run)[0][0])
        return next(one for one in self.replicas if owner.split(":")[1] == str(one.pid))

    def fences(self, run: str) -> list[int]:
        """Of its journal rows, in order."""
        rows = self.rows("SELECT fence FROM rotator.journal WHERE run = %s ORDER BY sequence", run)
        return [int(fence) for (fence,) in rows]

    def close(self) -> None:
        """End everything that was started here."""
        for one in self.replicas:
            one.close()
        self.estate.close()
