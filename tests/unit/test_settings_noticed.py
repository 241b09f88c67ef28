"""A start believes the ledger's copy only while everything that the configuration was made of is the same."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from rotator.daemon.clock import SystemClock
from rotator.daemon.live import Live
from rotator.daemon.whereabouts import accepted_of, ledger_of
from rotator.ledger.sqlite import open_ledger
from rotator.settings.problems import ConfigurationRefused
from tests.unit.test_settings_in_force import written

NAME = "ROTATOR_TEST_OWNER"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A directory whose owner and purpose come from a variable and a file."""
    path = written(tmp_path)
    (tmp_path / "purpose").write_text("reads alerts\n")
    head, _, credentials = path.read_text().partition("credentials:\n")
    folder = tmp_path / "conf"
    (folder / "credentials").mkdir(parents=True)
    (folder / "rotator.yaml").write_text(head)
    credentials = credentials.replace("owner: a", f'owner: "${{env:{NAME}:-nobody}}"')
    credentials = credentials.replace("purpose: b", f'purpose: "${{file:{tmp_path}/purpose}}"')
    (folder / "credentials/team.yaml").write_text(f"apiVersion: rotator/v1\ncredentials:\n{credentials}")
    return folder


def start(config: Path, folder: Path) -> tuple[bool, str, str]:
    """Whether YAML was parsed; owner and purpose as the ledger has them afterwards."""
    clock = SystemClock()
    with ExitStack() as closing:
        ledger = open_ledger(folder / "ledger.db", clock)
        closing.callback(ledger.close)
        live = Live(config, clock, closing, "0", accepted_of(ledger))
        live.accept(ledger)
        (row,) = ledger.credentials()
        return live.parsed, row.definition.owner, row.definition.purpose


def test_a_changed_variable_or_file_is_noticed_at_the_next_start(config, tmp_path, monkeypatch):
    monkeypatch.delenv(NAME, raising=False)
    assert start(config, tmp_path) == (True, "nobody", "reads alerts")
    assert start(config, tmp_path) == (False, "nobody", "reads alerts")
    monkeypatch.setenv(NAME, "ops@x.example")
    assert start(config, tmp_path) == (True, "ops@x.example", "reads alerts")
    assert start(config, tmp_path) == (False, "ops@x.example", "reads alerts")
    (tmp_path / "purpose").write_text("writes alerts\n")
    assert start(config, tmp_path) == (True, "ops@x.example", "writes alerts")
    assert start(config, tmp_path) == (False, "ops@x.example", "writes alerts")


def test_a_file_that_is_gone_stops_the_start_and_is_placed(config, tmp_path):
    start(config, tmp_path)
    (tmp_path / "purpose").unlink()
    with pytest.raises(ConfigurationRefused) as refused:
        start(config, tmp_path)
    (problem,) = refused.value.problems
    assert (problem.code, problem.file) == ("CFG-UNRESOLVED", str(config / "credentials/team.yaml"))


def test_a_file_more_or_less_in_a_folder_is_noticed(config, tmp_path):
    start(config, tmp_path)
    other = config / "policies"
    other.mkdir()
    (other / "more.yaml").write_text("apiVersion: rotator/v1\npolicies: {weekly: {every: 7d, overlap: 1h}}\n")
    assert start(config, tmp_path)[0]
    assert not start(config, tmp_path)[0]
    (other / "more.yaml").unlink()
    assert start(config, tmp_path)[0]


def test_a_ledger_named_by_a_reference_is_found_by_loading_everything(config, tmp_path, monkeypatch):
    text = (config / "rotator.yaml").read_text()
    assert ledger_of(config) == tmp_path / "ledger.db"
    (config / "rotator.yaml").write_text(
        text.replace(f"ledger: {tmp_path}", 'ledger: "${env:STATE}').replace(".db", '.db"', 1)
    )
    assert ledger_of(config) is None
    monkeypatch.setenv("STATE", str(tmp_path))
    with ExitStack() as closing:
        assert Live(config, SystemClock(), closing, "0").settings.daemon.ledger == f"{tmp_path}/ledger.db"


def test_what_only_a_plugin_knows_is_placed_at_a_start_too(config, tmp_path):
    file = config / "credentials/team.yaml"
    file.write_text(file.read_text().replace("kind: key", "kind: kay"))
    with pytest.raises(ConfigurationRefused) as refused:
        start(config, tmp_path)
    (problem,) = refused.value.problems
    assert (problem.code, problem.file, problem.suggestion) == ("CFG-UNKNOWN-KIND", str(file), "key")
    assert problem.line > 1
