"""The outbox: notices that wait to be told, and what became of each telling. The port; the ledger implements it.

Used by the courier (`delivery`) and by the requests that show it. A notice is written in the transaction of what it
tells of; it is routed once (to which channels, with which text), and each delivery is then tried until it is sent or
dead. At least once: a receiver may see one twice, with the same id and the same text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NewType, Protocol

from rotator.machine.ids import Millis

from .inventory import CredentialId
from .notices import Notice

DeliveryId = NewType("DeliveryId", int)


class DeliveryState(Enum):
    """DEAD: given up, visible until a person resends it or it is forgotten."""

    WAITING = "waiting"
    SENT = "sent"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A notice that was not routed yet; `sequence` is its order."""

    sequence: int
    notice: Notice


@dataclass(frozen=True, slots=True)
class Delivery:
    """One notice for one channel. `body` is the text of the message as it was made when the notice was routed."""

    id: DeliveryId
    channel: str
    route: str
    state: DeliveryState
    attempts: int
    first_at: Millis
    next_at: Millis | None
    code: str
    event: str
    credential: CredentialId | None
    body: str


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of one attempt: the delivery's state after it. `code`: a slug, empty for sent."""

    delivery: DeliveryId
    state: DeliveryState
    at: Millis
    code: str = ""
    next_at: Millis | None = None


@dataclass(frozen=True, slots=True)
class ChannelFigures:
    """What a channel has in the outbox. `oldest`: since when the oldest waits; `failing`: attempts of those waiting."""

    channel: str
    waiting: int
    dead: int
    sent: int
    failing: int
    oldest: Millis | None


class Outbox(Protocol):
    """Durable; every write is one transaction. Thread-safe. Raises LedgerError."""

    def tell(self, notices: Sequence[Notice], *, documents: Mapping[str, str] | None = None) -> int:
        """Write those whose key is new, with `documents` in the same transaction. How many were new."""
        ...

    def unrouted(self, limit: int) -> Sequence[Waiting]:
        """Oldest first."""
        ...

    def route(self, sequence: int, body: str, to: Sequence[tuple[str, str]], at: Millis) -> None:
        """Write the message and one delivery for each (channel, route), to be tried at once. Once: again is nothing."""
        ...

    def waiting(self, now: Millis) -> Sequence[str]:
        """Channels that have a delivery whose time has come."""
        ...

    def deliverable(self, now: Millis, channel: str, limit: int) -> Sequence[Delivery]:
        """Of a channel: those waiting whose time has come, oldest first."""
        ...

    def tried(self, outcome: Tried) -> None:
        """Write what came of an attempt. Of a delivery that is not waiting (it was forgotten): nothing."""
        ...

    def deliveries(self, state: DeliveryState | None, channel: str, limit: int) -> Sequence[Delivery]:
        """Newest first; `channel` empty: of all."""
        ...

    def resend(self, channel: str, at: Millis) -> int:
        """Every dead delivery of the channel waits again, as if it were new. How many."""
        ...

    def channels(self) -> Sequence[ChannelFigures]:
        """What each channel has, by name."""
        ...

    def oldest_unrouted(self) -> Millis | None:
        """When the oldest notice that was not routed yet was made."""
        ...

    def forget(self, before: Millis) -> int:
        """Forget routed notices of before, with their deliveries; none that has one waiting. How many."""
        ...
