"""Reading the facts, two-sided: a rung that wants something reads *surely*, one that wants something gone *possibly*.

Called by the rungs, the guard, the policy, `ripe`, `holds` and the display. Must change nothing and decide nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from rotator.machine.facts import (
    ANYTHING,
    FOREIGN,
    HERE,
    LIVES,
    OWED,
    Effort,
    Facts,
    LegName,
    Placement,
    Role,
    Run,
    State,
)
from rotator.machine.ids import ConsumerId, Gen, Home, Millis
from rotator.machine.plan import Authority, Consumer, Kill, Plan
from rotator.machine.steps import READS, Place, PlaceKind, Step, StepKind

NEW_TARGET = frozenset({LegName.ADVANCE, LegName.CONTAIN})
OLD_TARGET = frozenset({LegName.ADOPT, LegName.REPAIR, LegName.RETURN})
RUTHLESS = frozenset({LegName.CONTAIN, LegName.GIVE_UP, LegName.RETIRE})
"""Legs in which what is in use is killed on purpose."""

ANYWHERE: frozenset[Gen] = frozenset({ANYTHING})


def run_of(facts: Facts) -> Run:
    """The open run."""
    if facts.run is None:
        raise LookupError("no run was ever opened")
    return facts.run


def leg_of(facts: Facts) -> LegName:
    """The leg that is walked."""
    return run_of(facts).legs[0]


def target_of(facts: Facts) -> Gen | None:
    """The generation that the leg makes serve: None for give up and retire, and before it has a number.
    A doomed candidate is no target: the next one gets a number of its own."""
    run = run_of(facts)
    leg = run.legs[0]
    if leg in OLD_TARGET:
        return run.old
    if leg in NEW_TARGET and run.candidate is not None and run.candidate not in facts.doomed:
        return run.candidate
    return None


def issued(plan: Plan) -> bool:
    """Whether a platform makes the value."""
    return any(authority.issued for authority in plan.authorities)


def current_known(facts: Facts) -> Gen | None:
    """The store's current, if surely known and ours."""
    if len(facts.current) != 1:
        return None
    (gen,) = facts.current
    return None if gen == FOREIGN else gen


def held_by(facts: Facts, consumer: ConsumerId) -> frozenset[Gen]:
    """What a consumer may hold."""
    return facts.held.get(consumer, ANYWHERE)


def numbered(facts: Facts) -> frozenset[Gen]:
    """Every generation of which anything is known. (Between their numbers there may be some that a restored ledger has
    lost: nothing is known of those.)"""
    return frozenset(facts.homes) | facts.stored | {gen for gen, _ in facts.placements}


def holds_surely(plan: Plan, facts: Facts, gen: Gen) -> bool:
    """Every consumer holds `gen`, or was skipped for it."""
    skipped = run_of(facts).skipped
    return all(held_by(facts, c.id) == {gen} or (c.id, gen) in skipped for c in plan.consumers)


def lacking(plan: Plan, facts: Facts, gen: Gen) -> Iterator[Consumer]:
    """Consumers that do not surely hold `gen` and were not skipped for it."""
    skipped = run_of(facts).skipped
    for consumer in plan.consumers:
        if held_by(facts, consumer.id) != {gen} and (consumer.id, gen) not in skipped:
            yield consumer


def maybe_held(plan: Plan, facts: Facts, gen: Gen) -> bool:
    """Some consumer that was not skipped may hold `gen`."""
    run = run_of(facts)
    passed = {consumer for consumer, _ in run.skipped}
    for consumer in plan.consumers:
        held = held_by(facts, consumer.id)
        if consumer.id not in passed and (gen in held or ANYTHING in held):
            return True
    return False


def homes_of(facts: Facts, gen: Gen) -> tuple[Home, ...]:
    """The homes at which a generation is meant to be accepted."""
    return facts.homes.get(gen, ())


def idle_homes(plan: Plan, facts: Facts) -> tuple[Home, ...]:
    """Homes for a new candidate: at each authority the principal that what is current does not use."""
    used = {home for gen in facts.current for home in homes_of(facts, gen)}
    run = facts.run
    if run is not None and run.old is not None:
        used = used | set(homes_of(facts, run.old))
    chosen = []
    for authority in plan.authorities:
        homes = authority.homes()
        chosen.append(next((home for home in homes if home not in used), homes[0]))
    return tuple(chosen)


def target_homes(plan: Plan, facts: Facts, gen: Gen | None) -> tuple[Home, ...]:
    """Homes of the target; of one without a number yet: where it is going to be."""
    if gen is not None and gen in facts.homes:
        return facts.homes[gen]
    return idle_homes(plan, facts) if leg_of(facts) in NEW_TARGET else ()


def here(facts: Facts, gen: Gen, home: Home) -> bool:
    """Surely in place at a home."""
    return facts.state(gen, home) in HERE


def here_everywhere(facts: Facts, gen: Gen) -> bool:
    """Surely in place at each of its homes."""
    homes = homes_of(facts, gen)
    return bool(homes) and all(here(facts, gen, home) for home in homes)


def works(facts: Facts, gen: Gen) -> bool:
    """Verified at each of its homes."""
    homes = homes_of(facts, gen)
    return bool(homes) and all(facts.state(gen, home) is State.ALIVE for home in homes)


def fresh(plan: Plan, facts: Facts, gen: Gen, now: Millis) -> bool:
    """Works, and was seen alive at each home within the policy's `fresh` (K2)."""
    for home in homes_of(facts, gen):
        row = facts.placed(gen, home)
        if row is None or row.state is not State.ALIVE or row.alive_at is None:
            return False
        if row.alive_at < now - plan.clocks.fresh:
            return False
    return bool(homes_of(facts, gen))


def others(facts: Facts, target: Gen | None) -> Iterator[tuple[Gen, Home, Placement]]:
    """Placements of values other than the target and the fillers, oldest first."""
    for (gen, home), row in sorted(facts.placements.items(), key=lambda item: item[0]):
        if gen != target and gen not in facts.fillers:
            yield gen, home, row


def debts(facts: Facts) -> tuple[tuple[Gen, Home], ...]:
    """Placements not proven dead that are neither current nor the target of the open run: a view."""
    target = target_of(facts) if facts.run is not None and facts.ending is None else None
    return tuple((g, h) for g, h, row in others(facts, target) if row.state in OWED and g not in facts.current)


def is_over(row: Placement, at: Millis) -> bool:
    """Whether an acceptance has lapsed."""
    return row.until is not None and row.until <= at


def lapses(facts: Facts) -> tuple[tuple[Millis, Gen, Home], ...]:
    """When each accepted placement becomes a debt again; those that a person accepted for good never do."""
    rows = facts.placements.items()
    return tuple(sorted((r.until, g, h) for (g, h), r in rows if r.state is State.ACCEPTED and r.until is not None))


def at_home(facts: Facts, home: Home, but: Gen | None) -> Iterator[tuple[Gen, Placement]]:
    """Other values with a placement at a home, fillers among them."""
    for (gen, where), row in facts.placements.items():
        if where == home and gen != but:
            yield gen, row


def displaces(authority: Authority | None) -> bool:
    """A write to a principal of this authority takes another value's place."""
    return authority is not None and authority.single


def killed_by_slot(plan: Plan, facts: Facts, home: Home, target: Gen | None) -> bool:
    """A single slot that surely holds the target: nothing else can be in it."""
    authority = plan.authority(home)
    return target is not None and displaces(authority) and here(facts, target, home)


def probeable(facts: Facts, gen: Gen) -> bool:
    """We have the value: it can be tried."""
    return gen in facts.kept


def role_of(facts: Facts, gen: Gen | None) -> Role:
    """What a generation is to the run. One not numbered yet is the candidate."""
    run = run_of(facts)
    if gen is None or gen > facts.top:
        return Role.CANDIDATE
    if gen in facts.fillers:
        return Role.FILLER
    if gen == run.candidate:
        return Role.CANDIDATE
    return Role.OLD if gen == run.old else Role.OTHER


def effort_of(facts: Facts, step: Step) -> Effort:
    """What an attempt at this step counts for (K5)."""
    role = role_of(facts, step.gen)
    if step.kind is StepKind.STAGE and step.home is not None:
        role = Role.FILLER
    return Effort(step.kind, role, step.home, step.consumer, step.gen if role is Role.OTHER else None)


def place_of(plan: Plan, step: Step) -> Place:
    """Where a step has its effect, or looks (K3)."""
    if step.consumer is not None:
        return Place(PlaceKind.CONSUMER, consumer=step.consumer)
    if step.kind in (StepKind.READ_CURRENT, StepKind.PROMOTE):
        return Place(PlaceKind.CURRENT)
    if step.home is None or step.kind is StepKind.STAGE:
        return Place(PlaceKind.STAGE, gen=step.gen)
    authority = plan.authority(step.home)
    whole = authority is None or authority.single or (authority.issued and not authority.labelled)
    if whole or step.kind in (StepKind.LIST, StepKind.SNAPSHOT):
        return Place(PlaceKind.HOME, home=step.home)
    return Place(PlaceKind.VALUE, home=step.home, gen=step.gen)


def writes(step: Step) -> bool:
    """Something of the step can land late."""
    return step.kind not in READS


def makes_value(step: Step) -> bool:
    """The step makes a value: the engine passes a label with its intent, unless facts.labels has one."""
    return step.kind is StepKind.ISSUE or (step.kind is StepKind.STAGE and not step.from_current)


def victims(plan: Plan, facts: Facts, step: Step) -> Iterator[tuple[Gen, Home, Placement]]:
    """What a step may end: by revoking it, or by taking its place in a single slot."""
    home = step.home
    if home is None:
        return
    if step.kind is StepKind.REVOKE and step.gen is not None:
        row = facts.placed(step.gen, home)
        if row is not None:
            yield step.gen, home, row
    elif step.kind in (StepKind.NEUTRALISE, StepKind.INSTALL, StepKind.ISSUE) and displaces(plan.authority(home)):
        for gen, row in at_home(facts, home, step.gen):
            if row.state in OWED and gen not in facts.fillers:
                yield gen, home, row


def in_place(plan: Plan, facts: Facts, step: Step) -> bool:
    """The target takes the place of the value in use, by the credential's nature: one principal, one slot."""
    authority = None if step.home is None else plan.authority(step.home)
    if authority is None or not authority.single or authority.alternating:
        return False
    return step.kind in (StepKind.INSTALL, StepKind.ISSUE) and step.gen not in facts.fillers


def is_kill(step: Step) -> bool:
    """The step is there to end a value (K1, K2): a revoke or a neutralisation. Installs that displace are judged by
    their victims."""
    return step.kind in (StepKind.REVOKE, StepKind.NEUTRALISE)


def by_handle(plan: Plan, home: Home) -> bool:
    """Values at this home are revoked one by one."""
    authority = plan.authority(home)
    return authority is not None and authority.kill is Kill.HANDLE


def possibly_alive(row: Placement) -> bool:
    """Killing it makes sense."""
    return row.state in LIVES
