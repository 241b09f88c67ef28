"""What the courier works with: the senders of one configuration, who is told of what, and the conditions to be told.

Made by the bootstrap from what is configured now; nothing is kept but the senders of the present configuration. Values
are read by the senders, from where they stand, at each message.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rotator.effects.inspect import read_value
from rotator.effects.notices import Channel, Read, Senders
from rotator.effects.notices_mail import Mail, MailConfig
from rotator.effects.notices_webhook import Webhook, WebhookConfig
from rotator.effects.stores.contract import Store
from rotator.engine.delivery import Parcel, Sent
from rotator.engine.freezes import broken
from rotator.engine.inspection import Incident
from rotator.engine.notices import Notice
from rotator.engine.owing import owed
from rotator.engine.ports import Clock, Ledger
from rotator.engine.protection import Standing, Why
from rotator.engine.requests import RequestRefused
from rotator.engine.views import instant
from rotator.engine.watch import WatchRules, watching
from rotator.machine.ids import Millis
from rotator.plugin_api import Misconfigured, Secret
from rotator.settings.connections import ValueRef
from rotator.settings.models import Configuration
from rotator.settings.notify import Notify, WebhookChannel, routes_of

from .courier import CourierRules
from .live import Live

MOST_OPEN = 100_000
MOST_LATELY = 1_000
LATELY: Millis = 3_600_000
"""Runs opened since then are looked at though they have ended."""


class Postroom:
    """The present senders and rules. Thread-safe; a reload counts at the next message."""

    def __init__(self, live: Live, clock: Clock, version: str) -> None:
        self._live, self._clock, self._version = live, clock, version
        self._lock = threading.Lock()
        self._made: tuple[Configuration, Senders] | None = None

    def senders(self) -> Senders:
        """The ways out of the configuration in force."""
        with self._lock:
            settings = self._live.settings
            if self._made is None or self._made[0] is not settings:
                self._made = settings, Senders(self._channels(settings), self._clock)
            return self._made[1]

    def rules(self) -> CourierRules:
        """Who is told of what."""
        notify = self._live.settings.notify or Notify()
        runbook = "docs/" if notify.runbook is None else notify.runbook.rstrip("/") + "/"
        return CourierRules(routes_of(notify), frozenset(notify.channels), notify.give_up_after, runbook)

    def kinds(self) -> Mapping[str, str]:
        """The type of each channel."""
        return {name: one.type for name, one in (self._live.settings.notify or Notify()).channels.items()}

    def watch_rules(self) -> WatchRules:
        """When a condition is worth a message."""
        notify = self._live.settings.notify or Notify()
        return WatchRules(notify.debt_after, notify.expiry_before)

    def _channels(self, settings: Configuration) -> dict[str, Channel]:
        found: dict[str, Channel] = {}
        for name, one in (settings.notify or Notify()).channels.items():
            ca = None if one.ca is None else Path(one.ca)
            try:
                if isinstance(one, WebhookChannel):
                    keys = tuple(_reader(self._live, ref) for ref in one.secrets)
                    found[name] = Webhook(WebhookConfig(one.url, keys, ca, one.insecure), self._clock, self._version)
                else:
                    user, password = ("", None) if one.login is None else (one.login.user, one.login.value)
                    config = MailConfig(
                        one.host, one.port, one.tls, one.sender, one.to, ca, user,
                        None if password is None else _reader(self._live, password),
                    )  # fmt: skip
                    found[name] = Mail(config, self._clock, settings.installation)
            except OSError:  # its file of authorities cannot be read: this way is shut, the others are not
                found[name] = _Shut()
        return found


class _Shut:
    """A channel that cannot be opened; its messages wait."""

    def send(self, parcel: Parcel) -> Sent:
        return Sent(False, "tls")


def _reader(live: Live, ref: ValueRef) -> Read:
    def read() -> Secret:
        if ref.file is not None:
            return read_value(Path(ref.file))
        store: Store = live.store(str(ref.store))
        value = store.fetch(str(ref.path), str(ref.field))
        if value is None:
            raise Misconfigured("admin_value_missing")
        return value

    return read


def told_of(held: Iterable[Standing], now: Millis) -> Iterator[Notice]:
    """Breakers that are open: each once for as long as it does not close; again if it turns into a ban."""
    for one in held:
        if one.why is not None:
            banned = one.why is not Why.FAILING and one.target.sort == "endpoint"
            event = "ban_suspected" if banned else "breaker_open"
            name = f"held:{one.target}"
            facts = (
                (one.target.sort, one.target.name), ("reason", one.reason),
                ("failures", str(one.failures)), ("until", str(instant(one.until))),
            )  # fmt: skip
            yield Notice(event, now, f"{name}:{event}:{one.since}", about=name, facts=facts)


class Conditions:
    """What lasts and should be told, from the ledger's rows and the daemon's own state; keys make it once."""

    def __init__(
        self, ledger: Ledger, clock: Clock, live: Live, rules: Callable[[], WatchRules],
        behind: Callable[[], bool], incidents: Callable[[], Iterable[Incident]],
        held: Callable[[], Iterable[Standing]] = lambda: (),
    ) -> None:  # fmt: skip
        self._held = held
        self._ledger, self._clock, self._live, self._rules = ledger, clock, live, rules
        self._behind, self._incidents = behind, incidents

    def __call__(self) -> Iterator[Notice]:
        now = self._clock.now()
        yield from watching(self._ledger.credentials(), owed(self._ledger.debts(), now), self._rules(), now)
        yield from self._broken_freezes(now)
        if self._behind():
            yield Notice("ledger_behind", now, f"ledger_behind:{self._ledger.sequence()}", about="ledger_behind")
        for one in self._incidents():
            facts = (("store", one.store), ("reason", one.reason))
            name = f"incident:{one.store}:{one.reason}"
            yield Notice("incident", now, f"{name}:{one.since}", about=name, facts=facts)
        yield from told_of(self._held(), now)

    def _broken_freezes(self, now: int) -> Iterator[Notice]:
        freezes = self._live.freezes
        if not freezes:
            return
        lately = [run for run in self._ledger.runs(limit=MOST_LATELY) if run.opened_at > now - LATELY]
        for run in [*lately, *self._ledger.runs(open_only=True, limit=MOST_OPEN)]:
            # A short one has ended before anybody looked: it is judged by its own first and last moment.
            moments = (run.opened_at, now if run.ended_at is None else run.ended_at)
            found = [broken(freezes, run.definition, run.kind, run.actor, moment) for moment in moments]
            freeze = found[0] or found[1]
            if freeze is not None:
                facts = (("freeze", freeze.id), ("kind", run.kind.value))
                key = f"freeze_broken:{run.id}:{freeze.id}"
                yield Notice("freeze_broken", now, key, run.credential, run.id, about=f"run:{run.id}", facts=facts)


def question_of(view: Callable[[str], Mapping[str, Any]]) -> Callable[[str], Mapping[str, Any] | None]:
    """The open question of a run, from the view of it; None if it was answered meanwhile or the run is gone."""

    def question(run: str) -> Mapping[str, Any] | None:
        try:
            asked: Mapping[str, Any] | None = view(run)["question"]
        except RequestRefused:
            return None
        return asked

    return question
