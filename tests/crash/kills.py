"""SIGKILL of the real daemon just before and just after every journal commit of one whole run per shape and passage.

    make kills                          all of it
    make kills ARGS="--sample 24 --seed 7"      a seeded sample (what `make test` runs)

A clean run of each passage tells how many commits it has. Then, case by case: the daemon is started with a trap at one
commit, the passage begins, the daemon dies; the next case's daemon finds the run open and ends it; then the servers
themselves are asked. Exit 1 on any violation.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.alerta import Alerta
from tests.lab.estate import Estate, Servers, Tempo
from tests.lab.openbao import OpenBaoDev
from tests.lab.postgres import Postgres
from tests.lab.process import wait_until
from tests.lab.shapes import AlertaKey, Roles, Shape
from tests.lab.truth import violations, watch

SHAPES = {
    "alerta": lambda name: AlertaKey(name),
    "single": lambda name: Roles(name, alternating=False),
    "pair": lambda name: Roles(name, alternating=True),
}
PASSAGES = ("adopt", "rotate", "back", "contain", "retire")
KIND = {"back": "rotate"}
# The proof that goes back on purpose needs a moment in which it can: the overlap holds the kill.
OVERLAP = {"back": "1h"}


@dataclass(frozen=True, slots=True)
class Case:
    """One death."""

    shape: str
    passage: str
    at: int
    when: str


@dataclass(slots=True)
class Tally:
    """What came of a set of cases."""

    cases: int = 0
    kills: int = 0
    endings: dict[str, int] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)


class Bench:
    """One estate in which the cases of a shape and passage are run, one credential each."""

    def __init__(self, servers: Servers, folder: Path, shape: str, passage: str) -> None:
        self.shape, self.passage = shape, passage
        self.estate = Estate(folder, servers, Tempo(overlap=OVERLAP.get(passage, "0s")))
        self.tally = Tally()
        self.count = folder / "count"

    def kind(self) -> str:
        """The run kind whose commits are counted."""
        return KIND.get(self.passage, self.passage)

    def trapped(self, name: str, at: int, when: str) -> list[str]:
        """The daemon's command with a trap."""
        return [
            sys.executable, "-m", "tests.crash.wrapped", "--credential", name, "--kind", self.kind(),
            "--at", str(at), "--when", when, "--count", str(self.count),
        ]  # fmt: skip

    def prepare(self, name: str) -> Shape:
        """A credential on its server and in the configuration."""
        shape: Shape = SHAPES[self.shape](name)
        shape.prepare(self.estate)
        return shape

    def adopt(self, names: list[str]) -> None:
        """Adopt in good order, without a trap."""
        ran = self.estate.rotator("adopt", *names, "--wait", "--reason", "kills")
        if ran.code != 0:
            raise SystemExit(f"adopt failed ({ran.code}): {ran.err}\n{ran.out}")

    def begin(self, name: str) -> None:
        """Begin the passage. The daemon may die under it."""
        why = ("--reason", "kills", "--no-wait")
        match self.passage:
            case "adopt":
                self.estate.rotator("adopt", name, *why)
            case "rotate":
                self.estate.rotator("rotate", name, "--yes", *why)
            case "back":
                self.estate.rotator("rotate", name, "--yes", *why)
                self.back(name)
            case "contain":
                self.estate.rotator("emergency", name, "--mode", "contain", "--yes", *why)
            case "retire":
                self.estate.rotator("retire", f"flow-{name}", "--apply", "--confirm", f"flow-{name}", *why)

    def back(self, name: str) -> None:
        """Go back once the overlap has begun; nothing to do if the daemon is dead by then."""

        def waits() -> bool:
            if not self.estate.daemon.running:
                return True
            ran = self.estate.rotator("runs", "list", "--credential", name, "--open", "-o", "json")
            items = ran.json()["items"] if ran.code == 0 else []
            if items and "overlap" in items[0]["display"]:
                self.estate.rotator("runs", "back", items[0]["id"], "--reason", "kills", "--no-wait")
                return True
            return bool(ran.code == 0 and not items)

        wait_until(waits, f"overlap of {name}", 60)

    def judge(self, shape: Shape) -> None:
        """Wait for the end of a passage that was cut, then ask the servers."""
        ran = self.estate.rotator("runs", "list", "--credential", shape.name, "-o", "json")
        if not any(run["kind"] == self.kind() for run in ran.json()["items"]):
            self.begin(shape.name)  # killed before the run was opened: the person asks again
        elif self.passage == "back":
            self.back(shape.name)
        run = self.estate.settled(shape.name)
        word = run["ending"] or f"asks: {run['question']['topic']}"
        self.tally.endings[word] = self.tally.endings.get(word, 0) + 1
        self.tally.violations += violations(self.estate, shape, run)
        if run["ended"] is None:
            self.tally.violations.append(f"{shape.name}: {self.passage}: {word}")

    def commits(self) -> int:
        """How many commits the passage has when nobody disturbs it."""
        shape = self.prepare(f"{self.shape}-clean")
        self.estate.start(self.trapped(shape.name, 0, "after"))
        if self.passage != "adopt":
            self.adopt([shape.name])
        self.begin(shape.name)
        self.judge(shape)
        self.estate.stop()
        return int(self.count.read_text())

    def run(self, cases: list[Case]) -> Tally:
        """All cases, one daemon start each: it ends the run that the last one left, then dies in its own."""
        shapes = [self.prepare(f"{self.shape}-{case.at}-{case.when}") for case in cases]
        if self.passage != "adopt" and shapes:
            self.estate.start()
            self.adopt([shape.name for shape in shapes])
            self.estate.stop()
        before: Shape | None = None
        for case, shape in zip(cases, shapes, strict=True):
            self.estate.start(self.trapped(shape.name, case.at, case.when))
            if before is not None:
                self.judge(before)
            self.begin(shape.name)
            wait_until(lambda: not self.estate.daemon.running, f"the death of {case}", 60)
            self.tally.kills += 1
            self.tally.cases += 1
            watch(self.estate, shape)
            before = shape
        if before is not None:
            self.estate.start()
            self.judge(before)
        self.estate.close()
        return self.tally


def one_bench(servers: Servers, folder: Path, shape: str, passage: str, sample: int, seed: int) -> Tally:
    """Count the commits of a passage, then die at each of them (or at a seeded sample)."""
    bench = Bench(servers, folder, shape, passage)
    commits = bench.commits()
    cases = [Case(shape, passage, at, when) for at in range(1, commits + 1) for when in ("before", "after")]
    if sample:
        cases = random.Random(f"{seed}{shape}{passage}").sample(cases, min(sample, len(cases)))
    tally = bench.run(cases)
    print(
        f"{shape:7} {passage:8} {commits:3} commits, {tally.kills:3} kills, endings {tally.endings}, "
        f"violations {len(tally.violations)}",
        flush=True,
    )
    return tally


def main(arguments: list[str] | None = None) -> int:
    """Run everything that is asked for; the exit code."""
    parser = argparse.ArgumentParser(prog="make kills", description=__doc__)
    parser.add_argument("--sample", type=int, default=0, help="cases for each shape and passage; 0 = all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shape", choices=list(SHAPES), action="append")
    parser.add_argument("--passage", choices=PASSAGES, action="append")
    parser.add_argument("--jobs", type=int, default=3)
    options = parser.parse_args(arguments)
    began = time.monotonic()
    pairs = [(s, p) for s in options.shape or SHAPES for p in options.passage or PASSAGES]
    tallies: list[Tally] = []
    with (
        tempfile.TemporaryDirectory(prefix="kills-") as folder,
        OpenBaoDev() as bao,
        Postgres() as pg,
        Alerta(pg) as al,
    ):
        servers = Servers(bao, pg, al)

        def work(pair: tuple[str, str]) -> Tally:
            return one_bench(servers, Path(folder) / "-".join(pair), *pair, options.sample, options.seed)

        with ThreadPoolExecutor(options.jobs) as pool:
            tallies = list(pool.map(work, pairs))
    return report(tallies, len(pairs), time.monotonic() - began)


def report(tallies: list[Tally], benches: int, seconds: float) -> int:
    """The closing lines and the exit code."""
    found = [text for tally in tallies for text in tally.violations]
    for text in found:
        print(f"VIOLATION {text}")
    endings: dict[str, int] = {}
    for tally in tallies:
        for word, count in tally.endings.items():
            endings[word] = endings.get(word, 0) + count
    kills = sum(tally.kills for tally in tallies)
    print(f"{benches} shapes and passages, {kills} kills, endings {endings}, violations {len(found)}, {seconds:.0f} s")
    return 1 if found or not kills else 0


__all__ = ["main", "one_bench"]

if __name__ == "__main__":
    sys.exit(main())
