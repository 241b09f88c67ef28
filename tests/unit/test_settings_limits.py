"""`limits` of endpoints and stores: what is written, what the engine takes of it, what is refused."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from rotator.engine.protection import Rate, Rules
from rotator.settings.connections import Endpoint, LocalStore
from rotator.settings.limits import Limits, StoreLimits, rate_of, rules_of


def limits(**said: object) -> Limits:
    return Limits.model_validate(said)


def test_without_a_word_an_endpoint_has_safe_limits_and_a_store_no_rate() -> None:
    rules = rules_of(Endpoint.model_validate({"plugin": "file"}).limits, 14)
    assert rules == Rules(8, Rate(50, 1_000, 100), 10, 30_000, 5, 300_000, 20, 3_600_000)
    store = LocalStore.model_validate({"type": "local", "path": "/s", "key": {"file": "/k"}})
    assert rules_of(store.limits, 64) == Rules(32, None, 10, 30_000, 5, 300_000, 20, 3_600_000)


@pytest.mark.parametrize(
    ("said", "rate"),
    [
        ({"rate": "10/1s"}, Rate(10, 1_000, 20)),
        ({"rate": "5000/1h"}, Rate(5_000, 3_600_000, 500)),
        ({"rate": "1/10m"}, Rate(1, 600_000, 1)),
        ({"rate": "600/1m", "burst": 7}, Rate(600, 60_000, 7)),
        ({"rate": "none"}, None),
    ],
)
def test_a_rate_is_calls_in_a_span(said: dict[str, object], rate: Rate | None) -> None:
    assert rate_of(limits(**said)) == rate


@pytest.mark.parametrize(
    "text", ["50", "0/1s", "50/", "50/0s", "/1s", "50/1", "-5/1s", "5.5/1s", "9999999/1s", "50/1month", "fast", "", 50]
)
def test_what_is_no_rate_is_refused(text: object) -> None:
    with pytest.raises(ValidationError) as refused:
        limits(rate=text)
    assert [one["type"] for one in refused.value.errors()] == ["CFG-BAD-RATE"]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"rate": "none", "burst": 5}, "CFG-CONFLICT"),
        ({"breaker": {"open_for": "2h"}}, "CFG-OUT-OF-RANGE"),
        ({"ban": {"held_for": "2h"}}, "CFG-OUT-OF-RANGE"),
        ({"longest": "10s"}, "CFG-OUT-OF-RANGE"),
        ({"concurrency": 0}, "greater_than_equal"),
        ({"burst": 0}, "greater_than_equal"),
        ({"breaker": {"failures": 0}}, "greater_than_equal"),
        ({"ban": {"refusals": 0}}, "greater_than_equal"),
        ({"repeats": 101}, "less_than_equal"),
        ({"longest": "0s"}, "CFG-OUT-OF-RANGE"),
        ({"speed": 3}, "extra_forbidden"),
    ],
)
def test_what_cannot_be_meant_is_refused(said: dict[str, object], code: str) -> None:
    with pytest.raises(ValidationError) as refused:
        limits(**said)
    assert [one["type"] for one in refused.value.errors()] == [code]


@pytest.mark.parametrize(("asked", "workers", "given"), [(8, 14, 8), (8, 4, 3), (200, 14, 13), (8, 1, 1), (8, 0, 1)])
def test_no_endpoint_gets_every_worker(asked: int, workers: int, given: int) -> None:
    assert rules_of(limits(concurrency=asked), workers).concurrency == given


def test_limits_are_written_as_they_are_read() -> None:
    one = StoreLimits.model_validate({"rate": "10/1s", "breaker": {"open_for": "45s"}, "longest": "30m"})
    assert StoreLimits.model_validate(one.model_dump(mode="json", exclude_none=True)) == one
