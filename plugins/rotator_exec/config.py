"""How an endpoint of the exec plugin is configured. Read by the host and by the other modules; never holds a secret."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

LONGEST_TIMEOUT: Final = 3600
USER: Final = re.compile(r"[a-z_][a-z0-9_.-]{0,31}\$?|[0-9]{1,10}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The programs that take, show and give up what one holder has.

    `command`, `check`, `empty`: command lines, split as a shell would and run without one; each begins with an absolute
    path. `check` and `empty` may be empty: then that ability is answered by nobody. `timeout`: seconds of one program,
    1 to 3600; the deadline of the call ends it earlier. `user`: name or number of the user that the programs run as;
    empty = the daemon's own. Raises ValueError on nonsense.
    """

    command: str
    check: str = ""
    empty: str = ""
    timeout: int = 30
    user: str = ""

    def __post_init__(self) -> None:
        for name in ("command", "check", "empty"):
            line = str(getattr(self, name))
            if not line and name != "command":
                continue
            if "\0" in line:
                raise ValueError(f"{name}: no NUL")
            try:
                words = _split(line)
            except ValueError:
                raise ValueError(f"{name}: the quotes are not balanced") from None
            if not words or not PurePosixPath(words[0]).is_absolute():
                raise ValueError(f"{name}: begins with the absolute path of a program")
            if ".." in PurePosixPath(words[0]).parts:
                raise ValueError(f"{name}: a path without ..")
        if not 1 <= self.timeout <= LONGEST_TIMEOUT:
            raise ValueError(f"timeout: 1 to {LONGEST_TIMEOUT} seconds")
        if self.user and not USER.fullmatch(self.user):
            raise ValueError("user: the name or number of a user")

    def words(self, ability: str) -> tuple[str, ...]:
        """The argument vector of `command`, `check` or `empty`; empty if there is none."""
        return _split(str(getattr(self, ability)))


def _split(line: str) -> tuple[str, ...]:
    return tuple(shlex.split(line))
