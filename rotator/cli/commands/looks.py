"""Commands that only look: status, credentials, explain, plan, verify, certificate."""

from __future__ import annotations

from typing import Any

import click

from rotator.cli import exits
from rotator.cli.choosing import as_query, complete_ids, selection_options, selector_option
from rotator.cli.client import path_of
from rotator.cli.grammar import command, session_of
from rotator.cli.pages import certificate_page, explain_page, plan_page, status_page
from rotator.cli.screen import Screen, when
from rotator.cli.session import Session

_exit_code = click.option("--exit-code", is_flag=True, help="Exit 10 when there is something to do or to look at.")


@command("status", short_help="One screen: what is due, open, waiting for you, owed.")
@selector_option
@_exit_code
@session_of
def status(session: Session, selector: str, exit_code: bool) -> int:
    """What is managed, due, in progress, waiting for a person, owed, and left behind; of all or of those selected."""
    answer = session.client.get("/v1/status", [("selector", selector)] if selector else [])
    session.show(answer, lambda screen: status_page(screen, answer))
    counts = answer["counts"]
    attention = any(counts.get(name) for name in ("due", "waiting", "debts", "unmanaged"))
    return exits.FINDINGS if exit_code and attention else exits.OK


@command("credentials", short_help="The inventory: owner, tier, due time, current value.")
@selection_options(default_all=True)
@session_of
def credentials(session: Session, selection: dict[str, Any]) -> int:
    """List credentials; all of them unless some are chosen."""
    answer = session.client.get("/v1/credentials", as_query(selection))

    def paint(screen: Screen) -> None:
        rows = [
            [
                one["id"],
                one["owner"],
                one["tier"],
                one["policy"],
                _standing(one),
                f"g{one['current']}" if one.get("current") else "-",
                when(one["due"]),
                one["debts"] or "-",
                one["purpose"],
            ]
            for one in answer["items"]
        ]
        head = ["CREDENTIAL", "OWNER", "TIER", "POLICY", "STATE", "CURRENT", "DUE", "DEBTS", "PURPOSE"]
        screen.table(head, rows, cut=8)

    session.show(answer, paint)
    return exits.OK


def _standing(one: dict[str, Any]) -> str:
    if not one["managed"]:
        return "unmanaged"
    if one.get("paused"):
        return "paused"
    if one.get("open_run"):
        return "run open"
    return "adopted" if one["adopted"] else "not adopted"


@command(
    "explain",
    short_help="Why a credential is due or not, what holds it, the steps to come.",
    epilog="Example:\n  rotator explain alerta-sync",
)
@click.argument("id", shell_complete=complete_ids)
@session_of
def explain(session: Session, id: str) -> int:  # noqa: A002
    """Why it is due or not, what holds it, when it is next, which steps come, which values there are."""
    answer = session.client.get(path_of("credentials", id))
    session.show(answer, lambda screen: explain_page(screen, answer))
    return exits.OK


@command(
    "plan",
    short_help="What a run would do: steps, exposure, what cannot be undone.",
    epilog="Examples:\n  rotator plan alerta-sync\n  rotator plan --all --exit-code",
)
@selection_options()
@click.option(
    "--kind",
    type=click.Choice(["adopt", "rotate", "overlap", "contain", "retire"]),
    default="rotate",
    help="Which run to plan (rotate).",
)
@_exit_code
@session_of
def plan(session: Session, selection: dict[str, Any], kind: str, exit_code: bool) -> int:
    """A dry run with probes that only read. Nothing is changed."""
    answer = session.client.post("/v1/plan", {"selection": selection, "kind": kind}, act=False)
    session.show(answer, lambda screen: plan_page(screen, answer["items"]))
    if any(one.get("refused") for one in answer["items"]):
        return exits.CONFIGURATION
    return exits.FINDINGS if exit_code and any(one["steps"] for one in answer["items"]) else exits.OK


@command("verify", short_help="Prove that what serves works, by using it. Changes nothing.")
@selection_options()
@session_of
def verify(session: Session, selection: dict[str, Any]) -> int:
    """Use the current value at every home. Exit 10 when one of them does not take it."""
    answer = session.client.post("/v1/verify", {"selection": selection}, act=False)

    def paint(screen: Screen) -> None:
        for one in answer["items"]:
            sign, says = ("done", "works") if one["ok"] else ("refused", "NOT WORKING")
            if not one["homes"]:
                sign, says = "unknown", f"nothing to try: adopt it first (rotator adopt {one['credential']})"
            screen.line(f"{screen.sign(sign)} {one['credential']}: {says}")
            screen.facts([(home["home"], _seen(home)) for home in one["homes"]], indent="    ")

    session.show(answer, paint)
    return exits.OK if all(one["ok"] for one in answer["items"]) else exits.FINDINGS


def _seen(home: dict[str, Any]) -> str:
    return f"{home['answer']} ({home['reason']})" if home.get("reason") else str(home["answer"])


@command("certificate", short_help="The evidence of a campaign: each value, each proof.")
@click.argument("campaign")
@session_of
def certificate(session: Session, campaign: str) -> int:
    """What became of every value of a campaign's credentials; -o json is the document to keep. Exit 10 when a value is
    not yet proven dead."""
    answer = session.client.get(path_of("campaigns", campaign, "certificate"))
    session.show(answer, lambda screen: certificate_page(screen, answer))
    return exits.OK if answer.get("complete") else exits.FINDINGS
