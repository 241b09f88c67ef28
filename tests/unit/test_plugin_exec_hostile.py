"""Programs that misbehave: echo the value, hang, fork, stop reading, print without end, die. And where the value is."""

from __future__ import annotations

import contextlib
import os
import resource
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rotator_exec import plugin

from rotator.daemon.clock import SystemClock
from rotator.effects.host import Connection, Gateway
from rotator.effects.platforms import Call
from rotator.plugin_api import (
    CheckRequest,
    Failed,
    Inconclusive,
    Installed,
    InstallRequest,
    OutcomeUnknown,
    PluginError,
    Rejected,
    Secret,
)
from tests.unit.plugin_exec_desk import CANARY, INTO, LABEL, OF, alive, check, desk, dies, install, script

# ---- what it prints ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 1, 65, 75])
def test_echoed_value_is_nowhere_in_what_comes_back(
    code: int, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    program = script(tmp_path, f'read line; echo "$line"; echo "$line" >&2; exit {code}')
    told = ""
    try:
        told = repr(install(desk(program)))
    except PluginError as error:
        whole = traceback.TracebackException.from_exception(error, capture_locals=True)
        ours = [frame for frame in whole.stack if "/rotator_exec/" in frame.filename]
        assert ours
        told = f"{[frame.locals for frame in ours]} {error!r} {error.status}"
    assert told
    assert CANARY not in told
    printed = capfd.readouterr()
    assert CANARY not in printed.out + printed.err + caplog.text


def test_check_that_prints_the_value_says_only_that_it_is_no_label(tmp_path: Path) -> None:
    program = script(tmp_path, f"echo {CANARY}; echo {CANARY} >&2")
    connection = Connection(name="e", plugin=plugin, config={"command": "/bin/true", "check": str(program)})
    hosted = Gateway(SystemClock(), "0").platform(connection, "program")
    found = hosted.check(Call("unit", 5.0), CheckRequest(into=INTO, of=OF))
    assert found == Rejected(reason="holds_another")
    assert CANARY not in repr(found)


def test_gigabytes_of_output_cost_nothing(tmp_path: Path) -> None:
    program = script(tmp_path, "cat > /dev/null; head -c 2000000000 /dev/zero; head -c 2000000000 /dev/zero >&2")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert install(desk(program, seconds=60.0)) == Installed()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


def test_check_that_prints_without_end_is_killed_at_once(tmp_path: Path) -> None:
    program = script(tmp_path, f"echo $$ > {tmp_path}/pid; yes")
    began = time.monotonic()
    assert check(desk("/bin/true", check=str(program))) == Inconclusive(reason="program_output")
    assert time.monotonic() - began < 3
    assert dies(int((tmp_path / "pid").read_text()))


# ---- that it does not end ------------------------------------------------------------------------------------------


def test_hanging_program_is_killed_with_its_children_in_its_own_time(tmp_path: Path) -> None:
    body = f"cat > /dev/null; trap '' TERM INT HUP; sleep 60 & echo $! > {tmp_path}/child; wait; wait; sleep 60"
    began = time.monotonic()
    with pytest.raises(OutcomeUnknown, match="program_timeout"):
        install(desk(script(tmp_path, body), timeout=1))
    assert 0.9 < time.monotonic() - began < 4
    assert dies(int((tmp_path / "child").read_text()))


def test_deadline_of_the_call_ends_it_earlier_than_its_own_time(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(OutcomeUnknown, match="program_timeout"):
        install(desk(script(tmp_path, "sleep 60"), seconds=0.7, timeout=30))
    assert time.monotonic() - began < 3


def test_child_left_behind_neither_holds_the_call_nor_lives_on(tmp_path: Path) -> None:
    body = f"sleep 60 & echo $! > {tmp_path}/child; cat > /dev/null; exit 0"
    began = time.monotonic()
    assert install(desk(script(tmp_path, body))) == Installed()
    assert time.monotonic() - began < 3
    assert dies(int((tmp_path / "child").read_text()))


def test_child_left_behind_by_check_does_not_hold_its_output_open(tmp_path: Path) -> None:
    body = f"sleep 60 & echo $! > {tmp_path}/child; echo {LABEL}; exit 0"
    began = time.monotonic()
    check(desk("/bin/true", check=str(script(tmp_path, body))))
    assert time.monotonic() - began < 3
    assert dies(int((tmp_path / "child").read_text()))


def test_program_of_a_group_of_its_own_does_not_end_us(tmp_path: Path) -> None:
    assert install(desk(script(tmp_path, f"cat > /dev/null; ps -o sid= -p $$ > {tmp_path}/sid"))) == Installed()
    assert int((tmp_path / "sid").read_text()) != os.getsid(0)
    with pytest.raises(OutcomeUnknown, match="program_killed") as caught:
        install(desk(script(tmp_path, "cat > /dev/null; kill -TERM 0; sleep 5")))
    assert caught.value.status == "SIGTERM"


@pytest.mark.parametrize(("name", "status"), [("KILL", "SIGKILL"), ("SEGV", "SIGSEGV")])
def test_killed_program_may_have_done_it(name: str, status: str, tmp_path: Path) -> None:
    with pytest.raises(OutcomeUnknown, match="program_killed") as caught:
        install(desk(script(tmp_path, f"cat > /dev/null; kill -{name} $$")))
    assert caught.value.status == status


# ---- that it does not read -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", ["exec 0<&-", "true", "exec 0< /dev/null; cat"])
@pytest.mark.parametrize("size", [10, 300_000])
def test_success_without_reading_is_not_believed(body: str, size: int, tmp_path: Path) -> None:
    with pytest.raises(OutcomeUnknown, match="input_not_read"):
        install(desk(script(tmp_path, f"{body}; exit 0")), {"A": "x" * size})


def test_half_of_the_input_is_not_all_of_it(tmp_path: Path) -> None:
    with pytest.raises(OutcomeUnknown, match="input_not_read"):
        install(desk(script(tmp_path, "head -c 1000 > /dev/null")), {"A": "x" * 300_000})


def test_code_of_a_program_that_did_not_read_still_counts(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="program_says_later"):
        install(desk(script(tmp_path, "exec 0<&-; exit 75")), {"A": "x" * 300_000})


def test_slow_reader_gets_everything(tmp_path: Path) -> None:
    body = f"sleep 0.3; head -c 70000 > {tmp_path}/a; sleep 0.3; cat > {tmp_path}/b"
    assert install(desk(script(tmp_path, body)), {"A": "x" * 300_000}) == Installed()
    assert (tmp_path / "a").stat().st_size + (tmp_path / "b").stat().st_size == 300_000 + len('{"A": ""}\n')


# ---- nothing is left over ------------------------------------------------------------------------------------------


def files_open() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def children_of_ours() -> set[str]:
    """Processes that we started and did not wait for; servers of other tests may be among them."""
    found: set[str] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.update((task / "children").read_text().split())
    return found


def test_no_end_of_any_kind_leaves_a_file_or_a_process_open(tmp_path: Path) -> None:
    bodies = ["cat > /dev/null", "exit 0", "exit 75", "kill -9 $$", "sleep 9", "yes"]
    before, children = files_open(), children_of_ours()
    for number, body in enumerate(bodies):
        program = script(tmp_path, body, f"p{number}")
        at = desk(program, check=str(program), timeout=1)
        check(at)
        with contextlib.suppress(PluginError):
            install(at, {"A": "x" * 100_000})
    missing = desk(script(tmp_path, "true", shell="/no/interpreter"))
    with pytest.raises(PluginError, match="program_not_started"):
        install(missing)
    assert files_open() == before
    assert children_of_ours() == children


def test_many_at_once_do_not_mix_their_input(tmp_path: Path) -> None:
    program = script(tmp_path, f"sleep 0.2; cat > {tmp_path}/$ROTATOR_TARGET")
    wrong: list[BaseException] = []

    def one(number: int) -> None:
        from rotator.plugin_api import Subject

        try:
            install(desk(program), {"A": f"value-{number}" * 9000}, Subject(principal=f"t{number}"))
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert wrong == []
    for number in range(8):
        assert (tmp_path / f"t{number}").read_text() == f'{{"A": "{f"value-{number}" * 9000}"}}\n'


# ---- where the value is --------------------------------------------------------------------------------------------


def session_of(leader: int) -> list[int]:
    """Every process of the leader's session."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == leader:
                found.append(int(entry.name))
    return found


def shown_of(number: int) -> bytes:
    """What others on the machine may see of a process: its command line, name and environment."""
    folder = Path(f"/proc/{number}")
    return b"\n".join((folder / name).read_bytes() for name in ("cmdline", "environ", "comm"))


@contextmanager
def running(work: Callable[[], Any]) -> Iterator[list[Any]]:
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    try:
        yield results
    finally:
        thread.join(20)


def wait_for(path: Path) -> str:
    for _ in range(400):
        if path.exists() and path.read_text().strip():
            return path.read_text()
        time.sleep(0.02)
    raise AssertionError(f"{path.name} did not appear")


def test_neither_the_program_nor_its_children_show_the_value_in_argv_or_environment(tmp_path: Path) -> None:
    """With a control: the label, which does stand in the environment, is found in each of them by the same look."""
    go = tmp_path / "go"
    body = (
        f"(while ! test -e {go}; do sleep 0.05; done) & sh -c 'while ! test -e {go}; do sleep 0.05; done; exit 0' & "
        f"echo $$ > {tmp_path}/pid; cat > {tmp_path}/got; echo x > {tmp_path}/ready; wait"
    )
    connection = Connection(name="e", plugin=plugin, config={"command": str(script(tmp_path, body))})
    hosted = Gateway(SystemClock(), "0").platform(connection, "program")
    fields = {"USER": Secret("app_a"), "PASS": Secret(CANARY)}
    request = InstallRequest(into=INTO, value=Secret(CANARY), of=OF, label=LABEL, fields=fields)
    with running(lambda: hosted.install(Call("unit", 15.0), request)) as results:
        leader = int(wait_for(tmp_path / "pid"))
        wait_for(tmp_path / "ready")
        family = [one for one in session_of(leader) if alive(one)]
        shown = {one: shown_of(one) for one in family}
        go.touch()
    assert results == [Installed()]
    assert len(family) >= 3
    assert CANARY in (tmp_path / "got").read_text()
    for number, text in shown.items():
        assert CANARY.encode() not in text, number
        assert LABEL.encode() in text, number
    assert CANARY.encode() not in shown_of(os.getpid())


def test_value_is_in_no_file_that_the_plugin_made(tmp_path: Path) -> None:
    install(desk(script(tmp_path, "cat > /dev/null")))
    assert [entry.name for entry in tmp_path.iterdir()] == ["program"]
