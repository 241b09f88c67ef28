"""Which control is good enough for what kind of run (ADR 0019)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rotator.machine.facts import RunKind
from rotator.machine.steps import Grade
from tests.unit.engine_bench import Bench, credential

EVERY = set(RunKind)


@pytest.mark.parametrize(
    ("settings", "retired", "others"), [({}, 3, 2), ({"proof_grade": 1, "proof_retired": 2}, 2, 1)]
)
def test_a_retirement_has_a_weakest_grade_of_its_own(
    tmp_path: Path, settings: dict[str, Any], retired: int, others: int
) -> None:
    definition = credential("alpha", **settings)
    bench = Bench(tmp_path, definition)
    try:
        found = {kind: bench.planner().plan(definition, kind).weakest for kind in EVERY}
    finally:
        bench.close()
    assert found.pop(RunKind.RETIRE) is Grade(retired)
    assert set(found.values()) == {Grade(others)}
