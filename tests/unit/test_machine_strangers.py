"""A lost issue among strangers, by expectation: what a person says is heard once, and never asked again in the run."""

from __future__ import annotations

from rotator.machine.events import AnswerKind
from rotator.machine.facts import Ending, LegName, State, Topic
from rotator.machine.ids import Gen, Home
from rotator.machine.plan import Seen
from rotator.machine.reading import leg_of
from tests.model.configurations import issuing, make
from tests.model.story import Story

HOME = Home("a", "p")
TWO_SLOTS = make("o i two slots + administrator", issuing(2, Seen.SNAPSHOT), stranger=True)


def lost_among_strangers() -> Story:
    """Our request never arrived, and an administrator made a key meanwhile: both places are taken."""
    story = Story(TWO_SLOTS, "opened", "snapshot 2 p@a: done", "late another administrator makes a key")
    story.until("issue 2 p@a: unknown, not done").to_the_end()
    assert story.facts.question is not None
    assert story.facts.question.topic is Topic.STRANGERS
    return story


def test_an_accepted_stranger_takes_its_place_and_the_run_goes_back_without_asking_again() -> None:
    story = lost_among_strangers().says(AnswerKind.ACCEPT)
    assert story.facts.question is None
    story.to_the_end()
    assert (story.facts.question, story.facts.ending) == (None, Ending.ROLLED_BACK)
    assert story.facts.state(Gen(2), HOME) is State.ACCEPTED
    assert Gen(1) in story.alive()
    assert len(story.state.world.accepted) == 2, "nothing was deleted"


def test_a_retry_looks_again_and_asks_again() -> None:
    story = lost_among_strangers().says(AnswerKind.RETRY).to_the_end()
    assert story.facts.question is not None
    assert story.facts.question.topic is Topic.STRANGERS


def test_the_question_comes_before_anything_is_made_anew() -> None:
    story = lost_among_strangers()
    assert leg_of(story.facts) is LegName.ADVANCE
    assert story.facts.top == Gen(2)
    assert Gen(2) in story.facts.doomed
