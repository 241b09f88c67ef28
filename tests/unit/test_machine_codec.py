"""Whatever the machine can come to know goes to the ledger and comes back the same."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotator.machine.codec import NotPlain, from_plain, to_plain
from rotator.machine.events import Answered, Asked, Event, Finished, Intended, Opened, Outcome, Turned
from rotator.machine.facts import Facts
from rotator.machine.frozen import FrozenMap
from rotator.machine.ids import ConsumerId, Gen, Handle, Home, Label, Version
from rotator.machine.plan import Plan

TEXT = st.text(max_size=8)
st.register_type_strategy(Gen, st.integers(-2, 9).map(Gen))
st.register_type_strategy(Handle, TEXT.map(Handle))
st.register_type_strategy(Label, TEXT.map(Label))
st.register_type_strategy(Version, TEXT.map(Version))
st.register_type_strategy(ConsumerId, TEXT.map(ConsumerId))
st.register_type_strategy(Home, st.builds(Home, TEXT, TEXT))
st.register_type_strategy(
    FrozenMap,
    lambda kind: st.dictionaries(st.from_type(kind.__args__[0]), st.from_type(kind.__args__[1]), max_size=2).map(
        FrozenMap
    ),
)


def through_json(value: object) -> object:
    return json.loads(json.dumps(to_plain(value)))


@settings(max_examples=60, deadline=None)
@given(st.builds(Facts))
def test_facts_come_back_the_same(facts):
    back = from_plain(Facts, through_json(facts))
    assert back == facts
    assert hash(back) == hash(facts)


@settings(max_examples=60, deadline=None)
@given(st.from_type(Facts))
def test_any_facts_come_back_the_same(facts):
    assert from_plain(Facts, through_json(facts)) == facts


@settings(max_examples=40, deadline=None)
@given(st.from_type(Plan))
def test_plans_come_back_the_same(plan):
    assert from_plain(Plan, through_json(plan)) == plan


@settings(max_examples=100, deadline=None)
@given(st.one_of(*(st.from_type(kind) for kind in (Opened, Intended, Outcome, Turned, Asked, Finished, Answered))))
def test_events_come_back_the_same(event):
    assert from_plain(Event, through_json(event)) == event


@pytest.mark.parametrize(
    ("plain", "path"),
    [
        ({"is": "Facts", "top": "1"}, "$.top"),
        ({"is": "Facts", "unheard": 1}, "$.unheard"),
        ({"is": "Plan"}, "$"),
        ({"is": "Facts", "kept": {"a": 1}}, "$.kept"),
        ({"is": "Facts", "ending": "splendid"}, "$.ending"),
        ([], "$"),
    ],
)
def test_what_does_not_fit_says_where(plain, path):
    with pytest.raises(NotPlain) as caught:
        from_plain(Facts, plain)
    assert caught.value.path == path


def test_true_is_not_the_number_one():
    with pytest.raises(NotPlain):
        from_plain(Facts, {"is": "Facts", "top": True})
