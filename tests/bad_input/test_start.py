"""A daemon that cannot start says why, with its code, its page and the fix, and leaves everything as it was.

`rotator serve` itself, as a process; what can be seen before, `rotator doctor` sees too.
"""

from __future__ import annotations

import fcntl
import secrets
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rotator.daemon import doctor_machine
from rotator.settings.loader import load
from tests.bad_input.desk import Desk, documented, setting

Case = Callable[[Desk], AbstractContextManager[Any] | None]


@dataclass(frozen=True)
class Row:
    """What is wrong, the code that `serve` tells, and whether `doctor` sees it too (it takes no lock)."""

    name: str
    code: str
    case: Case
    doctor: bool = True


def ledger_at(*parts: str) -> Case:
    def case(desk: Desk) -> None:
        desk.change(setting("daemon", "ledger", to=str(desk.folder.joinpath(*parts))))

    return case


def ledger_holds(write: Callable[[Path], None]) -> Case:
    def case(desk: Desk) -> None:
        write(desk.folder / "ledger.db")

    return case


def somebody_elses(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")


def garbage(path: Path) -> None:
    path.write_bytes(secrets.token_bytes(8192))


def founded(desk: Desk) -> Path:
    """A ledger that a daemon made, by one tick without anything to do."""
    done = desk.serve("--once")
    assert done.code == 0, done.err
    return desk.folder / "ledger.db"


def newer(desk: Desk) -> None:
    with closing(sqlite3.connect(founded(desk), isolation_level=None)) as connection:
        connection.execute("INSERT INTO schema_version (version, applied_at) VALUES (999, 0)")


HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA locking_mode = EXCLUSIVE")
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.readline()
connection.close()
"""


@contextmanager
def locked(desk: Desk) -> Iterator[None]:
    # In a process of its own: this one reads the file for its digest, and a file's locks end with any close of it.
    command = [sys.executable, "-c", HOLDER, str(founded(desk))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield
        holder.communicate("end\n", timeout=30)


@contextmanager
def second_daemon(desk: Desk) -> Iterator[None]:
    lock = desk.folder / "ledger.db.lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def key(change: Callable[[Path], object]) -> Case:
    def case(desk: Desk) -> None:
        change(desk.folder / "keys" / "fingerprint.key")

    return case


def other_key(desk: Desk) -> None:
    founded(desk)
    (desk.folder / "keys" / "fingerprint.key").write_bytes(secrets.token_bytes(32))


def other_installation(desk: Desk) -> None:
    founded(desk)
    desk.change(setting("installation", to="another"))


def socket_at(prepare: Callable[[Path], object]) -> Case:
    def case(desk: Desk) -> None:
        prepare(desk.folder / "run" / "api.sock")

    return case


def open_folder(path: Path) -> None:
    path.parent.chmod(0o777)


@contextmanager
def taken_socket(desk: Desk) -> Iterator[None]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.bind(str(desk.folder / "run" / "api.sock"))
        other.listen()
        yield


def long_path(desk: Desk) -> None:
    folder = desk.folder / ("long" * 40)
    folder.mkdir(mode=0o700)
    desk.change(setting("daemon", "socket", to=str(folder / "api.sock")))


@contextmanager
def taken_port(desk: Desk) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", desk.port)):
        yield


def store_key(change: Callable[[Path], object]) -> Case:
    def case(desk: Desk) -> None:
        change(desk.folder / "keys" / "store.key")

    return case


def no_store(desk: Desk) -> None:
    desk.change(setting("stores", "main", "path", to=str(desk.folder / "elsewhere")))


ROWS = (
    Row("the ledger's folder is not there", "ROT-LEDGER-MISSING-DIRECTORY", ledger_at("nowhere", "ledger.db")),
    Row("the ledger is a folder", "ROT-LEDGER-NOT-A-LEDGER", ledger_at("store")),
    Row("the ledger is somebody else's database", "ROT-LEDGER-NOT-A-LEDGER", ledger_holds(somebody_elses)),
    Row("the ledger is no database", "ROT-LEDGER-DAMAGED", ledger_holds(garbage)),
    Row("the ledger is of a newer release", "ROT-LEDGER-NEWER-SCHEMA", newer),
    Row("another program holds the ledger", "ROT-LEDGER-LOCKED", locked),
    Row("another daemon has the ledger", "ROT-LEDGER-SECOND-DAEMON", second_daemon, doctor=False),
    Row("no fingerprint key", "ROT-FINGERPRINT-KEY-MISSING", key(Path.unlink)),
    Row("a fingerprint key that others read", "ROT-FINGERPRINT-KEY-MODE", key(lambda path: path.chmod(0o644))),
    Row("a fingerprint key that is too short", "ROT-FINGERPRINT-KEY-LENGTH", key(lambda path: path.write_bytes(b"x"))),
    Row("another fingerprint key", "ROT-FINGERPRINT-KEY-OTHER", other_key, doctor=False),
    Row("another installation's ledger", "ROT-OTHER-INSTALLATION", other_installation, doctor=False),
    Row("a socket folder that everybody writes", "ROT-SOCKET-FOLDER", socket_at(open_folder)),
    Row("a socket that another program has", "ROT-SOCKET-IN-USE", taken_socket),
    Row("a file where the socket belongs", "ROT-SOCKET-PATH", socket_at(lambda path: path.write_text("notes")), False),
    Row("a socket's path that is too long", "ROT-SOCKET-PATH", long_path, doctor=False),
    Row("a health port that is taken", "ROT-PORT", taken_port),
    Row("a store that was never made", "CFG-STORE", no_store),
    Row("no store key", "CFG-STORE", store_key(Path.unlink)),
    Row("a store key that others read", "CFG-STORE", store_key(lambda path: path.chmod(0o644))),
    Row("a store key that is too short", "CFG-STORE", store_key(lambda path: path.write_bytes(b"x"))),
)


def plain(code: str) -> str:
    """`ROT-LEDGER-LOCKED`, `ledger_locked` -> one spelling."""
    return code.upper().replace("_", "-").removeprefix("ROT-")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_start_that_cannot_be_is_told_with_code_page_and_fix(row: Row, tmp_path: Path) -> None:
    desk = Desk(tmp_path / "desk").prepared()
    with row.case(desk) or nullcontext():
        desk.write()
        before = desk.state()
        said = desk.serve()
        told = desk.doctor() if row.doctor else None
        lost = desk.lost(before)
    assert said.code == 3, (said.code, said.err, said.out)
    assert row.code in said.err, said.err
    assert "\n  do " in said.err or row.code.startswith("CFG-"), said.err
    assert documented(f"docs/runbook.md#{row.code.lower()}")
    assert lost == []
    if told is not None:
        assert told.code == 10, told.err
        assert plain(row.code) in {plain(code) for code in told.failing}, told.failing


def test_a_full_disk_is_told_before_the_first_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here with a bound that no disk meets. That a disk which fills up loses nothing is tested with the ledger."""
    monkeypatch.setattr(doctor_machine, "LEAST_FREE", 1 << 62)
    desk = Desk(tmp_path / "desk").prepared()
    found = {one.get("code", ""): one for one in doctor_machine.local_checks(load(desk.config).configuration)}
    assert found["ledger_disk_full"]["do"]
    assert "MiB are free" in found["ledger_disk_full"]["says"]
