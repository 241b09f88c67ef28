"""The implementations that the contract suite is run over. A driver opens one ledger, as often as asked.

Both are told what time it is: the suite says `now` and expects it to count. That PostgreSQL's own clock counts in the
product is asked by `test_postgresql`.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable
from pathlib import Path

from rotator.daemon.clock import SystemClock
from rotator.engine.ports import Ledger
from rotator.ledger import open_ledger
from rotator.ledger.leases import CallersLeases
from rotator.ledger.postgres import open_postgres
from rotator.ledger.postgres_place import Place, place_of
from tests.lab.postgres import Postgres

Driver = Callable[[], Ledger]
"""Opens the same ledger anew: what was durable is there."""

_numbers = itertools.count(1)


def sqlite_driver(directory: Path) -> Driver:
    """One SQLite file in `directory`."""
    return lambda: open_ledger(directory / "ledger.db")


def place_in(server: Postgres, directory: Path, port: int | None = None) -> Place:
    """An empty database of its own and a role that may do nothing else; its password in a file. `port`: of a proxy."""
    name = f"ledger_{next(_numbers)}_{secrets.token_hex(3)}"
    password = directory / f"{name}.password"
    password.touch(mode=0o600)
    password.write_text(server.create_role(name) + "\n")
    server.create_database(name, owner=name)
    return place_of(f"postgresql://{name}@127.0.0.1:{port or server.port}/{name}", password)


def postgresql_driver(server: Postgres, directory: Path) -> Driver:
    """A database of its own on a real PostgreSQL."""
    place = place_in(server, directory)
    return lambda: open_postgres(place, SystemClock(), leases=CallersLeases())


DRIVERS = ("postgresql", "sqlite")
