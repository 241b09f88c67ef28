"""The contract suite asks for every method that the port has."""

from __future__ import annotations

from pathlib import Path

import pytest

from rotator.engine.ports import Ledger

METHODS = sorted(name for name, value in vars(Ledger).items() if callable(value) and not name.startswith("_"))
SUITE = "".join(path.read_text() for path in Path(__file__).parent.glob("*.py"))


@pytest.mark.parametrize("method", METHODS)
def test_the_suite_calls_the_method(method: str) -> None:
    assert f".{method}(" in SUITE
