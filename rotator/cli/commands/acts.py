"""Commands that change credentials: adopt, rotate, emergency, retire, and an endpoint's admin value.

They put requests to the daemon and show what became of them; none sees a value.
"""

from __future__ import annotations

import shlex
from typing import Any

import click

from rotator.cli import exits
from rotator.cli.choosing import (
    complete_ids,
    file_of_daemon,
    in_words,
    reason_option,
    selection_options,
    ticket_option,
    wait_option,
    yes_option,
)
from rotator.cli.client import path_of
from rotator.cli.failures import usage
from rotator.cli.grammar import Group, command, session_of
from rotator.cli.screen import Screen
from rotator.cli.session import Session
from rotator.cli.waiting import wait_for


@command(
    "adopt",
    short_help="Take over credentials as they are: bind, verify, never rotate.",
    epilog="Examples:\n  rotator adopt alerta-sync\n  rotator adopt alerta-sync --from /run/rotator/first.key",
)
@click.argument("ids", nargs=-1, required=True, shell_complete=complete_ids)
@click.option("--from", "source", metavar="FILE", help="A file (0600, of the daemon's user) with the first value.")
@reason_option(needed=False)
@wait_option
@session_of
def adopt(session: Session, ids: tuple[str, ...], source: str | None, reason: str, wait: bool) -> int:
    """Take over credentials as they are: find the handle, verify the value by using it, rotate nothing.

    With --from the daemon (not this command) reads the value from a file and puts it into the store first.
    """
    if source is not None and len(ids) != 1:
        raise usage("--from goes with one credential")
    body = {"ids": list(ids), "reason": reason} | ({} if source is None else {"from": file_of_daemon(source)})
    return wait_for(session, session.client.post("/v1/adopt", body), wait=wait)


admin = Group(
    "admin", short_help="The admin values with which endpoints are managed.", help="Admin values of endpoints."
)


@admin.command(
    "set",
    short_help="Put an endpoint's admin value into its store, from a file.",
    epilog="Example:\n  rotator admin set orders-db --from /run/rotator/db.admin",
)
@click.argument("endpoint")
@click.option("--from", "source", required=True, metavar="FILE", help="A file (0600, of the daemon's user).")
@click.option("--replace", is_flag=True, help="Put it over the value that is there.")
@reason_option(needed=False)
@session_of
def admin_set(session: Session, endpoint: str, source: str, replace: bool, reason: str) -> int:
    """Let the daemon take an endpoint's admin value from a file into the store that the configuration names."""
    body = {"from": file_of_daemon(source), "replace": replace, "reason": reason}
    answer = session.client.post(path_of("endpoints", endpoint, "admin"), body)

    def paint(screen: Screen) -> None:
        where = "/".join(str(answer[part]) for part in ("store", "path", "field") if answer.get(part))
        screen.line(f"{answer['endpoint']}: the admin value stands in {where}")
        session.note("remove the file now")

    session.show(answer, paint)
    return exits.OK


@command(
    "rotate",
    short_help="Rotate now: new value everywhere, old value dead and proven.",
    epilog=(
        "Examples:\n  rotator rotate alerta-sync --reason 'left the team'\n"
        "  rotator rotate -l team=ops --reason audit --no-wait"
    ),
)
@selection_options()
@reason_option(needed=True)
@ticket_option
@yes_option
@wait_option
@session_of
def rotate(session: Session, selection: dict[str, Any], reason: str, ticket: str, yes: bool, wait: bool) -> int:
    """Rotate now. The wait goes through the overlap to the proof; with --timeout it ends earlier (exit 8)."""
    if "ids" not in selection:
        session.confirm(f"Rotate {in_words(selection)}?", yes=yes)
    answer = session.client.post("/v1/rotate", {"selection": selection, "reason": reason, "ticket": ticket})
    return wait_for(session, answer, wait=wait)


@command(
    "emergency",
    short_help="Rotate without waiting; contain kills the old value first.",
    epilog=(
        "Examples:\n  rotator emergency alerta-sync --mode contain --reason 'key in a public log' --yes\n"
        "  rotator emergency --workflow alert-sync --mode overlap --reason drill"
    ),
)
@selection_options()
@click.option(
    "--mode",
    required=True,
    type=click.Choice(["overlap", "contain"]),
    help="overlap: nobody is cut off, no waiting. contain: the old value is killed first.",
)
@reason_option(needed=True)
@ticket_option
@yes_option
@wait_option
@session_of
def emergency(
    session: Session, selection: dict[str, Any], mode: str, reason: str, ticket: str, yes: bool, wait: bool
) -> int:
    """Rotate at once. With contain, consumers are cut off until the new value serves."""
    cost = " Consumers are cut off until the new value serves." if mode == "contain" else ""
    session.confirm(f"Emergency ({mode}) for {in_words(selection)}?{cost}", yes=yes)
    body = {"selection": selection, "mode": mode, "reason": reason, "ticket": ticket}
    return wait_for(session, session.client.post("/v1/emergency", body), wait=wait)


@command(
    "retire",
    short_help="End every credential that a workflow alone uses, or that is selected.",
    epilog=(
        "Examples:\n  rotator retire alert-sync\n"
        "  rotator retire alert-sync --apply --confirm alert-sync --reason 'workflow switched off'\n"
        "  rotator retire --only id=orders --apply --confirm id=orders --reason 'left behind'"
    ),
)
@click.argument("workflow", required=False, default="")
@click.option("--only", metavar="SELECTOR", default="", help="Those selected, also what is no longer configured.")
@click.option("--apply", is_flag=True, help="Do it. Without: only show what would be retired.")
@click.option("--confirm", metavar="NAME", help="The workflow or selector once more, in place of typing it.")
@click.option("--reason", metavar="TEXT", help="Why, for the journal. Needed with --apply.")
@ticket_option
@wait_option
@session_of
def retire(
    session: Session,
    workflow: str,
    only: str,
    apply: bool,
    confirm: str | None,
    reason: str | None,
    ticket: str,
    wait: bool,
) -> int:
    """Show what a workflow alone uses; with --apply revoke all of it, prove it dead, empty its consumers.

    What other workflows use too is listed and left. With --only everything that is selected is retired.
    """
    if bool(workflow) == bool(only):
        raise usage("say a workflow, or --only SELECTOR")
    name = workflow or only
    path = "/v1/retire" if only else path_of("workflows", workflow, "retire")
    which: dict[str, Any] = {"selection": {"selector": only}} if only else {}
    plan = session.client.post(path, {**which, "apply": False}, act=False)
    if not apply:
        session.show(plan, lambda screen: _retirement(screen, plan, name, only))
        return exits.OK
    if not reason:
        raise usage("--apply needs --reason TEXT")
    if not session.machine:
        _retirement(session.err, plan, name, only, hint=False)
    session.confirm_name(f"This ends {len(plan['retire'])} credential(s) for good.", name, confirm)
    answer = session.client.post(path, {**which, "apply": True, "reason": reason, "ticket": ticket})
    code = wait_for(session, answer, wait=wait)
    if answer.get("campaign"):
        session.note(f"certificate: rotator certificate {answer['campaign']} -o json")
    return code


def _retirement(screen: Screen, plan: dict[str, Any], name: str, only: str, *, hint: bool = True) -> None:
    screen.line(screen.style(f"{name}: {len(plan['retire'])} to retire, {len(plan['shared'])} shared", "bold"))
    for one in plan["retire"]:
        screen.line(f"  retire  {one}")
    for shared in plan["shared"]:
        screen.line(
            f"  leave   {shared['credential']}  (also used by {', '.join(sorted({*shared['workflows']} - {name}))})"
        )
    if hint and plan["retire"]:
        said = shlex.quote(name)
        which = f"--only {said}" if only else said
        screen.line(f"\nTo do it: rotator retire {which} --apply --confirm {said} --reason TEXT")
