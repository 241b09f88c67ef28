"""Values that we make: by their specification, strong enough or not at all, never twice, never shown."""

from __future__ import annotations

import re
import string
import uuid

import pytest

from rotator.effects.generate import generate
from rotator.plugin_api import Form, Misconfigured, ValueSpec


def test_a_text_is_letters_and_digits_as_long_as_allowed() -> None:
    assert re.fullmatch("[A-Za-z0-9]{64}", generate(ValueSpec(min=32, max=200)).reveal())
    assert len(generate(ValueSpec(min=22, max=40)).reveal()) == 40


def test_a_platform_that_wants_more_gets_more() -> None:
    assert len(generate(ValueSpec(min=100, max=120)).reveal()) == 100


def test_only_letters_of_the_alphabet_are_used_and_all_of_them() -> None:
    alphabet = string.ascii_uppercase + "-_"
    seen = {sign for _ in range(60) for sign in generate(ValueSpec(alphabet=alphabet)).reveal()}
    assert seen == set(alphabet)


def test_hex_is_lower_case() -> None:
    assert re.fullmatch("[0-9a-f]{40}", generate(ValueSpec(form=Form.HEX, min=40, max=40)).reveal())


def test_a_uuid_is_one_of_version_4() -> None:
    assert uuid.UUID(generate(ValueSpec(form=Form.UUID)).reveal()).version == 4


@pytest.mark.parametrize("form", [Form.SSH_ED25519, Form.OPAQUE])
def test_a_form_that_we_cannot_make_is_refused(form: Form) -> None:
    with pytest.raises(Misconfigured, match="form_unsupported"):
        generate(ValueSpec(form=form))


@pytest.mark.parametrize(
    "spec",
    [
        ValueSpec(min=1, max=21),  # 125 bits
        ValueSpec(form=Form.HEX, min=1, max=31),  # 124 bits
        ValueSpec(min=64, max=64, alphabet="aaaa"),
        ValueSpec(min=64, max=64, alphabet="abc" * 20),  # three letters, however often they are named: 101 bits
        ValueSpec(min=64, max=32),
        ValueSpec(min=0, max=0),
    ],
)
def test_a_value_below_128_bits_is_refused(spec: ValueSpec) -> None:
    with pytest.raises(Misconfigured, match="value_too_weak"):
        generate(spec)


@pytest.mark.parametrize("spec", [ValueSpec(min=1, max=22), ValueSpec(form=Form.HEX, min=1, max=32)])
def test_a_value_of_128_bits_is_made(spec: ValueSpec) -> None:
    assert len(generate(spec).reveal()) == spec.max


def test_no_value_is_made_twice() -> None:
    assert len({generate(ValueSpec(min=22, max=22)).reveal() for _ in range(2000)}) == 2000
