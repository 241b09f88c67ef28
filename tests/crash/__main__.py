"""make crash: every boundary of every passage with every fault, on the real engine.

    make crash                                 all of it, or what is left of it since the last time
    make crash ARGS="--seconds 600"            no case is begun after so many seconds; the next call goes on
    make crash ARGS="--sample 20 --seed 7"     so many cases of each passage, drawn by the seed; nothing is kept
    make crash ARGS="--case NAME"              one case, by the name that a violation is told with

Results stand in `.crash/`, one line a case; they are begun anew when the code changed (or with `--fresh`). When all is
done, `docs/crash-report.md` is written. Exit 1 on any violation, 3 if something is left to do.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from tests.crash import inside, report
from tests.crash.bench import PASSAGES, SHAPES, Bench, Result
from tests.crash.places import Case, cases
from tests.lab.alerta import Alerta
from tests.lab.aws import AwsEmulator
from tests.lab.estate import ROOT, Servers
from tests.lab.openbao import OpenBaoDev
from tests.lab.postgres import Postgres

STATE = ROOT / ".crash"
STORES = ("openbao", "local", "aws")
AT_OPENBAO = frozenset({"web", "database"})
"""Endpoints meet their faults with one store; stores meet theirs with every shape."""
MEMORY = Path("/dev/shm")
LEFT = 3


def digest() -> str:
    """Of all code whose change makes earlier results worthless."""
    found = hashlib.sha256()
    for folder in ("rotator", "plugins", "tests/crash", "tests/lab"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in {".py", ".yaml"}:
                found.update(path.read_bytes())
    return found.hexdigest()[:16]


@contextmanager
def servers() -> Iterator[tuple[Servers, AwsEmulator, Path]]:
    """Real servers, and a folder in memory."""
    where = MEMORY if MEMORY.is_dir() else None
    with (
        tempfile.TemporaryDirectory(prefix="crash-", dir=where) as folder,
        OpenBaoDev() as bao,
        Postgres() as database,
        Alerta(database) as alerta,
        AwsEmulator() as cloud,
    ):
        yield Servers(bao, database, alerta), cloud, Path(folder)


class Part:
    """One of the processes: every n-th case of each bench."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        number, _, count = options.part.partition("/")
        self.number, self.count = int(number), int(count)
        self.state = Path(options.state)
        self.file = self.state / f"part-{self.number}-of-{self.count}.jsonl"
        self.done = {one.case for one in read(self.state)}
        self.until = time.monotonic() + options.seconds if options.seconds else None

    def run(self) -> int:
        """Everything, or until the time is up: 0, or LEFT."""
        inside.install()
        with servers() as (real, cloud, folder):
            for shape, store, passage in self._passages():
                bench = Bench(real, folder / f"{shape}-{store}-{passage}", shape, store, passage, cloud)
                try:
                    if not self._bench(bench):
                        return LEFT
                finally:
                    bench.close()
        return 0

    def _passages(self) -> Iterator[tuple[str, str, str]]:
        options = self.options
        for shape in options.shape or SHAPES:
            for store in options.store or STORES:
                for passage in options.passage or PASSAGES:
                    # Going back needs a refusal of the store in a single slot, which the lab makes for OpenBao only.
                    if not (shape == "single" and passage == "back" and store != "openbao"):
                        yield shape, store, passage

    def _bench(self, bench: Bench) -> bool:
        places = bench.clean()
        if bench.store != "openbao":
            places = [one for one in places if one.where not in AT_OPENBAO]
        mine = cases(bench.shape, bench.store, bench.passage, places)
        if self.options.case:
            mine = [one for one in mine if one.name == self.options.case]
        elif self.options.sample:
            draw = random.Random(f"{self.options.seed}{bench.shape}{bench.store}{bench.passage}")
            mine = draw.sample(mine, min(self.options.sample, len(mine)))
        mine = [one for one in mine[self.number :: self.count] if one.name not in self.done]
        for case in mine:
            if self.until is not None and time.monotonic() > self.until:
                return False
            self._keep(self._one(bench, case))
        return True

    def _one(self, bench: Bench, case: Case) -> Result:
        try:
            return bench.run(case)
        except Exception as trouble:
            where = traceback.format_exc(limit=-3).replace("\n", " | ")
            bench.close()
            return Result(case.name, violations=[f"{type(trouble).__name__}: {trouble} ({where})"])

    def _keep(self, result: Result) -> None:
        for text in result.violations:
            print(f"VIOLATION {text}\n  again: make crash ARGS=\"--case '{result.case}'\"", flush=True)
        with self.file.open("a") as out:
            out.write(json.dumps(asdict(result)) + "\n")


def read(folder: Path) -> list[Result]:
    """All results that are kept."""
    found: dict[str, Result] = {}
    for path in sorted(folder.glob("part-*.jsonl")):
        for line in path.read_text().splitlines():
            one = Result(**json.loads(line))
            found[one.case] = one
    return list(found.values())


def whole(options: argparse.Namespace, arguments: list[str]) -> int:
    """Start the parts, wait for them, say what came out. Only a whole run is kept and gone on with."""
    if options.sample or options.case:
        with tempfile.TemporaryDirectory(prefix="crash-state-") as folder:
            return parts(options, [*arguments, "--state", folder], Path(folder))
    kept, code = STATE / "code", digest()
    if options.fresh or not kept.exists() or kept.read_text() != code:
        shutil.rmtree(STATE, ignore_errors=True)
    STATE.mkdir(exist_ok=True)
    kept.write_text(code)
    return parts(options, [*arguments, "--state", str(STATE)], STATE)


def parts(options: argparse.Namespace, arguments: list[str], state: Path) -> int:
    """The processes, and their results."""
    began = time.monotonic()
    jobs = 1 if options.case else options.jobs
    command = [sys.executable, "-m", "tests.crash", *arguments]
    running = [subprocess.Popen([*command, "--part", f"{n}/{jobs}"], cwd=ROOT) for n in range(jobs)]
    codes = {one.wait() for one in running}
    seconds = time.monotonic() - began
    spent = state / "seconds"
    seconds += float(spent.read_text()) if spent.exists() else 0.0
    spent.write_text(f"{seconds:.0f}")
    results = read(state)
    bad = sum(bool(one.violations) for one in results)
    print(report.closing(results, seconds))
    if codes - {0, LEFT}:
        return 2
    if codes == {0} and not (options.sample or options.case or options.shape or options.store or options.passage):
        report.write(ROOT / "docs" / "crash-report.md", results, seconds)
    return 1 if bad or not results else (LEFT if LEFT in codes else 0)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make crash", description=__doc__)
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--sample", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shape", choices=list(SHAPES), action="append")
    parser.add_argument("--store", choices=STORES, action="append")
    parser.add_argument("--passage", choices=PASSAGES, action="append")
    parser.add_argument("--case", default="")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--part", default="", help=argparse.SUPPRESS)
    parser.add_argument("--state", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        shape, store, passage = options.case.split("/")[:3]
        options.shape, options.store, options.passage = [shape], [store], [passage]
    return Part(options).run() if options.part else whole(options, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
