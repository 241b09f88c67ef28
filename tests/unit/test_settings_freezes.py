"""Freezes, the brake and selectors as they are written: what they mean, and what is refused at which place."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from rotator.engine import freezes as engine
from rotator.engine.brake import BrakeRules
from rotator.settings.freezes import brake_of, freezes_of, parse_point
from rotator.settings.loader import load, load_text
from rotator.settings.models import from_json, to_json
from rotator.settings.problems import ConfigurationRefused
from tests.unit.test_settings_files import ENDPOINT, HEAD, POLICY, credential, directory

WHOLE = (
    HEAD
    + ENDPOINT.removeprefix("apiVersion: rotator/v1\n")
    + POLICY.removeprefix("apiVersion: rotator/v1\n")
    + credential("alpha", "svc@x.example").removeprefix("apiVersion: rotator/v1\n").replace(
        "tier: T2,", "tier: T2, labels: {team: itsm},"
    )
)  # fmt: skip


def freezes(text: str) -> tuple[engine.Freeze, ...]:
    return freezes_of(load_text(WHOLE + "freezes:\n" + text).configuration.freezes)


def refused(text: str) -> tuple[str, int, str]:
    with pytest.raises(ConfigurationRefused) as caught:
        load_text(WHOLE + text)
    (problem,) = caught.value.problems
    return problem.code, problem.line - WHOLE.count("\n"), problem.message


def test_what_is_written_is_what_the_engine_gets() -> None:
    found = freezes(
        "  year-end:\n    from: 2026-12-20\n    to: 2027-01-04\n    zone: Europe/Berlin\n"
        "    only: team=itsm, tier in (T0, T2)\n    reason: the year's change freeze\n    except: [emergency, adopt]\n"
        "  weekend: {from: Fri 18:00, to: Mon 06:00, reason: nobody is there}\n"
        "  audit: {from: 11-01, to: 11-15 12:00, reason: audit, except: []}\n"
        "  move: {from: '2026-12-01T08:00:00+01:00', to: 2026-12-01 20:00, reason: the move}\n"
    )
    audit, move, weekend, year = found
    assert (year.start, year.end) == (engine.Once(date(2026, 12, 20), 0), engine.Once(date(2027, 1, 4), 1440))
    assert (year.zone, year.reason, year.passes) == (
        "Europe/Berlin", "the year's change freeze", {"emergency", "adopt"},
    )  # fmt: skip
    assert year.only is not None
    assert [term.key for term in year.only.terms] == ["team", "tier"]
    assert (weekend.start, weekend.end, weekend.only) == (engine.Weekly(4, 1080), engine.Weekly(0, 360), None)
    assert (audit.start, audit.end, audit.passes) == (engine.Yearly(11, 1, 0), engine.Yearly(11, 15, 720), frozenset())
    assert (move.start, move.end) == (engine.Moment(1_796_108_400_000), engine.Once(date(2026, 12, 1), 1200))


def test_the_ledgers_copy_gives_the_same_calendar() -> None:
    found = load_text(WHOLE + "freezes: {w: {from: Sat, to: Sun, only: team=itsm, reason: r, except: [manual]}}")
    again = from_json(to_json(found.configuration))
    assert freezes_of(again.freezes) == freezes_of(found.configuration.freezes)
    without = from_json(to_json(found.configuration.model_copy(update={"credentials": {}})))
    assert freezes_of(without.freezes) == freezes_of(found.configuration.freezes)


def test_freezes_may_stand_in_a_file_of_their_own(tmp_path: Path) -> None:
    files = directory(
        tmp_path, head=WHOLE, freezes="apiVersion: rotator/v1\nfreezes: {w: {from: Sat, to: Sun, reason: r}}"
    )
    assert list(load(files).configuration.freezes) == ["w"]


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("{from: 2026-13-01, to: 2026-12-02, reason: r}", "CFG-BAD-TIME", "every week"),
        ("{from: 2026-12-01 25:00, to: 2026-12-02, reason: r}", "CFG-BAD-TIME", "every week"),
        ("{from: Foo, to: Sun, reason: r}", "CFG-BAD-TIME", "every week"),
        ("{from: 02-30, to: 03-02, reason: r}", "CFG-BAD-TIME", "every week"),
        ("{from: '2026-12-01T10:00:00', to: 2026-12-02, reason: r}", "CFG-BAD-TIME", "every week"),
        ("{from: 2026-12-01, to: Sun, reason: r}", "CFG-CONFLICT", "one way"),
        ("{from: 12-01, to: 2026-12-02, reason: r}", "CFG-CONFLICT", "one way"),
        ("{from: 2026-12-02, to: 2026-12-01, reason: r}", "CFG-OUT-OF-RANGE", "before it begins"),
        ("{from: Fri 10:00, to: Fri 10:00, reason: r}", "CFG-OUT-OF-RANGE", "the same"),
        ("{from: Sat, to: Sun, zone: Europe/Nowhere, reason: r}", "CFG-BAD-ZONE", "IANA"),
        ("{from: Sat, to: Sun, only: 'team', reason: r}", "CFG-BAD-SELECTOR", "column 5"),
        ("{from: Sat, to: Sun, only: 'tier=T7', reason: r}", "CFG-BAD-SELECTOR", "column 6"),
        ("{from: Sat, to: Sun, only: 'teem=itsm', reason: r}", "CFG-UNKNOWN-REF", "`teem`"),
        ("{from: Sat, to: Sun, except: [emergencies], reason: r}", "CFG-BAD-ENUM", ""),
        ("{from: Sat, to: Sun}", "CFG-MISSING", "reason"),
        ("{from: Sat, to: Sun, reason: r, until: 2026-12-01}", "CFG-UNKNOWN-KEY", ""),
    ],
)
def test_what_is_wrong_is_told_at_its_line(text: str, code: str, words: str) -> None:
    found = refused(f"freezes:\n  a: {{from: Sat, to: Sun, reason: r}}\n  b: {text}\n")
    assert found[:2] == (code, 3), found
    assert words in found[2]


@pytest.mark.parametrize("text", ["", "x", "2026", "24:00", "Fri 24:30", "2026-12-01T", "1-1", "2026-12-01 8:00"])
def test_what_is_no_point_in_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_point(text, end=False)


def test_the_brake_is_configured_and_has_defaults() -> None:
    assert brake_of(load_text(WHOLE).configuration.daemon.brake) == BrakeRules()
    text = WHOLE.replace("socket: /api.sock", "socket: /api.sock, brake: {share: 0.2, at_least: 10, per_hour: 0}")
    assert brake_of(load_text(text).configuration.daemon.brake) == BrakeRules(0.2, 10, 0)


@pytest.mark.parametrize("text", ["share: 1.5", "share: x", "at_least: -1", "per_hour: many", "expiring: 5"])
def test_a_brake_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationRefused):
        load_text(WHOLE.replace("socket: /api.sock", f"socket: /api.sock, brake: {{{text}}}"))
