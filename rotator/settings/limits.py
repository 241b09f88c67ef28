"""Models of how endpoints and stores are protected from us: `limits` of each, and what the engine takes of it.

Read by the loader as a part of `connections`; `rules_of` gives the engine's plain data. Defaults are meant for a
platform of which nothing is known.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from rotator.engine.protection import Rate, Rules

from .values import Count, Model, PositiveDuration, parse_duration, refuse

_RATE: Final = re.compile(r"(\d{1,6})/(\S+)")
_NONE: Final = "none"


def _rate(value: Any) -> str:
    found = _RATE.fullmatch(value) if isinstance(value, str) else None
    try:
        calls, per = (int(found[1]), parse_duration(found[2])) if found else (0, 0)
    except ValueError:
        calls, per = 0, 0
    if value != _NONE and not (calls and per):
        raise refuse("CFG-BAD-RATE", "write a rate as calls in a span, such as 50/1s, 600/1m or 5000/1h, or `none`")
    return str(value)


RateText = Annotated[
    str, BeforeValidator(_rate), WithJsonSchema({"type": "string", "examples": ["50/1s", "600/1m", "5000/1h", "none"]})
]


class Breaker(Model):
    """When an endpoint or store that fails is left alone for a while."""

    failures: Annotated[int, Field(ge=1, le=1000)] = 10
    """So many failures in a row (no connection, no answer in time, its own errors) open it; any other answer closes."""
    open_for: PositiveDuration = 30_000
    """How long nobody calls then; afterwards one call tries. Twice as long after each try that fails."""


class Ban(Model):
    """When a refusal is taken for a ban: the endpoint is held and a person is told, before an account is locked."""

    refusals: Annotated[int, Field(ge=1, le=1000)] = 5
    """So many refusals of the acting account in a row, or so many throttlings in a row though each was waited for."""
    held_for: PositiveDuration = 300_000
    """How long nobody calls then; afterwards one call tries. Twice as long after each try that is refused."""


class Limits(Model):
    """How an endpoint is protected from too many calls. See limits.md."""

    concurrency: Annotated[int, Field(ge=1, le=256)] = 8
    """Steps under way at once, over all replicas; of two or more one is for emergencies alone. Never as many as there
    are worker threads."""
    rate: RateText = "50/1s"
    """Calls in a span, over all replicas: `50/1s`, `5000/1h`; `none`: not limited."""
    burst: Count | None = None
    """Calls at once after a rest; none said: a tenth of the rate's calls, at least what comes in two seconds. A fifth
    of it is for emergencies alone."""
    breaker: Breaker = Breaker()
    """When an endpoint that fails is left alone for a while."""
    ban: Ban = Ban()
    """When a refusal is taken for a ban."""
    repeats: Annotated[int, Field(ge=0, le=100)] = 20
    """Percent of first calls that may be repeats, beside ten that are always there and one more every ten seconds."""
    longest: PositiveDuration = 3_600_000
    """Never held for longer at one go: bounds `Retry-After`, `open_for` and `held_for`."""

    @model_validator(mode="after")
    def _bounded(self) -> Limits:
        if self.burst is not None and self.rate == _NONE:
            raise refuse("CFG-CONFLICT", "without a rate there is no burst: write a rate, or leave it out", at="burst")
        for name, at, span in (("breaker", "open_for", self.breaker.open_for), ("ban", "held_for", self.ban.held_for)):
            if span > self.longest:
                words = "it is longer than `longest`, which bounds it: write less, or a longer `longest`"
                raise refuse("CFG-OUT-OF-RANGE", words, at=(name, at))
        return self


class StoreLimits(Limits):
    """How a store is protected from too many calls. See limits.md."""

    concurrency: Annotated[int, Field(ge=1, le=256)] = 32
    """Steps that call the store and nothing else, at once, over all replicas. Never as many as there are worker
    threads."""
    rate: RateText = _NONE
    """Such steps in a span, over all replicas: `50/1s`; `none`: not limited."""


def rate_of(limits: Limits) -> Rate | None:
    """The rate as the engine takes it; None: not limited."""
    found = _RATE.fullmatch(limits.rate)
    if found is None:
        return None
    calls, per = int(found[1]), parse_duration(found[2])
    burst = limits.burst or max(1, calls // 10, 2_000 * calls // per)
    return Rate(calls, per, burst)


def rules_of(limits: Limits, workers: int) -> Rules:
    """The engine's rules. `workers`: threads that take normal work; one target never gets all of them."""
    return Rules(
        concurrency=min(limits.concurrency, max(1, workers - 1)),
        rate=rate_of(limits),
        failures=limits.breaker.failures,
        open_for=limits.breaker.open_for,
        refusals=limits.ban.refusals,
        held_for=limits.ban.held_for,
        repeats=limits.repeats,
        longest=limits.longest,
    )
