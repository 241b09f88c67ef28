"""What a kind of credential can do, as the core sees it: plain data.

Made by the effects room from a plugin's declaration (whatever version of the plugin API it speaks), read by settings to
refuse a policy that asks for the impossible, and by planning. Must never hold a function, a secret or a plugin's type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Role = Literal["authority", "consumer", "issuer"]
Origin = Literal["generated", "issued", "human", "leased"]
Lost = Literal["resend", "probe", "read_back", "by_label", "by_snapshot", "expires", "none"]
Undo = Literal["revoke_new", "reinstall_old", "none"]
Revokes = Literal["one", "older", "all", "none"]
Acting = Literal["admin", "self"]
Lists = Literal["none", "own", "all"]
Full = Literal["refuses", "displaces"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KindTraits:
    """One kind at one endpoint, its numbers already overridden by the endpoint's. Spans are milliseconds.

    live: values alive at once per principal, None = many. old_lives_ms: what happens to the old value after the write:
    0 it dies at once, n it lives so long, None until revoked. label_max None: no label can be set. `has_*`: whether the
    plugin has that ability. unsupported: not empty = inventory only, and why.
    """

    role: Role
    origin: Origin
    lost: Lost
    live: int | None = 1
    old_lives_ms: int | None = 0
    undo: Undo = "none"
    revokes: Revokes = "none"
    acting: frozenset[Acting] = frozenset({"admin"})
    lists: Lists = "none"
    identity: bool = True
    label_max: int | None = None
    handle_is_label: bool = False
    expiry_min_ms: int | None = None
    expiry_max_ms: int | None = None
    settle_ms: int = 0
    probe_failures: int | None = None
    probe_per_ms: int = 0
    derived_live_ms: int = 0
    last_used_ms: int | None = None
    full: Full = "refuses"
    places: bool = False
    revoke_by_value: bool = False
    has_preflight: bool = False
    has_probe: bool = False
    has_install: bool = False
    has_issue: bool = False
    has_read: bool = False
    has_list: bool = False
    has_revoke: bool = False
    has_sweep: bool = False
    has_check: bool = False
    params: Mapping[str, str] = field(default_factory=dict)
    scopes_required: frozenset[str] = frozenset()
    unsupported: str = ""

    @property
    def single_slot(self) -> bool:
        """Whether the write of a new value is the death of the old one."""
        return self.live == 1 and self.old_lives_ms == 0
