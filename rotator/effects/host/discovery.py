"""Finds the plugins that are allowed, and refuses broken ones: a configured plugin that does not load stops the start.

Called by the daemon's bootstrap. Only modules that are named are imported; what was loaded is told with its digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import resources
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Final

from rotator.plugin_api import Plugin

from .declare import objections

GROUP: Final = "rotator.plugins"


class BrokenPlugin(Exception):
    """A plugin or pack that cannot be used. The text names it and says why, for the operator."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What an endpoint's `plugin` (and `pack`) stand for. `digest` is sha256: of the pack file, else of the package's
    Python files."""

    name: str
    pack: str
    version: str
    digest: str
    plugin: Plugin[Any]


def discover(
    wanted: Iterable[tuple[str, str]],
    allowed: frozenset[str],
    entries: Callable[[], Iterable[EntryPoint]] = lambda: entry_points(group=GROUP),
) -> dict[tuple[str, str], Loaded]:
    """Load each (plugin, pack) that endpoints name; pack is "" where the plugin reads none. Raises BrokenPlugin."""
    found: dict[str, list[EntryPoint]] = {}
    for one in entries():
        found.setdefault(one.name, []).append(one)
    return {key: _load(*key, found, allowed) for key in sorted(set(wanted))}


def _load(name: str, pack: str, found: dict[str, list[EntryPoint]], allowed: frozenset[str]) -> Loaded:
    if name not in allowed:
        raise BrokenPlugin(f"plugin `{name}` is not in plugins.allow")
    entries = found.get(name, [])
    if not entries:
        raise BrokenPlugin(f"plugin `{name}` is not installed")
    if len({one.value for one in entries}) > 1:
        raise BrokenPlugin(f"plugin `{name}` is installed more than once: {', '.join(one.value for one in entries)}")
    try:
        module = entries[0].load()
    except Exception as error:
        raise BrokenPlugin(f"plugin `{name}` cannot be imported: {type(error).__name__}: {error}") from error
    loader = getattr(module, "load_pack", None)
    if pack and loader is None:
        raise BrokenPlugin(f"plugin `{name}` reads no packs; take `pack` away")
    if loader is not None:
        return _load_pack(name, pack, module)
    return _checked(name, "", getattr(module, "plugin", None), _digest_of(module))


def _load_pack(name: str, pack: str, module: Any) -> Loaded:
    if not pack:
        raise BrokenPlugin(f"plugin `{name}` needs a pack: the name of a shipped one, or a path")
    try:
        plugin = module.load_pack(pack)
        path = Path(module.pack_path(pack))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except (ValueError, OSError, AttributeError) as error:
        raise BrokenPlugin(f"pack `{pack}` cannot be used:\n{error}") from error
    return _checked(name, pack, plugin, digest)


def _checked(name: str, pack: str, plugin: object, digest: str) -> Loaded:
    called = f"pack `{pack}`" if pack else f"plugin `{name}`"
    if not isinstance(plugin, Plugin):
        raise BrokenPlugin(f"{called} has no `plugin` value of the plugin API")
    if not pack and plugin.name != name:
        raise BrokenPlugin(f"{called} calls itself `{plugin.name}`")
    wrong = objections(plugin)
    if wrong:
        lines = [f"  {one.kind or plugin.name}: {one.words} ({one.slug})" for one in wrong]
        raise BrokenPlugin("\n".join([f"{called} contradicts itself:", *lines]))
    return Loaded(name, pack, plugin.version, digest, plugin)


def _digest_of(module: Any) -> str:
    whole = hashlib.sha256()
    folder = resources.files(module)
    for one in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if one.name.endswith(".py"):
            whole.update(f"{one.name}\0".encode() + one.read_bytes())
    return whole.hexdigest()
