"""python -m tests.model.mutants: patched copies of the machine, each of which must be caught.

The chosen ones (`mutants_chosen`) decide the exit code: 1 if one survives, 2 if a patch no longer applies or a trial
breaks. `--generated N`: so many of the generated ones, in an order shuffled by `--seed` (default: all of them, as far
as `--minutes` reach; how many were tried is said). Survivors are listed with their explanation (`survivors`) or as
unexplained. `--only TEXT`: those whose name has it.
The shipped files are never touched: a copy of the package goes first on the path of a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.model.generated import Flip, flips
from tests.model.mutant import ANSWERS, GUARD, HOLDS, OTHER_VALUES, Mutant
from tests.model.mutants_chosen import CHOSEN
from tests.model.survivors import EXPLAINED

REPO = Path(__file__).resolve().parents[2]
MACHINE = REPO / "rotator" / "machine"
WORKERS = 2
CHOSEN_SECONDS = 240
GENERATED_FAULTS = 1
GENERATED_SECONDS = 150
BY_EXPECTATION = sorted(str(path.relative_to(REPO)) for path in REPO.glob("tests/model/test_expected*.py"))
EXPECTATIONS = (*GUARD, *ANSWERS, *HOLDS, *BY_EXPECTATION, *OTHER_VALUES)


class Verdict(NamedTuple):
    """What a trial showed: what was found, or None; and whether time was too short to say."""

    found: str | None
    seconds: float
    late: bool = False


class TrialFailed(Exception):
    """A trial said nothing of use: the harness is broken, not the mutant."""


def trial(file: str, text: str, arguments: list[str], seconds: float) -> Verdict:
    """Run one trial of the machine with `file` replaced by `text`, for at most so many seconds."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="rotator-mutant-") as folder:
        package = Path(folder) / "rotator"
        shutil.copytree(REPO / "rotator", package, ignore=shutil.ignore_patterns("__pycache__"))
        (package / "machine" / file).write_text(text)
        command = [sys.executable, "-P", "-m", "tests.model.trial", str(package), *arguments]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join((folder, str(REPO))), "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            done = subprocess.run(command, cwd=REPO, env=env, capture_output=True, text=True, timeout=seconds)
        except subprocess.TimeoutExpired:
            return Verdict(None, time.perf_counter() - began, late=True)
    took = time.perf_counter() - began
    if done.returncode == 0:
        said = json.loads(done.stdout.splitlines()[-1])
        return Verdict(said["found"], took)
    last = (done.stderr.strip().splitlines() or [f"nothing was said, and it ended with {done.returncode}"])[-1]
    if ("rotator/machine" in done.stderr and "trial" not in last) or done.returncode < 0:
        return Verdict(f"it breaks: {last}", took)
    raise TrialFailed(last)


def chosen_trial(mutant: Mutant) -> Verdict:
    """Where it should be seen first, then everywhere."""
    path = MACHINE / mutant.file
    text = path.read_text()
    if text.count(mutant.old) != 1:
        raise TrialFailed(f"{mutant.name}: the patch does not apply to {mutant.file}")
    arguments = ["--faults", "2"]
    if mutant.expect:
        arguments += ["--expect", *mutant.expect, "--only"]
    else:
        arguments += ["--then", "--only", *mutant.only]
    return trial(mutant.file, text.replace(mutant.old, mutant.new), arguments, CHOSEN_SECONDS)


def generated_trial(flip: Flip, until: float) -> Verdict | None:
    """The 26 at one fault, the tests by expectation, then the other quick sets. None: the time is up."""
    if time.perf_counter() > until:
        return None
    text = flip.applied((MACHINE / flip.file).read_text())
    arguments = ["--faults", str(GENERATED_FAULTS), "--limit", "20000", "--then", "--expect", *EXPECTATIONS]
    return trial(flip.file, text, arguments, GENERATED_SECONDS)


def controls() -> None:
    """The unpatched copy passes, and a copy that cannot work does not. Raises TrialFailed."""
    text = (MACHINE / "guard.py").read_text()
    clean = trial("guard.py", text, ["--faults", "1", "--then", "--expect", *EXPECTATIONS], CHOSEN_SECONDS)
    if clean.found is not None or clean.late:
        raise TrialFailed(f"the unpatched machine does not pass: {clean}")
    if trial("guard.py", text + "\nraise RuntimeError\n", [], CHOSEN_SECONDS).found is None:
        raise TrialFailed("a machine that cannot be imported passes")


def run_chosen(only: str) -> bool:
    """All chosen ones; whether each was caught."""
    mutants = [mutant for mutant in CHOSEN if only in mutant.name]
    caught = 0
    with ThreadPoolExecutor(WORKERS) as pool:
        for mutant, verdict in zip(mutants, pool.map(chosen_trial, mutants), strict=True):
            caught += verdict.found is not None
            word = "SURVIVES" if verdict.found is None else "caught"
            late = " (time was up)" if verdict.late else ""
            print(f"  {word:9} {mutant.name}: {verdict.found or ''}{late} [{verdict.seconds:.1f} s]", flush=True)
    print(f"caught {caught}/{len(mutants)}")
    return caught == len(mutants)


def run_generated(only: str, most: int | None, seed: int, until: float) -> None:
    """The generated ones, until the time is up: how many were caught, and each survivor with its explanation."""
    every = [flip for flip in flips(MACHINE) if only in flip.name]
    some = random.Random(seed).sample(every, len(every) if most is None else min(most, len(every)))
    tried, caught = 0, 0
    survivors: list[tuple[Flip, Verdict]] = []
    with ThreadPoolExecutor(WORKERS) as pool:
        for flip, verdict in zip(some, pool.map(lambda one: generated_trial(one, until), some), strict=True):
            if verdict is None:
                continue
            if verdict.found is None:
                print(f"  not caught: {flip.file}:{flip.line} {flip.name} [{verdict.seconds:.0f} s]", flush=True)
            tried, caught = tried + 1, caught + (verdict.found is not None)
            if verdict.found is None:
                survivors.append((flip, verdict))
    print(f"generated: {tried} of {len(every)} tried, caught {caught}")
    tell(survivors)


def tell(survivors: list[tuple[Flip, Verdict]]) -> None:
    """The survivors, each with its explanation, and explanations of what is no longer there."""
    for flip, verdict in sorted(survivors, key=lambda item: (item[0].file, item[0].line)):
        late = " (time was up)" if verdict.late else ""
        print(f"  survives rotator/machine/{flip.file}:{flip.line} {flip.name}{late}")
        print(f"    {EXPLAINED.get(flip.name, 'UNEXPLAINED')}")
    for name in sorted(EXPLAINED.keys() - {flip.name for flip in flips(MACHINE)}):
        print(f"  explained, but no longer there: {name}")
    explained = sum(flip.name in EXPLAINED for flip, _ in survivors)
    print(f"survivors: {len(survivors)}, explained {explained}, unexplained {len(survivors) - explained}")


def main() -> int:
    """Try the chosen ones, then the generated ones."""
    parser = argparse.ArgumentParser(prog="python -m tests.model.mutants")
    parser.add_argument("--generated", type=int, default=None, metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=18, help="no generated mutant is begun after them")
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    began = time.perf_counter()
    try:
        controls()
        held = run_chosen(args.only)
        if args.generated != 0:
            run_generated(args.only, args.generated, args.seed, began + 60 * args.minutes)
    except TrialFailed as broken:
        print(f"mutants: {broken}", file=sys.stderr)
        return 2
    print(f"{time.perf_counter() - began:.0f} s")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
