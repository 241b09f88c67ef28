"""Each clock rule taken away alone brings a violation back: the rule is needed, and the model sees it.

A rule is taken away by a patch of the shipped function, for the length of one exploration.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from rotator.machine import decide, ripe
from rotator.machine.facts import Ending, State
from rotator.machine.ids import Gen, Home
from rotator.machine.steps import Step, StepKind
from tests.model import timed
from tests.model.configurations import Configuration, in_place, make
from tests.model.explorer import explore
from tests.model.story import Story

Patch = Callable[[pytest.MonkeyPatch], None]


def _config(configs: Callable[[], tuple[Configuration, ...]], name: str) -> Configuration:
    return next(config for config in configs() if config.name == name)


def _never(*_: object) -> int:
    return 0


def without_k1(patch: pytest.MonkeyPatch) -> None:
    """Overlap is no clock of the value: nothing but the rung of one leg would wait."""
    patch.setattr(ripe, "overlap_over", _never)


def without_k2(patch: pytest.MonkeyPatch) -> None:
    """What serves is not seen alive again before a kill."""
    patch.setattr(decide, "_see_what_serves", lambda *_: None)


def without_k3(patch: pytest.MonkeyPatch) -> None:
    """An outcome opens the place at once."""
    patch.setattr(ripe, "place_open", _never)


def without_k4(patch: pytest.MonkeyPatch) -> None:
    """A proof does not wait for settling and grace."""
    patch.setattr(ripe, "_prove", lambda plan, row, home: 0 if row.last is None else row.last + plan.clocks.over)


def without_k9(patch: pytest.MonkeyPatch) -> None:
    """Alive on one replica is alive."""
    patch.setattr(ripe, "_verify", lambda plan, row, home: row.grace_until or 0)


CASES: tuple[tuple[str, Patch, Callable[[], tuple[Configuration, ...]], str, int], ...] = (
    ("K1", without_k1, timed.overlaps, "o, overlap", 1),
    ("K2", without_k2, timed.expiring, "o, expires", 1),
    ("K3", without_k3, timed.landing, "o i, late", 1),
    ("K4", without_k4, timed.graces, "in place, grace", 1),
    ("K9", without_k9, timed.settling, "o, settling", 2),
)


@pytest.mark.parametrize(("rule", "patch", "configs", "name", "faults"), CASES, ids=[case[0] for case in CASES])
def test_without_the_rule_its_violation_is_back(
    rule: str,
    patch: Patch,
    configs: Callable[[], tuple[Configuration, ...]],
    name: str,
    faults: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = _config(configs, name)
    assert not explore(config, faults).violations
    patch(monkeypatch)
    assert explore(config, faults).violations, f"nothing misses {rule}"


def test_k7_a_refused_promote_is_followed_by_a_read() -> None:
    """It may have been done; in place the old value is then put in again, and nobody has to be asked."""
    config = make("in place", in_place())
    story = Story(config, "opened", "promote 2: refused")
    assert next(edge.name for edge in story.edges() if not edge.person).startswith("read_current")
    assert story.to_the_end().facts.ending is not None, "it asks, although putting the old value in again heals"


def test_k7_a_promote_that_was_done_though_refused_is_believed_when_read() -> None:
    story = Story(make("in place", in_place()), "opened", "promote 2: refused, though done").to_the_end()
    assert story.facts.ending is Ending.SUCCEEDED


def test_k10_a_displaced_value_is_tried_only_after_its_grace_installed_again_or_not() -> None:
    config = make("in place", in_place(grace=5), clocks=replace(timed.BASE, landing=2))
    story = Story(config, "opened", "install 2 p@a: done")
    home = Home("a", "p")
    old = story.facts.placements[Gen(1), home]
    assert old.state is State.GONE
    assert old.grace_until == 7, "from the last instant at which the install can land"
    verify = Step(StepKind.VERIFY, Gen(1), home)
    assert ripe.ripe(config.plan, story.facts, verify) == 7
    again = replace(old, state=State.INSTALLED, acked_at=1)
    facts = story.facts.but(placements=story.facts.placements.put((Gen(1), home), again))
    assert ripe.ripe(config.plan, facts, verify) == 7


def test_k9_a_rejected_verify_before_settling_is_a_wait() -> None:
    config = make("in place", in_place(), clocks=replace(timed.BASE, settle=9))
    story = Story(config, "opened", "install 2 p@a: done", "verify 2 p@a: flaky")
    assert story.facts.refusal is None
    assert story.facts.state(Gen(2), Home("a", "p")) is State.INSTALLED
    assert ripe.ripe(config.plan, story.facts, Step(StepKind.VERIFY, Gen(2), Home("a", "p"))) == 9
