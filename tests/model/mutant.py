"""What a chosen mutant is, and the tests by expectation that it may name. Read by the list of them and by `mutants`."""

from __future__ import annotations

from dataclasses import dataclass

GUARD = ("tests/unit/test_machine_guard.py",)
ANSWERS = ("tests/unit/test_machine_answers.py",)
HOLDS = ("tests/unit/test_machine_holds_and_due.py",)
MODEL = ("tests/model/test_expected.py",)
_OUTAGES = "tests/model/test_outages.py::"
ONE_DEBT = (_OUTAGES + "test_one_debt_in_back_off_does_not_hold_the_other",)
OWING = (_OUTAGES + "test_a_kill_that_is_refused_for_ever_ends_owing_and_holds_no_later_rotation",)
OTHER_VALUES = ("tests/model/test_other_values.py",)
RULES = ("tests/model/test_rules_taken_away.py",)


@dataclass(frozen=True)
class Mutant:
    """One patch of rotator/machine. `only`: configurations to begin with; `expect`: tests that should fail."""

    name: str
    file: str
    old: str
    new: str
    only: tuple[str, ...] = ()
    expect: tuple[str, ...] = ()
