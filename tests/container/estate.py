"""The containers of the test: compose.yaml as it is shipped, a PostgreSQL beside it, and what is asked of them.

Called by `python -m tests.container`. Values pass on standard input only. Imports no room of ours.
"""

from __future__ import annotations

import json
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from tests.container.engine import Engine, EngineError, image
from tests.lab.install import ROOT
from tests.lab.process import free_port

FILES = ("compose.yaml", "tests/container/compose.test.yaml")
DAEMON, BAO = "rotator_rotator_1", "rotator_openbao_1"
ADMIN, ROLE = "rotator_admin", "orders"
CONFIGURATION = """\
apiVersion: rotator/v1
endpoints:
  database:
    plugin: postgresql
    config: {host: postgres, database: postgres, sslmode: disable, insecure: true}
    admin: {principal: rotator_admin, value: {store: main, path: admin/database, field: password}}
policies:
  quick:
    every: 30d
    overlap: 0s
    proof: {times: 3, over: 2s}
credentials:
  orders:
    owner: itsm@example.org
    purpose: the order service's database role
    workflows: [orders]
    expires: 2099-12-31
    tier: T2
    policy: quick
    authority: {endpoint: database, kind: password, principal: orders}
    store: {in: main, path: app/orders, value: password, fields: {username: principal}}
"""


class Containers:
    """Compose up, its parts, and their end. `password`: of PostgreSQL's superuser, made for this run."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.folder = Path(tempfile.mkdtemp(prefix="rotator-container-"))
        self.password = secrets.token_urlsafe(18)
        self.port, self.health = free_port(), free_port()
        config = self.folder / "config"
        config.mkdir()
        shutil.copy(ROOT / "config" / "container" / "rotator.yaml", config)
        (config / "orders.yaml").write_text(CONFIGURATION)
        superuser = self.folder / "superuser"
        superuser.write_text(self.password)
        superuser.chmod(0o644)  # another uid reads it in its container; the folder is 0700
        for path in (config, *config.iterdir()):
            path.chmod(0o755 if path.is_dir() else 0o644)
        self.env = {
            "ROTATOR_IMAGE": image("rotator"), "OPENBAO_IMAGE": image("rotator-openbao"),
            "ROTATOR_PORT": str(self.health), "POSTGRES_PORT": str(self.port),
            "ROTATOR_CONFIG": str(config), "SUPERUSER_FILE": str(superuser),
        }  # fmt: skip

    def up(self) -> None:
        """Start everything. What an earlier run left is taken away first."""
        self.down()
        self.engine.compose(FILES, self.env, "up", "-d")
        wait("PostgreSQL", lambda: self.login("postgres", self.password))
        wait("the daemon", self.healthy)

    def down(self) -> None:
        """End the containers and remove their volumes."""
        self.engine.compose(FILES, self.env, "down", "-v")

    def close(self) -> None:
        """`down`, and the folder is removed."""
        try:
            self.down()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def healthy(self) -> bool:
        """Whether the image's own health check passes."""
        try:
            self.engine.podman("healthcheck", "run", DAEMON)
        except EngineError:
            return False
        return True

    def rotator(self, *words: str) -> dict[str, Any]:
        """One command of ours in the daemon's container, as its user: the JSON that it prints."""
        said = self.engine.podman("exec", DAEMON, "rotator", *words, "-o", "json", seconds=180)
        found = json.loads(said)
        assert isinstance(found, dict)
        return found

    def hand_over(self, name: str, value: str) -> str:
        """Put a value into a 0600 file of the daemon's user in its container; the file's path."""
        path = f"/tmp/{name}"
        script = f"umask 077; cat > {path}"
        self.engine.podman("exec", "-i", DAEMON, "sh", "-c", script, stdin=value.encode())
        return path

    def login(self, role: str, password: str) -> bool:
        """Whether PostgreSQL takes the password."""
        return self.refusal(role, password) is None

    def refusal(self, role: str, password: str) -> str | None:
        """PostgreSQL's own words for its refusal; None if it lets us in."""
        try:
            with psycopg.connect(
                host="127.0.0.1", port=self.port, dbname="postgres", user=role, password=password, connect_timeout=5
            ):
                return None
        except psycopg.OperationalError as error:
            return str(error).strip().splitlines()[0].rpartition("FATAL:")[2].strip().replace(password, "...")

    def make_roles(self) -> tuple[str, str]:
        """The role that rotates and the role that is rotated; their first passwords."""
        admin, first = secrets.token_urlsafe(18), secrets.token_urlsafe(18)
        with psycopg.connect(
            host="127.0.0.1", port=self.port, dbname="postgres", user="postgres", password=self.password
        ) as connection:
            for role, word, value in ((ADMIN, "CREATEROLE LOGIN", admin), (ROLE, "LOGIN", first)):
                connection.execute(
                    sql.SQL("CREATE ROLE {} WITH {} PASSWORD {}").format(
                        sql.Identifier(role), sql.SQL(word), sql.Literal(value)
                    )
                )
            connection.execute(f"GRANT {ROLE} TO {ADMIN} WITH ADMIN OPTION, INHERIT FALSE, SET FALSE")
        return admin, first

    def current(self) -> tuple[str, str]:
        """User and password as a reader of the store finds them: asked of OpenBao, past the daemon."""
        secret_id = self.engine.podman("exec", DAEMON, "cat", "/run/rotator-keys/secret-id")
        script = (
            'read -r sid; BAO_TOKEN=$(bao write -field=token auth/approle/login role_id=rotator secret_id="$sid") '
            "bao kv get -format=json -mount=secret app/orders"
        )
        said = self.engine.podman("exec", "-i", BAO, "sh", "-c", script, stdin=(secret_id + "\n").encode())
        data = json.loads(said)["data"]["data"]
        # An adopt takes the value over and changes nothing else: the name comes with the first promote.
        return str(data.get("username", ROLE)), str(data["password"])


def wait(what: str, done: Callable[[], bool], seconds: float = 90) -> None:
    """Until it is so; EngineError if it never is."""
    until = time.monotonic() + seconds
    while not done():
        if time.monotonic() > until:
            raise EngineError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.3)
