"""How the file plugin's tests call it: one function per ability. Used by `test_plugin_file*` only."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rotator_file import Config, plugin

from rotator.plugin_api import Generation, InstallRequest, PreflightRequest, RevokeRequest, Secret, Subject
from tests.unit.plugin_desk import Desk, acting

(FILE,) = plugin.kinds
CANARY = "canary-" + os.urandom(9).hex()


def desk(root: Path, **config: Any) -> Desk:
    return Desk(Config(root=str(root), **config), acting("daemon", "canary-unused"))


def install(at: Desk, path: str, fields: Mapping[str, str] | None = None, *, value: str = CANARY, **params: str) -> Any:
    into = Subject(principal=path, params=params)
    rows = {key: Secret(text) for key, text in (fields or {}).items()}
    of = Generation(subject=Subject(principal="app_a"))
    return at(FILE.install, InstallRequest(into=into, value=Secret(value), of=of, label="rot-t-1", fields=rows))


def revoke(at: Desk, path: str) -> Any:
    return at(FILE.revoke, RevokeRequest(target=Generation(subject=Subject(principal=path))))


def preflight(at: Desk, path: str) -> Any:
    return at(FILE.preflight, PreflightRequest(subject=Subject(principal=path)))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
