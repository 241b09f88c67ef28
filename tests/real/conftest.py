"""Servers from Debian packages: who must be there, who may be absent, and each of them started once a run.

The variable ROTATOR_REQUIRE names the servers (with commas, or `all`) without which the run has failed: one that is
required and not installed fails its tests, and one that is required and has no tests here stops the run. Tests of a
server that is neither required nor installed are skipped, with the reason.

Every test here says whose it is: `pytestmark = pytest.mark.real("zabbix")`. `make test` does not run them: they are
deselected unless the command line names tests/real or ROTATOR_REQUIRE is set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.lab.alerta import Alerta
from tests.lab.debian import REQUIRE, missing, need, required, start_class
from tests.lab.estate import Servers
from tests.lab.install import NotInstalled
from tests.lab.openbao import OpenBaoDev
from tests.lab.postgres import Postgres

HERE = Path(__file__).parent


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "real(name): needs this server from Debian packages, see tests/real/conftest.py")
    for name in _wanted():
        if not list(HERE.glob(f"test_{name.replace('-', '_')}*.py")):
            raise pytest.UsageError(f"{REQUIRE} names {name}, but there are no tests of it")


def _wanted() -> tuple[str, ...]:
    try:
        return required()
    except ValueError as error:
        raise pytest.UsageError(f"{REQUIRE}: {error}") from None


def _asked_for(config: pytest.Config) -> bool:
    places = [Path(config.invocation_params.dir, argument.partition("::")[0]) for argument in config.args]
    return any(place.resolve().is_relative_to(HERE) for place in places)


def server_of(item: pytest.Item) -> str:
    """The server that a test of tests/real is marked with."""
    mark = item.get_closest_marker("real")
    if mark is None or len(mark.args) != 1:
        raise pytest.UsageError(f'{item.nodeid}: mark it with pytest.mark.real("name of the server")')
    return str(mark.args[0])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    ours = [item for item in items if item.path.is_relative_to(HERE)]
    wanted = _wanted()
    if not wanted and not _asked_for(config):
        config.hook.pytest_deselected(items=ours)
        items[:] = [item for item in items if item not in ours]
        return
    found = {server_of(item) for item in ours}
    # The workers of xdist cannot stop a run with words; it has been looked at above whether there are tests at all.
    in_worker = hasattr(config, "workerinput")
    for name in wanted:
        if name not in found and not in_worker:
            raise pytest.UsageError(f"{REQUIRE} names {name}, but no test of it was collected")


def pytest_runtest_setup(item: pytest.Item) -> None:
    name = server_of(item)
    absent = missing(name)
    if absent and name in _wanted():
        pytest.fail(f"{REQUIRE} names {name}, but it is not installed (no {', '.join(absent)})", pytrace=False)
    if absent:
        pytest.skip(f"{name} is not installed (no {', '.join(absent)}) and {REQUIRE} does not name it")


@pytest.fixture(scope="session")
def real_server() -> Iterator[Callable[..., Any]]:
    """`real_server(name, *arguments)`: the running server of that name, started when first asked for.

    It is shared by the run and ends with it. Call it with the same arguments everywhere: the first call's count.
    """
    running: dict[str, Any] = {}
    with ExitStack() as stack:

        def get(name: str, *arguments: Any) -> Any:
            if name not in running:
                running[name] = stack.enter_context(_make(name, *arguments))
            return running[name]

        yield get


@pytest.fixture
def start_real_server() -> Iterator[Callable[..., Any]]:
    """`start_real_server(name, *arguments)`: a server of the test's own, ended with the test."""
    with ExitStack() as stack:
        yield lambda name, *arguments: stack.enter_context(_make(name, *arguments))


@pytest.fixture(scope="session")
def servers(openbao: OpenBaoDev, postgres: Postgres, alerta: Alerta) -> Servers:
    """What every estate stands on."""
    return Servers(openbao, postgres, alerta)


def _make(name: str, *arguments: Any) -> Any:
    try:
        need(name)
        return start_class(name)(*arguments)
    except NotInstalled as absent:
        pytest.fail(str(absent), pytrace=False)
