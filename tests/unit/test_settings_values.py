"""Spans, and what of a source line may be shown."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.settings.documents import parse_document, problem_at
from rotator.settings.excerpts import looks_secret
from rotator.settings.values import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "millis"),
    [
        ("30d", 2_592_000_000),
        ("24h", 86_400_000),
        ("15m", 900_000),
        ("1h30m", 5_400_000),
        ("10s", 10_000),
        ("250ms", 250),
        ("2w", 1_209_600_000),
        ("1m250ms", 60_250),
        ("0s", 0),
        ("P90D", 7_776_000_000),
        ("PT15M", 900_000),
        ("P1DT12H", 129_600_000),
        ("P2W", 1_209_600_000),
    ],
)
def test_spans(text, millis):
    assert parse_duration(text) == millis
    assert parse_duration(format_duration(millis)) == millis


@pytest.mark.parametrize(
    "text", ["", "30", "d", "30D", "1M", "P1M", "P1Y", "P", "PT", "1h 30m", "30m1h", "-1d", "1.5h", "3 d", "99999999d"]
)
def test_what_is_no_span_is_refused(text):
    with pytest.raises(ValueError):
        parse_duration(text)


@given(st.integers(0, 100 * 365 * 86_400_000))
def test_a_span_is_written_as_it_is_read(millis):
    assert parse_duration(format_duration(millis)) == millis


def test_format_is_short():
    assert format_duration(2_592_000_000) == "30d"
    assert format_duration(5_400_000) == "1h30m"
    assert format_duration(0) == "0s"


@pytest.mark.parametrize(
    "text",
    [
        "hvs.canary",
        "https://user:canary@host.example/path",
        "ghp_canary",
        "-----BEGIN PRIVATE KEY-----",
        "token glpat-canary",
    ],
)
def test_what_begins_like_a_secret_looks_like_one(text):
    assert looks_secret(text)


def test_noise_looks_like_a_secret():
    noise = [hashlib.sha256(str(number).encode()) for number in range(200)]
    assert all(looks_secret(base64.b64encode(one.digest()).decode()) for one in noise)
    assert all(looks_secret(one.hexdigest()) for one in noise)


@pytest.mark.parametrize(
    "text",
    [
        "itsm@example.org",
        "svc-integration-user-production-2026",
        "https://alerta.example.org/api/v1/management",
        "/var/lib/rotator/secrets/approle-secret-id",
        "pushes alerts into change tickets, every night",
        "6816f79cc0a8016401c5a33be04be441",  # a record's id, as half of the platforms write it
        "123e4567-e89b-12d3-a456-426614174000",
        "INTEGRATIONACCOUNTNUMBERSEVEN",
        "Europe/Argentina/ComodRivadavia",
    ],
)
def test_names_and_addresses_do_not(text):
    assert not looks_secret(text)


def excerpt(text: str, line: int, column: int) -> tuple[str, int]:
    problem = parse_document("x", text).problem("CFG-MISSING", "m")
    assert "canary" not in problem.in_words()
    made = problem_at(parse_document("x", text), line, column, "CFG-MISSING", "m")
    return made.excerpt, made.caret


@pytest.mark.parametrize(
    ("text", "line", "column", "shown", "caret"),
    [
        ("admin: {principal: adm, valu: canary}", 1, 25, "admin: {principal: adm, valu: ***}", 25),
        ("admin: {value: canary, principal: adm}", 1, 24, "admin: {value: ***, principal: adm}", 21),
        ("a: {value: canary-one, token: 'canary two', kind: key}", 1, 45, "a: {value: ***, token: ***, kind: key}", 29),
        ("config: {password: canary, url: https://x}", 1, 28, "config: {password: ***, url: https://x}", 25),
        ("config: {url: 'https://u:canary@x'}", 1, 10, "config: {url: ***}", 10),
        ("store: {in: main, value: key}", 1, 1, "store: {in: main, value: key}", 1),
        ("kind: key # was canary", 1, 1, "kind: key", 1),
        ("nothing_known: |\n  canary one\n  canary two\nkind: key", 2, 3, "***", 1),
        ("kind: hvs.canary", 1, 7, "kind: ***", 7),
        ("labels: {api-key: canary, team: itsm}", 1, 1, "labels: {api-key: ***, team: itsm}", 1),
    ],
)
def test_a_source_line_is_shown_without_what_could_be_secret(text, line, column, shown, caret):
    assert excerpt(text, line, column) == (shown, caret)


@pytest.mark.parametrize(
    "text",
    [
        'token: "canary',
        "admin: {value: canary",
        "password: canary: canary",
        "a: b\n\tsecret: canary",
        "a: 'canary' canary",
        "- canary\nkey: canary",
        "canary: [canary canary",
        "secret: *canary",
    ],
)
def test_a_line_that_is_no_yaml_shows_no_value(text):
    (problem,) = parse_document("x", text).problems
    assert problem.code == "CFG-YAML"
    assert "canary" not in problem.in_words()
    assert problem.excerpt
