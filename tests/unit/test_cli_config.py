"""`rotator config` without a daemon: what it writes, what it shows, what other tools read of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fastjsonschema
import pytest

from rotator.cli import annotations
from rotator.cli.starter import one_file
from rotator.settings.problems import CODES
from tests.unit.cli_process import ROOT
from tests.unit.test_cli_local import alone

EXAMPLE = ROOT / "config" / "rotator.example.yaml"


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    path = tmp_path / "rotator.yaml"
    text = one_file("2099-01-01", "x.json").replace("every: 30d", "every: often").replace("    owner:", "    ownr:")
    path.write_text(text.replace("workflows: [alert-sync]", "workflows: [alert-sync, Alert-Sync]"))
    return path


def test_init_writes_a_directory_that_is_valid_and_in_its_usual_form(tmp_path: Path) -> None:
    folder = tmp_path / "conf"
    done = alone("config", "init", str(folder))
    assert done.code == 0, done.err
    files = sorted(str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file())
    assert files == [
        "credentials/itsm.yaml", "endpoints/platforms.yaml", "policies/policies.yaml", "rotator.yaml",
        "schema/rotator-v1.json",
    ]  # fmt: skip
    assert alone("config", "validate", str(folder)).out == f"{folder}: valid\n"
    assert alone("config", "fmt", "--check", str(folder)).code == 0
    for one in folder.rglob("*.yaml"):
        first = one.read_text().splitlines()[0]
        assert (one.parent / first.partition("$schema=")[2]).resolve() == folder / "schema/rotator-v1.json"
    assert json.loads((folder / "schema/rotator-v1.json").read_text())["$schema"].endswith("draft-07/schema#")


@pytest.mark.parametrize("there", ["rotator.yaml", "credentials/itsm.yaml"])
def test_init_overwrites_nothing_and_writes_all_or_none(tmp_path: Path, there: str) -> None:
    (tmp_path / there).parent.mkdir(exist_ok=True)
    (tmp_path / there).write_text("mine\n")
    done = alone("config", "init", str(tmp_path))
    assert (done.code, done.out) == (6, "")
    assert [str(one.relative_to(tmp_path)) for one in tmp_path.rglob("*") if one.is_file()] == [there]
    assert (tmp_path / there).read_text() == "mine\n"


def test_render_shows_what_counts_and_where_it_is_from(tmp_path: Path) -> None:
    path = tmp_path / "rotator.yaml"
    text = one_file("2099-01-01", "x.json").replace("every: 30d", 'every: "${env:EVERY}"')
    path.write_text(text.replace("policies:\n", "policies:\n  weekly: {parent: monthly, overlap: 1h}\n"))
    done = alone("config", "render", "--origin", "--only", "policies.weekly", str(path), EVERY="9d")
    assert done.code == 0, done.err
    lines = [line.split() for line in done.out.splitlines()]
    assert ["overlap:", "1h", "#", f"{path}:21"] in lines
    assert ["jitter:", "0s", "#", "default"] in lines
    assert ["every:", "9d", "#", "policy", "monthly", f"({path}:23),", "from", "${env:EVERY}"] in lines
    again = tmp_path / "again.yaml"
    again.write_text(alone("config", "render", str(path), EVERY="9d").out)
    assert alone("config", "render", str(again)).out == again.read_text()
    items = alone("config", "render", str(path), "-o", "json", EVERY="9d").document["items"]
    (one,) = [item for item in items if item["path"] == ["policies", "weekly", "every"]]
    assert (one["value"], one["origin"], one["policy"], one["place"]) == ("9d", "policy", "monthly", f"{path}:23")
    assert alone("config", "render", str(path), "--only", "policies.none", EVERY="9d").code == 5
    unset = alone("config", "render", str(path))
    assert (unset.code, unset.out) == (3, "")
    assert "EVERY is not set" in unset.err


def test_schema_is_for_every_installed_plugin(tmp_path: Path) -> None:
    made = alone("config", "schema", "--draft", "07")
    assert made.out == (ROOT / "config/schema/rotator-v1.json").read_text()
    out = tmp_path / "x.json"
    assert alone("config", "schema", "--out", str(out)).code == 0
    newer = json.loads(out.read_text())
    assert newer["$schema"].endswith("2020-12/schema")
    assert "config-postgresql" in newer["$defs"]


def test_validate_asks_the_plugins_unless_told_not_to(tmp_path: Path) -> None:
    path = tmp_path / "rotator.yaml"
    text = one_file("2099-01-01", "x.json")
    path.write_text(text.replace("config: {url: https://alerta.example}", "config: {ulr: https://alerta.example}"))
    done = alone("config", "validate", str(path))
    assert done.code == 3
    assert f"{path}:17:14: endpoints.alerta.config.ulr: is no setting of this plugin [CFG-PLUGIN-CONFIG]" in done.out
    assert "did you mean: url" in done.out
    assert "is missing" not in done.out
    assert alone("config", "validate", "--no-plugins", str(path)).code == 0
    path.write_text(text.replace("kind: key", "kind: kay"))
    done = alone("config", "validate", str(path))
    assert done.code == 3
    assert "[CFG-UNKNOWN-KIND]" in done.out
    assert "did you mean: key" in done.out
    text = text.replace("  alerta:", "  al.er.ta:").replace("endpoint: alerta", "endpoint: al.er.ta")
    path.write_text(text.replace("pack: alerta", "pack: /nowhere.yaml"))
    done = alone("config", "validate", str(path))
    assert done.code == 3
    assert f"{path}:16:11: endpoints.al.er.ta.pack: " in done.out
    assert "[CFG-PLUGIN]" in done.out
    assert "CFG-UNKNOWN-KIND" not in done.out


def test_sarif_has_every_problem_with_its_place_and_rule(wrong: Path) -> None:
    done = alone("config", "validate", str(wrong), "-o", "sarif")
    assert done.code == 3
    run = json.loads(done.out)["runs"][0]
    rules = [one["id"] for one in run["tool"]["driver"]["rules"]]
    found: list[dict[str, Any]] = run["results"]
    assert [rules[one["ruleIndex"]] for one in found] == [one["ruleId"] for one in found]
    assert {one["ruleId"] for one in found} == {"CFG-BAD-DURATION", "CFG-UNKNOWN-KEY"}
    for one in found:
        place = one["locations"][0]["physicalLocation"]
        assert place["artifactLocation"]["uri"] == wrong.as_posix()
        assert place["region"]["startLine"] > 1
        assert one["level"] == "error"
    assert all(rule["shortDescription"]["text"] == CODES[rule["id"]] for rule in run["tool"]["driver"]["rules"])


def test_github_annotations_stand_at_their_lines(wrong: Path) -> None:
    done = alone("config", "validate", "-o", "github", str(wrong))
    assert done.code == 3
    assert f"::error file={wrong},line=22,col=12,title=CFG-BAD-DURATION::policies.monthly.every: " in done.out
    assert all(line.startswith(("::error ", "::warning ")) for line in done.out.splitlines())


def test_annotations_are_escaped_and_warnings_are_no_errors() -> None:
    item = {
        "code": "CFG-UNUSED", "message": "50% of,\nthis", "where": "a.b", "file": "/x, y:z.yaml", "line": 3,
        "column": 0, "suggestion": "", "severity": "warning",
    }  # fmt: skip
    told = annotations.github([item])
    assert told == "::warning file=/x%2C y%3Az.yaml,line=3,title=CFG-UNUSED::a.b: 50%25 of,%0Athis.\n"
    document = annotations.sarif([item], {"CFG-UNUSED": "x"}, "1")
    (result,) = document["runs"][0]["results"]
    assert result["level"] == "warning"
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "/x%2C%20y%3Az.yaml"


def test_a_place_without_a_line_is_still_told(tmp_path: Path) -> None:
    done = alone("config", "validate", "-o", "sarif", str(tmp_path / "none.yaml"))
    (result,) = json.loads(done.out)["runs"][0]["results"]
    assert result["ruleId"] == "CFG-UNREADABLE"
    validate = fastjsonschema.compile({"required": ["locations", "message"], "type": "object"})
    validate(result)


def test_fmt_changes_only_what_it_says_and_keeps_rights(tmp_path: Path) -> None:
    path = tmp_path / "rotator.yaml"
    plain = one_file("2099-01-01", "x.json")
    path.write_text(plain.replace("    every: 30d\n    overlap: 24h ", "    overlap:  24h \n    every: 30d # c"))
    path.chmod(0o604)
    before = path.read_text()
    shown = alone("config", "fmt", "--diff", str(path))
    assert shown.code == 0
    assert "-    overlap:  24h" in shown.out
    assert path.read_text() == before
    checked = alone("config", "fmt", "--check", str(path))
    assert (checked.code, checked.out) == (10, f"{path}: would change\n")
    assert alone("config", "fmt", str(path)).out == f"{path}: changed\n"
    assert "    every: 30d # c" in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o604
    assert alone("config", "fmt", "--check", str(path)).code == 0
    assert [one.name for one in tmp_path.iterdir()] == ["rotator.yaml"]


def test_fmt_leaves_alone_what_is_broken_and_goes_on_with_the_rest(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("apiVersion: rotator/v1\npolicies: {\n")
    (tmp_path / "b.yaml").write_text("policies:  {a: {overlap: 1h, every: 30d}}\napiVersion: rotator/v1\n")
    real = tmp_path / "elsewhere"
    real.mkdir()
    (tmp_path / "b.yaml").rename(real / "b.txt")
    (tmp_path / "b.yaml").symlink_to(real / "b.txt")
    done = alone("config", "fmt", str(tmp_path), "-o", "json")
    assert done.code == 3
    assert {Path(one["path"]).name: one["state"] for one in done.document["items"]} == {
        "a.yaml": "refused",
        "b.yaml": "changed",
    }
    assert (tmp_path / "b.yaml").is_symlink()
    assert (real / "b.txt").read_text() == ("apiVersion: rotator/v1\npolicies:  {a: {every: 30d, overlap: 1h}}\n")
    assert (tmp_path / "a.yaml").read_text() == "apiVersion: rotator/v1\npolicies: {\n"


def test_the_shipped_examples_are_in_their_usual_form() -> None:
    for path in (EXAMPLE, ROOT / "config/minimal.yaml", ROOT / "config/example"):
        done = alone("config", "fmt", "--check", str(path))
        assert (done.code, done.out) == (0, ""), path
        assert alone("config", "validate", str(path)).out == f"{path}: valid\n"
