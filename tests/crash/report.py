"""What a run of `make crash` says at its end, and `docs/crash-report.md`. Called by `tests.crash.__main__`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.crash.bench import Result

HEAD = """# The crash report

Written by `make crash`, which anybody can repeat; a failure prints the command that repeats it alone. The real engine,
ledger, transport and plugins run in one process under a clock that the test moves, against real servers behind fault
proxies: OpenBao 2, PostgreSQL, alerta. One clean run of each passage lists every boundary that it crosses: each commit
of the journal, each exchange with a server. Then every boundary meets every fault that can strike there, one case
each. After a case the servers themselves are asked (never the ledger): exactly the right value works, readers of the
store find it, consumers hold it, nothing lives that the ledger does not know, no neighbour was touched, the ending that
is said is the one that is, and no value stands in the ledger's files.

A *kill* here is an exception that nothing in the product catches, with every connection cut, after which the daemon is
built anew on the same files. Deaths of the real process, by SIGKILL before and after every commit, are `make kills`.
"""


def _table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]


def _endings(results: list[Result]) -> str:
    counted = Counter(one.ending for one in results)
    return ", ".join(f"{word} {count:,}" for word, count in sorted(counted.items()))


def closing(results: list[Result], seconds: float) -> str:
    """The last line."""
    struck, killed = sum(one.struck for one in results), sum(one.killed for one in results)
    bad = sum(bool(one.violations) for one in results)
    return (
        f"crash: {len(results):,} cases, {struck:,} faults struck, {killed:,} of them deaths, "
        f"endings: {_endings(results)}; violations {bad}, {seconds:.0f} s"
    )


def write(path: Path, results: list[Result], seconds: float) -> None:
    """The whole report."""
    by_passage: dict[tuple[str, ...], list[Result]] = {}
    by_fault: dict[str, list[Result]] = {}
    for one in results:
        shape, store, passage, boundary, fault = one.case.split("/")
        by_passage.setdefault((shape, store, passage), []).append(one)
        by_fault.setdefault(f"{boundary.split('#')[0]}: {fault}", []).append(one)
    lines = [HEAD, closing(results, seconds) + ".", "", "## By passage", ""]
    lines += _table(
        ("shape", "store", "passage", "boundaries", "cases", "struck", "deaths", "asked", "endings", "violations"),
        (
            (
                *key, len({one.case.rsplit("/", 1)[0] for one in some}), len(some), sum(one.struck for one in some),
                sum(one.killed for one in some), sum(one.asked > 0 for one in some), _endings(some),
                sum(bool(one.violations) for one in some),
            )
            for key, some in sorted(by_passage.items())
        ),
    )  # fmt: skip
    lines += ["", "## By fault", ""]
    lines += _table(
        ("where and what", "cases", "struck", "violations"),
        (
            (key, len(some), sum(one.struck for one in some), sum(bool(one.violations) for one in some))
            for key, some in sorted(by_fault.items())
        ),
    )
    lines += [
        "",
        "A case whose fault did not strike ran without it: the passage had fewer exchanges than the clean one (a login",
        "that was still good). It is judged all the same.",
    ]
    path.write_text("\n".join(lines) + "\n")
