"""Finds and imports the plugins that the configuration allows, and reads their packs.

Called by the daemon's bootstrap and by `rotator plugins`. Nothing that is not named in `plugins.allow` is ever imported.
An in-process plugin is as trusted as the daemon: the digest says which code it was, it protects from nothing.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from rotator.plugin_api import Plugin

from .declaration import check_declaration
from .refusals import HostRefused

GROUP: Final = "rotator.plugins"
LONGEST_WORDS: Final = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A plugin that may be used. `name`: as configured (`http`); `pack`: its source, empty for a coded plugin;
    `digest`: SHA-256 in hex of the package's files, and of the pack's file where there is one."""

    name: str
    pack: str
    plugin: Plugin[Any]
    digest: str
    version: str


def load(
    allow: Iterable[str],
    packs: Mapping[str, Iterable[str]] | None = None,
    *,
    points: Callable[[], Iterable[EntryPoint]] = lambda: entry_points(group=GROUP),
) -> Mapping[tuple[str, str], Loaded]:
    """Every allowed plugin by (name, pack source); the source is empty for a coded plugin.

    `packs`: for a plugin that reads packs, the sources wanted of it (names of shipped packs, or paths). Raises
    HostRefused: `unknown_plugin`, `ambiguous_plugin`, `broken_plugin`, `broken_pack`, `no_packs`, `unknown_api`, or
    `contradiction`.
    """
    wanted = {name: tuple(dict.fromkeys(sources)) for name, sources in (packs or {}).items()}
    allowed = sorted(set(allow))
    for name in sorted(set(wanted) - set(allowed)):
        raise HostRefused("unknown_plugin", f"`{name}` is not in `plugins.allow`")
    known = list(points())
    found: dict[tuple[str, str], Loaded] = {}
    for name in allowed:
        for one in _loaded(name, known, wanted.get(name, ())):
            found[one.name, one.pack] = one
    return found


def _loaded(name: str, known: list[EntryPoint], sources: tuple[str, ...]) -> list[Loaded]:
    module = _imported(name, known)
    reader = getattr(module, "load_pack", None)
    if callable(reader):
        return [_pack(name, module, reader, source) for source in sources]
    if any(sources):
        raise HostRefused("no_packs", f"the plugin `{name}` reads no packs: leave out `pack`")
    plugin = _checked(name, getattr(module, "plugin", None))
    return [Loaded(name=name, pack="", plugin=plugin, digest=_digest_of(module.__name__), version=plugin.version)]


def _imported(name: str, known: list[EntryPoint]) -> ModuleType:
    named = {point.value: point for point in known if point.name == name}
    if not named:
        raise HostRefused("unknown_plugin", f"no plugin `{name}` is installed")
    if len(named) > 1:
        raise HostRefused("ambiguous_plugin", f"several packages say that they are the plugin `{name}`")
    (point,) = named.values()
    try:
        _digest_of(point.module)  # before the import: the files that are imported now are these
        module = point.load()
    except HostRefused:
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        words = f"the plugin `{name}` cannot be imported ({type(error).__name__})"
        raise HostRefused("broken_plugin", words) from None
    if not isinstance(module, ModuleType):
        raise HostRefused("broken_plugin", f"the entry point of `{name}` is no module")
    return module


def _pack(name: str, module: ModuleType, reader: Callable[[str], Any], source: str) -> Loaded:
    if not source:
        raise HostRefused("broken_pack", f"the plugin `{name}` needs `pack`: a name or a path")
    try:
        plugin = reader(source)
    except (ValueError, OSError) as error:
        # A pack holds no secret, and its author needs the place: the reader's words go through, cut in length.
        words = f"pack `{source}`: {_words(error)}"
        raise HostRefused("broken_pack", words) from None
    except Exception as error:
        raise HostRefused("broken_pack", f"pack `{source}`: the plugin failed ({type(error).__name__})") from None
    checked = _checked(f"{name}: {source}", plugin)
    return Loaded(
        name=name, pack=source, plugin=checked, digest=_pack_digest(module, source), version=checked.version
    )


def _words(error: Exception) -> str:
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)[:LONGEST_WORDS]


def _checked(name: str, plugin: object) -> Plugin[Any]:
    if not isinstance(plugin, Plugin):
        raise HostRefused("broken_plugin", f"`{name}` has no attribute `plugin` that is a Plugin")
    check_declaration(name, plugin)
    return plugin


# ---- digests -------------------------------------------------------------------------------------------------------


@cache
def _digest_of(module: str) -> str:
    """SHA-256 over the names and contents of the package's files, kept from the first time: what was imported."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        spec = None
    if spec is None or spec.origin is None:
        raise HostRefused("broken_plugin", f"the module `{module}` is not there")
    origin = Path(spec.origin)
    root = origin.parent if spec.submodule_search_locations else origin
    files = [origin] if root == origin else sorted(one for one in root.rglob("*") if one.is_file())
    digest = hashlib.sha256()
    for one in files:
        if "__pycache__" in one.parts:
            continue
        name = one.name if root == origin else one.relative_to(root).as_posix()
        digest.update(f"{name}\0{hashlib.sha256(one.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _pack_digest(module: ModuleType, source: str) -> str:
    """SHA-256 of the interpreter's digest and the pack's file. The module says where a pack is (`pack_path`)."""
    finder = getattr(module, "pack_path", None)
    try:
        path = Path(finder(source)) if callable(finder) else _pack_file(module, source)
        content = path.read_bytes()
    except (OSError, ValueError):
        raise HostRefused("broken_pack", f"pack `{source}`: its file cannot be read") from None
    return hashlib.sha256(f"{_digest_of(module.__name__)}\n".encode() + content).hexdigest()


def _pack_file(module: ModuleType, source: str) -> Path:
    shipped = Path(module.__file__ or "").parent / "packs" / f"{source}.yaml"
    return shipped if "/" not in source and shipped.is_file() else Path(source)


__all__ = ["GROUP", "Loaded", "load"]
