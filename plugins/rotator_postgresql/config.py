"""How an endpoint of the PostgreSQL plugin is configured. Read by the host and by `wire`; it never holds a secret.

Nothing is taken from the environment: no PG* variable, password file or service file is looked at, since the wire
protocol is spoken here (see `wire`).
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final

SSLMODES: Final = ("", "verify-full", "verify-ca", "disable")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One server, reached as `host`:`port`, logged in to at `database`.

    `hostaddr`: an IP address to connect to instead of resolving `host` (the name is still what TLS checks).
    `sslmode`: empty = `verify-full`, except on loopback, where it is `disable`. `sslrootcert`: a PEM file with the
    authorities to trust; empty = those of the system. `insecure`: allows `disable` on other than loopback addresses.
    `end_sessions`: a sweep ends the role's open sessions; otherwise they live on. Raises ValueError on nonsense.
    """

    host: str
    database: str
    port: int = 5432
    hostaddr: str = ""
    sslmode: str = ""
    sslrootcert: str = ""
    insecure: bool = False
    end_sessions: bool = False

    def __post_init__(self) -> None:
        if not self.host or any(sign in self.host for sign in "/,\0 "):
            raise ValueError("host: one name or address of a server (no socket folder, no list)")
        if not 0 < self.port < 65536:
            raise ValueError("port: a number from 1 to 65535")
        if not self.database or "\0" in self.database:
            raise ValueError("database: the name of the database to log in to")
        if self.hostaddr:
            try:
                ipaddress.ip_address(self.hostaddr)
            except ValueError:
                raise ValueError("hostaddr: an IP address, or leave it out") from None
        if self.sslmode not in SSLMODES:
            raise ValueError("sslmode: verify-full, verify-ca or disable (or leave it out)")
