"""The courier: takes notices out of the ledger's outbox and delivers them. Threads of its own: no run waits for it.

Started by the bootstrap. One thread routes (who is told, in which words: once for each notice) and, now and then, looks
at conditions; each channel has a thread while it has something to do, so one that hangs delays no other. At least once:
whoever dies between a sending and its record sends again, with the same id and text. A message that finds no taker for
too long is laid aside as dead, visibly. Nothing here sees a value: senders are behind the engine's port.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from rotator.engine.calendar import DAY
from rotator.engine.delivery import (
    LONGEST_PAUSE,
    Parcel,
    Route,
    Sender,
    Sent,
    destinations,
    message,
    pause_after,
    subject_of,
)
from rotator.engine.inventory import CredentialId
from rotator.engine.notices import Notice
from rotator.engine.outbox import Delivery, DeliveryState, Outbox, Tried, Waiting
from rotator.engine.ports import Clock, CredentialRow, Installation, LedgerError
from rotator.machine.ids import Millis

_LOG = structlog.get_logger()
BATCH: Final = 100
LEAST_TRIES: Final = 8
"""Time alone kills no message: who was down for a week has tried none of them."""
WATCH_EVERY: Final[Millis] = 60_000
KEEP: Final[Millis] = 90 * DAY
"""How long what was told stays in the outbox: so long a condition that lasts is not told again."""


@dataclass(frozen=True, slots=True)
class CourierRules:
    """What is configured now. `channels`: names that exist; `give_up_after` (ms) since a delivery first waited."""

    routes: Sequence[Route] = ()
    channels: frozenset[str] = frozenset()
    give_up_after: Millis = 3 * DAY
    runbook: str = "docs/"


@dataclass(frozen=True, slots=True)
class Known:
    """What the courier asks the engine: a credential's row, a run's open question, conditions to be told."""

    credential: Callable[[CredentialId], CredentialRow | None]
    question: Callable[[str], Mapping[str, Any] | None]
    conditions: Callable[[], Iterable[Notice]]


class Courier:
    """`rules` and `sender` are asked at each turn: a reload counts at once."""

    def __init__(
        self,
        outbox: Outbox,
        clock: Clock,
        installation: Installation,
        *,
        sender: Callable[[], Sender],
        rules: Callable[[], CourierRules],
        known: Known,
        seconds: float = 2.0,
        ours: Callable[[], bool] = lambda: True,
    ) -> None:
        self._outbox, self._clock, self._installation = outbox, clock, installation
        self._sender, self._rules, self._known, self._seconds = sender, rules, known, seconds
        self._ours = ours
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._busy: dict[str, threading.Thread] = {}
        self._failures: dict[str, int] = {}
        self._not_before: dict[str, Millis] = {}
        self._watched: Millis | None = None
        self._thread = threading.Thread(target=self._loop, name="courier", daemon=True)

    def start(self) -> None:
        """Begin. Once."""
        self._thread.start()

    def stop(self, patience: float = 1.0) -> None:
        """Begin nothing more. A message that is on its way is not waited for: it is sent again after the next start."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(patience)

    def turn(self) -> None:
        """Route what is new, and let every channel work that has something to do. Raises LedgerError."""
        self._watch()
        rules = self._rules()
        for waiting in self._outbox.unrouted(BATCH):
            self._route_one(waiting, rules)
        for channel in self._outbox.waiting(self._clock.now()):
            if not self._paused(channel):
                self._set_off(channel)

    def deliver(self, channel: str) -> int:
        """Try what a channel has to deliver now, in order, until one fails; how many were sent."""
        sent = 0
        while not self._stopped.is_set():
            due = self._outbox.deliverable(self._clock.now(), channel, 1)
            if not due or self._paused(channel):
                return sent
            if not self._deliver(due[0]):
                return sent
            sent += 1
        return sent

    def _loop(self) -> None:
        while not self._stopped.is_set():
            try:
                if self._ours():  # of several replicas one delivers
                    self.turn()
            except LedgerError as error:
                _LOG.error("daemon.courier.ledger", code=error.code)
            except Exception as error:  # a bug in one turn must not silence all messages for good
                _LOG.error("daemon.courier.bug", error=type(error).__name__, exc_info=True)
            self._stopped.wait(self._seconds)

    def _watch(self) -> None:
        now = self._clock.now()
        if self._watched is not None and 0 <= now - self._watched < WATCH_EVERY:
            return
        self._watched = now
        self._outbox.tell(list(self._known.conditions()))
        self._outbox.forget(now - KEEP)

    def _paused(self, channel: str) -> bool:
        """Whether it failed lately. A pause longer than there are is one of a clock that was set back since."""
        left = self._not_before.get(channel, 0) - self._clock.now()
        return 0 < left <= LONGEST_PAUSE

    def _route_one(self, waiting: Waiting, rules: CourierRules) -> None:
        """One notice that meets a bug stays where it is, and keeps none of the others from their way."""
        try:
            self._route(waiting, rules)
        except LedgerError:
            raise
        except Exception as error:
            _LOG.error("daemon.courier.bug", error=type(error).__name__, exc_info=True)

    def _route(self, waiting: Waiting, rules: CourierRules) -> None:
        notice = waiting.notice
        row = None if notice.credential is None else self._known.credential(notice.credential)
        one = None if row is None else row.definition
        to = destinations(rules.routes, notice, one)
        question = self._known.question(notice.run) if to and notice.event == "question_asked" else None
        document = message(
            notice, one, question, installation=self._installation.name, epoch=self._installation.epoch,
            runbook=rules.runbook,
        )  # fmt: skip
        self._outbox.route(waiting.sequence, json.dumps(document, sort_keys=True), to, self._clock.now())

    def _set_off(self, channel: str) -> None:
        """A thread for this channel, if it has none."""
        with self._lock:
            running = self._busy.get(channel)
            if self._stopped.is_set() or (running is not None and running.is_alive()):
                return
            thread = threading.Thread(target=self._work, args=(channel,), name=f"courier-{channel}", daemon=True)
            self._busy[channel] = thread
        thread.start()

    def _work(self, channel: str) -> None:
        try:
            self.deliver(channel)
        except LedgerError as error:
            _LOG.error("daemon.courier.ledger", code=error.code)
        except Exception as error:  # its next turn begins anew
            _LOG.error("daemon.courier.bug", error=type(error).__name__, exc_info=True)

    def _deliver(self, delivery: Delivery) -> bool:
        document = json.loads(delivery.body)
        parcel = Parcel(document["id"], document["about"], subject_of(document), delivery.body)
        done = self._sender().send(delivery.channel, parcel)
        outcome = self._judged(delivery, done)
        self._outbox.tried(outcome)
        _LOG.info(
            "daemon.courier.tried", channel=delivery.channel, notice=delivery.event, state=outcome.state.value,
            code=done.code,
        )  # fmt: skip
        if outcome.state is DeliveryState.DEAD:
            self._tell_dead(delivery)
        return outcome.state is not DeliveryState.WAITING

    def _judged(self, delivery: Delivery, done: Sent) -> Tried:
        now = self._clock.now()
        if done.ok:
            self._failures.pop(delivery.channel, None)
            self._not_before.pop(delivery.channel, None)
            return Tried(delivery.id, DeliveryState.SENT, now, done.code)
        rules = self._rules()
        spent = now - delivery.first_at >= rules.give_up_after and delivery.attempts + 1 >= LEAST_TRIES
        if spent or delivery.channel not in rules.channels:
            return Tried(delivery.id, DeliveryState.DEAD, now, done.code)
        failures = self._failures.get(delivery.channel, 0) + 1
        self._failures[delivery.channel] = failures
        pause = pause_after(failures, done.again)
        self._not_before[delivery.channel] = now + pause  # the others of this channel wait too: it is not well
        return Tried(delivery.id, DeliveryState.WAITING, now, done.code, now + pause)

    def _tell_dead(self, delivery: Delivery) -> None:
        """Others are told, once a day for each channel."""
        now = self._clock.now()
        key = f"delivery_dead:{delivery.channel}:{now // DAY}"
        facts = (("channel", delivery.channel), ("code", delivery.code or "unknown"))
        self._outbox.tell([Notice("delivery_dead", now, key, about=f"channel:{delivery.channel}", facts=facts)])
