"""How the PostgreSQL plugin's tests call it: roles of a real server, and one function per ability.

Used by `test_plugin_postgresql*` only.
"""

from __future__ import annotations

import secrets
from typing import Any

from psycopg import sql
from rotator_postgresql import Config, plugin

from rotator.plugin_api import Generation, InstallRequest, PreflightRequest, ProbeRequest, Secret, Subject
from tests.lab.postgres import Postgres
from tests.unit.plugin_desk import Desk, acting

(PASSWORD,) = plugin.kinds


def start() -> Postgres:
    """A server whose log shows as much as a log can."""
    return Postgres(log_statement="all", log_min_messages="debug1", log_min_error_statement="debug1")


def admin_of(server: Postgres) -> tuple[str, str]:
    """An acting role with exactly the documented permissions, which also owns what it makes."""
    name = f"admin_{secrets.token_hex(4)}"
    return name, server.create_role(name, createrole=True)


def desk_of(server: Postgres, admin: tuple[str, str]) -> Desk:
    return Desk(Config(host="127.0.0.1", port=server.port, database="postgres"), acting(*admin))


def role(server: Postgres, admin: tuple[str, str], name: str | None = None, tail: str = "login") -> str:
    """A role that `admin` may rotate: since 16 its creator has ADMIN OPTION on it."""
    made = name or f"app_{secrets.token_hex(4)}"
    with server.connect(*admin) as connection:
        connection.execute(sql.SQL("create role {} " + tail).format(sql.Identifier(made)))
    return made


def install(desk: Desk, name: str, value: str) -> Any:
    subject = Subject(principal=name)
    request = InstallRequest(into=subject, value=Secret(value), of=Generation(subject=subject), label="rot-t-1")
    return desk(PASSWORD.install, request)


def probe(desk: Desk, name: str, value: str) -> Any:
    return desk(PASSWORD.probe, ProbeRequest(target=Generation(subject=Subject(principal=name)), value=Secret(value)))


def preflight(desk: Desk, name: str) -> Any:
    return desk(PASSWORD.preflight, PreflightRequest(subject=Subject(principal=name)))


def fresh() -> str:
    return "canary-" + secrets.token_urlsafe(24)


def through(desk: Desk, port: int, seconds: float = 10.0) -> Desk:
    config = Config(host="127.0.0.1", port=port, database="postgres")
    return Desk(config, desk.actor, seconds=seconds)


def error_response(code: str, severity: str = "ERROR") -> bytes:
    fields = b"".join(
        k + v.encode() + b"\0" for k, v in ((b"S", "FEHLER"), (b"V", severity), (b"C", code), (b"M", "x"))
    )
    return b"E" + (len(fields) + 5).to_bytes(4, "big") + fields + b"\0" + b"Z\0\0\0\5I"
