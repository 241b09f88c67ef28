"""What is remembered and forgotten between runs, and what a late list brings back: by expectation, because worlds small
enough to be enumerated hardly ever get there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rotator.machine.answers import legal
from rotator.machine.decide import decide
from rotator.machine.decisions import Ask
from rotator.machine.events import AnswerKind, Asked, Intended, Opened, Outcome
from rotator.machine.evolve import evolve
from rotator.machine.facts import Facts, Placement, RunKind, State, Topic
from rotator.machine.ids import Gen, Handle, Home, Label
from rotator.machine.reading import place_of
from rotator.machine.steps import Listed, OutcomeKind, Row, Step, StepKind
from tests.model.configurations import R, alternating, in_place, issuing, make, opening, overlap
from tests.model.story import Story
from tests.model.world import label_of

HOME = Home("a", "p")
O = make("o", overlap())  # noqa: E741 - the study's name for it


def listed(story: Story, *rows: Row) -> Facts:
    """The facts after the late list has shown these rows."""
    step = Step(StepKind.LIST, None, HOME)
    plan = story.config.plan
    facts = evolve(plan, story.facts, Intended(step, 0, 0, 1), 0)
    return evolve(plan, facts, Outcome(step, OutcomeKind.DONE, Listed(frozenset(rows))), 0)


@pytest.mark.parametrize("state", [State.GONE, State.DEAD])
def test_the_late_list_brings_back_a_value_of_ours_that_was_called_gone(state: State) -> None:
    story = Story(O, "opened", "destroy 1")
    row = replace(story.facts.placements[Gen(1), HOME], state=state)
    story.state = story.state._replace(
        facts=story.facts.but(
            placements=story.facts.placements.put((Gen(1), HOME), row), handles=story.facts.handles.drop((Gen(1), HOME))
        )
    )
    facts = listed(story, Row(Handle("late"), label_of(Gen(1))))
    assert facts.state(Gen(1), HOME) is State.MAYBE
    assert facts.handles[Gen(1), HOME] == "late"
    assert facts.run is not None
    assert HOME in facts.run.listed


@pytest.mark.parametrize(
    ("known", "rows"),
    [
        (None, ("one", "other")),
        ("gone", ("copy",)),
    ],
)
def test_a_label_that_may_be_copied_makes_suspects_and_nothing_is_killed(
    known: str | None, rows: tuple[str, ...]
) -> None:
    """A person names ours, or accepts; a stranger's key that bears our label is never revoked by guess (R22)."""
    story = Story(O, "opened", "destroy 1")
    key = (Gen(1), HOME)
    handles = story.facts.handles.drop(key)
    if known is not None:
        handles = handles.put(key, Handle(known))
    story.state = story.state._replace(facts=story.facts.but(handles=handles))
    facts = listed(story, *(Row(Handle(name), label_of(Gen(1))) for name in rows))
    assert facts.handles.get(key) == known
    assert facts.suspects[key] == set(rows)
    assert facts.state(*key) is State.MAYBE
    plan = story.config.plan
    asked = decide(plan, facts, 0)
    assert isinstance(asked, Ask)
    assert asked.question.topic is Topic.STRANGERS
    facts = evolve(plan, facts, Asked(asked.question), 0)
    named = [answer.handle for answer in legal(plan, facts) if answer.kind is AnswerKind.NAME]
    assert named == sorted(rows)


def test_the_handle_that_is_known_is_ours_whatever_else_bears_its_label() -> None:
    story = Story(O, "opened", "destroy 1")
    ours = story.facts.handles[Gen(1), HOME]
    facts = listed(story, Row(Handle("a copy"), label_of(Gen(1))), Row(ours, label_of(Gen(1))))
    assert facts.handles[Gen(1), HOME] == ours
    assert not facts.suspects
    assert facts.state(Gen(1), HOME) is State.MAYBE


def test_the_late_list_touches_neither_strangers_nor_the_target() -> None:
    story = Story(O, "opened", "destroy 1")
    before = story.facts
    facts = listed(story, Row(Handle("s")), Row(Handle("f"), Label("rot-x-1")), Row(Handle("t"), label_of(Gen(2))))
    assert facts.placements == before.placements
    assert facts.handles == before.handles


def test_a_current_whose_slot_another_value_of_ours_took_is_explained() -> None:
    """Nobody is asked: the value is put in again. (What took it is doomed, else it would be gone on with.)"""
    story = Story(make("p", in_place(), runs=(R, R)), "opened", "install 2 p@a: done").says(AnswerKind.ABANDON)
    story.state = story.state._replace(facts=story.facts.but(doomed=frozenset({Gen(2)})))
    story.until("opened").until("turn repair: current_displaced").until("install 1 p@a: done")


def with_a_grave() -> Facts:
    """Generation 1 is proven dead, destroyed and unused; 2 serves; 3 was lost at its issue."""
    config = make("i", issuing(), debt=True)
    facts, _ = opening(config)
    dead = Placement(State.DEAD, last=0)
    key, lost = (Gen(1), HOME), (Gen(3), HOME)
    return facts.but(
        top=Gen(3),
        kept=facts.kept - {1},
        stored=facts.stored - {1},
        doomed=frozenset({Gen(1), Gen(3)}),
        homes=facts.homes.put(Gen(3), (HOME,)),
        labels=facts.labels.put(Gen(3), label_of(Gen(3))),
        placements=facts.placements.put(key, dead).put(lost, Placement(State.MAYBE)),
        snapshots=facts.snapshots.put(key, frozenset()).put(lost, frozenset({Handle("x")})),
        left_at=facts.left_at.put(Gen(1), 0).put(Gen(3), 0),
    )


def test_an_opening_forgets_the_buried_and_nothing_else() -> None:
    facts = with_a_grave()
    plan = make("i", issuing()).plan
    after = evolve(plan, facts, Opened(RunKind.ROTATE), 10)
    assert {gen for gen, _ in after.placements} == {2, 3}
    assert {gen for gen, _ in after.handles} == {2}
    assert {gen for gen, _ in after.snapshots} == {3}
    assert set(after.homes) == set(after.labels) == {2, 3}
    assert set(after.left_at) == {3}
    assert after.doomed == {3}


def test_an_opening_forgets_nothing_while_an_effect_may_still_land_nor_in_a_reconcile() -> None:
    facts = with_a_grave()
    plan = make("i", issuing()).plan
    closed = facts.but(closed_until=facts.closed_until.put(place_of(plan, Step(StepKind.REVOKE, Gen(1), HOME)), 11))
    assert Gen(1) in evolve(plan, closed, Opened(RunKind.ROTATE), 10).homes
    assert Gen(1) not in evolve(plan, closed, Opened(RunKind.ROTATE), 11).homes
    assert evolve(plan, facts, Opened(RunKind.RECONCILE), 10).state(Gen(1), HOME) is State.MAYBE


def test_an_opening_takes_certainty_away_and_keeps_what_proves_a_death() -> None:
    facts = with_a_grave()
    plan = make("i", issuing()).plan
    counted = Placement(State.GONE, gone_at=1, rejections=1, first=2, last=2, absent=1, absent_at=2)
    facts = facts.but(placements=facts.placements.put((Gen(3), HOME), counted))
    after = evolve(plan, facts, Opened(RunKind.ROTATE), 10)
    assert after.state(Gen(2), HOME) is State.MAYBE
    assert after.placements[Gen(3), HOME] == counted
    again = evolve(plan, facts, Opened(RunKind.RECONCILE), 10)
    row = again.placements[Gen(3), HOME]
    assert (row.state, row.rejections, row.first, row.absent) == (State.GONE, 0, None, 0)
    assert again.held == evolve(plan, facts, Opened(RunKind.RECONCILE), 10).held
    assert len(again.held) == 0
    assert after.held == facts.held


def test_the_first_write_displacement_and_kill_are_marked_for_the_calendar() -> None:
    """K6: each is asked about once."""
    seen = []
    for config, told in ((O, ("verify 1", "stage 2", "revoke 1")), (make("p", in_place()), ("stage 2", "install 2"))):
        for name in told:
            story = Story(config, "opened", name)
            run = story.facts.run
            assert run is not None
            seen.append((run.wrote, run.displaced, run.killed))
    nothing, wrote = (False, False, False), (True, False, False)
    assert seen == [nothing, wrote, (True, False, True), wrote, (True, True, False)]


def test_the_kill_that_a_verify_precedes_is_remembered_until_the_next_intent() -> None:
    """K2."""
    story = Story(O, "opened", "push 2 c2: done")
    plan, kill, verify = story.config.plan, Step(StepKind.REVOKE, Gen(1), HOME), Step(StepKind.VERIFY, Gen(2), HOME)
    facts = evolve(plan, story.facts, Intended(verify, 0, 0, 1, before=kill), 0)
    assert facts.run is not None
    assert facts.run.cleared == kill
    facts = evolve(plan, facts, Outcome(verify, OutcomeKind.UNSENT), 0)
    facts = evolve(plan, facts, Intended(verify, 0, 0, 1), 0)
    assert facts.run is not None
    assert facts.run.cleared is None


def test_a_filler_stays_until_nothing_is_left_at_its_home() -> None:
    """Neutralise refused for ever: the filler that was staged for it is kept for the next run, not made anew."""
    story = Story(make("x", alternating()), "opened", "neutralise 3 p@a: refused").to_the_end()
    assert story.facts.fillers == {3}
    assert Gen(3) in story.facts.kept
    story = Story(make("x", alternating()), "opened").to_the_end()
    assert Gen(3) not in story.facts.stored


def test_what_was_derived_from_a_value_is_swept_after_every_kill_and_before_the_proof() -> None:
    story = Story(make("s", overlap(sweeps=True)), "opened", "revoke 1 p@a: revoke is cached")
    assert [edge.name for edge in story.edges() if edge.name.startswith("sweep 1")]
    story.until("sweep 1 p@a: done")
    assert story.facts.placements[Gen(1), HOME].swept
    story.until("prove 1 p@a: alive").until("revoke 1 p@a: done")
    assert not story.facts.placements[Gen(1), HOME].swept
    story.until("sweep 1 p@a: done").until("prove 1 p@a: rejected")
