"""Contradictions in a plugin's declaration. Called once when a plugin is loaded; a plugin with one is not used.

Most rules keep the engine from planning what could not be undone. What a *policy* may not ask
of a sound kind is told by the settings, not here. Must not call anything that the plugin declares.
"""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Iterator
from typing import Any, Final

from rotator.plugin_api import Acting, Form, Kind, Lists, Lost, Origin, Plugin, Revokes, Role, Undo

from .refusals import HostRefused

API: Final = 1
NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,39}")
SLUG: Final = re.compile(r"[a-z][a-z0-9_]{0,59}")
ROUTE: Final = re.compile(r"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (/[A-Za-z0-9._~!$&'()*+,;=:@%/{}-]*)")
VARIABLE: Final = re.compile(r"\{([a-z][a-z0-9_]*)\}")
SLOTS: Final = ("preflight", "probe", "install", "issue", "read", "list", "revoke", "sweep", "check")
PLAIN_TYPES: Final = (str, int, bool)


def check_declaration(name: str, plugin: Plugin[Any]) -> None:
    """Raises HostRefused: `unknown_api`, or `contradiction` with all of them in its words."""
    if plugin.api != API:
        raise HostRefused("unknown_api", f"`{name}` is made for plugin API {plugin.api}; this host knows {API}")
    found = [*_of_plugin(plugin), *(f"kind `{kind.name}`: {words}" for kind in plugin.kinds for words in _of(kind))]
    if found:
        raise HostRefused("contradiction", f"`{name}`: " + "; ".join(found))


def _of_plugin(plugin: Plugin[Any]) -> Iterator[str]:
    if not NAME.fullmatch(plugin.name):
        yield "its name is made of a-z, 0-9, _ and -"
    if not plugin.version:
        yield "it has no version"
    names = [kind.name for kind in plugin.kinds]
    if not names or len(set(names)) != len(names):
        yield "it needs kinds, each with a name of its own"
    yield from _routes(plugin)
    for slug in plugin.reasons:
        if not SLUG.fullmatch(slug):
            yield f"reason `{slug[:60]}` is no slug"
    yield from _config(plugin)


def _routes(plugin: Plugin[Any]) -> Iterator[str]:
    for route in plugin.routes:
        matched = ROUTE.fullmatch(route)
        if matched is None:
            yield f"route `{route[:100]}` is not `METHOD /path/{{name}}`"
            continue
        names = VARIABLE.findall(matched[2])
        rest = VARIABLE.sub("", matched[2])
        if "{" in rest or "}" in rest or len(set(names)) != len(names) or {".", ".."} & set(rest.split("/")):
            yield f"route `{route[:100]}` has a variable or a part that cannot be"
    if plugin.routes and not plugin.urls:
        yield "it has routes, but no field of its configuration is a URL (`urls`)"


def _config(plugin: Plugin[Any]) -> Iterator[str]:
    config = plugin.config
    if not dataclasses.is_dataclass(config):
        yield "`config` is no dataclass"
        return
    try:
        types = typing.get_type_hints(config)
    except Exception:
        yield "`config` has types that cannot be read"
        return
    names = {one.name for one in dataclasses.fields(config) if one.init}
    for name in sorted(names):
        if types.get(name) not in PLAIN_TYPES:
            yield f"`config.{name}` is not a str, int or bool"
    # Only where HTTP is spoken: the default ("url",) means nothing to a plugin without routes.
    for url in plugin.urls if plugin.routes else ():
        if types.get(url) is not str or url not in names:
            yield f"`urls` names `{url[:60]}`, which is no text in `config`"


def _of(kind: Kind[Any]) -> Iterator[str]:
    if not NAME.fullmatch(kind.name):
        yield "its name is made of a-z, 0-9, _ and -"
    for slot in SLOTS:
        found = getattr(kind, slot)
        if found is not None and not callable(found):
            yield f"`{slot}` is no function"
    traits = kind.traits
    if not traits.acting:
        yield "nobody may act"
    if traits.handle_is_label and traits.label is None:
        yield "`handle_is_label` without a label"
    if traits.label is not None and traits.label.max < 1:
        yield "a label of no length"
    if (traits.lists is Lists.NONE) != (kind.list is None):
        yield "`lists` and the function `list` contradict each other"
    if (kind.revoke is None and not kind.human_revoke) != (traits.revokes is Revokes.NONE):
        yield "`revokes` and the function `revoke` contradict each other"
    limit = traits.probe_limit
    if limit is not None and limit.failures < (2 if limit.success_resets else 1):
        yield "a probe limit that lets no probe be"
    if traits.live is not None and traits.live < 1:
        yield "`live` is at least 1, or None"
    if not kind.unsupported:
        yield from _origin(kind)
        yield from _roles(kind)
        yield from _lost(kind)
        yield from _undo(kind)


def _origin(kind: Kind[Any]) -> Iterator[str]:
    traits = kind.traits
    issues = kind.issue is not None or bool(kind.human_issue)
    if (traits.origin is Origin.ISSUED or traits.role is Role.ISSUER) and not issues:
        yield "a value that the platform makes needs `issue` or `human_issue`"
    if traits.origin is Origin.HUMAN and not kind.human_issue:
        yield "a value that a person makes needs `human_issue`"
    if traits.origin is Origin.GENERATED and traits.role is Role.AUTHORITY:
        if kind.install is None:
            yield "a value that we make needs `install`"
        if kind.value.form is not Form.OPAQUE and not 1 <= kind.value.min <= kind.value.max:
            yield "`value` has no length between its `min` and `max`"
    if Acting.SELF in traits.acting and traits.origin is Origin.ISSUED and _dies_at_once(kind):
        yield "self-rotation of an issued value that dies at once: a lost answer would lock everybody out"


def _roles(kind: Kind[Any]) -> Iterator[str]:
    traits = kind.traits
    if traits.role is Role.AUTHORITY and (traits.old_lives is None or traits.live != 1):
        if kind.revoke is None and not kind.human_revoke:
            yield "values that live until they are revoked need `revoke`"
    if traits.role is Role.CONSUMER:
        if kind.issue is not None:
            yield "a consumer does not issue"
        if kind.install is None:
            yield "a consumer needs `install`"
        if traits.lost is not Lost.RESEND:
            yield "a consumer's install can be sent again (`lost: RESEND`)"
    if traits.role is Role.ISSUER and kind.probe is not None:
        yield "an issuer does not refuse values, so it has no `probe`"
    if traits.places and traits.role is not Role.ISSUER:
        yield "`places` is for issuers"


def _lost(kind: Kind[Any]) -> Iterator[str]:
    traits = kind.traits
    lists = kind.list is not None and traits.revokes is Revokes.ONE
    match traits.lost:
        case Lost.PROBE:
            if kind.probe is None or traits.origin is not Origin.GENERATED:
                yield "`lost: PROBE` needs `probe` and a value that we make"
        case Lost.READ_BACK:
            if kind.read is None:
                yield "`lost: READ_BACK` needs `read`"
        case Lost.BY_LABEL:
            if not lists or traits.label is None:
                yield "`lost: BY_LABEL` needs `list`, a label and `revokes: ONE`"
        case Lost.BY_SNAPSHOT:
            if not lists:
                yield "`lost: BY_SNAPSHOT` needs `list` and `revokes: ONE`"
        case Lost.EXPIRES:
            if traits.expiry is None or traits.expiry.max is None:
                yield "`lost: EXPIRES` needs an expiry with a maximum"
        case Lost.RESEND | Lost.NONE:
            pass


def _undo(kind: Kind[Any]) -> Iterator[str]:
    traits = kind.traits
    if traits.undo is Undo.REVOKE_NEW and traits.revokes is not Revokes.ONE:
        yield "`undo: REVOKE_NEW` needs `revokes: ONE`"
    if traits.undo is Undo.REINSTALL_OLD and kind.install is None:
        yield "`undo: REINSTALL_OLD` needs `install`"


def _dies_at_once(kind: Kind[Any]) -> bool:
    return kind.traits.old_lives is not None and not kind.traits.old_lives


__all__ = ["check_declaration"]
