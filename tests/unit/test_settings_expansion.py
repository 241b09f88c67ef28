"""References to variables and files: what they give, where they are refused, how a change of them is noticed."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import pytest

from rotator.settings.expansion import digests_now, escaped
from rotator.settings.loader import Loaded, load_text
from rotator.settings.problems import ConfigurationRefused, Problem

TEXT = """\
apiVersion: rotator/v1
installation: acme
daemon:
  ledger: /l.db
  fingerprint_key: {file: /etc/rotator/f.key}
  socket: /api.sock
stores:
  main: {type: local, path: /srv/store, key: {file: /s.key}}
endpoints:
  alerta:
    plugin: http
    pack: alerta
    config: {url: "https://alerta.example"}
    admin: {principal: adm, value: {store: main, path: a, field: k}}
policies:
  standard: {every: 30d, overlap: 24h, zone: UTC}
credentials:
  sync:
    owner: ops@x.example
    purpose: pushes alerts
    workflows: []
    expires: 2027-06-30
    tier: T2
    policy: standard
    labels: {team: itsm}
    authority: {endpoint: alerta, kind: key, principal: sync}
    store: {in: main, path: app/sync, value: key}
"""


def changed(old: str, new: str, **environment: str) -> Loaded:
    assert old in TEXT
    return load_text(TEXT.replace(old, new, 1), "rotator.yaml", environment=environment)


def refused(old: str, new: str, **environment: str) -> Problem:
    with pytest.raises(ConfigurationRefused) as raised:
        changed(old, new, **environment)
    (problem,) = (one for one in raised.value.problems if not one.warning)
    return problem


def test_a_variable_is_put_in_and_named_in_the_digests():
    loaded = changed("https://alerta.example", "https://${env:HOST}:${env:PORT:-8443}/x", HOST="alerta.dev")
    assert loaded.configuration.endpoints["alerta"].config["url"] == "https://alerta.dev:8443/x"
    assert {name for name in loaded.digests if name.startswith("$")} == {"${env:HOST}", "${env:PORT}"}


def test_a_file_is_put_in_without_its_last_line_end(tmp_path: Path):
    file = tmp_path / "zone"
    file.write_text("Europe/Berlin\n")
    loaded = changed("zone: UTC", f'zone: "${{file:{file}}}"')
    assert loaded.configuration.policies["standard"].zone == "Europe/Berlin"


def test_an_empty_variable_counts_as_unset_and_an_empty_default_is_a_text():
    loaded = changed("purpose: pushes alerts", 'purpose: "pushes alerts${env:SUFFIX:-}"', SUFFIX="")
    assert loaded.configuration.credentials["sync"].purpose == "pushes alerts"
    assert refused("purpose: pushes alerts", 'purpose: "x ${env:SUFFIX}"', SUFFIX="").code == "CFG-UNRESOLVED"


@pytest.mark.parametrize(
    ("written", "comes_out"),
    [
        ("costs 5$", "costs 5$"),
        ("a $$ b", "a $ b"),
        ("$${env:HOST}", "${env:HOST}"),
        ("$$${env:HOST}", "$alerta.dev"),
        ("$HOME", "$HOME"),
        ("${env:NESTED}", "${env:HOST}"),
    ],
)
def test_dollars(written, comes_out):
    loaded = changed("purpose: pushes alerts", f'purpose: "{written}"', HOST="alerta.dev", NESTED="${env:HOST}")
    assert loaded.configuration.credentials["sync"].purpose == comes_out


@pytest.mark.parametrize("text", ["$", "$$", "${env:A}", "a$b${", "no dollar"])
def test_an_escaped_text_comes_out_as_it_was(text):
    loaded = changed("purpose: pushes alerts", f'purpose: "{escaped(text)}"')
    assert loaded.configuration.credentials["sync"].purpose == text


@pytest.mark.parametrize(
    ("written", "suggestion"),
    [
        ("${HOME}", "${env:HOME}"),
        ("${HOME:-x}", "${env:HOME:-x}"),
        ("${ENV:HOME}", ""),
        ("${env:}", ""),
        ("${env:1X}", ""),
        ("${env:HOST", ""),
        ("${}", ""),
        ("${file:relative}", ""),
        ("${file:/a/../b}", ""),
        ("${vault:a#b}", ""),
        ("${env:A:-${env:HOST}}", ""),
    ],
)
def test_what_is_no_reference_is_refused_at_its_place(written, suggestion):
    problem = refused("purpose: pushes alerts", f'purpose: "{written}"', HOST="x")
    assert (problem.code, problem.line, problem.column) == ("CFG-BAD-REFERENCE", 20, 14)
    assert problem.suggestion == suggestion


def test_a_variable_that_is_not_set_is_told_with_name_and_place():
    problem = refused("zone: UTC", 'zone: "${env:ZONE}"')
    assert (problem.code, problem.line, problem.column) == ("CFG-UNRESOLVED", 16, 46)
    assert "ZONE is not set" in problem.message


def test_a_file_that_is_not_there_or_no_text_is_told(tmp_path: Path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "lines").write_text("a\nb\n")
    (tmp_path / "large").write_text("a" * 70_000)
    os.mkfifo(tmp_path / "pipe", 0o644)
    for name in ("absent", "folder", "binary", "empty", "lines", "large", "pipe"):
        problem = refused("zone: UTC", f'zone: "${{file:{tmp_path / name}}}"')
        assert (problem.code, problem.line) == ("CFG-UNRESOLVED", 16), name


def test_references_give_texts_only_and_add_no_yaml():
    problem = refused("zone: UTC", 'zone: UTC, fresh: "${env:FRESH}"', FRESH="5m, overlap: 9d")
    assert problem.code == "CFG-BAD-DURATION"
    problem = refused("  socket: /api.sock", '  socket: /api.sock\n  workers: "${env:W}"', W="4")
    assert problem.code == "CFG-WRONG-TYPE"
    assert "this is what ${env:W} gave" in problem.message
    assert refused("zone: UTC", 'zone: "${env:Z}"', Z="UTC\nevery: 1s").code == "CFG-UNRESOLVED"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{file: /etc/rotator/f.key}", '"${env:CANARY}"'),
        ("key: {file: /s.key}", 'key: "${env:CANARY}"'),
        ("value: {store: main, path: a, field: k}", 'value: "${env:CANARY}"'),
        ('config: {url: "https://alerta.example"}', 'config: {url: "https://a.example", password: "${env:CANARY}"}'),
        ('config: {url: "https://alerta.example"}', 'config: {url: "https://a.example", api_key: "${file:/x}"}'),
        ("labels: {team: itsm}", 'labels: {token: "${env:CANARY}"}'),
        (
            "main: {type: local, path: /srv/store, key: {file: /s.key}}",
            'main: {type: vault, url: "https://b.example", auth: {token: "${env:CANARY}"}}',
        ),
        (
            "main: {type: local, path: /srv/store, key: {file: /s.key}}",
            'main: {type: vault, url: "https://b.example", auth: {jwt: {role: r, token: "${env:CANARY}"}}}',
        ),
        (
            "policies:",
            'notify: {channels: {hook: {type: webhook, url: "https://h.example",\n'
            '  secrets: ["${env:CANARY}"]}}}\npolicies:',
        ),
        ("principal: adm,", 'principal: adm, password: "${env:CANARY}",'),
    ],
)
def test_a_place_for_a_secret_refuses_a_reference_unread(old, new):
    problem = refused(old, new, CANARY="canary-value")
    assert problem.code == "CFG-SECRET-BY-REFERENCE"
    assert "canary-value" not in problem.in_words()
    assert "{file: …}" in problem.message


def test_a_path_of_a_reference_may_come_from_a_variable():
    loaded = changed(
        "{file: /etc/rotator/f.key}", '{file: "${env:CREDENTIALS_DIRECTORY}/f.key"}', CREDENTIALS_DIRECTORY="/run/c"
    )
    assert loaded.configuration.daemon.fingerprint_key.file == "/run/c/f.key"


def test_what_looks_like_a_secret_is_refused_wherever_it_comes_in():
    value = "hvs." + secrets.token_hex(8)
    problem = refused("labels: {team: itsm}", 'labels: {team: "${env:TEAM}"}', TEAM=value)
    assert (problem.code, problem.line) == ("CFG-SECRET-BY-REFERENCE", 25)
    assert value not in problem.in_words()


def test_a_file_kept_like_a_secret_is_not_read(tmp_path: Path):
    file = tmp_path / "sid"
    file.write_text("canary-value\n")
    file.chmod(0o600)
    problem = refused("labels: {team: itsm}", f'labels: {{team: "${{file:{file}}}"}}')
    assert problem.code == "CFG-SECRET-BY-REFERENCE"
    assert "canary-value" not in problem.in_words()


def test_a_file_that_another_key_names_as_secret_is_not_read(tmp_path: Path):
    file = tmp_path / "key"
    file.write_text("canary-value\n")
    text = TEXT.replace("/s.key", str(file)).replace("team: itsm", f'team: "${{file:{file}}}"')
    with pytest.raises(ConfigurationRefused) as raised:
        load_text(text)
    assert [one.code for one in raised.value.problems] == ["CFG-SECRET-BY-REFERENCE"]


def test_a_changed_variable_or_file_has_another_digest(tmp_path: Path):
    file = tmp_path / "zone"
    file.write_text("Europe/Berlin")
    loaded = changed("zone: UTC", f'zone: "${{file:{file}}}"')
    name = f"${{file:{file}}}"
    assert digests_now(loaded.digests, {}) == {name: loaded.digests[name]}
    file.write_text("Europe/Paris")
    assert digests_now(loaded.digests, {})[name] != loaded.digests[name]
    file.unlink()
    assert digests_now(loaded.digests, {})[name] != loaded.digests[name]
    with_default = changed("zone: UTC", 'zone: "${env:ZONE:-UTC}"')
    accepted = with_default.digests["${env:ZONE}"]
    assert digests_now(["${env:ZONE}"], {}) == {"${env:ZONE}": accepted}
    assert digests_now(["${env:ZONE}"], {"ZONE": "UTC"}) != {"${env:ZONE}": accepted}
