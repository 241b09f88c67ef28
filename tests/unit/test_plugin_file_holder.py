"""Telling the holder of a file by command or signal, and what the file plugin's configuration refuses."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from rotator_file import Config, place, plugin

from rotator.plugin_api import (
    RESERVED,
    Failed,
    Installed,
    Misconfigured,
    OutcomeUnknown,
)
from tests.unit.plugin_file_desk import CANARY, desk, install, preflight

# ---- telling the holder --------------------------------------------------------------------------------------------


def script(folder: Path, body: str) -> Path:
    path = folder / "reload.sh"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def test_reload_runs_after_the_write_and_sees_neither_value_nor_our_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    monkeypatch.setenv("LEAK", CANARY)
    program = script(
        tmp_path, f'cat {root}/x.env > {tmp_path}/saw; env > {tmp_path}/env; printf "%s|" "$@" > {tmp_path}/argv'
    )
    at = desk(root, reload=f"{program} 'two words' $HOME ';id'")
    install(at, "x.env", {"A": CANARY})
    assert (tmp_path / "saw").read_text() == f"A={CANARY}\n"
    assert CANARY not in (tmp_path / "env").read_text()
    assert (tmp_path / "argv").read_text() == "two words|$HOME|;id|"  # split, never expanded


def test_reload_that_fails_says_so_with_the_file_in_place_and_again_repeats_both(tmp_path: Path) -> None:
    root, fine = tmp_path / "root", tmp_path / "fine"
    root.mkdir()
    program = script(tmp_path, f"echo run >> {tmp_path}/runs; test -e {fine}")
    at = desk(root, reload=str(program))
    with pytest.raises(Failed, match="reload_failed") as caught:
        install(at, "x.env", {"A": "new"})
    assert caught.value.status == "1"
    assert (root / "x.env").read_text() == "A=new\n"
    fine.touch()
    assert install(at, "x.env", {"A": "new"}) == Installed(handle="x.env")
    assert (tmp_path / "runs").read_text() == "run\nrun\n"


def test_reload_that_hangs_is_killed_with_what_it_started(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    program = script(tmp_path, f"sleep 60 & echo $! > {tmp_path}/child; wait")
    at = desk(root, reload=str(program), reload_timeout=1)
    started = time.monotonic()
    with pytest.raises(OutcomeUnknown, match="reload_timeout"):
        install(at, "x.env", {"A": "1"})
    assert time.monotonic() - started < 3
    number = int((tmp_path / "child").read_text())
    for _ in range(100):
        state = Path(f"/proc/{number}/stat")
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.05)
    pytest.fail("the command's child lives on")


def test_missing_reload_program_is_found_before_anything_is_written(tmp_path: Path) -> None:
    at = desk(tmp_path, reload="/no/such/program")
    assert preflight(at, "x.env").findings == ("reload_command",)
    with pytest.raises(Misconfigured, match="reload_command"):
        install(at, "x.env", {"A": "1"})
    assert not list(tmp_path.iterdir())


def waiting(folder: Path) -> subprocess.Popen[bytes]:
    """A process that writes its pid file, and another file when it gets HUP."""
    body = f"trap 'touch {folder}/got' HUP; echo $$ > {folder}/pid; while :; do sleep 0.05; done"
    process = subprocess.Popen(["/bin/sh", "-c", body])
    for _ in range(200):
        if (folder / "pid").exists() and (folder / "pid").read_text().strip():
            return process
        time.sleep(0.02)
    raise AssertionError("no pid file")


def test_signal_reaches_the_process_of_the_pid_file(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    process = waiting(tmp_path)
    try:
        install(desk(root, signal="HUP", pidfile=str(tmp_path / "pid")), "x.env", {"A": "1"})
        for _ in range(500):
            if (tmp_path / "got").exists():
                break
            time.sleep(0.02)
        assert (tmp_path / "got").exists()
    finally:
        process.kill()
        process.wait(10)
    with pytest.raises(Failed, match="not_running"):
        install(desk(root, signal="HUP", pidfile=str(tmp_path / "pid")), "x.env", {"A": "2"})
    assert (root / "x.env").read_text() == "A=2\n"


def test_stranger_that_got_an_old_number_is_not_signalled(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    process = waiting(tmp_path)
    try:
        os.utime(tmp_path / "pid", (1_000_000_000, 1_000_000_000))  # written long before that process began
        with pytest.raises(Failed, match="not_running"):
            install(desk(root, signal="HUP", pidfile=str(tmp_path / "pid")), "x.env", {"A": "1"})
        time.sleep(0.2)
        assert not (tmp_path / "got").exists()
    finally:
        process.kill()
        process.wait(10)


@pytest.mark.parametrize("text", ["", "abc", "0", "1", "-5", "9" * 40])
def test_pid_file_with_nonsense_signals_nobody(text: str, tmp_path: Path) -> None:
    (tmp_path / "pid").write_text(text)
    with pytest.raises(Misconfigured, match="pidfile"):
        install(desk(tmp_path, signal="TERM", pidfile=str(tmp_path / "pid")), "x.env", {"A": "1"})


def test_absent_pid_file_means_not_running_and_a_shared_or_linked_one_is_refused(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    at = desk(tmp_path, signal="HUP", pidfile=str(pid))
    with pytest.raises(Failed, match="not_running"):
        install(at, "x.env", {"A": "1"})
    pid.write_text("2")
    pid.chmod(0o666)
    with pytest.raises(Misconfigured, match="pidfile"):
        install(at, "x.env", {"A": "1"})
    pid.rename(tmp_path / "other")
    pid.symlink_to(tmp_path / "other")
    with pytest.raises(Misconfigured, match="pidfile"):
        install(at, "x.env", {"A": "1"})


# ---- configuration, declaration ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        {"root": "relative"},
        {"root": "/a/../b"},
        {"mode": "600600"},
        {"mode": "0644"},
        {"mode": "0o600"},
        {"mode": "0200"},
        {"reload": "relative command"},
        {"reload": "  "},
        {"reload": "/bin/x 'open"},
        {"signal": "HUP"},
        {"pidfile": "/run/x"},
        {"signal": "NOPE", "pidfile": "/run/x"},
        {"signal": "HUP", "pidfile": "x"},
        {"reload": "/bin/true", "signal": "HUP", "pidfile": "/run/x"},
        {"reload_timeout": 0},
    ],
)
def test_nonsense_in_the_configuration_is_refused_when_read(config: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Config(**{"root": "/srv", **config})


def test_every_slug_in_the_code_is_declared() -> None:
    used = {slug for _, slug in place.ERRORS.values()}
    for module in Path(place.__file__).parent.glob("*.py"):
        for piece in module.read_text().split('("')[1:]:
            slug = piece.split('"')[0]
            if slug.replace("_", "").isalpha() and slug.islower() and module.name != "__init__.py":
                used.add(slug)
    assert {"path", "reload_failed", "not_durable"} <= used
    known = {*plugin.reasons, *RESERVED, "ascii", "env"}
    assert used <= known, used - known
