"""The exit codes of the command line: one number, one meaning. Shown by `rotator help exit-codes`, kept in docs/cli.md.

The string code of an error (`ROT-...`, `CFG-...`) is the finer contract; the number is for scripts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

OK: Final = 0
BUG: Final = 1
USAGE: Final = 2
CONFIGURATION: Final = 3
NOT_ALLOWED: Final = 4
NOT_FOUND: Final = 5
CONFLICT: Final = 6
HELD: Final = 7
STILL_RUNNING: Final = 8
MIXED: Final = 9
FINDINGS: Final = 10
FAILED_SAFE: Final = 11
UNCERTAIN: Final = 12
UNREACHABLE: Final = 13
CONTAINED: Final = 14
OWING: Final = 15
INTERRUPTED: Final = 130
TERMINATED: Final = 143

MEANINGS: Final[dict[int, tuple[str, str]]] = {
    OK: ("done", "Done, or nothing to do."),
    BUG: ("bug", "A bug, here or in the daemon; the message carries a report id or a place."),
    USAGE: ("usage", "Wrong usage, or a confirmation was needed and there is no terminal."),
    CONFIGURATION: ("configuration", "The configuration or a policy is not valid."),
    NOT_ALLOWED: ("not allowed", "You may not do this."),
    NOT_FOUND: ("not found", "There is no such credential, run, workflow or endpoint."),
    CONFLICT: ("conflict", "Something else is in progress or has changed; look, then try again."),
    HELD: ("held", "Policy holds it back: a pause, a freeze, a window, a brake."),
    STILL_RUNNING: ("still running", "--timeout ended first; the run goes on in the daemon."),
    MIXED: ("mixed", "Several runs or credentials ended in different ways; the document lists each."),
    FINDINGS: (
        "findings",
        "There is something to do or to look at; said by verify, certificate, plugins try, and with --exit-code.",
    ),
    FAILED_SAFE: ("failed safe", "The old value works, nothing new is alive."),
    UNCERTAIN: ("uncertain", "A person is needed: what is known, what is not, and the commands are printed."),
    UNREACHABLE: ("unreachable", "The daemon, or what it needs, does not answer; trying again is safe."),
    CONTAINED: ("contained", "The compromised value is proven dead; no value works yet."),
    OWING: ("succeeded owing", "The new value serves everywhere; an old one is not yet proven dead: a debt."),
    INTERRUPTED: ("interrupted", "Ctrl-C: what was begun goes on in the daemon."),
    TERMINATED: ("terminated", "SIGTERM: what was begun goes on in the daemon."),
}


def of_many(codes: Iterable[int]) -> int:
    """One exit code for several results: theirs if they agree, else MIXED."""
    found = set(codes)
    if not found:
        return OK
    return found.pop() if len(found) == 1 else MIXED


def word(code: int | None) -> str:
    """The code in words."""
    return "running" if code is None else MEANINGS.get(code, (str(code), ""))[0]
