"""What is refused in a plugin's declaration when it is loaded: contradictions, each with a slug and words.

Called by discovery for coded plugins and packs alike. Pure; it calls no function of the plugin.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from rotator.plugin_api import Acting, Kind, Lists, Lost, Origin, Plugin, Revokes, Role, Undo

API: Final = 1
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_SLUG: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_ROUTE: Final = re.compile(r"(GET|POST|PUT|PATCH|DELETE) /[^\s?#]*")


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a declaration is refused. `kind` is empty where it is about the plugin as a whole."""

    slug: str
    kind: str
    words: str


def objections(plugin: Plugin[Any]) -> tuple[Objection, ...]:
    """Every contradiction in a declaration; empty if there is none."""
    found = [Objection(slug, "", words) for slug, words in _whole(plugin)]
    for kind in plugin.kinds:
        for check in (_slots, _lost, _lives, _roles, _acting, _details):
            found += [Objection(slug, kind.name, words) for slug, words in check(kind)]
    return tuple(found)


Said = Iterator[tuple[str, str]]


def _whole(plugin: Plugin[Any]) -> Said:
    if plugin.api != API:
        yield "api_version", f"speaks plugin API {plugin.api}; this host knows {API}"
    if not _NAME.fullmatch(plugin.name):
        yield "plugin_name", "a plugin's name is of lower-case letters, digits, - and _, at most 32"
    parameters = getattr(plugin.config, "__dataclass_params__", None)
    if not dataclasses.is_dataclass(plugin.config) or not getattr(parameters, "frozen", False):
        yield "config_type", "the config must be a frozen dataclass"
    names = [kind.name for kind in plugin.kinds]
    if not names or len(set(names)) != len(names) or not all(_NAME.fullmatch(name) for name in names):
        yield "kind_names", "there must be kinds, each with a name of its own"
    for route in plugin.routes:
        if not _ROUTE.fullmatch(route):
            yield "route", f"a route is a method and a path, such as `GET /tokens/{{id}}`, not `{route}`"
    for slug in plugin.reasons:
        if not _SLUG.fullmatch(slug):
            yield "reason", f"a reason's slug is of lower-case letters, digits and _, not `{slug}`"


def _slots(kind: Kind[Any]) -> Said:
    traits = kind.traits
    if kind.unsupported:
        return
    if (traits.origin is Origin.ISSUED or traits.role is Role.ISSUER) and not (kind.issue or kind.human_issue):
        yield "no_issue", "a value issued by the platform needs `issue` or `human_issue`"
    if traits.origin is Origin.GENERATED and traits.role is not Role.ISSUER and kind.install is None:
        yield "no_install", "a value of ours needs `install`"
    if traits.origin is Origin.HUMAN and not kind.human_issue:
        yield "no_human_issue", "a value made by a person needs `human_issue`, the instructions"
    if (kind.list is None) != (traits.lists is Lists.NONE):
        yield "lists", "`list` and `lists` must agree: both or neither"


def _lost(kind: Kind[Any]) -> Said:
    traits, ours = kind.traits, kind.traits.origin is Origin.GENERATED
    by_list = kind.list is not None and traits.revokes is Revokes.ONE
    needs = {
        Lost.PROBE: (ours and kind.probe is not None, "a generated value and `probe`"),
        Lost.READ_BACK: (kind.read is not None, "`read`"),
        Lost.BY_LABEL: (by_list and traits.label is not None, "`list`, a label and `revokes: one`"),
        Lost.BY_SNAPSHOT: (by_list, "`list` and `revokes: one`"),
        Lost.EXPIRES: (traits.expiry is not None and traits.expiry.max is not None, "`expiry` with a maximum"),
    }
    met, what = needs.get(traits.lost, (True, ""))
    if not met and not kind.unsupported:
        yield "lost_needs", f"`lost: {traits.lost.value}` needs {what}"


def _lives(kind: Kind[Any]) -> Said:
    traits = kind.traits
    stays = traits.old_lives is None or traits.live != 1
    if traits.role is Role.AUTHORITY and stays and not (kind.revoke or kind.human_revoke or kind.unsupported):
        yield "no_revoke", "old values that stay alive need `revoke`"
    if traits.undo is Undo.REVOKE_NEW and traits.revokes is not Revokes.ONE:
        yield "undo_revoke", "`undo: revoke_new` needs `revokes: one`"
    if traits.undo is Undo.REINSTALL_OLD and kind.install is None:
        yield "undo_install", "`undo: reinstall_old` needs `install`"
    if (kind.revoke is None) != (traits.revokes is Revokes.NONE) and not kind.human_revoke:
        yield "revokes", "`revoke` and `revokes` must agree: both or neither"
    if traits.live is not None and traits.live < 1:
        yield "live", "`live` is at least 1"


def _roles(kind: Kind[Any]) -> Said:
    traits = kind.traits
    if traits.role is Role.CONSUMER and kind.issue is not None:
        yield "consumer_issues", "a consumer only holds values: it has no `issue`"
    if traits.role is Role.CONSUMER and traits.lost is not Lost.RESEND:
        yield "consumer_lost", "a consumer's install must be safe to send again: `lost: resend`"
    if traits.role is Role.ISSUER and kind.probe is not None:
        yield "issuer_probes", "an issuer does not accept the value: `probe` belongs to the authority"
    if traits.places and traits.role is not Role.ISSUER:
        yield "places", "`places` is for issuers only"


def _acting(kind: Kind[Any]) -> Said:
    traits = kind.traits
    if not traits.acting:
        yield "acting", "somebody must act: admin, self or both"
    if Acting.SELF in traits.acting and traits.origin is Origin.ISSUED and traits.old_lives == timedelta(0):
        words = "an issued value that replaces itself and dies at once locks everybody out when one answer is lost"
        yield "self_rotation", words


def _details(kind: Kind[Any]) -> Said:
    traits, limit = kind.traits, kind.traits.probe_limit
    if limit is not None and limit.success_resets and limit.failures < 2:
        yield "probe_limit", "a limit that a success resets needs at least 2 failures"
    if traits.label is not None and traits.label.max < 1:
        yield "label", "a label has at least one character"
    if traits.handle_is_label and traits.label is None:
        yield "handle_is_label", "`handle_is_label` needs a label"
    if kind.value.min < 1 or kind.value.max < kind.value.min:
        yield "value", "`value` needs 1 <= min <= max"
