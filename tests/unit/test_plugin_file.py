"""The file plugin on a real file system: what is written, what is refused, and what a crash or an attacker makes of it."""

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
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from rotator_file import Config, place, plugin
from rotator_file.render import rendered

from rotator.plugin_api import (
    RESERVED,
    Failed,
    Generation,
    Installed,
    InstallRequest,
    ListRequest,
    Misconfigured,
    OutcomeUnknown,
    PluginError,
    PreflightRequest,
    Ready,
    Refused,
    Revoked,
    RevokeRequest,
    Secret,
    Subject,
)
from tests.unit.plugin_desk import Desk, acting

(FILE,) = plugin.kinds
CANARY = "canary-" + os.urandom(9).hex()


def desk(root: Path, **config: Any) -> Desk:
    return Desk(Config(root=str(root), **config), acting("daemon", "canary-unused"))


def install(at: Desk, path: str, fields: Mapping[str, str] | None = None, *, value: str = CANARY, **params: str) -> Any:
    into = Subject(principal=path, params=params)
    rows = {key: Secret(text) for key, text in (fields or {}).items()}
    of = Generation(subject=Subject(principal="app_a"))
    return at(FILE.install, InstallRequest(into=into, value=Secret(value), of=of, label="rot-t-1", fields=rows))


def revoke(at: Desk, path: str) -> Any:
    return at(FILE.revoke, RevokeRequest(target=Generation(subject=Subject(principal=path))))


def preflight(at: Desk, path: str) -> Any:
    return at(FILE.preflight, PreflightRequest(subject=Subject(principal=path)))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# ---- content -------------------------------------------------------------------------------------------------------


def test_env_file_is_written_whole_with_its_mode(tmp_path: Path) -> None:
    at = desk(tmp_path, mode="0640")
    assert install(at, "db.env", {"USER": "app_a", "PASS": CANARY}) == Installed(handle="db.env")
    assert (tmp_path / "db.env").read_text() == f"USER=app_a\nPASS={CANARY}\n"
    assert mode(tmp_path / "db.env") == 0o640
    assert [entry.name for entry in tmp_path.iterdir()] == ["db.env"]


@pytest.mark.parametrize(
    "text",
    [
        "plain-123_./:@%+=,",
        "two words",
        'quo"te',
        "apo'strophe",
        "back\\slash",
        "dollar$HOME `id` $(id)",
        "all ' \" \\ $x `y` #",
        " padded ",
        "#hash",
        "",
        "ünï 🔑",
        "a!b*c?[d]",
        "tab\there",
    ],
)
def test_shell_reads_back_every_value_as_it_was(text: str, tmp_path: Path) -> None:
    install(desk(tmp_path), "x.env", {"A": text, "B": "end"})
    program = f'. {tmp_path}/x.env; printf "%s|%s" "$A" "$B"'
    done = subprocess.run(["/bin/sh", "-c", program], capture_output=True, check=True, timeout=10)
    assert done.stdout.decode() == f"{text}|end"


@pytest.mark.parametrize("text", ["two\nlines", "nul\0", "carriage\rreturn"])
def test_value_that_an_env_file_cannot_hold_is_refused_before_anything_is_written(text: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="policy"):
        install(desk(tmp_path), "x.env", {"A": text}, value=text)
    with pytest.raises(Misconfigured, match="field_value"):  # another value would not help: it is not the value
        install(desk(tmp_path), "x.env", {"A": text})
    assert not list(tmp_path.iterdir())
    install(desk(tmp_path), "x.json", {"A": text}, format="json")
    assert json.loads((tmp_path / "x.json").read_text()) == {"A": text}


def test_raw_holds_exactly_one_value_and_nothing_else(tmp_path: Path) -> None:
    at = desk(tmp_path)
    install(at, "a", format="raw")
    assert (tmp_path / "a").read_bytes() == CANARY.encode()
    install(at, "b", {"X": "only\nthis"}, format="raw")
    assert (tmp_path / "b").read_bytes() == b"only\nthis"
    for fields, form in (({"A": "1", "B": "2"}, "raw"), ({"A": "1"}, "yaml")):
        with pytest.raises(Misconfigured, match="format"):
            install(at, "c", fields, format=form)
    with pytest.raises(Misconfigured, match="no_fields"):
        install(at, "c")


@pytest.mark.parametrize("key", ["", "1A", "A B", "A=B", "A\nB", "Ä", "A-B"])
def test_key_that_a_reader_would_take_apart_is_refused(key: str, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="field_name"):
        install(desk(tmp_path), "x.env", {key: "1"})


def test_surrogates_are_refused_in_every_format() -> None:
    for form in ("env", "json", "raw"):
        with pytest.raises(Refused, match="policy"):
            rendered(form, {"A": Secret("\ud800")}, Secret("\ud800"))


# ---- the same again, and taking away -------------------------------------------------------------------------------


def test_same_again_is_done_and_repairs_mode_and_owner(tmp_path: Path) -> None:
    at, path = desk(tmp_path, owner=str(os.geteuid()), group=str(os.getegid())), tmp_path / "x.env"
    install(at, "x.env", {"A": CANARY})
    path.chmod(0o666)
    assert install(at, "x.env", {"A": CANARY}) == Installed(handle="x.env")
    assert mode(path) == 0o600
    assert path.read_text() == f"A={CANARY}\n"


def test_file_is_ours_wholly_so_other_keys_go(tmp_path: Path) -> None:
    (tmp_path / "x.env").write_text("OTHER=1\n")
    install(desk(tmp_path), "x.env", {"A": "2"})
    assert (tmp_path / "x.env").read_text() == "A=2\n"


def test_old_value_can_be_put_back(tmp_path: Path) -> None:
    at = desk(tmp_path)
    for text in ("old", "new", "old"):
        install(at, "x.env", {"A": text})
    assert (tmp_path / "x.env").read_text() == "A=old\n"


def test_revoke_removes_this_file_only_and_may_be_said_twice(tmp_path: Path) -> None:
    at = desk(tmp_path)
    install(at, "x.env", {"A": "1"})
    install(at, "x.env2", {"A": "1"})
    (tmp_path / place.Place(0, "x.env").draft).write_text(CANARY)
    assert revoke(at, "x.env") == Revoked(already=False)
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.env2"]  # the leftover of a crash is gone too
    assert revoke(at, "x.env") == Revoked(already=True)


def test_listing_shows_that_it_is_held_and_whether_as_it_should_be(tmp_path: Path) -> None:
    at, subject = desk(tmp_path), Subject(principal="x", params={"path": "sub/x.env"})
    (tmp_path / "sub").mkdir()
    assert at(FILE.list, ListRequest(subject=subject)).items == ()
    at(
        FILE.install,
        InstallRequest(
            into=subject, value=Secret(CANARY), of=Generation(subject=subject), label="l", fields={"A": Secret("1")}
        ),
    )
    (row,) = at(FILE.list, ListRequest(subject=subject)).items
    assert (row.handle, row.active) == ("sub/x.env", True)
    assert abs(row.updated_at.timestamp() - (tmp_path / "sub/x.env").stat().st_mtime) < 0.001
    (tmp_path / "sub/x.env").chmod(0o644)
    assert not at(FILE.list, ListRequest(subject=subject)).items[0].active
    assert at(FILE.list, ListRequest(subject=None)).items == ()


# ---- paths and links -----------------------------------------------------------------------------------------------

HOSTILE_PATHS = (
    "../x", "a/../../x", "/etc/x", "", ".", "..", "a//b", "a/", "./a", "a/./b", "x\0y", "x\ny", "x\x1b[2J",
    ".rotator-x", "a/.rotator-y/z", "n" * 256, "x\ud800",
)  # fmt: skip


@pytest.mark.parametrize("path", HOSTILE_PATHS)
def test_path_that_is_not_plainly_below_the_root_is_refused(path: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for call in (lambda: install(desk(root), path, {"A": "1"}), lambda: revoke(desk(root), path)):
        with pytest.raises(Misconfigured, match="path"):
            call()
    assert preflight(desk(root), path).findings == ("path",)
    assert [entry.name for entry in tmp_path.iterdir()] == ["root"]
    assert not list(root.iterdir())


@pytest.mark.parametrize("name", ["spa ce", "quo'te", "-rf", "$HOME", "ünï", "%2e%2e", "back\\slash", "n" * 255])
def test_odd_name_is_that_file(name: str, tmp_path: Path) -> None:
    install(desk(tmp_path), name, {"A": "1"})
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_symbolic_links_below_the_root_are_never_followed(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (outside / "x.env").write_text("precious\n")
    (root / "dir").symlink_to(outside)
    (root / "x.env").symlink_to(outside / "x.env")
    (root / "dangling").symlink_to(outside / "new")
    for path in ("dir/x.env", "x.env", "dangling"):
        for call in (
            lambda path=path: install(desk(root), path, {"A": "1"}),
            lambda path=path: revoke(desk(root), path),
        ):
            with pytest.raises(Misconfigured, match="symbolic_link"):
                call()
        assert preflight(desk(root), path).findings == ("symbolic_link",)
    assert (outside / "x.env").read_text() == "precious\n"
    assert [entry.name for entry in outside.iterdir()] == ["x.env"]


def test_link_planted_at_the_draft_is_removed_not_followed(tmp_path: Path) -> None:
    root, victim = tmp_path / "root", tmp_path / "victim"
    root.mkdir()
    victim.write_text("precious\n")
    (root / place.Place(0, "x.env").draft).symlink_to(victim)
    install(desk(root), "x.env", {"A": "1"})
    assert victim.read_text() == "precious\n"
    assert [entry.name for entry in root.iterdir()] == ["x.env"]


def test_hard_link_to_the_old_content_is_left_behind_not_overwritten(tmp_path: Path) -> None:
    install(desk(tmp_path), "x.env", {"A": "old"})
    (tmp_path / "kept").hardlink_to(tmp_path / "x.env")
    install(desk(tmp_path), "x.env", {"A": "new"})
    assert (tmp_path / "kept").read_text() == "A=old\n"


def test_what_is_no_plain_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for path in ("folder", "pipe"):
        with pytest.raises(Misconfigured, match="not_a_file"):
            install(desk(tmp_path), path, {"A": "1"})
    (tmp_path / "plain").write_text("")
    with pytest.raises(Misconfigured, match="not_a_folder"):
        install(desk(tmp_path), "plain/x", {"A": "1"})
    with pytest.raises(Misconfigured, match="missing_folder"):
        install(desk(tmp_path), "absent/x", {"A": "1"})
    with pytest.raises(Misconfigured, match="missing_folder"):
        install(desk(tmp_path / "gone"), "x", {"A": "1"})


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


# ---- telling the holder --------------------------------------------------------------------------------------------


def script(folder: Path, body: str) -> Path:
    path = folder / "reload.sh"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def test_reload_runs_after_the_write_and_sees_neither_value_nor_our_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    monkeypatch.setenv("LEAK", CANARY)
    program = script(
        tmp_path, f'cat {root}/x.env > {tmp_path}/saw; env > {tmp_path}/env; printf "%s|" "$@" > {tmp_path}/argv'
    )
    at = desk(root, reload=f"{program} 'two words' $HOME ';id'")
    install(at, "x.env", {"A": CANARY})
    assert (tmp_path / "saw").read_text() == f"A={CANARY}\n"
    assert CANARY not in (tmp_path / "env").read_text()
    assert (tmp_path / "argv").read_text() == "two words|$HOME|;id|"  # split, never expanded


def test_reload_that_fails_says_so_with_the_file_in_place_and_again_repeats_both(tmp_path: Path) -> None:
    root, fine = tmp_path / "root", tmp_path / "fine"
    root.mkdir()
    program = script(tmp_path, f"echo run >> {tmp_path}/runs; test -e {fine}")
    at = desk(root, reload=str(program))
    with pytest.raises(Failed, match="reload_failed") as caught:
        install(at, "x.env", {"A": "new"})
    assert caught.value.status == "1"
    assert (root / "x.env").read_text() == "A=new\n"
    fine.touch()
    assert install(at, "x.env", {"A": "new"}) == Installed(handle="x.env")
    assert (tmp_path / "runs").read_text() == "run\nrun\n"


def test_reload_that_hangs_is_killed_with_what_it_started(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    program = script(tmp_path, f"sleep 60 & echo $! > {tmp_path}/child; wait")
    at = desk(root, reload=str(program), reload_timeout=1)
    started = time.monotonic()
    with pytest.raises(OutcomeUnknown, match="reload_timeout"):
        install(at, "x.env", {"A": "1"})
    assert time.monotonic() - started < 3
    number = int((tmp_path / "child").read_text())
    for _ in range(100):
        state = Path(f"/proc/{number}/stat")
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.05)
    pytest.fail("the command's child lives on")


def test_missing_reload_program_is_found_before_anything_is_written(tmp_path: Path) -> None:
    at = desk(tmp_path, reload="/no/such/program")
    assert preflight(at, "x.env").findings == ("reload_command",)
    with pytest.raises(Misconfigured, match="reload_command"):
        install(at, "x.env", {"A": "1"})
    assert not list(tmp_path.iterdir())


def waiting(folder: Path) -> subprocess.Popen[bytes]:
    """A process that writes its pid file, and another file when it gets HUP."""
    body = f"trap 'touch {folder}/got' HUP; echo $$ > {folder}/pid; while :; do sleep 0.05; done"
    process = subprocess.Popen(["/bin/sh", "-c", body])
    for _ in range(200):
        if (folder / "pid").exists() and (folder / "pid").read_text().strip():
            return process
        time.sleep(0.02)
    raise AssertionError("no pid file")


def test_signal_reaches_the_process_of_the_pid_file(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    process = waiting(tmp_path)
    try:
        install(desk(root, signal="HUP", pidfile=str(tmp_path / "pid")), "x.env", {"A": "1"})
        for _ in range(100):
            if (tmp_path / "got").exists():
                break
            time.sleep(0.02)
        assert (tmp_path / "got").exists()
    finally:
        process.kill()
        process.wait(10)
    with pytest.raises(Failed, match="not_running"):
        install(desk(root, signal="HUP", pidfile=str(tmp_path / "pid")), "x.env", {"A": "2"})
    assert (root / "x.env").read_text() == "A=2\n"


def test_stranger_that_got_an_old_number_is_not_signalled(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    process = waiting(tmp_path)
    try:
        os.utime(tmp_path / "pid", (1_000_000_000, 1_000_000_000))  # written long before that process began
        with pytest.raises(Failed, match="not_running"):
            install(desk(root, signal="HUP", pidfile=str(tmp_path / "pid")), "x.env", {"A": "1"})
        time.sleep(0.2)
        assert not (tmp_path / "got").exists()
    finally:
        process.kill()
        process.wait(10)


@pytest.mark.parametrize("text", ["", "abc", "0", "1", "-5", "9" * 40])
def test_pid_file_with_nonsense_signals_nobody(text: str, tmp_path: Path) -> None:
    (tmp_path / "pid").write_text(text)
    with pytest.raises(Misconfigured, match="pidfile"):
        install(desk(tmp_path, signal="TERM", pidfile=str(tmp_path / "pid")), "x.env", {"A": "1"})


def test_absent_pid_file_means_not_running_and_a_shared_or_linked_one_is_refused(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    at = desk(tmp_path, signal="HUP", pidfile=str(pid))
    with pytest.raises(Failed, match="not_running"):
        install(at, "x.env", {"A": "1"})
    pid.write_text("2")
    pid.chmod(0o666)
    with pytest.raises(Misconfigured, match="pidfile"):
        install(at, "x.env", {"A": "1"})
    pid.rename(tmp_path / "other")
    pid.symlink_to(tmp_path / "other")
    with pytest.raises(Misconfigured, match="pidfile"):
        install(at, "x.env", {"A": "1"})


# ---- configuration, declaration ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        {"root": "relative"},
        {"root": "/a/../b"},
        {"mode": "600600"},
        {"mode": "0644"},
        {"mode": "0o600"},
        {"mode": "0200"},
        {"reload": "relative command"},
        {"reload": "  "},
        {"reload": "/bin/x 'open"},
        {"signal": "HUP"},
        {"pidfile": "/run/x"},
        {"signal": "NOPE", "pidfile": "/run/x"},
        {"signal": "HUP", "pidfile": "x"},
        {"reload": "/bin/true", "signal": "HUP", "pidfile": "/run/x"},
        {"reload_timeout": 0},
    ],
)
def test_nonsense_in_the_configuration_is_refused_when_read(config: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Config(**{"root": "/srv", **config})


def test_every_slug_in_the_code_is_declared() -> None:
    used = {slug for _, slug in place.ERRORS.values()}
    for module in Path(place.__file__).parent.glob("*.py"):
        for piece in module.read_text().split('("')[1:]:
            slug = piece.split('"')[0]
            if slug.replace("_", "").isalpha() and slug.islower() and module.name != "__init__.py":
                used.add(slug)
    assert {"path", "reload_failed", "not_durable"} <= used
    known = {*plugin.reasons, *RESERVED, "ascii", "env"}
    assert used <= known, used - known
