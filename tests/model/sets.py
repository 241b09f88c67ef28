"""Which configurations are explored with how many faults. Called by `python -m tests.model` and by the tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.model import more_runs, timed
from tests.model.configurations import (
    Configuration,
    chained,
    contain_now,
    slots_and_more,
    strict_control,
    the_26,
)

LESS = frozenset({"failed", "failed, though done", "unsent", "inconclusive verify", "read failed"})


def four_faults() -> tuple[Configuration, ...]:
    """The 26 without what only counts attempts."""
    return _rarer(tuple(replace(config, without=LESS) for config in the_26()))


def back_and_on() -> tuple[Configuration, ...]:
    """A person goes back and on again, unasked, at any moment."""
    return tuple(replace(config, whim=0, said=2) for config in the_26()[:17])


def _rarer(configs: tuple[Configuration, ...]) -> tuple[Configuration, ...]:
    """Going back unasked counts two of the faults: the largest sets would not end within minutes otherwise. (Going
    back at any moment for nothing is the set "back and on"; asked, it is free everywhere.)"""
    return tuple(replace(config, whim=2) for config in configs)


SETS: dict[str, tuple[Callable[[], tuple[Configuration, ...]], int]] = {
    "the 26": (the_26, 3),
    "four faults": (four_faults, 4),
    "chained": (lambda: _rarer(chained()), 3),
    "contain now": (lambda: _rarer(contain_now()), 3),
    "back and on": (back_and_on, 2),
    "strict": (strict_control, 3),
    "slots": (lambda: _rarer(slots_and_more()), 3),
    "other runs": (more_runs.other_runs, 2),
    "overlaps": (timed.overlaps, 2),
    "expiring": (timed.expiring, 2),
    "landing": (timed.landing, 2),
    "settling": (timed.settling, 2),
    "graces": (timed.graces, 2),
    "backing off": (timed.backing_off, 2),
    "stale": (more_runs.stale_worker, 2),
}
"""Each set with the number of faults that it is explored with: what `make model` runs, in about a quarter of an hour on
two cores. Those of the study's section 8 have its numbers: the 26 three, and four without what only counts attempts;
chained runs, contain now, strict control and slots three; late workers two. The sets with time have two, as there.
Going back unasked costs one, or two where the largest sets say so. `make test` explores the 26 at three faults, there
with two for going back unasked."""
