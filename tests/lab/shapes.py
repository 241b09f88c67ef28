"""The shapes of credentials in the laboratory: how each is first made on its real server, and what is true of it.

Each shape is prepared as an administrator would (before Rotator knows of it) and judged by asking the servers: which
of the values it ever had works, what readers find in the store, what consumers hold, what else lives.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import psycopg

from tests.lab.estate import Estate
from tests.lab.proxy import Proxy


@dataclass(slots=True)
class Watched:
    """Every value that was ever seen for a credential: (principal, value), in the order of their appearance."""

    values: list[tuple[str, str]] = field(default_factory=list)
    generations: dict[str, int] = field(default_factory=dict)
    """Under which generation a value was staged, as the store's own path says."""

    def see(self, principal: str, value: str, generation: int | None = None) -> None:
        """Remember a value."""
        if generation is not None:
            self.generations[value] = generation
        if (principal, value) not in self.values:
            self.values.append((principal, value))


class Shape(Protocol):
    """One credential of a shape."""

    name: str
    watched: Watched

    @property
    def neighbour(self) -> str:
        """A field of the secret that is nobody's business and must stay."""
        ...

    @property
    def in_place(self) -> bool:
        """Whether one account has one value, so that readers are refused between install and promote."""
        ...

    @property
    def faults(self) -> Mapping[str, Mapping[str, Any]]:
        """What may happen between the daemon and this platform: rules of its proxy, by name."""
        ...

    def between(self, estate: Estate) -> Proxy:
        """The proxy before its platform."""
        ...

    def principals(self, estate: Estate) -> list[str]:
        """Whoever its values may belong to."""
        ...

    def strays(self, estate: Estate, debts: Sequence[Mapping[str, Any]]) -> list[str]:
        """What the server lists as alive though it is neither what readers find nor a debt; empty where it cannot."""
        ...

    def prepare(self, estate: Estate) -> None:
        """Make it on its server, put its first value into the store, describe it in the configuration."""
        ...

    def current(self, estate: Estate) -> tuple[str, str] | None:
        """(principal, value) that readers of the store find now."""
        ...

    def accepts(self, estate: Estate, principal: str, value: str) -> bool:
        """Whether the server itself takes the value now."""
        ...

    def refusal(self, estate: Estate, principal: str, value: str) -> str:
        """The server's own words when it refuses the value, without the value; empty if it takes it."""
        ...

    def living(self, estate: Estate) -> list[str]:
        """What the server lists as alive for this credential's principals: handles, or principals that can log in."""
        ...


def stored(estate: Estate, name: str) -> dict[str, Any] | None:
    """All fields of the credential's secret, read as root, past every proxy. None: nothing is there."""
    return estate.reader.get(estate.path_of(name))


def staged(estate: Estate, name: str) -> Iterator[tuple[int, str]]:
    """(generation, value) of all that the store still keeps for the credential, read as root."""
    return estate.reader.staged(name)


def handle_of(row: Mapping[str, Any]) -> str:
    """By which handle Rotator knows a key of alerta, made anew here from the server's id."""
    return hashlib.sha256(str(row["id"]).encode()).hexdigest()[:32]


@dataclass(slots=True)
class AlertaKey:
    """An API key: many alive at once. Its id is a credential too, so that nothing of ours may show it in clear."""

    name: str
    watched: Watched = field(default_factory=Watched)
    neighbour: ClassVar[str] = "url"
    in_place: ClassVar[bool] = False
    faults: ClassVar[Mapping[str, Mapping[str, Any]]] = {}  # they stand in `soak_faults`

    def between(self, estate: Estate) -> Proxy:
        return estate.web

    def principals(self, estate: Estate) -> list[str]:
        return [self.user]

    def strays(self, estate: Estate, debts: Sequence[Mapping[str, Any]]) -> list[str]:
        current = self.current(estate)
        known = {debt["handle"] for debt in debts} | {debt["label"] for debt in debts if debt["label"]}
        others = [row for row in self.rows(estate) if current is None or row["key"] != current[1]]
        return [f"{handle_of(row)} ({row['text']})" for row in others if not {handle_of(row), row["text"]} & known]

    @property
    def user(self) -> str:
        """The user whose keys these are."""
        return f"{self.name}@lab.test"

    def prepare(self, estate: Estate) -> None:
        record = estate.servers.alerta.create_key(f"first key of {self.name}", ("read", "read:keys"), self.user)
        self.watched.see(self.user, record["key"])
        fields = {"key": record["key"], "url": estate.servers.alerta.url}
        estate.reader.put(estate.path_of(self.name), fields)
        estate.describe(
            self.name,
            {
                "authority": {
                    "endpoint": "alerta", "kind": "key", "principal": self.user, "scopes": ["read", "read:keys"],
                },
                "store": {"in": estate.holds, "path": estate.path_of(self.name), "value": "key"},
            },
        )  # fmt: skip

    def current(self, estate: Estate) -> tuple[str, str] | None:
        fields = stored(estate, self.name)
        return None if not fields or "key" not in fields else (self.user, fields["key"])

    def accepts(self, estate: Estate, principal: str, value: str) -> bool:
        return estate.servers.alerta.accepts(value)

    def refusal(self, estate: Estate, principal: str, value: str) -> str:
        answer = estate.servers.alerta.ask("GET", "/alerts", key=value)
        if answer.status == 200:
            return ""
        return f"{answer.status} {answer.json().get('message', '')}".replace(value, "...")

    def living(self, estate: Estate) -> list[str]:
        return [handle_of(row) for row in self.rows(estate)]

    def rows(self, estate: Estate) -> list[dict[str, Any]]:
        """The server's records of this user's keys, in clear."""
        return [row for row in estate.servers.alerta.keys() if row["user"] == self.user]  # noqa: SIM118 - a method


@dataclass(slots=True)
class Roles:
    """Passwords of PostgreSQL roles: one role (single slot), or two that take turns, with a file that consumes them."""

    name: str
    alternating: bool
    watched: Watched = field(default_factory=Watched)
    neighbour: ClassVar[str] = "host"
    faults: ClassVar[Mapping[str, Mapping[str, Any]]] = {}  # they stand in `soak_faults`

    @property
    def in_place(self) -> bool:
        return not self.alternating

    def between(self, estate: Estate) -> Proxy:
        return estate.database

    def principals(self, estate: Estate) -> list[str]:
        return self.roles(estate)

    def strays(self, estate: Estate, debts: Sequence[Mapping[str, Any]]) -> list[str]:
        return []  # a role has one password

    def roles(self, estate: Estate) -> list[str]:
        """The principals."""
        stem = f"{self.name}_{estate.tag}".replace("-", "_")
        return [f"{stem}_a", f"{stem}_b"] if self.alternating else [stem]

    def prepare(self, estate: Estate) -> None:
        database, roles = estate.servers.postgres, self.roles(estate)
        for role in roles:
            # The idle one's first password is nobody's: it is replaced, not owned.
            value = database.create_role(role)
            if role == roles[0]:
                self.watched.see(role, value)
            database.query(f'GRANT "{role}" TO "{estate.rotator_role}" WITH ADMIN OPTION, INHERIT FALSE, SET FALSE')
        principal, value = self.watched.values[0]
        fields = {"password": value, "username": principal, "host": "127.0.0.1"}
        estate.reader.put(estate.path_of(self.name), fields)
        (estate.files / f"{self.name}.env").write_text(f"USER={principal}\nPASS={value}\n")
        who = {"principals": roles} if self.alternating else {"principal": roles[0]}
        estate.describe(
            self.name,
            {
                "authority": {"endpoint": "database", "kind": "password", **who},
                "store": {
                    "in": estate.holds, "path": estate.path_of(self.name), "value": "password",
                    "fields": {"username": "principal"},
                },
                "consumers": [
                    {
                        "endpoint": "files", "kind": "file", "path": f"{self.name}.env",
                        "fields": {"USER": "principal", "PASS": "value"},
                    }
                ],
            },
        )  # fmt: skip

    def current(self, estate: Estate) -> tuple[str, str] | None:
        fields = stored(estate, self.name)
        return None if not fields or "password" not in fields else (fields["username"], fields["password"])

    def accepts(self, estate: Estate, principal: str, value: str) -> bool:
        return estate.servers.postgres.login(principal, value)

    def refusal(self, estate: Estate, principal: str, value: str) -> str:
        try:
            estate.servers.postgres.connect(principal, value).close()
        except psycopg.OperationalError as error:
            return str(error).strip().splitlines()[0].rpartition("FATAL:")[2].strip().replace(value, "...")
        return ""

    def living(self, estate: Estate) -> list[str]:
        return self.roles(estate)

    def held(self, estate: Estate) -> tuple[str, str] | None:
        """What the consumer's file holds; None: no file, or nothing in it."""
        path = estate.files / f"{self.name}.env"
        if not path.exists():
            return None
        lines = dict(line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)
        if "PASS" not in lines:
            return None
        return unquoted(lines["USER"]), unquoted(lines["PASS"])


def unquoted(text: str) -> str:
    """A value of an env file without its quotes (values here have none inside)."""
    text = text.strip()
    if text[:1] == '"':
        return str(json.loads(text))
    return text.strip("'")
