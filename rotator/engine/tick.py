"""The tick: what is due is opened, what can go on is given to a worker.

One call every few seconds (by the daemon's one scheduler job) and whenever somebody wakes it. It holds no schedule of
its own: due times are rows of the ledger. A sudden mass of due credentials is slowed down by the brake (`brake`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import structlog

from rotator.machine.due import Schedule, due
from rotator.machine.facts import RunKind
from rotator.machine.holds import FOREVER
from rotator.machine.ids import Millis
from rotator.machine.reading import debts, lapses

from .brake import Brake, BrakeRules
from .calendar import catch_up, in_window
from .freezes import Freeze, Frozen, frozen
from .inventory import CredentialId, paused_until
from .observation import workable
from .opening import Opener, Order
from .ports import Claim, Clock, CredentialRow, Ledger, LedgerError, RunId, RunOpen, RunRow
from .scheduling import MOST_DOUBLED, Due, due_time, reconcile_time

_LOG = structlog.get_logger()


_BRAKE = BrakeRules()


@dataclass(frozen=True, slots=True)
class TickRules:
    """`batch`: opened in one tick. `brake`: what a sudden mass is; the daemon's configuration may say otherwise.
    `again`: when what only an event changes is looked at again all the same."""

    batch: int = 100
    brake: BrakeRules = _BRAKE
    retry: Millis = 3_600_000
    reconcile: Millis = 3_600_000
    reconcile_max: Millis = 86_400_000
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
        freezes: Callable[[], Sequence[Freeze]] = lambda: (),
        brake: Callable[[], BrakeRules] | None = None,
        free_urgent: Callable[[], int] | None = None,
        opens: Callable[[], bool] | None = None,
    ) -> None:
        self._ledger, self._clock, self._opener, self._rules = ledger, clock, opener, rules
        self._owner, self._lease = owner, lease
        self._submit, self._free, self._observing, self.freezes = submit, free, observing, freezes
        self._free_urgent = free_urgent or free
        self.brake = Brake(ledger, clock, brake or (lambda: rules.brake), managed, shared=opens is not None)
        self._opens = opens
        self.repairs: Callable[[], Collection[RunId]] = frozenset
        """Runs that are worked though the daemon observes: set by who makes the `Observation`."""
        self.reconcile_rules: Callable[[], tuple[Millis, Millis]] = lambda: (rules.reconcile, rules.reconcile_max)
        """The pause before the first reconcile, and the longest."""
        self._lock = threading.Lock()
        self._handing = threading.Lock()
        self._reconciling: dict[CredentialId, Millis] | None = None

    def __call__(self) -> None:
        """One tick. Two at once never run; a ledger that does not answer is tried again at the next."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            if self._observing():
                self._hand_out_repairs()
                return
            if self._our_turn():
                self.open_due()
            self.hand_out()
        except LedgerError as error:
            _LOG.error("engine.tick.ledger", code=error.code)
        finally:
            self._lock.release()

    def _our_turn(self) -> bool:
        """Of several replicas one opens what is due; what was known of open reconciles may be another's doing since."""
        if self._opens is None:
            return True
        self._reconciling = None
        return self._opens()

    def open_due(self) -> int:
        """Open a run for each credential that is due and not held; how many."""
        now = self._clock.now()
        let = self.brake.pace(self._rules.batch).names
        names = self._ledger.due(now, self._rules.batch) if let is None else let
        return sum(self._open_one(name, now) for name in (*names, *self._overtaken(now)))

    def hand_out(self) -> None:
        """Give runs whose time has come to free workers: emergencies first, also to workers that take nothing else;
        then longest due first."""
        with self._handing:
            while self._free_urgent() > 0:
                now = self._clock.now()
                claim = self._ledger.claim_next(now, self._owner, now + self._lease, urgent=self._free() <= 0)
                if claim is None:
                    return
                self._submit(claim)

    def _hand_out_repairs(self) -> None:
        """Of a restored ledger only what a person asked for is worked."""
        with self._handing:
            for name in sorted(self.repairs()):
                now = self._clock.now()
                run = self._ledger.run(name)
                if run is not None and workable(run, now) and self._free() > 0:
                    claim = self._ledger.claim(name, now, self._owner, now + self._lease)
                    if claim is not None:
                        self._submit(claim)

    def wake(self) -> None:
        """Something was opened or answered: give it to a worker now, instead of at the next tick."""
        try:
            if self._observing():
                self._hand_out_repairs()
            else:
                self.hand_out()
        except LedgerError as error:
            _LOG.error("engine.tick.ledger", code=error.code)

    def refresh(self, *credentials: CredentialId) -> None:
        """Write the next due times, after a run ended, a definition changed or a pause was lifted; one transaction."""
        rows = [row for row in map(self._ledger.credential, credentials) if row is not None]
        self._ledger.set_due([self._due_row(row) for row in rows])
        self._reconciling = None

    def refresh_all(self) -> None:
        """The same for every credential."""
        self._ledger.set_due([self._due_row(row) for row in self._ledger.credentials()])
        self._reconciling = None

    def frozen(self, row: CredentialRow, now: Millis) -> Frozen | None:
        """The freeze that holds what the calendar would open."""
        return frozen(self.freezes(), row.definition, frozenset(), now)

    def schedule(self, row: CredentialRow, now: Millis) -> Schedule:
        """What the machine's `due` is asked with, for `explain`."""
        return self._schedule(row, now, braking=self.brake.holds(row, now))

    def _schedule(self, row: CredentialRow, now: Millis, *, braking: bool) -> Schedule:
        last = self.last_ended(row.definition.id)
        rotation = self._rotation(row, last)
        starts = self._starts(row, rotation.at, now)
        stopped = self.frozen(row, now)
        held = None if row.open_run is None else self._ledger.run(row.open_run)
        return Schedule(
            adopted=row.adopted_at is not None,
            retired=rotation.why in {"retired", "contained"},
            removed=not row.managed,
            open_run=None if held is None else held.kind,
            asked=held is not None and row.facts.question is not None,
            observing=self._observing(),
            paused_until=paused_until(row.pause, row.definition.policy.pause, now),
            frozen_until=None if stopped is None else stopped.until,
            braked_until=FOREVER if braking and rotation.at is not None and rotation.at <= now else None,
            rotate_at=starts.rotate_at,
            window_opens=starts.window_opens,
            late=starts.late,
            reconcile_at=self._reconcile_at(row, last),
        )

    def last_ended(self, credential: CredentialId) -> RunRow | None:
        """The newest ended run."""
        runs = self._ledger.runs(credential=credential, limit=2)
        return next((run for run in runs if run.ended_at is not None), None)

    def last_passage(self, credential: CredentialId) -> RunRow | None:
        """The newest ended run that was no reconcile: whether a credential is retired, contained or failed is not for
        the work on its debts, nor for an acceptance, to change."""
        for most in _PASSAGES:
            runs = self._ledger.runs(credential=credential, limit=most)
            found = next((run for run in runs if run.ended_at is not None and run.kind is not RunKind.RECONCILE), None)
            if found is not None or len(runs) < most:
                return found
        return None

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
        answer = due(self._schedule(row, now, braking=False), now)  # the brake has let it through
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

    def _starts(self, row: CredentialRow, at: Millis | None, now: Millis) -> _Starts:
        """What the window, open, closed or missed, makes of a due time."""
        schedule = row.definition.policy.schedule
        if at is None or schedule.window is None or at > now:
            return _Starts(at)
        start = catch_up(schedule, at, now, row.definition.id)
        if start > now:
            skips = (schedule.window.missed or schedule.missed) == "skip"
            return _Starts(start) if skips else _Starts(at, window_opens=start)
        return _Starts(at, late=not in_window(schedule.window, now))

    def _rotation(self, row: CredentialRow, last: RunRow | None) -> Due:
        if last is not None and last.kind is RunKind.RECONCILE:
            last = self.last_passage(row.definition.id)
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

    def reconcile_at(self, row: CredentialRow) -> Millis | None:
        """When debts are worked on next by themselves; None: nothing is owed."""
        return self._reconcile_at(row, self.last_ended(row.definition.id))

    def _reconcile_at(self, row: CredentialRow, last: RunRow | None) -> Millis | None:
        if row.adopted_at is None or last is None:
            return None
        again = [until for until, _, _ in lapses(row.facts)][:1]  # an acceptance that ends
        if debts(row.facts):
            runs = self._ledger.runs(credential=row.definition.id, limit=MOST_DOUBLED + 2)
            at = reconcile_time(runs, self.reconcile_rules())
            again += [at] if at is not None else []
        return min(again, default=None)


@dataclass(frozen=True, slots=True)
class _Starts:
    rotate_at: Millis | None
    window_opens: Millis | None = None
    late: bool = False


_FINAL = frozenset({"retired", "removed", "not_adopted"})
"""Only an event changes these, and that event writes the due time."""

_PASSAGES = (2, 50, 100_000)
"""How many runs are read for the last one that was no reconcile."""

_MOST_OPEN = 100_000
"""Open runs that are read to find reconciles."""
