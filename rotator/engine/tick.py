"""The tick: what is due is opened, what can go on is given to a worker.

One call every few seconds (by the daemon's one scheduler job) and whenever somebody wakes it. It holds no schedule of
its own: due times are rows of the ledger. A sudden mass of due credentials is held by the brake until a person looks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from rotator.machine.due import Schedule, due
from rotator.machine.ids import Millis
from rotator.machine.reading import debts

from .calendar import in_window, window_opens
from .inventory import CredentialId
from .opening import Opener, Order
from .ports import Claim, Clock, CredentialRow, Ledger, LedgerError, RunOpen, RunRow
from .scheduling import due_time, reconcile_time

_LOG = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class TickRules:
    """`batch`: opened in one tick. `brake`: more due than this share of all managed credentials, and more than
    `brake_floor` of them, is a sudden mass: nothing is opened by itself until a person resumes."""

    batch: int = 100
    brake: float = 0.5
    brake_floor: int = 50
    retry: Millis = 3_600_000
    reconcile: Millis = 3_600_000


class Tick:
    """`submit` gives a claimed run to a worker; `free` says how many workers are free."""

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        opener: Opener,
        rules: TickRules,
        *,
        owner: str,
        lease: Millis,
        submit: Callable[[Claim], None],
        free: Callable[[], int],
        observing: Callable[[], bool],
    ) -> None:
        self._ledger, self._clock, self._opener, self._rules = ledger, clock, opener, rules
        self._owner, self._lease = owner, lease
        self._submit, self._free, self._observing = submit, free, observing
        self._lock = threading.Lock()
        self.braked = False

    def __call__(self) -> None:
        """One tick. Two at once never run; a ledger that does not answer is tried again at the next."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            self.open_due()
            self.hand_out()
        except LedgerError as error:
            _LOG.error("engine.tick.ledger", code=error.code)
        finally:
            self._lock.release()

    def open_due(self) -> int:
        """Open a run for each credential that is due and not held; how many."""
        now = self._clock.now()
        names = self._ledger.due(now, self._rules.batch)
        if not names:
            self.braked = False
            return 0
        self.braked = self._mass(now)
        if self.braked:
            _LOG.warning("engine.tick.brake", due=self._ledger.count_due(now))
            return 0
        return sum(self._open(name, now) for name in names)

    def hand_out(self) -> None:
        """Give runs whose time has come to free workers, longest due first."""
        while self._free() > 0:
            now = self._clock.now()
            claim = self._ledger.claim_next(now, self._owner, now + self._lease)
            if claim is None:
                return
            self._submit(claim)

    def refresh(self, credential: CredentialId) -> None:
        """Write the next due time of one credential, after its run ended or its definition changed."""
        row = self._ledger.credential(credential)
        if row is not None:
            self._ledger.set_due([self._due_row(row)])

    def refresh_all(self) -> None:
        """The same for every credential, in one transaction."""
        self._ledger.set_due([self._due_row(row) for row in self._ledger.credentials()])

    def schedule(self, row: CredentialRow, now: Millis) -> Schedule:
        """What the machine's `due` is asked with, for the tick and for `explain`."""
        last = self.last_ended(row.definition.id)
        rotation = due_time(row, last, retry=self._rules.retry)
        window = row.definition.policy.schedule.window
        opens = None if window is None or in_window(window, now) else window_opens(window, now)
        held = None if row.open_run is None else self._ledger.run(row.open_run)
        pause = row.pause or row.definition.policy.pause
        return Schedule(
            adopted=row.adopted_at is not None,
            retired=rotation.why in {"retired", "contained"},
            removed=not row.managed,
            open_run=None if held is None else held.kind,
            asked=held is not None and row.facts.question is not None,
            observing=self._observing(),
            paused_until=None if pause is None else (pause.until if pause.until is not None else now + self._lease),
            rotate_at=rotation.at,
            window_opens=opens,
            reconcile_at=self._reconcile_at(row, last),
        )

    def last_ended(self, credential: CredentialId) -> RunRow | None:
        """The newest ended run."""
        runs = self._ledger.runs(credential=credential, limit=5)
        return next((run for run in runs if run.ended_at is not None), None)

    def _open(self, name: CredentialId, now: Millis) -> bool:
        row = self._ledger.credential(name)
        if row is None:
            return False
        answer = due(self.schedule(row, now), now)
        if answer.open is None:
            self._ledger.set_due([(name, answer.at if answer.at is not None else row.next_due_at, answer.why)])
            return False
        try:
            self._opener.open(name, Order(answer.open, "scheduler", answer.why))
        except RunOpen:
            return False
        except LookupError:
            self._ledger.set_due([(name, now + self._rules.retry, "unknown_endpoint")])
            return False
        return True

    def _mass(self, now: Millis) -> bool:
        count = self._ledger.count_due(now)
        if count <= self._rules.brake_floor:
            return False
        managed = sum(1 for row in self._ledger.credentials() if row.managed)
        return count > self._rules.brake * managed

    def _due_row(self, row: CredentialRow) -> tuple[CredentialId, Millis | None, str]:
        last = self.last_ended(row.definition.id)
        rotation = due_time(row, last, retry=self._rules.retry)
        again = self._reconcile_at(row, last)
        if again is not None and (rotation.at is None or again < rotation.at):
            return (row.definition.id, again, "debts")
        return (row.definition.id, rotation.at, rotation.why)

    def _reconcile_at(self, row: CredentialRow, last: RunRow | None) -> Millis | None:
        if row.adopted_at is None or not debts(row.facts):
            return None
        return reconcile_time(last, self._rules.reconcile)
