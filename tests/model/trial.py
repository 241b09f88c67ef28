"""One trial: explore the machine that is first on the path until something is found. Called by `mutants` in a process
of its own; prints one line of JSON.

`python -P -m tests.model.trial PACKAGE_DIR [--faults N] [--limit STATES] [--only NAME ...] [--then]
[--expect FILE ...]`. The machine under trial must be the one below PACKAGE_DIR, or the trial itself fails.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import resource
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import rotator.machine
from tests.model import sets
from tests.model.configurations import Configuration
from tests.model.explorer import explore

QUICK = (
    "the 26", "overlaps", "expiring", "landing", "settling", "graces", "backing off", "strict", "copied labels",
    "other values", "other runs",
)  # fmt: skip
"""Sets that a trial goes through when nothing was found where it was looked for first."""


MEMORY = 4 << 30
"""Bytes that a trial may take: a machine that never comes to an end is found by it."""


def named(names: list[str]) -> Iterator[Configuration]:
    """Those named. Of the sets that share a name the one explored with all faults is meant."""
    every = {config.name: config for build, _ in reversed(sets.SETS.values()) for config in build()}
    for name in names:
        if name not in every:
            raise SystemExit(f"no configuration {name!r}")
        yield replace(every[name], whim=1)


def of(*quick: str) -> Iterator[Configuration]:
    """Those of some quick sets."""
    for name in quick:
        for config in sets.SETS[name][0]():
            yield replace(config, whim=2)


def explored(faults: int, limit: int, configs: Iterator[Configuration]) -> str | None:
    """What the first broken configuration shows."""
    for config in configs:
        result = explore(config, faults, limit=limit)
        if result.violations:
            what, trace = result.violations[0]
            return f"{config.name}: {what} ({len(trace)} events)"
    return None


def expected(files: list[str]) -> str | None:
    """What the tests by expectation show: the first that fails."""
    if not files:
        return None
    said = io.StringIO()
    options = ["-x", "-q", "--import-mode=append", "--noconftest", "-p", "no:cacheprovider", "--no-header", "--tb=no"]
    with contextlib.redirect_stdout(said):
        code = pytest.main([*options, "-p", "no:randomly", *files])
    if code == pytest.ExitCode.OK:
        return None
    if code != pytest.ExitCode.TESTS_FAILED:
        raise SystemExit(f"the tests could not be run: {said.getvalue()}")
    failed = [line for line in said.getvalue().splitlines() if line.startswith(("FAILED", "ERROR"))]
    return failed[0].split(" - ")[0] if failed else "a test failed"


def main() -> int:
    """Look where it was told to; say what was found first."""
    parser = argparse.ArgumentParser()
    parser.add_argument("package")
    parser.add_argument("--faults", type=int, default=2)
    parser.add_argument("--limit", type=int, default=400_000)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--then", action="store_true")
    parser.add_argument("--expect", nargs="*", default=[])
    args = parser.parse_args()
    home = Path(rotator.machine.__file__ or "").resolve()
    if not home.is_relative_to(Path(args.package).resolve()):
        raise SystemExit(f"the machine on trial is {home}")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    try:
        found = searched(args)
    except MemoryError:
        found = "it takes more memory than there is"
    json.dump({"found": found}, sys.stdout)
    return 0


def searched(args: argparse.Namespace) -> str | None:
    """Where it was told to look, then everywhere."""
    found = None
    for faults in range(1, args.faults + 1):
        found = found or explored(faults, args.limit, named(args.only))
    first = QUICK[:1] if args.then else ()
    # Without any fault first: most of what breaks, breaks at once.
    found = found or explored(0, args.limit, of(*first)) or explored(1, args.limit, of(*first))
    found = found or expected(args.expect)
    for faults in range(1, args.faults + 1) if args.then else ():
        found = found or explored(faults, args.limit, of(*QUICK))
    return found


if __name__ == "__main__":
    sys.exit(main())
