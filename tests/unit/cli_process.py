"""The command line as a process, against a real API server on a real socket, with the double behind it."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rotator.daemon.api import ApiServer
from rotator.daemon.clock import SystemClock
from tests.unit.requests_double import RecordingRequests

ROOT = Path(__file__).resolve().parents[2]
TIOCGPTN = 0x80045430  # ioctl_tty(2): the number of the pseudo-terminal
COMMAND = [sys.executable, "-m", "rotator.cli"]


@dataclass(slots=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


class Cli:
    """`cli("status", ...)` runs `rotator --socket ... status ...` without a terminal."""

    def __init__(self, socket: Path, requests: RecordingRequests, server: ApiServer) -> None:
        self.socket, self.requests, self.server = socket, requests, server

    def environment(self, extra: dict[str, str]) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("ROTATOR_")}
        return kept | {"ROTATOR_SOCKET": str(self.socket), "PYTHONPATH": str(ROOT), "COLUMNS": "120"} | extra

    def __call__(self, *words: str, **extra: str) -> Done:
        done = subprocess.run(
            [*COMMAND, *words], capture_output=True, text=True, timeout=60, env=self.environment(extra),
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.environment({}),
            stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def typed(self, words: Sequence[str], keys: str = "", after: str = "", **extra: str) -> Done:
        """On a terminal of its own (both streams are one): `keys` are typed once `after` was shown."""
        child, terminal = pty.fork()
        if child == 0:
            os.execvpe(COMMAND[0], [*COMMAND, *words], self.environment({"TERM": "xterm"} | extra))
        # Our own end of the child's side stays open: where the last end closes, the kernel may drop what was not read.
        keeper = os.open(f"/dev/pts/{_number_of(terminal)}", os.O_RDWR | os.O_NOCTTY)
        shown, end, typed, status = b"", time.monotonic() + 60, False, None
        while time.monotonic() < end:
            # The kernel hands a terminal's bytes on in its own time, under load well after the child's end.
            if select.select([terminal], [], [], 0.1 if status is None else 0.6)[0]:
                shown += os.read(terminal, 65536)
            elif status is not None:
                break
            if keys and not typed and after in shown.decode(errors="replace"):
                os.write(terminal, keys.encode())
                typed = True
            if status is None:
                done, code = os.waitpid(child, os.WNOHANG)
                status = code if done else None
        os.close(keeper)
        os.close(terminal)
        if status is None:
            _, status = os.waitpid(child, 0)
        return Done(os.waitstatus_to_exitcode(status), shown.decode(errors="replace").replace("\r\n", "\n"), "")


def _number_of(terminal: int) -> int:
    found = fcntl.ioctl(terminal, TIOCGPTN, struct.pack("I", 0))
    return int(struct.unpack("I", found)[0])


@contextmanager
def cli_over(folder: Path) -> Iterator[Cli]:
    folder.chmod(0o700)
    requests = RecordingRequests()
    server = ApiServer(folder / "api.sock", requests, SystemClock())
    server.start()
    try:
        yield Cli(folder / "api.sock", requests, server)
    finally:
        requests.hold.set()
        server.stop(2)
