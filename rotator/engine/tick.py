"""The tick: what is due is opened, what can go on is given to a worker.

One call every few seconds (by the daemon's one scheduler job) and whenever somebody wakes it. It holds no schedule of
its own: due times are rows of the ledger. A sudden mass of due credentials is held by the brake until a person looks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass

import structlog

from rotator.machine.due import Schedule, due
from rotator.machine.facts import RunKind
from rotator.machine.holds import FOREVER
from rotator.machine.ids import Millis
from rotator.machine.reading import debts

from .calendar import in_window, window_opens
from .inventory import CredentialId, paused_until
from .opening import Opener, Order
from .ports import Claim, Clock, CredentialRow, Ledger, LedgerError, RunOpen, RunRow
from .scheduling import Due, due_time, reconcile_time

_LOG = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class TickRules:
    """`batch`: opened in one tick. `brake`: more due than this share of all managed credentials, and more than
    `brake_floor` of them, is a sudden mass: nothing is opened by itself until a person resumes. `again`: when what
    only an event changes is looked at again all the same."""

    batch: int = 100
    brake: float = 0.5
    brake_floor: int = 50
    retry: Millis = 3_600_000
    reconcile: Millis = 3_600_000
    again: Millis = 600_000


class Tick:
    """`submit` gives a claimed run to a worker; `free` says how many workers are free; `managed` counts what is
    configured. While `observing` nothing is opened and nothing is worked: facts that are older than the world would
    send again what was sent, under labels that are taken."""

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
        managed: Callable[[], int],
    ) -> None:
        self._ledger, self._clock, self._opener, self._rules = ledger, clock, opener, rules
        self._owner, self._lease = owner, lease
        self._submit, self._free, self._observing, self._managed = submit, free, observing, managed
        self._lock = threading.Lock()
        self._handing = threading.Lock()
        self._released = False
        self._reconciling: dict[CredentialId, Millis] | None = None
        self.braked = False

    def __call__(self) -> None:
        """One tick. Two at once never run; a ledger that does not answer is tried again at the next."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            if self._observing():
                return
            self.open_due()
            self.hand_out()
        except LedgerError as error:
            _LOG.error("engine.tick.ledger", code=error.code)
        finally:
            self._lock.release()

    def open_due(self) -> int:
        """Open a run for each credential that is due and not held; how many."""
        now = self._clock.now()
        names = [*self._ledger.due(now, self._rules.batch), *self._overtaken(now)]
        if not names:
            self.braked = self._released = False
            return 0
        self.braked = self._mass(now)
        if self.braked:
            _LOG.warning("engine.tick.brake", due=self._ledger.count_due(now))
            return 0
        return sum(self._open_one(name, now) for name in names)

    def hand_out(self) -> None:
        """Give runs whose time has come to free workers, longest due first."""
        with self._handing:
            while self._free() > 0:
                now = self._clock.now()
                claim = self._ledger.claim_next(now, self._owner, now + self._lease)
                if claim is None:
                    return
                self._submit(claim)

    def wake(self) -> None:
        """Something was opened or answered: give it to a worker now, instead of at the next tick."""
        try:
            if not self._observing():
                self.hand_out()
        except LedgerError as error:
            _LOG.error("engine.tick.ledger", code=error.code)

    def release_brake(self) -> None:
        """A person looked: the present mass may begin. A later one is held again, also one after a restart."""
        self._released = self._released or self.braked
        self.braked = False

    def refresh(self, *credentials: CredentialId) -> None:
        """Write the next due times, after a run ended, a definition changed or a pause was lifted; one transaction."""
        rows = [row for row in map(self._ledger.credential, credentials) if row is not None]
        self._ledger.set_due([self._due_row(row) for row in rows])
        self._reconciling = None

    def refresh_all(self) -> None:
        """The same for every credential."""
        self._ledger.set_due([self._due_row(row) for row in self._ledger.credentials()])
        self._reconciling = None

    def schedule(self, row: CredentialRow, now: Millis) -> Schedule:
        """What the machine's `due` is asked with, for the tick and for `explain`."""
        last = self.last_ended(row.definition.id)
        rotation = self._rotation(row, last)
        window = row.definition.policy.schedule.window
        opens = None if window is None or in_window(window, now) else window_opens(window, now)
        held = None if row.open_run is None else self._ledger.run(row.open_run)
        return Schedule(
            adopted=row.adopted_at is not None,
            retired=rotation.why in {"retired", "contained"},
            removed=not row.managed,
            open_run=None if held is None else held.kind,
            asked=held is not None and row.facts.question is not None,
            observing=self._observing(),
            paused_until=paused_until(row.pause, row.definition.policy.pause, now),
            rotate_at=rotation.at,
            window_opens=opens,
            reconcile_at=self._reconcile_at(row, last),
        )

    def last_ended(self, credential: CredentialId) -> RunRow | None:
        """The newest ended run."""
        runs = self._ledger.runs(credential=credential, limit=2)
        return next((run for run in runs if run.ended_at is not None), None)

    def _open_one(self, name: CredentialId, now: Millis) -> bool:
        """One credential's bug must not keep the others from being opened."""
        try:
            return self._open(name, now)
        except LedgerError:
            raise
        except Exception as error:
            _LOG.error("engine.tick.bug", credential=name, error=type(error).__name__)
            self._ledger.set_due([(name, now + self._rules.retry, "bug")])
            return False

    def _open(self, name: CredentialId, now: Millis) -> bool:
        row = self._ledger.credential(name)
        if row is None:
            return False
        answer = due(self.schedule(row, now), now)
        if answer.open is None:
            self._ledger.set_due([(name, self._asked_again(answer.at, answer.why, now), answer.why)])
            return False
        try:
            self._opener.open(name, Order(answer.open, "scheduler", answer.why))
        except RunOpen:
            return False
        except LookupError:
            self._ledger.set_due([(name, now + self._rules.retry, "unknown_endpoint")])
            return False
        self._reconciling = None
        return True

    def _asked_again(self, at: Millis | None, why: str, now: Millis) -> Millis | None:
        """A row that is not opened must leave the head of the queue, or a hundred of them starve all others."""
        if why in _FINAL:
            return None
        return now + self._rules.again if at is None or at >= FOREVER else max(at, now + 1)

    def _overtaken(self, now: Millis) -> Collection[CredentialId]:
        """Credentials whose reconcile is open while their rotation falls due: it gives way. The ledger's index of what
        is due has none with an open run, so their times are kept here; they are read again after every change."""
        if self._reconciling is None:
            self._reconciling = {}
            for run in self._ledger.runs(open_only=True, limit=_MOST_OPEN):
                row = self._ledger.credential(run.credential) if run.kind is RunKind.RECONCILE else None
                rotation = None if row is None else self._rotation(row, self.last_ended(run.credential))
                if rotation is not None and rotation.at is not None:
                    self._reconciling[run.credential] = rotation.at
        overtaken = [name for name, at in self._reconciling.items() if at <= now]
        for name in overtaken:
            self._reconciling[name] = now + self._rules.again  # unless it is opened: then all are read anew
        return overtaken

    def _mass(self, now: Millis) -> bool:
        count = self._ledger.count_due(now)
        mass = count > self._rules.brake_floor and count > self._rules.brake * self._managed()
        self._released = self._released and mass
        return mass and not self._released

    def _rotation(self, row: CredentialRow, last: RunRow | None) -> Due:
        return due_time(row, last, retry=self._rules.retry)

    def _due_row(self, row: CredentialRow) -> tuple[CredentialId, Millis | None, str]:
        if row.open_run is not None:
            return (row.definition.id, self._clock.now(), "run_open")  # see Opener: hidden until the run has ended
        last = self.last_ended(row.definition.id) if row.facts_sequence else None  # no journal, no run
        rotation = self._rotation(row, last)
        again = self._reconcile_at(row, last)
        if again is not None and (rotation.at is None or again < rotation.at):
            return (row.definition.id, again, "debts")
        return (row.definition.id, rotation.at, rotation.why)

    def _reconcile_at(self, row: CredentialRow, last: RunRow | None) -> Millis | None:
        if row.adopted_at is None or not debts(row.facts):
            return None
        return reconcile_time(last, self._rules.reconcile)


_FINAL = frozenset({"retired", "removed", "not_adopted"})
"""Only an event changes these, and that event writes the due time."""

_MOST_OPEN = 100_000
"""Open runs that are read to find reconciles."""
