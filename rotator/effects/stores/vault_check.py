"""Whether a KV v2 mount and our permissions on it fit a credential: findings before anything is changed.

Called by `vault.VaultStore.check`, when a configuration is loaded and by `rotator plugins check`. Reads only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from hvac.api.secrets_engines import KvV2
from hvac.api.system_backend.capabilities import Capabilities

from rotator.plugin_api import Failed, Misconfigured

from .contract import Slot
from .paths import OURS, Places, normal
from .vault_errors import Missing
from .vault_kv import VaultShelf

_SECRET: Final = (("data", ("create", "read", "update")), ("metadata", ("read",)), ("destroy", ("update",)))
_OWN: Final = (("data", ("create", "read", "update")), ("destroy", ("update",)))
_OWN_METADATA: Final = ("create", "read", "update", "delete")
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s)")
_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def findings(shelf: VaultShelf, mount: str, places: Places, slot: Slot, min_retention_s: float) -> tuple[str, ...]:
    """Slugs of what makes the store unfit for `slot`, in a fixed order; empty if nothing."""
    if not normal(slot.path) or not normal(slot.credential):
        return ("store_path_unnormalised",)
    if slot.path.split("/", 1)[0] == OURS:
        return ("store_path_reserved",)
    version = _mount_version(shelf, mount)
    if version is None:
        return ("store_mount_missing",)
    if version != "2":
        return ("store_kv_v1",)
    found = []
    if missing(shelf, mount, places, slot):
        found.append("store_capability_missing")
    engine = KvV2(shelf.reads)
    settings = [
        _data(shelf, lambda: engine.read_configuration(mount_point=mount)),
        _data(shelf, lambda: engine.read_secret_metadata(slot.path, mount_point=mount)),
    ]
    kept = next((one["max_versions"] for one in reversed(settings) if one.get("max_versions")), None)
    if kept == 1:
        found.append("store_max_versions")
    spans = [_seconds(str(one.get("delete_version_after", "0s"))) for one in settings]
    if any(0 < span < min_retention_s for span in spans):
        found.append("store_short_retention")
    return tuple(found)


def missing(shelf: VaultShelf, mount: str, places: Places, slot: Slot) -> tuple[str, ...]:
    """The capabilities that the token lacks, as "update secret/destroy/app/db"."""
    stage = places.stage(slot, 1)
    needed: dict[str, tuple[str, ...]] = {f"{mount}/{kind}/{slot.path}": caps for kind, caps in _SECRET}
    needed |= {f"{mount}/{kind}/{path}": caps for kind, caps in _OWN for path in (stage, places.mark)}
    needed |= {f"{mount}/metadata/{stage}": _OWN_METADATA, f"{mount}/metadata/{places.sync}": ("create", "update")}
    needed |= {f"{mount}/metadata/{places.stages(slot)}/": ("list",), f"{mount}/config": ("read",)}
    answer = shelf.patiently(lambda: Capabilities(shelf.reads).get_capabilities(paths=list(needed)))
    held = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(held, dict) or not all(isinstance(held.get(path), list) for path in needed):
        raise Failed("incomplete_answer")
    return tuple(
        f"{capability} {path}"
        for path, capabilities in needed.items()
        for capability in capabilities
        if capability not in held[path] and "root" not in held[path]
    )


def _mount_version(shelf: VaultShelf, mount: str) -> str | None:
    """The KV version of the mount, "1" if none is said, None if there is no such mount for us."""
    try:
        answer = shelf.patiently(lambda: shelf.reads.get(f"/v1/sys/internal/ui/mounts/{mount}"))
    except (Missing, Misconfigured):
        return None  # the server says 403 for a mount on which we may do nothing, and for one that is not there
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, dict) or data.get("type") != "kv":
        return "1" if isinstance(data, dict) else None
    options = data.get("options")
    return str(options.get("version", "1")) if isinstance(options, dict) else "1"


def _data(shelf: VaultShelf, read: Callable[[], Any]) -> Mapping[str, Any]:
    """The data of an answer; empty if the path does not exist yet, or if we may not read it (a finding of its own)."""
    try:
        answer = shelf.patiently(read)
    except Missing:
        return {}
    except Misconfigured as error:
        if error.reason != "store_permission":
            raise
        return {}
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, dict):
        raise Failed("incomplete_answer")
    return data


def _seconds(text: str) -> float:
    """A duration as the server writes it ("768h0m0s"), in seconds."""
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(text))
