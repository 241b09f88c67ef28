"""Where a PostgreSQL ledger stands and how it is logged in to. Made by the daemon's bootstrap of the settings.

The password stands in a file of its own, is read anew at every login (a changed one needs no restart) and goes straight
to the driver: it is in no address, no representation, no exception and no environment. Must never connect without TLS
to another machine unless the configuration says so.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import psycopg

from rotator.engine.ports import LedgerError

SCHEME: Final = "postgresql://"
_FORM: Final = re.compile(
    r"postgresql://(?P<user>[^\s:@/?#]+)@(?P<host>\[[0-9a-fA-F:.]+\]|[^\s:@/?#\[\]]+)(:(?P<port>\d{1,5}))?/(?P<db>[^\s:@/?#]+)"
)
_LONGEST: Final = 4096
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class Place:
    """`password`: a file, None where the server asks for none; `ca`: a bundle, None: the system's."""

    host: str
    port: int
    user: str
    database: str
    password: Path | None = None
    ca: Path | None = None
    insecure: bool = False

    def connect(self) -> psycopg.Connection[Any]:
        """A new session that may write. Raises LedgerError (`password_missing`, `password_mode`, `password_refused`,
        `missing_database`, `unavailable`, `read_only`)."""
        try:
            return psycopg.connect(
                host=self.host, port=self.port, user=self.user, dbname=self.database,
                # An empty text, not None: the library would look into PGPASSWORD and ~/.pgpass.
                password="" if self.password is None else _read(self.password), passfile=os.devnull,
                application_name="rotator", target_session_attrs="read-write",
                connect_timeout=3, keepalives=1, keepalives_idle=5, keepalives_interval=2, keepalives_count=3,
                tcp_user_timeout=8000, **self._encryption(),
            )  # fmt: skip
        except psycopg.Error as error:
            raise LedgerError(_why(error)) from None

    def _encryption(self) -> dict[str, Any]:
        if self.host.startswith("/") or self.host in _LOOPBACK or self.insecure:
            return {"sslmode": "prefer", "gssencmode": "disable"}
        ca = "system" if self.ca is None else str(self.ca)
        return {"sslmode": "verify-full", "sslrootcert": ca, "gssencmode": "disable"}


def place_of(address: str, password: Path | None = None, ca: Path | None = None, *, insecure: bool = False) -> Place:
    """The place of `postgresql://user@host:port/database`. Raises ValueError: without the address, which might hold
    what does not belong there."""
    found = _FORM.fullmatch(address)
    if found is None:
        raise ValueError("not the address of a PostgreSQL database")
    host = unquote(found["host"]).strip("[]")
    return Place(host, int(found["port"] or 5432), unquote(found["user"]), unquote(found["db"]), password, ca, insecure)


def _read(path: Path) -> str:
    """The file's text without its last line end. The same demands as on every file with a value."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        raise LedgerError("password_missing") from None
    with os.fdopen(descriptor, "rb") as file:
        seen = os.fstat(file.fileno())
        if not stat.S_ISREG(seen.st_mode) or seen.st_mode & 0o077 or seen.st_uid not in {0, os.geteuid()}:
            raise LedgerError("password_mode")
        try:
            return file.read(_LONGEST).decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            raise LedgerError("password_missing") from None


def _why(error: psycopg.Error) -> str:
    """A failed login has no code, only the server's words: known ones are told apart, the rest is `unavailable`."""
    text = str(error)
    if "password authentication failed" in text or "no password supplied" in text or "pg_hba.conf" in text:
        return "password_refused"
    if "database" in text and "does not exist" in text:
        return "missing_database"
    if "session is read-only" in text or "hot standby" in text:
        return "read_only"
    return "unavailable"
