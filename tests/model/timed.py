"""Configurations with clocks: small spans in ticks, so that every order of events and expiries is met."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rotator.machine.plan import Clocks, Seen
from tests.model.configurations import (
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

BASE = Clocks(
    fresh=0,
    backoff=0,
    backoff_max=0,
    patience=2,
    patience_span=0,
    kill_patience=2,
    kill_patience_span=0,
    deadline=0,
    landing=0,
)


def _timed(*configs: Configuration, **changes: Any) -> tuple[Configuration, ...]:
    return tuple(replace(config, timed=True, whim=1, **changes) for config in configs)


def overlaps() -> tuple[Configuration, ...]:
    """K1, K2: overlap of two ticks; readers cache what was current."""
    clocks = replace(BASE, overlap=2)
    return _timed(
        make("o, overlap", overlap(), clocks=clocks, consumers=1),
        make("o i, overlap", issuing(), clocks=clocks, consumers=1),
        make("two slots, overlap", issuing(2, Seen.SNAPSHOT), clocks=clocks, consumers=1),
        make("alternating, overlap", alternating(), clocks=clocks, consumers=1),
        make("o, overlap, twice", overlap(), clocks=clocks, consumers=0, runs=(R, R)),
        make("alternating, overlap, twice", alternating(), clocks=clocks, consumers=0, runs=(R, R)),
    )


def expiring() -> tuple[Configuration, ...]:
    """K2: what serves dies by itself during the overlap."""
    clocks = replace(BASE, overlap=2)
    return _timed(
        make("o, expires", overlap(), clocks=clocks, consumers=1),
        make("o i, expires", issuing(), clocks=clocks, consumers=1),
        make("alternating, expires", alternating(), clocks=clocks, consumers=1),
        expires=True,
    )


def landing() -> tuple[Configuration, ...]:
    """K3: what was sent may land for two ticks, whatever was answered."""
    clocks = replace(BASE, deadline=1, landing=1)
    return _timed(
        make("o, late", overlap(), clocks=clocks, consumers=1),
        make("o i, late", issuing(), clocks=clocks, consumers=0),
        make("two slots, late", issuing(2, Seen.SNAPSHOT), clocks=clocks, consumers=0),
        make("in place, late", in_place(), clocks=clocks, consumers=1),
        make("in place i, late", in_place_issued(), clocks=clocks, consumers=0),
        make("alternating, late", alternating(), clocks=clocks, consumers=0),
        make("contain o, late", overlap(), clocks=clocks, consumers=0, runs=(C,)),
        make("retire in place, late", in_place(), clocks=clocks, consumers=1, runs=(X,)),
        late=True,
    )


def settling() -> tuple[Configuration, ...]:
    """K4, K9: slow replicas, revokes that take their time, proofs of two rejections."""
    clocks = replace(BASE, settle=2, times=2, over=1)
    return _timed(
        make("o, settling", overlap(), clocks=clocks, consumers=1),
        make("o i, settling", issuing(), clocks=clocks, consumers=0),
        make("contain o, settling", overlap(), clocks=clocks, consumers=0, runs=(C,)),
        make("retire o, settling", overlap(), clocks=clocks, consumers=0, runs=(X,)),
        slow=True,
    )


def graces() -> tuple[Configuration, ...]:
    """K4, K10: a displaced value goes on working for two ticks."""
    clocks = replace(BASE, times=1)
    return _timed(
        make("in place, grace", in_place(grace=2), clocks=clocks, consumers=1),
        make("in place, not settable, grace", in_place(grace=2, settable=False), clocks=clocks, consumers=1),
        make("in place i, grace", in_place_issued(grace=2), clocks=clocks, consumers=1),
        make("alternating, grace", alternating(grace=2), clocks=clocks, consumers=1),
        make("in place, grace, twice", in_place(grace=2), clocks=clocks, consumers=0, runs=(R, R)),
    )


def backing_off() -> tuple[Configuration, ...]:
    """K5, K8: attempts back off, patience is a span too."""
    clocks = replace(BASE, backoff=1, backoff_max=2, patience_span=2, kill_patience_span=2)
    return _timed(
        make("o, backing off", overlap(), clocks=clocks, consumers=1),
        make("in place, backing off", in_place(), clocks=clocks, consumers=1),
        make("alternating, backing off", alternating(), clocks=clocks, consumers=0),
        make("contain o + debt, backing off", overlap(), clocks=clocks, consumers=0, runs=(C,), debt=True),
    )
