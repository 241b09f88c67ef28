"""The 26 configurations at three faults: no invariant is broken, every run can end, none runs in a circle."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.model.__main__ import closing_line
from tests.model.configurations import Configuration, the_26
from tests.model.explorer import Result, explore

RESULTS: list[Result] = []
# Going back unasked counts two faults here, one in `python -m tests.model`: three minutes on one core are enough.
CONFIGS = tuple(replace(config, whim=2) for config in the_26())


@pytest.mark.parametrize("config", CONFIGS, ids=[config.name for config in CONFIGS])
def test_no_invariant_breaks_at_three_faults(config: Configuration) -> None:
    result = explore(config, 3)
    RESULTS.append(result)
    assert not result.violations, "\n".join([result.violations[0][0], *result.violations[0][1]])
    assert result.states > 500, "a model that explores next to nothing proves nothing"


def test_all_26_were_explored(capsys: pytest.CaptureFixture[str]) -> None:
    if len(RESULTS) != len(CONFIGS):
        pytest.skip("only with the whole set")
    with capsys.disabled():
        print("\n" + closing_line(RESULTS, sum(result.seconds for result in RESULTS)))
    endings = {ending for result in RESULTS for ending in result.endings}
    assert endings == {"succeeded", "owed", "rolled_back", "contained", "abandoned"}
