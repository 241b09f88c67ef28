"""The demo's sabotages, and seeded samples of the kills and the soak: what `make test` keeps of the long runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def lab(*words: str, timeout: float = 280) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False
    )


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("skip-revoke", 15, "ended: owed"),
        ("cached-revoke", 15, "ended: owed"),
        ("wrong-identity", 11, "ended: rolled back"),
        ("lost-answer", 0, "ended: succeeded"),
    ],
)
def test_a_sabotage_is_told_by_the_exit_code(name: str, code: int, words: str) -> None:
    done = lab("tests.lab.demo", "--sabotage", name)
    assert done.returncode == code, done.stdout + done.stderr
    assert words in done.stdout


def test_a_seeded_sample_of_kills_breaks_nothing() -> None:
    done = lab(
        "tests.crash.kills", "--sample", "2", "--seed", "5", "--jobs", "2", "--passage", "rotate", "--passage", "retire"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "violations 0" in done.stdout.splitlines()[-1]


def test_a_seeded_sample_of_the_soak_breaks_nothing() -> None:
    done = lab("tests.lab.soak", "--rotations", "30", "--lanes", "3", "--seed", "8")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "violations 0" in done.stdout.splitlines()[-1]
