"""What each finding makes certain. Called by `evolve_outcome` only; one function for one kind of finding.

Must decide nothing, and must not be called for anything but an acknowledged *done*.
"""

from __future__ import annotations

from dataclasses import replace

from rotator.machine.change import alone_in_slot, learn_handle, make_gone, put, unproven, unseen_dead, with_run
from rotator.machine.facts import ABSENT, EMPTY, FOREIGN, LIVES, OWED, Effort, Facts, Placement, State
from rotator.machine.ids import Gen, Handle, Home, Label, Millis
from rotator.machine.plan import Plan
from rotator.machine.reading import at_home, displaces, probeable, role_of, run_of, target_of
from rotator.machine.ripe import death_is_settled
from rotator.machine.steps import CurrentIs, Grade, Listed, Staged, Step, StepKind

NOTHING: frozenset[Gen] = frozenset({EMPTY})


def current_is(facts: Facts, step: Step, what: CurrentIs, at: Millis) -> Facts:
    """The store's current, read or written."""
    gen = FOREIGN if what.foreign else what.gen or EMPTY
    if step.kind is StepKind.PROMOTE and step.gen is not None:
        gen = step.gen
    facts = facts.but(current=frozenset({gen}), version=what.version, read_at=at)
    attempts = facts.attempts
    for effort, row in facts.attempts.items():
        if effort.kind is StepKind.PROMOTE:
            mine = effort.role is role_of(facts, gen) and gen > 0
            attempts = attempts.drop(effort) if mine else attempts.put(effort, replace(row, read=True))
    refusal = facts.refusal
    if refusal is not None and refusal.step.kind is StepKind.PROMOTE and refusal.step.gen == gen:
        refusal = None
    if step.kind is StepKind.PROMOTE:
        facts = with_run(facts, overwrite=False)
    return facts.but(attempts=attempts, refusal=refusal)


def staged(plan: Plan, facts: Facts, gen: Gen, what: Staged, at: Millis) -> Facts:
    """Whether a stage is there. An issue whose value is staged was done."""
    if not what.present:
        facts = facts.but(stored=facts.stored - {gen}, kept=facts.kept - {gen})
        lost = any(_cannot_be_found(plan, facts, gen, home) for home in facts.homes.get(gen, ()))
        return facts.but(doomed=facts.doomed | {gen}) if lost else facts
    facts = facts.but(kept=facts.kept | {gen}, stored=facts.stored | {gen})
    role = role_of(facts, gen)
    for home in facts.homes.get(gen, ()):
        authority = plan.authority(home)
        if authority is None or not authority.issued:
            continue
        facts = learn_handle(facts, gen, home, what.handle)
        if gen not in facts.doomed and facts.state(gen, home) is State.MAYBE:
            facts = installed(plan, facts, gen, home, what.handle, at)
        facts = facts.but(attempts=facts.attempts.drop(Effort(StepKind.ISSUE, role, home)))
    return facts.but(attempts=facts.attempts.drop(Effort(StepKind.STAGE, role)))


def _cannot_be_found(plan: Plan, facts: Facts, gen: Gen, home: Home) -> bool:
    """An issue that may have been done, whose value nobody has (the store's current is not it either) and no list
    shows: it can never be a target."""
    if gen in facts.current:
        return False
    authority = plan.authority(home)
    if authority is None or not authority.issued or authority.finds:
        return False
    return facts.state(gen, home) is State.MAYBE


def lost_value(facts: Facts, gen: Gen) -> Facts:
    """A value that was made and that nobody has can never be a target: the next issue is a new generation."""
    return facts if gen in facts.stored or gen in facts.kept else facts.but(doomed=facts.doomed | {gen})


def installed(plan: Plan, facts: Facts, gen: Gen, home: Home, handle: Handle | None, at: Millis) -> Facts:
    """Acknowledged: it is in place, and alone in a single slot."""
    row = facts.placed(gen, home) or Placement(State.INSTALLED)
    row = replace(row, state=State.INSTALLED, acked_at=at, swept=False)
    facts = learn_handle(put(facts, gen, home, row), gen, home, handle)
    if displaces(plan.authority(home)):
        facts = _repeated(facts, home, *(other for other, _ in at_home(facts, home, gen)))
    return alone_in_slot(plan, facts, gen, home, at, by_look=False)


def verified(plan: Plan, facts: Facts, gen: Gen, home: Home, row: Placement, at: Millis) -> Facts:
    """Tried and accepted as the right principal. In a single slot nothing else can be in place (L12)."""
    acked = at if row.acked_at is None else row.acked_at
    row = replace(row, state=State.ALIVE, alive_at=at, acked_at=acked, rejections=0, first=None, last=None, grade=None)
    facts = alone_in_slot(plan, put(facts, gen, home, row), gen, home, at, by_look=True)
    if not displaces(plan.authority(home)):
        return facts
    for other, gone in tuple(at_home(facts, home, gen)):
        untried = not probeable(facts, other) and other not in facts.stored and other not in facts.fillers
        if untried and gone.state is State.GONE and at >= death_is_settled(plan, gone, home):
            facts = unseen_dead(facts, other, home, at)
    return facts


def killed(facts: Facts, gen: Gen, home: Home, at: Millis) -> Facts:
    """A kill was acknowledged, or a look found it refused."""
    return make_gone(_repeated(facts, home, gen), gen, home, at)


def _repeated(facts: Facts, home: Home, *ended: Gen) -> Facts:
    """An acknowledged kill of what was found alive after a kill is the repeat: there is one."""
    again = {(gen, home) for gen in ended if facts.state(gen, home) is State.LINGERS}
    return with_run(facts, repeated=run_of(facts).repeated | again) if again else facts


def lingers(facts: Facts, gen: Gen, home: Home, row: Placement, at: Millis) -> Facts:
    """Found alive after a kill: every rejection before means nothing."""
    row = replace(
        row, state=State.LINGERS, alive_at=at, rejections=0, first=None, last=None, grade=None, absent=0, absent_at=None
    )
    return put(facts, gen, home, row)


def rejected_dead(plan: Plan, facts: Facts, gen: Gen, home: Home, row: Placement, grade: Grade, at: Millis) -> Facts:
    """One rejection more; proven when there are enough of them over a long enough time."""
    first = at if row.first is None else row.first
    weakest = grade if row.grade is None else max(row.grade, grade)
    row = replace(row, rejections=row.rejections + 1, first=first, last=at, grade=weakest)
    if row.rejections >= plan.clocks.times and at - first >= plan.clocks.over:
        row = replace(row, state=State.DEAD)
    return put(facts, gen, home, row)


def searched(facts: Facts, gen: Gen, home: Home, what: Listed, at: Millis) -> Facts:
    """A listing in search of one value: found, among strangers, or absent (which counts when seen twice, R20)."""
    row = facts.placed(gen, home) or Placement(State.MAYBE)
    handle = facts.handles.get((gen, home))
    ours = _bearing(facts.labels.get(gen), what) | {item.handle for item in what.rows if item.handle == handle}
    if ours:
        state = State.LINGERS if row.state is State.GONE else row.state
        facts = put(facts, gen, home, replace(row, state=state, absent=0, absent_at=None))
        return lost_value(_which_is_ours(facts, gen, home, ours), gen)
    before = facts.snapshots.get((gen, home))
    if handle is None and before is not None:
        known = {known for (_, where), known in facts.handles.items() if where == home}
        strangers = frozenset(item.handle for item in what.rows) - before - known
        if strangers:
            return lost_value(facts.but(suspects=facts.suspects.put((gen, home), strangers)), gen)
    row = replace(row, absent=row.absent + 1, absent_at=at)
    facts = put(facts, gen, home, row)
    if row.absent < ABSENT:
        return facts
    if not probeable(facts, gen) and gen not in facts.stored:
        return unseen_dead(facts, gen, home, at)
    return make_gone(facts, gen, home, at) if row.state in LIVES else facts


def _bearing(label: Label | None, what: Listed) -> frozenset[Handle]:
    """The handles of the rows that bear a label."""
    return frozenset(item.handle for item in what.rows if label is not None and item.label == label)


def _which_is_ours(facts: Facts, gen: Gen, home: Home, found: frozenset[Handle]) -> Facts:
    """A label can be copied, by a person or by a request that something between us and the platform sent twice. The
    handle that we know is ours; one alone, when we know none, is ours, since nobody copies a label that no list has
    shown. Anything else are suspects, which only a person may name: a stranger's key that was killed is gone."""
    handle = facts.handles.get((gen, home))
    if handle in found:
        return learn_handle(facts, gen, home, handle)
    if handle is None and len(found) == 1:
        return learn_handle(facts, gen, home, next(iter(found)))
    return facts.but(suspects=facts.suspects.put((gen, home), found))


def listed(facts: Facts, home: Home, what: Listed) -> Facts:
    """The late look: a value of ours that no placement says is alive comes back as *maybe*, to be killed again."""
    target = target_of(facts)
    for gen, label in facts.labels.items():
        found = _bearing(label, what)
        if not found or gen == target:
            continue
        row = facts.placed(gen, home)
        if row is None or row.state in (State.GONE, State.DEAD):
            before = row or Placement(State.MAYBE)
            facts = put(facts, gen, home, replace(unproven(before), state=State.MAYBE))
        if facts.state(gen, home) in OWED:
            facts = _which_is_ours(facts, gen, home, found)
    run = run_of(facts)
    return with_run(facts, listed=run.listed | {home})


def destroyed(facts: Facts, gen: Gen) -> Facts:
    """No stage and no old version holds it any more."""
    current = NOTHING if facts.current == {gen} else facts.current
    return facts.but(stored=facts.stored - {gen}, kept=facts.kept - {gen}, current=current)


__all__ = [
    "NOTHING",
    "current_is",
    "destroyed",
    "installed",
    "killed",
    "lingers",
    "listed",
    "rejected_dead",
    "searched",
    "staged",
    "verified",
]
