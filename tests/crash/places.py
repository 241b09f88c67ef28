"""Where a case strikes and with what: every commit and every exchange of a passage, and the faults that each can meet.

Data and small functions for `tests.crash.bench`; a case is named by a text that repeats it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from tests.lab.proxy_rules import Answer

HOUR: Final = 3_600_000
COMMIT: Final = (
    "killed before commit", "killed after commit", "ledger refuses", "disk full", "clock an hour on",
    "clock an hour back",
)  # fmt: skip
STEPS: Final = {"clock an hour on": HOUR, "clock an hour back": -HOUR}

KILLS: Final = {"killed before exchange": "request_lost", "killed after exchange": "answer_lost"}
RAW: Final[dict[str, dict[str, Any]]] = {
    **{name: {"fault": fault} for name, fault in KILLS.items()},
    "answer lost": {"fault": "answer_lost"},
    "request lost": {"fault": "request_lost"},
    "request late": {"fault": "orphaned"},
    "truncated": {"fault": "half_answer"},
    "reset": {"fault": "reset"},
}
HTTP: Final[dict[str, dict[str, Any]]] = {
    **RAW,
    "429": {"fault": "made_up", "answer": Answer.too_many(1)},
    "503 after the write": {"fault": "replaced", "answer": Answer(503)},
    "redirected": {"fault": "made_up", "answer": Answer.redirect("http://127.0.0.1:9/elsewhere")},
}
DEATHS: Final = frozenset({"killed before commit", "killed after commit", *KILLS})


@dataclass(frozen=True, slots=True)
class Boundary:
    """A commit, or an exchange with the server behind one of the proxies; the n-th of the passage, from 1."""

    where: str
    n: int
    raw: bool = False

    def faults(self) -> tuple[str, ...]:
        """What may happen there."""
        if self.where == "commit":
            return COMMIT
        return tuple(RAW if self.raw else HTTP)


@dataclass(frozen=True, slots=True)
class Case:
    """One fault at one boundary of one passage."""

    shape: str
    store: str
    passage: str
    boundary: Boundary
    fault: str

    @property
    def name(self) -> str:
        """By which it is kept and repeated."""
        return f"{self.shape}/{self.store}/{self.passage}/{self.boundary.where}#{self.boundary.n}/{self.fault}"


def cases(shape: str, store: str, passage: str, boundaries: list[Boundary]) -> list[Case]:
    """Every boundary with every fault that it can meet."""
    return [Case(shape, store, passage, one, fault) for one in boundaries for fault in one.faults()]
