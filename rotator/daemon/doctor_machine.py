"""What `rotator doctor` sees on this machine: zones, user, key file, ledger, socket, port. Called by `doctor` only.

Each finding is the fields of a `doctor.Check`. Must never make a file or take a lock that a daemon needs.
"""

from __future__ import annotations

import os
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rotator.effects.fingerprint import load_key
from rotator.engine.ports import LedgerError
from rotator.ledger.checkup import LEAST_FREE, checkup
from rotator.ledger.postgres import schema_version
from rotator.plugin_api import Misconfigured
from rotator.settings.connections import Daemon
from rotator.settings.models import Configuration

from . import advice
from .clock import SystemClock
from .ledgers import is_shared, place_in

Finding = dict[str, str]
_MEBI: Final = 1024 * 1024


def local_checks(settings: Configuration) -> Iterator[Finding]:
    """Zones, user, fingerprint key, ledger, socket, health port: in this order."""
    yield from _machine()
    daemon = settings.daemon
    yield from _key(Path(daemon.fingerprint_key.file))
    running = False
    for found in _shared(daemon) if is_shared(daemon) else _ledger(Path(daemon.ledger)):
        running = running or found["subject"] == "daemon"
        yield found
    yield from _socket(Path(daemon.socket), running)
    yield from _port(daemon.listen, running)


def _machine() -> Iterator[Finding]:
    try:
        ZoneInfo("Europe/Berlin")
    except ZoneInfoNotFoundError:
        yield _bad("machine", "time zones", "ROT-NO-ZONES", "no time zone data: windows and cron cannot be computed")
    version = ".".join(str(part) for part in sys.version_info[:3])
    yield _good("machine", "python", f"Python {version}, uid {os.geteuid()}")
    if os.geteuid() == 0:
        yield {
            "area": "machine", "subject": "user", "verdict": "warning", "code": "ROT-ROOT",
            "says": "the doctor runs as root: what it may read, the daemon's own user may not",
            "do": advice.of("ROT-ROOT").do,
        }  # fmt: skip


def _key(path: Path) -> Iterator[Finding]:
    try:
        load_key(path)
    except Misconfigured as wrong:
        yield _bad("files", str(path), wrong.reason, advice.of(wrong.reason).means)
        return
    yield _good("files", str(path), "the fingerprint key can be read")


def _ledger(path: Path) -> Iterator[Finding]:
    seen = checkup(path)
    if seen.in_use:
        yield _good("ledger", "daemon", "a daemon works on this ledger")
    if seen.problem:
        yield _bad("ledger", str(path), f"ledger_{seen.problem}", advice.of(f"ledger_{seen.problem}").means)
        return
    if seen.owner != os.geteuid():
        says = f"it belongs to uid {seen.owner}, the doctor is uid {os.geteuid()}: it was not opened"
        yield _bad("ledger", str(path), "ROT-OTHER-USER", says)
        return
    if seen.free < LEAST_FREE:
        says = f"{seen.free // _MEBI} MiB are free where the ledger stands"
        yield _bad("ledger", str(path), "ledger_disk_full", says)
        return
    says = "not there yet: the first start makes it" if seen.version is None else f"sound, schema {seen.version}"
    yield _good("ledger", str(path), says)


def _shared(daemon: Daemon) -> Iterator[Finding]:
    """The same of a PostgreSQL ledger. The address bears no password."""
    try:
        version = schema_version(place_in(daemon), SystemClock())
    except LedgerError as error:
        code = f"ledger_{error.code}"
        yield _bad("ledger", daemon.ledger, code, advice.of(code).means)
        return
    says = f"sound, schema {version}" if version else "empty: the first start makes the tables"
    yield _good("ledger", daemon.ledger, says)


def _socket(path: Path, running: bool) -> Iterator[Finding]:
    folder = path.parent
    try:
        seen = folder.stat()
    except OSError as error:
        says = f"{folder}: {os.strerror(error.errno or 0)}"
        yield _bad("socket", str(path), "ROT-SOCKET-FOLDER", says)
        return
    if seen.st_uid not in {0, os.geteuid()} or (seen.st_mode & stat.S_IWOTH and not seen.st_mode & stat.S_ISVTX):
        yield _bad("socket", str(path), "ROT-SOCKET-FOLDER", f"others can replace what stands in {folder}")
        return
    if path.exists() and _answers(path) and not running:
        yield _bad("socket", str(path), "ROT-SOCKET-IN-USE", "another daemon listens here")
        return
    yield _good("socket", str(path), "its folder can be used")


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
        trial.settimeout(1)
        return trial.connect_ex(os.fsencode(path)) == 0


def _port(listen: str, running: bool) -> Iterator[Finding]:
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    if running:
        return
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, int(port)))
        except OSError as error:
            says = f"{listen} cannot be listened on: {os.strerror(error.errno or 0)}"
            yield _bad("health port", listen, "ROT-PORT", says)
            return
    yield _good("health port", listen, "free")


def _good(area: str, subject: str, says: str) -> Finding:
    return {"area": area, "subject": subject, "verdict": "ok", "says": says}


def _bad(area: str, subject: str, code: str, says: str) -> Finding:
    do = advice.of(code).do
    return {"area": area, "subject": subject, "verdict": "fails", "code": code, "says": says, "do": do}
