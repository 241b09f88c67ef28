"""The 26 configurations at three faults: no invariant is broken, every run can end, none runs in a circle.

Three groups of about the same length, so that two workers share them (`--dist loadscope`). The closing line of all
comes at the end of the test run.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.model.closing import PROPERTY
from tests.model.configurations import Configuration, the_26
from tests.model.explorer import Result, explore

Record = Callable[[str, object], None]

CONFIGS = the_26()
LARGEST = frozenset({"o i three slots + administrator"})
LARGE = frozenset(
    {"o i labelled + debt", "o i two slots + administrator", "alternating + twin", "o i two slots + debt"}
)


def _group(names: frozenset[str]) -> pytest.MarkDecorator:
    configs = [config for config in CONFIGS if config.name in names]
    return pytest.mark.parametrize("config", configs, ids=[config.name for config in configs])


def _clean(config: Configuration, record_property: Record) -> Result:
    result = explore(config, 3)
    record_property(PROPERTY, (result.states, result.transitions, result.seconds))
    assert not result.violations, "\n".join([result.violations[0][0], *result.violations[0][1]])
    assert result.states > 500, "a model that explores next to nothing proves nothing"
    return result


class TestTheLargest:
    @_group(LARGEST)
    def test_no_invariant_breaks_at_three_faults(self, config: Configuration, record_property: Record) -> None:
        _clean(config, record_property)


class TestTheLarge:
    @_group(LARGE)
    def test_no_invariant_breaks_at_three_faults(self, config: Configuration, record_property: Record) -> None:
        _clean(config, record_property)


class TestTheOthers:
    endings: frozenset[str] = frozenset()

    @_group(frozenset(config.name for config in CONFIGS) - LARGE - LARGEST)
    def test_no_invariant_breaks_at_three_faults(self, config: Configuration, record_property: Record) -> None:
        TestTheOthers.endings |= set(_clean(config, record_property).endings)

    def test_every_ending_was_met(self) -> None:
        if not TestTheOthers.endings:
            pytest.skip("only with the whole group")
        assert TestTheOthers.endings == {"succeeded", "owed", "rolled_back", "contained", "abandoned"}


def test_the_groups_hold_all_26() -> None:
    names = {config.name for config in CONFIGS}
    assert len(CONFIGS) == len(names) == 26
    assert names > LARGE | LARGEST
