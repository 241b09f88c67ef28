"""What holds a step back, and why a run opens: each check alone, and their order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rotator.machine.decisions import Do
from rotator.machine.due import Due, Schedule, due
from rotator.machine.facts import RunKind
from rotator.machine.holds import FOREVER, Held, Limits, holds
from rotator.machine.ids import Gen, Home
from rotator.machine.steps import Step, StepKind
from tests.model.configurations import C, Configuration, in_place, make, overlap
from tests.model.story import Story

HOME = Home("a", "p")
STAGE = Do(Step(StepKind.STAGE, Gen(2)))
VERIFY = Do(Step(StepKind.VERIFY, Gen(1), HOME))
KILL = Do(Step(StepKind.REVOKE, Gen(1), HOME))


def before(config: Configuration, told: str) -> Story:
    story = Story(config, "opened")
    while not any(edge.name.startswith(told) for edge in story.edges()):
        story.state = story._honest(story.edges(), told)
    return story


def ask(story: Story, do: Do, **limits: int) -> Held | None:
    return holds(story.config.plan, story.facts, do, Limits(**limits), 0)


CALENDAR = {
    "paused_until": "paused",
    "frozen_until": "frozen",
    "window_opens": "outside_window",
    "brake_until": "brake",
    "approval_until": "approval",
}
ALWAYS = {"breaker_until": "breaker", "rate_until": "rate"}


@pytest.mark.parametrize(("limit", "why"), [*CALENDAR.items(), *ALWAYS.items()])
def test_each_limit_holds_the_first_write_until_its_instant(limit: str, why: str) -> None:
    story = before(make("o", overlap()), "stage 2")
    assert ask(story, STAGE, **{limit: 7}) == Held(7, why)
    assert ask(story, STAGE, **{limit: 0}) is None


@pytest.mark.parametrize("limit", CALENDAR)
def test_the_calendar_holds_no_look(limit: str) -> None:
    story = before(make("o", overlap()), "stage 2")
    assert ask(story, VERIFY, **{limit: FOREVER}) is None


def test_the_window_is_asked_at_the_first_write_and_the_first_kill_only() -> None:
    story = before(make("o", overlap()), "install 2")
    install = Do(Step(StepKind.INSTALL, Gen(2), HOME))
    assert ask(story, install, window_opens=7) is None
    assert ask(story, install, paused_until=7) == Held(7, "paused")
    assert ask(before(make("o", overlap()), "revoke 1"), KILL, window_opens=7) == Held(7, "outside_window")


def test_in_place_nothing_of_the_calendar_holds_what_ends_a_lock_out() -> None:
    """K6."""
    story = before(make("p", in_place()), "promote 2")
    promote = Do(Step(StepKind.PROMOTE, Gen(2)))
    everything = dict.fromkeys(CALENDAR, FOREVER)
    assert ask(story, promote, **everything) is None
    assert ask(story, promote, breaker_until=7) == Held(7, "breaker")


def test_the_probes_of_a_displacing_install_are_asked_for_before_it() -> None:
    story = before(make("p", in_place()), "install 2")
    assert ask(story, Do(Step(StepKind.INSTALL, Gen(2), HOME)), probes_until=7) == Held(7, "probe_budget")
    assert ask(story, VERIFY, probes_until=7) == Held(7, "probe_budget")


def test_a_leak_is_not_held_by_the_calendar() -> None:
    story = before(make("c", overlap(), runs=(C,)), "revoke 1")
    assert ask(story, KILL, **dict.fromkeys(CALENDAR, FOREVER)) is None


def test_the_verify_before_a_kill_is_asked_as_the_kill_and_nothing_holds_the_kill_after_it() -> None:
    """K2: else a probe would be spent for a kill that is held anyway."""
    story = before(make("o", overlap()), "revoke 1")
    verify = Do(Step(StepKind.VERIFY, Gen(2), HOME), before=KILL.step)
    assert ask(story, verify, window_opens=7) == Held(7, "outside_window")
    assert ask(story, KILL, window_opens=7) == Held(7, "outside_window")
    assert story.facts.run is not None
    story.state = story.state._replace(facts=story.facts.but(run=replace(story.facts.run, cleared=KILL.step)))
    assert ask(story, KILL, window_opens=7) is None
    assert ask(story, KILL, rate_until=7) == Held(7, "rate")


NOW = 100
READY = Schedule(adopted=True, rotate_at=NOW)


@pytest.mark.parametrize(
    ("schedule", "answer"),
    [
        (READY, Due(RunKind.ROTATE, "due")),
        (Schedule(), Due(None, "not_adopted")),
        (Schedule(adopted=True), Due(None, "no_schedule")),
        (replace(READY, retired=True), Due(None, "retired")),
        (replace(READY, removed=True), Due(None, "removed")),
        (replace(READY, open_run=RunKind.ROTATE), Due(None, "run_open")),
        (replace(READY, open_run=RunKind.ROTATE, asked=True), Due(None, "waits_for_answer")),
        (replace(READY, open_run=RunKind.RECONCILE), Due(RunKind.ROTATE, "due")),
        (replace(READY, observing=True), Due(None, "observing")),
        (replace(READY, paused_until=101), Due(None, "paused", 101)),
        (replace(READY, paused_until=100), Due(RunKind.ROTATE, "due")),
        (replace(READY, frozen_until=101), Due(None, "frozen", 101)),
        (replace(READY, braked_until=101), Due(None, "brake", 101)),
        (replace(READY, retry_at=101), Due(None, "backing_off", 101)),
        (replace(READY, rotate_at=101), Due(None, "not_due", 101)),
        (replace(READY, window_opens=130), Due(None, "outside_window", 130)),
        (replace(READY, window_opens=130, reconcile_at=90), Due(RunKind.RECONCILE, "debts")),
        (Schedule(adopted=True, reconcile_at=90), Due(RunKind.RECONCILE, "debts")),
        (Schedule(adopted=True, reconcile_at=190, rotate_at=150), Due(None, "not_due", 150)),
    ],
)
def test_why_a_run_opens_or_does_not(schedule: Schedule, answer: Due) -> None:
    assert due(schedule, NOW) == answer
