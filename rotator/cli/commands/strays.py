"""The command about what bears a label at a platform: `rotator strays`."""

from __future__ import annotations

from typing import Any

import click

from rotator.cli import exits
from rotator.cli.choosing import reason_option
from rotator.cli.client import path_of
from rotator.cli.failures import usage
from rotator.cli.grammar import command, session_of
from rotator.cli.screen import Screen, clean, when
from rotator.cli.session import Session

_URGENT = ("stray", "unaccounted")


@command(
    "strays",
    short_help="What bears our label at a platform: ours, stray, unaccounted for, foreign.",
    epilog="Examples:\n  rotator strays\n  rotator strays alerta\n  rotator strays alerta --apply --reason cleanup",
)
@click.argument("endpoint", required=False, default="")
@click.option("--apply", is_flag=True, help="Bring strays back into their credentials' facts: a run ends each.")
@click.option("--exit-code", is_flag=True, help="Exit 10 when something is stray or unaccounted for.")
@reason_option(needed=False)
@session_of
def strays(session: Session, endpoint: str, apply: bool, exit_code: bool, reason: str) -> int:
    """List an endpoint now, and judge each value that bears a label of Rotator's. Without ENDPOINT: what the last
    sweep of every endpoint saw. Nothing is touched that is not accounted for by this ledger's own intents."""
    if apply and not (endpoint and reason):
        raise usage("--apply needs ENDPOINT and --reason")
    if endpoint:
        answer = session.client.post(path_of("endpoints", endpoint, "strays"), _body(apply, reason), act=apply)
        found = [answer]
    else:
        answer = session.client.get("/v1/strays")
        found = list(answer["items"])

    def paint(screen: Screen) -> None:
        for one in found:
            _page(screen, one)
        if not found:
            screen.line("no endpoint is configured")

    session.show(answer, paint)
    attention = any((one.get("counts") or {}).get(name) for one in found for name in _URGENT)
    return exits.FINDINGS if exit_code and attention else exits.OK


def _body(apply: bool, reason: str) -> dict[str, Any]:
    return {"apply": True, "reason": reason} if apply else {"apply": False}


def _page(screen: Screen, one: dict[str, Any]) -> None:
    screen.section(f"{clean(one['endpoint'])}  {_summary(one)}")
    for blind in one.get("blind") or ():
        why = str(blind["reason"]).replace("_", " ")
        says = f"{clean(blind['kind'])} could not be listed to the end ({clean(why)}): nothing is known of it"
        screen.line(f"  {screen.sign('unknown')} {says}")
    rows = [
        [
            item["standing"],
            item["label"],
            item["principal"] or "-",
            item["handle"],
            f"{item['credential']} g{item['gen']}" if item.get("credential") else item["installation"] or "-",
            _becomes(item),
        ]
        for item in one.get("items") or ()
    ]
    if rows:
        screen.table(["STANDING", "LABEL", "OF", "HANDLE", "WHOSE", "WHAT"], rows, cut=5, indent="  ")
    for text in dict.fromkeys(str(item["do"]) for item in one.get("items") or () if item["standing"] in _URGENT):
        screen.line(f"  do  {clean(text)}")


def _becomes(item: dict[str, Any]) -> str:
    if item.get("run"):
        return f"run {item['run']}"
    return str(item["held_says"] or item["says"])


def _summary(one: dict[str, Any]) -> str:
    if not one.get("at"):
        return f"never swept; next {when(one.get('next'))}"
    if not one.get("lists"):
        return "nothing there can be listed"
    counts = one["counts"]
    known = ", ".join(f"{counts[name]} {name}" for name in ("ours", "stray", "unaccounted", "foreign", "unlabelled"))
    return f"{when(one['at'])}: {known}"
