"""`rotator notify`: who is told of what, what waits, a test of a route, a second try of what was laid aside."""

from __future__ import annotations

from typing import Any, Final

import click

from rotator.cli import exits
from rotator.cli.client import path_of
from rotator.cli.grammar import Group, session_of
from rotator.cli.screen import Screen, when
from rotator.cli.session import Session
from rotator.daemon.clock import SystemClock

PATIENCE: Final = 30.0
PACE: Final = 0.3

notify = Group(
    "notify",
    short_help="Who is told of what: routes, channels, what waits, a test.",
    help="Who is told of what. Routes and channels are configured under `notify`.",
)


@notify.command("list", short_help="Routes and channels, with what waits and what was laid aside.")
@session_of
def list_routes(session: Session) -> int:
    """Every route and channel. Exit 10 when something was laid aside as dead."""
    answer = session.client.get("/v1/notify")

    def paint(screen: Screen) -> None:
        rows = [
            [one["route"], ", ".join(one["events"]), one["only"] or "everything", ", ".join(one["channels"])]
            for one in answer["routes"]
        ]
        if not rows:
            screen.line("no routes are configured: nobody is told of anything")
            return
        screen.table(["ROUTE", "EVENTS", "OF", "CHANNELS"], rows, cut=1)
        screen.line("")
        counts = [
            [
                one["channel"],
                one["type"] or "not configured",
                one["waiting"],
                when(one["oldest"]),
                one["dead"],
                one["sent"],
            ]
            for one in answer["channels"]
        ]
        screen.table(["CHANNEL", "TYPE", "WAITING", "SINCE", "DEAD", "SENT"], counts)

    session.show(answer, paint)
    return exits.FINDINGS if any(one["dead"] for one in answer["channels"]) else exits.OK


@notify.command("log", short_help="The latest deliveries, or those of a channel or state.")
@click.option("--channel", default="", metavar="NAME", help="Of this channel only.")
@click.option("--state", default="", type=click.Choice(["", "waiting", "sent", "dead"]), help="In this state only.")
@click.option("--limit", default=50, type=click.IntRange(1, 1000), help="How many (50).")
@session_of
def log(session: Session, channel: str, state: str, limit: int) -> int:
    """What was delivered, what waits and why, what was given up."""
    given = [("channel", channel), ("state", state), ("limit", str(limit))]
    answer = session.client.get("/v1/notify/deliveries", [(name, text) for name, text in given if text])
    session.show(answer, lambda screen: _table(screen, answer["items"]))
    return exits.OK


@notify.command("test", short_help="Send a test by a route and say what became of it.")
@click.argument("route")
@session_of
def test(session: Session, route: str) -> int:
    """A test goes the whole way of a message. Exit 13 when a channel has not taken it within 30 s (or --timeout)."""
    begun = session.client.post(path_of("notify", "routes", route, "test"), {})
    system = SystemClock()
    until = system.monotonic() + (session.timeout or PATIENCE)
    while True:
        items = _of_test(session, begun)
        tried = [one for one in items if one["state"] != "waiting" or one["attempts"]]
        if len(tried) >= len(begun["channels"]) or system.monotonic() >= until:
            break
        system.sleep(PACE)
    answer = {**begun, "items": items}
    session.show(answer, lambda screen: _table(screen, items))
    taken = sum(one["state"] == "sent" for one in items)
    return exits.OK if taken == len(begun["channels"]) else exits.UNREACHABLE


@notify.command("resend", short_help="Try again what a channel has laid aside as dead.")
@click.argument("channel")
@session_of
def resend(session: Session, channel: str) -> int:
    """Everything dead of the channel waits again. A receiver knows by the id what it has seen."""
    answer = session.client.post(path_of("notify", "channels", channel, "resend"), {})
    session.show(answer, lambda screen: screen.line(f"{answer['again']} wait again for {answer['channel']}"))
    return exits.OK


def _of_test(session: Session, begun: dict[str, Any]) -> list[dict[str, Any]]:
    found = session.client.get("/v1/notify/deliveries", [("limit", "200")])["items"]
    return [one for one in found if one["message"] == begun["message"]]


def _table(screen: Screen, items: list[dict[str, Any]]) -> None:
    rows = [
        [
            when(one["since"]),
            one["channel"],
            one["event"],
            one["credential"] or "-",
            one["state"],
            one["attempts"],
            one["code"].replace("_", " ") or "-",
            when(one["next"]),
        ]
        for one in items
    ]
    if rows:
        screen.table(["SINCE", "CHANNEL", "EVENT", "CREDENTIAL", "STATE", "TRIES", "MET", "NEXT"], rows)
    else:
        screen.line("no deliveries")
