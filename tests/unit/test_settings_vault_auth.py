"""Logins at Vault in the configuration: what each says, what they contradict, and where the error stands.

A case edits the login of a good text. `^` marks where the caret must stand and is taken out before loading.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rotator.daemon.store_login import login_of
from rotator.effects.stores.opening import AppRole, Auth, Certificate, Jwt, Kubernetes, TokenFile
from rotator.settings.connections import VaultStore
from rotator.settings.loader import load_text
from rotator.settings.models import from_json, to_json
from rotator.settings.problems import ConfigurationRefused, Problem

GOOD = """\
apiVersion: rotator/v1
installation: acme
daemon:
  ledger: /var/lib/rotator/ledger.db
  fingerprint_key: {file: /etc/rotator/fingerprint.key}
  socket: /run/rotator/api.sock
stores:
  main:
    type: vault
    url: https://bao.example:8200
    namespace: team
    auth: AUTH
"""
SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount/token"

LOGINS: list[tuple[str, Auth]] = [
    ("{approle: {role_id: r, secret_id: {file: /s/id}}}", AppRole("r", Path("/s/id"))),
    (
        "{approle: {role_id: r, secret_id: {file: /s/id}, wrapped: true, role: rotator, mount: own}}",
        AppRole("r", Path("/s/id"), "own", None, True, "rotator"),
    ),
    ("{token: {file: /s/token}}", TokenFile(Path("/s/token"))),
    ("{token: {file: /s/token, namespace: root}}", TokenFile(Path("/s/token"), "")),
    ("{jwt: {role: rotator, token: {file: /s/jwt}}}", Jwt("rotator", Path("/s/jwt"))),
    (
        "{jwt: {role: rotator, token: {file: /s/jwt}, mount: ci, namespace: teams/itsm}}",
        Jwt("rotator", Path("/s/jwt"), "ci", "teams/itsm"),
    ),
    ("{kubernetes: {role: rotator}}", Kubernetes("rotator", Path(SERVICE_ACCOUNT))),
    (
        "{kubernetes: {role: rotator, token: {file: /s/sa}, mount: eu}}",
        Kubernetes("rotator", Path("/s/sa"), "eu"),
    ),
    (
        "{cert: {certificate: /s/c.pem, key: {file: /s/c.key}}}",
        Certificate(Path("/s/c.pem"), Path("/s/c.key")),
    ),
    (
        "{cert: {certificate: /s/c.pem, key: {file: /s/c.key}, name: rotator, mount: tls, namespace: root}}",
        Certificate(Path("/s/c.pem"), Path("/s/c.key"), "rotator", "tls", ""),
    ),
]


@pytest.mark.parametrize(("auth", "expected"), LOGINS)
def test_login_is_what_was_written_also_when_the_ledger_keeps_it(auth: str, expected: Auth) -> None:
    configuration = load_text(GOOD.replace("AUTH", auth)).configuration
    for one in (configuration, from_json(to_json(configuration))):
        store = one.stores["main"]
        assert isinstance(store, VaultStore)
        assert login_of(store.auth) == expected


CASES = [
    ("^{}", "CFG-CONFLICT", "say exactly one of"),
    ("^{token: {file: /a}, jwt: {role: r, token: {file: /b}}}", "CFG-CONFLICT", "`token` and `jwt` exclude"),
    ("^{kubernetes: {role: r}, cert: {certificate: /c, key: {file: /k}}}", "CFG-CONFLICT", "exclude each other"),
    ("{approle: {role_id: r, secret_id: {file: /a}, role: ^x}}", "CFG-CONFLICT", "wrapped: true"),
    ("{approle: {role_id: r, secret_id: {file: /a}, wrapped: true, role: ^a/b}}", "CFG-BAD-PATH", "without `/`"),
    ("{approle: {role_id: r, secret_id: {file: /a}, wrapped: ^yes}}", "CFG-WRONG-TYPE", "true or false"),
    ("{approle: {role_id: r, ^secret_id: canary-secret}}", "CFG-SECRET-IN-CLEAR", "never stands"),
    ("{^token: canary-token}", "CFG-SECRET-IN-CLEAR", "never stands"),
    ("{token: {file: ^token}}", "CFG-BAD-PATH", "full path"),
    ("{jwt: {role: r, ^token: canary.canary.canary}}", "CFG-SECRET-IN-CLEAR", "never stands"),
    ("{^jwt: {token: {file: /a}}}", "CFG-MISSING", "`role` is missing"),
    ("{^jwt: {role: r}}", "CFG-MISSING", "`token` is missing"),
    ("{jwt: {role: r, token: {file: /a}, ^mout: x}}", "CFG-UNKNOWN-KEY", ""),
    ("{jwt: {role: r, token: {file: /a}, mount: ^/x/}}", "CFG-BAD-PATH", ""),
    ('{kubernetes: {role: ^""}}', "CFG-EMPTY", ""),
    ("{^kubernetes: {}}", "CFG-MISSING", "`role` is missing"),
    ("{^kubernets: {role: r}}", "CFG-UNKNOWN-KEY", ""),
    ("{^cert: {certificate: /c}}", "CFG-MISSING", "`key` is missing"),
    ("{cert: {certificate: ^c.pem, key: {file: /k}}}", "CFG-BAD-PATH", ""),
    ("{cert: {certificate: /c, ^key: canary-key}}", "CFG-SECRET-IN-CLEAR", ""),
]


def refused(text: str) -> tuple[Problem, ...]:
    with pytest.raises(ConfigurationRefused) as raised:
        load_text(text, "rotator.yaml")
    return raised.value.problems


@pytest.mark.parametrize(("auth", "code", "words"), CASES)
def test_bad_login_is_told_at_its_place(auth: str, code: str, words: str) -> None:
    text = GOOD.replace("AUTH", auth)
    column = text.splitlines()[11].index("^") + 1
    found = refused(text.replace("^", ""))
    first = found[0]
    assert (first.code, first.line, first.column) == (code, 12, column), [one.in_words() for one in found]
    assert words in first.message
    assert not any("canary" in one.in_words() for one in found)


def test_every_configuration_of_the_page_loads() -> None:
    page = (Path(__file__).parents[2] / "docs" / "stores-vault.md").read_text()
    blocks = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    head = GOOD.partition("stores:")[0]
    methods = [load_text(head + block).configuration.stores["main"].auth.method for block in blocks]  # type: ignore[union-attr]
    assert {type(one).__name__ for one in methods} == {
        "AppRole", "CertLogin", "JwtLogin", "KubernetesLogin", "TokenLogin",
    }  # fmt: skip
    assert any(getattr(one, "wrapped", False) for one in methods)


def test_certificate_needs_https_at_the_line_of_the_login() -> None:
    auth = "{cert: {certificate: /c, key: {file: /k}}}"
    text = GOOD.replace("AUTH", auth).replace("https://bao.example", "http://127.0.0.1")
    (found,) = refused(text)
    assert (found.code, found.line, found.where) == ("CFG-CONFLICT", 12, "stores.main.auth.cert")


def test_wrapped_secret_id_is_for_one_store() -> None:
    auth = "{approle: {role_id: r, secret_id: {file: /s/id}, wrapped: true}}"
    text = GOOD.replace("AUTH", auth) + f"  second: {{type: vault, url: 'https://b.example', auth: {auth}}}\n"
    (found,) = refused(text)
    assert (found.code, found.line) == ("CFG-SAME-PLACE", 13)
    assert "`main` (rotator.yaml:12" in found.message
    load_text(text.replace("wrapped: true", "wrapped: false"))
