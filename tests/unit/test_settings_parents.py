"""Policies that take from another what they do not say: what they become, where it is told, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from rotator.engine import calendar
from rotator.settings.governance import Policy
from rotator.settings.loader import load, load_text
from rotator.settings.models import from_json, to_json
from rotator.settings.problems import ConfigurationRefused, Problem

HEAD = """\
apiVersion: rotator/v1
installation: acme
daemon: {ledger: /l.db, fingerprint_key: {file: /f.key}, socket: /api.sock}
policies:
"""


def policies(text: str) -> dict[str, Policy]:
    return dict(load_text(HEAD + text, "rotator.yaml").configuration.policies)


def refused(text: str) -> tuple[Problem, ...]:
    with pytest.raises(ConfigurationRefused) as raised:
        load_text(HEAD + text, "rotator.yaml")
    return tuple(one for one in raised.value.problems if not one.warning)


def test_a_policy_takes_what_it_does_not_say_from_its_parent():
    found = policies(
        "  standard: {every: 30d, overlap: 24h, zone: Europe/Berlin}\n  fast: {parent: standard, every: 7d}\n"
    )
    assert found["fast"].every == 7 * calendar.DAY
    assert found["fast"].overlap == calendar.DAY
    assert found["fast"].zone == "Europe/Berlin"
    assert found["fast"].parent is None


def test_mappings_are_taken_key_by_key_and_the_child_wins():
    found = policies(
        '  standard: {every: 30d, overlap: 1h, proof: {times: 5, over: 9m}, window: {from: "01:00", to: "05:00"}}\n'
        '  late: {parent: standard, window: {to: "06:00"}, proof: {grade: 1}}\n'
    )["late"]
    assert (found.proof.times, found.proof.over, found.proof.grade) == (5, 9 * calendar.MINUTE, 1)
    assert found.window is not None
    assert (found.window.start, found.window.end) == (60, 360)


def test_a_chain_of_parents_is_followed_in_any_order():
    found = policies(
        "  c: {parent: b, jitter: 1h}\n  b: {parent: a, overlap: 2h}\n  a: {every: 30d, overlap: 1h, fresh: 9m}\n"
    )["c"]
    assert (found.jitter, found.overlap, found.fresh) == (calendar.HOUR, 2 * calendar.HOUR, 9 * calendar.MINUTE)


def test_null_takes_a_key_away():
    found = policies('  a: {every: 30d, overlap: 1h, jitter: 2h}\n  b: {parent: a, every: null, cron: "0 3 * * 6"}\n')[
        "b"
    ]
    assert (found.every, found.cron, found.jitter) == (None, "0 3 * * 6", 2 * calendar.HOUR)
    inner = policies(
        '  a: {every: 30d, overlap: 1h, window: {from: "01:00", to: "05:00", zone: Europe/Berlin}}\n'
        "  b: {parent: a, window: {zone: ~}}\n  c: {parent: b, window: null}\n"
    )
    assert inner["b"].window is not None
    assert inner["b"].window.zone is None
    assert inner["c"].window is None


def test_what_is_left_empty_is_no_null():
    (problem,) = refused("  a: {every: 30d, overlap: 1h}\n  b:\n    parent: a\n    overlap:\n")
    assert (problem.code, problem.line, problem.column) == ("CFG-EMPTY", 8, 5)
    assert "write `null`" in problem.message


def test_a_key_that_conflicts_with_an_inherited_one_names_where_it_comes_from():
    (problem,) = refused('  a: {every: 30d, overlap: 1h}\n  b: {parent: a, cron: "0 3 * * 6"}\n')
    assert (problem.code, problem.line, problem.where) == ("CFG-CONFLICT", 6, "policies.b.cron")
    assert "`every` is from `a` (rotator.yaml:5): take it away with `every: null`" in problem.message


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("  a: {parent: a, every: 1d, overlap: 1h}\n", ["`a`"]),
        ("  a: {parent: b, every: 1d, overlap: 1h}\n  b: {parent: a, every: 1d, overlap: 1h}\n", ["`a`", "`b`"]),
        ("  x: {parent: a}\n  a: {parent: b}\n  b: {parent: c}\n  c: {parent: a}\n", ["`a`", "`b`", "`c`"]),
    ],
)
def test_a_circle_is_told_once_with_every_place(text, names):
    (problem,) = refused(text)
    assert problem.code == "CFG-PARENT-CYCLE"
    assert problem.line >= 5
    for number, name in enumerate(names):
        assert f"{name} (rotator.yaml:{5 + number + ('  x:' in text)})" in problem.message


def test_an_unknown_parent_is_told_at_its_place_and_nothing_that_it_would_have_given():
    (problem,) = refused("  standard: {every: 30d, overlap: 1h}\n  b: {parent: standrad}\n  c: {parent: b}\n")
    assert (problem.code, problem.line, problem.column, problem.suggestion) == ("CFG-UNKNOWN-REF", 6, 15, "standard")


@pytest.mark.parametrize("parent", ["[a, b]", "7", "{name: a}", "null", ""])
def test_a_parent_is_one_name(parent):
    (problem,) = refused(
        f"  a: {{every: 30d, overlap: 1h}}\n  b:\n    every: 30d\n    overlap: 1h\n    parent: {parent}\n"
    )
    assert problem.code in ("CFG-WRONG-TYPE", "CFG-EMPTY")
    assert problem.line == 9


def test_a_mistake_of_the_parent_is_told_once_where_it_stands():
    (problem,) = refused("  a: {every: 30d, overlap: 40d}\n  b: {parent: a}\n  c: {parent: b, jitter: 1h}\n")
    assert (problem.code, problem.line, problem.where) == ("CFG-OVERLAP-TOO-LONG", 5, "policies.a.overlap")


def test_a_mistake_that_only_the_child_makes_of_it_is_placed_at_the_parent_and_names_both():
    (problem,) = refused("  a: {every: 30d, overlap: 10d}\n  b: {parent: a, every: 7d}\n")
    assert (problem.code, problem.line, problem.where) == ("CFG-OVERLAP-TOO-LONG", 5, "policies.b.overlap")
    assert "`b` has it from `a`" in problem.message


def test_what_is_kept_is_whole_and_comes_back_the_same():
    configuration = load_text(HEAD + "  a: {every: 30d, overlap: 1h}\n  b: {parent: a, overlap: 2h}\n").configuration
    assert from_json(to_json(configuration)) == configuration
    assert '"parent"' not in to_json(configuration)


def test_a_parent_in_another_file_is_found_and_placed(tmp_path: Path):
    (tmp_path / "policies").mkdir()
    (tmp_path / "rotator.yaml").write_text(HEAD.replace("policies:\n", ""))
    (tmp_path / "policies/base.yaml").write_text("apiVersion: rotator/v1\npolicies:\n  a: {every: 30d, overlap: 10d}\n")
    (tmp_path / "policies/team.yaml").write_text("apiVersion: rotator/v1\npolicies:\n  b: {parent: a, every: 7d}\n")
    with pytest.raises(ConfigurationRefused) as raised:
        load(tmp_path)
    (problem,) = (one for one in raised.value.problems if not one.warning)
    assert problem.file == str(tmp_path / "policies/base.yaml")
    assert problem.line == 3
