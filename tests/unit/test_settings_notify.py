"""Who is told of what, as it is written: what the engine gets, and what is refused at which place."""

from __future__ import annotations

from pathlib import Path

import pytest

from rotator.engine.delivery import Route
from rotator.engine.selectors import parse
from rotator.settings.loader import load, load_text
from rotator.settings.models import from_json, to_json
from rotator.settings.notify import MailChannel, Notify, WebhookChannel, routes_of
from rotator.settings.problems import ConfigurationRefused
from tests.unit.test_settings_freezes import WHOLE

GOOD = """\
notify:
  channels:
    soc:
      type: webhook
      url: https://hooks.example/rotator
      secrets: [{store: main, path: notify/soc, field: key}, {file: /etc/rotator/soc-old.key}]
    oncall:
      type: mail
      host: smtp.example
      from: rotator@x.example
      to: [oncall@x.example]
      login: {user: rotator, value: {store: main, path: notify/smtp, field: password}}
  routes:
    all: {events: [all], channels: [soc]}
    team: {events: [run_owed, question_asked], only: team=itsm, channels: [oncall, soc]}
  expiry_before: [14d, 2d]
  runbook: https://docs.example/rotator
"""


def test_what_is_written_is_what_the_engine_gets() -> None:
    notify = load_text(WHOLE + GOOD).configuration.notify
    assert notify is not None
    assert routes_of(notify) == (
        Route("all", None, ("soc",)),
        Route("team", frozenset({"run_owed", "question_asked"}), ("oncall", "soc"), parse("team=itsm")),
    )
    assert notify.expiry_before == (14 * 86_400_000, 2 * 86_400_000)
    soc, oncall = notify.channels["soc"], notify.channels["oncall"]
    assert isinstance(soc, WebhookChannel)
    assert isinstance(oncall, MailChannel)
    assert (soc.secrets[0].path, soc.secrets[1].file) == ("notify/soc", "/etc/rotator/soc-old.key")
    assert (oncall.port, oncall.tls, oncall.sender) == (587, "starttls", "rotator@x.example")


def test_the_ledgers_copy_says_the_same() -> None:
    found = load_text(WHOLE + GOOD).configuration
    assert from_json(to_json(found)).notify == found.notify
    assert from_json(to_json(found.model_copy(update={"credentials": {}}))).notify == found.notify


def test_without_it_nobody_is_told() -> None:
    assert load_text(WHOLE).configuration.notify is None
    assert routes_of(None) == ()
    assert routes_of(Notify()) == ()


@pytest.mark.parametrize(
    ("old", "new", "code", "words"),
    [
        ("https://hooks.example", "http://hooks.example", "CFG-CONFLICT", "plain http"),
        ("https://hooks.example", "https://me:canary@hooks.example", None, ""),
        ("store: main, path: notify/soc", "store: other, path: notify/soc", "CFG-UNKNOWN-REF", "store"),
        ("store: main, path: notify/smtp", "store: other, path: notify/smtp", "CFG-UNKNOWN-REF", "store"),
        ("[{store: main, path: notify/soc, field: key}, {file: /etc/rotator/soc-old.key}]", "[]", None, ""),
        ("channels: [soc]", "channels: [sco]", "CFG-UNKNOWN-REF", "channel"),
        ("channels: [soc]", "channels: []", None, ""),
        ("events: [all]", "events: [run_ended]", "CFG-BAD-ENUM", "run_succeeded"),
        ("events: [all]", "events: []", None, ""),
        ("only: team=itsm", "only: 'team='", "CFG-BAD-SELECTOR", "column 6"),
        ("only: team=itsm", "only: taem=itsm", "CFG-UNKNOWN-REF", "taem"),
        ("type: mail", "type: pigeon", None, ""),
        ("from: rotator@x.example", "from: 'Rotator <rotator@x.example>'", "CFG-WRONG-TYPE", "mail address"),
        ("to: [oncall@x.example]", "to: ['a@x.example\\r\\nBcc: b@x.example']", "CFG-WRONG-TYPE", "mail address"),
        ("host: smtp.example", "host: 'smtp.example:587'", "CFG-WRONG-TYPE", "port"),
        ("host: smtp.example", "host: smtp.example\n      tls: none", "CFG-CONFLICT", "TLS"),
        ("host: smtp.example", "host: smtp.example\n      port: 0", "CFG-OUT-OF-RANGE", ""),
        ("expiry_before: [14d, 2d]", "expiry_before: [14]", "CFG-BAD-DURATION", ""),
        ("runbook: https", "runbok: https", "CFG-UNKNOWN-KEY", ""),
    ],
)
def test_what_is_wrong_is_refused(old: str, new: str, code: str | None, words: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigurationRefused) as caught:
        load_text(WHOLE + GOOD.replace(old, new))
    problems = caught.value.problems
    assert code is None or code in {one.code for one in problems}, problems
    assert any(words in one.message for one in problems), problems
    assert all("canary" not in one.in_words() for one in problems)


def test_mail_without_tls_goes_to_this_machine_only() -> None:
    text = GOOD.replace("host: smtp.example", "host: 127.0.0.1\n      tls: none\n      port: 2525")
    notify = load_text(WHOLE + text).configuration.notify
    assert notify is not None
    assert isinstance(notify.channels["oncall"], MailChannel)


@pytest.mark.parametrize(("path", "place"), [("notify/soc", "soc.secrets.0"), ("notify/smtp", "oncall.login.value")])
def test_a_store_that_is_nowhere_is_told_with_the_nearest_name_beside_what_else_is_wrong(path: str, place: str) -> None:
    text = (WHOLE + GOOD).replace(f"store: main, path: {path}", f"store: mian, path: {path}")
    with pytest.raises(ConfigurationRefused) as refused:
        load_text(text.replace("expiry_before: [14d, 2d]", "expiry_before: soon"))
    told = {one.where: one for one in refused.value.problems}
    lost = told[f"notify.channels.{place}.store"]
    assert (lost.code, lost.suggestion) == ("CFG-UNKNOWN-REF", "main")
    assert any(where.startswith("notify.expiry_before") for where in told)
    assert len([one for one in refused.value.problems if one.code == "CFG-UNKNOWN-REF"]) == 1


def test_who_is_told_of_what_does_not_stand_in_a_folder_of_another_section(tmp_path: Path) -> None:
    """Its owners may change that section only."""
    (tmp_path / "rotator.yaml").write_text(WHOLE)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "team.yaml").write_text(f"apiVersion: rotator/v1\npolicies: {{}}\n{GOOD}")
    with pytest.raises(ConfigurationRefused) as refused:
        load(tmp_path)
    assert [(one.code, one.where) for one in refused.value.problems] == [("CFG-WRONG-FOLDER", "notify")]
