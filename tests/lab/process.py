"""One server process: started in its own group, killed with its parent, ended by its pid, waited for by polling.

Called by the server classes of the laboratory. It must never end a process that it did not start, never sleep a fixed
time instead of asking, and never put a secret into a command line or the environment.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

_PR_SET_PDEATHSIG = 1
_TAIL_BYTES = 4000
_libc = ctypes.CDLL(None, use_errno=True)
_taken_ports: set[int] = set()

# The kernel sends the parent-death signal when the *thread* that started the process ends, so every process is started
# by this one thread, which lives as long as the interpreter: a test may restart a server from a thread of its own.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lab-starter")


class LabError(RuntimeError):
    """A server could not be started or prepared. The text ends with the tail of its log."""


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on, and that this process has not handed out before.

    It lies below the range of the ports that the kernel gives to clients: a client that calls a stopped server could
    otherwise be given that server's port, and connect to itself.
    """
    chooser = random.SystemRandom()
    for _ in range(1000):
        port = chooser.randrange(15000, 32000)
        if port in _taken_ports:
            continue
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            _taken_ports.add(port)
            return port
    raise LabError("no free port of 127.0.0.1 between 15000 and 32000")


def wait_until(
    ready: Callable[[], bool],
    what: str,
    timeout_s: float = 30.0,
    alive: Callable[[], bool] = lambda: True,
    pause_s: float = 0.03,
) -> None:
    """Poll `ready` until it is true; LabError when `timeout_s` have passed or `alive` says no. OSError is "not yet"."""
    limit = time.monotonic() + timeout_s
    while True:
        with contextlib.suppress(OSError):
            if ready():
                return
        if not alive():
            raise LabError(f"{what}: the process ended")
        if time.monotonic() > limit:
            raise LabError(f"{what}: not within {timeout_s:g} s")
        time.sleep(pause_s)


class Process:
    """A child process and its log file. All methods may be called from any thread, one at a time."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | str = "/",
        uid: int | None = None,
        gid: int | None = None,
        conceal: Sequence[str] = (),
    ) -> None:
        """Describe the process; nothing is started yet.

        `env` is the whole environment; `uid` needs root; `conceal`: texts that `log_tail` must not show.
        """
        self.name = name
        self.conceal = conceal
        self.log = log
        self._command = list(command)
        self._env = dict(env or {})
        self._cwd = cwd
        self._uid, self._gid = uid, gid
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The pid of the running process; LabError if it does not run."""
        if self._child is None or self._child.poll() is not None:
            raise LabError(f"{self.name} is not running")
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether the process was started and has not ended."""
        return self._child is not None and self._child.poll() is None

    def start(self) -> None:
        """Start the process, in its own group and session; its output is appended to the log."""
        if self.running:
            raise LabError(f"{self.name} is already running")
        self._child = _starter.submit(self._spawn).result()

    def _spawn(self) -> subprocess.Popen[bytes]:
        parent = os.getpid()

        def die_with_parent() -> None:
            # After the change of user (which clears this) and before exec (which keeps it).
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

        with self.log.open("ab") as output:
            return subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._env,
                cwd=self._cwd,
                user=self._uid,
                group=self._gid,
                extra_groups=[] if self._uid is not None else None,
                start_new_session=True,
                preexec_fn=die_with_parent,  # run by the one starting thread
            )

    def wait_ready(self, ready: Callable[[], bool], timeout_s: float = 30.0) -> None:
        """Poll `ready`; if the process ends or the time is over, kill it and raise LabError with the log's tail."""
        try:
            wait_until(ready, self.name, timeout_s, alive=lambda: self.running)
        except LabError as error:
            self.end(signal.SIGKILL)
            raise LabError(f"{error}\n--- {self.log} ---\n{self.log_tail()}") from None

    def end(self, with_signal: signal.Signals = signal.SIGTERM, timeout_s: float = 10.0) -> None:
        """Signal the process, wait for its end, then kill whatever is left of its group and of its children."""
        if self._child is None:
            return
        family = descendants(self._child.pid) if self.running else []
        with contextlib.suppress(ProcessLookupError):
            self._child.send_signal(with_signal)
        try:
            self._child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait(timeout_s)
        # A database's children lead sessions of their own: a stopped group does not include them.
        for pid, born in family:
            if is_alive(pid, born):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not any(is_alive(*member) for member in family), f"{self.name}: end of children", timeout_s)
        self._child = None

    def log_tail(self) -> str:
        """Return the last few kilobytes of the log, without the texts to conceal."""
        if not self.log.exists():
            return ""
        text = self.log.read_bytes()[-_TAIL_BYTES:].decode(errors="replace")
        for secret in filter(None, self.conceal):
            text = text.replace(secret, "[concealed]")
        return text


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def _birth(pid: int) -> str | None:
    """The start time of a living process, to tell it from a later one of the same number; None if dead."""
    fields = _stat(pid)
    return None if fields is None or fields[0] in "ZX" else fields[19]


def is_alive(pid: int, born: str) -> bool:
    """Tell whether the process that `descendants` returned as (pid, born) still lives; one not yet reaped does not."""
    return _birth(pid) == born


def descendants(pid: int) -> list[tuple[int, str]]:
    """Return (pid, start time) of all living descendants of `pid`."""
    parents: dict[int, list[tuple[int, str]]] = {}
    for entry in Path("/proc").iterdir():
        fields = _stat(int(entry.name)) if entry.name.isdigit() else None
        if fields is not None and fields[0] not in "ZX":
            parents.setdefault(int(fields[1]), []).append((int(entry.name), fields[19]))
    found: list[tuple[int, str]] = []
    waiting = [pid]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found += children
        waiting += [child for child, _ in children]
    return found


class Folder:
    """A temporary folder of one server, removed by `remove()`; its parents can be entered by every user if `shared`."""

    def __init__(self, name: str, *, shared: bool = False) -> None:
        """Create the folder: 0700, or 0755 in a place that everybody may enter if `shared`."""
        place = next(
            (p for p in (tempfile.gettempdir(), "/tmp", "/var/tmp") if not shared or open_to_all(Path(p))), None
        )
        if place is None:
            raise LabError("no temporary folder that another user can enter")
        self.path = Path(tempfile.mkdtemp(prefix=f"lab-{name}-", dir=place))
        if shared:
            self.path.chmod(0o755)

    def remove(self) -> None:
        """Remove the folder and what is in it; harmless twice."""
        shutil.rmtree(self.path, ignore_errors=True)


def open_to_all(folder: Path) -> bool:
    """Tell whether every user may enter `folder` and list it, and enter all its parents."""
    folder = folder.resolve()
    if folder.stat().st_mode & 0o005 != 0o005:
        return False
    return all(parent.stat().st_mode & 0o001 for parent in folder.parents)


class Server:
    """What all servers of the laboratory have in common: start, stop, kill, restart, and the context manager.

    A subclass says how to `_launch` (start and wait until ready) and owns `self.process` and `self.folder`.
    """

    process: Process
    folder: Folder
    port: int

    def _launch(self) -> None:
        raise NotImplementedError

    @property
    def log(self) -> Path:
        """The server's log file."""
        return self.process.log

    @property
    def running(self) -> bool:
        """Whether the server's process runs."""
        return self.process.running

    @property
    def pid(self) -> int:
        """The pid of the server's process; LabError if it does not run."""
        return self.process.pid

    def start(self) -> Self:
        """Start the server and return it when it is ready; LabError with the log's tail if it does not get there."""
        self._launch()
        return self

    def stop(self) -> None:
        """End the server in good order; harmless if it does not run. Its data stay."""
        self.process.end(signal.SIGTERM)

    def kill(self) -> None:
        """End the server with SIGKILL, as a power cut would; harmless if it does not run. Its data stay."""
        self.process.end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop the server if it runs and start it again, on the same port with the same data."""
        self.stop()
        self._launch()

    def close(self) -> None:
        """Kill the server and remove its data; harmless twice."""
        self.kill()
        self.folder.remove()

    def __enter__(self) -> Self:
        """Start the server unless it runs already; if that fails, nothing is left of it."""
        try:
            return self if self.running else self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it: the data go."""
        self.close()
