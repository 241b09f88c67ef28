"""Lasting outages and pauses for ever, on single paths with the clocks of a real policy.

Every run ends or asks, whatever step never works again (K5, K12); a pause for ever leaves readers served
(K6).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from rotator.machine import holds as holds_module
from rotator.machine.decide import decide
from rotator.machine.decisions import Ask, Do, Finish, Look, Turn, Wait
from rotator.machine.events import Asked, Event, Finished, Intended, Opened, Outcome, Turned
from rotator.machine.evolve import evolve
from rotator.machine.facts import Ending, Facts
from rotator.machine.holds import FOREVER, Limits, holds
from rotator.machine.ids import Version
from rotator.machine.plan import Clocks
from rotator.machine.reading import makes_value
from rotator.machine.steps import OutcomeKind, Step, StepKind
from tests.model import invariants
from tests.model.configurations import (
    C,
    Configuration,
    X,
    alternating,
    in_place,
    in_place_issued,
    issuing,
    make,
    opening,
    overlap,
)
from tests.model.physics import branches
from tests.model.world import die, label_of

HOUR = 3_600_000
REAL = Clocks(settle=5_000, overlap=HOUR, over=120_000, times=3)
CONFIGS = (
    make("o", overlap(), clocks=REAL),
    make("o + debt", overlap(), clocks=REAL, debt=True),
    make("o i", issuing(), clocks=REAL),
    make("o two authorities", overlap(), overlap("b"), clocks=REAL),
    make("mixed", overlap(), in_place("b"), clocks=REAL),
    make("in place", in_place(), clocks=REAL),
    make("in place, grace", in_place(grace=60_000), clocks=REAL),
    make("in place i", in_place_issued(), clocks=REAL),
    make("alternating", alternating(), clocks=REAL),
    make("contain", overlap(), clocks=REAL, runs=(C,)),
    make("contain in place", in_place(), clocks=REAL, runs=(C,)),
    make("retire", overlap(), clocks=REAL, runs=(X,)),
)


class Drive:
    """One path: the honest way, but for steps that `fails` names."""

    def __init__(self, config: Configuration, fails: StepKind | None, how: OutcomeKind) -> None:
        self.config, self.fails, self.how = config, fails, how
        self.facts, self.world = opening(config)
        self.now = 10 * HOUR
        self.fate: str = ""
        self.commit(Opened(config.runs[0]))

    def commit(self, event: Event) -> None:
        self.facts = evolve(self.config.plan, self.facts, event, self.now)

    def intend(self, step: Step) -> None:
        clocks = self.config.plan.clocks
        handle = None
        if step.kind is StepKind.REVOKE and step.gen is not None and step.home is not None:
            handle = self.facts.handles.get((step.gen, step.home))
        label = label_of(step.gen) if step.gen is not None and makes_value(step) else None
        deadline = self.now + clocks.deadline
        quiet = deadline + clocks.landing
        self.commit(Intended(step, deadline, quiet, 1, label, handle, self.facts.version or Version("1")))

    def perform(self, step: Step) -> None:
        self.intend(step)
        if step.kind is self.fails:
            self.now += 1_000
            self.commit(Outcome(step, self.how))
            return
        branch = next(iter(branches(self.config, self.config.plan, self.facts, self.world, step, 0)))
        assert branch.kind is not None
        self.now += 100
        self.world = branch.world
        self.commit(Outcome(step, branch.kind, branch.found))

    def age(self, span: int) -> None:
        """Time passes: graces come to their end."""
        for key, left in self.world.dying:
            rest = self.world.dying - {(key, left)}
            self.world = (
                die(self.world, key) if left <= span else self.world._replace(dying=rest | {(key, left - span)})
            )

    def go(self, paused: bool = False) -> Iterator[None]:
        """Walk until the run ends, asks, or is held for ever; yields after every step."""
        for _ in range(3_000):
            decision = decide(self.config.plan, self.facts, self.now)
            if isinstance(decision, Finish):
                self.commit(Finished(decision.ending))
                self.fate = decision.ending.value
                return
            if isinstance(decision, Ask):
                self.commit(Asked(decision.question))
                self.fate = "asked"
                return
            if isinstance(decision, Wait):
                assert decision.until > self.now
                self.age(decision.until - self.now)
                self.now = decision.until
            elif isinstance(decision, Turn):
                self.commit(Turned(decision.legs, decision.why, decision.old, decision.way_back))
            elif isinstance(decision, Look):
                self.commit(Outcome(decision.step, OutcomeKind.UNKNOWN))
            elif isinstance(decision, Do):
                limits = Limits(paused_until=FOREVER if paused else None)
                if holds(self.config.plan, self.facts, decision, limits, self.now) is not None:
                    self.fate = "held"
                    return
                self.perform(decision.step)
                yield
        raise AssertionError("it goes on for ever")


def drive(config: Configuration, fails: StepKind | None, how: OutcomeKind) -> Drive:
    path = Drive(config, fails, how)
    for _ in path.go():
        broken = invariants.always(config.plan, path.facts, path.world._replace(broken=config.runs[0] in (C, X)))
        assert broken is None
    return path


@pytest.mark.parametrize("config", CONFIGS, ids=[config.name for config in CONFIGS])
def test_without_an_outage_it_succeeds(config: Configuration) -> None:
    path = drive(config, None, OutcomeKind.DONE)
    assert path.facts.ending is Ending.SUCCEEDED
    assert invariants.at_end(config.plan, path.facts, path.world) is None


@pytest.mark.parametrize("how", [OutcomeKind.FAILED, OutcomeKind.UNKNOWN, OutcomeKind.UNSENT, OutcomeKind.REFUSED])
@pytest.mark.parametrize("kind", list(StepKind), ids=[kind.value for kind in StepKind])
def test_every_run_ends_or_asks_under_a_lasting_outage(kind: StepKind, how: OutcomeKind) -> None:
    for config in CONFIGS:
        path = drive(config, kind, how)
        assert path.fate, config.name
        if path.facts.ending is not None:
            assert invariants.at_end(config.plan, path.facts, path.world) is None, config.name
        at_once = config.plan.authorities[0].slots != 1
        assert not at_once or path.facts.top <= 14, f"{config.name}: {path.facts.top} values were made"


@pytest.mark.parametrize("config", CONFIGS, ids=[config.name for config in CONFIGS])
def test_a_pause_for_ever_from_any_step_leaves_readers_served(config: Configuration) -> None:
    """K6: it holds a rotation only while current works, so nobody is locked out by it; contain is not held at all."""
    steps = sum(1 for _ in Drive(config, None, OutcomeKind.DONE).go())
    held = 0
    for at in range(steps):
        path = Drive(config, None, OutcomeKind.DONE)
        before = path.go()
        for _ in range(at):
            next(before)
        for _ in path.go(paused=True):
            pass
        held += path.fate == "held"
        if path.fate == "held" and config.runs[0] is not X:
            assert invariants.retrievable(config.plan, path.world)
            assert invariants.accepted_everywhere(config.plan, path.world, path.world.current)
            assert invariants.consumers_served(config.plan, path.facts, path.world) or not invariants.overlapping(
                config.plan
            )
    assert (held > 0) is (config.runs[0] is not C)


def test_without_k6_a_pause_locks_readers_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place: installed, then the pause holds the promote."""
    monkeypatch.setattr(holds_module, "_calendar_counts", lambda facts: True)
    config = make("in place", in_place(), clocks=REAL)
    locked_out = 0
    steps = sum(1 for _ in Drive(config, None, OutcomeKind.DONE).go())
    for at in range(steps):
        path = Drive(config, None, OutcomeKind.DONE)
        before = path.go()
        for _ in range(at):
            next(before)
        for _ in path.go(paused=True):
            pass
        locked_out += not invariants.accepted_everywhere(config.plan, path.world, path.world.current)
    assert locked_out > 0


def test_a_kill_that_is_refused_for_ever_ends_owing_and_holds_no_later_rotation() -> None:
    """K12."""
    config = make("o", overlap(), clocks=REAL)
    path = drive(config, StepKind.REVOKE, OutcomeKind.REFUSED)
    assert path.facts.ending is Ending.OWED
    path.fails = None
    path.commit(Opened(config.runs[0]))
    for _ in path.go():
        pass
    assert path.fate == Ending.SUCCEEDED.value


def test_one_debt_in_back_off_does_not_hold_the_other() -> None:
    """K8: of what the rung misses the first that is ripe is taken."""
    config = make("c", overlap(), clocks=REAL, runs=(C,), debt=True)
    path = Drive(config, None, OutcomeKind.DONE)
    walk = path.go()
    next(walk)
    decision = decide(config.plan, path.facts, path.now)
    assert isinstance(decision, Do)
    path.intend(decision.step)
    path.commit(Outcome(decision.step, OutcomeKind.FAILED, not_before=path.now + HOUR))
    following = decide(config.plan, path.facts, path.now)
    assert isinstance(following, Do)
    assert following.step == replace(decision.step, gen=following.step.gen)
    assert following.step.gen != decision.step.gen


def test_facts_do_not_grow_with_every_rotation() -> None:
    config = make("o", overlap(), clocks=REAL)
    path = Drive(config, None, OutcomeKind.DONE)
    sizes = []
    for _ in range(6):
        for _ in path.go():
            pass
        assert path.facts.ending is Ending.SUCCEEDED
        sizes.append(_size(path.facts))
        path.now += 24 * HOUR
        path.commit(Opened(config.runs[0]))
    assert len(set(sizes[1:])) == 1


def _size(facts: Facts) -> tuple[int, ...]:
    return len(facts.placements), len(facts.homes), len(facts.labels), len(facts.left_at), len(facts.doomed)
