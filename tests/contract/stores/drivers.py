"""One face for each real store under test: open it as the daemon does, and look into it behind its back.

Used by the contract suite's fixtures. Vault's driver makes a policy, a role and a secret id of its own from the shipped
policy file, so that no test of the store ever runs under root.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from rotator.effects.stores.content import Content
from rotator.effects.stores.contract import Slot, Store, Version
from rotator.effects.stores.local import LocalConfig, LocalStore, create_key, create_local
from rotator.effects.stores.opening import AppRole, VaultConfig, open_store
from rotator.effects.stores.paths import Places
from tests.lab.openbao import OpenBao
from tests.lab.openbao_admin import AppRole as LabRole

POLICY = Path(__file__).resolve().parents[3] / "config" / "openbao-policy.hcl"
_numbers = itertools.count(1)


class RealClock:
    """The time port on this machine's clocks; it counts what it slept."""

    def __init__(self) -> None:
        self.slept = 0.0
        self.ahead = 0.0

    def now(self) -> int:
        return int((time.time() + self.ahead) * 1000)

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        threading.Event().wait(seconds)


class Driver(Protocol):
    """What the suite needs of a store's other side."""

    name: str
    limit: int
    clock: RealClock
    history: bool
    """Versions that are not current stay readable until they are destroyed or evicted."""
    reopens: bool
    """A forgotten generation can be staged anew."""

    def slot(self, name: str = "db", value: str = "password", fields: tuple[str, ...] = ("username",)) -> Slot:
        """A slot of this test alone."""
        ...

    def open(self, **changes: Any) -> Store:
        """A store as the daemon opens it; two of them are two daemons."""
        ...

    def seed(self, path: str, data: Mapping[str, Any]) -> int:
        """Write all fields behind the store's back, as another tool would."""
        ...

    def look(self, path: str, version: int = 0) -> Mapping[str, Any] | None:
        """All fields as a reader sees them; None: absent, deleted or destroyed."""
        ...

    def staged(self, slot: Slot, generation: int) -> Mapping[str, Any] | None:
        """The fields of a stage."""
        ...

    def number(self, path: str, version: Version) -> int:
        """The ordinal of a version among those that were current, from 1."""
        ...

    def evict(self, path: str, data: Mapping[str, Any]) -> None:
        """Write these fields again and again until the store has dropped the older versions."""
        ...


def private(path: Path, text: str) -> Path:
    """Write a 0600 file, as credential files must be; in place, as an agent that does not rename would."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(text)
    return path


def policy_text(installation: str, app: str, *, without: str = "", mount: str = "secret") -> str:
    """The shipped policy with its placeholders filled in; `without`: lines that contain this are left out."""
    lines = POLICY.read_text().splitlines()
    kept = [line for line in lines if line.startswith("path ") and not (without and without in line)]
    text = "\n".join(kept).replace("MOUNT", mount).replace("INSTALLATION", installation)
    return text.replace("ADMIN", f"{app}-admin").replace("APP", app)


class VaultDriver:
    """OpenBao, under the shipped policy, by AppRole."""

    name = "vault"
    limit = 1024 * 1024  # a raft entry
    history = reopens = True

    def __init__(self, server: OpenBao, folder: Path, *, url: str = "", policy: str = "", ttl: str = "1h") -> None:
        number = next(_numbers)
        self.clock = RealClock()
        self.server, self.folder, self.url = server, folder, url or server.url
        self.installation, self.app = f"t{os.getpid() % 10000}-{number}", f"app{os.getpid()}-{number}"
        self.role = f"rotator-{number}"
        self.admin = server.admin
        self.set_policy(policy or policy_text(self.installation, self.app))
        self.admin.enable_auth("approle")
        settings = {"token_policies": [self.role], "token_no_default_policy": True, "token_ttl": ttl}
        self.admin.ask("POST", f"auth/approle/role/{self.role}", settings)
        self.secret_id = folder / f"sid-{number}"
        self.approle = self.new_secret_id()

    def set_policy(self, text: str) -> None:
        """Replace the policy of this driver's role."""
        self.admin.write_policy(self.role, text)

    def new_secret_id(self) -> LabRole:
        """Put one more secret id into the file."""
        made = self.admin.new_secret_id(self.role)
        private(self.secret_id, made.secret_id + "\n")
        return made

    def config(self, **changes: Any) -> VaultConfig:
        """The store's configuration."""
        config = VaultConfig(
            url=self.url,
            installation=self.installation,
            auth=AppRole(self.approle.role_id, self.secret_id),
            ca=self.server.ca,
        )
        return replace(config, **changes)

    def slot(self, name: str = "db", value: str = "password", fields: tuple[str, ...] = ("username",)) -> Slot:
        return Slot(f"cred-{name}-{value}", f"{self.app}/{name}", value, fields)

    def open(self, **changes: Any) -> Store:
        return open_store(self.config(**changes), self.clock)

    def seed(self, path: str, data: Mapping[str, Any]) -> int:
        return self.admin.put(path, data)

    def look(self, path: str, version: int = 0) -> Mapping[str, Any] | None:
        found = self.admin.get(path, version)
        return None if found is None else found.data

    def staged(self, slot: Slot, generation: int) -> Mapping[str, Any] | None:
        return self.look(Places(self.installation).stage(slot, generation))

    def number(self, path: str, version: Version) -> int:
        return int(version)

    def evict(self, path: str, data: Mapping[str, Any]) -> None:
        for number in range(12):
            self.seed(path, {**data, "n": str(number)})


class LocalDriver:
    """The embedded store in a folder of the test."""

    name = "local"
    limit = 1024 * 1024
    history = reopens = True

    def __init__(self, folder: Path) -> None:
        self.clock = RealClock()
        self.installation = "here"
        self.root, self.key = folder / "store", folder / "store.key"
        create_key(self.key, self.root)
        create_local(self.config(), self.clock)

    def config(self, **changes: Any) -> LocalConfig:
        """The store's configuration."""
        return replace(LocalConfig(self.root, self.key, self.installation), **changes)

    def slot(self, name: str = "db", value: str = "password", fields: tuple[str, ...] = ("username",)) -> Slot:
        return Slot(f"cred-{name}-{value}", f"app/{name}", value, fields)

    def open(self, **changes: Any) -> Store:
        return open_store(self.config(**changes), self.clock)

    def _opened(self) -> LocalStore:
        store = self.open()
        assert isinstance(store, LocalStore)
        return store

    def seed(self, path: str, data: Mapping[str, Any]) -> int:
        shelf = self._opened()._room.shelf()
        newest = shelf.read(path)
        version = shelf.write(path, Content(data), 0 if newest is None else newest.version)
        assert version is not None
        return version

    def look(self, path: str, version: int = 0) -> Mapping[str, Any] | None:
        entry = self._opened()._room.shelf().read(path, version)
        return None if entry is None or entry.content is None else entry.content.raw()

    def staged(self, slot: Slot, generation: int) -> Mapping[str, Any] | None:
        return self.look(Places(self.installation).stage(slot, generation))

    def number(self, path: str, version: Version) -> int:
        return int(version)

    def evict(self, path: str, data: Mapping[str, Any]) -> None:
        for number in range(12):
            self.seed(path, {**data, "n": str(number)})
