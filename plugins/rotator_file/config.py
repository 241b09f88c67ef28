"""How an endpoint of the file plugin is configured. Read by the host and by the other modules; never holds a secret."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import PurePosixPath
from signal import Signals
from typing import Final

OTHERS: Final = 0o007
OWNER_READS: Final = 0o400


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One folder whose files are written.

    `root`: absolute path; nothing outside it is ever touched. `mode`: octal text; others than owner and group get
    nothing. `owner`, `group`: name or number; empty = those of the daemon. After a write the holder is told in one of
    two ways: `reload`, a command line (split as a shell would, run without a shell, first word an absolute path) that
    has `reload_timeout` seconds, or `signal` (such as HUP) to the process whose number stands in `pidfile`.
    Raises ValueError on nonsense.
    """

    root: str
    mode: str = "0600"
    owner: str = ""
    group: str = ""
    reload: str = ""
    reload_timeout: int = 10
    signal: str = ""
    pidfile: str = ""

    def __post_init__(self) -> None:
        path = PurePosixPath(self.root)
        if not path.is_absolute() or ".." in path.parts or "\0" in self.root:
            raise ValueError("root: an absolute path without ..")
        if not re.fullmatch("0?[0-7]{3}", self.mode):
            raise ValueError('mode: three octal digits in quotes, such as "0640"')
        if self.bits & OTHERS or not self.bits & OWNER_READS:
            raise ValueError("mode: the owner must be able to read, others must not have anything")
        if self.reload and (self.signal or self.pidfile):
            raise ValueError("reload, signal: one of the two")
        if bool(self.signal) != bool(self.pidfile):
            raise ValueError("signal, pidfile: both or none")
        if self.signal and f"SIG{self.signal}" not in Signals.__members__:
            raise ValueError("signal: a name such as HUP or USR1")
        if self.pidfile and not PurePosixPath(self.pidfile).is_absolute():
            raise ValueError("pidfile: an absolute path")
        if self.reload_timeout < 1:
            raise ValueError("reload_timeout: at least one second")
        if self.reload and not (self.command and PurePosixPath(self.command[0]).is_absolute()):
            raise ValueError("reload: begins with the absolute path of a program")

    @property
    def bits(self) -> int:
        """The mode as a number."""
        return int(self.mode, 8)

    @property
    def command(self) -> tuple[str, ...]:
        """The reload command as argv; empty if there is none. ValueError on unbalanced quotes."""
        return tuple(shlex.split(self.reload)) if self.reload.strip() else ()
