"""The local socket: made safely, given up safely, and who is at its other end.

Used by `api`. Must never remove a socket that somebody listens on, nor anything that is no socket.
"""

from __future__ import annotations

import errno
import fcntl
import os
import pwd
import socket
import stat
import struct
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

_LOG = structlog.get_logger()
_LONGEST_PATH: Final = 107
_BACKLOG: Final = 64


class SocketRefused(Exception):
    """The socket cannot be made here. `code` is a string code of the runbook; the message says what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Peer:
    """The process at the other end, as the kernel says it."""

    pid: int
    uid: int

    @property
    def actor(self) -> str:
        """`uid:1000 (name)`; without the name where the system has none."""
        try:
            return f"uid:{self.uid} ({pwd.getpwuid(self.uid).pw_name})"
        except KeyError:
            return f"uid:{self.uid}"


def peer_of(connection: socket.socket) -> Peer:
    """Who connected, by SO_PEERCRED: at the moment of connecting, not to be forged."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _gid = struct.unpack("3i", raw)
    return Peer(pid, uid)


class LocalSocket:
    """A listening unix socket at `path`, held by one process at a time through a lock file beside it.

    Mode 0600; 0666 when other uids may speak, since the kernel would not let them connect (then the peer's uid alone
    decides, and the folder's mode). Raises SocketRefused.
    """

    def __init__(self, path: Path, *, others: Collection[int] = ()) -> None:
        self.path = path
        self.mode = 0o666 if others else 0o600
        if len(os.fsencode(path)) > _LONGEST_PATH:
            raise SocketRefused("ROT-SOCKET-PATH", f"the socket's path is longer than {_LONGEST_PATH} bytes: {path}")
        _check_folder(path.parent)
        self._lock = _take_lock(path)
        try:
            _remove_stale(path)
            self.socket = _listen(path, self.mode)
        except BaseException:
            os.close(self._lock)
            raise
        self._inode = path.lstat().st_ino

    def close(self) -> None:
        """Stop listening and remove the socket, if it is still ours. The lock file stays: removing it is a race."""
        self.socket.close()
        try:
            if self.path.lstat().st_ino == self._inode:
                self.path.unlink()
        except FileNotFoundError:
            pass
        os.close(self._lock)


def _check_folder(folder: Path) -> None:
    """A folder in which others can replace the socket lets them answer in our place."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        seen = folder.stat()
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise SocketRefused("ROT-SOCKET-FOLDER", f"the socket's folder cannot be used: {folder}: {reason}") from None
    if seen.st_mode & stat.S_IWOTH and not seen.st_mode & stat.S_ISVTX:
        raise SocketRefused("ROT-SOCKET-FOLDER", f"everybody may write to {folder}: chmod o-w {folder}")
    if seen.st_uid not in {0, os.geteuid()}:
        raise SocketRefused("ROT-SOCKET-FOLDER", f"{folder} belongs to uid {seen.st_uid}, who could replace the socket")


def _take_lock(path: Path) -> int:
    name = path.with_name(f"{path.name}.lock")
    try:
        lock = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise SocketRefused(
            "ROT-SOCKET-FOLDER", f"the lock beside the socket cannot be opened: {name}: {reason}"
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise _in_use(path) from None
    return lock


def _in_use(path: Path) -> SocketRefused:
    return SocketRefused("ROT-SOCKET-IN-USE", f"another daemon listens on {path}: stop it, or configure another socket")


def _remove_stale(path: Path) -> None:
    """Remove what a dead daemon left. A socket that answers stays, also one of a program without our lock."""
    try:
        seen = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(seen.st_mode):
        raise SocketRefused("ROT-SOCKET-PATH", f"{path} is there and is no socket: nothing was removed")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
        trial.settimeout(1)
        reason = trial.connect_ex(os.fsencode(path))
    if reason == errno.ENOENT:
        return
    if reason != errno.ECONNREFUSED:
        raise _in_use(path)
    path.unlink(missing_ok=True)
    _LOG.warning("daemon.api.stale_socket", path=str(path))


def _listen(path: Path, mode: int) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        made.bind(os.fsencode(path))
        # Nobody can connect before listen(): the mode is right before it matters, without a change of the umask.
        path.chmod(mode)
        made.listen(_BACKLOG)
    except OSError as error:
        made.close()
        raise SocketRefused("ROT-SOCKET-PATH", f"cannot listen on {path}: {os.strerror(error.errno or 0)}") from None
    return made
