"""Decides whether an endpoint or a store may be called now, and learns from what calls say of it.

Asked by the daemon's gate between decision and intent, so that nothing is intended that cannot be sent; told by the
plugin host and the stores after each call. It stands in the engine because it needs no value: names, counts, times.
What replicas must share is in the ledger (`Budgets`) and written only when something is scarce or changes: a batch of
tokens, a breaker that opens or closes, what a platform asked for. The rest is each replica's own (`allowance`).
It must never wait: who may not call is told when to come again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

import structlog

from rotator.machine.holds import Limits
from rotator.machine.ids import Millis

from .allowance import Own
from .ports import Clock, LedgerError, RunId
from .protection import Budgets, Heard, Rules, Standing, Target, Why

_LOG = structlog.get_logger()
FRESH: Final[Millis] = 1_000
"""How old what other replicas wrote may be."""
COUNTED: Final[Millis] = 5_000
EMERGENCY_EVERY: Final[Millis] = 10_000
"""How often one emergency tries a target in spite of its open breaker, or of what it asked for."""
_FIRST_WAIT: Final[Millis] = 1_000


Tried: TypeAlias = tuple[Target, Millis]
"""An open breaker that one step tries, and until when."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One step of one run. `main` is called; `also` is needed by the way. `repeat`: the step failed before."""

    run: RunId
    main: Target
    also: tuple[Target, ...] = ()
    urgent: bool = False
    repeat: bool = False


@dataclass(slots=True)
class Entry:
    """What holds the step (`limits`; all None: nothing, and a place is taken until `leave`)."""

    limits: Limits
    leave: Callable[[], None] = field(default=lambda: None)


class Governor:
    """`rules` of a target as configured now; `wake` lets a run that was put back be worked now; `patience`: the
    longest that a step may take. Thread-safe."""

    def __init__(
        self,
        budgets: Budgets,
        clock: Clock,
        rules: Callable[[Target], Rules],
        *,
        wake: Callable[[RunId], None] = lambda run: None,
        patience: Millis = 60_000,
    ) -> None:
        self._budgets, self._clock, self._rules = budgets, clock, rules
        self._wake, self._patience = wake, patience
        self._lock = threading.Lock()
        self._own: dict[Target, Own] = {}
        self._read_at: float | None = None
        self._replicas, self._counted_at = 1, -1e9

    # -- asked -----------------------------------------------------------------------------------------------------

    def enter(self, ask: Ask, now: Millis) -> Entry:
        """A place at the target for one step, or what holds it. Raises LedgerError."""
        self._refresh()
        self._moved_on(ask.run, ask.main)
        rules, own = self._rules(ask.main), self._of(ask.main)
        for target in (ask.main, *ask.also):
            held = self._held(target, ask, now)
            if held is not None:
                return Entry(held)
        with own.lock:
            held = self._place(own, rules, ask, now)
            if held is not None:
                return Entry(held)
            own.in_use += 1
            own.visits.setdefault(ask.run, now)
            own.queue.pop(ask.run, None)
        tried: list[Tried] = []
        for target in (ask.main, *ask.also):
            if not self._may_try(target, ask, now, tried):
                self._leave(ask.main, tried)
                self._call_next(ask.main)
                return Entry(Limits(breaker_until=now + FRESH))
        return Entry(Limits(), lambda: self._leave(ask.main, tried))

    def over(self, run: RunId) -> None:
        """The run was worked as far as it goes: whoever waits for its place may come."""
        self._moved_on(run, None)

    def _held(self, target: Target, ask: Ask, now: Millis) -> Limits | None:
        """An open breaker whose time is not over; what the platform asked for."""
        own = self._of(target)
        with own.lock:
            standing = own.standing
            if standing is None:
                return None
            early = ask.urgent and (now - own.passed_at >= EMERGENCY_EVERY or now < own.passed_at)
            if standing.why is not None:
                until = standing.until or 0
                if now < until and not early:
                    own.wait_for(ask.run, urgent=ask.urgent)
                    again = min(until, own.passed_at + EMERGENCY_EVERY) if ask.urgent else until
                    return Limits(breaker_until=own.later("breaker", now, again))
                if now < (standing.probing_until or 0):  # one tries: how it went is known soon
                    own.wait_for(ask.run, urgent=ask.urgent)
                    return Limits(breaker_until=own.later("breaker", now, now + 2 * FRESH))
            elif standing.wait_until is not None and now < standing.wait_until:
                if not early:
                    again = standing.wait_until
                    again = min(again, own.passed_at + EMERGENCY_EVERY) if ask.urgent else again
                    return Limits(rate_until=own.later("wait", now, again, 20))
                own.passed_at = now
        return None

    def _place(self, own: Own, rules: Rules, ask: Ask, now: Millis) -> Limits | None:
        """Concurrency, repeats and tokens, under the target's lock. The token comes last: it is not given back."""
        places = own.room(rules, self._count(), urgent=ask.urgent)
        if own.in_use >= places:
            own.visits.pop(ask.run, None)
            return Limits(busy_until=own.put_back(ask.run, now, places, urgent=ask.urgent))
        if ask.repeat and not ask.urgent:
            until = own.repeats.take(now)
            if until is not None:
                return Limits(repeats_until=own.later("repeats", now, until, 1_000))
        until = own.pocket.take(self._budgets, ask.main, rules, now, urgent=ask.urgent)
        if until is not None:
            spacing = 1 if rules.rate is None else max(1, rules.rate.spacing_us // 1000)
            return Limits(rate_until=own.later("urgent" if ask.urgent else "rate", now, until, spacing))
        if not ask.repeat:
            own.repeats.first(rules)
        return None

    def _may_try(self, target: Target, ask: Ask, now: Millis, tried: list[Tried]) -> bool:
        """Behind an open breaker whose time is over one call goes, over all replicas."""
        own = self._of(target)
        standing = own.standing
        if standing is None or standing.why is None:
            return True
        until = now + self._patience
        if not self._budgets.try_one(target, now, until, early=ask.urgent):
            self._read_at = None
            return False
        tried.append((target, until))
        with own.lock:
            own.standing = replace(standing, probing_until=until)
            if ask.urgent:
                own.passed_at = now
        _LOG.info("engine.breaker.tried", target=str(target), run=ask.run)
        return True

    def _leave(self, main: Target, tried: Sequence[Tried]) -> None:
        own = self._of(main)
        with own.lock:
            own.in_use -= 1
            if self._rules(main).rate is not None:
                own.pocket.tokens += 1  # what was spent has been charged by `heard`
        for target, until in tried:
            other = self._of(target)
            with other.lock:
                standing = other.standing
                unheard = standing is not None and standing.probing_until == until
                if unheard and standing is not None:
                    other.standing = replace(standing, probing_until=None)
            if unheard:  # nothing was said: another tries
                with suppress(LedgerError):  # then when this one's time is over
                    self._budgets.give_back(target)

    def _moved_on(self, run: RunId, to: Target | None) -> None:
        """The run does not call any other target than `to` for now."""
        with self._lock:
            left = [(target, own) for target, own in self._own.items() if target != to and run in own.visits]
        now = self._clock.now()
        for target, own in left:
            with own.lock:
                began = own.visits.pop(run, None)
                if began is not None:
                    own.visit += 0.2 * (min(max(0, now - began), self._patience) - own.visit)
            self._call_next(target)

    def _call_next(self, target: Target) -> None:
        """Wake who waits, while there are places."""
        own, rules = self._of(target), self._rules(target)
        woken: list[RunId] = []
        with own.lock:
            if own.standing is not None and own.standing.why is not None:
                return
            free = own.room(rules, self._count(), urgent=False) - max(own.in_use, len(own.visits))
            while len(woken) < max(0, free) and (run := own.next_in_queue()) is not None:
                woken.append(run)
            if not woken and any(own.queue.values()) and own.in_use < own.room(rules, self._count(), urgent=True):
                run = own.next_in_queue()
                woken += [] if run is None else [run]
        for run in woken:
            try:
                self._wake(run)
            except LedgerError as error:  # it comes by itself, later
                _LOG.warning("engine.queue.ledger", run=run, code=error.code)

    # -- told ------------------------------------------------------------------------------------------------------

    def heard(self, target: Target, what: Heard, calls: int = 1, wait: Millis | None = None) -> None:
        """See `Listener`."""
        rules, own, now = self._rules(target), self._of(target), self._clock.now()
        try:
            with own.lock:
                before = None if own.standing is None else own.standing.why
                if rules.rate is not None:
                    own.pocket.spend(calls, now)
                self._learn(target, own, rules, what, now)
                if what is Heard.THROTTLED or (wait is not None and what is Heard.FAILING):
                    self._asked(target, own, rules, now, wait)
                closed = before is not None and own.standing is not None and own.standing.why is None
            if closed:
                self._call_next(target)
        except LedgerError as error:
            _LOG.error("engine.breaker.ledger", target=str(target), code=error.code)

    def longest(self, target: Target) -> Millis:
        """See `Listener`."""
        return self._rules(target).longest

    def _learn(self, target: Target, own: Own, rules: Rules, what: Heard, now: Millis) -> None:
        why = None if own.standing is None else own.standing.why
        match what:
            case Heard.FAILING:
                own.failures += 1
                if why is not None or own.failures >= rules.failures:
                    self._trip(target, own, why or Why.FAILING, own.failures, rules, now)
            case Heard.REFUSED:
                own.failures, own.refusals = 0, own.refusals + 1
                if own.refusals >= rules.refusals or why is Why.REFUSED:
                    self._trip(target, own, Why.REFUSED, own.refusals, rules, now)
                elif why is not None:
                    self._close(target, own)
            case Heard.WELL | Heard.ADMITTED:
                own.failures = own.throttles = 0
                if what is Heard.ADMITTED:
                    own.refusals, own.admitted = 0, True
                if why in (Why.FAILING, Why.THROTTLED) or (why is Why.REFUSED and what is Heard.ADMITTED):
                    self._close(target, own)
            case Heard.THROTTLED:
                own.failures = 0
            case Heard.NOTHING:
                pass

    def _asked(self, target: Target, own: Own, rules: Rules, now: Millis, wait: Millis | None) -> None:
        """It wants to be left alone: by its own word, else longer each time. Several calls that were under way
        together are one throttling; one after it was waited for is another."""
        known = None if own.standing is None else own.standing.wait_until
        if known is None or now >= known:
            own.throttles += 1
        until = now + min(wait or _FIRST_WAIT << min(own.throttles, 20), rules.longest)
        if known is None or until > known:
            self._budgets.wait(target, until)
            own.standing = replace(own.standing or Standing(target), wait_until=until)
        why = own.standing.why if own.standing is not None else None
        if own.throttles >= rules.refusals or why is Why.THROTTLED:
            self._trip(target, own, Why.THROTTLED, own.throttles, rules, now)

    def _trip(self, target: Target, own: Own, why: Why, count: int, rules: Rules, now: Millis) -> None:
        before = own.standing
        own.standing = self._budgets.trip(target, why, count, rules, now)
        if before is None or before.until != own.standing.until:
            _LOG.warning("engine.breaker.opened", target=str(target), reason=why.value, failures=count)

    def _close(self, target: Target, own: Own) -> None:
        self._budgets.close(target)
        own.standing, own.failures, own.lines = Standing(target), 0, {}
        _LOG.info("engine.breaker.closed", target=str(target))

    # -- shown -----------------------------------------------------------------------------------------------------

    def standings(self) -> Sequence[Standing]:
        """What is open or waited for, from the ledger: for the status, metrics and notices of any replica."""
        now = self._clock.now()
        found = self._budgets.standings()
        return [one for one in found if one.why is not None or (one.wait_until is not None and one.wait_until > now)]

    def places(self) -> Mapping[Target, tuple[int, int]]:
        """Steps under way and runs that wait for a place, by target, in this replica."""
        with self._lock:
            return {target: (own.in_use, len(own.queue)) for target, own in self._own.items()}

    def worked_before(self, target: Target) -> bool:
        """Whether this replica saw the acting account let in since it started."""
        return self._of(target).admitted

    # -- parts -----------------------------------------------------------------------------------------------------

    def _of(self, target: Target) -> Own:
        with self._lock:
            return self._own.setdefault(target, Own())

    def _refresh(self) -> None:
        """Read what other replicas wrote, now and then."""
        now = self._clock.monotonic()
        if self._read_at is not None and (now - self._read_at) * 1000 < FRESH:
            return
        self._read_at = now
        for standing in self._budgets.standings():
            own = self._of(standing.target)
            with own.lock:
                closed = own.standing is not None and own.standing.why is not None and standing.why is None
                if closed:  # another replica found it well
                    own.failures = own.refusals = own.throttles = 0
                own.standing = standing
            if closed:
                self._call_next(standing.target)

    def _count(self) -> int:
        now = self._clock.monotonic()
        if (now - self._counted_at) * 1000 >= COUNTED:
            self._counted_at = now
            self._replicas = max(1, self._budgets.replicas(self._clock.now()))
        return self._replicas
