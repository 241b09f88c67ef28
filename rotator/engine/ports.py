"""What the engine needs of the world: a clock, a ledger, effects. Implemented by `ledger` and `effects`, tied together
by the daemon's bootstrap, replaced in tests by other implementations of the same contracts.

Nothing here has a value of a credential in it. All times are `Millis` since the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NewType, Protocol

from rotator.machine.events import Event, Intended, Outcome
from rotator.machine.facts import Ending, Facts, RunKind, State
from rotator.machine.ids import Gen, Home, Label, Millis
from rotator.machine.plan import Plan
from rotator.machine.steps import Grade, Intent, Step

from .inventory import Credential, CredentialId, Pause
from .notices import Notice

RunId = NewType("RunId", str)
"""UUIDv7 text."""


class Clock(Protocol):
    """The one home of time."""

    def now(self) -> Millis:
        """Wall clock, UTC. May jump."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back, for time-outs."""
        ...

    def sleep(self, seconds: float) -> None: ...


# ---- ledger --------------------------------------------------------------------------------------------------------


class LedgerError(Exception):
    """The ledger could not do it: nothing was recorded. `code` is a slug of the runbook."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class LeaseLost(LedgerError):
    """Another worker has the run: this one must stop at once. Nothing was recorded."""

    def __init__(self) -> None:
        super().__init__("lease_lost")


class RunOpen(LedgerError):
    """The credential has an open run already (R10)."""

    def __init__(self, run: RunId) -> None:
        super().__init__("run_open")
        self.run = run


@dataclass(frozen=True, slots=True)
class Installation:
    """Whose ledger this is. `fingerprint_check` tells a wrong fingerprint key; empty until the first is set."""

    name: str
    epoch: str
    fingerprint_check: str = ""


@dataclass(frozen=True, slots=True)
class CredentialRow:
    """A credential as the ledger knows it. `managed` is false once the configuration no longer names it."""

    definition: Credential
    facts: Facts
    managed: bool
    adopted_at: Millis | None
    last_success_at: Millis | None
    next_due_at: Millis | None
    due_why: str
    pause: Pause | None
    open_run: RunId | None
    facts_sequence: int = 0
    """The journal row up to which the facts go."""


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run, open or ended. `definition` and `plan` are frozen at its opening."""

    id: RunId
    credential: CredentialId
    kind: RunKind
    definition: Credential
    plan: Plan
    actor: str
    reason: str
    campaign: str
    opened_at: Millis
    ended_at: Millis | None
    ending: Ending | None
    wake_at: Millis | None
    held_why: str
    owner: str
    fence: int


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work a run until `lease_until`; `fence` goes with every append."""

    run: RunId
    fence: int
    lease_until: Millis


@dataclass(frozen=True, slots=True)
class Observed:
    """What a step showed beyond its outcome, for the evidence: slugs and fingerprints, never prose, never a value.

    `refusal`: the platform's own words for a rejection, as the plugin's slug; `identity`: who the platform said it was.
    """

    gen: Gen | None = None
    home: Home | None = None
    refusal: str = ""
    status: str = ""
    grade: Grade | None = None
    control: str = ""
    identity: str = ""
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One journal row."""

    sequence: int
    run: RunId
    at: Millis
    fence: int
    actor: str
    event: Event
    observed: Observed | None = None


@dataclass(frozen=True, slots=True)
class Debt:
    """A placement not proven dead that is neither current nor the target of the open run: a view."""

    credential: CredentialId
    gen: Gen
    home: Home
    state: State
    since: Millis
    label: Label | None
    handle: str | None


class Ledger(Protocol):
    """The one truth. Every write is one durable transaction (journal and projections together) or nothing at all.

    Thread-safe. Raises LedgerError (`locked`, `read_only`, `disk_full`, `newer_schema`, `damaged`, `unavailable`,
    `closed`; while opening also `missing_directory`, `not_a_ledger`, `second_daemon`).
    """

    def installation(self) -> Installation | None: ...
    def found(self, installation: Installation) -> None:
        """Write whose ledger this is: once, or to set the fingerprint check. Raises LedgerError
        (`other_installation`, `other_epoch`, `other_fingerprint_key`)."""
        ...

    def renew(self, epoch: str) -> None:
        """Give the ledger another epoch: it was restored, and what it says of the time since its copy is not known."""
        ...

    # -- inventory
    def accept(self, definitions: Sequence[Credential], digests: Mapping[str, str], at: Millis) -> None:
        """Replace the accepted definitions and file digests as a whole. A credential that is absent from
        `definitions` and has a row becomes unmanaged; rows are never deleted. Facts are untouched."""
        ...

    def digests(self) -> Mapping[str, str]: ...
    def document(self, name: str) -> str | None:
        """An accepted document (effective configuration as JSON text) by name."""
        ...

    def keep_document(self, name: str, text: str) -> None: ...
    def credential(self, credential: CredentialId) -> CredentialRow | None: ...
    def credentials(self) -> Sequence[CredentialRow]: ...
    def set_due(self, rows: Sequence[tuple[CredentialId, Millis | None, str]]) -> None:
        """Write next_due_at (None: never by itself) with the reason code, for many at once."""
        ...

    def due(self, now: Millis, limit: int) -> Sequence[CredentialId]:
        """Managed, adopted credentials without an open run and next_due_at <= now, earliest first. By index."""
        ...

    def count_due(self, now: Millis) -> int: ...
    def pause(self, credential: CredentialId, pause: Pause | None) -> None: ...
    def count_opened(self, actor: str, since: Millis) -> int:
        """How many runs this actor opened since then."""
        ...

    def tell(self, notices: Sequence[Notice], *, documents: Mapping[str, str] | None = None) -> int:
        """See `outbox.Outbox`: those whose key is new, with documents in the same transaction."""
        ...

    # -- runs
    def open_run(
        self,
        row: RunRow,
        events: Sequence[Event],
        facts: Facts,
        *,
        claim_by: str,
        lease_until: Millis,
        after: int | None = None,
    ) -> Claim:
        """Open a run with its first events and the facts after them, claimed at once. `after`: the `facts_sequence` of
        the row that the facts were made from; another run may have opened and ended since. Raises RunOpen,
        LedgerError (`unknown_credential`, `run_exists`, `stale_facts`)."""
        ...

    def run(self, run: RunId) -> RunRow | None: ...
    def runs(
        self, *, credential: CredentialId | None = None, open_only: bool = False, limit: int = 100
    ) -> Sequence[RunRow]: ...
    def claim_next(self, now: Millis, owner: str, lease_until: Millis, *, urgent: bool = False) -> Claim | None:
        """Claim the open run that has been due longest (wake_at <= now, no live lease); a new, higher fence. An
        emergency comes before all others (overlap, contain, retire, and whatever was told to contain); with `urgent`
        nothing else is claimed."""
        ...

    def claim(self, run: RunId, now: Millis, owner: str, lease_until: Millis) -> Claim | None:
        """Claim this run, if it has no live lease of another owner. Raises LedgerError (`unknown_run`, `run_ended`)."""
        ...

    def append(
        self,
        claim: Claim,
        events: Sequence[Event],
        facts: Facts,
        at: Millis,
        *,
        actor: str = "",
        observed: Observed | None = None,
        wake_at: Millis | None = None,
        held_why: str = "",
        lease_until: Millis | None = None,
    ) -> None:
        """Append events in order with the facts after the last, in one transaction. Raises LeaseLost if the fence is
        not the run's present one. A Finished among the events ends the run and frees the credential; an Intended of
        a negative probe (PROVE) is counted for its home. `observed` stands beside the last event; `lease_until`
        extends the lease."""
        ...

    def release(self, claim: Claim, wake_at: Millis | None, held_why: str) -> None:
        """Give the run back, to be woken at `wake_at` (None: only by a person)."""
        ...

    def end_leases(self) -> int:
        """End every lease: the one daemon of a ledger starts, whoever had a lease is dead. How many there were.

        The open intents of the dead keep their quiet time: that stands in the facts."""
        ...

    def wake(self, run: RunId, at: Millis) -> None:
        """A person answered or the world changed: work the run at `at`."""
        ...

    def journal(self, run: RunId, after: int = 0) -> Sequence[Entry]: ...
    def sequence(self) -> int:
        """The journal's high-water mark."""
        ...

    def serials(self, count: int) -> int:
        """Reserve `count` serials of labels for ever; the first of them. Gaps are harmless, repeats are not."""
        ...

    def debts(self, credential: CredentialId | None = None) -> Sequence[Debt]: ...
    def probes(self, home: Home, since: Millis) -> int:
        """Negative probes of this home since then, over all runs and restarts."""
        ...

    # -- fingerprints (text): evidence which value was which, never a value
    def fingerprint(self, credential: CredentialId, gen: Gen, text: str) -> None: ...
    def fingerprints(self, credential: CredentialId) -> Mapping[Gen, str]: ...
    def close(self) -> None: ...


# ---- effects -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Work:
    """One step to perform: everything about it that was committed, and what is known beside it."""

    run: RunId
    definition: Credential
    plan: Plan
    facts: Facts
    step: Step
    intent: Intent


@dataclass(frozen=True, slots=True)
class Performed:
    """The outcome to commit, and what was seen."""

    outcome: Outcome
    observed: Observed | None = None


class Effects(Protocol):
    """The only way to the world. Never raises for anything that the world does: that is an outcome."""

    def perform(self, work: Work) -> Performed: ...


__all__ = [
    "Claim",
    "Clock",
    "CredentialRow",
    "Debt",
    "Effects",
    "Entry",
    "Installation",
    "Intended",
    "LeaseLost",
    "Ledger",
    "LedgerError",
    "Observed",
    "Performed",
    "RunId",
    "RunOpen",
    "RunRow",
    "Work",
]
