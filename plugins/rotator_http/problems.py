"""What is wrong with a pack, where, in the words of somebody who does not program.

Called while a pack is read. All problems of a file are collected; the same one is told once. A message quotes what the
pack says, so it must never be given a value from a server.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, order=True)
class PackProblem:
    """One problem. `line` and `column` count from 1. `code` is one word for programs, `message` is for people."""

    file: str
    line: int
    column: int
    code: str
    message: str

    @property
    def docs(self) -> str:
        """Where the manual says more about this sort of problem."""
        return f"docs/packs.md#pack-{self.code.replace('_', '-')}"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message} [{self.code}]"


class PackRefused(ValueError):
    """A pack that cannot be used; `problems` says why, all of it."""

    def __init__(self, problems: Iterable[PackProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems) or "the pack cannot be used")


class Spot(Protocol):
    """Somewhere in the file."""

    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Place:
    """A line and a column, both from 1."""

    line: int = 1
    column: int = 1


@dataclass(slots=True)
class Report:
    """Collects the problems of one file."""

    file: str
    found: set[PackProblem] = field(default_factory=set)

    def add(self, spot: Spot, code: str, message: str) -> None:
        """Notes one problem."""
        self.found.add(PackProblem(self.file, spot.line, spot.column, code, message))

    def unknown(self, spot: Spot, code: str, name: str, what: str, known: Iterable[str]) -> None:
        """Notes a name that does not exist, with the nearest one that does, and all of them if they are few."""
        self.add(spot, code, f"{name!r} is not {what}{suggestion(name, known)}")

    def missing_pack(self, name: str, known: Iterable[str]) -> None:
        """Notes that no shipped pack has this name."""
        self.unknown(Place(), "no_such_pack", name, "a pack that comes with the plugin", known)

    def sorted(self) -> list[PackProblem]:
        """All problems, in the order of the file."""
        return sorted(self.found)


def suggestion(name: str, known: Iterable[str]) -> str:
    """`; did you mean X?` if something is near, and what may stand there."""
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    if not names:
        return f"{hint} (there is none)"
    listed = ", ".join(names[:24]) + (", ..." if len(names) > 24 else "")
    return f"{hint} (known: {listed})"
