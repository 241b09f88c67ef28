"""Other stores than OpenBao for the cases: the embedded one, and AWS Secrets Manager (the emulator, IAM enforced).

Called by `tests.crash.bench`. They hold the credentials; admin values stay in OpenBao. Readers go past Rotator: the
emulator is asked as the account's root; the embedded store can only be read by its own code.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rotator.effects.stores.content import Content
from rotator.effects.stores.contract import Slot
from rotator.effects.stores.local import LocalStore, create_local
from rotator.effects.stores.opening import LocalConfig, open_store
from rotator.effects.stores.paths import Places
from tests.contract.stores.aws_driver import policy
from tests.crash.inside import TestClock
from tests.lab.aws import AwsEmulator
from tests.lab.estate import Estate
from tests.lab.proxy import Proxy

MOST = 60
"""Generations that are looked for in the embedded store."""


class LocalReader:
    """The embedded store of an estate."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate
        self._config = LocalConfig(estate.folder / "store", estate.folder / "store.key", estate.installation)
        create_local(self._config, TestClock())
        self._store = open_store(self._config, TestClock())

    def _shelf(self) -> Any:
        assert isinstance(self._store, LocalStore)
        return self._store._room.shelf()

    def get(self, path: str) -> dict[str, Any] | None:
        entry = self._shelf().read(path)
        return None if entry is None or entry.content is None else dict(entry.content.raw()) or None

    def put(self, path: str, fields: Mapping[str, Any]) -> None:
        newest = self._shelf().read(path)
        self._shelf().write(path, Content(fields), 0 if newest is None else newest.version)

    def staged(self, name: str) -> Iterator[tuple[int, str]]:
        slot = Slot(name, self._estate.path_of(name), "", ())
        for number in range(1, MOST):
            found = self.get(Places(self._estate.installation).stage(slot, number))
            yield from ((number, text) for text in (found or {}).values() if isinstance(text, str))


class AwsReader:
    """The emulator, as root of the account."""

    def __init__(self, estate: Estate, server: AwsEmulator) -> None:
        self._estate, self._admin = estate, server.root("secretsmanager")

    def _labels(self, path: str) -> dict[str, str]:
        try:
            described = self._admin.describe_secret(SecretId=path)
        except self._admin.exceptions.ResourceNotFoundException:
            return {}
        return {label: one for one, held in described.get("VersionIdsToStages", {}).items() for label in held}

    def _read(self, path: str, label: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            self._admin.get_secret_value(SecretId=path, VersionStage=label)["SecretString"]
        )
        return found

    def get(self, path: str) -> dict[str, Any] | None:
        return self._read(path, "AWSCURRENT") or None if "AWSCURRENT" in self._labels(path) else None

    def put(self, path: str, fields: Mapping[str, Any]) -> None:
        self._admin.create_secret(Name=path, SecretString=json.dumps(dict(fields)))

    def staged(self, name: str) -> Iterator[tuple[int, str]]:
        path = self._estate.path_of(name)
        for label in self._labels(path):
            if found := re.search(r"\.g(\d+)$", label):
                values = self._read(path, label).values()
                yield from ((int(found[1]), text) for text in values if isinstance(text, str))


def local(estate: Estate) -> None:
    """Let the estate's credentials stand in the embedded store."""
    estate.holds = "local"
    estate.reader = LocalReader(estate)


def aws(estate: Estate, server: AwsEmulator) -> Proxy:
    """Let the estate's credentials stand in AWS, behind a proxy of its own."""
    proxy = Proxy(server.port).start()
    estate.proxies.append(proxy)
    key = server.create_user(f"crash-{estate.tag}", policy(server, estate.installation, f"app-{estate.tag}"))
    lines = ("[crash]", f"aws_access_key_id = {key.key_id}", f"aws_secret_access_key = {key.secret}", "")
    shared: Path = estate.secret_file("aws-credentials", "\n".join(lines))
    # Where the SDK's own chain looks; the daemon is in this process.
    os.environ.update({"AWS_SHARED_CREDENTIALS_FILE": str(shared), "AWS_PROFILE": "crash"})
    estate.stores["aws"] = {"type": "aws", "region": server.region, "url": proxy.url, "sts_url": proxy.url}
    estate.holds = "aws"
    estate.reader = AwsReader(estate, server)
    return proxy
