"""A real devpi package index: users with one password each, and logins that give tokens.

Called by fixtures and tests. The administrator's password is made at run time. It must never reach the internet: the
mirror of a public index is not created, and the server runs offline.
"""

from __future__ import annotations

import base64
import http.client
import os
import secrets
import subprocess
from collections.abc import Mapping
from typing import Any

from tests.lab import wire
from tests.lab.install import environment, site_packages
from tests.lab.process import Folder, LabError, Process, Server, free_port

ADMIN = "root"
WRONG_PASSWORD = "could not be authenticated"
"""What devpi says to a wrong password, and word for word the same for a user who does not exist."""


class Devpi(Server):
    """A devpi server with its data in a folder of its own. `admin_password` belongs to the user ADMIN.

    The key that signs login tokens is made once and kept through restarts, as an operator would have it.
    """

    def __init__(self) -> None:
        """Create the data folder with the admin in it; the server is not started yet."""
        site_packages("devpi")
        self.port = free_port()
        self.folder = Folder("devpi")
        self.admin_password = secrets.token_urlsafe(18)
        # The interpreter is named, not the script: a script's first line breaks when the path is long or has a space.
        self._command = [str(environment("devpi") / "bin" / "python"), "-W", "ignore"]
        self._env = {
            "HOME": str(self.folder.path), "PATH": os.defpath, "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip
        data, key = self.folder.path / "data", self.folder.path / "key"
        run = [
            *self._command, "-c", _RUN, "--host", "127.0.0.1", "--port", str(self.port), "--serverdir", str(data),
            "--secretfile", str(key), "--offline-mode", "--threads", "8",
        ]  # fmt: skip
        log = self.folder.path / "log"
        self.process = Process(
            "devpi", run, log, env=self._env, cwd=self.folder.path, conceal=(self.admin_password,)
        )  # fmt: skip
        try:
            with os.fdopen(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
                out.write(secrets.token_urlsafe(48))
            self._create_data(str(data))
        except BaseException:
            self.folder.remove()
            raise

    def _create_data(self, data: str) -> None:
        # By a program on standard input: a password on a command line can be read by everybody.
        done = subprocess.run(
            [*self._command, "-c", _INIT, data],
            input=self.admin_password,
            env=self._env, cwd=self.folder.path, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        if done.returncode != 0:
            with self.log.open("a") as out:
                out.write(done.stdout + done.stderr)
            raise LabError(f"devpi: the data were not created\n{self.process.log_tail()}")

    def _launch(self) -> None:
        self.process.start()
        self.process.wait_ready(self._answers, timeout_s=120)

    def _answers(self) -> bool:
        try:
            return wire.call("GET", f"{self.url}/+api", timeout_s=5).status == 200
        except http.client.HTTPException:
            return False

    @property
    def url(self) -> str:
        """The server's address without a path."""
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, user: str = ADMIN, password: str = ""
    ) -> wire.Reply:
        """Send one call as `user` (the admin unless told otherwise), with the password itself; the answer."""
        pair = base64.b64encode(f"{user}:{password or self.admin_password}".encode()).decode()
        return wire.call(method, f"{self.url}{path}", body, {"X-Devpi-Auth": pair, "Accept": "application/json"})

    def login(self, user: str, password: str) -> wire.Reply:
        """Log in and return the answer, whatever it is."""
        return wire.call("POST", f"{self.url}/+login", {"user": user, "password": password})

    def accepts(self, user: str, password: str) -> bool:
        """Tell whether devpi logs the user in: 200 is yes, 401 in its own words is no, anything else LabError."""
        answer = self.login(user, password)
        if answer.status == 200 and answer.json()["type"] == "proxyauth":
            return True
        if answer.status == 401 and str(answer.json()["message"]).endswith(WRONG_PASSWORD):
            return False
        raise LabError(f"devpi: login answered {answer.status}")

    def create_user(self, name: str) -> str:
        """Create a user and return the password made for it."""
        password = secrets.token_urlsafe(18)
        answer = self.ask("PUT", f"/{name}", {"password": password})
        if answer.status != 201:
            raise LabError(f"devpi: create user answered {answer.status}")
        return password

    def set_password(self, name: str, password: str) -> None:
        """Give a user another password, behind everybody's back."""
        status = self.ask("PATCH", f"/{name}", {"password": password}).status
        if status != 200:
            raise LabError(f"devpi: change password answered {status}")

    def delete_user(self, name: str) -> None:
        """Remove a user."""
        status = self.ask("DELETE", f"/{name}").status
        if status not in {200, 404}:
            raise LabError(f"devpi: delete user answered {status}")


_RUN = "import sys; from devpi_server.main import main; sys.argv[0] = 'devpi-server'; sys.exit(main())"

_INIT = """
import sys
from devpi_server.init import init
password = sys.stdin.read().strip()  # with "=": it may begin with "-"
sys.exit(init(argv=['devpi-init', '--serverdir', sys.argv[1], '--no-root-pypi', f'--root-passwd={password}']))
"""
