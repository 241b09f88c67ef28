"""The small world: what platforms, store and consumers really hold. Changed by effects only; facts never touch it.

Values are told apart by generation, and by copy where one generation was issued twice. Everything is a tuple, a
frozenset or a FrozenMap, so that worlds can be hashed.
"""

from __future__ import annotations

from typing import NamedTuple

from rotator.machine.ids import ConsumerId, Gen, Handle, Home, Label
from rotator.machine.plan import Authority, Full, Plan, Seen
from rotator.machine.steps import Row, Step, StepKind

STRANGER = Gen(500)
"""Another administrator's key."""


class Key(NamedTuple):
    """One live secret: its generation, which copy of it, where it is accepted."""

    gen: Gen
    copy: int
    home: Home


class World(NamedTuple):
    """The truth."""

    accepted: frozenset[Key]
    staged: frozenset[tuple[Gen, int]]
    """What can be fetched from a stage, by generation and copy."""
    current: Gen
    version: int
    held: tuple[tuple[ConsumerId, Gen], ...]
    dying: frozenset[tuple[Key, int]] = frozenset()
    """Revoked or displaced, still accepted: for so many ticks, or (0) until the platform notices, at any moment."""
    unlisted: frozenset[Key] = frozenset()
    """Not yet shown by a lagging list."""
    used_up: frozenset[tuple[Gen, Home]] = frozenset()
    """Passwords in a history: never accepted again by an install."""
    destroyed: frozenset[Gen] = frozenset()
    broken: bool = False
    """I1 to I3 are suspended: the run opened upon a broken world, or kills on purpose."""
    expired: bool = False
    """What serves died by itself: I2 and I3 are lost by no fault of ours."""
    visited: bool = False
    """Another administrator has made a key."""
    copied: Gen = Gen(0)
    """The value of ours whose label it bears, if any."""
    pending: tuple[tuple[Step, str, int], ...] = ()
    """Requests under way: step, handle, ticks until they can no longer land."""
    arriving: frozenset[tuple[Key, int]] = frozenset()
    """Acknowledged; for so many ticks only some replicas know it."""
    recent: tuple[tuple[Gen, int], ...] = ()
    """What left current, and for how many ticks a reader may still use it."""


def works(world: World, gen: Gen, home: Home) -> bool:
    """Whether a probe of the value would be let in."""
    return any(key.gen == gen and key.home == home for key in world.accepted)


def lives(world: World) -> set[tuple[Gen, Home]]:
    """Generation and home of everything accepted."""
    return {(key.gen, key.home) for key in world.accepted}


def handle_of(key: Key) -> Handle:
    """The platform's id of a secret."""
    return Handle(f"h{key.gen}.{key.copy}")


def label_of(gen: Gen) -> Label:
    """The label that the engine would allocate."""
    return Label(f"rot-m-{gen}")


def held_of(world: World, consumer: ConsumerId) -> Gen:
    """What a consumer holds."""
    return dict(world.held)[consumer]


def listing(plan: Plan, world: World, home: Home) -> frozenset[Row]:
    """What the platform's list shows at a home."""
    authority = plan.authority(home)
    rows = set()
    for key in world.accepted:
        if key.home != home or key in world.unlisted:
            continue
        bears = world.copied if key.gen == STRANGER else key.gen
        shown = authority is not None and authority.labelled and bears > 0
        rows.add(Row(handle_of(key), label_of(bears) if shown else None))
    return frozenset(rows)


def platform_takes(plan: Plan, world: World, step: Step) -> bool:
    """Whether the platform would do it: a full one refuses, a history refuses, an unstaged value cannot be sent."""
    gen, home = step.gen, step.home
    if step.kind in (StepKind.INSTALL, StepKind.NEUTRALISE) and gen is not None and home is not None:
        authority = _authority(plan, home)
        if (gen, home) in world.used_up:
            return False
        if works(world, gen, home):
            return True
        return _has_room(authority, world, home)
    if step.kind is StepKind.ISSUE and home is not None:
        return _has_room(_authority(plan, home), world, home)
    return True


def _authority(plan: Plan, home: Home) -> Authority:
    found = plan.authority(home)
    assert found is not None
    return found


def _has_room(authority: Authority, world: World, home: Home) -> bool:
    if authority.slots is None or authority.single or authority.full is Full.DISPLACES:
        return True
    return sum(1 for key in world.accepted if key.home == home) < authority.slots


def effect(plan: Plan, world: World, step: Step, handle: str, grace: int) -> World:
    """The world after the step was done. `grace`: ticks for which what it displaces stays accepted."""
    gen, home = step.gen, step.home
    match step.kind:
        case StepKind.STAGE if gen is not None:
            return world._replace(staged=world.staged | {(gen, 0)})
        case StepKind.INSTALL | StepKind.NEUTRALISE if gen is not None and home is not None:
            return _enter(plan, world, Key(gen, 0, home), grace)
        case StepKind.ISSUE if gen is not None and home is not None:
            copies = [key.copy for key in world.accepted if key.gen == gen and key.home == home]
            key = Key(gen, max(copies, default=-1) + 1, home)
            world = _enter(plan, world, key, grace)
            return world._replace(staged=frozenset(s for s in world.staged if s[0] != gen) | {(gen, key.copy)})
        case StepKind.PROMOTE if gen is not None:
            return promote(world, gen)
        case StepKind.PUSH if step.consumer is not None and gen is not None:
            return _hold(world, step.consumer, gen)
        case StepKind.UNPUSH if step.consumer is not None:
            return _hold(world, step.consumer, Gen(0))
        case StepKind.REVOKE:
            return world._replace(accepted=frozenset(k for k in world.accepted if not hit(k, step, handle)))
        case StepKind.DESTROY if gen is not None:
            staged = frozenset(s for s in world.staged if s[0] != gen)
            current = Gen(0) if world.current == gen else world.current
            return world._replace(staged=staged, destroyed=world.destroyed | {gen}, current=current)
    return world


def promote(world: World, gen: Gen) -> World:
    """The store's current is another one; readers may go on with the former for a while."""
    recent = tuple(r for r in world.recent if r[0] != gen)
    return world._replace(current=gen, version=min(world.version + 1, 9), recent=recent)


def hit(key: Key, step: Step, handle: str) -> bool:
    """Whether a revoke hits a secret."""
    if key.home != step.home:
        return False
    return handle_of(key) == handle if handle else key.gen == step.gen


def _hold(world: World, consumer: ConsumerId, gen: Gen) -> World:
    return world._replace(held=tuple((c, gen if c == consumer else g) for c, g in world.held))


def _enter(plan: Plan, world: World, key: Key, grace: int) -> World:
    authority = _authority(plan, key.home)
    there = [other for other in world.accepted if other.home == key.home and other != key]
    out: set[Key] = set()
    if authority.single:
        out = set(there)
    elif authority.slots is not None and authority.full is Full.DISPLACES and len(there) >= authority.slots:
        out = set(sorted(there, key=lambda k: k.gen)[: len(there) - authority.slots + 1])
    if not authority.settable or authority.issued:
        world = world._replace(used_up=world.used_up | {(key.gen, key.home)})
    dying = frozenset(item for item in world.dying if item[0] != key)
    if grace and out:
        slow = {other for other in out if other not in {k for k, _ in dying}}
        dying = dying | {(other, grace) for other in slow}
        out = set()
    accepted = (world.accepted - out) | {key}
    dying = frozenset(item for item in dying if item[0] in accepted)
    unlisted = frozenset(item for item in world.unlisted if item in accepted)
    return world._replace(accepted=accepted, dying=dying, unlisted=unlisted)


def die(world: World, key: Key) -> World:
    """The platform notices a revoke at last, or a grace is over."""
    dying = frozenset(item for item in world.dying if item[0] != key)
    return world._replace(accepted=world.accepted - {key}, dying=dying, unlisted=world.unlisted - {key})


def sees_lists(authority: Authority) -> bool:
    """A lagging list matters only where lists are used."""
    return authority.lists and authority.seen in (Seen.LABEL, Seen.SNAPSHOT)
