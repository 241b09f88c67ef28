"""Reads of the world that are no step of a run, and the one way in for values: ports, implemented in `effects.inspect`.

Called by the service for adopt, plan, verify and `plugins try`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rotator.machine.facts import Facts
from rotator.machine.ids import Handle, Home

from .inventory import Credential


@dataclass(frozen=True, slots=True)
class Seen:
    """What a read-only probe of what serves showed."""

    home: str
    answer: str
    reason: str


@dataclass(frozen=True, slots=True)
class Adoptable:
    """What inspection found of a credential that stands in the store: its handles, or why it cannot be adopted."""

    handles: tuple[tuple[Home, Handle], ...] = ()
    active: tuple[Home, ...] = ()
    refused: str = ""
    says: str = ""


@dataclass(frozen=True, slots=True)
class Incident:
    """Something at a store that a person must look at now, since somebody else may have a secret of the daemon's."""

    store: str
    reason: str
    says: str
    since: int
    """Milliseconds since the epoch."""


class Inspector(Protocol):
    """Reads of the world, through the effects."""

    def verify(self, definition: Credential, facts: Facts) -> Sequence[Seen]:
        """Probe the current value at its homes; changes nothing."""
        ...

    def findings(self, definition: Credential) -> Sequence[tuple[str, str]]:
        """(code, words) of what would be in the way: store checks and preflights."""
        ...

    def adoptable(self, definition: Credential) -> Adoptable:
        """Probe and list, to find the handle of what the store holds now. Changes nothing."""
        ...

    def attempt(self, endpoint: str, about: Sequence[Credential] = ()) -> Sequence[Mapping[str, Any]]:
        """The reads of an endpoint against the real thing, about what these credentials have there:
        {kind, ability, subject, ok, verdict, code, says, do, docs}."""
        ...

    def plugins(self) -> Sequence[Mapping[str, Any]]:
        """What is loaded."""
        ...


class Intake(Protocol):
    """The one way in for values."""

    def take_first(self, definition: Credential, source: str) -> str:
        """Take the value in a 0600 file of the daemon's own uid into the store. Empty, or a reason code."""
        ...

    def take_admin(self, endpoint: str, source: str, replace: bool) -> Mapping[str, str]:
        """Take an endpoint's admin value. {store, path, field} or {refused}."""
        ...
