"""Runs one program, bounded: input on a pipe, output to nowhere or into a few bytes, its group killed at the end.

Called by `calls`. The value is only ever in the pipe: not in argv, not in the environment, not in a file. It must never
wait without a bound, never leave a process of the group behind, never signal a number that may belong to another
process: the group is killed while its leader is still unreaped, so that the number cannot have passed on.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import resource
import selectors
import signal
import struct
import subprocess
import termios
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from rotator.plugin_api import Failed, Misconfigured, OutcomeUnknown, Secret

from .program import Runner

PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MOST_OUTPUT: Final = 512
REAP_SECONDS: Final = 2.0
_CHUNK: Final = 65536
_PASSING: Final = frozenset({errno.EAGAIN, errno.ENOMEM, errno.ENFILE, errno.EMFILE, errno.ETXTBSY})


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended. `status`: its exit code, negative = the signal that killed it, None = we killed it.

    `read_all`: it took the whole of its input. `output`: its standard output, only where it was asked for; if that was
    longer than `MOST_OUTPUT`: `overflowed`, and the program was killed.
    """

    status: int | None
    read_all: bool
    output: bytes = field(default=b"", repr=False)
    overflowed: bool = False


def run(
    words: tuple[str, ...],
    names: Mapping[str, str],
    given: Secret,
    who: Runner,
    left: Callable[[], float],
    *,
    listen: bool = False,
) -> Ended:
    """Runs `words` until it ends or `left()` (seconds) is used up. `names`: further environment, never a value.

    Raises what happened before the program ran: Misconfigured("program_not_started"), Failed("resources"), both unsent.
    """
    with contextlib.ExitStack() as closing:
        # The reading end stays open here too: after the end it tells how much was left unread.
        mouth, ear = _pipe()
        closing.callback(os.close, mouth)
        conversation = _Conversation(ear, given)
        closing.callback(conversation.close)
        with contextlib.ExitStack() as starting:
            voice = subprocess.DEVNULL
            if listen:
                conversation.voice, voice = _pipe()
                starting.callback(os.close, voice)
            process = _started(words, names, who, mouth, voice)
        with _ending(process):
            with contextlib.suppress(OSError, ValueError):
                resource.prlimit(process.pid, resource.RLIMIT_CORE, (0, 0))  # no core file may hold what it reads
            watch = os.pidfd_open(process.pid)
            closing.callback(os.close, watch)
            conversation.make_ours_patient()
            by_itself = conversation.hold(watch, left)
        return Ended(
            process.returncode if by_itself else None,
            conversation.said_all and not _unread(mouth),
            bytes(conversation.heard),
            conversation.overflowed,
        )


def _pipe() -> tuple[int, int]:
    """A pipe whose ends no other program inherits: (the reading, the writing end)."""
    try:
        return os.pipe2(os.O_CLOEXEC)
    except OSError as error:
        raise Failed("resources", status=errno.errorcode.get(error.errno or 0, ""), unsent=True) from None


def _started(
    words: tuple[str, ...], names: Mapping[str, str], who: Runner, mouth: int, voice: int
) -> subprocess.Popen[bytes]:
    environment = {"PATH": PATH, "LC_ALL": "C", **names}
    user, group = (who.uid, who.gid) if who.other else (None, None)
    groups = os.getgrouplist(who.name, who.gid) if who.other else None
    try:
        return subprocess.Popen(  # noqa: S603 - the operator's own argv, no shell
            words,
            cwd="/",
            env=environment,
            stdin=mouth,
            stdout=voice,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            user=user,
            group=group,
            extra_groups=groups,
            umask=0o077,
        )
    except OSError as error:
        code = errno.errorcode.get(error.errno or 0, "")
        if error.errno in _PASSING:
            raise Failed("resources", status=code, unsent=True) from None
        raise Misconfigured("program_not_started", status=code, unsent=True) from None
    except (ValueError, subprocess.SubprocessError):
        raise Misconfigured("program_not_started", unsent=True) from None


@contextlib.contextmanager
def _ending(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Whatever happens inside: the group is dead and the program reaped after it."""
    try:
        yield
    finally:
        # Unreaped until here: its number, which is the group's, still belongs to it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        try:
            process.wait(REAP_SECONDS)
        except subprocess.TimeoutExpired:  # not even a kill ends it: it hangs in the kernel
            raise OutcomeUnknown("program_unkillable") from None


def _unread(mouth: int) -> int:
    """Bytes of the input that nobody took."""
    return int(struct.unpack("i", fcntl.ioctl(mouth, termios.FIONREAD, b"\0" * 4))[0])


class _Conversation:
    """What is said to the program and heard from it, until it ends."""

    def __init__(self, ear: int, given: Secret) -> None:
        self._ear: int | None = ear
        self.voice: int | None = None
        self._given = given
        self._said = 0
        self.said_all = False
        self.heard = bytearray()
        self.overflowed = False

    def make_ours_patient(self) -> None:
        """Neither saying nor hearing ever waits; the program's own ends do, as programs expect."""
        for end in (self._ear, self.voice):
            if end is not None:
                os.set_blocking(end, False)

    def hold(self, watch: int, left: Callable[[], float]) -> bool:
        """Until the program ends (True), or its time does, or it says too much (False)."""
        with selectors.DefaultSelector() as ready:
            ready.register(watch, selectors.EVENT_READ)
            if self._ear is not None:
                ready.register(self._ear, selectors.EVENT_WRITE)
            if self.voice is not None:
                ready.register(self.voice, selectors.EVENT_READ)
            while (seconds := left()) > 0:
                seen = {key.fd for key, _ in ready.select(seconds)}
                if self._ear in seen and self._say():
                    ready.unregister(self._ear)
                    self._hush()
                if self.voice in seen and self._hear():
                    ready.unregister(self.voice)
                if self.overflowed:
                    return False
                if watch in seen:
                    self._hear()  # what it said last
                    return not self.overflowed
        return False

    def _say(self) -> bool:
        """Some of the input; True when there is nothing more to say."""
        assert self._ear is not None
        with contextlib.suppress(BlockingIOError):
            end = self._said + _CHUNK
            self._said += os.write(self._ear, self._given.reveal().encode()[self._said : end])
        self.said_all = self._said >= len(self._given.reveal().encode())
        return self.said_all

    def _hear(self) -> bool:
        """What the program said since; True at the end of it."""
        if self.voice is None:
            return True
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(self.voice, MOST_OUTPUT + 1):
                self.heard += piece[: MOST_OUTPUT + 1 - len(self.heard)]
                if len(self.heard) > MOST_OUTPUT:
                    self.overflowed = True
                    return True
            return True
        return False

    def _hush(self) -> None:
        """The program sees the end of its input."""
        if self._ear is not None:
            os.close(self._ear)
            self._ear = None

    def close(self) -> None:
        """Both of our ends."""
        self._hush()
        if self.voice is not None:
            os.close(self.voice)
            self.voice = None
