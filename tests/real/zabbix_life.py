"""One Zabbix token in the hands of the real daemon: what the tests of its life do to it and ask of it.

Used by `test_zabbix_life` and `test_zabbix_setup`. Everything is done with the `rotator` command.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.lab.estate import Estate, Servers, Tempo
from tests.lab.proxy import Proxy
from tests.lab.shapes import staged, stored
from tests.lab.shapes_zabbix import ZabbixToken, zabbix_proxy
from tests.lab.zabbix import Zabbix

WHY = ("--reason", "test")


class Life:
    """One token in an estate, adopted and running."""

    def __init__(self, estate: Estate, shape: ZabbixToken, proxy: Proxy) -> None:
        self.estate, self.shape, self.proxy = estate, shape, proxy
        self.said = ""

    def rotator(self, *arguments: str, code: int = 0) -> str:
        """A command, which must end with `code`; what it printed."""
        ran = self.estate.rotator(*arguments)
        assert ran.code == code, f"{arguments}: {ran.code}\n{ran.out}{ran.err}\n{self.estate.complaints()}"
        return ran.out + ran.err

    def rotate(self, code: int = 0) -> dict[str, Any]:
        """One rotation by hand; its run."""
        self.rotator("rotate", self.shape.name, *WHY, "--yes", "--wait", code=code)
        return self.estate.runs(self.shape.name)[0]

    def value(self) -> str:
        """What readers of the store find."""
        current = self.shape.current(self.estate)
        assert current is not None
        return current[1]

    def fields(self) -> dict[str, Any]:
        """All that readers of the store find."""
        return stored(self.estate, self.shape.name) or {}

    def alive(self) -> list[str]:
        """The names of all tokens that the user has at the server."""
        return sorted(row["name"] for row in self.shape.rows(self.estate))

    def debts(self) -> list[dict[str, Any]]:
        """What the ledger says is owed."""
        return list(self.estate.ask("GET", f"/v1/debts?credential={self.shape.name}")[1]["items"])

    def assert_only_current_lives(self) -> None:
        """One token at the server, the store's current one, with its own id beside it; nothing owed."""
        rows = self.shape.rows(self.estate)
        assert [row["tokenid"] for row in rows] == [self.shape.token_id(self.value())]
        assert self.fields()["token_id"] == rows[0]["tokenid"]
        assert self.fields()["url"] == self.shape.zabbix.url, "a neighbour field was lost"
        assert self.shape.accepts(self.estate, self.shape.user, self.value())
        assert self.debts() == []
        assert [value for _, value in staged(self.estate, self.shape.name)] in ([], [self.value()])


def adopted(
    folder: Path,
    site: tuple[Servers, Zabbix],
    tempo: Tempo | None = None,
    *,
    change: Callable[[Estate, ZabbixToken], None] = lambda estate, shape: None,
    log_level: str = "info",
    code: int = 0,
) -> Life:
    """A fresh estate with one token of a fresh user, and the end of its adoption, `code`.

    `change`: what else is done to configuration and server before the daemon starts.
    """
    servers, zabbix = site
    estate = Estate(folder, servers, tempo or Tempo())
    try:
        shape = ZabbixToken("monitoring", zabbix)
        shape.prepare(estate)
        change(estate, shape)
        estate.start(log_level=log_level)
        life = Life(estate, shape, zabbix_proxy(estate, zabbix))
        life.said = life.rotator("adopt", shape.name, *WHY, "--wait", code=code)
    except BaseException:
        estate.close()
        raise
    return life
