"""python -m rotator.machine.tables: the tables of docs/design.md, generated from the ladder.

A test fails when the document's block differs from what this prints.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from rotator.machine import reasons
from rotator.machine.ladder import LEGS, RUNGS

BEGIN = "<!-- generated: ladder -->"
END = "<!-- end of generated: ladder -->"


def block() -> str:
    """The whole block, with its markers, ending in a newline."""
    parts = [BEGIN, "", "### Rungs", "", *_rungs(), "", "### Legs", "", *_legs(), "", "### Endings", "", *_endings()]
    parts += ["", "### Questions", "", *_questions(), "", END, ""]
    return "\n".join(parts)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = [head, tuple("---" for _ in head), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def _rungs() -> list[str]:
    rows = [(name.value, row.holds_when, row.step, row.refused, row.guard, row.word) for name, row in RUNGS.items()]
    return _table(("rung", "holds when", "step", "refused", "guard", "shown as"), rows)


def _legs() -> list[str]:
    rows = []
    for name, row in LEGS.items():
        ending = "–" if row.ending is None else row.ending.value
        rows.append((name.value, row.target, " ".join(rung.value for rung in row.rungs), ending))
    return _table(("leg", "target", "rungs", "ending"), rows)


def _endings() -> list[str]:
    return _table(("ending", "means"), reasons.ENDINGS.items())


def _questions() -> list[str]:
    return _table(("question", "means"), reasons.QUESTIONS.items())


if __name__ == "__main__":
    sys.stdout.write(block())
