"""The ledger and a process that dies: at any instant the file opens, and journal, facts and run agree."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from rotator.engine.ports import RunId
from rotator.ledger import open_ledger
from tests.contract.ledger.samples import T0, definition, read_done, reading, start
from tests.contract.ledger.test_inventory import ALPHA, refused

ROOT = Path(__file__).resolve().parents[2]
STREAM = """
import sys, threading
from pathlib import Path
from rotator.ledger import open_ledger
from rotator.machine.evolve import evolve
from tests.contract.ledger.samples import T0, plan, read_done, reading, definition, start
ledger = open_ledger(Path(sys.argv[1]))
names = [f"c{n}" for n in range(4)]
ledger.accept([definition(name) for name in names], {}, T0)
lock = threading.Lock()
def work(name):
    claim, facts = start(ledger, f"r-{name}", name)
    count = 1
    while True:
        for event in (reading(), read_done()):
            facts = evolve(plan(), facts, event, T0)
            ledger.append(claim, [event], facts, T0)
            count += 1
            with lock:
                sys.stdout.write(f"{name} {count}\\n")
                sys.stdout.flush()
threads = [threading.Thread(target=work, args=(name,)) for name in names]
for thread in threads: thread.start()
"""


def killed_after(path: Path, commits: int) -> dict[str, int]:
    """Run the stream, kill it after so many commits were acknowledged; what was acknowledged, by credential."""
    child = subprocess.Popen(
        [sys.executable, "-c", STREAM, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    guard = threading.Timer(60, child.kill)
    guard.start()
    acknowledged: dict[str, int] = {}
    try:
        assert child.stdout is not None
        for number, line in enumerate(child.stdout, 1):
            if number == commits:
                os.kill(child.pid, signal.SIGKILL)
            name, count = line.split()[:2] if line.endswith("\n") else ("", "0")
            if name:
                acknowledged[name] = max(acknowledged.get(name, 0), int(count))
    finally:
        child.kill()
        child.wait(10)
        guard.cancel()
        if child.stdout is not None:
            child.stdout.close()
    return acknowledged


@pytest.mark.parametrize("commits", [1, 57, 300])
def test_killed_in_mid_stream_nothing_acknowledged_is_lost_and_all_agrees(tmp_path: Path, commits: int) -> None:
    path = tmp_path / "ledger.db"
    acknowledged = killed_after(path, commits)
    assert sum(count - 1 for count in acknowledged.values()) >= commits
    ledger = open_ledger(path)
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        lasts = dict(raw.execute("SELECT credential, last_sequence FROM runs"))
    for name, count in acknowledged.items():
        entries = ledger.journal(RunId(f"r-{name}"))
        assert len(entries) >= count
        row = next(one for one in ledger.credentials() if one.definition.id == name)
        assert row.facts_sequence == lasts[name] == entries[-1].sequence
        assert (row.facts.intent is not None) == (type(entries[-1].event).__name__ == "Intended")
        run = ledger.run(RunId(f"r-{name}"))
        assert run is not None
        again = ledger.claim(run.id, T0 + 1000, "after", T0 + 2000)
        assert again is not None
        event = read_done() if row.facts.intent is not None else reading(again.fence)
        ledger.append(again, [event], row.facts, T0 + 1000)
    ledger.close()


OPENER = """
import sys
from pathlib import Path
from rotator.ledger import open_ledger
sys.stdin.read(1)
ledger = open_ledger(Path(sys.argv[1]))
for _ in range(20): print(ledger.serials(1))
ledger.close()
"""


def test_processes_that_open_a_new_file_at_once_share_it(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    children = [
        subprocess.Popen(
            [sys.executable, "-c", OPENER, str(path)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(4)
    ]  # fmt: skip
    for child in children:
        assert child.stdin is not None
        child.stdin.write("x")
        child.stdin.flush()
    answers = [child.communicate(timeout=60) for child in children]
    assert [(child.returncode, errors) for child, (_, errors) in zip(children, answers, strict=True)] == [(0, "")] * 4
    given = [int(line) for out, _ in answers for line in out.split()]
    assert sorted(given) == list(range(1, 81))


HOLDER = """
import sys
from pathlib import Path
from rotator.ledger import open_ledger
ledger = open_ledger(Path(sys.argv[1]))
with ledger.guard():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_guard_of_a_daemon_that_was_killed_is_free(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdin is not None
    assert child.stdout.readline() == "held\n"
    ledger = open_ledger(path)
    with refused("second_daemon"), ledger.guard():
        pass
    child.kill()
    child.wait(10)
    child.stdin.close()
    child.stdout.close()
    with ledger.guard():
        pass
    ledger.close()


def test_a_backup_is_one_private_consistent_file_made_while_work_goes_on(tmp_path: Path) -> None:
    ledger, target = open_ledger(tmp_path / "ledger.db"), tmp_path / "copy.db"
    ledger.accept([definition()], {"f": "d"}, T0)
    claim, facts = start(ledger)
    stop = threading.Event()

    def busy() -> None:
        while not stop.is_set():
            ledger.append(claim, [reading()], facts, T0)

    worker = threading.Thread(target=busy)
    worker.start()
    try:
        while ledger.sequence() < 20:
            pass
        low = ledger.sequence()
        ledger.backup(target)
    finally:
        stop.set()
        worker.join(20)
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith("copy")] == ["copy.db"]
    assert target.stat().st_mode & 0o777 == 0o600
    assert target.read_bytes()[18:20] == b"\x01\x01"  # not WAL: the one file is the whole copy
    copy = open_ledger(target)
    row = copy.credential(ALPHA)
    assert row is not None
    assert low <= copy.sequence() == row.facts_sequence == len(copy.journal(claim.run)) <= ledger.sequence()
    assert (copy.digests(), copy.run(claim.run)) == ({"f": "d"}, ledger.run(claim.run))
    copy.close()
    with refused("backup_exists"):
        ledger.backup(target)
    with refused("missing_directory"):
        ledger.backup(tmp_path / "no" / "copy.db")
    ledger.close()
