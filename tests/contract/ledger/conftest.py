"""A ledger of the test's own, once per implementation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rotator.engine.ports import Ledger

from .drivers import DRIVERS, Driver


@pytest.fixture(params=sorted(DRIVERS))
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Driver:
    return DRIVERS[request.param](tmp_path)


@pytest.fixture
def ledger(driver: Driver) -> Iterator[Ledger]:
    opened = driver()
    yield opened
    opened.close()
