"""The file plugin when the process dies, the disk is full, rights are missing, and while others read."""

from __future__ import annotations

import errno
import json
import os
import pwd
import signal
import stat
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest
from rotator_file import place

from rotator.plugin_api import (
    Failed,
    Misconfigured,
    OutcomeUnknown,
    PluginError,
    Ready,
)
from tests.unit.plugin_file_desk import CANARY, desk, install, mode, preflight

# ---- crash, readers, full disk -------------------------------------------------------------------------------------


def child(code: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs Python code with the plugin importable, in a process of its own."""
    head = "import sys; sys.path[:0] = [p for p in sys.argv[1].split(':') if p]\n"
    command = [sys.executable, "-c", head + textwrap.dedent(code), ":".join(sys.path), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)


WRITE = """
    import os, signal, sys
    from contextlib import ExitStack
    from rotator_file import place
    from rotator.plugin_api import PluginError, Secret
    def write(path, text, root=sys.argv[2]):
        with ExitStack() as closing:
            place.write(place.opened(root, path, closing), Secret(text), 0o600, -1, -1)
"""


@pytest.mark.parametrize("call", ["fchown", "fchmod", "write", "fsync", "rename"])
def test_crash_before_the_rename_leaves_the_old_whole_and_the_draft_is_cleaned_next_time(
    call: str, tmp_path: Path
) -> None:
    install(desk(tmp_path), "x.env", {"A": "old"})
    died = child(
        WRITE
        + """
    setattr(os, sys.argv[3], lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL))
    write("x.env", "A=half")
    """,
        str(tmp_path),
        call,
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert (tmp_path / "x.env").read_text() == "A=old\n"
    (draft,) = (entry for entry in tmp_path.iterdir() if entry.name != "x.env")
    assert mode(draft) & 0o077 == 0
    install(desk(tmp_path), "x.env", {"A": "new"})
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.env"]
    assert (tmp_path / "x.env").read_text() == "A=new\n"


def test_crash_after_the_rename_leaves_the_new_whole(tmp_path: Path) -> None:
    died = child(
        WRITE
        + """
    place._settle = lambda p: os.kill(os.getpid(), signal.SIGKILL)
    write("x.env", "A=new")
    """,
        str(tmp_path),
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert (tmp_path / "x.env").read_text() == "A=new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.env"]


def test_readers_always_see_a_whole_file_with_the_right_mode(tmp_path: Path) -> None:
    at, path = desk(tmp_path), tmp_path / "x.json"
    texts = ["a" * 60_000, "b" * 90_000]
    install(at, "x.json", {"A": texts[0]}, format="json")
    seen: set[str] = set()
    wrong: list[str] = []
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            with path.open("rb") as file:
                if stat.S_IMODE(os.fstat(file.fileno()).st_mode) != 0o600:
                    wrong.append("mode")
                text = json.loads(file.read())["A"]
            seen.add(text[0])
            if text not in texts:
                wrong.append("content")

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(80):
        install(at, "x.json", {"A": texts[number % 2]}, format="json")
    over.set()
    for reader in readers:
        reader.join(10)
    assert wrong == []
    assert seen == {"a", "b"}


def test_full_disk_changes_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    install(desk(tmp_path), "x.env", {"A": "old"})
    done = child(
        WRITE
        + """
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    try:
        write("x.env", "A=" + "n" * 5000)
    except PluginError as error:
        print(type(error).__name__, error.reason)
    """,
        str(tmp_path),
    )
    assert done.stdout == "Failed disk_full\n", done.stderr
    assert (tmp_path / "x.env").read_text() == "A=old\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.env"]


@pytest.mark.parametrize("code", sorted([*place.ERRORS, errno.EIO]))
def test_every_error_of_the_system_before_the_rename_leaves_the_old(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(desk(tmp_path), "x.env", {"A": "old"})

    def broken(*_: Any, **__: Any) -> None:
        raise OSError(code, CANARY)

    monkeypatch.setattr(os, "rename", broken)
    with pytest.raises(PluginError) as caught:
        install(desk(tmp_path), "x.env", {"A": "new"})
    kind, slug = place.ERRORS.get(code, (Failed, "io_error"))
    assert (type(caught.value), caught.value.reason) == (kind, slug)
    assert caught.value.status == errno.errorcode[code]
    assert caught.value.__suppress_context__
    assert CANARY not in str(caught.value)
    assert (tmp_path / "x.env").read_text() == "A=old\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.env"]


def test_failure_after_the_rename_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync

    def fsync(file: int) -> None:
        if stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(errno.EIO, "x")
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OutcomeUnknown, match="not_durable"):
        install(desk(tmp_path), "x.env", {"A": "new"})
    assert (tmp_path / "x.env").read_text() == "A=new\n"


def test_write_after_its_time_is_not_made(tmp_path: Path) -> None:
    at = desk(tmp_path)
    at.seconds = 0
    with pytest.raises(Failed, match="deadline") as caught:
        install(at, "x.env", {"A": "1"})
    assert caught.value.unsent
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_user_without_rights_is_told_so_and_root_can_give_the_file_away(tmp_path: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    install(desk(tmp_path, owner="nobody", mode="0400"), "x.env", {"A": CANARY})
    assert (tmp_path / "x.env").stat().st_uid == nobody.pw_uid
    for folder in (tmp_path, *list(tmp_path.parents)[:3]):
        folder.chmod(folder.stat().st_mode | 0o055)
    code = (
        WRITE
        + """
    os.setgroups([]); os.setgid(int(sys.argv[4])); os.setuid(int(sys.argv[3]))
    from rotator_file import calls, Config
    from rotator.plugin_api import PreflightRequest, Subject
    class At:
        config = Config(root=sys.argv[2], owner="root")
        closing = ExitStack()
    print(calls.preflight(At(), PreflightRequest(subject=Subject(principal="x.env"))).findings)
    try:
        write("x.env", "A=stolen")
    except PluginError as error:
        print(type(error).__name__, error.reason)
    """
    )
    done = child(code, str(tmp_path), str(nobody.pw_uid), str(nobody.pw_gid))
    assert done.stdout == "('permission', 'owner')\nMisconfigured permission\n", done.stderr
    assert (tmp_path / "x.env").read_text() == f"A={CANARY}\n"


def test_unknown_owner_is_found_before_anything_is_written(tmp_path: Path) -> None:
    at = desk(tmp_path, owner="no-such-user-here")
    assert preflight(at, "x.env").findings == ("owner_unknown",)
    with pytest.raises(Misconfigured, match="owner_unknown"):
        install(at, "x.env", {"A": "1"})
    assert not list(tmp_path.iterdir())


def test_preflight_is_content_with_a_good_place_and_warns_of_a_shared_one(tmp_path: Path) -> None:
    assert preflight(desk(tmp_path), "x.env") == Ready(acting=str(os.geteuid()))
    tmp_path.chmod(0o777)
    assert preflight(desk(tmp_path), "x.env").findings == ("shared_folder",)
    assert not list(tmp_path.iterdir())
