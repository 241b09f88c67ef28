"""Programs that take a credential and put it in place: the declaration. Loaded by the plugin host; no I/O.

For a holder that no other plugin knows. `docs/plugin-exec.md` is its manual.
"""

from __future__ import annotations

from typing import Final

from rotator.plugin_api import Kind, Lost, Origin, Plugin, Revokes, Role, Traits, Undo, ValueSpec

from .calls import check, install, preflight, revoke
from .config import Config

REASONS: Final = {
    "program_missing": "The program does not exist, or the daemon's user may not reach it.",
    "program_not_executable": "The program is no plain file that its user may execute.",
    "program_writable": "Somebody else may change the program: make root its owner, mode 0755 or less.",
    "program_folder_writable": "Others may replace the program: take away their right to write in folders above it.",
    "argument_writable": "A file that the command line names may be changed by somebody else: as with the program.",
    "program_not_started": "The system could not start the program: is it for this machine, is its interpreter there?",
    "user_unknown": "The system knows no such user.",
    "user_not_root": "Only a daemon that runs as root may run a program as another user: leave `user` out.",
    "target": "The consumer's `path` has a NUL.",
    "no_fields": "The consumer needs `fields`: what the program gets.",
    "resources": "The system has no process, memory or file left for it; nothing was run. It is tried again.",
    "program_refuses": "The program refuses the fields (exit code 65). Its own log says why.",
    "program_unavailable": "What the program speaks to is not there (exit code 69). It is tried again.",
    "program_says_later": "The program asks to be called again (exit code 75).",
    "program_permission": "The program lacks a right (exit code 77). Its own log says which.",
    "program_configuration": "The program's own configuration is wrong (exit code 78). Its own log says where.",
    "program_failed": "The program ended with a code that says nothing: it may have done its work. It is run again.",
    "program_killed": "A signal ended the program: it may have done its work. It is run again.",
    "program_timeout": "The program did not end in time and was killed: it may have done its work. It is run again.",
    "program_unkillable": "The program was killed and does not end: it hangs in the kernel, often at a network disk.",
    "program_output": "`check` printed more than the one line that it should, and was killed.",
    "input_not_read": "The program said that it did its work and left some of its input unread. It is run again.",
    "no_check": "The endpoint has no `check`.",
    "no_label": "It is not known by which label the value was put in place.",
    "holds_nothing": "`check` says that the holder has nothing.",
    "holds_another": "`check` says that the holder has another value.",
    "no_empty": "The endpoint has no `empty`: take the value away at the holder yourself, then say so in your answer.",
}

plugin: Final[Plugin[Config]] = Plugin(
    name="exec",
    version="1.0.0",
    config=Config,
    urls=(),
    reasons=REASONS,
    kinds=(
        Kind(
            name="program",
            title="A holder that a program of yours serves",
            traits=Traits(
                role=Role.CONSUMER,
                origin=Origin.GENERATED,
                lost=Lost.RESEND,
                undo=Undo.REINSTALL_OLD,
                revokes=Revokes.ONE,
                identity=False,
            ),
            permissions=("to execute the programs", "root, if `user` is another user"),
            value=ValueSpec(),
            preflight=preflight,
            install=install,
            check=check,
            revoke=revoke,
        ),
    ),
)

__all__ = ["Config", "plugin"]
