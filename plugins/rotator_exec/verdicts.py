"""What an exit code means. Called by `calls`; pure.

The codes are those of <sysexits.h>, where it has one that says the same. Any other may mean anything: a script that
ends with the code of its last command has perhaps done half. Nothing that the program printed is looked at here.
"""

from __future__ import annotations

import signal
from typing import Final

from rotator.plugin_api import Failed, Misconfigured, OutcomeUnknown, PluginError, Refused

from .process import Ended

DONE: Final = 0
EX_DATAERR: Final = 65
EX_UNAVAILABLE: Final = 69
EX_TEMPFAIL: Final = 75
EX_NOPERM: Final = 77
EX_CONFIG: Final = 78

_SAYS: Final[dict[int, tuple[type[PluginError], str]]] = {
    EX_DATAERR: (Refused, "program_refuses"),
    EX_UNAVAILABLE: (Failed, "program_unavailable"),
    EX_TEMPFAIL: (Failed, "program_says_later"),
    EX_NOPERM: (Misconfigured, "program_permission"),
    EX_CONFIG: (Misconfigured, "program_configuration"),
}


def error_of(ended: Ended) -> PluginError | None:
    """What stands in the way of believing that the program did its work; None: it did."""
    if ended.overflowed:
        return OutcomeUnknown("program_output")
    if ended.status is None:
        return OutcomeUnknown("program_timeout")
    if ended.status < 0:
        return OutcomeUnknown("program_killed", status=_name(-ended.status))
    if ended.status == DONE:
        # What never took its input cannot have put it in place, whatever it says.
        return None if ended.read_all else OutcomeUnknown("input_not_read")
    kind, reason = _SAYS.get(ended.status, (OutcomeUnknown, "program_failed"))
    return kind(reason, status=str(ended.status))


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"
