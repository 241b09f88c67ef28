"""Fixtures of the store suite: one dev OpenBao for all, a driver for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rotator.effects.stores.contract import Store
from tests.contract.stores.aws_driver import AwsDriver
from tests.contract.stores.drivers import Driver, LocalDriver, VaultDriver
from tests.lab.aws import AwsEmulator
from tests.lab.openbao import OpenBaoCluster, OpenBaoDev


@pytest.fixture(scope="session")
def store_server() -> Iterator[OpenBaoDev]:
    """A dev server for this suite."""
    with OpenBaoDev() as server:
        yield server


@pytest.fixture(scope="session")
def store_cluster() -> Iterator[OpenBaoCluster]:
    """Two nodes; the standby answers reads from its own data."""
    with OpenBaoCluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def aws_server() -> Iterator[AwsEmulator]:
    """An emulated AWS for this suite."""
    with AwsEmulator() as server:
        yield server


@pytest.fixture
def aws(aws_server: AwsEmulator, tmp_path: Path) -> AwsDriver:
    """A driver with a user, policy and names of its own on the emulated AWS."""
    return AwsDriver(aws_server, tmp_path)


@pytest.fixture
def vault(store_server: OpenBaoDev, tmp_path: Path) -> VaultDriver:
    """A driver with a policy, role and paths of its own on the dev server."""
    return VaultDriver(store_server, tmp_path)


@pytest.fixture(params=["local", "vault", "standby", "aws"])
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Driver:
    """Each store in turn; "standby" is the same code speaking to the lagging node of a cluster only."""
    if request.param == "local":
        return LocalDriver(tmp_path)
    if request.param == "vault":
        return VaultDriver(request.getfixturevalue("store_server"), tmp_path)
    if request.param == "aws":
        return AwsDriver(request.getfixturevalue("aws_server"), tmp_path)
    cluster: OpenBaoCluster = request.getfixturevalue("store_cluster")
    return VaultDriver(cluster.leader, tmp_path, url=cluster.standby.url)


@pytest.fixture
def store(driver: Driver) -> Iterator[Store]:
    """The opened store of `driver`."""
    opened = driver.open()
    yield opened
    opened.close()
