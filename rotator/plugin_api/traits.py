"""Traits: what a platform does, as data that the core plans with. Part of plugin API version 1.

The host maps these to the core's own traits; plugins fill them in. Nothing here has behaviour.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def data(cls: type[T]) -> type[T]:
    """Decorator: a frozen, slotted, keyword-only dataclass."""
    return dataclass(frozen=True, slots=True, kw_only=True)(cls)


class Role(Enum):
    """authority: accepts or refuses the value; consumer: only holds it; issuer: makes it for another authority."""

    AUTHORITY = "authority"
    CONSUMER = "consumer"
    ISSUER = "issuer"


class Origin(Enum):
    """Who makes the value: we (generated), the platform (issued), a person (human)."""

    GENERATED = "generated"
    ISSUED = "issued"
    HUMAN = "human"


class Lost(Enum):
    """How an unknown write is resolved: the way in which a look sees."""

    RESEND = "resend"
    PROBE = "probe"
    READ_BACK = "read_back"
    BY_LABEL = "by_label"
    BY_SNAPSHOT = "by_snapshot"
    EXPIRES = "expires"
    NONE = "none"


class Undo(Enum):
    """What takes a new value back: revoking it, setting the old one again, or nothing."""

    REVOKE_NEW = "revoke_new"
    REINSTALL_OLD = "reinstall_old"
    NONE = "none"


class Revokes(Enum):
    """What a revoke hits: this one, all but the newest, everything of the subject, or there is none."""

    ONE = "one"
    OLDER = "older"
    ALL = "all"
    NONE = "none"


class Acting(Enum):
    """Who may call: the endpoint's admin credential, or the value itself."""

    ADMIN = "admin"
    SELF = "self"


class Lists(Enum):
    """What can be listed: nothing, what belongs to whoever acts, everything."""

    NONE = "none"
    OWN = "own"
    ALL = "all"


class Full(Enum):
    """What a full platform does with one value more: refuses it, or displaces the oldest."""

    REFUSES = "refuses"
    DISPLACES = "displaces"


class Form(Enum):
    """The form of a value."""

    TEXT = "text"
    HEX = "hex"
    UUID = "uuid"
    SSH_ED25519 = "ssh_ed25519"
    OPAQUE = "opaque"


@data
class ProbeLimit:
    """How many negative probes a subject survives within `per`."""

    failures: int
    per: timedelta
    success_resets: bool = False


@data
class Label:
    """What the platform allows as a label. `unique`: a taken label is refused, not doubled."""

    max: int
    pattern: str = r"[a-z0-9-]+"
    unique: bool = False


@data
class Expiry:
    """Bounds of an expiry that may be asked for at install or issue."""

    min: timedelta
    max: timedelta | None
    step: timedelta = timedelta(seconds=1)


@data
class ValueSpec:
    """What the host may generate. An empty alphabet means letters and digits."""

    form: Form = Form.TEXT
    min: int = 32
    max: int = 64
    alphabet: str = ""


@data
class Traits:
    """What the platform does, as data. Durations and counts may be overridden per endpoint, enums never."""

    role: Role
    origin: Origin
    lost: Lost
    live: int | None = 1  # values alive at once per subject; None = many
    old_lives: timedelta | None = timedelta(0)  # after the write: 0 dies at once, n = grace, None = until revoked
    undo: Undo = Undo.NONE
    revokes: Revokes = Revokes.NONE
    acting: frozenset[Acting] = frozenset({Acting.ADMIN})
    lists: Lists = Lists.NONE
    identity: bool = True  # False: Alive cannot name its principal
    label: Label | None = None
    handle_is_label: bool = False  # the label we choose is the handle: known before the call
    expiry: Expiry | None = None
    settle: timedelta = timedelta(0)  # before this a refusal or an absence means nothing
    probe_limit: ProbeLimit | None = None
    derived_live: timedelta = timedelta(0)  # how long derived tokens outlive the root when nothing sweeps them
    last_used: timedelta | None = None
    full: Full = Full.REFUSES
    places: bool = False  # ISSUER only: it also puts the value in place at the authority
