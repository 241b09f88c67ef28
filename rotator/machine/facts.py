"""What the ledger knows of one credential: two-sided facts with their clocks.

Changed by `evolve` alone, read by `decide`, `ripe`, `holds`, the display and the ledger's projections. Must never hold
a value, nor a phase: what is "done" is a fact that a later intent can take away. Facts outlive runs: whatever an
abandoned run left is simply there when the next one opens.

One law: an intent makes facts uncertain; only an acknowledged done or a look makes them certain; a refusal makes
nothing certain, it only decides where to go.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import Enum
from operator import attrgetter
from typing import Any

from rotator.machine.frozen import FrozenMap
from rotator.machine.ids import ConsumerId, Gen, Handle, Home, Label, Millis, Version
from rotator.machine.steps import Grade, Intent, OutcomeKind, Place, Step, StepKind

FOREIGN = Gen(-1)
"""In `current` and `held`: somebody else's value. Never a generation of ours."""

ANYTHING = Gen(-2)
"""In `held`: we do not know what the consumer holds, not even possibly."""

EMPTY = Gen(0)
"""In `current` and `held`: nothing."""


class State(Enum):
    """What is known of a placement. One that was never tried has no row."""

    __hash__ = object.__hash__  # members are single: identity will do, and facts are hashed a lot

    MAYBE = "maybe"  # an intent went out, or certainty was lost
    INSTALLED = "installed"  # acknowledged
    ALIVE = "alive"  # verified
    GONE = "gone"  # a kill or a look says so: not proven
    LINGERS = "lingers"  # still found after a kill
    DEAD = "dead"  # proven
    ACCEPTED = "accepted"  # a person took the risk; may still be alive


HERE = frozenset({State.INSTALLED, State.ALIVE})
"""Surely in place."""
LIVES = frozenset({State.MAYBE, State.INSTALLED, State.ALIVE, State.LINGERS})
"""Possibly in place: what a kill is for."""
ABSENT = 2
"""Settled listings in a row without it, after which a value counts as not listed (R20)."""
OWED = LIVES | {State.GONE}
"""Not proven dead: a debt, if it is neither current nor the target."""


class RunKind(Enum):
    """One passage."""

    ADOPT = "adopt"
    ROTATE = "rotate"
    OVERLAP = "overlap"  # emergency without a wait: the plan's overlap is 0
    CONTAIN = "contain"  # emergency, the old value is leaked
    RETIRE = "retire"
    RECONCILE = "reconcile"


class LegName(Enum):
    """Part of a run with one target."""

    ADOPT = "adopt"
    REPAIR = "repair"
    ADVANCE = "advance"
    RETURN = "return"
    CONTAIN = "contain"
    GIVE_UP = "give_up"
    RETIRE = "retire"


class Ending(Enum):
    """How a run ended."""

    SUCCEEDED = "succeeded"
    OWED = "owed"
    ROLLED_BACK = "rolled_back"
    CONTAINED = "contained"
    ABANDONED = "abandoned"


class Role(Enum):
    """What a generation is to the run: attempts count by it, not by number (K5)."""

    __hash__ = object.__hash__  # members are single: identity will do, and facts are hashed a lot

    OLD = "old"
    CANDIDATE = "candidate"
    FILLER = "filler"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Placement:
    """A generation at a home, and since when we know what we know. All times are instants."""

    state: State
    acked_at: Millis | None = None
    alive_at: Millis | None = None
    gone_at: Millis | None = None
    grace_until: Millis | None = None
    """Until then a displaced value may still be accepted though it is dying."""
    rejections: int = 0
    first: Millis | None = None
    last: Millis | None = None
    grade: Grade | None = None
    """The weakest control among the rejections counted."""
    swept: bool = False
    """Tokens derived from it were ended after the last kill."""
    absent: int = 0
    """Settled listings in a row without it."""
    absent_at: Millis | None = None
    until: Millis | None = None
    """Of an accepted one: when the acceptance lapses; None: never."""


@dataclass(frozen=True, slots=True)
class Attempts:
    """Failures in a row of one effort. Patience is out when number and span are (K5)."""

    n: int
    first: Millis
    last: Millis
    not_before: Millis
    refused: str | None = None
    """The reason code of a refusal: no patience is needed then."""
    read: bool = False
    """A promote's refusal or the end of its patience was followed by a read of current (K7)."""


@dataclass(frozen=True, slots=True)
class Effort:
    """What attempts are counted by: a lost issue's successor goes on with its count, so patience is not endless."""

    kind: StepKind
    role: Role
    home: Home | None = None
    consumer: ConsumerId | None = None
    gen: Gen | None = None
    """Only where the role is OTHER: debts are told apart."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A step towards the target that was refused, or any that is misconfigured: where to go is decided from it.
    (A refused kill, proof or push stands in its Attempts: the others are done first.)"""

    step: Step
    outcome: OutcomeKind
    reason: str


class Topic(Enum):
    """What a person is asked about. The words for it stand in `reasons`."""

    FOREIGN = "foreign"  # the store's current is somebody else's
    NO_OLD = "no_old"  # nothing works, and our records do not explain it
    NO_WAY_BACK = "no_way_back"
    CANNOT_INSTALL = "cannot_install"  # the target cannot be set again
    REFUSED = "refused"
    MISCONFIGURED = "misconfigured"
    IN_USE = "in_use"
    NO_ROOM = "no_room"
    NOT_VERIFIED = "not_verified"  # what serves was not seen alive, nothing is killed (K2)
    STRANGERS = "strangers"
    UNPROVEN = "unproven"
    CANNOT_EMPTY = "cannot_empty"
    CANNOT_KILL = "cannot_kill"  # nothing to kill it by: no handle, no slot


@dataclass(frozen=True, slots=True)
class Question:
    """Asked and not yet answered. `step` says what it is about; `detail` is a reason code."""

    topic: Topic
    step: Step | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """The open run, or the last one: only what the rungs cannot read from the facts."""

    kind: RunKind
    legs: tuple[LegName, ...]
    """The leg that is walked, then those to come."""
    old: Gen | None = None
    candidate: Gen | None = None
    returned_from: LegName | None = None
    """The leg that turned into a return (K11): only this run's own advance can be gone on with."""
    way_back: bool = True
    skipped: frozenset[tuple[ConsumerId, Gen]] = frozenset()
    repeated: frozenset[tuple[Gen, Home]] = frozenset()
    """Kills already repeated once after the value was found alive."""
    listed: frozenset[Home] = frozenset()
    """Homes whose own labels were listed once more (tidied)."""
    wrote: bool = False
    displaced: bool = False
    killed: bool = False
    """The first of each is where the calendar is asked (K6)."""
    cleared: Step | None = None
    """The kill that was let through before the verify of what serves (K2)."""
    overwrite: bool = False
    """A person said that a foreign current is to be overwritten."""
    unfit: int = 0
    """Values that a platform's rules refused in this run: each was doomed."""
    opened_at: Millis = 0


@dataclass(frozen=True, slots=True)
class Undo:
    """Facts as they were before the open intent: given back when our own transport never connected (UNSENT)."""

    kept: frozenset[Gen]
    stored: frozenset[Gen]
    current: frozenset[Gen]
    held: FrozenMap[ConsumerId, frozenset[Gen]]
    placements: FrozenMap[tuple[Gen, Home], Placement]
    listing: FrozenMap[Home, frozenset[Handle]]
    wrote: bool = False
    displaced: bool = False
    killed: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything known of a credential. `Facts()` is one never heard of."""

    top: Gen = EMPTY
    """The highest generation ever numbered."""
    kept: frozenset[Gen] = frozenset()
    """Surely retrievable from the store under their own path. A part of `stored`."""
    stored: frozenset[Gen] = frozenset()
    """Possibly in the store."""
    doomed: frozenset[Gen] = frozenset()
    """With a kill or destroy intent, or named by contain or retire: never a target again."""
    fillers: frozenset[Gen] = frozenset()
    current: frozenset[Gen] = frozenset()
    """What the store's current may be; one member: known. Empty: never read."""
    version: Version | None = None
    read_at: Millis | None = None
    """When current was read in this run; None: not yet."""
    homes: FrozenMap[Gen, tuple[Home, ...]] = field(default_factory=FrozenMap)
    labels: FrozenMap[Gen, Label] = field(default_factory=FrozenMap)
    placements: FrozenMap[tuple[Gen, Home], Placement] = field(default_factory=FrozenMap)
    held: FrozenMap[ConsumerId, frozenset[Gen]] = field(default_factory=FrozenMap)
    """What a consumer may hold; a consumer without a row may hold anything."""
    left_at: FrozenMap[Gen, Millis] = field(default_factory=FrozenMap)
    """When a generation last left current or a consumer (K1)."""
    closed_until: FrozenMap[Place, Millis] = field(default_factory=FrozenMap)
    attempts: FrozenMap[Effort, Attempts] = field(default_factory=FrozenMap)
    handles: FrozenMap[tuple[Gen, Home], Handle] = field(default_factory=FrozenMap)
    snapshots: FrozenMap[tuple[Gen, Home], frozenset[Handle]] = field(default_factory=FrozenMap)
    """Handles at the home before an unlabelled issue of the generation."""
    listing: FrozenMap[Home, frozenset[Handle]] = field(default_factory=FrozenMap)
    """The snapshot that the next issue at the home takes with it."""
    suspects: FrozenMap[tuple[Gen, Home], frozenset[Handle]] = field(default_factory=FrozenMap)
    """Handles that may be an unlabelled issue's: a person must name one, or say that none is."""
    intent: Intent | None = None
    undo: Undo | None = None
    """What the open intent made uncertain, as it was before."""
    run: Run | None = None
    refusal: Refusal | None = None
    question: Question | None = None
    ending: Ending | None = None

    def but(self, **changes: Any) -> Facts:
        """A copy with some fields changed."""
        # dataclasses.replace calls __init__ with every field; facts change at every event, and this is faster.
        values = list(_READ(self))
        for name, value in changes.items():
            values[_INDEX[name]] = value
        after = object.__new__(Facts)
        for write, value in zip(_WRITE, values, strict=True):
            write(after, value)
        return after

    def placed(self, gen: Gen, home: Home) -> Placement | None:
        """The placement's row, or None for never."""
        return self.placements.get((gen, home))

    def state(self, gen: Gen, home: Home) -> State | None:
        """The placement's state, or None for never."""
        row = self.placements.get((gen, home))
        return None if row is None else row.state


_FIELDS = tuple(one.name for one in fields(Facts))
_INDEX = {name: at for at, name in enumerate(_FIELDS)}
_READ = attrgetter(*_FIELDS)
_WRITE = tuple(getattr(Facts, name).__set__ for name in _FIELDS)
