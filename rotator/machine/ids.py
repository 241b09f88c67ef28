"""The names of things: instants, generations, homes, handles. Imported by every room.

Must never hold a value of a credential. What identifies something outside (endpoints, principals, consumers, labels,
handles, versions) is plain text, as the platform or the configuration spells it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType, TypeAlias

Millis: TypeAlias = int
"""An instant (milliseconds since the epoch) or a span (milliseconds), as the name of the field says."""

Gen = NewType("Gen", int)
"""One value of a credential: numbered from 1, never used again."""

Handle = NewType("Handle", str)
"""The platform's id of a live secret."""

Label = NewType("Label", str)
"""The text that we put on a secret: rot-<installation>-<serial>."""

Version = NewType("Version", str)
"""The store's version of the secret that holds current, as the store spells it."""

ConsumerId = NewType("ConsumerId", str)
"""One consumer of a credential, stable over runs."""


@dataclass(frozen=True, slots=True, order=True)
class Home:
    """Where a value is accepted: an authority's endpoint and the principal that authenticates with it."""

    endpoint: str
    principal: str

    def __str__(self) -> str:
        return f"{self.principal}@{self.endpoint}"
