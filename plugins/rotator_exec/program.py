"""May this program be run, and as whom? Looked at in preflight and again directly before each run; runs nothing.

Called by `calls`. A program that somebody else may change is that somebody's way to every value that passes here, so it
is refused: itself, the folders that lead to it, and every file that its command line names by an absolute path.
"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rotator.plugin_api import Misconfigured

ROOT: Final = 0


@dataclass(frozen=True, slots=True)
class Runner:
    """The user that programs run as. `other`: not the daemon's own, so that it must be changed to."""

    uid: int
    gid: int
    name: str
    other: bool


def runner(user: str) -> Runner:
    """The configured user, or the daemon's own. Misconfigured("user_unknown"), ("user_not_root")."""
    me = os.geteuid()
    if not user:
        return Runner(me, os.getegid(), _name(me), other=False)
    try:
        found = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    except (KeyError, OverflowError):
        raise Misconfigured("user_unknown", unsent=True) from None
    if found.pw_uid != me and me != ROOT:
        raise Misconfigured("user_not_root", unsent=True)
    return Runner(found.pw_uid, found.pw_gid, found.pw_name, other=found.pw_uid != me)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def objection(words: tuple[str, ...], who: Runner) -> str | None:
    """A slug if the command must not be run: `program_missing`, `program_not_executable`, `program_writable`,
    `program_folder_writable`, `argument_writable`."""
    program = Path(words[0])
    found = _state(program)
    if found is None:
        return "program_missing"
    if not stat.S_ISREG(found.st_mode) or not _executes(program, found, who):
        return "program_not_executable"
    if _others_write(found, who):
        return "program_writable"
    if any(_others_write_in(folder, who) for folder in _leading(program)):
        return "program_folder_writable"
    for word in words[1:]:
        named = Path(word)
        state = _state(named) if named.is_absolute() else None
        if state is None or not stat.S_ISREG(state.st_mode):
            continue
        if _others_write(state, who) or any(_others_write_in(folder, who) for folder in _leading(named)):
            return "argument_writable"
    return None


def _state(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (OSError, ValueError):
        return None


def _executes(program: Path, found: os.stat_result, who: Runner) -> bool:
    """Another user's rights are read from the mode; our own are asked of the system, which knows of more."""
    if not who.other:
        return os.access(program, os.X_OK, effective_ids=True)
    if found.st_uid == who.uid:
        return bool(found.st_mode & stat.S_IXUSR)
    groups = {who.gid, *os.getgrouplist(who.name, who.gid)}
    return bool(found.st_mode & (stat.S_IXGRP if found.st_gid in groups else stat.S_IXOTH))


def _others_write(found: os.stat_result, who: Runner) -> bool:
    """Whether anybody but root, the daemon's user and the user it runs as may change the file."""
    if found.st_mode & stat.S_IWOTH or (found.st_mode & stat.S_IWGRP and found.st_gid != ROOT):
        return True
    return found.st_uid not in {ROOT, os.geteuid(), who.uid}


def _others_write_in(folder: Path, who: Runner) -> bool:
    """Whether a stranger may put another file in the place of one here. In a sticky folder (/tmp) that takes the owner
    of the file, of which `_others_write` knows. A group that may write in a folder is the system's own decision."""
    found = _state(folder)
    if found is None:
        return True
    if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        return True
    return found.st_uid not in {ROOT, os.geteuid(), who.uid}


def _leading(program: Path) -> Iterator[Path]:
    """The folders that lead to a file, as it is written and as it is when every link is followed."""
    seen = set()
    for path in (program, Path(os.path.realpath(program))):
        for folder in path.parents:
            if folder not in seen:
                seen.add(folder)
                yield folder
