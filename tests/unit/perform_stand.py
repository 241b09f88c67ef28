"""A performer over a real embedded store and a scripted platform, for the tests of single steps."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace
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
from rotator.machine.ids import Gen, Home
from rotator.machine.plan import Authority, Plan
from rotator.machine.steps import Intent, Step, StepKind
from rotator.plugin_api import (
    Alive,
    Inconclusive,
    Installed,
    Issued,
    Kind,
    Lists,
    Lost,
    Origin,
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
