"""What is committed to the journal, in the order in which it happened. The engine makes them, `evolve` reads them.

An event holds references, handles and reason codes, never a value and never prose. Its instant is an argument of
`evolve`, and a column of the journal. Who did it, and the campaign, are columns too: the machine does not need them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from rotator.machine.facts import EMPTY, Ending, LegName, Question, RunKind
from rotator.machine.ids import ConsumerId, Gen, Handle, Home, Label, Millis, Version
from rotator.machine.steps import Found, OutcomeKind, Step


@dataclass(frozen=True, slots=True)
class Stray:
    """A value of ours that a platform lists though no placement says that it lives: made by the generation's own
    intent. `handle`: as the journal knows it; None if it was never learnt."""

    gen: Gen
    home: Home
    label: Label
    handle: Handle | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """A run opens over whatever facts there are. `handles`, by home: adopt only, of the value that is in the store.
    `strays`: reconcile and retire only; each comes back as *maybe*, to be killed and proven like any other debt."""

    kind: RunKind
    handles: tuple[tuple[Home, Handle], ...] = ()
    strays: tuple[Stray, ...] = ()
    floor: Gen = EMPTY
    """Numbers up to it may have been given in a time that a restored ledger has lost: none of them is given again."""


@dataclass(frozen=True, slots=True)
class Intended:
    """Before the effect: all that it will be sent with. `label`: for a step that makes a value (steps.makes_value)."""

    step: Step
    deadline: Millis
    quiet_until: Millis
    fence: int
    label: Label | None = None
    handle: Handle | None = None
    expected_version: Version | None = None
    before: Step | None = None
    """The kill that this verify precedes (Do.before): once it is answered, nothing holds that kill."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of the open intent. UNKNOWN also when a new owner finds an intent open (the answer to `Look`)."""

    step: Step
    kind: OutcomeKind
    found: Found = None
    reason: str = ""
    not_before: Millis | None = None
    """The platform's own wish (Retry-After), as an instant."""


@dataclass(frozen=True, slots=True)
class Turned:
    """The run goes on in other legs. `old` and `way_back`: what the opening made out, kept as they were if None."""

    legs: tuple[LegName, ...]
    why: str
    old: Gen | None = None
    way_back: bool | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A person is asked."""

    question: Question


@dataclass(frozen=True, slots=True)
class Finished:
    """The run ended."""

    ending: Ending


class AnswerKind(Enum):
    """What a person may say. GO_BACK, ABANDON and CONTAIN_NOW need no question."""

    RETRY = "retry"
    GO_BACK = "go_back"
    GO_ON = "go_on"
    ACCEPT = "accept"  # gen, home
    SKIP = "skip"  # consumer
    NAME = "name"  # handle
    GIVE_UP = "give_up"
    ABANDON = "abandon"
    CONTAIN_NOW = "contain_now"
    OVERWRITE = "overwrite"  # a foreign current: put ours back
    TAKE = "take"  # a foreign current: adopt it as a new generation


@dataclass(frozen=True, slots=True)
class Answered:
    """A person's answer, legal at that moment (`answers.legal`)."""

    kind: AnswerKind
    gen: Gen | None = None
    home: Home | None = None
    consumer: ConsumerId | None = None
    handle: Handle | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """Between runs a person took the risk of a debt until a moment; then it is a debt again. The facts of no run are
    touched by it."""

    gen: Gen
    home: Home
    until: Millis


Event: TypeAlias = Accepted | Opened | Intended | Outcome | Turned | Asked | Finished | Answered
