"""Bad configurations: each is refused with its code, at its line and column, with the word that was meant.

A case edits a good text. `^` in the new text marks where the caret must stand and is taken out before loading.
"""

from __future__ import annotations

import pytest

from rotator.settings.lint import CODES as LINT
from rotator.settings.loader import load_text
from rotator.settings.problems import CODES, ConfigurationRefused, Problem

GOOD = """\
apiVersion: rotator/v1
installation: acme
daemon:
  ledger: /var/lib/rotator/ledger.db
  fingerprint_key: {file: /etc/rotator/fingerprint.key}
  socket: /run/rotator/api.sock
  listen: 127.0.0.1:9464
plugins: {allow: [http, file]}
stores:
  main:
    type: vault
    url: https://bao.example:8200
    auth: {approle: {role_id: rotator, secret_id: {file: /run/secrets/sid}}}
  embedded: {type: local, path: /srv/store, key: {file: /etc/rotator/store.key}}
endpoints:
  alerta:
    plugin: http
    pack: alerta
    config: {url: https://alerta.example}
    admin: {principal: adm@x.example, value: {store: main, path: admin/alerta, field: key}}
  files: {plugin: file, config: {root: /srv/app}}
policies:
  standard:
    every: 30d
    window: {from: "01:00", to: "05:00", zone: Europe/Berlin}
    overlap: 24h
    proof: {times: 3, over: 2m, grade: 2}
  weekly: {cron: "0 3 * * 6", overlap: 1h}
credentials:
  sync:
    owner: itsm@x.example
    purpose: pushes alerts
    workflows: [alert-sync]
    expires: 2027-06-30
    tier: T2
    policy: standard
    labels: {team: itsm}
    authority: {endpoint: alerta, kind: key, principal: svc@x.example, scopes: [read]}
    store: {in: main, path: app/alerta, value: key, fields: {key_id: handle}}
    consumers:
      - {endpoint: files, kind: file, path: db.env, fields: {USER: principal, PASS: value}}
  other:
    owner: itsm@x.example
    purpose: reads alerts
    workflows: []
    expires: 2027-06-30
    tier: T3
    policy: weekly
    authority: {endpoint: alerta, kind: key, principal: other@x.example}
    store: {in: main, path: app/other, value: key}
"""


def refused(text: str) -> tuple[Problem, ...]:
    with pytest.raises(ConfigurationRefused) as raised:
        load_text(text, "rotator.yaml", plugins={"http", "file", "postgresql"}, now=1_795_500_000_000)
    return raised.value.problems


def marked(old: str, new: str) -> tuple[str, int, int]:
    """The good text with one edit, and the line and column of the mark in it."""
    assert GOOD.count(old) >= 1, old
    text = GOOD.replace(old, new, 1)
    at = text.index("^")
    text = text.replace("^", "", 1)
    return text, text[:at].count("\n") + 1, at - (text[:at].rfind("\n") + 1) + 1


OTHER = "  other:\n    owner: itsm@x.example\n    purpose: reads alerts\n    workflows: []\n    expires: 2027-06-30\n"

CASES = [
    # keys
    ("owner: itsm", "^ownr: itsm", "CFG-UNKNOWN-KEY", "owner"),
    ("    every: 30d", "    ^evry: 30d", "CFG-UNKNOWN-KEY", "every"),
    ("  listen:", "  ^lisen:", "CFG-UNKNOWN-KEY", "listen"),
    ("policies:\n", "^polices:\n", "CFG-UNKNOWN-KEY", "policies"),
    ("installation: acme", "^instalation: acme", "CFG-UNKNOWN-KEY", "installation"),
    ("apiVersion:", "^apiversion:", "CFG-UNKNOWN-KEY", "apiVersion"),
    ('{from: "01:00"', '{^form: "01:00"', "CFG-UNKNOWN-KEY", "from"),
    ("{in: main, path: app/other", "{^store: main, path: app/other", "CFG-UNKNOWN-KEY", ""),
    ("role_id: rotator, ", "role_id: rotator, ^zzz: x, ", "CFG-UNKNOWN-KEY", ""),
    ("    tier: T3\n", "    tier: T3\n    ^teir: T3\n", "CFG-UNKNOWN-KEY", "tier"),
    ("    tier: T3\n", "    tier: T3\n    ^tier: T2\n", "CFG-DUPLICATE-ID", ""),
    ("  other:\n", "  ^sync:\n", "CFG-DUPLICATE-ID", ""),
    # what every credential has
    ("  other:\n    owner: itsm@x.example\n", "  ^other:\n", "CFG-NO-OWNER", ""),
    ("  other:\n    owner: itsm@x.example\n    purpose: reads alerts\n",
     "  ^other:\n    owner: a\n", "CFG-NO-PURPOSE", ""),
    ("  sync:\n    owner: itsm@x.example\n    purpose: pushes alerts\n    workflows: [alert-sync]\n",
     "  ^sync:\n    owner: a\n    purpose: b\n", "CFG-NO-WORKFLOWS", ""),
    ("  other:\n    owner: itsm@x.example\n    purpose: reads alerts\n    workflows: []\n    expires: 2027-06-30\n",
     "  ^other:\n    owner: a\n    purpose: b\n    workflows: []\n", "CFG-NO-EXPIRY", ""),
    (OTHER + "    tier: T3\n",
     "  ^other:\n    owner: a\n    purpose: b\n    workflows: []\n    expires: 2027-06-30\n", "CFG-NO-TIER", ""),
    ("owner: itsm@x.example", "^owner:", "CFG-EMPTY", ""),
    ("purpose: pushes alerts", 'purpose: ^"  "', "CFG-EMPTY", ""),
    ("workflows: []", "^workflows:", "CFG-EMPTY", ""),
    ("workflows: []", "workflows: ^alert-sync", "CFG-WRONG-TYPE", ""),
    # words
    ("tier: T3", "tier: ^t3", "CFG-BAD-ENUM", "T3"),
    ("{key_id: handle}", "{key_id: ^handel}", "CFG-BAD-ENUM", "handle"),
    ("{USER: principal", "{USER: ^principle", "CFG-BAD-ENUM", "principal"),
    ("zone: Europe/Berlin}", "zone: Europe/Berlin, missed: ^nxt}", "CFG-BAD-ENUM", "next"),
    ("type: local", "type: ^lokal", "CFG-BAD-ENUM", "local"),
    ("type: local", "type: ^keychain", "CFG-BAD-ENUM", ""),
    ("{type: local, path", "{path", None, None),
    ("apiVersion: rotator/v1", "apiVersion: ^rotator/v2", "CFG-BAD-ENUM", "rotator/v1"),
    # references
    ("policy: standard", "policy: ^standrad", "CFG-UNKNOWN-REF", "standard"),
    ("{in: main, path: app/alerta", "{in: ^mian, path: app/alerta", "CFG-UNKNOWN-REF", "main"),
    ("value: {store: main, path", "value: {store: ^man, path", "CFG-UNKNOWN-REF", "main"),
    ("{endpoint: alerta, kind: key, principal: svc", "{endpoint: ^alert, kind: key, principal: svc",
     "CFG-UNKNOWN-REF", "alerta"),
    ("- {endpoint: files,", "- {endpoint: ^fils,", "CFG-UNKNOWN-REF", "files"),
    ("    plugin: http", "    plugin: ^htttp", "CFG-UNKNOWN-REF", "http"),
    ("    plugin: http", "    plugin: ^postgresql", "CFG-UNKNOWN-REF", ""),
    ("allow: [http, file]", "allow: [http, file, ^postgres]", "CFG-UNKNOWN-REF", "postgresql"),
    # values
    ("every: 30d", "every: ^30", "CFG-BAD-DURATION", ""),
    ("every: 30d", "every: ^30 days", "CFG-BAD-DURATION", ""),
    ("every: 30d", "every: ^P1M", "CFG-BAD-DURATION", ""),
    ("every: 30d", "every: ^0d", "CFG-OUT-OF-RANGE", ""),
    ("overlap: 1h}", "overlap: ^yes}", "CFG-BAD-DURATION", ""),
    ('from: "01:00"', "from: ^1am", "CFG-BAD-TIME", ""),
    ('to: "05:00"', 'to: ^"25:00"', "CFG-BAD-TIME", ""),
    ("expires: 2027-06-30", "expires: ^2027-02-30", "CFG-BAD-TIME", ""),
    ("expires: 2027-06-30", "expires: ^next summer", "CFG-BAD-TIME", ""),
    ("proof: {times: 3", "proof: {times: ^1", "CFG-OUT-OF-RANGE", ""),
    ("grade: 2}", "grade: ^6}", "CFG-OUT-OF-RANGE", ""),
    ("proof: {times: 3", 'proof: {times: ^"3"', "CFG-WRONG-TYPE", ""),
    ("installation: acme", "installation: ^Acme_Prod", "CFG-BAD-ID", ""),
    ("  other:\n", "  ^Other/1:\n", "CFG-BAD-ID", ""),
    ("path: app/other", "path: ^app/../admin", "CFG-BAD-PATH", ""),
    ("path: app/other", "path: ^app//other", "CFG-BAD-PATH", ""),
    ("path: app/other", "path: ^app/other/", "CFG-BAD-PATH", ""),
    ("path: app/other", "path: ^/app/other", "CFG-BAD-PATH", ""),
    ("ledger: /var", "ledger: ^var", "CFG-BAD-PATH", ""),
    ("listen: 127.0.0.1:9464", "listen: ^9464", "CFG-WRONG-TYPE", ""),
    ("url: https://bao.example:8200", "url: ^http://bao.example:8200", "CFG-CONFLICT", ""),
    ("{url: https://alerta.example}", "{url: ^http://alerta.example}", "CFG-CONFLICT", ""),
    ("url: https://bao.example:8200", "url: ^bao.example", "CFG-WRONG-TYPE", ""),
    ("scopes: [read]", "scopes: ^read", "CFG-WRONG-TYPE", ""),
    ("scopes: [read]", "scopes: [^7]", "CFG-WRONG-TYPE", ""),
    ("config: {root: /srv/app}", "config: {root: ^[a]}", "CFG-WRONG-TYPE", ""),
    ("labels: {team: itsm}", "labels: ^itsm", "CFG-WRONG-TYPE", ""),
    # one or the other
    ("every: 30d", "every: 30d\n    cron: ^\"0 3 * * 6\"", "CFG-CONFLICT", ""),
    ("  weekly: {cron: \"0 3 * * 6\", overlap: 1h}", "  weekly: ^{overlap: 1h}", "CFG-MISSING", ""),
    ("  weekly: {cron: \"0 3 * * 6\", overlap: 1h}", "  ^weekly: {cron: \"0 3 * * 6\"}", "CFG-MISSING", ""),
    ("principal: other@x.example}", "principal: other@x.example, principals: ^[a, b]}", "CFG-CONFLICT", ""),
    ("principal: other@x.example}", "principals: ^[a]}", "CFG-OUT-OF-RANGE", ""),
    ("kind: key, principal: other@x.example}", "kind: key}", None, None),
    ("path: db.env, fields", "path: db.env, principal: a, fields", None, None),
    ("PASS: value}", "PASS: handle}", None, None),
    ("fields: {key_id: handle}", "fields: {key: ^handle}", "CFG-CONFLICT", ""),
    ("auth: {approle", "auth: ^{token: {file: /a}, approle", "CFG-CONFLICT", ""),
    ("{store: main, path: admin/alerta, field: key}", "^{store: main, field: key}", "CFG-MISSING", ""),
    # the calendar
    ('cron: "0 3 * * 6"', 'cron: ^"0 0 30 2 *"', "CFG-BAD-CRON", ""),
    ('cron: "0 3 * * 6"', 'cron: ^"@weekly"', "CFG-BAD-CRON", ""),
    ('cron: "0 3 * * 6"', 'cron: ^"0 0 3 * * 6"', "CFG-BAD-CRON", ""),
    ("zone: Europe/Berlin", "zone: ^Europe/Berlni", "CFG-BAD-ZONE", "Europe/Berlin"),
    ("overlap: 24h", "overlap: ^30d", "CFG-OVERLAP-TOO-LONG", ""),
    ("overlap: 1h}", "overlap: ^8d}", "CFG-OVERLAP-TOO-LONG", ""),
    ('to: "05:00"', 'to: ^"01:05"', "CFG-OUT-OF-RANGE", ""),
    ('to: "05:00"', 'to: ^"01:00"', "CFG-OUT-OF-RANGE", ""),
    ("overlap: 24h", "overlap: 24h\n    jitter: ^20d", "CFG-OUT-OF-RANGE", ""),
    ("overlap: 1h}", "overlap: 1h, ^missed: now}", "CFG-CONFLICT", ""),
    ("overlap: 24h", "overlap: 24h\n    ^min_age: 1d", "CFG-CONFLICT", ""),
    # two credentials in one place
    ("principal: other@x.example", "principal: ^svc@x.example", "CFG-SAME-PLACE", ""),
    ("path: app/other, value: key", "path: app/alerta, value: ^key", "CFG-SAME-PLACE", ""),
    ("path: app/other, value: key", "path: app/alerta, value: ^key_id", "CFG-SAME-PLACE", ""),
    # secrets
    ("value: {store: main, path: admin/alerta, field: key}", "^value: canary-hunter", "CFG-SECRET-IN-CLEAR", ""),
    ("secret_id: {file: /run/secrets/sid}", "^secret_id: canary-hunter", "CFG-SECRET-IN-CLEAR", ""),
    ("config: {url:", "config: {^password: canary-hunter, url:", "CFG-SECRET-IN-CLEAR", ""),
    ("admin: {principal: adm@x.example,", "admin: {principal: adm@x.example, ^password: canary-hunter,",
     "CFG-SECRET-IN-CLEAR", ""),
    ("labels: {team: itsm}", "labels: {^team: hvs.canary-hunter}", "CFG-SECRET-IN-CLEAR", ""),
    ("url: https://bao.example:8200", "url: ^https://u:canary-hunter@bao.example", "CFG-SECRET-IN-CLEAR", ""),
    # YAML
    ("    plugin: http", "^\tplugin: http", "CFG-YAML", ""),
    ("purpose: pushes alerts", "purpose: pushes: ^alerts", None, None),
    ("labels: {team: itsm}", "labels: ^!!python/object:os.system {}", None, None),
    ("labels: {team: itsm}", "labels: {team: ^!secret itsm}", "CFG-YAML", ""),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "code", "suggestion"), [case for case in CASES if case[2]])
def test_a_bad_configuration_is_refused_at_its_place(old, new, code, suggestion):
    text, line, column = marked(old, new)
    problems = refused(text)
    found = [(one.code, one.line, one.column, one.suggestion) for one in problems]
    assert (code, line, column, suggestion) in found
    for one in problems:
        assert one.file == "rotator.yaml"
        assert "canary" not in one.in_words()
        assert "canary" not in str(one.as_json())
        assert one.message
        assert "pydantic" not in one.in_words()
        if one.excerpt and one.code != "CFG-YAML":
            assert one.excerpt[one.caret - 1 : one.caret].strip(), "the caret stands under something"


def test_there_is_exactly_one_problem_for_one_mistake():
    """The misspelt key is not told as missing too, and a secret in clear not as a wrong type."""
    several = {
        "^polices:\n": "every policy that was meant is then unknown",
        "{^store: main, path: app/other": "no word is like the one that was meant, so it is missing too",
    }
    told = {}
    for old, new, code, _ in CASES:
        if code is not None and new not in several:
            told[new] = [one.code for one in refused(marked(old, new)[0])]
    assert {new: codes for new, codes in told.items() if len(codes) > 1} == {}


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("{type: local, path", "{path", "CFG-MISSING"),
        ("kind: key, principal: other@x.example}", "kind: key}", "CFG-MISSING"),
        ("path: db.env, fields", "path: db.env, principal: a, fields", "CFG-CONFLICT"),
        ("PASS: value}", "PASS: handle}", "CFG-CONFLICT"),
        ("purpose: pushes alerts", "purpose: pushes: alerts", "CFG-YAML"),
        ("auth: {approle: {role_id: rotator, secret_id: {file: /run/secrets/sid}}}", "auth: {}", "CFG-CONFLICT"),
        ("    authority: {endpoint: alerta, kind: key, principal: other@x.example}\n", "", "CFG-MISSING"),
        ("stores:\n", "extra: 1\nstores:\n", "CFG-UNKNOWN-KEY"),
    ],
)
def test_a_mistake_is_refused_with_its_code(old, new, code):
    assert code in {one.code for one in refused(GOOD.replace(old, new, 1))}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "CFG-EMPTY"),
        ("# nothing but a comment\n", "CFG-EMPTY"),
        ("- a\n- b\n", "CFG-WRONG-TYPE"),
        ("just text", "CFG-WRONG-TYPE"),
        ("a: 1\n---\nb: 2\n", "CFG-YAML"),
        ("a: [1, 2\n", "CFG-YAML"),
        ("a: *nowhere\n", "CFG-YAML"),
        ("a: &x [*x]\n", "CFG-YAML"),
        ("apiVersion: rotator/v1\ncredentials:\n", "CFG-EMPTY"),
        ("installation: a\n", "CFG-MISSING"),
        ("? [a, b]\n: c\n", "CFG-WRONG-TYPE"),
        ("a: \x07\n", "CFG-YAML"),
    ],
)
def test_a_text_that_is_no_configuration_is_refused(text, code):
    assert code in {one.code for one in refused(text)}


def test_anchors_that_grow_without_end_are_refused():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "CFG-YAML" in {one.code for one in refused("\n".join(lines))}


def test_all_errors_are_told_at_once_in_order():
    text = GOOD
    for old, new in [
        ("  listen: 127.0.0.1:9464", "  lisen: 127.0.0.1:9464"),
        ("every: 30d", "every: 30"),
        ("tier: T3", "tier: T9"),
        ("policy: weekly", "policy: weakly"),
    ]:
        text = text.replace(old, new, 1)
    problems = refused(text)
    assert [one.code for one in problems] == [
        "CFG-UNKNOWN-KEY",
        "CFG-BAD-DURATION",
        "CFG-BAD-ENUM",
        "CFG-UNKNOWN-REF",
    ]
    assert [one.line for one in problems] == sorted(one.line for one in problems)


def test_what_is_sound_is_judged_even_when_something_else_is_broken():
    text = GOOD.replace("  listen: 127.0.0.1:9464", "  lisen: 127.0.0.1:9464").replace("overlap: 24h", "overlap: 40d")
    assert {one.code for one in refused(text)} == {"CFG-UNKNOWN-KEY", "CFG-OVERLAP-TOO-LONG"}


def test_every_code_of_the_catalogue_can_be_met():
    """Codes that this file does not meet are met in its neighbours, named here so that a new one is noticed."""
    met = {case[2] for case in CASES if case[2]}
    elsewhere = {"CFG-TRAITS", "CFG-UNKNOWN-KIND", "CFG-UNREADABLE", "CFG-EXPIRY-NEAR"}
    elsewhere |= {"CFG-PLUGIN", "CFG-PLUGIN-CONFIG", "CFG-ENDPOINT-IN-USE"}  # said by the daemon: test_docs_walk
    elsewhere |= {"CFG-STORE"}  # test_store_login
    elsewhere |= {"CFG-STORE-IN-USE", "CFG-BAD-SELECTOR"}  # test_unmanaged, test_settings_freezes
    elsewhere |= {"CFG-PARENT-CYCLE", "CFG-WRONG-FOLDER"}  # test_settings_parents, test_settings_files
    elsewhere |= {"CFG-BAD-REFERENCE", "CFG-UNRESOLVED", "CFG-SECRET-BY-REFERENCE"}  # test_settings_expansion
    elsewhere |= {"CFG-BAD-RATE"}  # test_settings_limits
    elsewhere |= set(LINT)  # test_settings_lint
    assert met | elsewhere == set(CODES)


def test_how_a_problem_looks():
    text = GOOD.replace("policy: standard", "policy: standrad", 1)
    (problem,) = refused(text)
    assert problem.in_words() == (
        "rotator.yaml:36:13: credentials.sync.policy: no policy of this name is defined under `policies` "
        "[CFG-UNKNOWN-REF]\n"
        "  36 |     policy: standrad\n"
        "     |             ^\n"
        "  did you mean: standard"
    )
