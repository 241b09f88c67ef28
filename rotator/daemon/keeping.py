"""The ledger's file without a daemon: looked at whole, and replaced by a copy. Called by `rotator ledger`, by name.

Works as the daemon's user, on a stopped daemon. A ledger in PostgreSQL is not a file: it is copied and restored by that
server's own tools, and this says so.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rotator.engine.ports import LedgerError
from rotator.ledger.checkup import checkup
from rotator.ledger.restoring import Held, examine, file_of, restore
from rotator.settings import loader
from rotator.settings.problems import ConfigurationRefused

from . import advice
from .clock import SystemClock, new_id
from .whereabouts import ledger_of

CONFLICT, CONFIGURATION, NOT_ALLOWED = 6, 3, 4


def check(config: Path, file: Path | None) -> Mapping[str, Any]:
    """What the ledger, or a copy of it, holds; {"error": …} if it is not sound."""
    try:
        path = _file(config) if file is None else file
        if file is None and checkup(path).owner not in (-1, os.geteuid()):
            return _error("ROT-OTHER-USER", NOT_ALLOWED, advice.of("ROT-OTHER-USER").means)
        held = examine(path)
    except ConfigurationRefused as refused:
        return _error(_first(refused), CONFIGURATION, refused.in_words())
    except LedgerError as error:
        return _refused(error)
    return {"path": str(path), **_view(held)}


def put_back(config: Path, file: Path) -> Mapping[str, Any]:
    """Restore the configured ledger from a copy; {"error": …} if it was refused: then nothing has changed."""
    try:
        path = _file(config)
        if path.parent.is_dir() and path.parent.stat().st_uid != os.geteuid():
            return _error("ROT-OTHER-USER", NOT_ALLOWED, advice.of("ROT-OTHER-USER").means)
        at = datetime.fromtimestamp(SystemClock().now() / 1000, UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        done = restore(file, path, epoch=new_id(), at=at)
    except ConfigurationRefused as refused:
        return _error(_first(refused), CONFIGURATION, refused.in_words())
    except LedgerError as error:
        return _refused(error)
    return {"path": str(path), "kept": None if done.kept is None else str(done.kept), **_view(done.held)}


def _file(config: Path) -> Path:
    """Where the ledger stands. Raises ConfigurationRefused, LedgerError("is_postgresql")."""
    plain = ledger_of(config)
    meant = str(plain) if plain is not None else str(loader.load(config).configuration.daemon.ledger)
    return file_of(meant)


def _view(held: Held) -> dict[str, Any]:
    return {
        "schema": held.version, "installation": held.installation, "sequence": held.sequence,
        "credentials": held.credentials, "open_runs": held.open_runs, "restored": held.restored,
    }  # fmt: skip


def _refused(error: LedgerError) -> Mapping[str, Any]:
    code = error.code.upper().replace("_", "-")
    return _error(f"ROT-LEDGER-{code}", CONFLICT, advice.of(f"ledger_{error.code}").means)


def _error(code: str, exit_code: int, message: str) -> Mapping[str, Any]:
    hint = advice.of(code.removeprefix("ROT-").lower().replace("-", "_") if "LEDGER" in code else code).do
    return {"error": {"code": code, "message": message, "exit": exit_code, "hint": hint}}


def _first(refused: ConfigurationRefused) -> str:
    """The code of its first error, not of a warning before it."""
    return next((one.code for one in refused.problems if not one.warning), "CFG-YAML")
