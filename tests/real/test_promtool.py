"""`config/alerts.yaml` by the real promtool: each rule fires in one case and does not in another.

promtool comes with the Debian package `prometheus` (`python -m tests.lab.debian promtool`).
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from rotator.daemon.metrics import METRICS, PREFIX
from tests.docs.runbook import anchor_of
from tests.unit.test_docs_generated import anchors

ROOT = Path(__file__).parents[2]
RULES = ROOT / "config" / "alerts.yaml"
DOCUMENT = YAML(typ="safe").load(RULES.read_text())
pytestmark = pytest.mark.real("promtool")
ALERTS = {rule["alert"]: rule for group in DOCUMENT["groups"] for rule in group["rules"]}
HOUR, DAY = 60, 24 * 60

# By alert: the series that makes it fire, the one that does not (values by the minute), and the minute to ask at.
# A series of promtool: `a+bxN` grows by b; `a x N` stays.
OLD = 'rotator_watchdog_oldest_seconds{condition="%s"}'
CASES: dict[str, tuple[dict[str, str], dict[str, str], int]] = {
    "RotatorOverdue": ({OLD % "overdue": "21000+60x60"}, {OLD % "overdue": "0+60x60", OLD % "stuck": "99999x60"}, 60),
    "RotatorStuck": ({OLD % "stuck": "3601+60x60"}, {OLD % "stuck": "0+30x60", OLD % "overdue": "99999x60"}, 30),
    "RotatorUncertain": ({OLD % "uncertain": "14401+60x60"}, {OLD % "uncertain": "0+60x60"}, 30),
    "RotatorUndead": ({OLD % "undead": "259201+60x120"}, {OLD % "undead": "86400+60x120"}, 90),
    "RotatorUnowned": (
        {'rotator_watchdog_conditions{condition="unowned"}': "1x3000"},
        {'rotator_watchdog_conditions{condition="unowned"}': "0x1000 1x500 0x1500"}, 2 * DAY,
    ),
    "RotatorWatchdogBlind": (
        {"rotator_watchdog_last_look_seconds": "60x60"}, {"rotator_watchdog_last_look_seconds": "0+60x60"}, 30,
    ),
    "RotatorTicksStopped": ({"rotator_tick_alive": "0x30"}, {"rotator_tick_alive": "1x10 0x2 1x20"}, 20),
    "RotatorDeadmanUnheard": (
        {"rotator_deadman_last_ping_seconds": "0x60"}, {"rotator_deadman_last_ping_seconds": "0+60x60"}, 40,
    ),
    "RotatorAbsent": ({"something_else": "1x30"}, {"rotator_journal_sequence": "5x30"}, 20),
    "RotatorStray": (
        {'rotator_strays{endpoint="api",standing="stray"}': "2x200"},
        {'rotator_strays{endpoint="api",standing="stray"}': "1x60 0x140", 'rotator_strays{standing="ours"}': "9x200"},
        180,
    ),
    "RotatorUnaccountedLabel": (
        {'rotator_strays{endpoint="api",standing="unaccounted"}': "1x120"},
        {'rotator_strays{endpoint="api",standing="foreign"}': "7x120"}, 90,
    ),
    "RotatorLockedOut": (
        {'rotator_drift{credential="a",finding="not_accepted"}': "1x30"},
        {'rotator_drift{credential="a",finding="permission_lost"}': "1x30"}, 20,
    ),
    "RotatorDrift": (
        {'rotator_drift{credential="a",finding="changed_elsewhere"}': "1x60"},
        {'rotator_drift{credential="a",finding="not_accepted"}': "1x60"}, 50,
    ),
    "RotatorNotSwept": (
        {'rotator_sweep_last_seconds{endpoint="api"}': "0x6000"},
        {'rotator_sweep_last_seconds{endpoint="api"}': "0+60x6000"}, 4 * DAY,
    ),
}  # fmt: skip


def promtool(*words: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("promtool")
    assert program is not None
    return subprocess.run([program, *words], capture_output=True, text=True, timeout=60)


def asked(tmp_path: Path, alert: str, series: dict[str, str], minute: int, *, fires: bool) -> str:
    """One rule test of promtool; what it says if it fails."""
    named = {f'{name[:-1] if "{" in name else name + "{"}{"," if "{" in name else ""}instance="one"}}': values
             for name, values in series.items()}  # fmt: skip
    test: dict[str, Any] = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in named.items()],
                "promql_expr_test": [
                    {
                        "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)',
                        "eval_time": f"{minute}m",
                        "exp_samples": [{"labels": "{}", "value": 1 if fires else 0}],
                    }
                ],
            }
        ],
    }
    path = tmp_path / "test.yaml"
    path.write_text(json.dumps(test))
    done = promtool("test", "rules", str(path))
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_promtool_takes_the_rules() -> None:
    done = promtool("check", "rules", str(RULES))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(ALERTS)} rules found" in done.stdout


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_an_alert_fires(tmp_path: Path, alert: str) -> None:
    series, _, minute = CASES[alert]
    assert asked(tmp_path, alert, series, minute, fires=True) == ""


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_an_alert_does_not_fire_when_all_is_well(tmp_path: Path, alert: str) -> None:
    _, series, minute = CASES[alert]
    assert asked(tmp_path, alert, series, minute, fires=False) == ""


def test_the_test_can_fail(tmp_path: Path) -> None:
    series, _, minute = CASES["RotatorStuck"]
    assert asked(tmp_path, "RotatorStuck", series, minute, fires=False) != ""


def test_every_alert_has_its_case_its_severity_and_its_place_in_the_docs() -> None:
    assert set(CASES) == set(ALERTS)
    for name, rule in ALERTS.items():
        assert rule["labels"]["severity"] in {"page", "ticket"}, name
        path, _, anchor = rule["annotations"]["runbook"].partition("#")
        text = (ROOT / path).read_text()
        assert not anchor or anchor in anchors(text), f"{name}: {path} has no #{anchor}"
    assert anchor_of("ticker_dead") == "rot-ticker-dead"


def test_every_metric_that_is_asked_exists() -> None:
    known = {f"{PREFIX}{one.name}" for one in METRICS}
    asked_of = {name for rule in ALERTS.values() for name in re.findall(r"rotator_\w+", rule["expr"])}
    assert asked_of <= known
