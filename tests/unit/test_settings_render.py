"""What counts in the end is shown with where it comes from, and is a configuration again."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotator.settings.excerpts import hides, looks_secret
from rotator.settings.loader import Loaded, load, load_text
from rotator.settings.models import to_json
from rotator.settings.render import effective, origin, path_of, text, values

CONFIG = Path(__file__).parents[2] / "config"
TEXT = """\
apiVersion: rotator/v1
installation: acme
daemon: {ledger: /l.db, fingerprint_key: {file: /f.key}, socket: /api.sock}
policies:
  standard:
    every: 30d
    overlap: 24h
    proof: {times: 5}
  a.b:
    parent: standard
    proof: {grade: 1}
    zone: "${env:ZONE}"
  last: {parent: a.b}
"""


@pytest.fixture
def loaded() -> Loaded:
    return load_text(TEXT, "rotator.yaml", environment={"ZONE": "Europe/Berlin"})


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (("installation",), "rotator.yaml:2"),
        (("daemon", "tick"), "default"),
        (("policies", "standard", "every"), "rotator.yaml:6"),
        (("policies", "a.b", "every"), "policy standard (rotator.yaml:6)"),
        (("policies", "a.b", "zone"), "rotator.yaml:12, from ${env:ZONE}"),
        (("policies", "a.b", "proof", "times"), "policy standard (rotator.yaml:8)"),
        (("policies", "a.b", "proof", "grade"), "rotator.yaml:11"),
        (("policies", "a.b", "proof", "over"), "default"),
        (("policies", "last", "proof", "times"), "policy standard (rotator.yaml:8)"),
        (("policies", "last", "proof", "grade"), "policy a.b (rotator.yaml:11)"),
        (("policies", "last", "zone"), "policy a.b (rotator.yaml:12), from ${env:ZONE}"),
        (("policies", "last", "fresh"), "default"),
    ],
)
def test_every_value_says_where_it_comes_from(loaded, path, words):
    assert origin(loaded, path).in_words() == words


def test_origins_stand_behind_their_values(loaded):
    lines = [line.split("  # ") for line in text(loaded, origins=True, only=("policies", "last")).splitlines()]
    found = {one[0].strip(): one[1] for one in lines if len(one) == 2}
    assert found["every: 30d"] == "policy standard (rotator.yaml:6)"
    assert found["zone: Europe/Berlin"] == "policy a.b (rotator.yaml:12), from ${env:ZONE}"
    assert found["jitter: 0s"] == "default"


@pytest.mark.parametrize("origins", [True, False])
@pytest.mark.parametrize("name", ["minimal.yaml", "rotator.example.yaml"])
def test_what_is_shown_is_the_same_configuration_again(name, origins):
    loaded = load(CONFIG / name)
    again = load_text(text(loaded, origins=origins))
    assert again.configuration == loaded.configuration
    assert text(again) == text(loaded)


def test_parents_and_references_are_gone_from_what_is_shown(loaded):
    again = load_text(text(loaded), environment={})
    assert again.configuration == loaded.configuration
    assert again.sources.inherited == {}
    assert again.sources.referred == {}


WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=12)
KEYS = WORDS.filter(lambda key: not hides(key) and key != "<<")


def _is_shown(word: str) -> bool:
    return bool(word.strip()) and not looks_secret(word)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(KEYS, WORDS.filter(_is_shown), max_size=4), WORDS.filter(_is_shown))
def test_any_text_comes_back_the_same(labels, purpose):
    whole = load(CONFIG / "minimal.yaml").configuration
    one = whole.credentials["alerta-sync"].model_copy(update={"labels": labels, "purpose": purpose})
    changed = whole.model_copy(update={"credentials": {"alerta-sync": one}})
    loaded = Loaded(changed)
    again = load_text(text(loaded))
    assert to_json(again.configuration) == to_json(changed)
    assert all(letter.isprintable() or letter == "\n" for letter in text(loaded))


def test_a_part_is_named_by_its_keys_also_where_an_id_has_dots(loaded):
    assert path_of("policies.a.b.proof", loaded) == ("policies", "a.b", "proof")
    assert path_of("", loaded) == ()
    assert [one.path[-1] for one in values(loaded, ("policies", "a.b", "proof"))] == [
        "times",
        "over",
        "grade",
        "retired",
    ]
    for wrong in ("policies.x", "installation.x", "policies.a.b.proof.times.x", "."):
        with pytest.raises(LookupError):
            path_of(wrong, loaded)


def test_what_nobody_said_and_is_empty_is_left_out():
    shown = effective(load(CONFIG / "minimal.yaml"))
    assert "consumers" not in shown["credentials"]["alerta-sync"]
    assert "traits" not in shown["endpoints"]["alerta"]
