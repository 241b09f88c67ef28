"""Configurations of the other runs: adopt and reconcile, alone and chained, also after a rotation that was abandoned;
and workers that are late: what they sent lands while the next one works, or in the next run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rotator.machine.plan import Clocks, Seen
from tests.model.configurations import (
    ADOPT,
    AGAIN,
    NO_TIME,
    C,
    Configuration,
    R,
    X,
    alternating,
    in_place,
    in_place_issued,
    issuing,
    make,
    overlap,
)


def other_runs() -> tuple[Configuration, ...]:
    """Adopt, and what follows one that was abandoned; reconcile, and what came before or follows it."""
    o, i, two = overlap(), issuing(), issuing(2, Seen.SNAPSHOT)
    shapes = (("o", o), ("o i", i), ("in place", in_place()), ("in place i", in_place_issued()), ("x", alternating()))
    found = [make(f"{name}: adopt, rotate", part, runs=(ADOPT, R), consumers=1) for name, part in shapes]
    found += [
        make("o: adopt", o, runs=(ADOPT,)),
        make("o: adopt, adopt", o, runs=(ADOPT, ADOPT), consumers=1),
        make("two authorities: adopt", o, overlap("b"), runs=(ADOPT,), consumers=1),
        make("mixed: adopt", o, in_place("b"), runs=(ADOPT,), consumers=1),
        make("o: adopt, contain", o, runs=(ADOPT, C), consumers=1),
        make("o: adopt, retire", o, runs=(ADOPT, X), consumers=1),
    ]
    for name, part in (*shapes, ("two slots", two)):
        found.append(make(f"{name}: reconcile", part, runs=(AGAIN,)))
        # A reconcile that finds nothing to go back to asks, and the rotation after it is the way on.
        runs, words = ((R, AGAIN), "") if part.slots is None or part.settable else ((R, AGAIN, R), ", rotate")
        found.append(make(f"{name}: rotate, reconcile{words}", part, runs=runs, consumers=1))
    found += [
        make("o + debt: reconcile", o, runs=(AGAIN,), debt=True),
        make("o i + debt: reconcile", i, runs=(AGAIN,), debt=True),
        make("x + twin: reconcile", alternating(), runs=(AGAIN,), debt=True),
        make("two slots + debt: reconcile", two, runs=(AGAIN,), debt=True),
        make("two authorities: reconcile", o, overlap("b"), runs=(AGAIN,), consumers=1),
        make("mixed: rotate, reconcile", o, in_place("b"), runs=(R, AGAIN), consumers=0),
        make("in place, not settable: reconcile", in_place(settable=False), runs=(AGAIN,)),
        make("o: reconcile, rotate", o, runs=(AGAIN, R), consumers=1),
        make("x: reconcile, rotate", alternating(), runs=(AGAIN, R), consumers=1),
        make("o: contain, reconcile, rotate", o, runs=(C, AGAIN, R), consumers=1),
        make("o: rotate, reconcile, rotate", o, runs=(R, AGAIN, R), consumers=0),
    ]
    return tuple(found)


def stale_worker() -> tuple[Configuration, ...]:
    """K3 over more of the 26: what a worker sent lands for two ticks after its intent, whoever works by then."""
    clocks: Clocks = replace(NO_TIME, deadline=1, landing=1)
    more: dict[str, Any] = {"clocks": clocks, "consumers": 0}
    found = (
        make("o + debt, stale", overlap(), debt=True, **more),
        make("o two authorities, stale", overlap(), overlap("b"), **more),
        make("mixed, stale", overlap(), in_place("b"), **more),
        make("o i + debt, stale", issuing(), debt=True, **more),
        make("in place, not settable, stale", in_place(settable=False), **more),
        make("alternating + twin, stale", alternating(), debt=True, **more),
        make("contain o i, stale", issuing(), runs=(C,), **more),
        make("contain in place, stale", in_place(), runs=(C,), **more),
        make("contain alternating, stale", alternating(), runs=(C,), **more),
        make("retire alternating + debt, stale", alternating(), runs=(X,), debt=True, **more),
        make("o, stale, twice", overlap(), runs=(R, R), **more),
        make("in place, stale, twice", in_place(), runs=(R, R), **more),
        make("o, stale: rotate, reconcile", overlap(), runs=(R, AGAIN), **more),
        make("o: adopt, stale", overlap(), runs=(ADOPT, R), **more),
    )
    return tuple(replace(config, timed=True, late=True) for config in found)
