"""Definitions, plans, runs and facts for the ledger's tests: made of the machine's own types, moved by its `evolve`."""

from __future__ import annotations

from dataclasses import replace

from rotator.engine.calendar import Schedule, Window
from rotator.engine.inventory import (
    AuthorityRef,
    ConsumerRef,
    Credential,
    CredentialId,
    FieldMap,
    Pause,
    Policy,
    Source,
    StoreRef,
    Tier,
)
from rotator.engine.ports import Claim, Ledger, RunId, RunRow
from rotator.machine.events import Finished, Intended, Opened, Outcome
from rotator.machine.evolve import evolve
from rotator.machine.facts import Ending, Facts, Placement, RunKind, State
from rotator.machine.frozen import FrozenMap
from rotator.machine.ids import ConsumerId, Gen, Handle, Home, Label, Millis
from rotator.machine.plan import Authority, Clocks, Consumer, Plan
from rotator.machine.steps import CurrentIs, OutcomeKind, Step, StepKind

T0: Millis = 1_700_000_000_000
HOME = Home("api", "svc")
READ = Step(StepKind.READ_CURRENT)


def definition(name: str = "alpha", owner: str = "team@x.example") -> Credential:
    """Every field filled with something that is not its default."""
    window = Window(60, 300, "Europe/Berlin", "now")
    schedule = Schedule(every=86_400_000, window=window, jitter=7_200_000, missed="now", min_age=60_000)
    return Credential(
        id=CredentialId(name),
        owner=owner,
        purpose="keeps “orders” in step – ünïcode",
        workflows=("orders", "alerts"),
        expires=T0 + 10**10,
        tier=Tier.T1,
        policy=Policy("standard", schedule, overlap=1000, pause=Pause("ann", "freeze", T0), keep_history=True),
        authorities=(AuthorityRef("api", "key", ("svc",), ("read",), (("a", "b"),), "h-0"),),
        store=StoreRef("main", f"app/{name}", "key", (FieldMap("user", Source.PRINCIPAL),)),
        consumers=(ConsumerRef("c1", "files", "file", "a.env", (), (FieldMap("V", Source.VALUE),)),),
        labels=(("team", "red"),),
    )


def plan(kind: RunKind = RunKind.ROTATE) -> Plan:
    """One authority with many values, one consumer."""
    authority = Authority("api", ("svc",), slots=None)
    return Plan(kind, (authority,), (Consumer(ConsumerId("c1")),), Clocks(settle=5, overlap=10))


def row(run: str, credential: str = "alpha", kind: RunKind = RunKind.ROTATE, at: Millis = T0) -> RunRow:
    """A run as the engine hands it over for opening."""
    return RunRow(
        id=RunId(run),
        credential=CredentialId(credential),
        kind=kind,
        definition=definition(credential),
        plan=plan(kind),
        actor="ann",
        reason="drill",
        campaign="c-1",
        opened_at=at,
        ended_at=None,
        ending=None,
        wake_at=at,
        held_why="",
        owner="",
        fence=0,
    )


def opened(before: Facts | None = None, kind: RunKind = RunKind.ROTATE, at: Millis = T0) -> Facts:
    """Facts after the opening of a run, over those of an adopted credential where none are given."""
    if before is None and kind is not RunKind.ADOPT:
        before = evolve(plan(RunKind.ADOPT), opened(None, RunKind.ADOPT, at), Finished(Ending.SUCCEEDED), at)
    return evolve(plan(kind), before or Facts(), Opened(kind), at)


def start(
    ledger: Ledger, run: str = "r1", credential: str = "alpha", kind: RunKind = RunKind.ROTATE, at: Millis = T0,
    before: Facts | None = None, lease: Millis = 1000, by: str = "w1",
) -> tuple[Claim, Facts]:  # fmt: skip
    """Open a run with its first event."""
    facts = opened(before, kind, at)
    found = row(run, credential, kind, at)
    return ledger.open_run(found, [Opened(kind)], facts, claim_by=by, lease_until=at + lease), facts


def end(ledger: Ledger, claim: Claim, facts: Facts, ending: Ending = Ending.SUCCEEDED, at: Millis = T0 + 50) -> Facts:
    """End a run."""
    after = evolve(plan(), facts, Finished(ending), at)
    ledger.append(claim, [Finished(ending)], after, at)
    return after


def reading(fence: int = 1, at: Millis = T0) -> Intended:
    """The intent of a read of current."""
    return Intended(READ, deadline=at + 10, quiet_until=at, fence=fence)


def read_done() -> Outcome:
    """It answered: nothing is there."""
    return Outcome(READ, OutcomeKind.DONE, CurrentIs(None, None))


def owing(facts: Facts, *gens: int, state: State = State.MAYBE, current: int | None = None) -> Facts:
    """The same facts with placements of these generations at HOME."""
    placements = {(Gen(gen), HOME): Placement(state) for gen in gens}
    return replace(
        facts,
        top=Gen(max(gens, default=0)),
        placements=FrozenMap(placements),
        current=frozenset() if current is None else frozenset({Gen(current)}),
        labels=FrozenMap({Gen(gen): Label(f"rot-x-{gen}") for gen in gens}),
        handles=FrozenMap({(Gen(gen), HOME): Handle(f"h-{gen}") for gen in gens}),
    )
