"""Telling the process that uses the file: a command, or a signal to the process of a pid file.

Called by `calls` after the file is in place. No shell, no inherited environment, no value in argv; a process of
another program that got an old number is never signalled.
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
from pathlib import Path
from typing import Final

from rotator.plugin_api import Failed, Misconfigured, OutcomeUnknown

from .config import Config

ENVIRONMENT: Final = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
LONGEST_PID: Final = 32
HIGHEST_PID: Final = 1 << 22  # of Linux; what is higher is no number of a process, and may not even fit the call
REAP_SECONDS: Final = 1.0


def ready(config: Config) -> str | None:
    """A slug if the holder could certainly not be told; looked at before anything is written."""
    if config.command and not (Path(config.command[0]).is_file() and os.access(config.command[0], os.X_OK)):
        return "reload_command"
    return None


def tell(config: Config, seconds: float) -> None:
    """Tells the holder, if the endpoint says how. The file is in place already: a failure is told as such."""
    if config.command:
        _run(config.command, min(float(config.reload_timeout), seconds))
    elif config.signal:
        _signal(Path(config.pidfile), signal.Signals[f"SIG{config.signal}"])


def _run(command: tuple[str, ...], seconds: float) -> None:
    if seconds <= 0:
        raise Failed("reload_not_started")
    try:
        process = subprocess.Popen(  # noqa: S603 - the operator's own argv, no shell
            command,
            cwd="/",
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        raise Misconfigured("reload_command") from None
    try:
        status = process.wait(seconds)
    except subprocess.TimeoutExpired:
        # Its own session: whatever it started and kept is ended with it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(REAP_SECONDS)
        raise OutcomeUnknown("reload_timeout") from None
    if status != 0:
        raise Failed("reload_failed", status=str(status))


def _signal(pidfile: Path, which: signal.Signals) -> None:
    try:
        pid, written = _pid(pidfile)
        process = os.pidfd_open(pid)  # from here on the number cannot pass to another process
    except (FileNotFoundError, ProcessLookupError):
        raise Failed("not_running") from None
    except (OSError, ValueError):
        raise Misconfigured("pidfile") from None
    try:
        if _started(pid) > written + 1:
            raise Failed("not_running")  # the number belongs to a younger process: not the one that wrote the file
        signal.pidfd_send_signal(process, which)
    except (FileNotFoundError, ProcessLookupError):
        raise Failed("not_running") from None
    except PermissionError:
        raise Misconfigured("may_not_signal") from None
    finally:
        os.close(process)


def _pid(pidfile: Path) -> tuple[int, float]:
    """The number in the file and when it was written (seconds since the epoch)."""
    file = os.open(pidfile, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or found.st_mode & stat.S_IWOTH:
            raise ValueError
        pid = int(os.read(file, LONGEST_PID).decode("ascii"))
    finally:
        os.close(file)
    if not 1 < pid <= HIGHEST_PID:
        raise ValueError
    return pid, found.st_mtime


def _started(pid: int) -> float:
    """When the process started, in seconds since the epoch."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime "))
    return int(boot.split()[1]) + int(fields[19]) / os.sysconf("SC_CLK_TCK")
