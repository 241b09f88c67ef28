"""A sample of `make crash`: what it says, and that it can fail."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.crash.bench import Result
from tests.crash.places import Boundary, cases
from tests.crash.report import closing
from tests.lab.estate import ROOT


def crash(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.crash", "--jobs", "1", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500, stdin=subprocess.DEVNULL)


@pytest.mark.timeout(520)
def test_a_sample_at_openbao_and_in_the_embedded_store() -> None:
    done = crash("--sample", "2", "--seed", "11", "--store", "openbao", "--store", "local")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "violations 0" in done.stdout.splitlines()[-1]


@pytest.mark.long
@pytest.mark.timeout(520)
def test_a_sample_at_aws() -> None:
    done = crash("--sample", "4", "--seed", "12", "--store", "aws")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "violations 0" in done.stdout.splitlines()[-1]


def test_every_boundary_meets_every_fault_of_its_kind() -> None:
    found = cases(
        "many", "openbao", "rotate", [Boundary("commit", 1), Boundary("web", 3), Boundary("database", 2, True)]
    )
    assert len(found) == 6 + 10 + 7
    assert len({one.name for one in found}) == len(found)
    assert not any(one.fault == "429" for one in found if one.boundary.raw)


def test_the_closing_line_counts_what_struck_and_what_is_wrong() -> None:
    results = [Result("a", True, True, "succeeded"), Result("b", False, False, "owed", violations=["x"])]
    said = closing(results, 3.2)
    assert "2 cases, 1 faults struck, 1 of them deaths" in said
    assert said.endswith("violations 1, 3 s")
