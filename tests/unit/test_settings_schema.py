"""The schema that editors use: it takes all that the loader takes, refuses what it can, and stays in their subset."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fastjsonschema
import pytest

from rotator.daemon.offline import plugin_parts
from rotator.settings.documents import parse_document
from rotator.settings.loader import load_text
from rotator.settings.problems import ConfigurationRefused
from rotator.settings.schema import DRAFTS, FILE, schema
from rotator.settings.values import parse_duration
from tests.unit.test_settings_bad_input import CASES, GOOD

CONFIG = Path(__file__).parents[2] / "config"
SHIPPED = CONFIG / "schema" / FILE
EXAMPLES = [CONFIG / "minimal.yaml", CONFIG / "rotator.example.yaml", *sorted(CONFIG.glob("example/**/*.yaml"))]
KNOWN_KEYWORDS = {
    "$schema", "$id", "$ref", "definitions", "title", "description", "default", "examples", "type", "const", "enum",
    "properties", "required", "additionalProperties", "items", "minLength", "minItems", "maxItems", "minimum",
    "maximum",
    "pattern", "anyOf", "oneOf", "allOf", "if", "then", "else", "uniqueItems", "exclusiveMinimum", "maxLength",
    "propertyNames", "minProperties",
}  # fmt: skip


@pytest.fixture(scope="module")
def judge() -> Callable[[Any], None]:
    made: Callable[[Any], None] = fastjsonschema.compile(json.loads(SHIPPED.read_text()), use_default=False)
    return made


def data(text: str) -> dict[str, Any]:
    return dict(parse_document("x.yaml", text).data)


def keywords(part: Any, *, names: bool = False) -> Iterator[str]:
    if isinstance(part, list):
        for one in part:
            yield from keywords(one)
    elif isinstance(part, dict):
        for key, one in part.items():
            if not names:
                yield key
            if names or key not in ("default", "examples", "enum", "const"):
                yield from keywords(one, names=key in ("properties", "definitions", "$defs") and not names)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.relative_to(CONFIG)))
def test_every_example_is_taken_and_names_the_schema_in_its_first_line(judge, path):
    judge(data(path.read_text()))
    line = path.read_text().splitlines()[0]
    assert line.startswith("# yaml-language-server: $schema=")
    assert (path.parent / line.partition("=")[2]).resolve() == SHIPPED


def test_it_stays_inside_what_editors_know():
    shipped = json.loads(SHIPPED.read_text())
    assert shipped["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert set(keywords(shipped)) - KNOWN_KEYWORDS == set()
    text = SHIPPED.read_text()
    assert "$defs" not in text
    assert "prefixItems" not in text
    for part in _mappings(shipped):
        assert "$ref" not in part or len(part) == 1, part


def _mappings(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        yield part
    for one in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _mappings(one)


@pytest.mark.parametrize("draft", DRAFTS)
def test_every_reference_leads_somewhere_and_nothing_is_left_over(draft):
    made = schema(plugin_parts(), draft)
    known = made["definitions" if draft == "07" else "$defs"]
    used = {str(one["$ref"]).rpartition("/")[2] for one in _mappings(made) if "$ref" in one}
    assert used == set(known)


@pytest.mark.parametrize(("old", "new"), [(case[0], case[1].replace("^", "", 1)) for case in CASES])
def test_what_the_loader_takes_the_schema_takes(judge, old, new):
    text = GOOD.replace(old, new, 1)
    try:
        load_text(text)
    except ConfigurationRefused:
        return
    judge(data(text))


TAKEN = [
    ("tier: T3", 'tier: "${env:TIER}"'),
    ("tier: T3", "tier: ${env:TIER}"),
    ("installation: acme", 'installation: "${env:NAME:-acme}"'),
    ("url: https://bao.example:8200", 'url: "${env:BAO}"'),
    ("every: 30d", 'every: "${env:EVERY}"'),
    ("expires: 2027-06-30", 'expires: "${file:/etc/expires}"'),
    ("every: 30d", "every: P90D"),
    ("weekly: {cron", "weekly: {parent: standard, window: {to: '06:00'}, every: null, proof: null, cron"),
    ("overlap: 1h}", "overlap: 1h}\n  fast: {parent: standard}\n  slow: {parent: fast, pause: ~}"),
    ("installation: acme\n", ""),
    ("  socket: /run/rotator/api.sock\n", ""),
    ("plugin: file, config: {root: /srv/app}", "plugin: someone-elses, config: {a: 1, b: true, c: x}"),
    ("pack: alerta", "pack: /etc/rotator/packs/own.yaml"),
]


@pytest.mark.parametrize(("old", "new"), TAKEN)
def test_references_parents_parts_and_foreign_plugins_are_no_false_errors(judge, old, new):
    assert old in GOOD
    judge(data(GOOD.replace(old, new, 1)))


REFUSED = [
    ("every: 30d", "evry: 30d"),
    ("tier: T3", "tier: T9"),
    ("every: 30d", "every: 30"),
    ("every: 30d", "every: often"),
    ("type: local", "type: lokal"),
    ("installation: acme", "installation: ACME"),
    ("expires: 2027-06-30", "expires: next year"),
    ("url: https://bao.example:8200", "url: bao.example"),
    ("plugin: file, config: {root: /srv/app}", "plugin: file, config: {rot: /srv/app}"),
    ("plugin: file, config: {root: /srv/app}", "plugin: file, config: {root: 7}"),
    ("plugin: file, config: {root: /srv/app}", "plugin: file"),
    ("    pack: alerta\n", ""),
    ("config: {url: https://alerta.example}", "config: {url: alerta.example}"),
    ("overlap: 1h}", "overlap: 1h}\n  fast: {every: 7d}"),
    ("overlap: 1h}", "overlap: 1h}\n  fast: {parent: standard, evry: 7d}"),
    ("overlap: 1h}", "overlap: 1h}\n  fast: {parent: [standard]}"),
    ("apiVersion: rotator/v1\n", ""),
]


@pytest.mark.parametrize(("old", "new"), REFUSED)
def test_what_an_editor_can_see_it_refuses(judge, old, new):
    assert old in GOOD
    with pytest.raises(fastjsonschema.JsonSchemaException):
        judge(data(GOOD.replace(old, new, 1)))


@pytest.mark.parametrize(
    "text", ["30d", "1h30m", "P90D", "PT15M", "250ms", "0s", "1w2d", "5", "1d2w", "x", "", "d", "-1d"]
)
def test_spans_are_judged_as_the_loader_does(judge, text):
    document = data(GOOD.replace("every: 30d", f'every: "{text}"'))
    try:
        parse_duration(text)
    except ValueError:
        if text:  # an empty text is left to the loader
            with pytest.raises(fastjsonschema.JsonSchemaException):
                judge(document)
    else:
        judge(document)


def test_every_plugin_and_pack_has_its_part_with_words():
    parts = {(one.plugin, one.pack): one for one in plugin_parts()}
    assert {("file", ""), ("postgresql", ""), ("http", "alerta")} <= set(parts)
    hostaddr = next(one for one in parts["postgresql", ""].settings if one.name == "hostaddr")
    assert "an IP address to connect to" in hostaddr.description
    assert [one.name for one in parts["http", "alerta"].settings if one.url] == ["url"]
