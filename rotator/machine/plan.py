"""The inputs of a run, frozen when it opens. Made by the engine from configuration and `strategy`, kept as JSON.

Its digest is what gets approved. Must never be changed while the run is open: a consumer removed from the configuration
in mid-run is still restored, an endpoint added is not touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from rotator.machine.facts import RunKind
from rotator.machine.ids import ConsumerId, Home, Millis
from rotator.machine.steps import Grade


class Origin(Enum):
    """Who makes the value."""

    GENERATED = "generated"
    ISSUED = "issued"


class Kill(Enum):
    """How a value is ended at an authority."""

    HANDLE = "handle"  # revoke it by its handle
    SLOT = "slot"  # it dies when another value is set: the target, else a filler
    NONE = "none"  # nothing of ours ends it: prove, or ask


class Full(Enum):
    """What a full platform does with one value more."""

    REFUSES = "refuses"
    DISPLACES = "displaces"


class Seen(Enum):
    """How an unknown install or issue is resolved: the way in which a look sees."""

    PROBE = "probe"
    LABEL = "label"
    SNAPSHOT = "snapshot"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Authority:
    """One endpoint that accepts the value: strategy data, no strategy's name."""

    endpoint: str
    principals: tuple[str, ...]
    """One; two for an alternating credential: the value in use keeps one, the candidate gets the idle one."""
    slots: int | None
    """Values alive at once for a principal: 1 = single slot, None = many."""
    origin: Origin = Origin.GENERATED
    full: Full = Full.REFUSES
    seen: Seen = Seen.PROBE
    kill: Kill = Kill.HANDLE
    handles: bool = True
    """A kill by handle needs one that we must learn (False: the value or its label is enough)."""
    settable: bool = True
    """An old value can be set again."""
    lists: bool = True
    readable: bool = False
    sweeps: bool = False
    grace: Millis = 0
    """How long a displaced value may go on working."""

    @property
    def single(self) -> bool:
        """Whether a principal has one slot."""
        return self.slots == 1

    @property
    def issued(self) -> bool:
        """Whether the platform makes the value."""
        return self.origin is Origin.ISSUED

    @property
    def labelled(self) -> bool:
        """Whether its values carry our label."""
        return self.seen is Seen.LABEL

    @property
    def finds(self) -> bool:
        """Whether a value can be found in a list, by label or against a snapshot."""
        return self.lists and self.seen in (Seen.LABEL, Seen.SNAPSHOT)

    @property
    def alternating(self) -> bool:
        """Whether two principals take turns."""
        return len(self.principals) > 1

    def homes(self) -> tuple[Home, ...]:
        """Every home at this authority."""
        return tuple(Home(self.endpoint, principal) for principal in self.principals)


@dataclass(frozen=True, slots=True)
class Consumer:
    """One place that must hold the value to use it. `empties`: its plugin can take it away again."""

    id: ConsumerId
    empties: bool = True


@dataclass(frozen=True, slots=True)
class Clocks:
    """Every span that the machine counts with, in milliseconds; from policy and traits (the longest of any)."""

    settle: Millis = 0
    derived_life: Millis = 0
    overlap: Millis = 0
    fresh: Millis = 300_000
    over: Millis = 0
    times: int = 1
    backoff: Millis = 1_000
    backoff_max: Millis = 300_000
    patience: int = 8
    patience_span: Millis = 3_600_000
    kill_patience: int = 8
    kill_patience_span: Millis = 86_400_000
    """For what kills and proves."""
    deadline: Millis = 30_000
    """The engine sends nothing later than this after the intent."""
    landing: Millis = 30_000
    """What was sent before the deadline may land this much later: quiet_until = at + deadline + landing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run works with. `authorities`: single slots last (`strategy.order`)."""

    kind: RunKind
    authorities: tuple[Authority, ...]
    consumers: tuple[Consumer, ...] = ()
    clocks: Clocks = Clocks()
    weakest: Grade = Grade.NEUTRAL
    """The weakest control that still proves a value that was held."""
    values: int = 3
    """Values that the platform's rules may refuse in one run (ADR 0020)."""

    def authority(self, home: Home) -> Authority | None:
        """The authority of a home, None if it is no longer part of the credential."""
        for one in self.authorities:
            if one.endpoint == home.endpoint:
                return one
        return None
