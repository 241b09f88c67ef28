"""Whatever stands in a file, it is loaded or refused in words; and no secret in it is ever shown."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rotator.settings.documents import parse_document, scalars_of
from rotator.settings.loader import load_text
from rotator.settings.problems import CODES, ConfigurationRefused, Problem

TEXT = (Path(__file__).parents[2] / "config" / "rotator.example.yaml").read_text()
BARE = "\n".join(line.split(" #")[0].rstrip() for line in TEXT.splitlines() if not line.lstrip().startswith("#")) + "\n"
LINES = BARE.splitlines()
SPANS = [
    (path, node.start_mark.index, node.end_mark.index)
    for path, node in scalars_of(parse_document("x", BARE).root)
    if node.end_mark.index > node.start_mark.index
]
WEIRD = [
    "",
    "~",
    "[]",
    "{}",
    "[{}]",
    "7",
    "-1",
    "1.5",
    ".inf",
    ".nan",
    "true",
    "x",
    '""',
    "{a: {b: c}}",
    "[[1]]",
    "0x10",
]
WEIRD += ["${env:NOT_SET_AT_ALL}", "${env:X:-}", "${file:/dev/null}", "${", "$$${HOME}", "{parent: standard}"]
WEIRD += ["9" * 400, "2026-13-45", "!x y", "*a", "&a b", "'\\0'", "\u2028", "'" + "a" * 5000 + "'", "no: no", "- x"]


def problems_of(text: str) -> tuple[Problem, ...]:
    try:
        load_text(text, "x.yaml", plugins={"http", "file", "postgresql"}, now=1_795_500_000_000)
    except ConfigurationRefused as refused:
        return refused.problems
    return ()


def check(text: str) -> None:
    lines = text.replace("\r\n", "\n").split("\n")
    for problem in problems_of(text):
        assert problem.code in CODES
        assert problem.message
        assert problem.line >= 1
        assert problem.line <= len(lines) + 1
        assert problem.column >= 1
        assert problem.in_words()


@pytest.mark.parametrize("value", WEIRD)
def test_any_value_at_any_place_is_loaded_or_refused_in_words(value):
    """Each value at every fourth place, the places in turn: all pairs take a minute and found no more."""
    for _path, start, end in SPANS[WEIRD.index(value) % 4 :: 4]:
        check(BARE[:start] + value + BARE[end:])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(0, len(BARE)), st.integers(0, 40), st.text(max_size=6)), min_size=1, max_size=4))
def test_a_mangled_file_is_loaded_or_refused_in_words(edits):
    text = BARE
    for at, length, new in edits:
        text = text[:at] + new + text[at + length :]
    check(text)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_refused_in_words(text):
    check(text)
    check("apiVersion: rotator/v1\n" + text)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.permutations(range(len(LINES))), st.integers(1, len(LINES)))
def test_lines_in_any_order_are_loaded_or_refused_in_words(order, count):
    check("\n".join(LINES[number] for number in order[:count]))


@pytest.mark.parametrize("number", range(len(SPANS)), ids=[".".join(map(str, path)) for path, _, _ in SPANS])
def test_a_secret_at_any_place_is_never_shown(number):
    """Everything else in the file is broken too, so that its line is shown if it can be."""
    path, start, end = SPANS[number]
    text = BARE[:start] + "hvs.canary" + BARE[end:]
    for edit in (("owner:", "ownr:"), ("principal:", "principl:"), ("every:", "evry:"), ("type:", "typ:")):
        text = text.replace(*edit)
    with pytest.raises(ConfigurationRefused) as refused:
        load_text(text, "x.yaml", plugins={"http"}, now=1_795_500_000_000)
    shown = refused.value.in_words() + str([one.as_json() for one in refused.value.problems]) + repr(refused.value)
    shown += "".join(traceback.format_exception(refused.value))
    assert "canary" not in shown, path


@pytest.mark.parametrize("plain", ["canary", "Canary7!", "12345678canary"])
def test_a_secret_that_looks_like_nothing_is_not_shown_where_a_reference_belongs(plain):
    for old in (
        "{file: /etc/rotator/fingerprint.key}",
        "{file: /run/secrets/secret-id}",
        "{file: /etc/rotator/store.key}",
        "{store: main, path: admin/alerta, field: key}",
        "{store: embedded, path: admin/db, field: password}",
    ):
        assert old in BARE
        for new in (f'"{plain}"', f"[{plain}]", f"{{value: {plain}}}", f"{{fiel: {plain}}}", f"{{{plain}: x}}"):
            text = BARE.replace(old, new).replace("principal:", "principl:").replace("type:", "typ:")
            problems = problems_of(text)
            assert problems
            told = [one for one in problems if "canary" in one.in_words().lower()]
            assert not told or new == f"{{{plain}: x}}", told[0].in_words()
