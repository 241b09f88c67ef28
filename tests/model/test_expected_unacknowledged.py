"""What was never acknowledged counts for nothing: the one repeat of a kill, the first write, an old proof."""

from dataclasses import replace

import pytest

from rotator.machine.decide import decide
from rotator.machine.decisions import Do
from rotator.machine.events import Outcome
from rotator.machine.evolve import evolve
from rotator.machine.facts import LegName, Placement, State
from rotator.machine.ids import Gen, Handle
from rotator.machine.plan import Seen
from rotator.machine.reading import run_of
from rotator.machine.steps import Answer, Grade, Listed, OutcomeKind, Probed, Row, Step, StepKind
from tests.model.configurations import NO_TIME, X, in_place, make, overlap
from tests.model.standing import HOME, done, intend, made, placed, standing
from tests.model.world import label_of

KILL = Step(StepKind.REVOKE, Gen(1), HOME)


@pytest.mark.parametrize("kind", [OutcomeKind.UNSENT, OutcomeKind.FAILED, OutcomeKind.UNKNOWN])
def test_a_repeat_that_was_not_acknowledged_is_not_the_one_repeat(kind):
    config = make("x", overlap(), runs=(X,), clocks=replace(NO_TIME, kill_patience=8))
    facts = placed(standing(config, LegName.RETIRE), 1, State.LINGERS)
    facts = evolve(config.plan, intend(config.plan, facts, KILL), Outcome(KILL, kind), 0)
    assert decide(config.plan, facts, 1000) == Do(KILL)


def test_a_first_write_that_was_never_sent_is_still_the_first():
    config = make("o", overlap())
    stage = Step(StepKind.STAGE, Gen(2))
    facts = evolve(
        config.plan,
        intend(config.plan, standing(config, LegName.ADVANCE), stage),
        Outcome(stage, OutcomeKind.UNSENT),
        0,
    )
    assert not run_of(facts).wrote


def test_a_value_that_is_listed_after_its_proof_is_proven_anew():
    config = make("p", in_place(lists=True, seen=Seen.LABEL), clocks=replace(NO_TIME, times=2, over=10))
    facts = placed(made(standing(config, LegName.ADVANCE, candidate=Gen(2)), 2), 2, State.ALIVE)
    dead = Placement(State.DEAD, gone_at=0, rejections=2, first=1, last=11, grade=Grade.SUCCESSOR)
    facts = placed(facts, 1, dead)
    facts = done(
        config.plan,
        facts,
        Step(StepKind.LIST, None, HOME),
        Listed(frozenset({Row(Handle("h1.0"), label_of(Gen(1)))})),
        at=100,
    )
    assert facts.state(Gen(1), HOME) is State.MAYBE
    facts = done(
        config.plan, facts, Step(StepKind.PROVE, Gen(1), HOME), Probed(Answer.REJECTED, Grade.SUCCESSOR), at=101
    )
    assert facts.state(Gen(1), HOME) is not State.DEAD
