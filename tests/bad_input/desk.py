"""A first user's desk: one configuration, one local store, one endpoint, and the two commands that judge them.

Used by the tables of bad input. Every case goes through a real process; what it printed is read as people and programs
read it. `state` is all that stands on the desk: bad input must change none of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from tests.lab.process import free_port

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-m", "rotator.cli")
_SECONDS = 90
_COMPANIONS = ("-wal", "-shm", ".lock")
"""What SQLite and the guard lay beside a ledger: no part of what is kept."""


@dataclass(slots=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def items(self) -> list[dict[str, Any]]:
        """The findings of `doctor -o json`."""
        return list(json.loads(self.out)["items"])

    @property
    def failing(self) -> dict[str, dict[str, Any]]:
        """The findings that are no *ok*, by code."""
        return {one["code"]: one for one in self.items if one["verdict"] in {"fails", "warning"} and one["code"]}


@dataclass(slots=True)
class Desk:
    """`change` edits the configuration before a command; `folder` is 0700."""

    folder: Path
    url: str = "http://127.0.0.1:9"
    changes: list[Callable[[dict[str, Any]], None]] = field(default_factory=list)
    port: int = field(default_factory=free_port)
    socket_folder: str = ""
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)

    def change(self, edit: Callable[[dict[str, Any]], None]) -> None:
        """Edit the configuration as plain data."""
        self.changes.append(edit)

    def configuration(self) -> dict[str, Any]:
        """The configuration as it will be written."""
        plain: dict[str, Any] = {
            "apiVersion": "rotator/v1",
            "installation": "desk",
            "daemon": {
                "ledger": str(self.folder / "ledger.db"),
                "fingerprint_key": {"file": str(self.folder / "keys" / "fingerprint.key")},
                "socket": str(self.folder / "run" / "api.sock"),
                "listen": f"127.0.0.1:{self.port}",
                "deadline": "2s",
            },
            "stores": {
                "main": {
                    "type": "local", "path": str(self.folder / "store"),
                    "key": {"file": str(self.folder / "keys" / "store.key")},
                }
            },
            "endpoints": {
                "alerta": {
                    "plugin": "http", "pack": "alerta", "config": {"url": self.url},
                    "admin": {"principal": "adm@desk.test", "value": {"file": str(self.folder / "admin")}},
                }
            },
            "policies": {"monthly": {"every": "30d", "overlap": "24h"}},
            "credentials": {
                "sync": {
                    "owner": "o@desk.test", "purpose": "a test", "workflows": [], "expires": "2099-01-01", "tier": "T2",
                    "policy": "monthly",
                    "authority": {"endpoint": "alerta", "kind": "key", "principal": "svc@desk.test"},
                    "store": {"in": "main", "path": "app/sync", "value": "key"},
                }
            },
        }  # fmt: skip
        for edit in self.changes:
            edit(plain)
        return plain

    @property
    def config(self) -> Path:
        """The file of the configuration."""
        return self.folder / "rotator.yaml"

    def prepared(self) -> Desk:
        """Written, its keys and its store made by `rotator init`, an admin value in its file."""
        self.write()
        admin = self.folder / "admin"
        if not admin.exists():
            admin.write_text(secrets.token_hex(20))
            admin.chmod(0o600)
        done = self.rotator("init", "--config", str(self.config))
        assert done.code == 0, done.err
        return self

    def write(self) -> None:
        """JSON is YAML."""
        self.config.write_text(json.dumps(self.configuration(), indent=1))

    def rotator(self, *words: str) -> Said:
        """One command; nothing of the caller's environment but the path."""
        env = {"PATH": os.defpath, "HOME": str(self.folder), "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'plugins'}"}
        env |= {"LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"} | self.env
        done = subprocess.run(
            [*COMMAND, *words], capture_output=True, text=True, timeout=_SECONDS, env=env, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return Said(done.returncode, done.stdout, done.stderr)

    def doctor(self) -> Said:
        """`rotator doctor`, as data."""
        self.write()
        return self.rotator("doctor", "--config", str(self.config), "-o", "json")

    def serve(self, *more: str) -> Said:
        """`rotator serve`: in these cases it must end by itself."""
        self.write()
        return self.rotator("serve", "--config", str(self.config), *more)

    def state(self) -> dict[str, str]:
        """Mode and content of everything that stands here."""
        found: dict[str, str] = {}
        for path in sorted(self.folder.rglob("*")):
            if path.name.endswith(_COMPANIONS) or not (path.is_file() or path.is_dir()):
                continue
            content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
            found[str(path.relative_to(self.folder))] = f"{path.lstat().st_mode:o} {content}"
        return found

    def lost(self, before: dict[str, str]) -> list[str]:
        """What stood here before and is gone or another now. (An empty ledger that a start made is no loss.)"""
        after = self.state()
        return [name for name, seen in before.items() if after.get(name) != seen]


@cache
def anchors() -> frozenset[str]:
    """Every place that the documents have."""
    found: set[str] = set()
    for path in (ROOT / "docs").glob("*.md"):
        for part in path.read_text().split('<a id="')[1:]:
            found.add(f"docs/{path.name}#{part.partition(chr(34))[0]}")
    return frozenset(found)


def documented(docs: str) -> bool:
    """Whether the page and its place are there."""
    return docs in anchors()


def setting(*path: str, to: Any) -> Callable[[dict[str, Any]], None]:
    """An edit: put `to` at a path of keys, or take the key out (None)."""

    def edit(plain: dict[str, Any]) -> None:
        at: Any = plain
        for key in path[:-1]:
            at = at[key]
        if to is None:
            del at[path[-1]]
        else:
            at[path[-1]] = to

    return edit


def said_of(mapping: Mapping[str, Any]) -> str:
    """A finding in one line, for a failing test."""
    return " | ".join(f"{name}={mapping.get(name)}" for name in ("area", "subject", "verdict", "code", "says"))
