"""One file below the root: found without following a link, written so that a reader sees the old or the new whole.

Called by `calls`. Every step is relative to an open folder (openat), so that a path changed under our feet leads
nowhere else. It must never follow a symbolic link below the root, leave the root, or open the target for writing.
"""

from __future__ import annotations

import contextlib
import errno
import grp
import hashlib
import os
import pwd
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from rotator.plugin_api import Failed, Misconfigured, OutcomeUnknown, PluginError, Secret

from .config import Config

FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
OURS: Final = ".rotator-"
NAME_BYTES: Final = 255

# errno -> the error of a write that did not reach its rename, and of everything that only looks.
ERRORS: Final[Mapping[int, tuple[type[PluginError], str]]] = {
    errno.ENOSPC: (Failed, "disk_full"),
    errno.EDQUOT: (Failed, "disk_full"),
    errno.EFBIG: (Failed, "disk_full"),
    errno.EROFS: (Misconfigured, "read_only"),
    errno.EACCES: (Misconfigured, "permission"),
    errno.EPERM: (Misconfigured, "permission"),
    errno.ENOENT: (Misconfigured, "missing_folder"),
    errno.ENOTDIR: (Misconfigured, "not_a_folder"),
    errno.ELOOP: (Misconfigured, "symbolic_link"),
    errno.EISDIR: (Misconfigured, "not_a_file"),
    errno.ENAMETOOLONG: (Misconfigured, "path"),
}


def translated(error: OSError) -> PluginError:
    """The error to raise for one of the operating system; anything unknown may be repeated."""
    kind, slug = ERRORS.get(error.errno or 0, (Failed, "io_error"))
    return kind(slug, status=errno.errorcode.get(error.errno or 0, ""))


@contextlib.contextmanager
def translating() -> Iterator[None]:
    """Turns errors of the operating system into ours, without their text."""
    try:
        yield
    except OSError as error:
        raise translated(error) from None


@dataclass(frozen=True, slots=True)
class Place:
    """A name in an open folder."""

    folder: int
    name: str

    @property
    def draft(self) -> str:
        """Where the next content is prepared. One name per target: what a crash leaves is found and removed."""
        return f"{OURS}{hashlib.sha256(os.fsencode(self.name)).hexdigest()[:16]}.tmp"

    def stat(self) -> os.stat_result | None:
        """What is there, a link not followed; None if nothing. Misconfigured if it is no plain file."""
        with translating():
            try:
                found = os.stat(self.name, dir_fd=self.folder, follow_symlinks=False)
            except FileNotFoundError:
                return None
        if stat.S_ISLNK(found.st_mode):
            raise Misconfigured("symbolic_link")
        if not stat.S_ISREG(found.st_mode):
            raise Misconfigured("not_a_file")
        return found


def parts(path: str) -> tuple[str, ...]:
    """The components of a relative path. Misconfigured(`path`) for anything that is not plainly below the root."""
    names = tuple(path.split("/"))
    for name in names:
        if name in ("", ".", "..") or name.startswith(OURS) or not name.isprintable():
            raise Misconfigured("path")
        if len(name.encode("utf-8", "surrogatepass")) > NAME_BYTES:
            raise Misconfigured("path")
    return names


def opened(root: str, path: str, closing: ExitStack) -> Place:
    """The folder of `path`, opened component by component; closed by `closing`. Missing folders are not made."""
    *folders, name = parts(path)
    with translating():
        # The root itself may be a link: the operator named it.
        folder = os.open(root, FOLDER)
        closing.callback(os.close, folder)
        for component in folders:
            folder = _below(folder, component)
            closing.callback(os.close, folder)
    return Place(folder, name)


def _below(folder: int, component: str) -> int:
    try:
        return os.open(component, FOLDER | os.O_NOFOLLOW, dir_fd=folder)
    except NotADirectoryError:
        # O_DIRECTORY hides ELOOP behind ENOTDIR.
        if stat.S_ISLNK(os.stat(component, dir_fd=folder, follow_symlinks=False).st_mode):
            raise Misconfigured("symbolic_link") from None
        raise


def ids(config: Config) -> tuple[int, int]:
    """Numbers of owner and group; -1 leaves the daemon's own. Misconfigured if the system does not know the name."""
    return (
        _id(config.owner, lambda name: pwd.getpwnam(name).pw_uid),
        _id(config.group, lambda name: grp.getgrnam(name).gr_gid),
    )


def _id(name: str, known: Callable[[str], int]) -> int:
    if not name:
        return -1
    if name.isascii() and name.isdecimal():
        return int(name)
    try:
        return known(name)
    except KeyError:
        raise Misconfigured("owner_unknown") from None


def write(place: Place, content: Secret, mode: int, owner: int, group: int) -> None:
    """Replaces the file. Before the rename a failure changes nothing; after it only durability is in doubt."""
    place.stat()
    with translating():
        _remove(place, place.draft)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        draft = os.open(place.draft, flags, 0o600, dir_fd=place.folder)
        try:
            try:
                # Owner first: a change of owner may clear bits of the mode. Both before the first byte.
                os.fchown(draft, owner, group)
                os.fchmod(draft, mode)
                _fill(draft, content)
                os.fsync(draft)
            finally:
                os.close(draft)
            os.rename(place.draft, place.name, src_dir_fd=place.folder, dst_dir_fd=place.folder)
        except BaseException:
            with contextlib.suppress(OSError):
                _remove(place, place.draft)
            raise
    _settle(place)


def _fill(draft: int, content: Secret) -> None:
    done = 0
    total = len(content.reveal().encode())
    while done < total:
        done += os.write(draft, content.reveal().encode()[done:])


def remove(place: Place) -> bool:
    """Removes the file and what a crash may have left beside it; True if the file was there."""
    there = place.stat() is not None
    with translating():
        _remove(place, place.draft)
        there = _remove(place, place.name) and there
    _settle(place)
    return there


def _remove(place: Place, name: str) -> bool:
    try:
        os.unlink(name, dir_fd=place.folder)
    except FileNotFoundError:
        return False
    return True


def _settle(place: Place) -> None:
    """The rename or removal reaches the disk."""
    try:
        os.fsync(place.folder)
    except OSError as error:
        raise OutcomeUnknown("not_durable", status=errno.errorcode.get(error.errno or 0, "")) from None
