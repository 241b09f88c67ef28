"""Notices: what happened that somebody should be told of, as data. Pure; the catalogue of events and their words.

Made in the ledger's own transaction from the journal (`of_events`), by the watch over conditions (`watching`) and by
whoever keeps a document beside one (the brake, a reload). They wait in the ledger's outbox for the courier. A notice
holds references, reason codes, numbers and times; never a value, never prose of a platform or a person.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from rotator.machine.events import Answered, Asked, Event, Finished, Opened
from rotator.machine.facts import Ending, RunKind
from rotator.machine.ids import Millis

from .inventory import CredentialId


class Weight(Enum):
    """How much an event matters: `info` may wait for the morning, `ticket` for office hours, `page` for nobody."""

    INFO = "info"
    TICKET = "ticket"
    PAGE = "page"


@dataclass(frozen=True, slots=True)
class EventKind:
    """What an event says, how much it matters, and what a person does about it (a command; `{…}` are its facts)."""

    says: str
    weight: Weight
    do: tuple[str, ...] = ()


_RUN = ("rotator runs show {run}",)
_EXPLAIN = ("rotator explain {credential}",)
_DEBTS = ("rotator debts {credential}",)

EVENTS: Final[Mapping[str, EventKind]] = {
    "run_succeeded": EventKind("a run ended: everything old is proven dead", Weight.INFO, _RUN),
    "run_owed": EventKind(
        "a run ended owing: the new value serves, something old is not proven dead yet", Weight.TICKET, _DEBTS
    ),
    "run_rolled_back": EventKind(
        "a run went back: the old value works, nothing new is alive", Weight.TICKET, (*_RUN, *_EXPLAIN)
    ),
    "run_contained": EventKind(
        "contained: the compromised value is proven dead, and no value works now", Weight.PAGE, (*_RUN, *_EXPLAIN)
    ),
    "run_abandoned": EventKind("a person ended a run with things as they were", Weight.TICKET, _EXPLAIN),
    "question_asked": EventKind("a run waits for a person", Weight.PAGE, _RUN),
    "question_answered": EventKind("a person answered: the run goes on", Weight.INFO, _RUN),
    "emergency_opened": EventKind("an emergency was opened", Weight.PAGE, ("rotator runs watch {run}",)),
    "debt_overdue": EventKind("an old value is not proven dead for too long", Weight.TICKET, _DEBTS),
    "stray_found": EventKind(
        "a platform lists a value of ours as active that nothing says is alive: a reconcile ends and proves it",
        Weight.TICKET, (*_EXPLAIN, "rotator strays {endpoint}"),
    ),
    "label_unaccounted": EventKind(
        "a value bears our label, and no intent of this ledger made it: it is not touched",
        Weight.TICKET, ("rotator strays {endpoint}",),
    ),
    "drift_found": EventKind(
        "between rotations something changed: what serves is no longer as it was left",
        Weight.TICKET, (*_EXPLAIN, "rotator verify {credential}"),
    ),
    "drift_over": EventKind("the drift is over: what serves is as it should be", Weight.INFO, _EXPLAIN),
    "expiry_near": EventKind(
        "the credential expires soon: somebody must say again that it is needed", Weight.TICKET, _EXPLAIN
    ),
    "expired": EventKind(
        "the credential has expired: say a new day in the configuration, or retire it", Weight.TICKET, _EXPLAIN
    ),
    "unmanaged": EventKind(
        "the configuration no longer names this credential, and its value may be alive", Weight.TICKET,
        (*_EXPLAIN, "rotator retire --only id={credential}"),
    ),
    "managed_again": EventKind("the configuration names this credential again", Weight.INFO, _EXPLAIN),
    "brake_on": EventKind(
        "too many credentials fell due at once: they are begun at a walking pace", Weight.PAGE,
        ("rotator status", "rotator brake release --reason TEXT"),
    ),
    "brake_released": EventKind("a person released the brake", Weight.INFO, ("rotator status",)),
    "brake_over": EventKind("the mass of due credentials is worked off", Weight.INFO, ("rotator status",)),
    "freeze_broken": EventKind("a run passes a freeze that is in force", Weight.TICKET, ("rotator runs watch {run}",)),
    "reload_failed": EventKind(
        "the configuration could not be read anew; the old one stands", Weight.TICKET, ("rotator config validate",)
    ),
    "incident": EventKind(
        "somebody else may have a secret of the daemon's: look at the store now", Weight.PAGE, ("rotator status",)
    ),
    "ledger_behind": EventKind(
        "a store has seen a newer ledger than this one: the daemon only observes", Weight.PAGE, ("rotator status",)
    ),
    "breaker_open": EventKind(
        "an endpoint or store fails: it is left alone, and tried again by itself", Weight.TICKET, ("rotator status",)
    ),
    "ban_suspected": EventKind(
        "a platform refuses or throttles us again and again: it is left alone before an account is locked",
        Weight.PAGE, ("rotator plugins try {endpoint}", "rotator status"),
    ),
    "delivery_dead": EventKind(
        "a channel took no messages for too long: they were laid aside", Weight.TICKET,
        ("rotator notify list", "rotator notify resend {channel}"),
    ),
    "test": EventKind("a test: somebody tries this route", Weight.INFO),
}  # fmt: skip
"""Every event that anybody can be told of."""

ENDINGS: Final[Mapping[Ending, str]] = {
    Ending.SUCCEEDED: "run_succeeded",
    Ending.OWED: "run_owed",
    Ending.ROLLED_BACK: "run_rolled_back",
    Ending.CONTAINED: "run_contained",
    Ending.ABANDONED: "run_abandoned",
}
LONGEST_FACT: Final = 400
EMERGENCIES: Final = frozenset({RunKind.OVERLAP, RunKind.CONTAIN})


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that happened. `key` is its own for ever: the same thing is told once. `about` binds what belongs
    together (a question and its answer), so that a receiver can close what it opened. `facts` are slugs and numbers."""

    event: str
    at: Millis
    key: str
    credential: CredentialId | None = None
    run: str = ""
    about: str = ""
    facts: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if self.event not in EVENTS:
            raise ValueError(f"{self.event} is not in the catalogue")
        if any(len(text) > LONGEST_FACT or not text.isprintable() for _, text in self.facts):
            raise ValueError("a fact is a slug, a name or a number")


def of_events(
    credential: CredentialId, run: str, kind: RunKind, events: Sequence[tuple[int, Event]], owed: int, at: Millis
) -> Iterator[Notice]:
    """What journal rows tell; `events` with their sequence numbers, `owed`: how many debts the credential has then."""
    for sequence, event in events:
        told: tuple[str, tuple[tuple[str, str], ...]] | None = None
        match event:
            case Opened() if kind in EMERGENCIES:
                told = "emergency_opened", ()
            case Asked(question=question):
                detail = (("detail", question.detail),) if question.detail else ()
                told = "question_asked", (("topic", question.topic.value), *detail)
            case Answered(kind=answer):
                told = "question_answered", (("answer", answer.value),)
            case Finished(ending=ending):
                told = ENDINGS[ending], (("debts", str(owed)),) if owed else ()
            case _:
                pass
        if told is not None:
            facts = (("kind", kind.value), *told[1])
            yield Notice(told[0], at, f"journal:{sequence}", credential, run, about=f"run:{run}", facts=facts)
