"""A run opens over whatever facts there are: certainty of other days is given up. Called by `evolve` only."""

from __future__ import annotations

from dataclasses import replace

from rotator.machine.change import IllegalEvent, close_intent, learn_handle
from rotator.machine.events import Opened, Stray
from rotator.machine.facts import HERE, OWED, Facts, LegName, Placement, Run, RunKind, State
from rotator.machine.frozen import FrozenMap
from rotator.machine.ids import Gen, Home, Millis
from rotator.machine.plan import Plan
from rotator.machine.reading import is_over, numbered

LEGS_OF: dict[RunKind, tuple[LegName, ...]] = {
    RunKind.ADOPT: (LegName.ADOPT,),
    RunKind.ROTATE: (LegName.REPAIR, LegName.ADVANCE),
    RunKind.OVERLAP: (LegName.REPAIR, LegName.ADVANCE),
    RunKind.CONTAIN: (LegName.CONTAIN,),
    RunKind.RETIRE: (LegName.RETIRE,),
    RunKind.RECONCILE: (LegName.REPAIR, LegName.RETURN),
}
"""The legs that a run of each kind opens with."""


def opened(plan: Plan, facts: Facts, event: Opened, at: Millis) -> Facts:
    """Facts at the opening. Raises IllegalEvent while another run is open, or for an adopt of what is known already."""
    if facts.run is not None and facts.ending is None:
        raise IllegalEvent("a run is open")
    facts = close_intent(plan, facts, done=False)
    if event.kind is RunKind.ADOPT:
        facts = _adopted(plan, facts, event)
    elif facts.top == 0:
        raise IllegalEvent("nothing was adopted")
    else:
        facts = facts.but(top=max(facts.top, event.floor))
    if event.strays and event.kind not in (RunKind.RECONCILE, RunKind.RETIRE):
        raise IllegalEvent("strays come back in a reconcile or a retirement")
    facts = forget_the_buried(plan, facts, event.kind, at)
    for stray in event.strays:
        facts = _brought_back(facts, stray)
    facts = _less_certain(_lapsed(facts, at), event.kind)
    doomed = facts.doomed
    if event.kind in (RunKind.CONTAIN, RunKind.RETIRE):
        doomed = doomed | (numbered(facts) - facts.fillers)
    run = Run(kind=event.kind, legs=LEGS_OF[event.kind], opened_at=at)
    if event.kind is RunKind.ADOPT:
        run = replace(run, old=facts.top)
    return facts.but(
        run=run,
        doomed=doomed,
        read_at=None,
        attempts=FrozenMap(),
        listing=FrozenMap(),
        suspects=FrozenMap(),
        closed_until=FrozenMap({p: t for p, t in facts.closed_until.items() if t + plan.clocks.settle > at}),
        refusal=None,
        question=None,
        ending=None,
    )


def _adopted(plan: Plan, facts: Facts, event: Opened) -> Facts:
    """The value that stands in the store is the first generation. An adopt that was abandoned may be tried again."""
    again = facts.run is not None and facts.run.kind is RunKind.ADOPT and len(numbered(facts)) == 1
    if facts.top != 0 and not again:
        raise IllegalEvent("the credential was adopted before")
    gen = Gen(event.floor + 1) if facts.top <= event.floor else facts.top
    homes = tuple(authority.homes()[0] for authority in plan.authorities)
    rows = {(gen, home): Placement(State.MAYBE) for home in homes}
    handles = {(gen, home): handle for home, handle in event.handles}
    return facts.but(
        top=gen,
        homes=facts.homes.put(gen, homes),
        placements=FrozenMap(rows),
        handles=FrozenMap(handles),
        held=FrozenMap(),
    )


def _brought_back(facts: Facts, stray: Stray) -> Facts:
    """A listed value of ours that no placement says is alive: what it is, a placement that is maybe alive. Buried ones
    get back their name. What serves, what is owed already and what a person accepted stay as they are (R22)."""
    if not 1 <= stray.gen <= facts.top:
        raise IllegalEvent("no generation of this credential")
    row = facts.placed(stray.gen, stray.home)
    if stray.gen in facts.current or (row is not None and row.state in OWED | {State.ACCEPTED}):
        return facts
    key = (stray.gen, stray.home)
    facts = facts.but(
        placements=facts.placements.put(key, Placement(State.MAYBE)),
        labels=facts.labels.put(stray.gen, stray.label),
        homes=facts.homes if stray.gen in facts.homes else facts.homes.put(stray.gen, (stray.home,)),
        doomed=facts.doomed | {stray.gen},
    )
    return facts if key in facts.handles else learn_handle(facts, stray.gen, stray.home, stray.handle)


def _lapsed(facts: Facts, at: Millis) -> Facts:
    """An acceptance that is over: a debt again, of which nothing is known any more."""
    over = [key for key, row in facts.placements.items() if row.state is State.ACCEPTED and is_over(row, at)]
    for key in over:
        facts = facts.but(placements=facts.placements.put(key, Placement(State.MAYBE)))
    return facts


def _less_certain(facts: Facts, kind: RunKind) -> Facts:
    rows: dict[tuple[Gen, Home], Placement] = {}
    forget = kind is RunKind.RECONCILE
    for (gen, home), row in facts.placements.items():
        state = row.state
        if state in HERE:
            state = State.MAYBE
        elif state is State.DEAD and forget:
            state = State.GONE if gen in facts.kept else State.MAYBE
        if state is row.state and not (forget and row.absent):
            rows[gen, home] = row
            continue
        row = replace(row, state=state, absent=0, absent_at=None)
        if state is not State.MAYBE:
            row = replace(row, rejections=0, first=None, last=None, grade=None)
        rows[gen, home] = row
    held = FrozenMap() if forget or kind is RunKind.ADOPT else facts.held
    return facts.but(placements=FrozenMap(rows), held=held)


def forget_the_buried(plan: Plan, facts: Facts, kind: RunKind, at: Millis) -> Facts:
    """Outside a reconcile, drop what is proven dead everywhere, destroyed, unused, and quiet: the journal remembers.
    Without it facts would grow with every rotation, and every reconcile would prove all of history again."""
    if kind is RunKind.RECONCILE:
        return facts
    busy = {gen for held in facts.held.values() for gen in held} | facts.current | facts.stored
    if any(until + plan.clocks.settle > at for until in facts.closed_until.values()):
        return facts
    alive = {gen for (gen, _), row in facts.placements.items() if row.state is not State.DEAD}
    alive -= {gen for gen in facts.fillers if _replaced(facts, gen)}
    buried = {gen for gen in facts.homes if gen not in busy and gen not in alive}
    if not buried:
        return facts
    return facts.but(
        placements=FrozenMap({key: row for key, row in facts.placements.items() if key[0] not in buried}),
        homes=facts.homes.drop(*buried),
        labels=facts.labels.drop(*buried),
        left_at=facts.left_at.drop(*buried),
        handles=FrozenMap({key: handle for key, handle in facts.handles.items() if key[0] not in buried}),
        snapshots=FrozenMap({key: known for key, known in facts.snapshots.items() if key[0] not in buried}),
        fillers=facts.fillers - buried,
        doomed=facts.doomed - buried,
    )


def _replaced(facts: Facts, filler: Gen) -> bool:
    """Another value was verified in the slot in which the filler sat."""
    homes = facts.homes.get(filler, ())
    alive = {home for (gen, home), row in facts.placements.items() if gen != filler and row.state is State.ALIVE}
    return all(home in alive for home in homes)
