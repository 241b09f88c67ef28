"""What an administrator is told about a pack with mistakes: where, what, and what was meant. All at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from rotator_http import PACKS, PackProblem, PackRefused, check_pack, load_pack, shipped

ALERTA = (PACKS / "alerta.yaml").read_text()


def problems(tmp_path: Path, text: str) -> list[PackProblem]:
    path = tmp_path / "pack.yaml"
    path.write_text(text)
    return check_pack(path)


def changed(tmp_path: Path, old: str, new: str) -> list[PackProblem]:
    assert ALERTA.count(old) >= 1, old
    return problems(tmp_path, ALERTA.replace(old, new, 1))


def the_one(found: list[PackProblem]) -> PackProblem:
    assert len(found) == 1, [str(one) for one in found]
    return found[0]


def line_of(text: str) -> int:
    return ALERTA[: ALERTA.index(text)].count("\n") + 1


def test_every_shipped_pack_is_without_problems() -> None:
    assert "alerta" in shipped()
    for name in shipped():
        assert check_pack(PACKS / f"{name}.yaml") == []
        assert load_pack(name).name == name


def test_a_pack_that_does_not_exist_names_the_near_one() -> None:
    with pytest.raises(PackRefused) as caught:
        load_pack("alerat")
    assert "did you mean 'alerta'" in str(caught.value)
    with pytest.raises(PackRefused):
        load_pack("/nowhere/pack.yaml")


def test_a_misspelt_key_has_its_place_and_the_right_word(tmp_path: Path) -> None:
    found = the_one(changed(tmp_path, "    permissions:", "    permisions:"))
    assert (found.code, found.line, found.column) == ("unknown_key", line_of("    permissions:"), 5)
    assert "did you mean 'permissions'" in found.message


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = ALERTA.replace("origin: generated", "origin: generatd").replace("is: gone", "is: vanished")
    text = text.replace('"{expires.iso?}"', '"{expires.isso?}"')
    found = problems(tmp_path, text)
    assert [one.code for one in found] == ["wrong_value", "wrong_value", "unknown_variable"]
    assert [one.line for one in found] == sorted(one.line for one in found)
    assert all("did you mean" in one.message for one in found[1:])


SECRETS_IN_URLS = {
    "value in the query": ('query: {page-size: "5000"', 'query: {id: "{value}", page-size: "5000"'),
    "acting value in the query": ('query: {page-size: "500"', 'query: {key: "{acting.value}", page-size: "500"'),
    "acting value in a route": ('"/key/{row.id}"', '"/key/{row.id}/{acting.value}"'),
    "a row's own in the query": ('{delete: "/key/{row.id}"}', '{delete: "/key/{row.id}", query: {id: "{row.id}"}}'),
}


@pytest.mark.parametrize(("old", "new"), SECRETS_IN_URLS.values(), ids=SECRETS_IN_URLS.keys())
def test_a_secret_in_a_url_is_refused(tmp_path: Path, old: str, new: str) -> None:
    assert "secret_in_url" in {one.code for one in changed(tmp_path, old, new)}


def test_a_value_of_the_credential_in_the_route_of_an_install_is_refused(tmp_path: Path) -> None:
    found = the_one(changed(tmp_path, "post: /key", 'post: "/key/{value}"'))
    assert found.code == "secret_in_url"
    assert "logs" in found.message


def test_both_secrets_in_one_auth_block_are_refused(tmp_path: Path) -> None:
    old = 'value: {header: {Authorization: "Key {value}"}}'
    found = changed(tmp_path, old, old.replace('"}}', '", X-Other: "{acting.value}"}}'))
    # A probe does not even have the acting value; both are said.
    assert {one.code for one in found} == {"mixed_secrets", "unknown_variable"}


def test_the_value_is_never_tried_with_the_acting_credential_beside_it(tmp_path: Path) -> None:
    assert {one.code for one in changed(tmp_path, "auth: value", "auth: acting")} >= {"unknown_variable"}


def test_nobody_logs_in_with_the_new_value_to_install_it(tmp_path: Path) -> None:
    found = changed(tmp_path, "      auth: acting\n      replies: install", "      auth: value\n      replies: install")
    assert "unknown_variable" in {one.code for one in found}


@pytest.mark.parametrize("pattern", ["^(a+)+$", "(ab|abab)*x", r"(a)\1", "(?=a)b", "(.*)*", "a{2,}{3,}"])
def test_a_pattern_that_could_take_for_ever_is_refused(tmp_path: Path, pattern: str) -> None:
    found = changed(tmp_path, "\"^API key parameter '.*' is invalid$\"", f"'{pattern}'")
    assert {one.code for one in found} <= {"slow_pattern", "wrong_pattern", "bare_rejection"}
    assert found


@pytest.mark.parametrize("when", ["{status: 401}", "{status: [401, 403]}", "{status: 4xx, at: /message}"])
def test_a_status_alone_never_means_dead(tmp_path: Path, when: str) -> None:
    old = "{status: 401, at: /message, matches: \"^API key parameter '.*' is invalid$\"}"
    assert the_one(changed(tmp_path, old, when)).code == "bare_rejection"


CONTRADICTIONS = {
    "no revoke": ("revokes: one", "revokes: none", "revokes: none"),
    "lost by a read that is not there": ("lost: by_label", "lost: read_back", "needs the ability `read`"),
    "nothing listed": ("lists: all", "lists: none", "belong together"),
    "no name in the probe": ("take: {principal: /user, ", "take: {", "whose the value is"),
    "label not sent": ('text: "{label}"', 'text: "x"', ""),
    "no handle": ('"/key/{row.id}"', "/key/all", "needs {handle}"),
    "a digest in a route": ('"/key/{row.id}"', '"/key/{handle}"', "does not know"),
    "a digest in a query": ('query: {page-size: "5000"', 'query: {id: "{handle?}", page-size: "5000"', "does not know"),
    "a digest that is the label": ("      undo:", "      handle_is_label: true\n      undo:", "not the label"),
    "a handle in two forms": ("{handle: {at: /data/id, as: digest}}", "{handle: /data/id}", "everywhere or nowhere"),
    "one row and all rows": ("      find: list", "      find: list\n      each: list", "one or the other"),
    "no value": ('"Key {value}"', '"Key value"', ""),
}


@pytest.mark.parametrize(("old", "new", "words"), CONTRADICTIONS.values(), ids=CONTRADICTIONS.keys())
def test_what_cannot_be_true_together_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    text = ALERTA.replace('text: "{label}"', "text: rotated") if not words else ALERTA
    found = problems(tmp_path, text.replace(old, new, 1))
    assert found
    assert any(words in one.message for one in found)


def test_a_probe_that_sends_nothing_is_refused(tmp_path: Path) -> None:
    text = ALERTA.replace("      auth: value\n", "").replace("  value: {header", "  other: {header")
    codes = {one.code for one in problems(tmp_path, text)}
    assert codes == {"contradiction", "unused"}


def test_a_list_is_also_asked_for_everything(tmp_path: Path) -> None:
    found = the_one(changed(tmp_path, '{page-size: "500"', '{user: "{principal}", page-size: "500"'))
    assert found.code == "needs_question_mark"


def test_a_reason_must_be_explained(tmp_path: Path) -> None:
    found = changed(tmp_path, "reason: maybe_ours", "reason: maybe_our")
    assert {one.code for one in found} == {"undeclared_reason", "unused"}


def test_what_shows_values_must_be_concealed(tmp_path: Path) -> None:
    assert the_one(changed(tmp_path, "      conceal: [/key, /href]\n", "")).code == "concealed"
    found = the_one(changed(tmp_path, "conceal: [/key, /href]", "conceal: [/key, /text]"))
    assert found.code == "concealed"
    found = the_one(changed(tmp_path, "row: {id: /id}", "row: {id: /key}"))
    assert (found.code, "`row`" in found.message) == ("concealed", True)


FOUND_ROWS = {
    "no row": ("      row: {id: /id}\n", "", "missing_key"),
    "a row of nothing": ("      find: list\n", "", "unknown_key"),
    "another list": ("find: list", "find: rows", "wrong_value"),
    "a label that is not looked for": ("      find: list\n      row: {id: /id}", "      labelled: true", "unknown_key"),
    "no yes and no no": ("find: list", "find: list\n      labelled: perhaps", "wrong_type"),
    "a place that is none": ("row: {id: /id}", "row: {id: id}", "wrong_value"),
    "a name that is none": ("row: {id: /id}", "row: {Id: /id}", "wrong_value"),
    "a digest of a label": ("label: /text", "label: {at: /text, as: digest}", "wrong_value"),
    "a row in another call": ('user: "{principal}", scopes', 'user: "{row.id}", scopes', "unknown_variable"),
    "a row in an auth block": ('"Key {acting.value}"', '"Key {row.id}"', "unknown_variable"),
}


@pytest.mark.parametrize(("old", "new", "code"), FOUND_ROWS.values(), ids=FOUND_ROWS.keys())
def test_a_revoke_that_finds_its_row_says_how_and_nothing_else_has_its_variables(
    tmp_path: Path, old: str, new: str, code: str
) -> None:
    assert code in {one.code for one in changed(tmp_path, old, new)}


def test_a_row_cannot_bear_a_label_that_the_list_does_not_show(tmp_path: Path) -> None:
    text = ALERTA.replace("        label: /text\n", "").replace("find: list", "find: list\n      labelled: true")
    found = [one for one in problems(tmp_path, text) if "`labelled`" in one.message]
    assert [one.code for one in found] == ["contradiction"]


def test_a_setting_that_sounds_like_a_secret_is_refused(tmp_path: Path) -> None:
    found = the_one(changed(tmp_path, "  url: {is: url}", "  url: {is: url}\n  api_key: {is: text}"))
    assert "admin" in found.message


@pytest.mark.parametrize(
    "route", ["key", "/a/../b", "/key?x=1", "/a//b", "/a b", "/%2e%2e/x", "https://elsewhere.example/key"]
)
def test_a_route_is_a_plain_path_of_this_server(tmp_path: Path, route: str) -> None:
    assert "wrong_value" in {one.code for one in changed(tmp_path, "post: /key", f'post: "{route}"')}


BAD_YAML = {
    "nothing": "",
    "a list": "[1, 2]",
    "not closed": "kinds: {a: [",
    "anchors": "a: &x 1\nb: *x",
    "tags": "pack: !!python/object:os.system 1",
    "twice": "pack: 1\npack: 1",
    "deep": "[" * 60 + "]" * 60,
    "binary": "\x00\x01",
    "a tab": "a:\n\tb: 1",
}


@pytest.mark.parametrize("text", BAD_YAML.values(), ids=BAD_YAML.keys())
def test_what_is_no_pack_is_refused_with_a_place(tmp_path: Path, text: str) -> None:
    found = problems(tmp_path, text)
    assert found
    assert all(one.line >= 1 and one.column >= 1 for one in found)


def test_any_part_may_be_missing_or_something_else_and_reading_never_fails(tmp_path: Path) -> None:
    """Each line of the pack is left out, and each is given another value, in turn."""
    lines = ALERTA.splitlines()
    for number, line in enumerate(lines):
        for other in ("", f"{line.split(':')[0]}: 7" if ":" in line else "7"):
            text = "\n".join([*lines[:number], other, *lines[number + 1 :]])
            assert isinstance(problems(tmp_path, text), list)


def test_a_huge_or_foreign_file_is_refused(tmp_path: Path) -> None:
    assert the_one(problems(tmp_path, "a: " + "x" * 300_000)).code == "syntax"
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"name: \xe4")
    assert the_one(check_pack(path)).code == "syntax"
    assert the_one(check_pack(tmp_path)).code == "no_such_pack"
