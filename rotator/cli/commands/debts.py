"""`rotator debts`: what is owed, why it waits, and a person's acceptance of one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import click

from rotator.cli import exits
from rotator.cli.choosing import complete_ids, reason_option, yes_option
from rotator.cli.client import path_of
from rotator.cli.failures import usage
from rotator.cli.grammar import Group, session_of
from rotator.cli.screen import Screen, clean, when
from rotator.cli.session import Session
from rotator.cli.telling import debts_table

_exit_code = click.option("--exit-code", is_flag=True, help="Exit 10 when there is something to do or to look at.")


class _Debts(Group):
    """`rotator debts` and `rotator debts ID` mean the list."""

    default = "list"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        named = next((one for one in args if not one.startswith("-")), None)
        if named not in self.commands and not {"-h", "--help"} & set(args):
            args = [self.default, *args]
        return super().parse_args(ctx, args)


debts = _Debts(
    "debts",
    short_help="Old values that are not yet proven dead.",
    help="Every value that should be dead and is not proven dead. Without a subcommand: list.",
    epilog="Examples:\n  rotator debts\n  rotator debts explain orders\n"
    "  rotator debts accept orders --gen 3 --home orders_a@orders-db --until 2027-03-01 --reason 'server scrapped'",
)


@debts.command("list", short_help="What is owed; of all credentials or of one.")
@click.argument("credential", required=False, default="", shell_complete=complete_ids)
@_exit_code
@session_of
def listed(session: Session, credential: str, exit_code: bool) -> int:
    """A debt leaves only by proof or by a person's word."""
    answer = session.client.get("/v1/debts", [("credential", credential)] if credential else [])

    def paint(screen: Screen) -> None:
        if answer["items"]:
            debts_table(screen, answer["items"])
        else:
            screen.line("no debts")

    session.show(answer, paint)
    return exits.FINDINGS if exit_code and answer["items"] else exits.OK


@debts.command("explain", short_help="Each debt of a credential: tried, waiting for, needed, commands.")
@click.argument("credential", shell_complete=complete_ids)
@session_of
def explain(session: Session, credential: str) -> int:
    """Since when, what was tried, what holds the next try, when the next reconcile opens, what would prove it."""
    answer = session.client.get(path_of("debts", credential))
    session.show(answer, lambda screen: _page(screen, answer))
    return exits.OK


def _page(screen: Screen, answer: Mapping[str, Any]) -> None:
    opens = when(answer["reconcile"]) if answer["reconcile"] else "-"
    screen.line(screen.style(f"{clean(answer['credential'])}  {len(answer['items'])} owed", "bold"))
    screen.facts([("next reconcile", opens), *([("open run", answer["open_run"])] if answer["open_run"] else [])])
    for one in answer["items"]:
        screen.section(f"g{one['gen']} at {clean(one['home'])}: {clean(one['state'])} since {when(one['since'])}")
        rows = [(name, str(one[name])) for name in ("label", "handle") if one[name]]
        rows += [("waits for" if not n else "", text) for n, text in enumerate(one["waits"])]
        rows += [("needs", one["needs"])]
        rows += [("tried" if not n else "", f"{when(t['at'])} {t['says']}") for n, t in enumerate(one["tried"])]
        rows += [("do" if not n else "", text) for n, text in enumerate(one["commands"])]
        screen.facts(rows)
    for one in answer["accepted"]:
        by = f" by {one['by']}" if one["by"] else ""
        screen.line(f"  accepted: g{one['gen']} at {clean(one['home'])} until {when(one['until'])}{clean(by)}")


@debts.command("accept", short_help="Take the risk of a debt until a date; then it is a debt again.")
@click.argument("credential", shell_complete=complete_ids)
@click.option("--gen", required=True, type=click.IntRange(1), metavar="N", help="Which value.")
@click.option("--home", required=True, metavar="PRINCIPAL@ENDPOINT", help="At which home.")
@click.option("--until", required=True, metavar="DATE", help="2027-03-01, or 2027-03-01T18:00:00Z: when it lapses.")
@reason_option(needed=True)
@yes_option
@session_of
def accept(session: Session, credential: str, gen: int, home: str, until: str, reason: str, yes: bool) -> int:
    """Recorded with who, why and until when. Nothing works on it meanwhile and nothing alarms."""
    session.confirm(f"Accept that g{gen} of {clean(credential)} may live at {clean(home)}?", yes=yes)
    body = {"gen": str(gen), "home": home, "until": _moment(until), "reason": reason}
    answer = session.client.post(path_of("debts", credential, "accept"), body)
    session.show(answer, lambda screen: screen.line(f"accepted until {clean(until)}: run {clean(answer['id'])}"))
    return exits.OK


def _moment(text: str) -> str:
    """A date is its beginning in UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise usage("--until is a date: 2027-03-01, or 2027-03-01T18:00:00Z") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()
