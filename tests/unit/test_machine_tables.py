"""The documents say what the ladder is; the catalogue of reason codes is complete."""

from __future__ import annotations

import re
from pathlib import Path

from rotator.machine import due, holds, ladder, reasons, strategy
from rotator.machine.facts import Ending, LegName, Topic
from rotator.machine.tables import BEGIN, END, block

ROOT = Path(__file__).parents[2]


def test_the_documents_tables_are_the_ladders():
    text = (ROOT / "docs/design.md").read_text()
    assert text[text.index(BEGIN) : text.index(END) + len(END)] + "\n" == block(), "docs/design.md is out of date"


def test_every_leg_is_made_of_known_rungs_in_the_one_order_but_contain():
    order = list(ladder.RungName)
    for name, leg in ladder.LEGS.items():
        places = [order.index(rung) for rung in leg.rungs]
        assert name is LegName.CONTAIN or places == sorted(places), name
    assert set(ladder.RUNGS) == set(order)


def test_every_question_leg_and_ending_has_a_meaning():
    assert set(reasons.QUESTIONS) == {topic.value for topic in Topic}
    assert set(reasons.ENDINGS) == {ending.value for ending in Ending}
    assert set(reasons.LEGS) == {leg.value for leg in LegName}


def test_every_hold_has_a_meaning():
    assert set(reasons.HOLDS) == {name for name, _, _ in holds.CHECKS}


def _codes(module: object, pattern: str) -> set[str]:
    assert hasattr(module, "__file__")
    return set(re.findall(pattern, Path(str(module.__file__)).read_text()))


def test_every_reason_of_due_and_of_objections_has_a_meaning():
    given = _codes(due, r'Due\([^"\n]*"([a-z_]+)"') | _codes(due, r'_until\([^"\n]*"([a-z_]+)"')
    given |= _codes(due, r'"([a-z_]+)" if s\.') | _codes(due, r'else "([a-z_]+)"')
    assert given == set(reasons.DUE)
    assert _codes(strategy, r'found\.append\("([a-z_]+)"\)') == set(reasons.OBJECTIONS)


def test_every_turn_wait_and_detail_has_a_meaning():
    sources = "".join(path.read_text() for path in (ROOT / "rotator/machine").glob("*.py") if path.stem != "reasons")
    for code in (*reasons.TURNS, *reasons.WAITS, *reasons.DETAILS):
        assert f'"{code}"' in sources, f"{code} is in the catalogue and nobody gives it"
    turns = set(re.findall(r'Turn\(run\.legs[^,\n]*, "([a-z_]+)"', sources))
    waits = set(re.findall(r'Wait\(\w+, \w+, "([a-z_]+)"', sources)) | set(
        re.findall(r'Pause\([^"\n]*"([a-z_]+)"', sources)
    )
    assert turns <= set(reasons.TURNS)
    assert waits <= set(reasons.WAITS)
