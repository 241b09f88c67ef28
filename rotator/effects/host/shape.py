"""A kind's declaration becomes plain data for the core, whatever version of the plugin API it was written in.

Called by the daemon's bootstrap once per endpoint and kind. An endpoint may override numbers, never words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from rotator.engine.traits import KindTraits
from rotator.machine.ids import Millis
from rotator.machine.plan import Full as CoreFull
from rotator.machine.plan import Origin as CoreOrigin
from rotator.machine.strategy import CoreTraits
from rotator.machine.strategy import Lost as CoreLost
from rotator.machine.strategy import Revokes as CoreRevokes
from rotator.machine.strategy import Undo as CoreUndo
from rotator.plugin_api import Kind

OVERRIDES: Final = frozenset({"settle_ms", "old_lives_ms", "probe_failures", "probe_per_ms", "live", "derived_live_ms"})


def to_kind_traits(kind: Kind[Any], overrides: Mapping[str, int] | None = None) -> KindTraits:
    """The kind as the engine and settings see it. Raises ValueError for an override that is none of OVERRIDES, is
    negative, or changes a word: a grace may be given another length, not turned into death at once or into no end."""
    traits, limit = kind.traits, kind.traits.probe_limit
    made = KindTraits(
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
        label_max=None if traits.label is None else traits.label.max,
        handle_is_label=traits.handle_is_label,
        expiry_min_ms=None if traits.expiry is None else _ms(traits.expiry.min),
        expiry_max_ms=None if traits.expiry is None else _ms(traits.expiry.max),
        settle_ms=_ms(traits.settle) or 0,
        probe_failures=None if limit is None else limit.failures,
        probe_per_ms=0 if limit is None else _ms(limit.per) or 0,
        derived_live_ms=_ms(traits.derived_live) or 0,
        last_used_ms=_ms(traits.last_used),
        full=traits.full.value,
        places=traits.places,
        revoke_by_value=kind.revoke_by_value,
        params=dict(kind.params),
        scopes_required=frozenset(kind.scopes_required),
        unsupported=kind.unsupported,
        **{f"has_{name}": getattr(kind, name) is not None for name in _ABILITIES},
    )
    return _overridden(made, overrides or {})


_ABILITIES: Final = ("preflight", "probe", "install", "issue", "read", "list", "revoke", "sweep", "check")


def _overridden(made: KindTraits, overrides: Mapping[str, int]) -> KindTraits:
    for name, value in overrides.items():
        if name not in OVERRIDES:
            raise ValueError(f"`{name}` cannot be overridden")
        if value < 0 or (name == "live" and value < 1):
            raise ValueError(f"`{name}` is too small")
        if name == "old_lives_ms" and not (made.old_lives_ms and value):
            raise ValueError("`old_lives` can be changed where the platform has a grace, and only to another grace")
    changes: dict[str, Any] = dict(overrides)
    return replace(made, **changes) if changes else made


def to_core_traits(kind: Kind[Any], overrides: Mapping[str, int] | None = None) -> CoreTraits:
    """The kind as the machine's strategies see it, with the same overrides."""
    traits, seen = kind.traits, to_kind_traits(kind, overrides)
    return CoreTraits(
        origin=CoreOrigin[traits.origin.name],
        lost=CoreLost[traits.lost.name],
        live=seen.live,
        old_lives=None if seen.old_lives_ms is None else Millis(seen.old_lives_ms),
        undo=CoreUndo[traits.undo.name],
        revokes=CoreRevokes[traits.revokes.name],
        revoke_by_value=kind.revoke_by_value or traits.handle_is_label,
        installs=kind.install is not None,
        revoke=kind.revoke is not None,
        lists=kind.list is not None,
        reads=kind.read is not None,
        sweeps=kind.sweep is not None,
        labelled=traits.label is not None,
        full=CoreFull[traits.full.name],
        settle=Millis(seen.settle_ms),
        derived_live=Millis(seen.derived_live_ms),
    )


def _ms(span: timedelta | None) -> int | None:
    return None if span is None else int(span.total_seconds() * 1000)
