"""Time in the model: `now` is always 0, and a tick moves every instant of the facts one back. Instants so long past
that no clock can tell them apart are kept equal, so that there are finitely many states.

A tick is possible wherever no call is in progress: it stands for any hold, for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from rotator.machine.decisions import Decision, Wait
from rotator.machine.facts import Attempts, Facts, Placement
from rotator.machine.frozen import FrozenMap
from rotator.machine.plan import Plan
from tests.model.configurations import Configuration
from tests.model.world import Key, World, die, effect, platform_takes


class Tick(NamedTuple):
    """A change of facts and world with time, or at an instant of the world's choosing."""

    name: str
    facts: Facts
    world: World
    cost: int = 0


def ticks(config: Configuration, facts: Facts, world: World, decision: Decision) -> Iterator[Tick]:
    """One tick, and what may land or die at this instant."""
    yield from _landing(config, facts, world)
    later = _older(config.plan, facts)
    aged = _aged(world)
    if (later, aged) != (facts, world):
        yield Tick("tick", later, aged)
    if config.expires and isinstance(decision, Wait) and not world.expired:
        yield from _expiry(later, aged)


def _landing(config: Configuration, facts: Facts, world: World) -> Iterator[Tick]:
    """A request that was under way is done now."""
    for at, (step, handle, _) in enumerate(world.pending):
        rest = world._replace(pending=world.pending[:at] + world.pending[at + 1 :])
        if platform_takes(config.plan, rest, step):
            authority = None if step.home is None else config.plan.authority(step.home)
            done = effect(config.plan, rest, step, handle, 0 if authority is None else authority.grace)
            yield Tick(f"lands late: {step.kind.value} {step.gen}", facts, noticed(config, rest, done))


def _expiry(later: Facts, aged: World) -> Iterator[Tick]:
    """What serves dies by itself while another value of ours still works: nothing that works may be killed then."""
    staged = {gen for gen, _ in aged.staged}
    others = {key.gen for key in aged.accepted if key.gen != aged.current and key.gen not in later.doomed} & staged
    if others and any(key.gen == aged.current for key in aged.accepted):
        alive = frozenset(key for key in aged.accepted if key.gen != aged.current)
        yield Tick("what serves expires", later, aged._replace(accepted=alive, expired=True), cost=1)


def _aged(world: World) -> World:
    if not (world.dying or world.pending or world.recent or world.arriving):
        return world
    for key, left in world.dying:
        if left == 1:
            world = die(world, key)
    dying = frozenset((key, max(0, left - 1)) for key, left in world.dying)
    here = frozenset(key for key, left in world.arriving if left <= 1)
    return world._replace(
        dying=dying,
        pending=tuple((step, handle, left - 1) for step, handle, left in world.pending if left > 1),
        recent=tuple((gen, left - 1) for gen, left in world.recent if left > 1),
        accepted=world.accepted | here,
        arriving=frozenset((key, left - 1) for key, left in world.arriving if left > 1),
    )


def _older(plan: Plan, facts: Facts) -> Facts:
    """One tick later. Each instant goes back as far as the clock that reads it can tell, and no further."""
    c = plan.clocks
    quiet = max(c.settle, c.derived_life, max(one.grace for one in plan.authorities))

    def back(at: int | None, most: int) -> int | None:
        return None if at is None else max(at - 1, -most)

    def row(one: Placement) -> Placement:
        return replace(
            one,
            acked_at=back(one.acked_at, c.settle),
            alive_at=back(one.alive_at, c.fresh + 1),
            gone_at=back(one.gone_at, quiet),
            grace_until=back(one.grace_until, 0),
            first=back(one.first, c.over),
            last=back(one.last, c.over),
            absent_at=back(one.absent_at, c.settle),
        )

    def tried(one: Attempts) -> Attempts:
        span = max(c.patience_span, c.kill_patience_span)
        return replace(one, first=max(one.first - 1, -span), last=0, not_before=max(one.not_before - 1, 0))

    rows = {key: row(one) for key, one in facts.placements.items()}
    intent, undo = facts.intent, facts.undo
    if intent is not None:
        writing = intent.quiet_until > intent.at
        intent = replace(intent, at=-1, deadline=0, quiet_until=max(intent.quiet_until - 1, 0) if writing else -1)
    if undo is not None:
        before = {key: row(one) for key, one in undo.placements.items()}
        undo = replace(undo, placements=FrozenMap(before))
    closed = {place: at - 1 for place, at in facts.closed_until.items() if at - 1 > -c.settle}
    return facts.but(
        placements=FrozenMap(rows),
        left_at=FrozenMap({gen: max(at - 1, -c.overlap) for gen, at in facts.left_at.items()}),
        closed_until=FrozenMap(closed),
        attempts=FrozenMap({effort: tried(one) for effort, one in facts.attempts.items()}),
        intent=intent,
        undo=undo,
    )


def noticed(config: Configuration, before: World, after: World) -> World:
    """A value that left current may be used by readers for the overlap."""
    overlap = config.plan.clocks.overlap
    if before.current == after.current or before.current <= 0 or not overlap:
        return after
    recent = tuple(item for item in after.recent if item[0] not in (before.current, after.current))
    return after._replace(recent=(*recent, (before.current, overlap)))


def arrives(world: World, key: Key, ticks_left: int) -> World:
    """It is acknowledged, and only some replicas know it yet."""
    return world._replace(accepted=world.accepted - {key}, arriving=world.arriving | {(key, ticks_left)})
