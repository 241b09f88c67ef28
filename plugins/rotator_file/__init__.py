"""Files that hold a credential for a program to read: the declaration. Loaded by the plugin host; no I/O.

`docs/plugin-file.md` is its manual.
"""

from __future__ import annotations

from typing import Final

from rotator.plugin_api import Kind, Lists, Lost, Origin, Plugin, Revokes, Role, Traits, Undo, ValueSpec

from .calls import install, listing, preflight, revoke
from .config import Config

REASONS: Final = {
    "path": "The path must be plainly below `root`: relative, no empty part, no `.` or `..`, no control characters.",
    "format": "`format` is env, json or raw; raw takes one field at most.",
    "no_fields": "env and json need `fields` at the consumer.",
    "field_name": "A key of an env file is made of letters, digits and _.",
    "field_value": "A field has a line break, a NUL or no UTF-8 form, for which env has no place: use json.",
    "missing_folder": "The folder does not exist: make it. It is never made here.",
    "not_a_folder": "A part of the path is no folder.",
    "not_a_file": "Something else than a plain file stands at the path: move it away.",
    "symbolic_link": "A symbolic link stands below `root`: links are never followed.",
    "permission": "The daemon's user may not write in the folder.",
    "read_only": "The file system is read-only.",
    "owner": "Only root may give a file to this owner or group.",
    "owner_unknown": "The system knows no such user or group.",
    "shared_folder": "Everybody may write in the folder: take that right away.",
    "disk_full": "No space is left; nothing was changed. It is tried again.",
    "io_error": "The operating system reports an error; nothing was changed. It is tried again.",
    "not_durable": "The file is in place, but the disk did not confirm it. It is written again.",
    "reload_command": "The program named by `reload` is missing or may not be run.",
    "reload_failed": "The file is in place, but `reload` ended with an error. Both are tried again.",
    "reload_timeout": "The file is in place; `reload` did not end in time and was killed. Both are tried again.",
    "reload_not_started": "The file is in place; no time was left for `reload`. Both are tried again.",
    "not_running": "The file is in place; the process of the pid file is not running. Start it, or wait.",
    "pidfile": "The pid file cannot be read, is writable by everybody, or holds no process number.",
    "may_not_signal": "The daemon's user may not signal the process.",
}

plugin: Final[Plugin[Config]] = Plugin(
    name="file",
    version="1.0.0",
    config=Config,
    urls=(),
    reasons=REASONS,
    kinds=(
        Kind(
            name="file",
            title="A file that a program reads",
            traits=Traits(
                role=Role.CONSUMER,
                origin=Origin.GENERATED,
                lost=Lost.RESEND,
                undo=Undo.REINSTALL_OLD,
                revokes=Revokes.ONE,
                lists=Lists.ALL,
                identity=False,
            ),
            params={
                "path": "Where the file is, relative to `root`. Without it the principal is the path.",
                "format": "env (default), json, or raw.",
            },
            permissions=("write and search in the folder of the file", "root, if `owner` is another user"),
            value=ValueSpec(),
            preflight=preflight,
            install=install,
            list=listing,
            revoke=revoke,
        ),
    ),
)

__all__ = ["Config", "plugin"]
