"""One step at a time over a real embedded store and a scripted platform: what each answer becomes, what is tried."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rotator.effects.fingerprint import Fingerprints
from rotator.effects.perform import Performer
from rotator.effects.platforms import Call
from rotator.effects.stores.contract import Slot, Store
from rotator.effects.stores.opening import LocalConfig, create_local, open_store
from rotator.engine.inventory import Credential
from rotator.engine.ports import Performed, Work
from rotator.machine.facts import Facts, LegName, Placement, Run, RunKind, State
from rotator.machine.frozen import FrozenMap
from rotator.machine.ids import Gen, Handle, Home, Label, Version
from rotator.machine.plan import Authority, Plan
from rotator.machine.steps import Answer, CurrentIs, Grade, Intent, Made, OutcomeKind, Probed, Step, StepKind
from rotator.plugin_api import (
    Alive,
    Failed,
    Found,
    Inconclusive,
    Installed,
    Issued,
    Kind,
    Lists,
    Lost,
    Misconfigured,
    Origin,
    OutcomeUnknown,
    Refused,
    Rejected,
    Revoked,
    Revokes,
    Role,
    Secret,
    Swept,
    Traits,
)
from tests.unit.engine_bench import HandClock, credential

HOME = Home("api", "svc")
SLOT = Slot("alpha", "app/alpha", "key")


def never(*_: Any) -> Any:
    raise AssertionError("the scripted platform has methods of its own")


@dataclass
class Scripted:
    """A platform that answers as told and keeps what it was asked. `values`: who a value is; else it is rejected."""

    kind: Kind[Any]
    answers: dict[str, Any] = field(default_factory=dict)
    alive: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, Any, Call]] = field(default_factory=list)
    admin: str = "adm"

    def _answer(self, name: str, call: Call, request: Any, usual: Any) -> Any:
        self.asked.append((name, request, call))
        answer = self.answers.get(name, usual)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def names(self) -> list[str]:
        return [name for name, _, _ in self.asked]

    def preflight(self, call: Call, request: Any) -> Any:
        return self._answer("preflight", call, request, None)

    def probe(self, call: Call, request: Any) -> Any:
        who = self.alive.get(request.value.reveal())
        return self._answer(
            "probe", call, request, Rejected(reason="key_refused") if who is None else Alive(principal=who)
        )

    def witness(self, call: Call) -> Any:
        return self._answer("witness", call, None, Inconclusive(reason="no_witness"))

    def install(self, call: Call, request: Any) -> Any:
        return self._answer("install", call, request, Installed(handle="h9"))

    def issue(self, call: Call, request: Any) -> Any:
        return self._answer("issue", call, request, Issued(value=Secret("canary-issued-value"), handle="h9"))

    def listing(self, call: Call, subject: Any) -> Any:
        return self._answer("listing", call, subject, ())

    def revoke(self, call: Call, request: Any) -> Any:
        return self._answer("revoke", call, request, Revoked())

    def sweep(self, call: Call, request: Any) -> Any:
        return self._answer("sweep", call, request, Swept())

    def check(self, call: Call, request: Any) -> Any:
        return self._answer("check", call, request, None)


@dataclass
class Stand:
    """Store, platform, clock and the performer over them."""

    clock: HandClock
    store: Store
    platform: Scripted
    definition: Credential

    def __post_init__(self) -> None:
        self.performer = Performer(self, self.clock, Fingerprints(secrets.token_bytes(32)), "acme")  # type: ignore[arg-type]

    def world_store(self, name: str) -> Store:
        return self.store

    def put(self, gen: int, text: str, *, alive: bool = False) -> None:
        self.store.stage(SLOT, gen, Secret(text))
        if alive:
            self.platform.alive[text] = "svc"

    def do(self, kind: StepKind, gen: int | None = 2, home: Home | None = HOME, **more: Any) -> Performed:
        facts = more.pop("facts", Facts(top=Gen(2)))
        intent = {"expected_version": more.pop("expected", None), "label": more.pop("label", None),
                  "handle": more.pop("handle", None)}  # fmt: skip
        late = more.pop("late", 1000)
        step = Step(kind, None if gen is None else Gen(gen), home, **more)
        now = self.clock.at
        opened = Intent(step, now, now + late, now + late, 1, **intent)
        if facts.run is None:
            facts = replace(facts, run=Run(RunKind.ROTATE, (LegName.ADVANCE,)))
        plan = Plan(facts.run.kind, (Authority("api", ("svc",), None),))
        return self.performer.perform(Work("run-1", self.definition, plan, facts, step, opened))  # type: ignore[arg-type]


class _World:
    def __init__(self, store: Store, platform: Scripted) -> None:
        self._store, self._platform = store, platform

    def store(self, name: str) -> Store:
        return self._store

    def platform(self, endpoint: str, kind: str) -> Scripted:
        return self._platform


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    clock = HandClock()
    key = tmp_path / "store.key"
    key.write_bytes(secrets.token_bytes(32))
    key.chmod(0o600)
    config = LocalConfig(tmp_path / "store", key, "acme")
    create_local(config, clock)
    traits = Traits(role=Role.AUTHORITY, origin=Origin.GENERATED, lost=Lost.BY_LABEL, live=None,
                    revokes=Revokes.ONE, lists=Lists.ALL)  # fmt: skip
    kind: Kind[Any] = Kind(name="key", title="a key", traits=traits, list=never, revoke=never, probe=never)
    found = Stand(clock, open_store(config, clock), Scripted(kind), credential())
    found.performer._world = _World(found.store, found.platform)
    return found


def facts(*rows: tuple[int, State, Home], current: int = 1, **more: Any) -> Facts:
    placed = {(Gen(gen), home): Placement(state) for gen, state, home in rows}
    homes = {Gen(gen): (home,) for gen, _, home in rows}
    return Facts(
        top=Gen(3), placements=FrozenMap(placed), homes=FrozenMap(homes), current=frozenset({Gen(current)}), **more
    )


ERRORS: list[tuple[Exception, OutcomeKind, OutcomeKind]] = [
    (Refused("label_taken"), OutcomeKind.REFUSED, OutcomeKind.REFUSED),
    (Failed("throttled"), OutcomeKind.FAILED, OutcomeKind.FAILED),
    (Failed("unreachable", unsent=True), OutcomeKind.UNSENT, OutcomeKind.UNSENT),
    (OutcomeUnknown("connection_lost"), OutcomeKind.UNKNOWN, OutcomeKind.FAILED),
    (Misconfigured("acting_refused"), OutcomeKind.MISCONFIGURED, OutcomeKind.MISCONFIGURED),
    (RuntimeError("canary-in-the-text"), OutcomeKind.UNKNOWN, OutcomeKind.FAILED),
]


@pytest.mark.parametrize(("error", "writing", "reading"), ERRORS)
def test_every_error_has_its_outcome(
    stand: Stand, error: Exception, writing: OutcomeKind, reading: OutcomeKind
) -> None:
    stand.put(2, "canary-two")
    stand.platform.answers = {"install": error, "listing": error}
    wrote, read = stand.do(StepKind.INSTALL), stand.do(StepKind.LIST, None)
    assert (wrote.outcome.kind, read.outcome.kind) == (writing, reading)
    assert "canary" not in repr((wrote, read))


def test_a_platforms_wish_to_wait_is_passed_on_as_an_instant(stand: Stand) -> None:
    wait = timedelta(seconds=7)
    stand.put(2, "canary-two")
    stand.platform.answers = {"install": Failed("throttled", retry_after=wait)}
    assert stand.do(StepKind.INSTALL).outcome.not_before == stand.clock.at + 7000
    stand.platform.answers = {"probe": Inconclusive(reason="throttled", retry_after=wait)}
    assert stand.do(StepKind.VERIFY).outcome.not_before == stand.clock.at + 7000


def test_nothing_is_sent_after_the_deadline(stand: Stand) -> None:
    stand.put(2, "canary-two")
    done = stand.do(StepKind.INSTALL, late=0)
    assert (done.outcome.kind, done.outcome.reason) == (OutcomeKind.UNSENT, "deadline_passed")
    assert stand.platform.asked == []


def test_a_deadline_that_passes_while_the_store_is_read_sends_nothing(stand: Stand) -> None:
    stand.put(2, "canary-two")
    reading = stand.store.read

    def slow(slot: Slot, generation: int) -> Any:
        stand.clock.move(2000)
        return reading(slot, generation)

    stand.store.read = slow  # type: ignore[method-assign]
    assert stand.do(StepKind.INSTALL).outcome.kind is OutcomeKind.UNSENT
    assert stand.do(StepKind.STAGE, 3).outcome.kind is OutcomeKind.UNSENT
    assert (stand.platform.asked, reading(SLOT, 3)) == ([], None)


def test_a_clock_set_back_gives_a_call_no_more_than_its_span(stand: Stand) -> None:
    stand.put(2, "canary-two")
    stand.clock.at += 1
    reading = stand.store.read

    def back(slot: Slot, generation: int) -> Any:
        stand.clock.at -= 3_600_000
        return reading(slot, generation)

    stand.store.read = back  # type: ignore[method-assign]
    stand.do(StepKind.INSTALL)
    assert stand.platform.asked[0][2].seconds <= 1.0


def test_stage_again_after_a_lost_answer_keeps_the_first_value(stand: Stand) -> None:
    first = stand.do(StepKind.STAGE)
    before = stand.store.read(SLOT, 2)
    again = stand.do(StepKind.STAGE)
    after = stand.store.read(SLOT, 2)
    assert before is not None
    assert after is not None
    assert before.matches(after)
    assert first.observed == again.observed


def test_a_read_that_fails_after_the_stage_does_not_unmake_it(stand: Stand) -> None:
    """UNSENT would give the facts back as before: a value in the store that the ledger does not know."""
    stand.store.deposit("app/alpha", "key", Secret("canary-one"), {}, replace=False)
    staging = stand.store.stage_current

    def then_down(slot: Slot, generation: int) -> None:
        staging(slot, generation)
        stand.store.read = down  # type: ignore[method-assign]

    def down(*_: Any, **more: Any) -> Any:
        raise Failed("unreachable", unsent=True)

    stand.store.stage_current = then_down  # type: ignore[method-assign]
    done = stand.do(StepKind.STAGE, 1, None, from_current=True)
    assert (done.outcome.kind, done.observed) == (OutcomeKind.DONE, None)


def test_an_issue_that_could_not_be_staged_is_unknown(stand: Stand) -> None:
    def down(*_: Any, **more: Any) -> Any:
        raise Failed("unreachable", unsent=True)

    stand.store.stage = down  # type: ignore[method-assign]
    done = stand.do(StepKind.ISSUE, label=Label("rot-acme-1"))
    assert (done.outcome.kind, done.outcome.reason) == (OutcomeKind.UNKNOWN, "issued_not_staged")
    assert stand.platform.asked[0][1].label == "rot-acme-1"


def test_an_issue_is_done_when_staged(stand: Stand) -> None:
    done = stand.do(StepKind.ISSUE, label=Label("rot-acme-1"))
    kept = stand.store.read(SLOT, 2)
    assert done.outcome.found == Made(Handle("h9"))
    assert kept is not None
    assert kept.matches(Secret("canary-issued-value"))
    assert "canary" not in repr(done)


def test_a_value_that_is_somebody_elses_is_a_stranger(stand: Stand) -> None:
    stand.put(2, "canary-two")
    stand.platform.alive["canary-two"] = "other"
    done = stand.do(StepKind.VERIFY)
    assert (done.outcome.found, done.outcome.reason) == (Probed(Answer.STRANGER), "wrong_identity")
    assert done.observed is not None
    assert done.observed.identity == "other"


# -- proof ---------------------------------------------------------------------------------------------------------

OTHER = Home("api", "other")
CONTROLS: list[tuple[Grade, Facts]] = [
    (Grade.SUCCESSOR, facts((1, State.GONE, HOME), (2, State.ALIVE, HOME))),
    (Grade.NEUTRAL, facts((1, State.GONE, HOME), (2, State.ALIVE, HOME), fillers=frozenset({Gen(2)}))),
    (Grade.WITNESS, facts((1, State.GONE, HOME), (2, State.ALIVE, OTHER))),
]


@pytest.mark.parametrize(("grade", "known"), CONTROLS)
def test_the_control_is_tried_first_and_its_kind_is_the_grade(stand: Stand, grade: Grade, known: Facts) -> None:
    stand.put(1, "canary-one")
    stand.put(2, "canary-two")
    stand.platform.alive["canary-two"] = "other" if grade is Grade.WITNESS else "svc"
    done = stand.do(StepKind.PROVE, 1, facts=known)
    assert done.outcome.found == Probed(Answer.REJECTED, grade)
    tried = [request.value for name, request, _ in stand.platform.asked if name == "probe"]
    assert [value.matches(Secret("canary-one")) for value in tried] == [False, True]


def test_without_a_control_the_old_value_is_not_tried(stand: Stand) -> None:
    stand.put(1, "canary-one")
    stand.put(2, "canary-two")  # not alive: the whole platform refuses
    done = stand.do(StepKind.PROVE, 1, facts=facts((1, State.GONE, HOME), (2, State.ALIVE, HOME)))
    assert (done.outcome.found, done.outcome.reason) == (Probed(Answer.INCONCLUSIVE), "no_control")
    assert len([name for name in stand.platform.names() if name == "probe"]) == 1


def test_a_value_that_is_to_die_is_no_control(stand: Stand) -> None:
    """Trying it would cost budget that nobody counts."""
    stand.put(1, "canary-one")
    stand.put(2, "canary-two")
    known = facts((1, State.GONE, HOME), (2, State.MAYBE, HOME), doomed=frozenset({Gen(2)}))
    assert stand.do(StepKind.PROVE, 1, facts=known).outcome.reason == "no_control"
    assert "probe" not in stand.platform.names()


@pytest.mark.parametrize(("listed", "grade"), [((), Grade.LISTING), ((Found(handle="h1"),), None)])
def test_a_listing_without_the_handle_is_the_weakest_control(
    stand: Stand, listed: tuple[Found, ...], grade: Grade | None
) -> None:
    stand.put(1, "canary-one")
    known = facts((1, State.GONE, HOME), handles=FrozenMap({(Gen(1), HOME): Handle("h1")}))
    row = Placement(State.GONE, alive_at=stand.clock.at - 5, gone_at=stand.clock.at)
    stand.platform.answers["listing"] = listed
    done = stand.do(StepKind.PROVE, 1, facts=replace(known, placements=FrozenMap({(Gen(1), HOME): row})))
    found = done.outcome.found
    assert isinstance(found, Probed)
    assert found.grade is grade


# -- ends ----------------------------------------------------------------------------------------------------------


def test_a_revoke_without_a_handle_is_never_sent(stand: Stand) -> None:
    assert stand.do(StepKind.REVOKE).outcome.kind is OutcomeKind.MISCONFIGURED
    assert stand.platform.asked == []
    stand.do(StepKind.REVOKE, handle=Handle("h7"))
    assert stand.platform.asked[0][1].target.handle == "h7", "fixed in the intent (R17)"


def promoted(stand: Stand) -> str:
    stand.put(2, "canary-two")
    done = stand.do(StepKind.PROMOTE, home=None, expected=Version(""), facts=facts((2, State.ALIVE, HOME)))
    assert isinstance(done.outcome.found, CurrentIs), done
    return str(done.outcome.found.version)


def test_the_retirements_destroy_clears_what_readers_see_first(stand: Stand) -> None:
    promoted(stand)
    run = Run(RunKind.RETIRE, (LegName.RETIRE,))
    known = facts((2, State.DEAD, HOME), current=2, run=run)
    finalize = stand.store.finalize
    seen: list[bool] = []

    def after(slot: Slot, generation: int, **more: Any) -> None:
        seen.append(stand.store.current(SLOT).value is None)
        finalize(slot, generation, **more)

    stand.store.finalize = after  # type: ignore[method-assign]
    assert stand.do(StepKind.DESTROY, home=None, facts=known).outcome.kind is OutcomeKind.DONE
    assert (seen, stand.store.read(SLOT, 2)) == ([True], None)


def test_a_destroy_that_cleared_and_then_could_not_connect_is_no_unsent(stand: Stand) -> None:
    promoted(stand)

    def down(*_: Any, **more: Any) -> Any:
        raise Failed("unreachable", unsent=True)

    stand.store.finalize = down  # type: ignore[method-assign]
    known = facts((2, State.DEAD, HOME), current=2, run=Run(RunKind.RETIRE, (LegName.RETIRE,)))
    assert stand.do(StepKind.DESTROY, home=None, facts=known).outcome.kind is OutcomeKind.FAILED


def test_a_second_writer_is_a_refusal_that_says_so(stand: Stand) -> None:
    version = promoted(stand)
    stand.store.deposit("app/alpha", "key", Secret("canary-foreign"), {}, replace=True)
    stand.put(3, "canary-three")
    done = stand.do(StepKind.PROMOTE, 3, None, expected=Version(version), facts=facts((3, State.ALIVE, HOME)))
    assert (done.outcome.kind, done.outcome.reason) == (OutcomeKind.REFUSED, "foreign_current")
    known = facts((2, State.ALIVE, HOME), stored=frozenset({Gen(2), Gen(3)}))
    read = stand.do(StepKind.READ_CURRENT, None, None, facts=known).outcome.found
    assert isinstance(read, CurrentIs)
    assert read.foreign


def test_every_kind_of_step_has_its_function() -> None:
    from rotator.effects.perform import _STEPS

    functions: dict[StepKind, Callable[..., Performed]] = dict(_STEPS)
    assert set(functions) == set(StepKind)
