"""The selector language: what it means, and that an error names its column."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.engine.inventory import Tier
from rotator.engine.selectors import LONGEST, SelectorRefused, matches, parse
from tests.unit.engine_bench import credential

ONE = replace(
    credential("alpha"), labels=(("team", "itsm"), ("site", "Berlin, Mitte"), ("tier", "gold")),
    workflows=("sync", "report"), tier=Tier.T1,
)  # fmt: skip

HOLDS = (
    "id=alpha", "team=itsm", "team!=ops", "team in (ops, itsm)", "team not in (ops,dev)", "tier=T1", "tier in (T0,T1)",
    "workflow=sync", "workflow=report", "workflow in (sync)", "workflow!=other", 'site="Berlin, Mitte"', "id=al*",
    "team=*", "absent!=*", "absent!=x", "label.team=itsm", "label.tier=gold", "label.tier!=T1",
    " team = itsm , tier = T1 ", "tier!=T0", "tier=T*",
    "store=main", "policy=standard", "endpoint=api", "endpoint=a*", "kind=key", "principal!=nobody", 'id="alpha"',
)  # fmt: skip
HOLDS_NOT = (
    "id=beta", "team=ops", "team!=itsm", "team!=it*", "team in (ops)", "team not in (itsm)", "absent=*", "absent=x",
    "workflow!=sync", "workflow not in (sync)", "team=itsm,tier=T0", "id=alph", "id=ALPHA", "label.absent=x",
)  # fmt: skip
REFUSED = (
    ("", 1, "a key"), ("   ", 1, "a key"), ("team", 5, "one of"), ("team=", 6, "a value"), ("=itsm", 1, "a key"),
    ("team=itsm,", 11, "a key"), ("team=itsm tier=T0", 11, "a comma"), ("team in", 8, "a list"),
    ("team in ()", 10, "a value"), ("team in (a b)", 12, "a comma"), ("team in (a,", 12, "a value"),
    ("team not (a)", 10, "`in`"), ('team="itsm', 6, "quote"), ("team=a*b", 7, "at the end"), ("tier=T9", 6, "a tier"),
    ("tier in (T0, x)", 14, "a tier"), ("team==x", 6, "a value"), ("!team", 1, "character"), ("label.=x", 1, "label"),
    ('"team"=x', 1, "a key"), ("team=(a)", 6, "a value"), ("team!x", 5, "character"),
    ("team in (a))", 12, "a comma"), ("x=" + "a" * LONGEST, LONGEST + 1, "at most"),
)  # fmt: skip


@pytest.mark.parametrize("text", HOLDS)
def test_a_selector_means_the_credential(text: str) -> None:
    assert matches(parse(text), ONE)


@pytest.mark.parametrize("text", HOLDS_NOT)
def test_a_selector_does_not_mean_the_credential(text: str) -> None:
    assert not matches(parse(text), ONE)


@pytest.mark.parametrize(("text", "column", "words"), REFUSED)
def test_what_is_no_selector_is_refused_at_its_column(text: str, column: int, words: str) -> None:
    with pytest.raises(SelectorRefused) as refused:
        parse(text)
    assert (refused.value.column, words in refused.value.words) == (column, True), refused.value.words


def test_no_selector_means_every_credential() -> None:
    assert matches(None, ONE)


def test_a_label_is_told_from_a_key() -> None:
    assert [one.key for one in parse("team=a,tier=T0,label.site=b").labels()] == ["team", "site"]


@given(st.text(max_size=60))
def test_any_text_is_a_selector_or_refused_within_itself(text: str) -> None:
    column = 1
    try:
        matches(parse(text), ONE)
    except SelectorRefused as refused:
        column = refused.column
    assert 1 <= column <= len(text) + 1


@given(st.from_regex(r'[^"]{0,30}', fullmatch=True).filter(lambda text: "*" not in text))
def test_every_value_can_be_written_in_quotes(value: str) -> None:
    one = replace(ONE, labels=(("team", value),))
    assert matches(parse(f'team="{value}"'), one)
    assert not matches(parse(f'team!="{value}"'), one)
