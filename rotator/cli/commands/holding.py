"""Commands about what holds the calendar back: the freeze calendar, and the brake on a sudden mass."""

from __future__ import annotations

from typing import Any

from rotator.cli import exits
from rotator.cli.choosing import reason_option
from rotator.cli.grammar import Group, command, session_of
from rotator.cli.screen import Screen, when
from rotator.cli.session import Session


@command("freezes", short_help="The freeze calendar: what is in force, until when, whom it means.")
@session_of
def freezes(session: Session) -> int:
    """Every configured freeze. In force: no run opens by itself, and none takes its first write or kill."""
    answer = session.client.get("/v1/freezes")

    def paint(screen: Screen) -> None:
        rows = [
            [
                one["id"],
                f"in force until {when(one['until'])}" if one["in_force"] else "not in force",
                when(one["begins"]),
                one["credentials"],
                ", ".join(one["except"]) or "nothing",
                one["reason"],
            ]
            for one in answer["items"]
        ]
        if rows:
            screen.table(["FREEZE", "STATE", "NEXT", "CREDENTIALS", "PASSES", "REASON"], rows, cut=5)
        else:
            screen.line("no freezes are configured")

    session.show(answer, paint)
    return exits.OK


brake = Group(
    "brake",
    short_help="The brake on a sudden mass of due credentials.",
    help="The brake on a sudden mass of due credentials. `rotator status` shows whether it is on.",
)


@brake.command("release", short_help="You looked: let the rest of the mass begin.")
@reason_option(needed=True)
@session_of
def release(session: Session, reason: str) -> int:
    """Let what is due now begin at once. A later mass is held again."""
    answer: dict[str, Any] = session.client.post("/v1/brake/release", {"reason": reason})

    def paint(screen: Screen) -> None:
        screen.line(f"released: {answer['due']} due" if answer["released"] else "the brake is not on")

    session.show(answer, paint)
    return exits.OK
