"""What is wrong with a configuration: problems with a code, a place and words; the catalogue of their codes.

Made by every module of this room, shown by the command line and the daemon's log. A problem must never carry a value
that could be a secret: messages name keys and words of ours, and the source line comes masked (`excerpts.py`).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

CODES: Final[Mapping[str, str]] = {
    "CFG-BAD-CRON": "The cron text is no five-field cron, or it never fires.",
    "CFG-BAD-DURATION": "A span of time is not written as 30d, 24h, 15m, 1h30m or P90D.",
    "CFG-BAD-ENUM": "The word is not one of those that are allowed here.",
    "CFG-BAD-ID": "An id or name has characters that are not allowed in store paths, labels and selectors.",
    "CFG-BAD-PATH": "A path in a store is not normalised, or leaves its root.",
    "CFG-BAD-RATE": "A rate is not written as calls in a span.",
    "CFG-BAD-REFERENCE": "A `${…}` is not written as ${env:NAME}, ${env:NAME:-default} or ${file:/path}.",
    "CFG-BAD-SELECTOR": "A selector is not written as key=value terms with commas between them.",
    "CFG-BAD-TIME": "A date, a time of day or a moment is not written as expected, or is too soon.",
    "CFG-BAD-ZONE": "The time zone is not an IANA name.",
    "CFG-CONFLICT": "Two keys that exclude or need each other.",
    "CFG-DUPLICATE-ID": "The same id or key stands in two places.",
    "CFG-EMPTY": "There is nothing in it: no file, an empty file, or an empty text or section.",
    "CFG-ENDPOINT-IN-USE": "An endpoint is gone at which values may still be alive.",
    "CFG-EXPIRY-NEAR": "The credential expires before its next rotation, or has expired (a warning).",
    "CFG-LIMITS": "A limit that cannot be had, or leaves nothing to others (a warning).",
    "CFG-MISSING": "A key that is needed is not there.",
    "CFG-NO-EXPIRY": "The credential has no expiry.",
    "CFG-NO-OWNER": "The credential has no owner.",
    "CFG-NO-PURPOSE": "The credential has no purpose.",
    "CFG-NO-TIER": "The credential has no tier.",
    "CFG-NO-WORKFLOWS": "The credential does not say which workflows use it (none is said as []).",
    "CFG-OUT-OF-RANGE": "A number or span is outside what makes sense.",
    "CFG-OVERLAP-TOO-LONG": "The overlap is not over when the next rotation is due.",
    "CFG-NO-SLOT": "The calendar leaves no time at which a scheduled rotation may start.",
    "CFG-PARENT-CYCLE": "A policy is its own parent, directly or through others.",
    "CFG-PLUGIN": "A plugin or pack cannot be used.",
    "CFG-PLUGIN-CONFIG": "The settings of an endpoint are not those of its plugin.",
    "CFG-PROOF-TOO-LONG": "Overlap and proof together are not over when the next rotation is due.",
    "CFG-SAME-PLACE": "Two credentials change the same principal, or the same field in a store.",
    "CFG-SECRET-BY-REFERENCE": "An environment variable or a file would put a secret into the configuration.",
    "CFG-SECRET-IN-CLEAR": "A secret is written where a reference to it belongs.",
    "CFG-SIMILAR-NAMES": "Two names differ by capital letters only (a warning).",
    "CFG-STORE-VERSIONS": "More is asked of one secret in a store than it keeps versions or labels (a warning).",
    "CFG-STORE": "A store cannot be opened with these settings.",
    "CFG-STORE-IN-USE": "A store is gone that a credential left behind still needs.",
    "CFG-TRAITS": "The policy asks for what this kind of credential cannot do.",
    "CFG-UNKNOWN-KEY": "The key is not known here.",
    "CFG-UNKNOWN-KIND": "The plugin of the endpoint has no such kind of credential.",
    "CFG-UNKNOWN-REF": "The name is not defined anywhere in the configuration.",
    "CFG-UNRESOLVED": "A variable or file that a `${…}` names is not there, empty, or no plain text.",
    "CFG-UNREADABLE": "The file cannot be read.",
    "CFG-UNUSED": "Nothing in the configuration uses this (a warning).",
    "CFG-WINDOW-TOO-SHORT": "What begins in the window is not over when it closes (a warning).",
    "CFG-WRONG-FOLDER": "A file lies in a folder that is not read, or holds what does not belong into its folder.",
    "CFG-WRONG-TYPE": "Something else belongs here: a text, a number, a list, a mapping.",
    "CFG-YAML": "The file is not YAML 1.2.",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `line` and `column` count from 1; 0 means that no place is known.

    `where` is the way to it in words (`credentials.orders.policy`), `suggestion` the one word or line to write
    instead, `excerpt` the masked source line and `caret` the column of the caret in it (from 1). A `warning` is told
    and refuses nothing (an expiry that comes near must not keep the daemon from starting).
    """

    code: str
    message: str
    where: str = ""
    file: str = ""
    line: int = 0
    column: int = 0
    suggestion: str = ""
    excerpt: str = ""
    caret: int = 0
    warning: bool = False

    def __post_init__(self) -> None:
        if self.code not in CODES:
            raise ValueError(f"{self.code} is not in the catalogue")

    @property
    def place(self) -> str:
        """`file:line:column`, or as much of it as is known."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file

    def in_words(self) -> str:
        """Several lines for a terminal: place, message and code; the source line with a caret; the suggestion."""
        where = f"{self.where}: " if self.where else ""
        where = f"warning: {where}" if self.warning else where
        lines = [f"{self.place}: {where}{self.message} [{self.code}]".removeprefix(": ")]
        if self.excerpt:
            number = str(self.line)
            lines.append(f"  {number} | {self.excerpt}")
            lines.append(f"  {' ' * len(number)} | {' ' * (self.caret - 1)}^")
        if self.suggestion:
            lines.append(f"  did you mean: {self.suggestion}")
        return "\n".join(lines)

    def as_json(self) -> dict[str, str | int]:
        """For `-o json`: no excerpt, since machines have the file."""
        return {
            "code": self.code,
            "message": self.message,
            "where": self.where,
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "suggestion": self.suggestion,
            "severity": "warning" if self.warning else "error",
        }


class ConfigurationRefused(Exception):
    """Everything that is wrong with a configuration, in the order of files and lines."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = in_order(problems)
        super().__init__(f"{len(self.problems)} problem(s) in the configuration")

    def in_words(self) -> str:
        """All problems, one under the other, and their number."""
        count = len(self.problems)
        return "\n".join([*(problem.in_words() for problem in self.problems), f"{count} problem{'s' * (count != 1)}"])


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """By file, line, column; the same problem at the same place only once."""
    return tuple(sorted(dict.fromkeys(problems), key=lambda one: (one.file, one.line, one.column, one.code)))


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word most like this one, or nothing when none is."""
    choices = sorted(set(known))
    folded = {choice.lower(): choice for choice in reversed(choices)}
    found = difflib.get_close_matches(word.lower(), folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else ""
