"""The abilities of the kind `program`: preflight, install, check, revoke.

Called by the plugin host through the declaration in `__init__`. A value goes to a program's standard input and nowhere
else; what a program prints is thrown away unread, but for the one short line of `check`, which is compared here and
never repeated.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from rotator.plugin_api import (
    Alive,
    CheckRequest,
    Endpoint,
    Failed,
    Inconclusive,
    Installed,
    InstallRequest,
    Misconfigured,
    PreflightRequest,
    Probed,
    Ready,
    Rejected,
    Revoked,
    RevokeRequest,
    Secret,
)

from .config import Config
from .process import Ended, run
from .program import objection, runner
from .verdicts import error_of


def preflight(at: Endpoint[Config], request: PreflightRequest) -> Ready:
    """As which user the programs would run, and what would keep them from it. Runs nothing."""
    who = runner(at.config.user)
    commands = [words for name in ("command", "check", "empty") if (words := at.config.words(name))]
    found = [slug for words in commands if (slug := objection(words, who)) is not None]
    return Ready(acting=who.name, findings=tuple(dict.fromkeys(found)))


def install(at: Endpoint[Config], request: InstallRequest) -> Installed:
    """Hands the fields to `command`. The same again hands over the same: the program must take it twice as once."""
    if not request.fields:
        raise Misconfigured("no_fields", unsent=True)
    names = {
        "ROTATOR_CALL": "install",
        "ROTATOR_TARGET": request.into.principal,
        "ROTATOR_PRINCIPAL": request.of.subject.principal,
        "ROTATOR_LABEL": request.label,
    }
    _succeed(_ran(at, "command", names, _object(request.fields)))
    return Installed()


def check(at: Endpoint[Config], request: CheckRequest) -> Probed:
    """Whether the holder has the value of `request.of`: `check` prints the label that `command` was given with it."""
    if not at.config.check:
        return Inconclusive(reason="no_check")
    names = {"ROTATOR_CALL": "check", "ROTATOR_TARGET": request.into.principal}
    ended = _ran(at, "check", names, _object({}), listen=True)
    error = error_of(ended)
    if error is not None and error.reason != "input_not_read":  # there is nothing in it that one must know
        return Inconclusive(reason=error.reason)
    if not request.of.label:
        return Inconclusive(reason="no_label")
    said = ended.output.strip()
    if not said:
        return Rejected(reason="holds_nothing")
    return Alive(principal=None) if said == request.of.label.encode() else Rejected(reason="holds_another")


def revoke(at: Endpoint[Config], request: RevokeRequest) -> Revoked:
    """Runs `empty`, with the names of the fields and null for each: the holder forgets them."""
    if not at.config.empty:
        raise Misconfigured("no_empty", unsent=True)
    names = {"ROTATOR_CALL": "empty", "ROTATOR_TARGET": request.target.subject.principal}
    _succeed(_ran(at, "empty", names, _object(dict.fromkeys(request.fields))))
    return Revoked()


def _object(fields: Mapping[str, Secret | None]) -> Secret:
    """One line, one JSON object, ASCII only: whatever stands in a value survives any program's idea of an encoding."""
    return Secret(json.dumps({name: one if one is None else one.reveal() for name, one in fields.items()}) + "\n")


def _ran(at: Endpoint[Config], ability: str, names: Mapping[str, str], given: Secret, *, listen: bool = False) -> Ended:
    """Runs a command of the configuration. What is wrong with it is said before anything runs."""
    who, words = runner(at.config.user), at.config.words(ability)
    if slug := objection(words, who):
        raise Misconfigured(slug, unsent=True)
    if any("\0" in name for name in names.values()):
        raise Misconfigured("target", unsent=True)
    left = _seconds(at)
    if left() <= 0:
        raise Failed("deadline", unsent=True)  # what begins after its time could undo a later one
    return run(words, names, given, who, left, listen=listen)


def _seconds(at: Endpoint[Config]) -> Callable[[], float]:
    """What is left of the program's own time and of the call's, whichever is less."""
    spare = max(at.remaining() - at.config.timeout, 0.0)
    return lambda: at.remaining() - spare


def _succeed(ended: Ended) -> None:
    if error := error_of(ended):
        raise error
