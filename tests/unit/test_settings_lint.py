"""What is allowed and yet not meant: each finding of the lint at its line, with its code; and what gives none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rotator.engine.traits import KindTraits
from rotator.settings.lint import CODES, lint_traits
from rotator.settings.loader import check_traits, load_text
from rotator.settings.problems import ConfigurationRefused, Problem

NOW = 1_795_500_000_000  # 24 November 2026
TEXT = """\
apiVersion: rotator/v1
installation: acme
daemon: {ledger: /l.db, fingerprint_key: {file: /f.key}, socket: /api.sock}
plugins: {allow: [http, file]}
stores:
  main: {type: vault, url: "https://bao.example", auth: {token: {file: /t}}}
  aws: {type: aws, region: eu-central-1}
endpoints:
  alerta: {plugin: http, pack: alerta, config: {url: "https://a.example"}, admin: {principal: a, value: {store: aws, path: p, field: f}}}
  files: {plugin: file, config: {root: /srv}}
policies:
  standard:
    every: 30d
    overlap: 24h
    window: {from: "01:00", to: "05:00"}
    proof: {times: 3, over: 2m}
credentials:
  one:
    owner: a
    purpose: b
    workflows: [sync, Night]
    expires: 2027-06-30
    tier: T2
    policy: standard
    labels: {team: itsm}
    authority: {endpoint: alerta, kind: key, principal: one}
    store: {in: main, path: app/one, value: key}
    consumers: [{endpoint: files, kind: file, path: one.env}]
"""  # noqa: E501


def found(text: str, *, now: int | None = NOW) -> list[Problem]:
    try:
        return list(load_text(text, "rotator.yaml", plugins={"http", "file"}, now=now).warnings)
    except ConfigurationRefused as refused:
        return list(refused.problems)


def more(number: int, **changes: str) -> str:
    """One more credential in the same secret."""
    said = {"workflows": "[]", "path": "app/one", "labels": "{}", "store": "main"} | changes
    return (
        f"  c{number}: {{owner: a, purpose: b, workflows: {said['workflows']}, expires: 2027-06-30, tier: T2,\n"
        f"    policy: standard, labels: {said['labels']},\n"
        f"    authority: {{endpoint: alerta, kind: key, principal: c{number}}},\n"
        f"    store: {{in: {said['store']}, path: {said['path']}, value: key{number}}}}}\n"
    )


def test_what_is_meant_gives_no_finding():
    assert found(TEXT) == []


CASES = [
    (
        "config: {root: /srv}}",
        "config: {root: /srv}, limits: {concurrency: ^16}}",
        "CFG-LIMITS",
        "it never has 16 at once",
    ),
    (
        "config: {root: /srv}}",
        "config: {root: /srv}, limits: {rate: 10/1s, burst: ^11}}",
        "CFG-LIMITS",
        "a burst of 11 is more than the 10 calls",
    ),
    ("policies:\n", "policies:\n  ^idle: {every: 9d, overlap: 1h}\n", "CFG-UNUSED", "no credential has this policy"),
    ("endpoints:\n", "endpoints:\n  ^idle: {plugin: file, config: {root: /x}}\n", "CFG-UNUSED", "no credential names"),
    ("stores:\n", "stores:\n  ^idle: {type: local, path: /s, key: {file: /k}}\n", "CFG-UNUSED", "nothing is kept in"),
    ("[sync, Night]", "[sync, Night, ^night]", "CFG-SIMILAR-NAMES", "`Night` (rotator.yaml:"),
    ("labels: {team: itsm}", "labels: {team: itsm, ^Team: x}", "CFG-SIMILAR-NAMES", "another label"),
    ("over: 2m", "over: ^29d", "CFG-PROOF-TOO-LONG", "next rotation is due 30d"),
    (
        "every: 30d\n    overlap: 24h",
        "every: 30d\n    overlap: ^29d12h",
        "CFG-OVERLAP-TOO-LONG",
        "waits for the window",
    ),
]


def marked(old: str, new: str) -> tuple[str, int, int]:
    assert old in TEXT
    text = TEXT.replace(old, new, 1)
    at = text.index("^")
    text = text.replace("^", "", 1)
    return text, text[:at].count("\n") + 1, at - (text[:at].rfind("\n") + 1) + 1


@pytest.mark.parametrize(("old", "new", "code", "words"), CASES)
def test_each_finding_stands_at_its_place(old, new, code, words):
    text, line, column = marked(old, new)
    problems = found(text)
    (problem,) = [one for one in problems if one.code == code]
    assert (problem.line, problem.column) == (line, column)
    assert words in problem.message
    assert problem.warning == (code != "CFG-PROOF-TOO-LONG")
    assert len(problems) == 1


def test_a_proof_longer_than_its_window_is_told():
    text, line, column = marked(
        'to: "05:00"}\n    proof: {times: 3, over: 2m}', 'to: ^"05:00"}\n    proof: {times: 3, over: 5h}'
    )
    (problem,) = found(text)
    assert (problem.code, problem.line, problem.column) == ("CFG-WINDOW-TOO-SHORT", line, column)
    assert "open for 4h" in problem.message
    assert problem.warning


def test_a_plugin_that_no_endpoint_has_is_told():
    text = TEXT.replace("  files: {plugin: file, config: {root: /srv}}\n", "").replace(
        "    consumers: [{endpoint: files, kind: file, path: one.env}]\n", ""
    )
    (problem,) = found(text)
    assert (problem.code, problem.where) == ("CFG-UNUSED", "plugins.allow.1")


def test_what_a_policy_only_gives_on_is_used():
    text = TEXT.replace(
        "policies:\n  standard:", "policies:\n  root: {zone: Europe/Berlin}\n  standard:\n    parent: root"
    )
    assert [one.code for one in found(text)] == ["CFG-MISSING"]  # each policy is whole
    text = text.replace("{zone: Europe/Berlin}", "{every: 9d, overlap: 1h, zone: Europe/Berlin}")
    assert found(text) == []


def test_a_beginning_without_credentials_is_left_in_peace():
    assert found(TEXT[: TEXT.index("credentials:")]) == []


def test_two_endpoints_to_one_place_are_one_place():
    text = TEXT.replace(
        "  files:", '  again: {plugin: http, pack: alerta, config: {url: "https://A.example/"}}\n  files:'
    )
    text += more(2).replace("endpoint: alerta", "endpoint: again").replace("principal: c2", "principal: one")
    (problem,) = found(text)
    assert (problem.code, problem.where) == ("CFG-SAME-PLACE", "credentials.c2.authority.principal")


def test_two_stores_at_one_place_are_one_store():
    text = TEXT.replace(
        "  aws:", '  twin: {type: vault, url: "https://bao.example/", auth: {token: {file: /t}}}\n  aws:'
    )
    text += more(2, store="twin").replace("value: key2", "value: key")
    (problem,) = found(text)
    assert (problem.code, problem.where) == ("CFG-SAME-PLACE", "credentials.c2.store.value")


@pytest.mark.parametrize(("many", "told"), [(5, False), (6, True)])
def test_a_secret_at_aws_has_labels_for_so_many(many, told):
    text = TEXT.replace("in: main, path: app/one", "in: aws, path: app/one").replace("  main: {", "  main: {", 1)
    text = text.replace("value: {store: aws", "value: {store: main")
    text += "".join(more(number, store="aws") for number in range(2, many + 1))
    codes = [(one.code, one.where) for one in found(text)]
    assert codes == ([("CFG-STORE-VERSIONS", "credentials.one.store.path")] if told else [])


@pytest.mark.parametrize(("many", "told"), [(5, False), (6, True)])
def test_history_of_a_shared_secret_is_short(many, told):
    text = TEXT.replace("    overlap: 24h", "    overlap: 24h\n    history: keep")
    text += "".join(more(number) for number in range(2, many + 1))
    assert [one.code for one in found(text)] == (["CFG-STORE-VERSIONS"] if told else [])


@pytest.mark.parametrize(
    ("freezes", "told"),
    [
        ('freezes:\n  all: {from: "Mon 00:00", to: "Sun 23:59", zone: UTC, reason: x}\n', True),
        ('freezes:\n  most: {from: "Mon 00:00", to: "Sun 02:00", zone: UTC, reason: x}\n', False),
        ("freezes:\n  year: {from: 2026-11-01, to: 2028-02-01, reason: x}\n", True),
        ("freezes:\n  winter: {from: 12-15, to: 01-10, reason: x}\n", False),
        ('freezes:\n  all: {from: "Mon 00:00", to: "Sun 23:59", only: "team=other", reason: x}\n', None),
        ('freezes:\n  all: {from: "Mon 00:00", to: "Sun 23:59", only: "team=itsm", reason: x}\n', True),
        ('freezes:\n  all: {from: "Mon 00:00", to: "Sun 23:59", only: "team!=itsm", reason: x}\n', False),
        (
            'freezes:\n  a: {from: "Mon 00:00", to: "Thu 00:00", reason: x}\n'
            '  b: {from: "Thu 00:00", to: "Sun 12:00", reason: x}\n'
            '  c: {from: "Sun 06:00", to: "Mon 01:30", reason: x}\n',
            True,
        ),
    ],
)
def test_freezes_that_leave_no_time_are_told(freezes, told):
    problems = found(TEXT + freezes)
    assert [one.code for one in problems] == (["CFG-NO-SLOT"] if told else [])
    assert all(one.warning and one.where == "policies.standard" for one in problems)
    if told:
        assert found(TEXT + freezes, now=None) == []


@pytest.mark.parametrize(("missed", "told"), [("next", False), ("skip", True)])
def test_a_skipped_window_that_is_always_frozen_is_told(missed, told):
    text = TEXT.replace("every: 30d", 'cron: "0 2 * * 6"').replace('to: "05:00"}', f'to: "05:00", missed: {missed}}}')
    text += 'freezes:\n  ends: {from: "Fri 18:00", to: "Mon 00:00", reason: x}\n'
    assert [one.code for one in found(text)] == (["CFG-NO-SLOT"] if told else [])


KEY = KindTraits(
    role="authority", origin="generated", lost="by_label", live=None, old_lives_ms=None, undo="revoke_new",
    revokes="one", has_probe=True, has_install=True, has_list=True, has_revoke=True,
)  # fmt: skip


def with_traits(text: str, **changes: int) -> list[Problem]:
    loaded = load_text(text, "rotator.yaml")
    traits = {("alerta", "key"): replace(KEY, **changes)}
    return list(lint_traits(loaded.configuration, traits, loaded.sources))


def test_a_window_shorter_than_what_the_platform_takes_is_told():
    assert with_traits(TEXT, settle_ms=3 * 3_600_000) == []
    (problem,) = with_traits(TEXT, settle_ms=5 * 3_600_000)
    assert (problem.code, problem.line, problem.column) == ("CFG-WINDOW-TOO-SHORT", 15, 33)
    assert "for `one`: " in problem.message
    assert "after 5h" in problem.message
    at_once = TEXT.replace("overlap: 24h", "overlap: 0s")
    assert [one.code for one in with_traits(at_once, settle_ms=3 * 3_600_000)] == ["CFG-WINDOW-TOO-SHORT"]


def test_a_grade_that_two_accounts_cannot_reach_is_refused():
    text = TEXT.replace("principal: one}", "principals: [a, b]}").replace("over: 2m}", "over: 2m, grade: 1}")
    (problem,) = with_traits(text)
    assert (problem.code, problem.warning, problem.line, problem.column) == ("CFG-TRAITS", False, 16, 40)
    assert with_traits(TEXT.replace("over: 2m}", "over: 2m, grade: 1}")) == []


def test_what_warns_does_not_refuse_a_start():
    loaded = load_text(TEXT.replace("    consumers: [{endpoint: files, kind: file, path: one.env}]\n", ""))
    check_traits(loaded, {("alerta", "key"): replace(KEY, settle_ms=5 * 3_600_000)})


def test_every_code_of_the_lint_is_met_here():
    met = {case[2] for case in CASES}
    assert met | {"CFG-NO-SLOT", "CFG-STORE-VERSIONS", "CFG-WINDOW-TOO-SHORT", "CFG-TRAITS"} == set(CODES)
