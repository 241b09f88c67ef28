"""Measures whether a hanging endpoint delays others: twenty endpoints with and without one beside them that hangs.

    python -m tests.bench.fairness [--rounds N] [--pause S] [--workers N]

Both in one process, in turn, over the same servers and parts (`tests.unit.many_endpoints`). Prints p50 and p99 of the
others' step latency (intent to outcome) and of their whole rotations, and the ratios with to without. Exit 1 where the
ratio of the steps' p99 is above 1.1.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from pathlib import Path

import structlog

from rotator.engine.ports import RunId
from rotator.engine.protection import Rules
from rotator.machine.events import Intended, Outcome
from tests.unit.many_endpoints import Crowd, crowd, until

OTHERS = 20
AIM = 1.1
HANGING = 8
"""Runs that hang beside the others: more than the endpoint has places."""


def quantile(figures: list[float], share: float) -> float:
    """The figure that so many are not above."""
    ordered = sorted(figures)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def steps_of(stand: Crowd, run: RunId) -> list[float]:
    """Milliseconds from each intent to its outcome."""
    found, began = [], 0
    for entry in stand.ledger.journal(run):
        if isinstance(entry.event, Intended):
            began = entry.at
        elif isinstance(entry.event, Outcome):
            found.append(float(entry.at - began))
    return found


def one_round(stand: Crowd, *, hanging: bool) -> tuple[list[float], list[float]]:
    """Rotate the others once: latencies of steps, and of whole rotations, in milliseconds."""
    dead = stand.accounts["e00"][0]
    held: list[RunId] = []
    if hanging:
        dead.recovered.clear()
        dead.hangs.set()
        held = [stand.open("e00" if n == 0 else f"e00-{n}") for n in range(HANGING)]
        stand.tick.wake()
        assert until(lambda: dead.now >= 1, 10)
    runs = [stand.open(f"e{n:02}") for n in range(1, OTHERS + 1)]
    stand.tick.wake()
    assert stand.ended(runs, 120), "the others did not end"
    steps = [step for run in runs for step in steps_of(stand, run)]
    whole = [float((stand.row(run).ended_at or 0) - stand.row(run).opened_at) for run in runs]
    if hanging:
        assert not any(stand.row(run).ended_at for run in held), "what should hang did not"
        dead.recover()
        assert stand.ended(held, 120), "what hung did not go on"
    return steps, whole


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description="Whether a hanging endpoint delays others.")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--pause", type=float, default=0.02)
    parser.add_argument("--workers", type=int, default=16)
    asked = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    figures: dict[bool, tuple[list[float], list[float]]] = {False: ([], []), True: ([], [])}
    with tempfile.TemporaryDirectory() as folder:
        stand_of = crowd(
            Path(folder), OTHERS + 1, workers=asked.workers, pause=asked.pause, each=HANGING, deadline=60_000,
            rules=Rules(concurrency=4, failures=1000),
        )  # fmt: skip
        with stand_of as stand:
            one_round(stand, hanging=False)  # warm
            for number in range(2 * asked.rounds):
                hanging = bool(number % 2)
                for kept, found in zip(figures[hanging], one_round(stand, hanging=hanging), strict=True):
                    kept += found
    ratio = 0.0
    for name, index in (("step", 0), ("rotation", 1)):
        plain, beside = figures[False][index], figures[True][index]
        for share in (0.5, 0.99):
            one, other = quantile(plain, share), quantile(beside, share)
            print(f"{name:9} p{share * 100:.0f}  without {one:8.1f} ms  beside a hanging one {other:8.1f} ms  "
                  f"ratio {other / max(one, 1.0):.2f}  n {len(plain)}")  # fmt: skip
            ratio = other / max(one, 1.0) if (name, share) == ("step", 0.99) else ratio
    print(f"aim: p99 of others' steps at most {AIM}: {'met' if ratio <= AIM else 'missed'} ({ratio:.2f})")
    return 0 if ratio <= AIM else 1


if __name__ == "__main__":
    sys.exit(main())
