"""What went wrong, for people and for programs: a string code, words, what to do next.

Raised anywhere in the command line, shown once by `main`. Must never repeat a value that stood on the command line in
the place of a file or an id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import exits
from .screen import Screen, clean


@dataclass(slots=True)
class Failure(Exception):
    """The command ends with `exit`. `about`: labelled facts; `do`: commands or sentences, in the order to try them."""

    code: str
    message: str
    exit: int
    hint: str = ""
    run: str = ""
    docs: str = ""
    about: Sequence[tuple[str, str]] = ()
    do: Sequence[str] = ()
    more: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.message} [{self.code}]"

    def document(self) -> dict[str, Any]:
        """For machine formats."""
        return {
            "error": {
                "code": self.code,
                "message": self.message,
                "hint": self.hint,
                "exit": self.exit,
                "run": self.run,
                "docs": self.docs,
                "do": list(self.do),
                **self.more,
            }
        }

    def paint(self, screen: Screen) -> None:
        """For people: the error first, then what is around it, what to do, where to read on."""
        head = "uncertain" if self.exit == exits.UNCERTAIN else "error"
        screen.headline(head, clean(self.message), self.code, "yellow" if head == "uncertain" else "red")
        rows = [*self.about]
        if self.run:
            rows.append(("run", self.run))
        rows += [("hint", self.hint)] if self.hint else []
        rows += [("do" if number == 0 else "", line) for number, line in enumerate(self.do)]
        if self.docs:
            rows.append(("more", self.docs))
        screen.facts(rows)


def usage(message: str, hint: str = "") -> Failure:
    """The command was not used as it can be."""
    return Failure("ROT-USAGE", message, exits.USAGE, hint=hint)
