"""The composition root: reads the configuration, builds every room, runs until told to stop.

Called by `rotator serve`. Nothing else in the product constructs these parts. What cannot work is said before anything
is listened on: a configured plugin that does not load, a wrong fingerprint key, a second daemon on the same ledger.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import structlog

from rotator.effects.deadman import DeadmanPing
from rotator.effects.fingerprint import Fingerprints
from rotator.effects.inspect_pulse import HeartbeatPulse
from rotator.effects.inspect_restore import Comparison
from rotator.effects.perform import Performer
from rotator.engine.governor import Governor
from rotator.engine.heartbeat import Heart
from rotator.engine.notices import Notice
from rotator.engine.observation import Observation
from rotator.engine.owing import Owing
from rotator.engine.ports import Claim, Installation, LedgerError, RunId
from rotator.engine.runner import Runner, Timing
from rotator.engine.service import Service
from rotator.engine.strays import SweepRules
from rotator.engine.sweeping import Sweeper
from rotator.engine.telling import Tellings
from rotator.engine.tick import Tick, TickRules
from rotator.ledger import SqliteLedger
from rotator.ledger.postgres import PostgresLedger
from rotator.ledger.restoring import file_of
from rotator.plugin_api import Misconfigured
from rotator.settings.problems import ConfigurationRefused

from . import advice, supervisor
from .alarm import Alarm
from .api import ApiServer, SocketRefused
from .clock import SystemClock, new_id
from .courier import Courier, Known
from .health import HealthServer, PortRefused
from .identity import identify
from .ledgers import AnyLedger, open_any, open_file, turn_of
from .limits import Gate, LimitsOf
from .live import Changes, Live
from .logs import configure_logs
from .marks import Marks
from .metrics import render
from .postroom import Conditions, Postroom, question_of
from .rounds import Rounds
from .shared_clock import SharedClock
from .signals import Signals, harden
from .store_login import Pickup, unready
from .ticker import Ticker
from .watchdog import Watchdog
from .whereabouts import accepted_of, ledger_of
from .workers import Workers

VERSION = "0.1.0"
EXIT_INVALID = 3
FIRST_FENCE = 2
"""The opener has the first, the first worker the second."""
_LOG = structlog.get_logger()


def serve(config: Path, *, once: bool = False, log_level: str = "info") -> int:
    """Run the daemon until SIGTERM. `once`: one tick, work what is due to its next wait, and end. The exit code."""
    clock = SystemClock()
    configure_logs(clock, level=log_level, console=sys.stdout.isatty())
    harden()
    try:
        with ExitStack() as closing:
            return Daemon(config, clock, closing).run(once=once)
    except ConfigurationRefused as refused:
        sys.stderr.write(f"{refused.in_words()}\n")
        return EXIT_INVALID
    except (SocketRefused, PortRefused) as refused:
        return _refused(str(refused), refused.code)
    except Misconfigured as refused:
        return _refused("the daemon cannot start", refused.reason)
    except LedgerError as refused:
        return _refused("the ledger cannot be used", f"ledger_{refused.code}")


def _refused(what: str, code: str) -> int:
    """Say why there is no daemon: what, what it means, what to do, where to read on."""
    told = advice.of(code)
    shown = code if code.startswith(("ROT-", "CFG-")) else f"ROT-{code.upper().replace('_', '-')}"
    sys.stderr.write(f"error: {what} [{shown}]\n  because  {told.means}\n")
    if told.do:
        sys.stderr.write(f"  do       {told.do}\n")
    sys.stderr.write(f"  more     {advice.place(code)}\n")
    return EXIT_INVALID


class Daemon:
    """Every room of one daemon, built in order; `closing` undoes it in reverse."""

    def __init__(self, config: Path, system: SystemClock, closing: ExitStack) -> None:
        self.clock = clock = SharedClock(system)
        # Two containers may have one host name and one pid each.
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{new_id()[-6:]}"
        self.closing = closing
        where = ledger_of(config)
        ledger = open_file(where, clock, closing) if where is not None and where.is_file() else None
        self.live = Live(config, clock, closing, VERSION, None if ledger is None else accepted_of(ledger))
        settings = self.live.settings
        same = ledger is not None and str(where) == settings.daemon.ledger
        self.ledger: AnyLedger = ledger if ledger is not None and same else open_any(settings.daemon, clock, closing)
        if isinstance(self.ledger, SqliteLedger):  # whoever else had a lease of this file is dead
            self.ledger.end_leases()
        fingerprints, installation = identify(settings, self.ledger, new_id)
        changes = self.live.accept(self.ledger)
        self.timing = timing_of(settings.daemon.deadline, settings.daemon.landing)
        self.stopping = False
        self.governor = self._governor(settings.daemon.deadline)
        self.limits = LimitsOf(self.ledger, lambda: self.live.traits, lambda: self.live.freezes)
        self.marks = Marks(self.ledger, clock, installation, lambda: self.live.stores)
        runner = self._runner(fingerprints, installation.name)
        self.workers = Workers(settings.daemon.workers, self._before(runner.work), self._after, self._hand_out)
        self.opener = self.live.opener(self.ledger, new_id, self.owner)
        self.tick = Tick(
            self.ledger, clock, self.opener, TickRules(), owner=self.owner, lease=self.timing.lease,
            submit=self.workers.submit, free=self.workers.free, free_urgent=lambda: self.workers.free(urgent=True),
            observing=self.marks.observing,
            managed=lambda: self.live.managed, freezes=lambda: self.live.freezes, brake=self.live.brake,
            opens=turn_of(self.ledger, "opening", self.owner, settings.daemon.tick),
        )  # fmt: skip
        self._schedule(changes)
        self.alarm = Alarm(self._hand_out, clock, beyond=settings.daemon.tick)
        self.ticker = Ticker(self._tick_alive, system, seconds=settings.daemon.tick / 1000)
        inspection = self.live.inspection()
        self.service = Service(
            ledger=self.ledger, clock=clock, planner=lambda: self.live.planner, tick=self.tick, inspector=inspection,
            limits=self.limits, render_metrics=self._metrics, observing=self.marks.observing,
            version=VERSION, owner=self.owner,
            intake=inspection, opener=self.opener, reconfigure=self.reload, wake_workers=self.tick.wake, new_id=new_id,
            standings=self.governor.standings,
            tellings=self._tellings(installation), sweeper=self._sweeper(installation),
            heart=self._heart(fingerprints),
            observation=self._observation(fingerprints, installation),
            backup_to=self._backup, owing=self._owing(),
        )  # fmt: skip
        if isinstance(self.ledger, PostgresLedger):
            self.ledger.listen(self._hand_out)
        self.rounds = Rounds(
            clock, sweeper=self.service.sweeper, heart=self.service.heart, observing=self.marks.observing
        )
        self.watchdog = Watchdog(
            clock, self.ledger.watched, ticking=self.ticker.alive, url=lambda: self.live.settings.daemon.deadman,
            ping=DeadmanPing(clock, VERSION),
        )  # fmt: skip
        self.courier = self._courier(installation)
        self.pickup = Pickup(lambda: self.live.stores)

    def run(self, *, once: bool) -> int:
        """Start the threads, wait for a signal, drain."""
        settings = self.live.settings
        self.workers.start()
        if once:
            return self._once()
        with Signals(self.clock, reload=self._reload_logged, drain=self.timing.deadline / 1000 + 5) as signals:
            api = ApiServer(Path(settings.daemon.socket), self.service, self.clock, others=settings.daemon.allow_uids)
            host, _, port = settings.daemon.listen.rpartition(":")
            health = HealthServer(
                host.strip("[]"), int(port), self.service, self.clock, alive=self.ticker.alive, unready=self._unready
            )
            api.start()
            health.start()
            self.ticker.start()
            self.alarm.start()
            self.courier.start()
            self.pickup.start()
            self.rounds.start()
            self.watchdog.start()
            _LOG.info("daemon.started", version=VERSION, observe=self.marks.observing())
            supervisor.ready()
            signals.wait()
            supervisor.stopping()
            self.stopping = True
            self.ticker.stop()
            self.alarm.stop()
            self.pickup.stop()
            self.rounds.stop()
            self.watchdog.stop()
            drained = signals.drained(self.workers.idle)
            self.courier.stop()
            api.stop()
            health.stop()
            self.workers.stop()
            _LOG.info("daemon.stopped", drained=drained)
        return 0

    def reload(self) -> dict[str, object]:
        """Read the configuration anew, or keep the old one whole (ConfigurationRefused is told to the caller)."""
        changes = self.live.reload(self.ledger)
        self._schedule(changes)
        for run in self.ledger.runs(open_only=True, limit=100_000):
            if run.credential in changes.changed or run.held_why == "frozen":  # what held it may be gone
                self.ledger.wake(run.id, self.clock.now())
        return {
            "changed": bool(changes.changed or changes.gone or changes.otherwise), "added": sorted(changes.added),
            "changed_ids": sorted({*changes.changed, *changes.gone}), "unmanaged": sorted(changes.gone),
        }  # fmt: skip

    def _schedule(self, changes: Changes) -> None:
        """Write the due times of what changed; of all, if a start or a reload before this died half-way."""
        if changes.everything or changes.otherwise:  # a freeze that is gone holds nobody any more
            self.tick.refresh_all()
        elif changes.changed or changes.gone:
            self.tick.refresh(*changes.changed, *changes.gone)
        self.live.scheduled(self.ledger)

    def _tellings(self, installation: Installation) -> Tellings:
        self.postroom = Postroom(self.live, self.clock, VERSION)
        return Tellings(
            self.ledger, self.clock, lambda: self.postroom.rules().routes, self.postroom.kinds, new_id,
            lambda: installation,
        )  # fmt: skip

    def _runner(self, fingerprints: Fingerprints, installation: str) -> Runner:
        performer = Performer(self.live, self.clock, fingerprints, installation)
        return Runner(
            self.ledger, performer, self.clock, self.timing, installation=installation,
            limits=self.limits, stopping=lambda: self.stopping, enter=Gate(self.governor), serial=self.marks.serial,
        )  # fmt: skip

    def _governor(self, deadline: int) -> Governor:
        """Who decides whether an endpoint may be called; every call of the world is heard by it."""
        governor = Governor(
            self.ledger.budgets(), self.clock, self.live.rules, wake=self._wake_run, patience=deadline + 5_000
        )
        self.live.listener = governor
        return governor

    def _wake_run(self, run: RunId) -> None:
        """A run that was put back may go on."""
        now = self.clock.now()
        self.ledger.wake(run, now)
        self.alarm.set(now)

    def _hand_out(self) -> None:
        """Between two ticks: give what is due to free workers."""
        if not self.stopping:
            self.tick.wake()

    def _backup(self, path: str) -> None:
        """Of a file; a server has tools of its own."""
        file_of(str(self.live.settings.daemon.ledger))
        assert isinstance(self.ledger, SqliteLedger)
        self.ledger.backup(Path(path))

    def _owing(self) -> Owing:
        return Owing(self.ledger, self.clock, self.tick, lambda: self.live.planner, self.limits, self.owner, new_id)

    def _observation(self, fingerprints: Fingerprints, installation: Installation) -> Observation:
        found = Observation(
            self.ledger, self.clock, self.opener, Comparison(self.live, fingerprints, installation.name), self.ledger,
            self.marks, self.owner, new_id,
        )  # fmt: skip
        self.tick.repairs = found.repairs
        self.tick.reconcile_rules = self.live.reconcile_rules
        return found

    def _heart(self, fingerprints: Fingerprints) -> Heart:
        return Heart(
            self.ledger, self.clock, HeartbeatPulse(self.live, fingerprints), self.tick, self.marks.observing,
            blocked=self._left_alone,
        )  # fmt: skip

    def _left_alone(self, endpoint: str) -> bool:
        """Whether the endpoint's breaker is open, or it asked to wait: what only looks does not call it then."""
        return any(one.target.name == endpoint and one.target.sort == "endpoint" for one in self.governor.standings())

    def _sweeper(self, installation: Installation) -> Sweeper:
        return Sweeper(
            self.ledger, self.clock, self.live.labels(), self.opener, self.tick, installation.name,
            lambda: tuple(self.live.settings.endpoints), self.marks.observing,
            lambda: SweepRules(every=self.live.settings.daemon.sweep),
        )  # fmt: skip

    def _courier(self, installation: Installation) -> Courier:
        conditions = Conditions(
            self.ledger, self.clock, self.live, self.postroom.watch_rules, self.marks.behind,
            self.live.deliveries.incidents, self.governor.standings,
        )  # fmt: skip
        known = Known(self.ledger.credential, question_of(self.service.run), conditions)
        return Courier(
            self.ledger,
            self.clock,
            installation,
            sender=self.postroom.senders,
            rules=self.postroom.rules,
            known=known,
            ours=turn_of(self.ledger, "delivering", self.owner) or (lambda: True),
        )

    def _unready(self) -> str:
        return unready(self.live.deliveries.incidents())

    def _metrics(self) -> str:
        incidents = self.live.deliveries.incidents()
        more = self.watchdog.samples() | self.service.sweeper.figures() | self.service.heart.figures()
        return render(
            self.ledger, self.clock, self.tick, self.marks.observing(), incidents, self.ledger, self.governor, more
        )

    def _reload_logged(self) -> None:
        supervisor.reloading(self.clock.monotonic())
        try:
            self.reload()
        except (ConfigurationRefused, Misconfigured) as refused:
            code = refused.reason if isinstance(refused, Misconfigured) else first_error(refused)
            _LOG.error("daemon.reload.failed", code=code)
            now = self.clock.now()
            self.ledger.tell([Notice("reload_failed", now, f"reload_failed:{now}", facts=(("code", code),))])
        finally:
            supervisor.ready()

    def _tick_alive(self) -> None:
        try:
            self.tick()
        finally:  # what a tick raised is logged, and the next one comes: alive all the same
            supervisor.alive()

    def _once(self) -> int:
        self.tick()
        while not self.workers.idle():
            self.clock.sleep(0.05)
        self.workers.stop()
        return 0

    def _before(self, work: Callable[[Claim], None]) -> Callable[[Claim], None]:
        """A run's first worker writes the mark before anything else: a ledger from before the run is then told."""

        def marked(claim: Claim) -> None:
            try:
                if claim.fence <= FIRST_FENCE:
                    self.marks.write()
                work(claim)
            finally:
                self.governor.over(claim.run)

        return marked

    def _after(self, claim: Claim) -> None:
        """A run was worked: if it ended, its credential has a new due time, and the stores a new mark."""
        run = self.ledger.run(claim.run)
        if run is not None and run.wake_at is not None:
            self.alarm.set(run.wake_at)
        if run is not None and run.ended_at is not None:
            self.tick.refresh(run.credential)
            self.marks.write()


def first_error(refused: ConfigurationRefused) -> str:
    """The code to log for a refusal that nobody reads in full: of its first error, not of a warning before it."""
    return next((one.code for one in refused.problems if not one.warning), "CFG")


def timing_of(deadline: int, landing: int) -> Timing:
    """The lease outlives the deadline of an effect, its landing and a slow commit."""
    return Timing(deadline=deadline, landing=landing, lease=deadline + landing + 10_000)
