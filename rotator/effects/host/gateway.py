"""SKELETON, being written: one configured endpoint's kinds as `Platform`s. Signatures are final.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from rotator.engine.ports import Clock
from rotator.plugin_api import Secret

from ..platforms import Platform
from .discovery import Loaded

Login = Callable[[], tuple[str, Secret]]


def bind(
    endpoint: str,
    loaded: Loaded,
    config: Mapping[str, str | int | bool],
    *,
    clock: Clock,
    version: str,
    admin: Login | None = None,
    admin_principal: str = "",
    readonly: Login | None = None,
    insecure: bool = False,
    ca: Path | None = None,
    origins: Iterable[str] = (),
) -> Mapping[str, Platform]:
    """Every kind of the plugin at this endpoint, by kind name. `admin` is called at each call that needs it; it raises
    PluginErrors. Raises HostRefused (`config`, with `key`; `plain_http`; `self_only`)."""
    raise NotImplementedError
