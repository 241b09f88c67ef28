"""Policy against traits: what a kind cannot do is refused at the line, in words, with the alternative."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rotator.engine.calendar import DAY, HOUR
from rotator.engine.traits import KindTraits
from rotator.settings.abilities import against_traits
from rotator.settings.loader import check_traits, load_text
from rotator.settings.models import from_json, to_json
from rotator.settings.objections import parts_of
from rotator.settings.problems import ConfigurationRefused, Problem
from rotator.settings.sources import Sources

TEXT = (Path(__file__).parents[2] / "config" / "rotator.example.yaml").read_text()

KEY = KindTraits(
    role="authority", origin="generated", lost="probe", live=None, old_lives_ms=None, undo="revoke_new", revokes="one",
    label_max=36, handle_is_label=True, has_probe=True, has_install=True, has_list=True, has_revoke=True,
)  # fmt: skip
PASSWORD = KindTraits(role="authority", origin="generated", lost="probe", has_probe=True, has_install=True)
FILE = KindTraits(role="consumer", origin="generated", lost="resend", has_install=True)
KINDS = {("alerta", "key"): KEY, ("orders-db", "password"): PASSWORD, ("files", "file"): FILE}


def found(text: str = TEXT, **changed: KindTraits) -> list[Problem]:
    kinds = dict(KINDS)
    for name, traits in changed.items():
        kinds[{"key": ("alerta", "key"), "password": ("orders-db", "password"), "file": ("files", "file")}[name]] = (
            traits
        )
    loaded = load_text(text, "r.yaml")
    return against_traits(parts_of(loaded.configuration), loaded.configuration.installation, kinds, loaded.sources)


def line_of(words: str, text: str = TEXT) -> int:
    return text[: text.index(words)].count("\n") + 1


def test_what_the_example_asks_the_kinds_can_do():
    assert found() == []


def test_overlap_of_a_single_slot_names_both_ways_out():
    text = TEXT.replace("principals: [orders_a, orders_b]", "principal: orders")
    (problem,) = found(text)
    assert problem.code == "CFG-TRAITS"
    assert problem.line == line_of("overlap: 1h", text)
    assert "for `orders`" in problem.message
    assert "the old value dies at the write" in problem.message
    assert "`overlap: 0s`" in problem.message
    assert "`principals: [a, b]`" in problem.message
    assert found(text.replace("overlap: 1h", "overlap: 0s")) == []


EXPECTED = [
    ("key", replace(KEY, has_probe=False), "kind: key", "no death can be proven", "consumers"),
    ("key", replace(KEY, identity=False), "kind: key", "does not say whose it is", "reads the identity back"),
    ("key", replace(KEY, label_max=12), "kind: key", "at most 12 characters and ours need 21", "cannot be governed"),
    ("key", replace(KEY, label_max=16), "kind: key", "ours need 21", "at most 4 would fit"),
    ("key", replace(KEY, old_lives_ms=HOUR), "overlap: 24h", "ends the old value 1h after the write", "`overlap: 1h`"),
    ("key", replace(KEY, expiry_max_ms=20 * DAY), "every: 30d", "lives at most 20d", "Rotate earlier"),
    ("key", replace(KEY, revokes="all"), "kind: key", "ends every value of the principal", "principals: [a, b]"),
    ("key", replace(KEY, unsupported="read only"), "kind: key", "only be listed, not rotated: read only", ""),
    ("key", replace(KEY, role="consumer"), "kind: key", "does not accept or refuse", "consumers"),
    ("key", replace(KEY, origin="human"), "kind: key", "not in this release", ""),
    ("key", replace(KEY, scopes_required=frozenset({"write"})), "scopes: [read", "without write", "add it"),
    (
        "password",
        replace(PASSWORD, live=None),
        "principals: [orders_a",
        "many values of one principal",
        "`principal: …`",
    ),
    ("password", replace(PASSWORD, live=2), "principals: [orders_a", "2 values of one principal", "`overlap`"),
    ("file", replace(FILE, role="authority"), "- {endpoint: files", "accepts or makes values", "authority"),
    ("file", replace(FILE, unsupported="read only"), "- {endpoint: files", "only be listed", ""),
]


@pytest.mark.parametrize(("name", "traits", "at", "words", "alternative"), EXPECTED)
def test_what_a_kind_cannot_do_is_refused_with_the_alternative(name, traits, at, words, alternative):
    problems = found(**{name: traits})
    assert [one.code for one in problems] == ["CFG-TRAITS"]
    assert problems[0].line == line_of(at)
    assert words in problems[0].message
    assert alternative in problems[0].message


def test_an_unknown_kind_is_told_with_the_one_that_was_meant():
    text = TEXT.replace("kind: password", "kind: pasword").replace("kind: file,", "kind: fil,")
    assert [(one.code, one.suggestion) for one in found(text)] == [
        ("CFG-UNKNOWN-KIND", "password"),
        ("CFG-UNKNOWN-KIND", "file"),
    ]


def test_an_unknown_parameter_is_told():
    text = TEXT.replace('"read:keys"]}', '"read:keys"], params: {usrid: "7"}}')
    (problem,) = found(text, key=replace(KEY, params={"userid": "numeric id"}))
    assert (problem.code, problem.suggestion) == ("CFG-UNKNOWN-KEY", "userid")


def test_an_endpoint_without_an_admin_is_refused_where_an_admin_must_act():
    admin = "    admin: {principal: rotator, value: {store: embedded, path: admin/db, field: password}}\n"
    text = TEXT.replace(admin, "")
    (problem,) = found(text)
    assert problem.line == line_of("  orders-db:\n", text)
    assert "add `admin" in problem.message
    assert found(text, password=replace(PASSWORD, acting=frozenset({"self"}))) == []


def test_an_issued_value_has_one_authority_only():
    before = '    authority: {endpoint: alerta, kind: key, principal: svc@x.example, scopes: [read, "read:keys"]}'
    after = (
        "    authorities:\n      - {endpoint: alerta, kind: key, principal: a}\n"
        "      - {endpoint: alerta, kind: key, principal: b}"
    )
    problems = found(TEXT.replace(before, after), key=replace(KEY, origin="issued", has_issue=True))
    assert ["makes the value itself" in one.message for one in problems] == [True, True]
    assert found(TEXT.replace(before, after)) == []


def test_definitions_from_the_ledger_are_judged_too_without_a_place():
    configuration = from_json(to_json(load_text(TEXT).configuration))
    kinds = {**KINDS, ("alerta", "key"): replace(KEY, has_probe=False)}
    (problem,) = against_traits(parts_of(configuration), configuration.installation, kinds, Sources())
    assert (problem.line, problem.where) == (0, "credentials.alerta-sync.authority.kind")
    assert problem.in_words().startswith("credentials.alerta-sync.authority.kind: ")


def test_check_traits_refuses_the_whole():
    check_traits(load_text(TEXT), KINDS)
    with pytest.raises(ConfigurationRefused):
        check_traits(load_text(TEXT), {})
