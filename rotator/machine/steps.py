"""What may be done to the world, what was recorded before it, and what came out.

Written by `decide` (Step), by the engine (Outcome's parts, from what `effects` answers) and kept in facts (Intent).
Must never hold a value: a generation is a number, a secret is known here by handle and label only.

Every step, also one that only reads, goes through decide -> holds -> commit Intended -> perform -> commit Outcome.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import TypeAlias

from rotator.machine.ids import ConsumerId, Gen, Handle, Home, Label, Millis, Version


class StepKind(Enum):
    """What a step does. The fields of Step that it fills stand in brackets."""

    __hash__ = object.__hash__  # members are single: identity will do, and facts are hashed a lot

    READ_CURRENT = "read_current"  # []              the store's current and its version -> CurrentIs
    CHECK_STAGE = "check_stage"  # [gen]             is the generation's stage there? -> Staged
    STAGE = "stage"  # [gen, from_current, home]     make a value and keep it, or keep what is current (from_current)
    SNAPSHOT = "snapshot"  # [home]                  list the handles before an unlabelled issue -> Listed
    INSTALL = "install"  # [gen, home]               set a staged value -> Made
    ISSUE = "issue"  # [gen, home]                   the platform makes it, it is staged in the same step -> Made
    VERIFY = "verify"  # [gen, home]                 try the value -> Probed
    PROMOTE = "promote"  # [gen]                     compare-and-set with Intended.expected_version -> CurrentIs
    PUSH = "push"  # [gen, consumer]                 write the value into a consumer -> None
    FIND = "find"  # [gen, home]                     list, to learn the handle (label, else snapshot) -> Listed
    REVOKE = "revoke"  # [gen, home]                 kill by Intended.handle -> None
    NEUTRALISE = "neutralise"  # [gen, home]         install a staged filler (gen) where nobody shall get in -> Made
    PROVE = "prove"  # [gen, home]                   try a value that should be dead, with a control -> Probed
    SWEEP = "sweep"  # [gen, home]                   end the tokens derived from a value -> None
    UNPUSH = "unpush"  # [consumer]                  empty a consumer -> None
    LIST = "list"  # [home]                          the late look for our own labels -> Listed
    DESTROY = "destroy"  # [gen]                     destroy the stage and the versions that hold the value -> None


READS = frozenset(
    {
        StepKind.READ_CURRENT,
        StepKind.CHECK_STAGE,
        StepKind.SNAPSHOT,
        StepKind.VERIFY,
        StepKind.FIND,
        StepKind.PROVE,
        StepKind.LIST,
    }
)
"""Steps that change nothing outside: nothing of theirs can land late."""

MAKES = frozenset({StepKind.STAGE, StepKind.ISSUE})
"""Steps that make a value (a stage with from_current does not): the engine allocates a label for each."""

KILLS = frozenset({StepKind.REVOKE, StepKind.NEUTRALISE})
"""Steps that are there to end a value."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do. `home` of a STAGE is set only for a filler: where it is going to be put."""

    kind: StepKind
    gen: Gen | None = None
    home: Home | None = None
    consumer: ConsumerId | None = None
    from_current: bool = False


class PlaceKind(Enum):
    """Where an effect can land late (K3)."""

    __hash__ = object.__hash__  # members are single: identity will do, and facts are hashed a lot

    HOME = "home"  # a single slot, or an unlabelled kind: the whole home
    VALUE = "value"  # else one generation at its home
    CONSUMER = "consumer"
    CURRENT = "current"
    STAGE = "stage"  # the stage of one generation


@dataclass(frozen=True, slots=True)
class Place:
    """Where a step has its effect: it stays closed until the effect can no longer land."""

    kind: PlaceKind
    home: Home | None = None
    gen: Gen | None = None
    consumer: ConsumerId | None = None


@dataclass(frozen=True, slots=True)
class Intent:
    """The one open step: committed before the effect. Nothing in it is computed again when the effect is sent."""

    step: Step
    at: Millis
    deadline: Millis
    """The effect is not sent after this."""
    quiet_until: Millis
    """The last instant at which the effect can land."""
    fence: int
    label: Label | None = None
    handle: Handle | None = None
    expected_version: Version | None = None


class OutcomeKind(Enum):
    """What came out of a step. Only `effects` makes one of an exception; the machine never sees one."""

    DONE = "done"  # acknowledged, for reads: answered; `found` says what
    REFUSED = "refused"  # the platform says no, and would say no again
    FAILED = "failed"  # the platform says that it did nothing: 429, sealed, 5xx before the work
    UNSENT = "unsent"  # our own transport never connected
    UNKNOWN = "unknown"  # may have been done; also: the worker died, nobody knows
    MISCONFIGURED = "misconfigured"  # a person must change something first


class Answer(Enum):
    """What a probe says."""

    ALIVE = "alive"  # accepted, as the principal that was meant
    STRANGER = "stranger"  # accepted, as somebody else: alive, but never verified
    REJECTED = "rejected"  # a recognised refusal beside a control that worked
    INCONCLUSIVE = "inconclusive"


class Grade(IntEnum):
    """The control beside a rejection: 1 is the strongest."""

    SUCCESSOR = 1  # the successor on the same principal and request
    NEUTRAL = 2  # a neutral value (a filler) on the same principal
    WITNESS = 3  # a witness credential at the same endpoint
    LISTING = 4  # seen alive just before the revoke, and a healthy listing without the handle
    UNSEEN = 5  # a value never held: two complete listings without it (given by the machine, never by a probe)


@dataclass(frozen=True, slots=True)
class Made:
    """A value is in place. `handle` is None where the kind has none or does not tell."""

    handle: Handle | None = None


@dataclass(frozen=True, slots=True)
class CurrentIs:
    """The store's current: `gen` is ours by fingerprint; None: somebody else's if `foreign`, else nothing."""

    gen: Gen | None
    version: Version | None
    foreign: bool = False


@dataclass(frozen=True, slots=True)
class Staged:
    """Whether a generation's stage is there, and the handle kept beside it (an issue keeps it in a reference field)."""

    present: bool
    handle: Handle | None = None


@dataclass(frozen=True, slots=True)
class Probed:
    """A probe's answer. `grade` belongs to REJECTED of a PROVE: the strongest control that held."""

    answer: Answer
    grade: Grade | None = None


@dataclass(frozen=True, slots=True, order=True)
class Row:
    """One secret in a listing: its handle, and our own label on it if it carries one of this installation."""

    handle: Handle
    label: Label | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """A complete listing of a principal's secrets (never a part: that is FAILED). Foreign labels come as None."""

    rows: frozenset[Row]


Found: TypeAlias = Made | CurrentIs | Staged | Probed | Listed | None
"""What a DONE brings, by the step's kind; None for the others."""
