"""A real Zabbix frontend with its API, from Debian packages, over a real PostgreSQL: issued tokens, errors under 200.

Called by fixtures and tests. Only the frontend runs: tokens need no Zabbix server. The administrators' passwords and
tokens are made at run time. It must never log an answer's body: tokens are shown there, once.
"""

from __future__ import annotations

import gzip
import http.client
import json
import os
import secrets
import shutil
from pathlib import Path
from typing import Any

import psycopg

from tests.lab import wire
from tests.lab.debian import need, package_file
from tests.lab.postgres import Postgres
from tests.lab.process import Folder, LabError, Process, Server, free_port

ADMIN = "rotator"
"""The super administrator that the tests act as."""
SUPER_ADMIN, USER_ROLE = "3", "1"
"""Roles of a new installation."""
NOT_AUTHORIZED = "Not authorized."
"""What Zabbix says to a token that it does not know, that is disabled, or whose user is disabled."""

ADMINISTRATORS, NO_FRONTEND, DISABLED = "7", "12", "9"
"""Groups of a new installation. A user belongs to at least one."""
_CONFIG = """<?php
$DB['TYPE'] = 'POSTGRESQL'; $DB['SERVER'] = '127.0.0.1'; $DB['PORT'] = '{port}'; $DB['DATABASE'] = '{name}';
$DB['USER'] = '{name}'; $DB['PASSWORD'] = '{password}'; $DB['SCHEMA'] = ''; $DB['ENCRYPTION'] = false;
$DB['KEY_FILE'] = ''; $DB['CERT_FILE'] = ''; $DB['CA_FILE'] = ''; $DB['VERIFY_HOST'] = false; $DB['CIPHER_LIST'] = '';
$DB['VAULT_URL'] = ''; $DB['VAULT_DB_PATH'] = ''; $DB['VAULT_TOKEN'] = ''; $DB['DOUBLE_IEEE754'] = true;
$ZBX_SERVER_NAME = 'laboratory'; $IMAGE_FORMAT_DEFAULT = IMAGE_FORMAT_PNG;
"""


_CONFIG_PLACE = "'/etc/zabbix/zabbix.conf.php'"


class RpcError(LabError):
    """Zabbix answered with an error. `code` and `data` are its own."""

    def __init__(self, method: str, code: int, data: str) -> None:
        super().__init__(f"zabbix: {method}: {code} {data}")
        self.code, self.data = code, data


class Zabbix(Server):
    """A Zabbix frontend with a database of its own on `database`, which must run and is left alone by stop and close.

    `admin_token` is an API token of the super administrator ADMIN.
    """

    def __init__(self, database: Postgres) -> None:
        """Create role, database and schema (some ten seconds); the server is not started yet."""
        need("zabbix")
        self.database = database
        self.port = free_port()
        self.folder = Folder("zabbix")
        self.dbname = f"zabbix_{secrets.token_hex(4)}"
        self.admin_token = ""
        self._password = database.create_role(self.dbname)
        try:
            database.create_database(self.dbname, self.dbname)
            self._fill_database()
            self._copy_frontend()
        except BaseException:
            self.folder.remove()
            raise
        php = shutil.which("php") or "/usr/bin/php"
        # One process, no workers of its own: workers would outlive a parent that is killed.
        run = [
            php, "-d", "display_errors=0", "-d", "max_execution_time=60", "-d", "post_max_size=16M",
            "-S", f"127.0.0.1:{self.port}", "-t", str(self._www),
        ]  # fmt: skip
        env = {"PATH": os.defpath, "HOME": str(self.folder.path), "LC_ALL": "C.UTF-8"}
        log = self.folder.path / "log"
        self.process = Process("zabbix", run, log, env=env, cwd=self.folder.path, conceal=(self._password,))

    @property
    def _www(self) -> Path:
        return self.folder.path / "www"

    def _fill_database(self) -> None:
        for name in ("schema", "images", "data"):
            script = gzip.decompress(package_file("zabbix-server-pgsql", f"/{name}.sql.gz").read_bytes())
            with psycopg.connect(self._dsn(), autocommit=True) as connection:
                connection.execute("SET synchronous_commit = off")
                connection.execute(script)

    def _dsn(self) -> str:
        return self.database.dsn(self.dbname, self._password, self.dbname)

    def _copy_frontend(self) -> None:
        """The place of the configuration file is a constant of the program: a copy of it is changed."""
        installed = package_file("zabbix-frontend-php", "/api_jsonrpc.php").parent
        shutil.copytree(installed, self._www, ignore=shutil.ignore_patterns("locale", "assets", "audio", "fonts"))
        config = self.folder.path / "zabbix.conf.php"
        with os.fdopen(os.open(config, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(_CONFIG.format(port=self.database.port, name=self.dbname, password=self._password))
        program = self._www / "include/classes/core/CConfigFile.php"
        text = program.read_text()
        if text.count(_CONFIG_PLACE) != 1:
            raise LabError("zabbix: this version keeps the place of its configuration file elsewhere")
        program.write_text(text.replace(_CONFIG_PLACE, f"'{config}'"))

    def _launch(self) -> None:
        self.process.start()
        self.process.wait_ready(self._answers)
        if not self.admin_token:
            self._make_admin()

    def _answers(self) -> bool:
        try:
            return bool(self.call("apiinfo.version", {}, auth=None))
        except (http.client.HTTPException, ValueError, LabError):
            return False

    def _make_admin(self) -> None:
        """A super administrator of our own; the one that every installation has loses its well-known password."""
        session = self.call("user.login", {"username": "Admin", "password": "zabbix"}, auth=None)
        password = f"{secrets.token_urlsafe(18)}aA1"
        self.call("user.update", {"userid": "1", "passwd": password}, auth=session)
        self.admin_token = self.call("user.login", {"username": "Admin", "password": password}, auth=None)
        userid = self.create_user(ADMIN, roleid=SUPER_ADMIN)
        self.admin_token = self.create_token(userid, "of the laboratory")[1]

    @property
    def url(self) -> str:
        """The frontend's address, under which api_jsonrpc.php is."""
        return f"http://127.0.0.1:{self.port}"

    def post(self, body: Any) -> wire.Reply:
        """Send a body to the API as it is, and return the answer."""
        headers = {"Content-Type": "application/json-rpc"}
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return wire.call("POST", f"{self.url}/api_jsonrpc.php", data, headers, timeout_s=30)

    def call(self, method: str, params: Any, *, auth: str | None = "") -> Any:
        """The result of one call, as the administrator, with another token or session, or (None) as nobody."""
        request: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        if auth is not None:
            request["auth"] = auth or self.admin_token
        answer = self.post(request)
        if answer.status != 200:
            raise LabError(f"zabbix: {method} answered {answer.status}")
        body = answer.json()
        if "error" in body:
            raise RpcError(method, int(body["error"]["code"]), str(body["error"]["data"]))
        return body["result"]

    def create_user(self, name: str, roleid: str = USER_ROLE, group: str = ADMINISTRATORS) -> str:
        """Create a user with a password that nobody knows and return its id."""
        made = self.call(
            "user.create",
            {
                "username": name, "roleid": roleid, "passwd": f"{secrets.token_urlsafe(18)}aA1",
                "usrgrps": [{"usrgrpid": group}],
            },
        )  # fmt: skip
        return str(made["userids"][0])

    def create_role(self, name: str, rules: dict[str, Any], kind: int = 1) -> str:
        """Create a role of user type `kind` (1 user, 2 admin, 3 super admin) and return its id."""
        return str(self.call("role.create", {"name": name, "type": kind, "rules": rules})["roleids"][0])

    def give_role(self, userid: str, roleid: str) -> None:
        """Give a user another role."""
        self.call("user.update", {"userid": userid, "roleid": roleid})

    def disable_user(self, userid: str, *, back: bool = False) -> None:
        """Put a user into the group of the disabled, or (`back`) out of it."""
        groups = [ADMINISTRATORS] if back else [ADMINISTRATORS, DISABLED]
        self.call("user.update", {"userid": userid, "usrgrps": [{"usrgrpid": one} for one in groups]})

    def create_token(self, userid: str, name: str, expires_at: int = 0) -> tuple[str, str]:
        """Create a token and its value, as a person would: (id, value)."""
        params = {"userid": userid, "name": name, "expires_at": expires_at}
        tokenid = str(self.call("token.create", params)["tokenids"][0])
        return tokenid, str(self.call("token.generate", [tokenid])[0]["token"])

    def tokens(self, userid: str | None = None) -> list[dict[str, Any]]:
        """The records of a user's tokens (of all users): tokenid, name, userid, status, expires_at, lastaccess, ..."""
        rows: list[dict[str, Any]] = self.call("token.get", {} if userid is None else {"userids": userid})
        return rows

    def whose(self, token: str) -> str:
        """The user that a token belongs to; "" if Zabbix does not take it, RpcError for other answers."""
        try:
            return str(self.call("user.checkAuthentication", {"token": token}, auth=None)["username"])
        except RpcError as error:
            if error.data in {NOT_AUTHORIZED, "API token expired."}:
                return ""
            raise

    def accepts(self, token: str) -> bool:
        """Tell whether Zabbix takes a token."""
        return self.whose(token) != ""

    def refusal(self, token: str) -> str:
        """Zabbix's own words about a token; empty if it takes it."""
        try:
            self.call("user.checkAuthentication", {"token": token}, auth=None)
        except RpcError as error:
            return f"200 {error.code} {error.data}"
        return ""

    def delete_token(self, tokenid: str) -> None:
        """Delete a token, behind everybody's back."""
        self.call("token.delete", [tokenid])

    def query(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run one statement on Zabbix's own database."""
        return self.database.query(statement, *parameters, dbname=self.dbname)
