"""Declarations, discovery, shapes and configuration: what is refused when a plugin is loaded, and in which words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from rotator.effects.generate import generate
from rotator.effects.host import (
    BrokenPlugin,
    ConfigFault,
    discover,
    make_config,
    objections,
    to_core_traits,
    to_kind_traits,
)
from rotator.plugin_api import (
    Acting,
    Expiry,
    Form,
    Kind,
    Label,
    Lists,
    Lost,
    Origin,
    Plugin,
    ProbeLimit,
    Revokes,
    Role,
    Traits,
    Undo,
    ValueSpec,
)
from rotator.plugin_api.patterns import objection


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    url: str
    retries: int = 3
    strict: bool = False


def slot(at: Any, request: Any) -> Any:
    raise AssertionError("reading a declaration calls nothing")


SOUND = Traits(
    role=Role.AUTHORITY,
    origin=Origin.GENERATED,
    lost=Lost.PROBE,
    live=None,
    old_lives=None,
    undo=Undo.REVOKE_NEW,
    revokes=Revokes.ONE,
    lists=Lists.ALL,
    label=Label(max=24),
    settle=timedelta(seconds=2),
    expiry=Expiry(min=timedelta(minutes=1), max=None),
)


def kind(traits: Traits = SOUND, **options: Any) -> Kind[Config]:
    slots = {"probe": slot, "install": slot, "list": slot, "revoke": slot, **options}
    return Kind(name="key", title="A key", traits=traits, **slots)


def plugin(*kinds: Kind[Config], **options: Any) -> Plugin[Config]:
    return Plugin(**{"name": "sample", "version": "1", "config": Config, "kinds": kinds or (kind(),), **options})


def test_a_sound_declaration_is_not_objected_to() -> None:
    assert objections(plugin(routes=("GET /a/{id}",), reasons={"told": "Words."})) == ()


@pytest.mark.parametrize(
    ("traits", "slots", "slug"),
    [
        ({"origin": Origin.ISSUED, "lost": Lost.BY_LABEL}, {}, "no_issue"),
        ({}, {"install": None}, "no_install"),
        ({"origin": Origin.HUMAN, "lost": Lost.NONE}, {}, "no_human_issue"),
        ({}, {"probe": None}, "lost_needs"),
        ({"lost": Lost.READ_BACK}, {}, "lost_needs"),
        ({"lost": Lost.BY_LABEL, "label": None}, {}, "lost_needs"),
        ({"lost": Lost.BY_SNAPSHOT, "lists": Lists.NONE}, {"list": None}, "lost_needs"),
        ({"lost": Lost.EXPIRES}, {}, "lost_needs"),
        ({}, {"revoke": None}, "no_revoke"),
        ({"revokes": Revokes.ALL}, {}, "undo_revoke"),
        ({"undo": Undo.REINSTALL_OLD}, {"install": None}, "undo_install"),
        ({"revokes": Revokes.NONE, "undo": Undo.NONE}, {}, "revokes"),
        ({"lists": Lists.NONE}, {}, "lists"),
        ({"role": Role.CONSUMER, "lost": Lost.RESEND}, {"issue": slot}, "consumer_issues"),
        ({"role": Role.CONSUMER}, {}, "consumer_lost"),
        ({"role": Role.ISSUER, "origin": Origin.ISSUED}, {"issue": slot}, "issuer_probes"),
        ({"places": True}, {}, "places"),
        (
            {
                "origin": Origin.ISSUED,
                "lost": Lost.BY_LABEL,
                "acting": frozenset({Acting.SELF}),
                "old_lives": timedelta(0),
            },
            {"issue": slot},
            "self_rotation",
        ),
        ({"probe_limit": ProbeLimit(failures=1, per=timedelta(hours=1), success_resets=True)}, {}, "probe_limit"),
        ({"acting": frozenset()}, {}, "acting"),
    ],
)
def test_a_contradiction_is_refused_with_its_slug(traits: dict[str, Any], slots: dict[str, Any], slug: str) -> None:
    found = objections(plugin(kind(replace(SOUND, **traits), **slots)))
    assert slug in {one.slug for one in found}
    assert all(one.words for one in found)


@pytest.mark.parametrize(
    ("options", "slug"),
    [
        ({"api": 2}, "api_version"),
        ({"name": "Has Space"}, "plugin_name"),
        ({"config": dict}, "config_type"),
        ({"kinds": ()}, "kind_names"),
        ({"routes": ("FETCH /x",)}, "route"),
        ({"routes": ("GET /x?y=1",)}, "route"),
        ({"reasons": {"Not A Slug": ""}}, "reason"),
    ],
)
def test_a_plugin_as_a_whole_is_checked(options: dict[str, Any], slug: str) -> None:
    assert slug in {one.slug for one in objections(plugin(**options))}


def test_only_named_plugins_are_imported() -> None:
    entries = [
        EntryPoint("file", "rotator_file", "rotator.plugins"),
        EntryPoint("bad", "no_such_module", "rotator.plugins"),
    ]
    found = discover([("file", "")], frozenset({"file"}), lambda: entries)
    assert found["file", ""].plugin.name == "file"
    assert len(found["file", ""].digest) == 64


@pytest.mark.parametrize(
    ("wanted", "allowed", "entries", "words"),
    [
        (("file", ""), "other", [("file", "rotator_file")], "not in plugins.allow"),
        (("file", ""), "file", [], "not installed"),
        (("file", ""), "file", [("file", "rotator_file"), ("file", "rotator_postgresql")], "more than once"),
        (("bad", ""), "bad", [("bad", "no_such_module")], "cannot be imported"),
        (("bad", ""), "bad", [("bad", "json")], "no `plugin` value"),
        (("other", ""), "other", [("other", "rotator_file")], "calls itself `file`"),
        (("file", "alerta"), "file", [("file", "rotator_file")], "reads no packs"),
    ],
)
def test_a_broken_plugin_stops_with_words(
    wanted: tuple[str, str], allowed: str, entries: list[tuple[str, str]], words: str
) -> None:
    points = [EntryPoint(name, value, "rotator.plugins") for name, value in entries]
    with pytest.raises(BrokenPlugin, match=words):
        discover([wanted], frozenset({allowed}), lambda: points)


def test_a_config_is_made_of_plain_values() -> None:
    made = make_config(plugin(), {"url": "https://x.example/base"})
    assert (made.url, made.retries) == ("https://x.example/base", 3)


def test_every_problem_of_a_config_is_told_at_once() -> None:
    with pytest.raises(ConfigFault) as caught:
        make_config(plugin(), {"url": "https://u:p@x.example", "retries": True, "extra": 1})
    assert {name for name, _ in caught.value.problems} == {"url", "retries", "extra"}


def test_a_shape_is_plain_data_with_numbers_overridden() -> None:
    shape = to_kind_traits(kind(), {"settle_ms": 5000, "live": 3})
    assert (shape.settle_ms, shape.live, shape.old_lives_ms, shape.lost) == (5000, 3, None, "probe")
    assert (shape.has_install, shape.has_issue, shape.expiry_min_ms) == (True, False, 60_000)
    core = to_core_traits(kind(), {"settle_ms": 5000})
    assert (core.settle, core.labelled, core.lists, core.revoke) == (5000, True, True, True)


@pytest.mark.parametrize("override", [{"lost": 1}, {"settle_ms": -1}, {"live": 0}, {"old_lives_ms": 5}])
def test_an_override_that_changes_a_word_is_refused(override: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"`[a-z_]+`"):
        to_kind_traits(kind(), override)


@pytest.mark.parametrize(
    "pattern",
    [
        r"(a+)+$",
        r"(a|aa)+$",
        r"(.*a){20}",
        r"(a)\1",
        r"(?=a)b",
        r".*.*.*x",
        "[",
        "x" * 300,
        r"((ab)*c*)*",
        r"(?:a?){30}b",
    ],
)
def test_a_pattern_without_a_bounded_time_is_refused(pattern: str) -> None:
    assert objection(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "^Not authorized",
        r"^API key parameter '.*' is invalid$",
        r"^RT/\S+ 409 (?s:.*)at least \d+ characters",
        "a|b",
        r"\d{3}",
    ],
)
def test_a_plain_pattern_is_allowed(pattern: str) -> None:
    assert objection(pattern) == ""


def test_generated_values_satisfy_their_spec() -> None:
    value = generate(ValueSpec(form=Form.TEXT, min=40, max=40, alphabet="abcdefghijklmnop"))
    assert generate(ValueSpec()).matches(generate(ValueSpec())) is False
    assert len(value.reveal()) == 40
    assert set(value.reveal()) <= set("abcdefghijklmnop")
