"""A plugin's kind as the core sees it. Called by the daemon's bootstrap for every kind of every endpoint.

The one place that knows both the plugin API's traits and the core's; the core never sees an API version.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from rotator.engine.traits import KindTraits
from rotator.plugin_api import Kind

from .refusals import HostRefused


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """Numbers of the traits that an endpoint sets otherwise; None = the plugin's. Spans are milliseconds."""

    settle_ms: int | None = None
    old_lives_ms: int | None = None
    live: int | None = None
    derived_live_ms: int | None = None
    probe_failures: int | None = None
    probe_per_ms: int | None = None


NO_OVERRIDES = Overrides()


def to_kind_traits(kind: Kind[Any], overrides: Overrides = NO_OVERRIDES) -> KindTraits:
    """The traits of a kind with the endpoint's numbers.

    Raises HostRefused("trait_override") where a number would change what the kind is: `live` of a kind with one place,
    or `old_lives` where the old value dies at once or lives until it is revoked.
    """
    return _overridden(_plain(kind), overrides)


def _plain(kind: Kind[Any]) -> KindTraits:
    traits = kind.traits
    return KindTraits(
        role=traits.role.value,
        origin=traits.origin.value,
        lost=traits.lost.value,
        live=traits.live,
        old_lives_ms=_ms(traits.old_lives),
        undo=traits.undo.value,
        revokes=traits.revokes.value,
        acting=frozenset(one.value for one in traits.acting),
        lists=traits.lists.value,
        identity=traits.identity,
        label_max=traits.label.max if traits.label else None,
        handle_is_label=traits.handle_is_label,
        expiry_min_ms=_ms(traits.expiry.min) if traits.expiry else None,
        expiry_max_ms=_ms(traits.expiry.max) if traits.expiry else None,
        settle_ms=_ms(traits.settle) or 0,
        probe_failures=traits.probe_limit.failures if traits.probe_limit else None,
        probe_per_ms=(_ms(traits.probe_limit.per) or 0) if traits.probe_limit else 0,
        derived_live_ms=_ms(traits.derived_live) or 0,
        last_used_ms=_ms(traits.last_used),
        full=traits.full.value,
        places=traits.places,
        revoke_by_value=kind.revoke_by_value,
        has_preflight=kind.preflight is not None,
        has_probe=kind.probe is not None,
        has_install=kind.install is not None,
        has_issue=kind.issue is not None,
        has_read=kind.read is not None,
        has_list=kind.list is not None,
        has_revoke=kind.revoke is not None,
        has_sweep=kind.sweep is not None,
        has_check=kind.check is not None,
        params=dict(kind.params),
        scopes_required=frozenset(kind.scopes_required),
        unsupported=kind.unsupported,
    )


def _overridden(plain: KindTraits, by: Overrides) -> KindTraits:
    found = plain
    if by.settle_ms is not None:
        found = replace(found, settle_ms=by.settle_ms)
    if by.derived_live_ms is not None:
        found = replace(found, derived_live_ms=by.derived_live_ms)
    if by.old_lives_ms is not None and by.old_lives_ms != plain.old_lives_ms:
        if not plain.old_lives_ms or by.old_lives_ms <= 0:
            words = "the old value dies at once, or lives until it is revoked: there is no grace to set"
            raise HostRefused("trait_override", words, key="old_lives")
        found = replace(found, old_lives_ms=by.old_lives_ms)
    if by.live is not None and by.live != plain.live:
        if plain.live == 1 or by.live < 2:
            words = "one place or several is a matter of the platform; only the number of several can be set"
            raise HostRefused("trait_override", words, key="live")
        found = replace(found, live=by.live)
    if by.probe_failures is not None:
        if by.probe_failures < 1:
            raise HostRefused("trait_override", "at least one failure", key="probe_limit")
        found = replace(found, probe_failures=by.probe_failures, probe_per_ms=by.probe_per_ms or plain.probe_per_ms)
    return found


def _ms(span: timedelta | None) -> int | None:
    return None if span is None else span // timedelta(milliseconds=1)


__all__ = ["NO_OVERRIDES", "Overrides", "to_kind_traits"]
