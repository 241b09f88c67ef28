"""Debts: what is owed now, why the next try waits, what would prove it, and a person's acceptance of one.

Called by the service. A debt's age comes from the ledger's rows alone; an accepted one stands in them with the moment
at which it is a debt again, so nothing needs to happen for its alarm to come back. Must never open a run of steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from rotator.machine.due import due
from rotator.machine.events import Accepted, Event, Finished, Outcome
from rotator.machine.evolve import evolve
from rotator.machine.facts import Ending, Facts, Placement, RunKind, State
from rotator.machine.holds import Limits
from rotator.machine.ids import Gen, Home, Millis
from rotator.machine.plan import Plan
from rotator.machine.reading import debts as debts_of
from rotator.machine.reading import lapses
from rotator.machine.ripe import ripe
from rotator.machine.steps import Step, StepKind

from .answering import ABANDON, NotLegal, record
from .opening import LEASE
from .planning import Planner
from .ports import Clock, CredentialRow, Debt, Entry, Ledger, LedgerError, RunId, RunOpen, RunRow
from .requests import RequestRefused
from .standing import meaning
from .tick import Tick
from .views import instant
from .wording import event_in_words

CONFLICT, NOT_FOUND, USAGE = 6, 5, 2
RUNS_READ = 20
"""Runs whose journals are read for what was tried."""
TRIES_SHOWN = 12
LONGEST: Millis = 366 * 86_400_000
"""The farthest end of an acceptance: a risk that is taken for longer is taken again."""
ABOUT = frozenset({StepKind.PROVE, StepKind.REVOKE, StepKind.NEUTRALISE, StepKind.FIND, StepKind.SWEEP})


def owed(debts: Iterable[Debt], now: Millis) -> list[Debt]:
    """Those that are debts now. One that was accepted comes back at its end, though nobody has looked at it since."""
    return [debt for debt in debts if debt.since <= now]


def state_of(debt: Debt) -> str:
    """In a word; of an acceptance that is over nothing is known."""
    return State.MAYBE.value if debt.state is State.ACCEPTED else debt.state.value


@dataclass(slots=True)
class Owing:
    """Requests about debts."""

    ledger: Ledger
    clock: Clock
    tick: Tick
    planner: Callable[[], Planner]
    limits: Callable[[RunRow, Facts, int], Limits]
    owner: str
    new_id: Callable[[], str]

    def explain(self, row: CredentialRow) -> dict[str, Any]:
        """Each debt of a credential, with what was tried and what is waited for; and what is accepted until when."""
        now, name = self.clock.now(), row.definition.id
        runs = self.ledger.runs(credential=name, limit=RUNS_READ)
        journals = [entry for run in reversed(runs) for entry in self.ledger.journal(run.id)]
        run = None if row.open_run is None else self.ledger.run(row.open_run)
        verdict = due(self.tick.schedule(row, now), now)
        opens = self.tick.reconcile_at(row)
        waits = [text for text in (self._held(row, run, runs, now), self._due(run, verdict.why, verdict.at)) if text]
        return {
            "credential": name,
            "current": sorted(gen for gen in row.facts.current if gen > 0),
            "open_run": row.open_run,
            "reconcile": instant(opens),
            "items": [self._debt(row, debt, run, journals, waits, now) for debt in owed(self.ledger.debts(name), now)],
            "accepted": [
                {"gen": gen, "home": str(home), "until": instant(until), **_whose(gen, home, journals)}
                for until, gen, home in lapses(row.facts)
                if until > now
            ],
        }

    def accept(self, row: CredentialRow, gen: int, home: str, until: Millis, actor: str, reason: str) -> RunId:
        """Record it: who, why, until when, in a run that is opened and ended by it, one transaction. Raises
        RequestRefused, RunOpen, LedgerError."""
        now = self.clock.now()
        if not now < until <= now + LONGEST:
            raise RequestRefused("ROT-USAGE", "--until is a moment of the coming year", exit=USAGE)
        if row.open_run is not None:
            self._give_way(row.open_run, actor)
            again = self.ledger.credential(row.definition.id)
            row = row if again is None else again
        key = next((one for one in debts_of(row.facts) if one[0] == gen and str(one[1]) == home), None)
        if key is None:
            hint = f"rotator debts explain {row.definition.id}"
            says = f"g{gen} at {home} is no debt: what serves, or is proven dead, is not accepted"
            raise RequestRefused("ROT-NOT-OWED", says, exit=CONFLICT, hint=hint)
        plan = self.planner().plan(row.definition, RunKind.RECONCILE)
        event = Accepted(key[0], key[1], until)
        at = max(now, *(run.ended_at or run.opened_at for run in self._last(row)), 0)
        facts = evolve(plan, row.facts, event, at)
        run = RunRow(
            id=RunId(self.new_id()), credential=row.definition.id, kind=RunKind.RECONCILE, definition=row.definition,
            plan=plan, actor=actor, reason=reason, campaign="", opened_at=at, ended_at=None, ending=None, wake_at=None,
            held_why="", owner="", fence=0,
        )  # fmt: skip
        events: list[Event] = [event, Finished(Ending.SUCCEEDED)]
        self.ledger.open_run(run, events, facts, claim_by=self.owner, lease_until=at + LEASE, after=row.facts_sequence)
        self.tick.refresh(row.definition.id)
        return run.id

    # -- parts

    def _last(self, row: CredentialRow) -> list[RunRow]:
        return list(self.ledger.runs(credential=row.definition.id, limit=1))

    def _give_way(self, run: RunId, actor: str) -> None:
        """An open reconcile ends for it; any other run has a target, and is answered or waited for."""
        held, now = self.ledger.run(run), self.clock.now()
        if held is None or held.ended_at is not None:
            return
        if held.kind is not RunKind.RECONCILE:
            raise RunOpen(run)
        try:
            claim = self.ledger.claim(run, now, f"{self.owner}/owing", now + LEASE)
        except LedgerError as error:
            if error.code == "run_ended":
                return
            raise
        if claim is None:
            raise RunOpen(run)
        try:
            record(self.ledger, self.clock, claim, ABANDON, f"{actor}: it gives way to an acceptance")
        except NotLegal:
            return

    def _debt(
        self, row: CredentialRow, debt: Debt, run: RunRow | None, journals: list[Entry], waits: list[str], now: Millis
    ) -> dict[str, Any]:
        name, plan = row.definition.id, self._plan(row, run)
        placed = row.facts.placed(debt.gen, debt.home)
        clock = _clock(plan, row.facts, debt, now)
        command = f"rotator debts accept {name} --gen {debt.gen} --home {debt.home} --until DATE --reason TEXT"
        return {
            "gen": debt.gen,
            "home": str(debt.home),
            "state": state_of(debt),
            "since": instant(debt.since),
            "label": debt.label,
            "handle": debt.handle,
            "tried": list(_tried(debt.gen, debt.home, journals))[-TRIES_SHOWN:],
            "waits": [*waits, *([clock] if clock else [])],
            "needs": _needs(plan, placed),
            "commands": [
                *([f"rotator runs show {row.open_run}"] if row.open_run else []),
                f"rotator reconcile --repair {name} --reason TEXT",
                command,
            ],
        }

    def _plan(self, row: CredentialRow, run: RunRow | None) -> Plan | None:
        if run is not None:
            return run.plan
        try:
            return self.planner().plan(row.definition, RunKind.RECONCILE)
        except LookupError:
            return None

    def _held(self, row: CredentialRow, run: RunRow | None, runs: Iterable[RunRow], now: Millis) -> str:
        """What holds the open run, or would hold the next: the budget of tries."""
        if run is not None and run.held_why:
            until = "" if run.wake_at is None else f", until {instant(run.wake_at)}"
            return f"{meaning(run.held_why)} ({run.held_why}){until}"
        last = next(iter(runs), None)
        until_ = None if last is None or row.facts.run is None else self.limits(last, row.facts, now).probes_until
        return "" if until_ is None else f"{meaning('probe_budget')} (probe_budget), until {instant(until_)}"

    def _due(self, run: RunRow | None, why: str, at: Millis | None) -> str:
        if run is not None:
            return ""
        return f"{meaning(why)} ({why})" + ("" if instant(at) is None else f", until {instant(at)}")


def _tried(gen: Gen, home: Home, journals: Iterable[Entry]) -> Iterator[dict[str, Any]]:
    for entry in journals:
        event = entry.event
        if isinstance(event, Outcome) and event.step.kind in ABOUT and (event.step.gen, event.step.home) == (gen, home):
            yield {"at": instant(entry.at), "run": entry.run, "says": event_in_words(event), "reason": event.reason}
        elif isinstance(event, Accepted) and (event.gen, event.home) == (gen, home):
            yield {"at": instant(entry.at), "run": entry.run, "says": event_in_words(event), "reason": ""}


def _whose(gen: Gen, home: Home, journals: Iterable[Entry]) -> dict[str, Any]:
    """Who accepted it last; an acceptance older than the runs that are read shows nobody."""
    found = {"by": "", "run": ""}
    for entry in journals:
        if isinstance(entry.event, Accepted) and (entry.event.gen, entry.event.home) == (gen, home):
            found = {"by": entry.actor, "run": entry.run}
    return found


def _clock(plan: Plan | None, facts: Facts, debt: Debt, now: Millis) -> str:
    """The machine's own clocks for the next try: quiet time, settling, grace, back-off."""
    if plan is None or facts.run is None:
        return ""
    placed = facts.placed(debt.gen, debt.home)
    gone = placed is not None and placed.state is State.GONE
    try:
        at = ripe(plan, facts, Step(StepKind.PROVE if gone else StepKind.REVOKE, debt.gen, debt.home))
    except LookupError:
        return ""
    return f"{meaning('ripe')} (ripe), until {instant(at)}" if at > now else ""


def _needs(plan: Plan | None, placed: Placement | None) -> str:
    if plan is None:
        return "its endpoint to be configured again: without it nothing can be tried"
    clocks = plan.clocks
    seen = 0 if placed is None else placed.rejections
    proof = (
        f"{clocks.times} refusals over at least {clocks.over // 1000} s ({seen} so far), each beside a control of "
        f"grade {int(plan.weakest)} or better"
    )
    if placed is not None and placed.state is State.GONE:
        return proof
    return f"to be ended (revoked, or its place taken), then {proof}"
