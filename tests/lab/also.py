"""Servers and shapes beyond the three that every estate has: by name, for soak, demo and the tests of real servers.

`with shapes_of(["aws-iam", "zabbix"], postgres) as makers:` starts what they need; each maker makes a shape of a name.
Zabbix and Request Tracker come from Debian packages (`make test-real` installs them); the AWS is an emulator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from tests.lab.postgres import Postgres
from tests.lab.shapes import AlertaKey, Roles, Shape

Maker = Callable[[str], Shape]

BASIC: dict[str, Maker] = {
    "alerta": AlertaKey,
    "pair": lambda name: Roles(name, alternating=True),
    "single": lambda name: Roles(name, alternating=False),
}
"""Shapes whose servers every estate has."""

FURTHER_NAMES: dict[str, str] = {
    "aws-iam": "an emulator of AWS",
    "zabbix": "Zabbix",
    "request-tracker": "Request Tracker",
}
"""What each further shape needs, for people."""

NAMES = (*BASIC, *FURTHER_NAMES)


@contextmanager
def shapes_of(names: Sequence[str], postgres: Postgres) -> Iterator[dict[str, Maker]]:
    """Makers of these shapes, in this order, with their servers running. KeyError: an unknown name."""
    with ExitStack() as servers:
        yield {name: BASIC[name] if name in BASIC else _further(name, postgres, servers) for name in names}


def _further(name: str, postgres: Postgres, servers: ExitStack) -> Maker:
    match name:
        case "aws-iam":
            from tests.lab.aws import AwsEmulator
            from tests.lab.shapes_aws_iam import IamKey

            aws = servers.enter_context(AwsEmulator())
            return lambda title: IamKey(title, aws)
        case "zabbix":
            from tests.lab.shapes_zabbix import ZabbixToken
            from tests.lab.zabbix import Zabbix

            zabbix = servers.enter_context(Zabbix(postgres))
            return lambda title: ZabbixToken(title, zabbix)
        case "request-tracker":
            from tests.lab.request_tracker import RequestTracker
            from tests.lab.shapes_request_tracker import TrackerPassword

            tracker = servers.enter_context(RequestTracker())
            return lambda title: TrackerPassword(title, tracker)
        case _:
            raise KeyError(name)
