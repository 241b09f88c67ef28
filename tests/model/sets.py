"""Which configurations are explored with how many faults. Called by `python -m tests.model` and by the tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.model import more_runs, timed
from tests.model.configurations import (
    AGAIN,
    C,
    Configuration,
    R,
    X,
    alternating,
    chained,
    contain_now,
    in_place,
    issuing,
    make,
    overlap,
    slots_and_more,
    strict_control,
    the_26,
)

DEBT = " + debt"
LESS = frozenset({"failed", "failed, though done", "unsent", "inconclusive verify", "read failed"})


def four_faults() -> tuple[Configuration, ...]:
    """The 26 without what only counts attempts."""
    return tuple(replace(config, without=LESS) for config in the_26())


def back_and_on() -> tuple[Configuration, ...]:
    """A person goes back and on again, unasked, at any moment."""
    return tuple(replace(config, whim=0, said=2) for config in the_26()[:17])


def copied_labels() -> tuple[Configuration, ...]:
    """Another administrator's key bears a label of ours."""
    shapes = {"o": overlap(), "o i labelled": issuing(), "o i labelled two slots": issuing(2)}
    return tuple(
        make(
            f"{name}{DEBT * debt} + copied label, {run.value}",
            shape,
            stranger=True,
            copies=True,
            debt=debt,
            runs=(run,),
        )
        for name, shape in shapes.items()
        for debt in (False, True)
        for run in (R, C, X)
    )


def other_values() -> tuple[Configuration, ...]:
    """The platform's rules refuse a value: another is made, one for each run. What only counts attempts is left out."""
    two = make("generated two slots", overlap(slots=2))
    shapes = (
        make("o", overlap()),
        make("o + debt", overlap(), debt=True),
        make("o two authorities", overlap(), overlap("b"), consumers=1),
        make("mixed", overlap(), in_place("b"), consumers=1),
        two,
        replace(two, name="generated two slots + administrator", stranger=True),
        make("in place", in_place()),
        make("in place, not settable", in_place(settable=False)),
        make("alternating", alternating()),
        make("alternating + twin", alternating(), debt=True),
        make("contain o", overlap(), runs=(C,)),
        make("contain in place", in_place(), runs=(C,)),
        make("contain alternating", alternating(), runs=(C,)),
        make("retire in place", in_place(), runs=(X,)),
        make("retire alternating + debt", alternating(), runs=(X,), debt=True),
        make("o, twice", overlap(), runs=(R, R)),
        make("in place, twice", in_place(), runs=(R, R)),
        make("alternating, twice", alternating(), runs=(R, R)),
        make("in place: reconcile", in_place(), runs=(AGAIN,)),
    )
    return tuple(
        replace(one, name=f"{one.name}, by rule", plan=replace(one.plan, values=2), rules=True, without=LESS)
        for one in shapes
    )


def accepted() -> tuple[Configuration, ...]:
    """Between two runs a person accepts what is owed; in the next it is left alone, or it has become a debt again. What
    only counts attempts is left out, but for the debts that need it."""
    o, i = overlap(), issuing()
    shapes = (
        make("o + debt: reconcile, rotate", o, debt=True, runs=(AGAIN, R), consumers=1),
        make("o + debt, twice", o, debt=True, runs=(R, R), consumers=1),
        make("o i + debt, twice", i, debt=True, runs=(R, R), consumers=0),
        make("generated two slots + debt, twice", overlap(slots=2), debt=True, runs=(R, R), consumers=0),
        make("in place, twice", in_place(), runs=(R, R), consumers=0),
        make("alternating + twin, twice", alternating(), debt=True, runs=(R, R), consumers=0),
        make("o + debt: rotate, contain", o, debt=True, runs=(R, C), consumers=0),
        make("o + debt: rotate, retire", o, debt=True, runs=(R, X), consumers=0),
        # What was accepted may sit in the slot: a reconcile then finds nothing, and the rotation is the way on.
        make("in place: rotate, reconcile, rotate", in_place(), runs=(R, AGAIN, R), consumers=0),
        make("alternating + twin: rotate, retire", alternating(), debt=True, runs=(R, X), consumers=0),
    )
    return tuple(replace(one, name=f"{one.name}, accepted", accepts=True) for one in shapes)


SETS: dict[str, tuple[Callable[[], tuple[Configuration, ...]], int]] = {
    "the 26": (the_26, 3),
    "four faults": (four_faults, 4),
    "chained": (chained, 3),
    "contain now": (contain_now, 3),
    "back and on": (back_and_on, 2),
    "strict": (strict_control, 3),
    "slots": (slots_and_more, 3),
    "other runs": (more_runs.other_runs, 2),
    "copied labels": (copied_labels, 2),
    "other values": (other_values, 3),
    "accepted": (accepted, 2),
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
Going back unasked costs one like a fault (in "back and on" nothing), asked it is free everywhere. `make test` explores
the 26, exactly as here."""
