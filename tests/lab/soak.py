"""`make soak`: rotations of all shapes through the fault proxies; after each the servers are asked what is true.

    make soak                                        1,000 rotations
    make soak ARGS="--rotations N --seed S"
    make soak ARGS="--shapes zabbix,request-tracker --lanes 2"      further platforms (make test-real installs them)

At least 30 % of the rotations meet a fault, each kind of fault at least 20 times in a thousand. Faults are drawn by
seed. What a person would be asked is answered with `retry` once the fault is over. Exit 1 on any violation.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.lab.alerta import Alerta
from tests.lab.also import NAMES, shapes_of
from tests.lab.estate import Estate, Servers, Tempo
from tests.lab.openbao import OpenBaoDev
from tests.lab.postgres import Postgres
from tests.lab.process import LabError, wait_until
from tests.lab.proxy_rules import Fault, Rule
from tests.lab.shapes import Shape
from tests.lab.shapes_aws_iam import named
from tests.lab.soak_faults import meeting, strike
from tests.lab.truth import violations

SHARE = 0.5
LEAST_SHARE = 0.3
LEAST_EACH = 20
TEMPO = Tempo(tick="200ms", deadline="2s", landing="300ms")
SLOW = Tempo(tick="200ms", deadline="6s", landing="300ms", patience={"attempts": 4, "span": "8s"})
"""For a platform that needs seconds for one call."""
DEFAULT = "alerta,pair,single,aws-iam"


@dataclass(slots=True)
class Tally:
    """What came of the rotations, over all estates."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    rotations: int = 0
    faulted: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    """Of those that struck: by what happened to the call (answer lost, reset, made up ...)."""
    endings: Counter[str] = field(default_factory=Counter)
    questions: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


class Lane:
    """One estate with one credential, rotated again and again."""

    def __init__(self, servers: Servers, folder: Path, name: str, make: Any, seed: int, tally: Tally) -> None:
        self.shape: Shape = make(name)
        slow = name.startswith("request-tracker")
        self.estate = Estate(folder, servers, SLOW if slow else TEMPO, seed=seed)
        self.rng = random.Random(seed)
        self.tally = tally
        self.deck: list[str] = []

    def run(self, rotations: int) -> None:
        """Adopt, then rotate so many times."""
        self.shape.prepare(self.estate)
        self.estate.start()
        try:
            ran = self.estate.rotator("adopt", self.shape.name, "--wait", "--reason", "soak")
            if ran.code != 0:
                raise LabError(f"adopt of {self.shape.name}: {ran.code}\n{ran.err}")
            for _ in range(rotations):
                self.rotate()
        finally:
            self.estate.close()

    def draw(self) -> str | None:
        """A fault for the next rotation, or none: every kind in turn, in an order by seed."""
        if self.rng.random() >= SHARE:
            return None
        if not self.deck:
            self.deck = meeting(self.shape)
            self.rng.shuffle(self.deck)
        return self.deck.pop()

    def rotate(self) -> None:
        """One rotation, its fault, its judgement."""
        fault = self.draw()
        rule = strike(self.estate, self.shape, fault, self.rng) if fault else None
        status, said = self.estate.ask(
            "POST", "/v1/rotate", {"selection": {"ids": [self.shape.name]}, "reason": "soak"}
        )
        if status != 200:
            with self.tally.lock:
                self.tally.violations.append(f"{self.shape.name}: rotate refused with {status}: {said}")
            return
        run, asked = self.over(), ""
        if run["ended"] is None:
            asked = run["question"]["topic"]
            self.estate.clear_faults()
            run = self.answered(run)
        self.estate.clear_faults()
        with self.tally.lock:
            self.count(fault, rule, run["ending"] or "open", asked)
            self.tally.violations += [f"{text} (fault {fault})" for text in violations(self.estate, self.shape, run)]

    def count(self, fault: str | None, rule: Rule | None, ending: str, asked: str) -> None:
        """Enter one rotation into the tally."""
        t = self.tally
        t.rotations += 1
        t.endings[ending] += 1
        t.questions[asked] += bool(asked)
        if fault is not None:
            t.faulted += 1
            t.faults[fault] += 1
            if rule is not None and rule.hits:
                t.struck[fault] += 1
                t.kinds[rule.fault.value] += 1

    def over(self) -> dict[str, Any]:
        """The newest rotation, ended or asking."""
        found: dict[str, Any] = {}

        def over() -> bool:
            rotations = [run for run in self.estate.runs(self.shape.name) if run["kind"] == "rotate"]
            if not rotations or (rotations[0]["ended"] is None and rotations[0]["question"] is None):
                return False
            found.update(rotations[0])
            return True

        wait_until(over, f"a rotation of {self.shape.name}", 120, pause_s=0.1, alive=lambda: self.estate.daemon.running)
        return found

    def answered(self, run: dict[str, Any]) -> dict[str, Any]:
        """Answer with `retry` until it ends, a few times; then abandon."""
        for answer in ("retry", "retry", "retry", "abandon"):
            # One stranger in the list of keys: nobody else makes keys here, so a person would know that it is ours.
            body = named(run) or {"answer": answer, "reason": "soak"}
            self.estate.ask("POST", f"/v1/runs/{run['id']}/answer", body)
            run = self.over()
            if run["ended"] is not None:
                return run
        return run


def report(tally: Tally, wanted: int, seed: int, seconds: float, *, every: bool = True) -> int:
    """The closing lines and the exit code. `every`: each kind of fault must have been met often enough."""
    for text in tally.violations:
        print(f"VIOLATION {text}")
    print(f"faults met: {dict(sorted(tally.struck.items()))}")
    print(f"by kind: {dict(sorted(tally.kinds.items()))}")
    print(f"questions answered: {dict(+tally.questions)}")
    least = LEAST_EACH * wanted // 1000
    kinds = {fault.value for fault in Fault} - {"pass"} if every and wanted >= 300 else set()
    rare = sorted(name for name in kinds if tally.kinds[name] < least)
    share = tally.faulted / max(1, tally.rotations)
    print(
        f"seed {seed}: {tally.rotations} rotations, {tally.faulted} with a fault ({share:.0%}), "
        f"{len(tally.kinds)} kinds at {len(tally.struck)} places, endings {dict(tally.endings)}, "
        f"violations {len(tally.violations)}, {seconds:.0f} s"
    )
    if rare:
        print(f"too rare: {rare}")
    enough = share >= LEAST_SHARE or wanted < 100
    return 1 if tally.violations or rare or tally.rotations < wanted or not enough else 0


def main(arguments: list[str] | None = None) -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--rotations", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lanes", type=int, default=8)
    parser.add_argument("--shapes", default=DEFAULT, help=f"of {', '.join(NAMES)}")
    options = parser.parse_args(arguments)
    tally, began = Tally(), time.monotonic()
    each = -(-options.rotations // options.lanes)
    with (
        tempfile.TemporaryDirectory(prefix="soak-") as folder,
        OpenBaoDev() as bao,
        Postgres() as pg,
        Alerta(pg) as al,
        shapes_of(options.shapes.split(","), pg) as makers,
    ):

        def work(number: int) -> None:
            word, make = list(makers.items())[number % len(makers)]
            home = Path(folder) / f"lane{number}"
            Lane(Servers(bao, pg, al), home, f"{word}-{number}", make, options.seed * 100 + number, tally).run(each)

        with ThreadPoolExecutor(options.lanes) as pool:
            for done in [pool.submit(work, number) for number in range(options.lanes)]:
                done.result()
    return report(tally, options.rotations, options.seed, time.monotonic() - began, every=options.shapes == DEFAULT)


if __name__ == "__main__":
    sys.exit(main())
