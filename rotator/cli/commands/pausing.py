"""Commands that hold runs back or let them go: pause, resume."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import click

from rotator.cli import exits
from rotator.cli.choosing import in_words, reason_option, selection_options, yes_option
from rotator.cli.failures import usage
from rotator.cli.grammar import command, session_of
from rotator.cli.session import Session
from rotator.cli.spans import seconds_of


@command(
    "pause",
    short_help="Open no runs, take no step that can wait; emergencies pass.",
    epilog="Examples:\n  rotator pause orders --reason release --until 5d\n  rotator pause --all --reason incident",
)
@selection_options()
@reason_option(needed=True)
@click.option("--until", default="", metavar="TIME", help="2026-12-31T18:00:00Z, or a span from now: 4h, 2d.")
@yes_option
@session_of
def pause(session: Session, selection: dict[str, Any], reason: str, until: str, yes: bool) -> int:
    """Pause credentials, until a time or until `rotator resume`."""
    if "all" in selection:
        session.confirm("Pause every credential?", yes=yes)
    body = {"selection": selection, "reason": reason, "until": _instant(session, until)}
    answer = session.client.post("/v1/pause", body)
    session.show(answer, lambda screen: screen.line(f"paused: {_names(answer, 'paused', selection)}"))
    return exits.OK


@command("resume", short_help="End a pause.")
@selection_options()
@reason_option(needed=False)
@session_of
def resume(session: Session, selection: dict[str, Any], reason: str) -> int:
    """Let paused credentials go on."""
    answer = session.client.post("/v1/resume", {"selection": selection, "reason": reason})
    session.show(answer, lambda screen: screen.line(f"resumed: {_names(answer, 'resumed', selection)}"))
    return exits.OK


def _names(answer: dict[str, Any], field: str, selection: dict[str, Any]) -> str:
    found = answer.get(field)
    return ", ".join(found) if isinstance(found, list) else in_words(selection)


def _instant(session: Session, until: str) -> str:
    """RFC 3339; a span counts from the daemon's now, which is the clock that ends the pause."""
    span = seconds_of(until) if until else None
    if span is not None:
        now = datetime.fromisoformat(session.client.get("/v1/status")["now"])
        return (now + timedelta(seconds=span)).isoformat(timespec="seconds").replace("+00:00", "Z")
    if not until:
        return ""
    try:
        moment = datetime.fromisoformat(until)
    except ValueError:
        raise usage("--until is a time as 2026-12-31T18:00:00Z, or a span as 4h or 2d") from None
    if moment.tzinfo is None:
        raise usage("--until needs its zone: 2026-12-31T18:00:00Z, or +01:00 at the end")
    return moment.isoformat()
