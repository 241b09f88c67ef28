"""`rotator init`: what it makes, that it leaves alone what exists, and what it says of what it cannot make."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from rotator.daemon.clock import SystemClock
from rotator.effects.stores.opening import LocalConfig, open_store
from rotator.plugin_api import Secret

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    text = (ROOT / "config" / "minimal.yaml").read_text()
    for folder in ("/var/lib/rotator", "/etc/rotator", "/run/rotator"):
        text = text.replace(folder, str(tmp_path / folder.replace("/", "-").strip("-")))
    path = tmp_path / "rotator.yaml"
    path.write_text(text)
    return path


def init(config: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rotator.cli", "init", "--config", str(config)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_first_start_has_all_that_it_needs(config: Path, tmp_path: Path) -> None:
    assert init(config).returncode == 0
    keys = tmp_path / "etc-rotator"
    for name in ("fingerprint.key", "store.key"):
        assert (keys / name).stat().st_size == 32
        assert stat.S_IMODE((keys / name).stat().st_mode) == 0o600
    local = LocalConfig(tmp_path / "var-lib-rotator" / "store", keys / "store.key", "first")
    store = open_store(local, SystemClock())
    store.deposit("admin/alerta", "key", Secret("canary-first-value"), {}, replace=False)
    assert store.fetch("admin/alerta", "key") is not None


def test_what_exists_is_left_alone(config: Path, tmp_path: Path) -> None:
    init(config)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    again = init(config)
    assert (again.returncode, again.stdout) == (0, "nothing was missing\n")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_refused_configuration_makes_nothing(config: Path, tmp_path: Path) -> None:
    config.write_text(config.read_text().replace("overlap: 24h", "overlpa: 24h"))
    done = init(config)
    assert done.returncode == 3
    assert "did you mean" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rotator.yaml"]


def test_a_file_in_the_place_of_a_folder_is_named(config: Path, tmp_path: Path) -> None:
    (tmp_path / "etc-rotator").write_text("")
    done = init(config)
    assert done.returncode == 3
    assert "etc-rotator" in done.stderr
    assert "Traceback" not in done.stderr
