"""The heartbeat between rotations: does what serves still serve, as whom it should, and is the store's value still
ours?

Called by the daemon's rounds, a credential at a time, and asked by explain, status and metrics. It reads and opens
nothing: no run, no repair. One read of the store and one probe a home that succeeds when all is well, so it costs no
failing tries; an old value is never tried. A run that opened meanwhile makes what was felt worthless: then nothing is
recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Protocol

import structlog

from rotator.machine.facts import Facts, RunKind
from rotator.machine.ids import Gen, Millis
from rotator.machine.reading import current_known

from .findings import DRIFTS
from .inventory import Credential, CredentialId
from .notices import Notice
from .ports import Clock, CredentialRow, Ledger
from .scheduling import SERVED
from .sweeping import spread
from .tick import Tick
from .views import instant

_LOG = structlog.get_logger()
AGAIN: Final[Millis] = 600_000
"""After one that could not be felt, or that a run made worthless."""
BATCH: Final = 500


class Drift(Enum):
    """What a heartbeat found. WELL and UNREACHABLE are no drift: of the second nothing is known."""

    WELL = "well"
    UNREACHABLE = "unreachable"
    CHANGED_ELSEWHERE = "changed_elsewhere"  # the store's value is somebody else's, or is gone
    RESTORED = "restored_from_backup"  # an older value of ours is current again, or lives again
    NOT_ACCEPTED = "not_accepted"  # revoked or expired at the platform
    OTHER_IDENTITY = "other_identity"
    PERMISSION_LOST = "permission_lost"  # the same identity with fewer scopes


@dataclass(frozen=True, slots=True)
class Felt:
    """One home: `answer` is alive, rejected, stranger, lacks (scopes) or inconclusive. `older`: an older value of ours
    that the platform lists as active there (looked for only where the present one is refused)."""

    home: str
    answer: str
    reason: str = ""
    older: Gen | None = None


@dataclass(frozen=True, slots=True)
class Beat:
    """What was felt. `store`: ours, foreign, absent or unreachable; `gen`: which of ours it shows."""

    store: str
    gen: Gen | None = None
    reason: str = ""
    homes: tuple[Felt, ...] = ()


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The class of a beat, with the place and reason code that told."""

    drift: Drift
    place: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class BeatRow:
    """What the ledger holds of a credential's heartbeat. `since`: from when on the finding stands; `at` None: never."""

    credential: CredentialId
    next_at: Millis
    at: Millis | None = None
    finding: str = ""
    since: Millis | None = None
    place: str = ""
    reason: str = ""


class Pulse(Protocol):
    """The reads, through the effects."""

    def feel(self, definition: Credential, facts: Facts, known: Mapping[Gen, str]) -> Beat:
        """`known`: fingerprints by generation. Changes nothing, never raises for what the world does."""
        ...


class Beats(Protocol):
    """Kept by the ledger. Raises LedgerError."""

    def beats_due(self, now: Millis, limit: int) -> Sequence[CredentialId]: ...
    def beat_of(self, credential: CredentialId) -> BeatRow | None: ...
    def beats_found(self) -> Sequence[BeatRow]:
        """Those whose finding is a drift, oldest first."""
        ...

    def beatless(self, limit: int) -> Sequence[CredentialId]:
        """Adopted, managed credentials that have no row yet."""
        ...

    def keep_beats(self, rows: Sequence[BeatRow]) -> None: ...


class BeatLedger(Ledger, Beats, Protocol):
    """A ledger that keeps heartbeats."""


_WORST: Final = (Drift.RESTORED, Drift.NOT_ACCEPTED, Drift.OTHER_IDENTITY, Drift.PERMISSION_LOST, Drift.UNREACHABLE)
_BY_ANSWER: Final = {
    "rejected": Drift.NOT_ACCEPTED, "stranger": Drift.OTHER_IDENTITY, "lacks": Drift.PERMISSION_LOST,
    "alive": Drift.WELL,
}  # fmt: skip
DRIFTED: Final = frozenset(one.value for one in Drift) - {"well", "unreachable"}


def diagnosed(beat: Beat, current: Gen) -> Diagnosis:
    """The class of a beat: the store first, then the worst of the homes."""
    if beat.store == "unreachable":
        return Diagnosis(Drift.UNREACHABLE, "store", beat.reason)
    if beat.store in ("foreign", "absent"):
        return Diagnosis(Drift.CHANGED_ELSEWHERE, "store", beat.store)
    if beat.gen != current:
        return Diagnosis(Drift.RESTORED, "store", "older_current")
    found = [Diagnosis(_class_of(one), one.home, one.reason) for one in beat.homes]
    return min(
        (one for one in found if one.drift is not Drift.WELL),
        key=lambda one: _WORST.index(one.drift),
        default=Diagnosis(Drift.WELL) if found else Diagnosis(Drift.UNREACHABLE, "", "no_home"),
    )


def _class_of(felt: Felt) -> Drift:
    return Drift.RESTORED if felt.older is not None else _BY_ANSWER.get(felt.answer, Drift.UNREACHABLE)


@dataclass(slots=True)
class Heart:
    """Heartbeats of one ledger. `blocked`: whether an endpoint is left alone now (its breaker is open)."""

    ledger: BeatLedger
    clock: Clock
    pulse: Pulse
    tick: Tick
    observing: Callable[[], bool]
    blocked: Callable[[str], bool] = lambda endpoint: False

    def due(self, limit: int = BATCH) -> list[tuple[str, CredentialId]]:
        """(endpoint, credential) of what is due now; rows of new credentials are made on the way, at their own time."""
        now = self.clock.now()
        fresh = [row for name in self.ledger.beatless(limit) if (row := self.ledger.credential(name)) is not None]
        self.ledger.keep_beats([BeatRow(row.definition.id, next_time(row, now)) for row in fresh])
        found = []
        for name in self.ledger.beats_due(now, limit):
            row = self.ledger.credential(name)
            if row is not None:
                found.append((row.definition.authorities[0].endpoint, name))
        return found

    def beat(self, name: CredentialId) -> Diagnosis | None:
        """Feel one, and record it; None: it was not felt now. Raises LedgerError."""
        before, now = self.ledger.credential(name), self.clock.now()
        if before is None:
            return None
        old = self.ledger.beat_of(name) or BeatRow(name, now)
        if not self._alive(before):
            self.ledger.keep_beats([BeatRow(name, next_time(before, now))])  # its finding is over with it
            return None
        gen = current_known(before.facts)
        busy = before.open_run is not None or self.observing() or not gen
        if busy or any(self.blocked(one.endpoint) for one in before.definition.authorities):
            self.ledger.keep_beats([_later(old, now)])
            return None
        assert gen is not None
        beat = self.pulse.feel(before.definition, before.facts, self.ledger.fingerprints(name))
        after = self.ledger.credential(name)
        if after is None or after.open_run is not None or after.facts_sequence != before.facts_sequence:
            self.ledger.keep_beats([_later(old, now)])
            return None
        said = diagnosed(beat, gen)
        self._record(before, old, said)
        return said

    def view(self, name: CredentialId) -> dict[str, Any] | None:
        """What is known of a credential's heartbeat; None: never felt."""
        row = self.ledger.beat_of(name)
        return None if row is None or row.at is None else beat_view(row)

    def drifts(self) -> list[dict[str, Any]]:
        """Every drift, oldest first."""
        return [beat_view(row) for row in self.ledger.beats_found()]

    def figures(self) -> dict[str, list[tuple[str, float]]]:
        """As metrics, by name without the prefix."""
        found = self.ledger.beats_found()
        return {"drift": [(f'{{credential="{one.credential}",finding="{one.finding}"}}', 1.0) for one in found]}

    # -- parts -----------------------------------------------------------------------------------------------------

    def _alive(self, row: CredentialRow) -> bool:
        last = self.tick.last_ended(row.definition.id)
        retired = last is not None and last.kind is RunKind.RETIRE and last.ending in SERVED
        return row.managed and row.adopted_at is not None and not retired and row.definition.policy.heartbeat > 0

    def _record(self, row: CredentialRow, old: BeatRow, said: Diagnosis) -> None:
        """What could not be felt changes no finding: a drift stands until it is seen to be over."""
        now, name = self.clock.now(), row.definition.id
        if said.drift is Drift.UNREACHABLE:
            kept = _later(old, now) if old.finding else BeatRow(name, now + AGAIN, now, said.drift.value, now)
            self.ledger.keep_beats([kept])
            return
        same = (old.finding, old.place) == (said.drift.value, said.place) and old.since is not None
        since = old.since if same else now
        new = BeatRow(name, next_time(row, now), now, said.drift.value, since, said.place, said.reason)
        if said.drift is not Drift.WELL:  # told before it is kept: whoever dies in between tells it with the same key
            self.ledger.tell([_notice("drift_found", new, now)])
        elif old.finding in DRIFTED:
            self.ledger.tell([_notice("drift_over", old, now)])
        self.ledger.keep_beats([new])
        _LOG.info("engine.heartbeat", credential=name, finding=said.drift.value, place=said.place, reason=said.reason)


def next_time(row: CredentialRow, now: Millis) -> Millis:
    """The credential's next own moment: a fixed share of the interval, by its name."""
    every = row.definition.policy.heartbeat or 86_400_000
    return now + every - (now - spread(f"beat/{row.definition.id}", every)) % every


def _later(old: BeatRow, now: Millis) -> BeatRow:
    return BeatRow(old.credential, now + AGAIN, old.at, old.finding, old.since, old.place, old.reason)


def _notice(event: str, row: BeatRow, now: Millis) -> Notice:
    name = f"drift:{row.credential}:{row.finding}:{row.place}:{row.since}"
    facts = (("finding", row.finding), ("place", row.place), ("reason", row.reason), ("since", str(instant(row.since))))
    return Notice(event, now, f"{event}:{name}", row.credential, about=name, facts=facts)


def beat_view(row: BeatRow) -> dict[str, Any]:
    """One heartbeat for people."""
    says, do = DRIFTS.get(row.finding, ("", ""))
    return {
        "credential": row.credential, "at": instant(row.at), "next": instant(row.next_at), "finding": row.finding,
        "since": instant(row.since), "place": row.place, "reason": row.reason, "says": says,
        "do": do.replace("ID", row.credential),
    }  # fmt: skip
