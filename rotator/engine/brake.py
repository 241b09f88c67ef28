"""The brake: a sudden mass of due credentials begins at a walking pace, until it is done or a person has looked.

Asked by the tick at each turn; released by a person's request. Its state is one document of the ledger, so neither a
restart nor a second mass within the first changes what a person has said. What a person opens, what is about to expire
and work on debts are never held. A row without a due time is never part of a mass.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import structlog

from rotator.machine.ids import Millis

from .calendar import DAY, HOUR
from .inventory import CredentialId
from .notices import Notice
from .ports import Clock, CredentialRow, Ledger

_LOG = structlog.get_logger()
DOCUMENT = "brake"
OPENED_BY = "scheduler"
_MOST_DUE = 1_000_000


@dataclass(frozen=True, slots=True)
class BrakeRules:
    """A mass is more than `at_least` due at once, and more than `share` of all managed credentials. Under the brake
    `per_hour` are opened; 0: none. What expires within `expiring` is let through (what has expired is not)."""

    share: float = 0.5
    at_least: int = 50
    per_hour: int = 20
    expiring: Millis = 14 * DAY

    def is_mass(self, due: int, managed: int) -> bool:
        """Whether so many are a mass."""
        return due > self.at_least and due > self.share * managed


@dataclass(frozen=True, slots=True)
class Braking:
    """What is known of the present mass. `released_at`: a person looked; the rest of it may begin."""

    since: Millis
    due: int
    released_at: Millis | None = None
    by: str = ""
    reason: str = ""

    @property
    def holds(self) -> bool:
        """Whether it is held."""
        return self.released_at is None


@dataclass(frozen=True, slots=True)
class Pace:
    """What of the due may be opened now: these, in this order. None: no brake, all of them."""

    names: tuple[CredentialId, ...] | None = None


class Brake:
    """One ledger's brake. `managed` counts what is configured; `rules` may change at a reload."""

    def __init__(
        self, ledger: Ledger, clock: Clock, rules: Callable[[], BrakeRules], managed: Callable[[], int],
        *, shared: bool = False,
    ) -> None:  # fmt: skip
        self._ledger, self._clock, self.rules, self._managed = ledger, clock, rules, managed
        self._shared = shared
        self._lock = threading.Lock()
        self._known: Braking | None = None
        self._read = False

    def state(self) -> Braking | None:
        """The present mass; None: there is none."""
        with self._lock:
            return self._state()

    def on(self) -> bool:
        """Whether a mass is held."""
        state = self.state()
        return state is not None and state.holds

    def holds(self, row: CredentialRow, now: Millis) -> bool:
        """Whether this credential is one of those that are held."""
        return self.on() and not self._exempt(row, now)

    def pace(self, batch: int) -> Pace:
        """Look at what is due, put the brake on or off, and say what may be opened now: `batch` at most."""
        now = self._clock.now()
        with self._lock:
            state = self._look(now)
            if state is None or not state.holds:
                return Pace()
        rows = self._due(now)
        free = [row.definition.id for row in rows if self._exempt(row, now)]
        held = [row.definition.id for row in rows if not self._exempt(row, now)]
        return Pace(tuple([*free, *held[: self._allowance(state, now)]][:batch]))

    def release(self, by: str, reason: str) -> Braking | None:
        """A person looked: the rest of the present mass may begin. None: none is held. A later mass is held again."""
        now = self._clock.now()
        with self._lock:
            state = self._state()
            if state is None or not state.holds:
                return None
            told = Notice("brake_released", now, f"brake:{state.since}:released", about=f"brake:{state.since}")
            return self._keep(Braking(state.since, state.due, now, by, reason), [told])

    def _look(self, now: Millis) -> Braking | None:
        state, rules = self._state(), self.rules()
        count = self._ledger.count_due(now)
        if state is None and rules.is_mass(count, self._managed()):
            rows = self._due(now)
            count = sum(not self._exempt(row, now) for row in rows)
            if rules.is_mass(count, self._managed()):
                _LOG.warning("engine.tick.brake", due=count)
                told = Notice(
                    "brake_on", now, f"brake:{now}", about=f"brake:{now}",
                    facts=(("due", str(count)), ("per_hour", str(rules.per_hour))),
                )  # fmt: skip
                return self._keep(Braking(now, count), [told])
        elif state is not None and count <= rules.at_least:
            over = Notice("brake_over", now, f"brake:{state.since}:over", about=f"brake:{state.since}")
            return self._keep(None, [over] if state.holds else [])
        return state

    def _due(self, now: Millis) -> list[CredentialRow]:
        """What is due, longest first."""
        rows = {row.definition.id: row for row in self._ledger.credentials()}
        return [rows[name] for name in self._ledger.due(now, _MOST_DUE) if name in rows]

    def _exempt(self, row: CredentialRow, now: Millis) -> bool:
        left = row.definition.expires - now
        return row.due_why == "debts" or 0 < left <= self.rules().expiring

    def _allowance(self, state: Braking, now: Millis) -> int:
        """Evenly over the hour, counted from what was opened in truth: a restart gives none twice."""
        per_hour = self.rules().per_hour
        opened = self._ledger.count_opened(OPENED_BY, max(state.since, now - HOUR + 1))
        return max(0, min(per_hour * (now - state.since) // HOUR, per_hour) - opened)

    def _state(self) -> Braking | None:
        if self._shared or not self._read:  # another replica may have put it on or off
            text = self._ledger.document(DOCUMENT)
            self._known = Braking(**json.loads(text)) if text else None
            self._read = True
        return self._known

    def _keep(self, state: Braking | None, told: Sequence[Notice]) -> Braking | None:
        text = "" if state is None else json.dumps(asdict(state), sort_keys=True)
        self._ledger.tell(told, documents={DOCUMENT: text})
        self._known = state
        return state
