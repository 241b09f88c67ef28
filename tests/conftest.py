"""Fixtures for real servers, started once a run, when first asked for, and ended with it.

A server that is not installed is a failure that says what to run, never a skip. Tests that stop, seal or kill a server
start one of their own with the `start_*` factories; the shared ones are for everybody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.lab.alerta import Alerta
from tests.lab.install import NotInstalled
from tests.lab.openbao import OpenBaoCluster, OpenBaoDev, OpenBaoRaft
from tests.lab.postgres import Postgres
from tests.lab.proxy import Proxy
from tests.model.closing import pytest_terminal_summary as pytest_terminal_summary


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is marked `long` runs when it is asked for: by `-m`, or by naming its file. `make test` is for everybody."""
    named = {Path(config.invocation_params.dir, one.partition("::")[0]).resolve() for one in config.args}
    if config.option.markexpr:
        return
    left = [one for one in items if one.get_closest_marker("long") and one.path.resolve() not in named]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [one for one in items if one not in set(left)]


Started = TypeVar("Started", Alerta, OpenBaoCluster, OpenBaoDev, OpenBaoRaft, Postgres)


def _start(stack: ExitStack, make: Callable[..., Started], *arguments: Any, **options: Any) -> Started:
    try:
        server = make(*arguments, **options)
    except NotInstalled as absent:
        pytest.fail(str(absent), pytrace=False)
    stack.enter_context(server)
    return server


@pytest.fixture(scope="session")
def openbao() -> Iterator[OpenBaoDev]:
    """A dev OpenBao, shared by the run: use paths of your own, do not seal or restart it."""
    with ExitStack() as stack:
        yield _start(stack, OpenBaoDev)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL, shared by the run: use roles and databases of your own, do not restart it."""
    with ExitStack() as stack:
        yield _start(stack, Postgres)


@pytest.fixture(scope="session")
def alerta(postgres: Postgres) -> Iterator[Alerta]:
    """An alerta server, shared by the run: do not restart it, nor expect its list of keys to hold yours only."""
    with ExitStack() as stack:
        yield _start(stack, Alerta, postgres)


@pytest.fixture
def start_openbao_dev() -> Iterator[Callable[[], OpenBaoDev]]:
    """A function that starts a dev OpenBao of the test's own."""
    with ExitStack() as stack:
        yield lambda: _start(stack, OpenBaoDev)


@pytest.fixture
def start_openbao_raft() -> Iterator[Callable[..., OpenBaoRaft]]:
    """A function that starts a raft OpenBao of the test's own; it takes the options of OpenBaoRaft."""
    with ExitStack() as stack:
        yield lambda **options: _start(stack, OpenBaoRaft, **options)


@pytest.fixture
def start_openbao_cluster() -> Iterator[Callable[..., OpenBaoCluster]]:
    """A function that starts two raft nodes of the test's own; it takes the options of OpenBaoCluster."""
    with ExitStack() as stack:
        yield lambda **options: _start(stack, OpenBaoCluster, **options)


@pytest.fixture
def start_postgres() -> Iterator[Callable[..., Postgres]]:
    """A function that starts a PostgreSQL of the test's own; it takes server settings."""
    with ExitStack() as stack:
        yield lambda **settings: _start(stack, Postgres, **settings)


@pytest.fixture
def start_alerta() -> Iterator[Callable[[Postgres], Alerta]]:
    """A function that starts an alerta of the test's own over a PostgreSQL."""
    with ExitStack() as stack:
        yield lambda database: _start(stack, Alerta, database)


@pytest.fixture
def start_proxy() -> Iterator[Callable[..., Proxy]]:
    """A function that starts a fault proxy in front of a port; it takes the arguments of Proxy."""
    with ExitStack() as stack:
        yield lambda upstream_port, **options: stack.enter_context(Proxy(upstream_port, **options))
