"""What the end of a plugin's call says of the endpoint as a whole: it answers, it fails, it wants to be left alone.

Called by the gateway after each call. It looks at slugs and types only, never at a value, and decides nothing: whoever
listens does. What says something of one credential alone (a refused value, a locked account) says of the endpoint that
it answers.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from rotator.engine.protection import Heard
from rotator.machine.ids import Millis
from rotator.plugin_api import Failed, Inconclusive, Misconfigured, OutcomeUnknown, PluginError, Refused

from .endpoint import TESTING

FAILING: Final = frozenset({"connection_lost", "server_error", "unreachable", "unrecognised_answer"})
_OURS: Final = frozenset({"echo", "plugin_bug", "too_large", "unexplained"})


def in_response(ability: str, response: Any, *, acting: bool) -> tuple[Heard, Millis | None]:
    """What a response says, and what was asked to wait. `acting`: an admin value acted in it."""
    if isinstance(response, Inconclusive):
        if response.reason == "throttled":
            return Heard.THROTTLED, millis(response.retry_after)
        if response.reason in FAILING | {"deadline"}:
            return Heard.FAILING, millis(response.retry_after)
    # A probe is made with the value under test: it says nothing of whoever acts.
    return (Heard.ADMITTED if acting and ability not in TESTING else Heard.WELL), None


def in_error(error: PluginError, seconds: float, of: float) -> tuple[Heard, Millis | None]:
    """What an error says. `seconds`: how long the call took `of` what it had: an endpoint that used up the time of a
    call hangs, one that was never called does not."""
    wait = millis(error.retry_after)
    if error.reason == "throttled":
        return Heard.THROTTLED, wait
    if isinstance(error, Misconfigured):
        return (Heard.REFUSED if error.reason == "acting_refused" else Heard.NOTHING), None
    if isinstance(error, Refused):
        return Heard.WELL, None
    if not isinstance(error, Failed | OutcomeUnknown) or error.reason in _OURS:
        return Heard.NOTHING, None
    hangs = error.reason == "deadline" and (not error.unsent or seconds >= of / 2)
    if hangs or error.reason in FAILING:
        return Heard.FAILING, wait
    return (Heard.NOTHING if error.unsent else Heard.WELL), None


def millis(span: timedelta | None) -> Millis | None:
    """A span in milliseconds."""
    return None if span is None else int(span.total_seconds() * 1000)
