"""A store that logs in by a wrapped secret id, with a proxy before its server: the stand of the tests of deliveries."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from rotator.effects.stores.contract import Store
from rotator.effects.stores.opening import AppRole, Deliveries, VaultConfig, open_store
from rotator.plugin_api import PluginError
from tests.contract.stores.drivers import VaultDriver, private
from tests.lab.openbao import OpenBaoDev
from tests.lab.openbao_logins import Logins
from tests.lab.proxy import Proxy

_numbers = itertools.count(1)


class WrappedStand:
    """One store "main" that logs in by a wrapped secret id at a mount of its own, behind a proxy."""

    def __init__(self, server: OpenBaoDev, folder: Path, proxy: Proxy) -> None:
        self.driver = VaultDriver(server, folder, url=proxy.url)
        self.logins, self.proxy = Logins(server.admin), proxy
        self.mount = f"wrapped-{next(_numbers)}"
        self.role_id = self.logins.approle(self.mount, "rotator", [self.driver.role])
        self.made_at = f"auth/{self.mount}/role/rotator/secret-id"
        self.file, self.notes = folder / "wrapped", folder / "ledger.db.unwrapped"
        self.deliveries = Deliveries()

    def deliver(self, ttl: str = "60s") -> str:
        """Put a new wrapped secret id into the file, as an orchestrator does; the wrapping token."""
        token = self.logins.wrapped(self.made_at, ttl)
        private(self.file, token + "\n")
        return token

    def config(self, **auth: str) -> VaultConfig:
        """The store's configuration."""
        login = AppRole(self.role_id, self.file, self.mount, wrapped=True)
        return self.driver.config(auth=replace(login, **auth), name="main", notes=self.notes)  # type: ignore[arg-type]

    def open(self, **auth: str) -> Store:
        """The store as the daemon opens it."""
        return open_store(self.config(**auth), self.driver.clock, self.deliveries)

    def restart(self) -> Store:
        """Another life of the daemon."""
        self.deliveries = Deliveries()
        return self.open()

    def used(self) -> tuple[int, int, int]:
        """Requests so far: lookups, unwrappings, logins."""
        count = self.proxy.count
        return count(path="wrapping/lookup"), count(path="wrapping/unwrap"), count(path=f"{self.mount}/login")

    def refused(self, store: Store) -> PluginError:
        """What a read says."""
        with pytest.raises(PluginError) as raised:
            store.current(self.driver.slot())
        return raised.value

    def incidents(self) -> list[tuple[str, str]]:
        """Store and reason of those that stand."""
        return [(one.store, one.reason) for one in self.deliveries.incidents()]
