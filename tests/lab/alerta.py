"""A real alerta server over a real PostgreSQL: the cheapest target with a full API key lifecycle.

Called by fixtures, tests and the demonstration. Keys, passwords and the signing key are made at run time. It must
never log an answer's body: alerta repeats rejected keys, and lists the others in clear.
"""

from __future__ import annotations

import http.client
import os
import secrets
import subprocess
from collections.abc import Sequence
from typing import Any

from tests.lab import wire
from tests.lab.install import environment, site_packages
from tests.lab.postgres import Postgres
from tests.lab.process import Folder, LabError, Process, Server, free_port

ADMIN = "admin@lab.test"


class Alerta(Server):
    """An alerta server with a database of its own on `database`, which must run and is left alone by stop and close.

    `admin_key` is an API key with the scopes admin, write and read; `admin_password` belongs to the user ADMIN. Use
    keys, not bearer tokens, through a proxy: a bearer token is bound to the Host it was made for.
    """

    def __init__(self, database: Postgres) -> None:
        """Create role, database, schema, admin user and admin key; the server is not started yet."""
        site_packages("alerta")
        self.database = database
        self.port = free_port()
        self.folder = Folder("alerta")
        self.admin_password = secrets.token_urlsafe(18)
        self.admin_key = secrets.token_urlsafe(30)
        self.dbname = f"alerta_{secrets.token_hex(4)}"
        database_password = database.create_role(self.dbname)
        database.create_database(self.dbname, self.dbname)
        config = self.folder.path / "alertad.conf"
        url = f"postgresql://{self.dbname}:{database_password}@127.0.0.1:{database.port}/{self.dbname}"
        signing_key = secrets.token_urlsafe(30)
        with os.fdopen(os.open(config, os.O_WRONLY | os.O_CREAT, 0o600), "w") as out:
            out.write(self._config(url, signing_key))
        # The interpreter is named, not the script: a script's first line breaks when the path is long or has a space.
        self._command = [str(environment("alerta") / "bin" / "python"), "-W", "ignore"]
        self._env = {
            "ALERTA_SVR_CONF_FILE": str(config), "FLASK_APP": "alerta.app:create_app", "HOME": str(self.folder.path),
            "PATH": os.defpath, "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip
        run = [*self._command, "-c", _RUN, "--host", "127.0.0.1", "--port", str(self.port), "--no-reload"]
        conceal = (self.admin_password, self.admin_key, database_password, signing_key)
        log = self.folder.path / "log"
        self.process = Process("alerta", run, log, env=self._env, cwd=self.folder.path, conceal=conceal)
        try:
            self._create_admin()
        except BaseException:
            self.folder.remove()
            raise

    def _config(self, url: str, signing_key: str) -> str:
        settings: dict[str, Any] = {
            "DATABASE_URL": url,
            "DATABASE_NAME": self.dbname,
            "SECRET_KEY": signing_key,
            "AUTH_REQUIRED": True,
            "AUTH_PROVIDER": "basic",
            "ADMIN_USERS": [ADMIN],
            "SIGNUP_ENABLED": False,
            "PLUGINS": [],
        }
        return "".join(f"{name} = {value!r}\n" for name, value in settings.items())

    def _create_admin(self) -> None:
        # By a program on standard input: passwords and keys on a command line can be read by everybody.
        done = subprocess.run(
            [*self._command, "-c", _CREATE_ADMIN],
            input=f"{ADMIN}\n{self.admin_password}\n{self.admin_key}\n",
            env=self._env, cwd=self.folder.path, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        if done.returncode != 0:
            with self.log.open("a") as out:
                out.write(done.stdout + done.stderr)
            raise LabError(f"alerta: the admin was not created\n{self.process.log_tail()}")

    def _launch(self) -> None:
        self.process.start()
        self.process.wait_ready(self._is_good_to_go)

    def _is_good_to_go(self) -> bool:
        try:
            return wire.call("GET", f"{self.url}/management/gtg", timeout_s=5).status == 200
        except http.client.HTTPException:
            return False

    @property
    def url(self) -> str:
        """The server's address without a path."""
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, body: Any = None, key: str | None = None) -> wire.Reply:
        """Send one call with an API key (the admin's unless told otherwise) and return the answer."""
        return wire.call(method, f"{self.url}{path}", body, {"Authorization": f"Key {key or self.admin_key}"})

    def create_key(self, text: str, scopes: Sequence[str] = ("read",), user: str = ADMIN) -> dict[str, Any]:
        """Create an API key and return alerta's record of it: id, key, text, scopes, expireTime, ..."""
        answer = self.ask("POST", "/key", {"user": user, "scopes": list(scopes), "text": text})
        if answer.status != 201:
            raise LabError(f"alerta: create key answered {answer.status}")
        record: dict[str, Any] = answer.json()["data"]
        return record

    def keys(self) -> list[dict[str, Any]]:
        """Return all records of API keys, with the keys in clear. A page has 50 rows unless told otherwise."""
        found: dict[str, dict[str, Any]] = {}
        for page in range(1, _MOST_PAGES):
            answer = self.ask("GET", f"/keys?page={page}&page-size={_PAGE}&sort-by=key")
            if answer.status != 200:
                raise LabError(f"alerta: list of keys answered {answer.status}")
            body = answer.json()
            found |= {row["id"]: row for row in body["keys"]}
            if body["more"] is False:
                return list(found.values())
        raise LabError("alerta: the list of keys does not end")

    def accepts(self, key: str) -> bool:
        """Tell whether alerta takes an API key: 200 on GET /alerts is yes, 401 no, anything else LabError."""
        status = self.ask("GET", "/alerts", key=key).status
        if status not in {200, 401}:
            raise LabError(f"alerta: GET /alerts answered {status}")
        return status == 200

    def delete_key(self, key_id: str) -> int:
        """Revoke a key by its id (or value) and return the status: 200, or 404 if there is none."""
        return self.ask("DELETE", f"/key/{key_id}").status


_PAGE, _MOST_PAGES = 500, 1000

_RUN = "import sys; from alerta.commands import cli; sys.argv[0] = 'alertad'; sys.argv.insert(1, 'run'); cli()"

_CREATE_ADMIN = """
import sys
from alerta.commands import _create_app
from alerta.auth.utils import generate_password_hash
from alerta.models.enums import Scope
from alerta.models.key import ApiKey
from alerta.models.user import User
login, password, key = sys.stdin.read().split()
app = _create_app()
with app.app_context():
    User(name='Admin', login=login, password=generate_password_hash(password), roles=app.config['ADMIN_ROLES'],
         text='admin of the laboratory', email=login, email_verified=True).create()
    ApiKey(user=login, key=key, scopes=[Scope.admin, Scope.write, Scope.read], text='admin of the laboratory').create()
"""
