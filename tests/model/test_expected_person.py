"""What each of a person's answers changes, fact by fact, by expectation. When each is legal: the unit tests."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rotator.machine.decide import decide
from rotator.machine.events import Answered, AnswerKind
from rotator.machine.evolve import evolve
from rotator.machine.facts import EMPTY, FOREIGN, Facts, LegName, Placement, Question, State, Topic
from rotator.machine.ids import Gen
from rotator.machine.reading import place_of, run_of
from rotator.machine.steps import CurrentIs, Step, StepKind
from tests.model.configurations import C, Configuration, issuing, make, overlap
from tests.model.standing import HOME, QUIET, done, intend, made, nobody_has, placed, standing

A = AnswerKind
O = make("o", overlap())  # noqa: E741 - the study's name for it
OLD, NEW = Gen(1), Gen(2)
INSTALL = Step(StepKind.INSTALL, NEW, HOME)
GONE = Placement(State.GONE, gone_at=1, absent=1, absent_at=1)
LOOKED_AT_AGAIN = Placement(State.MAYBE, gone_at=1)


def says(facts: Facts, kind: AnswerKind, config: Configuration = O) -> Facts:
    """After this answer, about the value 2 if it is about one."""
    about = {"gen": facts.question.step.gen, "home": HOME} if kind is A.ACCEPT else {}  # type: ignore[union-attr]
    return evolve(config.plan, facts, Answered(kind, **about), 0)  # type: ignore[arg-type]


def advancing(config: Configuration = O) -> Facts:
    return made(standing(config, LegName.ADVANCE, candidate=NEW), 2)


def asked(facts: Facts, topic: Topic, step: Step | None = None) -> Facts:
    return facts.but(question=Question(topic, step))


@pytest.mark.parametrize("kind", [A.GO_BACK, A.CONTAIN_NOW])
def test_k8_an_answer_over_an_open_intent_closes_it_and_leaves_its_place_closed_until_it_can_no_longer_land(
    kind: AnswerKind,
) -> None:
    facts = says(intend(O.plan, advancing(), INSTALL), kind)
    assert facts.intent is None
    assert dict(facts.closed_until) == {place_of(O.plan, INSTALL): QUIET}
    assert facts.state(NEW, HOME) is State.MAYBE


def both_gone() -> Facts:
    return placed(placed(advancing(), 1, GONE), 2, GONE)


def test_a_retry_over_what_serves_looks_at_what_serves_again_and_not_at_the_target() -> None:
    """K2: nothing may be killed while the value in use was not seen alive."""
    facts = says(asked(both_gone(), Topic.NOT_VERIFIED, Step(StepKind.VERIFY, OLD, HOME)), A.RETRY)
    assert dict(facts.placements) == {(OLD, HOME): LOOKED_AT_AGAIN, (NEW, HOME): GONE}


def test_a_retry_over_a_refusal_looks_at_the_target_again_whatever_was_refused() -> None:
    facts = says(asked(both_gone(), Topic.REFUSED, Step(StepKind.REVOKE, OLD, HOME)), A.RETRY)
    assert dict(facts.placements) == {(OLD, HOME): GONE, (NEW, HOME): LOOKED_AT_AGAIN}


def test_a_retry_at_an_opening_where_nothing_works_looks_at_current_again() -> None:
    facts = placed(standing(O, LegName.REPAIR, old=None), 1, GONE)
    facts = says(asked(facts, Topic.NO_OLD), A.RETRY)
    assert dict(facts.placements) == {(OLD, HOME): LOOKED_AT_AGAIN}
    assert decide(O.plan, facts, 0).step == Step(StepKind.VERIFY, OLD, HOME)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("topic", "old", "current", "after"),
    [
        (Topic.NO_OLD, None, {OLD}, OLD),
        (Topic.NO_WAY_BACK, NEW, {OLD}, OLD),
        (Topic.NO_WAY_BACK, NEW, {OLD, NEW}, NEW),
        (Topic.NO_WAY_BACK, NEW, {FOREIGN}, NEW),
        (Topic.NO_WAY_BACK, NEW, {EMPTY}, NEW),
        (Topic.NO_OLD, None, {EMPTY}, None),
    ],
)
def test_going_on_without_a_way_back_starts_from_what_is_current_if_that_is_a_value_of_ours(
    topic: Topic, old: Gen | None, current: set[Gen], after: Gen | None
) -> None:
    facts = made(standing(O, LegName.REPAIR, old=old), 2).but(current=frozenset(current))
    run = run_of(says(asked(facts, topic), A.GO_ON))
    assert (run.legs, run.old, run.way_back) == ((LegName.ADVANCE,), after, False)


def test_going_on_from_a_return_keeps_its_way_back() -> None:
    facts = made(standing(O, LegName.RETURN, candidate=NEW, returned_from=LegName.ADVANCE), 2)
    run = run_of(says(facts, A.GO_ON))
    assert (run.legs, run.old, run.way_back, run.returned_from) == ((LegName.ADVANCE,), OLD, True, None)


def test_giving_up_dooms_the_candidate_if_there_is_one() -> None:
    """What was made for a containment that is given up is ended like all else."""
    config = make("c", overlap(), runs=(C,))
    leaked = standing(config, LegName.CONTAIN).but(doomed=frozenset({OLD}))
    assert says(leaked, A.GIVE_UP, config).doomed == {OLD}
    run = replace(run_of(leaked), candidate=NEW)
    facts = says(made(leaked.but(run=run), 2), A.GIVE_UP, config)
    assert facts.doomed == {OLD, NEW}
    assert run_of(facts).legs == (LegName.GIVE_UP,)


@pytest.mark.parametrize(
    ("gen", "step", "topic", "doomed"),
    [
        (NEW, StepKind.FIND, Topic.STRANGERS, {NEW}),
        (OLD, StepKind.PROVE, Topic.UNPROVEN, set()),
    ],
)
@pytest.mark.parametrize("leg", [LegName.ADVANCE, LegName.RETURN])
def test_a_lost_issue_that_a_person_accepts_is_never_issued_again_and_an_accepted_debt_stays_what_it_is(
    leg: LegName, gen: Gen, step: StepKind, topic: Topic, doomed: set[Gen]
) -> None:
    config = make("i + debt", issuing(), debt=True)
    candidate = Gen(3)
    facts = nobody_has(made(standing(config, leg, candidate=candidate), 3), 3)
    gen = candidate if gen == NEW else gen
    facts = asked(placed(facts, gen, GONE if gen == OLD else State.MAYBE), topic, Step(step, gen, HOME))
    facts = says(facts, A.ACCEPT, config)
    assert facts.state(gen, HOME) is State.ACCEPTED
    assert facts.doomed == ({candidate} if doomed else set())


def test_a_word_to_overwrite_is_for_one_promote() -> None:
    facts = placed(standing(O, LegName.REPAIR), 1, State.ALIVE).but(current=frozenset({FOREIGN}))
    facts = says(asked(facts, Topic.FOREIGN), A.OVERWRITE)
    promote = Step(StepKind.PROMOTE, OLD)
    assert decide(O.plan, facts, 0).step == promote  # type: ignore[union-attr]
    facts = done(O.plan, facts, promote, CurrentIs(OLD, None))
    facts = done(O.plan, facts, Step(StepKind.READ_CURRENT), CurrentIs(None, None, foreign=True))
    assert decide(O.plan, facts, 0).question == Question(Topic.FOREIGN)  # type: ignore[union-attr]
