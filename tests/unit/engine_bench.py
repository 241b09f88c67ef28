"""The engine on a real ledger, with a scripted world: one clock that is moved by hand, workers that run in the test.

`World` answers every step as an obliging platform would; `script` makes single steps answer otherwise, and every call
is kept with what the ledger held at that moment.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rotator.engine.calendar import Schedule, Window
from rotator.engine.delivery import Route
from rotator.engine.heartbeat import Beat, Felt, Heart
from rotator.engine.inspection import Adoptable, Seen
from rotator.engine.inventory import AuthorityRef, ConsumerRef, Credential, CredentialId, Policy, StoreRef, Tier
from rotator.engine.observation import Compared, Observation
from rotator.engine.opening import Opener
from rotator.engine.owing import Owing
from rotator.engine.planning import Planner, Spans
from rotator.engine.ports import Claim, CredentialRow, Installation, Observed, Performed, RunId, RunRow, Work
from rotator.engine.protection import Standing
from rotator.engine.requests import Caller, Selection
from rotator.engine.runner import Runner, Timing
from rotator.engine.service import Service
from rotator.engine.strays import Swept
from rotator.engine.sweeping import Sweeper
from rotator.engine.telling import Tellings
from rotator.engine.tick import Tick, TickRules
from rotator.engine.traits import KindTraits
from rotator.ledger import SqliteLedger, open_ledger
from rotator.machine.events import Event, Intended, Outcome
from rotator.machine.facts import Facts
from rotator.machine.holds import Limits
from rotator.machine.ids import Gen, Handle, Home, Millis, Version
from rotator.machine.reading import current_known
from rotator.machine.steps import Answer, CurrentIs, Found, Grade, Listed, Made, OutcomeKind, Probed, Staged, StepKind

T0: Millis = 1_800_000_000_000
DAY: Millis = 86_400_000
ME = Caller("uid:7 (ann)")

OVERLAP = KindTraits(
    role="authority", origin="generated", lost="by_label", live=None, old_lives_ms=None, undo="revoke_new",
    revokes="one", lists="all", label_max=64, has_probe=True, has_install=True, has_list=True, has_revoke=True,
)  # fmt: skip
ISSUED = replace(OVERLAP, origin="issued", has_install=False, has_issue=True)
SINGLE = KindTraits(
    role="authority", origin="generated", lost="probe", live=1, undo="reinstall_old", has_probe=True, has_install=True
)
FILE = KindTraits(role="consumer", origin="generated", lost="resend", has_install=True, has_revoke=True)
KINDS = {("api", "key"): OVERLAP, ("api", "issued"): ISSUED, ("db", "password"): SINGLE, ("files", "file"): FILE}


class HandClock:
    """Moves when it is told, and when somebody sleeps."""

    def __init__(self) -> None:
        self.at: Millis = T0
        self.ran = 0.0

    def now(self) -> Millis:
        return self.at

    def monotonic(self) -> float:
        return self.ran

    def sleep(self, seconds: float) -> None:
        self.move(int(seconds * 1000) or 1)

    def move(self, by: Millis) -> None:
        self.at += by
        self.ran += max(0, by) / 1000


@dataclass(slots=True)
class Performing:
    """One call of `perform`: the work, when, and what stood in the journal then."""

    work: Work
    at: Millis
    journal: tuple[Event, ...]


Scripted = Callable[[Work], Performed | Outcome | OutcomeKind | None]


@dataclass(slots=True)
class World:
    """Implements `Effects`. `script`: by step kind, what to answer instead (None: as usual)."""

    ledger: SqliteLedger
    clock: HandClock
    script: dict[StepKind, Scripted] = field(default_factory=dict)
    calls: list[Performing] = field(default_factory=list)
    current: dict[str, Gen] = field(default_factory=dict)
    version: int = 0

    def perform(self, work: Work) -> Performed:
        journal = tuple(entry.event for entry in self.ledger.journal(RunId(work.run)))
        self.calls.append(Performing(work, self.clock.at, journal))
        scripted = self.script.get(work.step.kind)
        said = None if scripted is None else scripted(work)
        if isinstance(said, Performed):
            return said
        if isinstance(said, Outcome):
            return Performed(said)
        if said is not None:
            return Performed(Outcome(work.step, said, reason=f"scripted_{said.value}"))
        return Performed(Outcome(work.step, OutcomeKind.DONE, self.found(work)), self.observed(work))

    def found(self, work: Work) -> Found:
        step = work.step
        match step.kind:
            case StepKind.READ_CURRENT:
                gen = self.current.get(work.definition.id, Gen(1))
                return CurrentIs(gen, Version(str(self.version)))
            case StepKind.PROMOTE:
                assert step.gen is not None
                self.current[work.definition.id] = step.gen
                self.version += 1
                return CurrentIs(step.gen, Version(str(self.version)))
            case StepKind.CHECK_STAGE:
                return Staged(True)
            case StepKind.VERIFY:
                return Probed(Answer.ALIVE)
            case StepKind.PROVE:
                return Probed(Answer.REJECTED, Grade.SUCCESSOR)
            case StepKind.INSTALL | StepKind.ISSUE | StepKind.NEUTRALISE:
                return Made(Handle(f"h{step.gen}"))
            case StepKind.FIND | StepKind.LIST | StepKind.SNAPSHOT:
                return Listed(frozenset())
            case _:
                return None

    def observed(self, work: Work) -> Observed | None:
        if work.step.kind is StepKind.PROVE:
            return Observed(work.step.gen, work.step.home, "key_refused", grade=Grade.SUCCESSOR, control="successor")
        if work.step.kind in {StepKind.VERIFY, StepKind.STAGE, StepKind.ISSUE}:
            return Observed(work.step.gen, work.step.home, fingerprint=f"fp-{work.definition.id}-{work.step.gen}")
        return None

    def kinds(self) -> list[StepKind]:
        return [call.work.step.kind for call in self.calls]

    def of(self, kind: StepKind) -> list[Performing]:
        return [call for call in self.calls if call.work.step.kind is kind]


@dataclass(slots=True)
class Inspecting:
    """`Inspector` and `Intake` as doubles."""

    adopt: dict[str, Adoptable] = field(default_factory=dict)
    taken: str = ""
    admin: Mapping[str, str] = field(default_factory=lambda: {"store": "main", "path": "p", "field": "f"})
    found: Sequence[tuple[str, str]] = ()
    sources: list[str] = field(default_factory=list)

    def verify(self, definition: Credential, facts: Facts) -> Sequence[Seen]:
        return [Seen("svc@api", "alive", "")]

    def findings(self, definition: Credential) -> Sequence[tuple[str, str]]:
        return self.found

    def adoptable(self, definition: Credential) -> Adoptable:
        one = definition.authorities[0]
        home = Home(one.endpoint, one.principals[0])
        return self.adopt.get(definition.id, Adoptable(handles=((home, Handle("h1")),), active=(home,)))

    def attempt(self, endpoint: str, about: Sequence[Any] = ()) -> Sequence[Mapping[str, Any]]:
        return [{"ability": "list", "ok": True, "says": "3 rows"}]

    def plugins(self) -> Sequence[Mapping[str, Any]]:
        return []

    def take_first(self, definition: Credential, source: str) -> str:
        self.sources.append(source)
        return self.taken

    def take_admin(self, endpoint: str, source: str, replace: bool) -> Mapping[str, str]:
        return self.admin


def policy(**changes: Any) -> Policy:
    plain: dict[str, Any] = {
        "name": "standard", "schedule": Schedule(every=30 * DAY), "attempts": 3, "span": 10_000, "kill_attempts": 3,
        "kill_span": 10_000, "proof_times": 2, "proof_over": 1_000,
    }  # fmt: skip
    return Policy(**(plain | changes))


def credential(
    name: str = "alpha", kind: tuple[str, str] = ("api", "key"), principals: tuple[str, ...] = ("svc",), *,
    workflows: tuple[str, ...] = ("flow",), consumer: bool = False, window: Window | None = None, **policies: Any,
) -> Credential:  # fmt: skip
    if window is not None:
        policies["schedule"] = Schedule(every=30 * DAY, window=window)
    return Credential(
        id=CredentialId(name), owner="o@x.example", purpose="a test", workflows=workflows, expires=T0 + 1000 * DAY,
        tier=Tier.T2, policy=policy(**policies),
        authorities=(AuthorityRef(kind[0], kind[1], principals),), store=StoreRef("main", f"app/{name}", "key"),
        consumers=(ConsumerRef("files/file/a", "files", "file", "a"),) if consumer else (),
        labels=(("team", name[0]),),
    )  # fmt: skip


class Marking:
    """The marks as doubles: `marks` is what stores say; an end is noted."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.marks: dict[str, Any] = {}
        self.renewed: list[tuple[str, int]] = []

    def behind(self) -> bool:
        return self.bench.observe

    def observing(self) -> bool:
        return self.bench.observe

    def standing(self) -> Mapping[str, Any]:
        return self.marks

    def renew(self, epoch: str, serials: int) -> None:
        self.renewed.append((epoch, serials))
        self.bench.observe = False


class Bench:
    """An engine. `rules` of the tick; everything else may be changed on the object."""

    def __init__(self, folder: Path, *definitions: Credential, rules: TickRules | None = None) -> None:
        self.clock = HandClock()
        self.ledger = open_ledger(folder / "ledger.db")
        self.ids = (f"run-{n:04}" for n in itertools.count(1))
        self.world = World(self.ledger, self.clock)
        self.claims: list[Claim] = []
        self.worked: list[Claim] = []
        self.observe = self.stopping = False
        self.limits_of: Callable[[RunRow, Facts, Millis], Limits] = lambda run, facts, now: Limits()
        self.kinds = dict(KINDS)
        self.routes: tuple[Route, ...] = ()
        self.channels: dict[str, str] = {}
        self.managed = len(definitions)
        self.standings: list[Standing] = []
        self.ledger.accept(definitions, {}, T0)
        self.timing = Timing(deadline=1_000, landing=500, lease=2_000)
        self.runner = self.make_runner()
        self.opener = Opener(self.ledger, self.clock, lambda d, k: self.planner().plan(d, k), self.new_id, "w1")
        self.tick = Tick(
            self.ledger, self.clock, self.opener, rules or TickRules(), owner="w1", lease=self.timing.lease,
            submit=self.claims.append, free=lambda: 64 - len(self.claims), observing=lambda: self.observe,
            managed=lambda: self.managed,
        )  # fmt: skip
        self.inspecting = Inspecting()
        self.beats: dict[str, Beat] = {}
        self.heart = Heart(self.ledger, self.clock, self, self.tick, lambda: self.observe)
        self.swept: dict[str, Swept] = {}
        self.sweeper = Sweeper(
            self.ledger,
            self.clock,
            self,
            self.opener,
            self.tick,
            "acme",
            lambda: ("api", "db", "files"),
            lambda: self.observe,
        )
        self.comparing: dict[str, Compared] = {}
        self.marks = Marking(self)
        self.observation = Observation(
            self.ledger, self.clock, self.opener, self, self.ledger, self.marks, "w1", self.new_id
        )
        self.tick.repairs = self.observation.repairs
        self.owing = Owing(
            self.ledger, self.clock, self.tick, self.planner,
            lambda run, facts, now: self.limits_of(run, facts, now), "w1", self.new_id,
        )  # fmt: skip
        self.service = Service(
            ledger=self.ledger, clock=self.clock, planner=self.planner, tick=self.tick, inspector=self.inspecting,
            limits=lambda run, facts, now: self.limits_of(run, facts, now), render_metrics=lambda: "",
            standings=lambda: self.standings,
            observing=lambda: self.observe, version="0", owner="w1", intake=self.inspecting, opener=self.opener,
            reconfigure=dict, wake_workers=self.tick.wake, new_id=self.new_id,
            sweeper=self.sweeper, heart=self.heart, observation=self.observation, owing=self.owing,
            backup_to=lambda path: self.ledger.backup(Path(path)),
            tellings=Tellings(self.ledger, self.clock, lambda: self.routes, lambda: self.channels, self.new_id,
                              lambda: Installation("acme", "e1")),
        )  # fmt: skip

    def feel(self, definition: Credential, facts: Facts, known: Mapping[Gen, str]) -> Beat:
        """A heartbeat: what the test says; as it should be, if it says nothing."""
        current = current_known(facts)
        homes = tuple(Felt(str(home), "alive") for home in facts.homes.get(current or Gen(0), ()))
        return self.beats.get(definition.id, Beat("ours", current, homes=homes))

    def labelled(self, endpoint: str, about: Sequence[Credential]) -> Swept:
        """The listing of a sweep: what the test says."""
        return self.swept.get(endpoint, Swept())

    def compare(self, definition: Credential, facts: Facts, known: Mapping[Gen, str]) -> Compared:
        """What a look at a restored ledger's credential finds: what the test says."""
        return self.comparing.get(definition.id, Compared(current_known(facts), homes=(Seen("svc@api", "alive", ""),)))

    def new_id(self) -> str:
        return next(self.ids)

    def make_runner(self) -> Runner:
        return Runner(
            self.ledger, self.world, self.clock, self.timing, installation="acme",
            limits=lambda run, facts, now: self.limits_of(run, facts, now), stopping=lambda: self.stopping,
        )  # fmt: skip

    def planner(self) -> Planner:
        return Planner(self.traits, Spans(deadline=self.timing.deadline, landing=self.timing.landing, backoff=100))

    def traits(self, endpoint: str, kind: str) -> KindTraits:
        found = self.kinds.get((endpoint, kind))
        if found is None:
            raise LookupError(f"endpoint {endpoint} is not configured")
        return found

    def row(self, name: str = "alpha") -> CredentialRow:
        found = self.ledger.credential(CredentialId(name))
        assert found is not None
        return found

    def run(self, run: str) -> RunRow:
        found = self.ledger.run(RunId(run))
        assert found is not None
        return found

    def events(self, run: str) -> list[Event]:
        return [entry.event for entry in self.ledger.journal(RunId(run))]

    def intents(self, run: str) -> list[Intended]:
        return [event for event in self.events(run) if isinstance(event, Intended)]

    def work(self) -> int:
        """Work what can be worked now; how many claims there were."""
        count = 0
        self.tick.hand_out()
        while self.claims:
            claim = self.claims.pop(0)
            self.worked.append(claim)
            self.runner.work(claim)
            row = self.ledger.run(claim.run)
            if row is not None and row.ended_at is not None:
                self.tick.refresh(row.credential)
            count += 1
            self.tick.hand_out()
        return count

    def work_claims(self) -> None:
        """Work what was handed out already."""
        while self.claims:
            claim = self.claims.pop(0)
            self.worked.append(claim)
            self.runner.work(claim)

    def finish(self, run: str, most: int = 300) -> RunRow:
        """Work, and move the clock to where the run wakes, until it ended or waits for a person."""
        for _ in range(most):
            self.work()
            row = self.run(run)
            if row.ended_at is not None or row.wake_at is None:
                return row
            self.clock.move(max(1, row.wake_at - self.clock.at))
        raise AssertionError(f"{run} does not end: {self.run(run)}")

    def adopted(self, name: str = "alpha") -> CredentialRow:
        """Adopt it, to the end."""
        opened = self.service.adopt(ME, [name], source="", reason="test")
        row = self.finish(opened["runs"][0]["id"])
        assert row.ending is not None, self.row(name).facts.question
        return self.row(name)

    def rotate(self, name: str = "alpha") -> str:
        """Open a rotation by hand; its id."""
        done = self.service.rotate(ME, Selection(ids=(name,)), reason="test", ticket="")
        return str(done["runs"][0]["id"])

    def close(self) -> None:
        self.ledger.close()
