"""Definitions: what the configuration says of each credential, as plain frozen data.

Made by the daemon from the settings, kept in the ledger as JSON, frozen into the plan of each run. Endpoints are named
here, never described: their addresses and admin credentials belong to `effects`. No value ever stands in here.
Durations and times are integer milliseconds (`Millis`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import NewType

from rotator.machine.holds import FOREVER
from rotator.machine.ids import Millis

from .calendar import Schedule

CredentialId = NewType("CredentialId", str)


class Tier(Enum):
    """T0 can change identity or access state ... T3 read-only."""

    T0 = "T0"
    T1 = "T1"
    T2 = "T2"
    T3 = "T3"


class Source(Enum):
    """What a field is filled with: the value itself, or a reference that changes with it."""

    VALUE = "value"
    PRINCIPAL = "principal"
    HANDLE = "handle"


@dataclass(frozen=True, slots=True)
class FieldMap:
    """One field of a secret or of a consumer's payload."""

    name: str
    source: Source


@dataclass(frozen=True, slots=True)
class AuthorityRef:
    """Where a value is accepted. Two principals: an alternating pair."""

    endpoint: str
    kind: str
    principals: tuple[str, ...]
    scopes: tuple[str, ...] = ()
    params: tuple[tuple[str, str], ...] = ()
    handle: str | None = None  # of the value that is adopted, where the configuration has to say it


@dataclass(frozen=True, slots=True)
class ConsumerRef:
    """Where a value must be installed to be used. `id` is stable text: endpoint, kind and target."""

    id: str
    endpoint: str
    kind: str
    target: str
    params: tuple[tuple[str, str], ...] = ()
    fields: tuple[FieldMap, ...] = ()


@dataclass(frozen=True, slots=True)
class StoreRef:
    """Where readers find it: the value field and the reference fields of one secret."""

    store: str
    path: str
    value: str
    fields: tuple[FieldMap, ...] = ()


@dataclass(frozen=True, slots=True)
class Pause:
    """A person's stop, with its author, reason and end (None: until resumed)."""

    by: str
    reason: str
    until: Millis | None = None


def paused_until(by_hand: Pause | None, configured: Pause | None, now: Millis) -> Millis | None:
    """Until when a credential is paused, by whichever lasts longer; FOREVER without an end, None: not paused."""
    ends = [FOREVER if one.until is None else one.until for one in (by_hand, configured) if one is not None]
    return max((end for end in ends if end > now), default=None)


@dataclass(frozen=True, slots=True)
class Policy:
    """When a value must change and what counts as proof. `kill_*` is the patience for kill and prove."""

    name: str
    schedule: Schedule
    overlap: Millis = 0
    fresh: Millis = 300_000
    attempts: int = 8
    span: Millis = 3_600_000
    kill_attempts: int = 8
    kill_span: Millis = 86_400_000
    proof_times: int = 2
    proof_over: Millis = 60_000
    proof_grade: int = 2
    proof_retired: int = 3
    keep_history: bool = False
    pause: Pause | None = None
    values: int = 3
    """Values that a platform's rules may refuse in one run."""
    heartbeat: Millis = 86_400_000
    """How often what serves is looked at between rotations; 0: never."""


@dataclass(frozen=True, slots=True)
class Credential:
    """One non-human identity's secret over its whole life, as configured."""

    id: CredentialId
    owner: str
    purpose: str
    workflows: tuple[str, ...]
    expires: Millis
    tier: Tier
    policy: Policy
    authorities: tuple[AuthorityRef, ...]
    store: StoreRef
    consumers: tuple[ConsumerRef, ...] = ()
    labels: tuple[tuple[str, str], ...] = field(default=())
