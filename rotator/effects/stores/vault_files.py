"""Files with a token, secret id, JWT or private key: read whole at each use, and only if nobody else can read them.

Called by `vault_login`, `vault_wrapped` and `vault_auth`. It must never keep what it read, or let an exception out that
carries it.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Final

from rotator.plugin_api import Misconfigured, Secret

LARGEST: Final = 65_536

_WORD: Final = re.compile(rb"[\x21-\x7e]+")

Stamp = tuple[int, int, int, int]
"""Which content of a file was read: device, inode, time of change in nanoseconds, size."""


def read_secret(path: Path) -> Secret:
    """The one word in a credential file: tokens, secret ids and JWTs have no space, no control sign, ASCII only.

    Misconfigured: "store_auth_file" (missing, empty, too large, more than a word), "store_auth_file_mode" (open to
    others).
    """
    content, reason = _read(path)
    if not reason and _WORD.fullmatch(content.strip()) is None:
        reason = "store_auth_file"
    # Raised here and not in a handler: an error of decoding would carry the bytes in its context.
    if reason:
        raise Misconfigured(reason)
    return Secret(content.decode("ascii").strip())


def require_private(path: Path) -> None:
    """Refuse a file as `read_secret` does, whatever it holds: a key is read by OpenSSL itself."""
    _, reason = _read(path)
    if reason:
        raise Misconfigured(reason)


def stamp_of(path: Path) -> Stamp | None:
    """What changes when the file does, also when it is replaced by a link's new target; None: it is not there."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_dev, state.st_ino, state.st_mtime_ns, state.st_size


def _read(path: Path) -> tuple[bytes, str]:
    """The bytes and "", or why not."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return b"", "store_auth_file"
    try:
        state = os.fstat(handle)
        if not stat.S_ISREG(state.st_mode) or not 0 < state.st_size <= LARGEST:
            return b"", "store_auth_file"
        if not _private(state) and not _projected(path, state):
            return b"", "store_auth_file_mode"
        return os.read(handle, LARGEST), ""
    except OSError:
        return b"", "store_auth_file"
    finally:
        os.close(handle)


def _private(state: os.stat_result) -> bool:
    """0600 or stricter, and of our own uid or of root's."""
    return state.st_uid in {os.geteuid(), 0} and not stat.S_IMODE(state.st_mode) & 0o077


def _projected(path: Path, state: os.stat_result) -> bool:
    """Whether the kubelet put it there: it links a whole volume through `..data`, and its files are 0644 or 0640 as
    they come. Within the pod nobody but its containers can read them; none may write."""
    if stat.S_IMODE(state.st_mode) & 0o022 or state.st_uid not in {os.geteuid(), 0}:
        return False
    real = path.resolve()
    for folder in list(path.parents)[:4]:
        link = folder / "..data"
        if link.is_symlink() and real.is_relative_to(link.resolve()) and link.resolve().parent == folder.resolve():
            return True
    return False
