"""How the exec plugin's tests call it: real programs in a folder of the test, one function per ability.

Used by `test_plugin_exec*` only.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rotator_exec import Config, plugin

from rotator.plugin_api import (
    CheckRequest,
    Generation,
    InstallRequest,
    PreflightRequest,
    RevokeRequest,
    Secret,
    Subject,
)
from tests.unit.plugin_desk import Desk, acting

(PROGRAM,) = plugin.kinds
CANARY = "canary-" + os.urandom(9).hex()
LABEL = "rot-t-17"
OF = Generation(subject=Subject(principal="app_a"), label=LABEL)
INTO = Subject(principal="orders")


def script(folder: Path, body: str, name: str = "program", shell: str = "/bin/sh") -> Path:
    path = folder / name
    path.write_text(f"#!{shell}\n{body}\n")
    path.chmod(0o755)
    return path


def desk(command: Path | str, seconds: float = 10.0, **config: Any) -> Desk:
    return Desk(Config(command=str(command), **config), acting("daemon", "canary-unused"), seconds)


def install(at: Desk, fields: Mapping[str, str] | None = None, into: Subject = INTO) -> Any:
    texts = {"USER": "app_a", "PASS": CANARY} if fields is None else fields
    rows = {key: Secret(text) for key, text in texts.items()}
    request = InstallRequest(into=into, value=Secret(CANARY), of=OF, label=LABEL, fields=rows)
    return at(PROGRAM.install, request)


def check(at: Desk, of: Generation = OF) -> Any:
    return at(PROGRAM.check, CheckRequest(into=INTO, of=of))


def revoke(at: Desk) -> Any:
    return at(PROGRAM.revoke, RevokeRequest(target=Generation(subject=INTO), fields=("USER", "PASS")))


def preflight(at: Desk) -> Any:
    return at(PROGRAM.preflight, PreflightRequest(subject=INTO))


def alive(number: int) -> bool:
    """Whether a process runs (one that is dead and not yet reaped does not)."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def dies(number: int) -> bool:
    """Whether a process is gone within five seconds."""
    for _ in range(100):
        if not alive(number):
            return True
        time.sleep(0.05)
    return False
