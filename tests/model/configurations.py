"""The sets of configurations: what is explored. The names follow the study that the machine was checked with."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from rotator.machine.facts import Facts, Placement, RunKind, State
from rotator.machine.frozen import FrozenMap
from rotator.machine.ids import ConsumerId, Gen, Home, Version
from rotator.machine.plan import Authority, Clocks, Consumer, Full, Kill, Origin, Plan, Seen
from tests.model.world import Key, World, handle_of, label_of

NO_TIME = Clocks(
    fresh=0,
    backoff=0,
    backoff_max=0,
    patience=2,
    patience_span=0,
    kill_patience=2,
    kill_patience_span=0,
    deadline=0,
    landing=0,
)
R, C, X = RunKind.ROTATE, RunKind.CONTAIN, RunKind.RETIRE
ADOPT, AGAIN = RunKind.ADOPT, RunKind.RECONCILE


@dataclass(frozen=True)
class Configuration:
    """One world, one plan, and the runs that pass through it."""

    name: str
    plan: Plan
    runs: tuple[RunKind, ...] = (R,)
    debt: bool = False
    stranger: bool = False
    copies: bool = False
    """The other administrator's key bears a label of ours, copied from a key that was there."""
    contain_now: bool = False
    strict: bool = False
    late: bool = False
    said: int = 1
    """How often a person goes back or on: for ever would never end."""
    whim: int = 1
    """What going back without a question counts: as a fault, or (0) for nothing."""
    without: frozenset[str] = field(default_factory=frozenset)
    """Faults left out."""
    timed: bool = False
    expires: bool = False
    """What serves may die by itself."""
    accepts: bool = False
    """Between two runs a person may accept a debt: for a while, or until the next run opens."""
    rules: bool = False
    """The platform may refuse a value by rule, honestly or after having taken it."""
    slow: bool = False
    """Replicas: an acknowledged value works everywhere only after the settle time."""


def overlap(endpoint: str = "a", **changes: Any) -> Authority:
    """Generated values, many at once, revoked by handle."""
    made = Authority(endpoint, ("p",), None, seen=Seen.LABEL, kill=Kill.HANDLE)
    return replace(made, **changes)


def issuing(slots: int | None = None, seen: Seen = Seen.LABEL, **changes: Any) -> Authority:
    """Issued values, many or n at once."""
    made = Authority("a", ("p",), slots, origin=Origin.ISSUED, seen=seen, kill=Kill.HANDLE, settable=False)
    return replace(made, **changes)


def in_place(endpoint: str = "a", **changes: Any) -> Authority:
    """One slot, our values."""
    made = Authority(endpoint, ("p",), 1, kill=Kill.SLOT, handles=False, lists=False)
    return replace(made, **changes)


def in_place_issued(**changes: Any) -> Authority:
    """One slot, the platform makes the value."""
    made = Authority(
        "a", ("p",), 1, Origin.ISSUED, seen=Seen.NOTHING, kill=Kill.NONE, handles=False, settable=False, lists=False
    )
    return replace(made, **changes)


def alternating(**changes: Any) -> Authority:
    """Two principals that take turns, one slot each."""
    return in_place(principals=("p", "q"), **changes)


def make(
    name: str, *authorities: Authority, consumers: int = 2, clocks: Clocks = NO_TIME, **more: Any
) -> Configuration:
    """A configuration of these authorities."""
    runs = more.get("runs", (R,))
    assert isinstance(runs, tuple)
    plan = Plan(runs[0], authorities, tuple(Consumer(ConsumerId(f"c{i}")) for i in range(1, consumers + 1)), clocks)
    return Configuration(name, plan, **more)


def opening(config: Configuration) -> tuple[Facts, World]:
    """What a credential looks like after an adopt, with an older debt if the configuration has one. Before an adopt
    nothing is known of it, and nothing is staged."""
    plan = config.plan
    if config.runs[0] is ADOPT:
        return Facts(), _never_heard_of(plan)
    old, debt = (Gen(2), Gen(1)) if config.debt else (Gen(1), None)
    homes = tuple(authority.homes()[0] for authority in plan.authorities)
    rows: dict[tuple[Gen, Home], Placement] = {(old, h): Placement(State.ALIVE, acked_at=0, alive_at=0) for h in homes}
    accepted = {Key(old, 0, home) for home in homes}
    gens, where = {old}, {old: homes}
    if debt is not None:
        gens.add(debt)
        spot = tuple(authority.homes()[-1] for authority in plan.authorities)
        where[debt] = spot
        for home in spot:
            rows[debt, home] = Placement(State.MAYBE)
            accepted.add(Key(debt, 0, home))
    handles = {key: handle_of(Key(key[0], 0, key[1])) for key in rows}
    world = World(
        frozenset(accepted),
        frozenset((gen, 0) for gen in gens),
        old,
        1,
        tuple((one.id, old) for one in plan.consumers),
        used_up=frozenset(
            (g, h) for g, hs in where.items() for h in hs if not (plan.authority(h) or overlap()).settable
        ),
    )
    facts = Facts(
        top=max(gens),
        kept=frozenset(gens),
        stored=frozenset(gens),
        current=frozenset({old}),
        version=Version("1"),
        homes=FrozenMap(where),
        labels=FrozenMap({gen: label_of(gen) for gen in gens}),
        placements=FrozenMap(rows),
        held=FrozenMap({one.id: frozenset({old}) for one in plan.consumers}),
        handles=FrozenMap(handles),
    )
    return facts, world


def _never_heard_of(plan: Plan) -> World:
    gen = Gen(1)
    homes = [authority.homes()[0] for authority in plan.authorities]
    held = tuple((one.id, gen) for one in plan.consumers)
    return World(frozenset(Key(gen, 0, home) for home in homes), frozenset(), gen, 1, held)


def the_26() -> tuple[Configuration, ...]:
    """Every shape, one run."""
    o, i, two, three = overlap(), issuing(), issuing(2, Seen.SNAPSHOT), issuing(3, Seen.SNAPSHOT)
    return (
        make("o", o),
        make("o + debt", o, debt=True),
        make("o two authorities", o, overlap("b"), consumers=1),
        make("o + in place at b", o, in_place("b"), consumers=1),
        make("o i labelled", i),
        make("o i labelled + debt", i, debt=True),
        make("o i two slots", two),
        make("o i two slots + debt", two, debt=True),
        make("o i two slots + administrator", two, stranger=True),
        make("o i three slots + administrator", three, stranger=True),
        make("in place", in_place()),
        make("in place, not settable", in_place(settable=False)),
        make("in place i unreadable", in_place_issued()),
        make("in place i readable", in_place_issued(readable=True)),
        make("alternating", alternating()),
        make("alternating + twin", alternating(), debt=True),
        make("pair", overlap("verifier"), consumers=1),
        make("contain o", o, runs=(C,)),
        make("contain o + debt", o, runs=(C,), debt=True),
        make("contain o i", i, runs=(C,)),
        make("contain in place", in_place(), runs=(C,)),
        make("contain alternating", alternating(), runs=(C,)),
        make("retire o + debt", o, runs=(X,), debt=True),
        make("retire in place", in_place(), runs=(X,)),
        make("retire alternating + debt", alternating(), runs=(X,), debt=True),
        make("retire two authorities + debt", o, overlap("b"), runs=(X,), debt=True, consumers=1),
    )


def chained() -> tuple[Configuration, ...]:
    """Two runs, also to and from contain and retire."""
    o, i, two = overlap(), issuing(), issuing(2, Seen.SNAPSHOT)
    twice = (R, R)
    found = [
        make("o, twice", o, runs=twice),
        make("o i, twice", i, runs=twice),
        make("two slots + debt, twice", two, runs=twice, debt=True),
        make("in place, twice", in_place(), runs=twice),
        make("in place, not settable, twice", in_place(settable=False), runs=twice),
        make("in place i, twice", in_place_issued(), runs=twice),
        make("alternating, twice", alternating(), runs=twice),
        make("alternating + debt, twice", alternating(), runs=twice, debt=True),
        make("mixed, twice", o, in_place("b"), runs=twice, consumers=1),
        make("two authorities, twice", o, overlap("b"), runs=twice, consumers=1),
    ]
    for name, parts in (("o", o), ("o i", i), ("in place", in_place()), ("alternating", alternating())):
        for runs, words in (((R, C), "rotate, contain"), ((R, X), "rotate, retire"), ((C, R), "contain, rotate")):
            found.append(make(f"{name}: {words}", parts, runs=runs))
    return tuple(found)


def contain_now() -> tuple[Configuration, ...]:
    """Contain at any moment of a rotation."""
    return tuple(
        replace(config, name=f"{config.name}, contain now", contain_now=True)
        for config in (
            make("o", overlap()),
            make("o + debt", overlap(), debt=True),
            make("o i", issuing()),
            make("two slots", issuing(2, Seen.SNAPSHOT)),
            make("alternating", alternating()),
            make("in place", in_place()),
            make("in place i", in_place_issued()),
            make("pair", overlap("verifier"), consumers=1),
            make("mixed", overlap(), in_place("b"), consumers=1),
        )
    )


def strict_control() -> tuple[Configuration, ...]:
    """A proof needs a living control on the same principal."""
    return tuple(
        replace(config, name=f"{config.name}, strict", strict=True)
        for config in (
            make("contain o", overlap(), runs=(C,)),
            make("contain o i", issuing(), runs=(C,)),
            make("contain in place", in_place(), runs=(C,)),
            make("o + debt", overlap(), debt=True),
            make("in place", in_place()),
        )
    )


def slots_and_more() -> tuple[Configuration, ...]:
    """Odd slots, platforms that keep the newest two, three runs. (Grace is explored with time.)"""
    nine, two, three = overlap(slots=9), overlap("b", slots=2), overlap("b", slots=3)
    newest: dict[str, Any] = {"slots": 2, "full": Full.DISPLACES}
    g2 = overlap(slots=2)
    triple = (R, R, R)
    return (
        make("slots 9 and 2", nine, two, consumers=1),
        make("slots 2 and 3", g2, three, consumers=1),
        make("slots 9 and 2 + debt", nine, two, consumers=1, debt=True),
        make("generated two slots", g2),
        make("generated two slots + debt", g2, debt=True),
        make("newest two, generated", overlap(**newest)),
        make("newest two, generated + debt", overlap(**newest), debt=True),
        make("newest two, i labelled", issuing(**newest)),
        make("newest two, i unlabelled", issuing(2, Seen.SNAPSHOT, full=Full.DISPLACES)),
        make("newest two, twice", overlap(**newest), runs=(R, R)),
        make("o, three runs", overlap(), runs=triple),
        make("in place, three runs", in_place(), runs=triple),
        make("alternating, three runs", alternating(), runs=triple),
        make("o i, three runs", issuing(), runs=triple),
    )
