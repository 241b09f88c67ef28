"""python -m tests.model: every set. --list, --config NAME --faults N, --set NAME; a counter-example is printed as a
trace. Two configurations are explored at a time, each in a process of its own (--workers)."""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from tests.model.closing import closing_line
from tests.model.configurations import Configuration
from tests.model.explorer import Result, explore
from tests.model.sets import SETS


def summary(results: list[Result], seconds: float) -> str:
    """The line that closes a set, or all of them."""
    return closing_line(((one.states, one.transitions, one.seconds) for one in results), seconds)


def report(result: Result) -> None:
    """One configuration, and what was found in it."""
    print(f"  {result.name:36} {result.states:9,} {result.transitions:10,} {result.seconds:7.1f} s  {result.endings}")
    for what, trace in result.violations:
        print(
            f"    VIOLATION {what}\n      " + "\n      ".join(f"{n:3} {line}" for n, line in enumerate(trace[:60], 1))
        )
    sys.stdout.flush()


def main() -> int:
    """Explore what is asked for; 1 if anything was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.model")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--set", dest="only")
    parser.add_argument("--config")
    parser.add_argument("--faults", type=int)
    parser.add_argument("--all-violations", action="store_true")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    began = time.perf_counter()
    results: list[Result] = []
    for name, (configs, most) in SETS.items():
        if args.only and args.only != name:
            continue
        chosen = tuple(c for c in configs() if args.config in (None, c.name))
        faults = most if args.faults is None else args.faults
        if args.list:
            print(f"{name} ({len(chosen)}, {most} faults)", *(f"  {c.name}" for c in chosen), sep="\n")
        elif chosen:
            results += explore_set(name, chosen, faults, not args.all_violations, args.workers)
    if not args.list:
        print(summary(results, time.perf_counter() - began))
    return 1 if any(r.violations for r in results) else 0


def explore_set(
    name: str, chosen: tuple[Configuration, ...], faults: int, stop: bool, workers: int = 1
) -> list[Result]:
    """One set, with a line for each configuration and one for all."""
    print(f"{name}, {faults} faults:")
    since, results = time.perf_counter(), []
    one = partial(explore, faults=faults, stop_at_first=stop)
    # A process ends with its configuration: what it remembers is large.
    with ProcessPoolExecutor(workers, max_tasks_per_child=1) as pool:
        for result in pool.map(one, chosen):
            results.append(result)
            report(result)
    print(f"{name}: {summary(results, time.perf_counter() - since)}", flush=True)
    return results


if __name__ == "__main__":
    sys.exit(main())
