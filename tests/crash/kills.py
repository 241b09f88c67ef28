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
from typing import Any

from tests.lab.alerta import Alerta
from tests.lab.estate import Estate, Servers, Tempo
from tests.lab.openbao import OpenBaoDev
from tests.lab.postgres import Postgres
from tests.lab.process import LabError, wait_until
from tests.lab.proxy_rules import Answer
from tests.lab.shapes import AlertaKey, Roles, Shape
from tests.lab.truth import violations, watch

SHAPES = {
    "alerta": lambda name: AlertaKey(name),
    "single": lambda name: Roles(name, alternating=False),
    "pair": lambda name: Roles(name, alternating=True),
}
PASSAGES = ("adopt", "rotate", "back", "contain", "retire")
KIND = {"back": "rotate"}
# Going back on purpose needs a moment in which it can: the overlap holds the kill. A single slot has none: there the
# store refuses the promote, and the run goes back by itself.
BACK_OVERLAP = {"alerta": "3s", "pair": "3s", "single": "0s"}


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
        self.estate = Estate(folder, servers, Tempo(overlap=BACK_OVERLAP[shape] if passage == "back" else "0s"))
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
        body = {"selection": {"ids": [name]}, "reason": "kills"}
        match self.passage:
            case "adopt":
                self.told(self.estate.ask("POST", "/v1/adopt", {"ids": [name], "reason": "kills"}))
            case "rotate":
                self.told(self.estate.ask("POST", "/v1/rotate", body))
            case "back":
                if self.shape == "single":
                    path = rf"/v1/secret/data/app-\w+/{name}$"
                    refused = Answer.json(413, {"errors": ["http: request body too large"]})
                    self.estate.bao.rule("made_up", method="POST", path=path, times=1, answer=refused)
                self.told(self.estate.ask("POST", "/v1/rotate", body))
                self.back(name)
            case "contain":
                self.told(self.estate.ask("POST", "/v1/emergency", body | {"mode": "contain"}))
            case "retire":
                self.told(
                    self.estate.ask("POST", f"/v1/workflows/flow-{name}/retire", {"apply": True, "reason": "kills"})
                )

    @staticmethod
    def told(answer: tuple[int, Any]) -> None:
        """Nobody answers when the daemon dies under the request; anything but that and 200 is a mistake of ours."""
        if answer[0] not in (0, 200):
            raise SystemExit(f"the daemon refused: {answer}")

    def back(self, name: str) -> None:
        """Go back once the overlap has begun; nothing to do if the daemon is dead by then, or if it went back."""

        def waits() -> bool:
            items = self.estate.runs(name)
            if not self.estate.daemon.running or (items and items[0]["ended"] is not None):
                return True
            if items and "going back" in items[0]["display"]:
                return True
            if items and "overlap" in items[0]["display"]:
                self.estate.ask("POST", f"/v1/runs/{items[0]['id']}/back", {"reason": "kills"})
                return True
            return False

        wait_until(waits, f"overlap of {name}", 60, pause_s=0.05)

    def judge(self, shape: Shape) -> None:
        """Wait for the end of a passage that was cut, then ask the servers."""
        if not any(run["kind"] == self.kind() for run in self.estate.runs(shape.name)):
            self.begin(shape.name)  # killed before the run was opened: the person asks again
        elif self.passage == "back":
            self.back(shape.name)
        run = self.estate.settled(shape.name)
        if run["ended"] is None and self.passage == "contain":
            # A leak does not wait for the store (K8): a contain that was cut at its first step asks. A person retries.
            self.tally.endings["asked first"] = self.tally.endings.get("asked first", 0) + 1
            self.told(self.estate.ask("POST", f"/v1/runs/{run['id']}/answer", {"answer": "retry", "reason": "kills"}))
            run = self.estate.settled(shape.name)
        word = run["ending"] or f"asks: {run['question']['topic']}"
        self.tally.endings[word] = self.tally.endings.get(word, 0) + 1
        self.tally.violations += violations(self.estate, shape, run)
        if run["ended"] is None:
            self.tally.violations.append(f"{shape.name}: {self.passage}: {word}")

    def commits(self) -> int:
        """How many commits the passage has when nobody disturbs it."""
        shape = self.prepare(f"{self.shape}-{self.passage}-clean")
        self.estate.start(self.trapped(shape.name, 0, "after"))
        if self.passage != "adopt":
            self.adopt([shape.name])
        self.begin(shape.name)
        self.judge(shape)
        self.estate.stop()
        return int(self.count.read_text())

    def run(self, cases: list[Case]) -> Tally:
        """All cases, one daemon start each: it ends the run that the last one left, then dies in its own."""
        shapes = [self.prepare(f"{self.shape}-{self.passage}-{case.at}-{case.when}") for case in cases]
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
        return self.tally


def one_bench(servers: Servers, folder: Path, shape: str, passage: str, sample: int, seed: int) -> Tally:
    """Count the commits of a passage, then die at each of them (or at a seeded sample)."""
    bench = Bench(servers, folder, shape, passage)
    try:
        return _all_cases(bench, shape, passage, sample, seed)
    except LabError as trouble:
        bench.tally.violations.append(f"{shape} {passage}: {trouble}\n{bench.estate.complaints()}")
        return bench.tally
    finally:
        bench.estate.close()


def _all_cases(bench: Bench, shape: str, passage: str, sample: int, seed: int) -> Tally:
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
