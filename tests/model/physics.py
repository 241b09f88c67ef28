"""What may come of a step: the honest way, and every fault. Each branch is a world, an outcome (or none: a crash), a
cost and a name for the trace.

The faults: refused and failed, honest or lying; unsent; unknown, done or not; a crash before or after the effect; a
success without effect; a revoked value that works a while longer; a lagging list; a request that lands late; a flaky
probe. Another administrator's key is part of the configuration.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from rotator.machine.evolve_outcome import VALUE_REFUSED
from rotator.machine.facts import Facts
from rotator.machine.ids import Handle, Version
from rotator.machine.plan import Plan
from rotator.machine.steps import (
    READS,
    Answer,
    CurrentIs,
    Found,
    Grade,
    Listed,
    Made,
    OutcomeKind,
    Probed,
    Staged,
    Step,
    StepKind,
)
from tests.model.clock import arrives
from tests.model.configurations import Configuration
from tests.model.world import Key, World, effect, handle_of, hit, listing, platform_takes, sees_lists, works

K = OutcomeKind


class Branch(NamedTuple):
    """One way in which a step goes. `kind` None: the worker dies, the intent stays open."""

    name: str
    cost: int
    world: World
    kind: OutcomeKind | None
    found: Found = None
    counted: bool = False
    """FAILED and UNSENT: they count attempts, and are left out of the termination check."""
    reason: str = ""


def branches(
    config: Configuration, plan: Plan, facts: Facts, world: World, step: Step, faults: int
) -> Iterator[Branch]:
    """Every branch of `step`, whose intent is open in `facts`, that costs at most `faults`."""
    for branch in _all(config, plan, facts, world, step):
        if branch.cost <= faults and (branch.cost == 0 or branch.name not in config.without):
            yield branch


def _all(config: Configuration, plan: Plan, facts: Facts, world: World, step: Step) -> Iterator[Branch]:
    if step.kind in (StepKind.VERIFY, StepKind.PROVE):
        yield from _probe(config, facts, world, step)
    elif step.kind in READS:
        yield from _read(plan, world, step)
    else:
        yield from _write(config, plan, facts, world, step)


def _probe(config: Configuration, facts: Facts, world: World, step: Step) -> Iterator[Branch]:
    assert step.gen is not None
    assert step.home is not None
    truth = works(world, step.gen, step.home)
    grade = _control(config, facts, world, step)
    if truth:
        yield Branch("alive", 0, world, K.DONE, Probed(Answer.ALIVE))
    elif grade is None:
        yield Branch("no control", 0, world, K.DONE, Probed(Answer.INCONCLUSIVE))
    else:
        yield Branch("rejected", 0, world, K.DONE, Probed(Answer.REJECTED, grade))
    if any(key.gen == step.gen and key.home == step.home for key, _ in world.arriving):
        yield Branch("alive on one replica", 0, world, K.DONE, Probed(Answer.ALIVE))
    if truth and (step.kind is StepKind.VERIFY or plan_times(config) > 1):
        yield Branch("flaky", 1, world, K.DONE, Probed(Answer.REJECTED, grade))
    name = "inconclusive verify" if step.kind is StepKind.VERIFY else "inconclusive proof"
    yield Branch(name, 1, world, K.DONE, Probed(Answer.INCONCLUSIVE))


def plan_times(config: Configuration) -> int:
    """Rejections that make a proof."""
    return config.plan.clocks.times


def _control(config: Configuration, facts: Facts, world: World, step: Step) -> Grade | None:
    """The control that a proof finds. Strict: only a value that lives on the same principal will do."""
    if not config.strict or step.kind is StepKind.VERIFY:
        return Grade.SUCCESSOR
    living = {key.gen for key in world.accepted if key.home == step.home and key.gen != step.gen}
    if living & facts.fillers:
        return Grade.NEUTRAL
    if living - facts.fillers:
        return Grade.SUCCESSOR
    return None


def _read(plan: Plan, world: World, step: Step) -> Iterator[Branch]:
    found: Found
    if step.kind is StepKind.READ_CURRENT:
        found = CurrentIs(world.current if world.current > 0 else None, Version(str(world.version)))
    elif step.kind is StepKind.CHECK_STAGE:
        copy = next((copy for gen, copy in world.staged if gen == step.gen), None)
        handle = None
        if copy is not None and step.gen is not None:
            home = next((key.home for key in world.accepted if key.gen == step.gen), None)
            handle = None if home is None else handle_of(Key(step.gen, copy, home))
            handle = handle or Handle(f"h{step.gen}.{copy}")
        found = Staged(copy is not None, handle)
    else:
        assert step.home is not None
        found = Listed(listing(plan, world, step.home))
        after = world
        if step.kind in (StepKind.FIND, StepKind.LIST):
            after = world._replace(unlisted=frozenset(k for k in world.unlisted if k.home != step.home))
        yield Branch("done", 0, after, K.DONE, found)
        yield Branch("read failed", 1, world, K.FAILED, counted=True)
        return
    yield Branch("done", 0, world, K.DONE, found)
    yield Branch("read failed", 1, world, K.FAILED, counted=True)
    yield Branch("read refused", 1, world, K.REFUSED)


def _write(config: Configuration, plan: Plan, facts: Facts, world: World, step: Step) -> Iterator[Branch]:
    intent = facts.intent
    assert intent is not None
    handle = intent.handle or ""
    stale = step.kind is StepKind.PROMOTE and intent.expected_version != Version(str(world.version))
    can = platform_takes(plan, world, step) and not stale
    done = effect(plan, world, step, handle, grace_of(config, plan, step)) if can else world
    found = _result(step, done)
    late = intent.quiet_until - intent.at if config.late else 0
    if config.rules and step.kind in (StepKind.INSTALL, StepKind.NEUTRALISE):
        yield Branch("refused by rule", 1, world, K.REFUSED, reason=VALUE_REFUSED)
        if can:
            yield Branch("refused by rule, though done", 1, done, K.REFUSED, reason=VALUE_REFUSED)
    if can:
        yield Branch("done", 0, done, K.DONE, found)
        yield from _quiet_lies(config, plan, world, done, step, handle, found)
        yield Branch("refused, though done", 1, done, K.REFUSED)
        yield Branch("failed, though done", 1, done, K.FAILED, counted=True)
        yield Branch("unknown, done", 1, done, K.UNKNOWN)
        yield Branch("crash after", 1, done, None)
        if late > 0:
            waiting = world._replace(pending=(*world.pending, (step, handle, late)))
            yield Branch("unknown, late", 1, waiting, K.UNKNOWN)
            yield Branch("failed, late", 1, waiting, K.FAILED, counted=True)
            yield Branch("crash, late", 1, waiting, None)
    else:
        yield Branch("refused rightly", 0, world, K.REFUSED)
    yield Branch("refused", 1, world, K.REFUSED)
    yield Branch("failed", 1, world, K.FAILED, counted=True)
    yield Branch("unsent", 1, world, K.UNSENT, counted=True)
    yield Branch("unknown, not done", 1, world, K.UNKNOWN)
    yield Branch("crash before", 1, world, None)


def _quiet_lies(
    config: Configuration, plan: Plan, world: World, done: World, step: Step, handle: str, found: Found
) -> Iterator[Branch]:
    """Successes that are not what they say."""
    settle = plan.clocks.settle
    if config.slow and settle and step.kind in (StepKind.INSTALL, StepKind.ISSUE):
        for key in done.accepted - world.accepted:
            yield Branch("slow replica", 1, arrives(done, key, settle), K.DONE, found)
    if step.kind is StepKind.INSTALL:
        yield Branch("no effect", 1, world, K.DONE, found)
    if step.kind is StepKind.REVOKE:
        slow = frozenset((key, settle) for key in world.accepted if hit(key, step, handle))
        if slow:
            yield Branch("revoke is cached", 1, world._replace(dying=world.dying | slow), K.DONE, found)
    if step.kind is StepKind.NEUTRALISE:
        old = frozenset((k, settle) for k in world.accepted - done.accepted)
        if old:
            lingering = done._replace(accepted=done.accepted | {k for k, _ in old}, dying=done.dying | old)
            yield Branch("displaced lingers", 1, lingering, K.DONE, found)
    if step.kind is StepKind.ISSUE and step.home is not None:
        authority = plan.authority(step.home)
        assert authority is not None
        lost = done._replace(staged=frozenset(s for s in done.staged if s[0] != step.gen))
        yield Branch("issued, not staged", 1, lost, K.UNKNOWN)
        if sees_lists(authority):
            hidden = lost._replace(unlisted=lost.unlisted | (lost.accepted - world.accepted))
            yield Branch("issued, not staged, list lags", 1, hidden, K.UNKNOWN)


def grace_of(config: Configuration, plan: Plan, step: Step) -> int:
    """Ticks for which a displaced value stays accepted."""
    authority = None if step.home is None else plan.authority(step.home)
    return 0 if authority is None else authority.grace


def _result(step: Step, done: World) -> Found:
    if step.kind is StepKind.PROMOTE:
        return CurrentIs(step.gen, Version(str(done.version)))
    if step.kind in (StepKind.INSTALL, StepKind.ISSUE) and step.gen is not None and step.home is not None:
        copy = max((key.copy for key in done.accepted if key.gen == step.gen and key.home == step.home), default=0)
        return Made(handle_of(Key(step.gen, copy, step.home)))
    return None
