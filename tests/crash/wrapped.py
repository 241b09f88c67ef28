"""The real daemon with a trap: it kills itself with SIGKILL just before or just after a given journal commit.

    python -m tests.crash.wrapped --credential NAME --kind KIND --at N --when before|after --count FILE serve --config C

The trap is a wrapper around the ledger's two writing calls, made here and nowhere in the product. `--at 0` only counts:
FILE then holds the number of commits of that credential's runs of that kind.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rotator.engine.ports import Claim, RunRow
from rotator.ledger import SqliteLedger


class Trap:
    """Counts the commits of one passage and springs at the n-th."""

    def __init__(self, credential: str, kind: str, at: int, when: str, count: Path) -> None:
        self.credential, self.kind, self.at, self.when, self.file = credential, kind, at, when, count
        self.runs: set[str] = set()
        self.commits = 0

    def around(self, run: str, commit: Callable[[], Any]) -> Any:
        """Make the commit of a watched run, dead before or after it if it is the one."""
        if run not in self.runs:
            return commit()
        self.commits += 1
        if self.commits == self.at and self.when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        done = commit()
        self.file.write_text(str(self.commits))
        if self.commits == self.at and self.when == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    def watches(self, row: RunRow) -> bool:
        """Whether this run belongs to the passage."""
        return row.credential == self.credential and row.kind.value == self.kind


def arm(trap: Trap) -> None:
    """Put the trap around the ledger's writing calls, in this process only."""
    plain_open, plain_append = SqliteLedger.open_run, SqliteLedger.append

    def open_run(self: SqliteLedger, row: RunRow, *rest: Any, **more: Any) -> Claim:
        if trap.watches(row):
            trap.runs.add(row.id)
        claim: Claim = trap.around(row.id, lambda: plain_open(self, row, *rest, **more))
        return claim

    def append(self: SqliteLedger, claim: Claim, *rest: Any, **more: Any) -> None:
        trap.around(claim.run, lambda: plain_append(self, claim, *rest, **more))

    SqliteLedger.open_run = open_run  # type: ignore[method-assign]
    SqliteLedger.append = append  # type: ignore[method-assign]


def main() -> None:
    """Arm the trap and become the daemon."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--credential", required=True)
    parser.add_argument("--kind", required=True)
    parser.add_argument("--at", type=int, required=True)
    parser.add_argument("--when", choices=["before", "after"], default="after")
    parser.add_argument("--count", type=Path, required=True)
    options, rest = parser.parse_known_args()
    arm(Trap(options.credential, options.kind, options.at, options.when, options.count))
    from rotator.cli.main import main as rotator

    sys.argv = ["rotator", *rest]
    rotator()


if __name__ == "__main__":
    main()
