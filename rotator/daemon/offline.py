"""What only the plugins know of a configuration, without a daemon: their settings for the schema, and their judgement.

Called by the command line (`config schema`, `config validate`), by name, since it reaches rooms that hold values; holds
none itself. Imports the plugins that are asked about and reads their declarations. Opens no store, sends nothing.
"""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Iterable, Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from rotator.effects.host import BrokenPlugin, ConfigFault, Loaded, discover, to_kind_traits
from rotator.effects.host.discovery import GROUP
from rotator.effects.host.endpoint import make_config
from rotator.engine.traits import KindTraits
from rotator.plugin_api import Plugin
from rotator.settings.abilities import against_traits
from rotator.settings.connections import Endpoint
from rotator.settings.lint import lint_traits
from rotator.settings.loader import Loaded as LoadedSettings
from rotator.settings.objections import parts_of
from rotator.settings.problems import Problem, nearest
from rotator.settings.schema import PluginPart, Setting

from .endpoint_traits import overrides_of

_SAID_OF: Final = re.compile(r"((?:`\w+`(?:, | and )?)+): (.+?)(?=(?:[.;,] (?:`\w+`(?:, | and )?)+: )|\.\s|\.$|$)")


def plugin_parts(entries: Iterable[EntryPoint] | None = None) -> tuple[PluginPart, ...]:
    """What an endpoint of every installed plugin may be configured with; of a plugin of packs, of each shipped pack."""
    found = sorted(entry_points(group=GROUP) if entries is None else entries, key=lambda one: one.name)
    wanted: list[tuple[str, str]] = []
    for entry in found:
        shipped = getattr(entry.load(), "shipped", None)
        wanted += [(entry.name, "")] if shipped is None else [(entry.name, pack) for pack in sorted(shipped())]
    loaded = discover(wanted, frozenset(name for name, _ in wanted), lambda: found)
    return tuple(_part(loaded[key]) for key in wanted)


def judged(settings: LoadedSettings) -> list[Problem]:
    """What the plugins say against a configuration that is right by itself, each with its place."""
    configuration, sources = settings.configuration, settings.sources
    problems: list[Problem] = []
    kinds: dict[tuple[str, str], KindTraits] = {}
    known = dict(configuration.endpoints)  # of what is broken itself, nothing that follows from it is told
    found = {
        key: _tried(key, configuration.allowed_plugins)
        for key in {(one.plugin, one.pack or "") for one in configuration.endpoints.values()}
    }
    for name, endpoint in configuration.endpoints.items():
        loaded = found[endpoint.plugin, endpoint.pack or ""]
        if isinstance(loaded, str):
            key = "pack" if endpoint.pack else "plugin"
            problems.append(sources.problem("CFG-PLUGIN", loaded, ("endpoints", name, key), value=True))
            known.pop(name)
            continue
        problems += _against_settings(name, endpoint, loaded.plugin, settings)
        for kind in loaded.plugin.kinds:
            try:
                kinds[name, kind.name] = to_kind_traits(kind, overrides_of(endpoint))
            except ValueError as fault:
                problems.append(sources.problem("CFG-TRAITS", str(fault), ("endpoints", name, "traits")))
                known.pop(name, None)
    parts = dataclasses.replace(parts_of(configuration), endpoints=known)
    problems += against_traits(parts, configuration.installation, kinds, sources)
    return [*problems, *lint_traits(configuration, kinds, sources)]


def _tried(key: tuple[str, str], allowed: frozenset[str]) -> Loaded | str:
    """A plugin, or a pack of one; or why it cannot be used."""
    try:
        return discover([key], allowed)[key]
    except BrokenPlugin as broken:
        return str(broken)


def _against_settings(
    name: str, endpoint: Endpoint, plugin: Plugin[Any], settings: LoadedSettings
) -> Iterator[Problem]:
    try:
        make_config(plugin, endpoint.config)
    except ConfigFault as fault:
        known = [one.name for one in dataclasses.fields(plugin.config)]
        meant = {one: nearest(one, set(known) - set(endpoint.config)) for one in endpoint.config if one not in known}
        here: tuple[str, ...] = ("endpoints", name, "config")
        for setting, words in fault.problems:
            if setting in endpoint.config:
                path, said = (*here, setting), words
            elif setting in meant.values():
                continue  # it is there, misspelt
            else:
                path, said = here, words if setting == "config" else f"`{setting}` {words}"
            close = meant.get(setting, "")
            yield settings.sources.problem("CFG-PLUGIN-CONFIG", said, path, suggestion=close)


def _part(loaded: Loaded) -> PluginPart:
    plugin = loaded.plugin
    about = " ".join((plugin.config.__doc__ or "").split())
    about = "" if about.startswith(f"{plugin.config.__name__}(") else about  # what dataclasses write by themselves
    said = {name: words for names, words in _SAID_OF.findall(about) for name in re.findall(r"`(\w+)`", names)}
    hints = typing.get_type_hints(plugin.config)
    settings = tuple(
        Setting(
            name=one.name,
            types=tuple(kind for kind in (typing.get_args(hints[one.name]) or (hints[one.name],))),
            needed=one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING,
            default=None if one.default is dataclasses.MISSING else one.default,
            description=said.get(one.name, ""),
            url=one.name in plugin.urls,
        )
        for one in dataclasses.fields(plugin.config)
    )
    return PluginPart(plugin=loaded.name, pack=loaded.pack, description=about, settings=settings)
