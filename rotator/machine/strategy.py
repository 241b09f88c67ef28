"""Traits to strategy data: one table. Called by the engine when a plan is frozen, and by settings to judge a policy.

Rungs read the data and never a strategy's name. A combination that cannot be worked with is refused here, with a reason
code, before anything is opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from rotator.machine.ids import Millis
from rotator.machine.plan import Authority, Full, Kill, Origin, Plan, Seen


class Lost(Enum):
    """How an unknown write is resolved."""

    RESEND = "resend"
    PROBE = "probe"
    READ_BACK = "read_back"
    BY_LABEL = "by_label"
    BY_SNAPSHOT = "by_snapshot"
    EXPIRES = "expires"
    NONE = "none"


class Undo(Enum):
    """What takes a new value back."""

    REVOKE_NEW = "revoke_new"
    REINSTALL_OLD = "reinstall_old"
    NONE = "none"


class Revokes(Enum):
    """What a revoke hits."""

    ONE = "one"
    OLDER = "older"
    ALL = "all"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class CoreTraits:
    """What the core needs of a kind's traits. `effects/host` maps the plugin API's own to these, field by field."""

    origin: Origin
    lost: Lost
    live: int | None = 1
    """Values alive at once for a subject; None = many."""
    old_lives: Millis | None = 0
    """After the write: 0 dies at once, n = grace, None = until revoked."""
    undo: Undo = Undo.NONE
    revokes: Revokes = Revokes.NONE
    revoke_by_value: bool = False
    """A revoke needs no handle that we would have to learn (by value, or by a label that we chose)."""
    installs: bool = True
    revoke: bool = False
    """The kind has a `revoke`."""
    lists: bool = False
    reads: bool = False
    sweeps: bool = False
    labelled: bool = False
    full: Full = Full.REFUSES
    settle: Millis = 0
    derived_live: Millis = 0


class Name(Enum):
    """What people call it. For display and documents only: no rung asks."""

    OVERLAP = "overlap"
    IN_PLACE = "in place"
    ALTERNATING = "alternating"
    ISSUED = "issued"
    SLOTS = "slots"


def authority(endpoint: str, principals: tuple[str, ...], traits: CoreTraits) -> Authority:
    """Strategy data of one authority."""
    single = traits.live == 1
    by_handle = not single and traits.revoke and traits.revokes is Revokes.ONE
    kill = Kill.HANDLE if by_handle else Kill.NONE
    if single and traits.origin is Origin.GENERATED:
        kill = Kill.SLOT
    return Authority(
        endpoint=endpoint,
        principals=principals,
        slots=traits.live,
        origin=traits.origin,
        full=traits.full,
        seen=_seen(traits),
        kill=kill,
        handles=by_handle and not traits.revoke_by_value,
        settable=traits.origin is Origin.GENERATED and (not single or traits.undo is Undo.REINSTALL_OLD),
        lists=traits.lists,
        readable=traits.reads,
        sweeps=traits.sweeps,
        grace=traits.old_lives or 0 if single else 0,
    )


def _seen(traits: CoreTraits) -> Seen:
    if traits.lists and traits.labelled:
        return Seen.LABEL
    if traits.lists and traits.lost is Lost.BY_SNAPSHOT:
        return Seen.SNAPSHOT
    return Seen.NOTHING if traits.origin is Origin.ISSUED or traits.lost is Lost.NONE else Seen.PROBE


def objections(traits: CoreTraits, principals: tuple[str, ...]) -> tuple[str, ...]:
    """Reason codes for what cannot be worked with; empty: it can."""
    found = []
    single = traits.live == 1
    if len(principals) not in (1, 2) or len(set(principals)) != len(principals):
        found.append("principals")
    if len(principals) == 2 and not single:
        found.append("alternating_needs_single_slot")
    if len(principals) == 2 and traits.origin is Origin.ISSUED:
        found.append("alternating_needs_own_values")
    if not single and not traits.revoke:
        found.append("many_without_revoke")
    if not single and traits.revokes in (Revokes.OLDER, Revokes.ALL):
        found.append("revoke_hits_others")
    if traits.origin is Origin.ISSUED and not single and not traits.lists and not traits.revoke_by_value:
        found.append("issued_without_list")
    return tuple(found)


def order(authorities: tuple[Authority, ...]) -> tuple[Authority, ...]:
    """The order in which a value is put in place: what issues it first, single slots last, else as configured."""
    return tuple(sorted(authorities, key=lambda one: (not one.issued, one.single)))


def names(plan: Plan) -> tuple[Name, ...]:
    """What the strategies of a plan are called, in the plan's order."""
    return tuple(_name(one) for one in plan.authorities)


def _name(one: Authority) -> Name:
    if one.alternating:
        return Name.ALTERNATING
    if one.single:
        return Name.IN_PLACE
    if one.slots is not None:
        return Name.SLOTS
    return Name.ISSUED if one.issued else Name.OVERLAP


def exposes(plan: Plan) -> bool:
    """A rotation passes through an instant at which the store's current is not accepted: the policy must agree."""
    return any(one.single and not one.alternating for one in plan.authorities)
