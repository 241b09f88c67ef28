"""`rotator init`: makes what a configuration names and a first start needs: key files, folders, local stores.

Called by the command line, never by the daemon itself: a store that vanished with its volume looks like one that was
never made, and must not be made anew by a start. What exists is left alone.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from rotator.effects.fingerprint import make_key
from rotator.effects.stores.opening import LocalConfig, create_key, create_local
from rotator.plugin_api import Misconfigured
from rotator.settings import loader
from rotator.settings.connections import LocalStore
from rotator.settings.problems import ConfigurationRefused

from .clock import SystemClock
from .ledgers import is_shared

INVALID: Final = 3


def init(config: Path) -> int:
    """Make what is missing and say so. The exit code."""
    try:
        made = prepare(config)
    except ConfigurationRefused as refused:
        sys.stderr.write(f"{refused.in_words()}\n")
        return INVALID
    except Misconfigured as refused:
        sys.stderr.write(f"error: {refused.reason.replace('_', ' ')}\n")
        return INVALID
    except OSError as trouble:
        sys.stderr.write(f"error: {trouble.strerror}: {trouble.filename}\n")
        return INVALID
    sys.stdout.write("".join(f"made {line}\n" for line in made) or "nothing was missing\n")
    return 0


def prepare(config: Path) -> list[str]:
    """What was made, a line each; empty if nothing was missing. Raises ConfigurationRefused, Misconfigured, OSError."""
    settings = loader.load(config).configuration
    made: list[str] = []
    files = [settings.daemon.socket] if is_shared(settings.daemon) else [settings.daemon.ledger, settings.daemon.socket]
    for folder in (Path(one).parent for one in files):
        made += _folder(folder)
    key = Path(settings.daemon.fingerprint_key.file)
    made += _folder(key.parent)
    if not key.exists():
        make_key(key)
        made.append(f"fingerprint key {key}")
    for name, store in settings.stores.items():
        if isinstance(store, LocalStore):
            local = LocalConfig(Path(store.path), Path(store.key.file), settings.installation)
            made += _folder(local.key.parent)
            if not local.key.exists():
                create_key(local.key, local.root)
                made.append(f"key of store {name}: {local.key}")
            if not local.root.exists():
                create_local(local, SystemClock())
                made.append(f"store {name}: {local.root}")
    return made


def _folder(path: Path) -> list[str]:
    """Make a folder for the daemon's user alone."""
    if path.is_dir():
        return []
    path.mkdir(mode=0o700, parents=True)
    return [f"folder {path}"]
