"""A ledger of the test's own, once per implementation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rotator.engine.ports import Ledger
from tests.lab.postgres import Postgres

from .drivers import DRIVERS, Driver, postgresql_driver, sqlite_driver


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Driver:
    if request.param == "sqlite":
        return sqlite_driver(tmp_path)
    server: Postgres = request.getfixturevalue("postgres")
    return postgresql_driver(server, tmp_path)


@pytest.fixture
def ledger(driver: Driver) -> Iterator[Ledger]:
    opened = driver()
    yield opened
    opened.close()
