"""`rotator runs`: list, show, watch, answer, back."""

from __future__ import annotations

from typing import Any

import click

from rotator.cli import exits
from rotator.cli.choosing import complete_ids, reason_option, wait_option, yes_option
from rotator.cli.client import path_of
from rotator.cli.grammar import Group, session_of
from rotator.cli.screen import Screen
from rotator.cli.session import Session
from rotator.cli.telling import run_page, runs_table
from rotator.cli.waiting import wait_for

ANSWERS = {
    "retry": "try the step again",
    "go_back": "go back to the old value",
    "go_on": "go on to the new value",
    "accept": "accept that a value may live on (--gen, --home)",
    "skip": "leave a consumer out for this value (--consumer)",
    "name": "say which handle is ours (--handle)",
    "give_up": "nothing shall work: kill everything",
    "abandon": "end the run, with things as they are",
    "contain_now": "kill everything but a new value",
    "overwrite": "put our value back over a foreign one",
    "take": "adopt the foreign value",
}
GRAVE = frozenset({"accept", "give_up", "abandon", "contain_now", "overwrite"})

runs = Group("runs", short_help="Runs: list, show, watch, answer, back.", help="Runs, open and ended.")


@runs.command("list", short_help="Runs, the newest first.")
@click.option("--credential", default="", metavar="ID", help="Of this credential.", shell_complete=complete_ids)
@click.option("--open", "open_only", is_flag=True, help="Only those that have not ended.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, help="At most so many (50).")
@session_of
def list_runs(session: Session, credential: str, open_only: bool, limit: int) -> int:
    """List runs."""
    query = [("limit", str(limit))]
    query += [("credential", credential)] if credential else []
    query += [("open", "true")] if open_only else []
    answer = session.client.get("/v1/runs", query)

    def paint(screen: Screen) -> None:
        if answer["items"]:
            runs_table(screen, answer["items"])
        else:
            screen.line("no runs")

    session.show(answer, paint)
    return exits.OK


@runs.command("show", short_help="One run: where it stands, its question, its journal.")
@click.argument("run")
@session_of
def show(session: Session, run: str) -> int:
    """Show a run with its journal."""
    answer = session.client.get(path_of("runs", run))
    events = session.client.get(path_of("runs", run, "events"))
    document = {**answer, "journal": events["items"], "exit": events["exit"]}
    session.show(document, lambda screen: run_page(screen, answer, events["items"]))
    return exits.OK


@runs.command("watch", short_help="Follow a run to its end; exits as the run does.")
@click.argument("run")
@session_of
def watch(session: Session, run: str) -> int:
    """Follow a run from its first event to its end. Ctrl-C stops the watching, not the run."""
    answer = session.client.get(path_of("runs", run))
    return wait_for(
        session, {"runs": [{key: value for key, value in answer.items() if key != "schema_version"}]}, wait=True
    )


def _about(gen: int | None, home: str | None, consumer: str | None, handle: str | None) -> dict[str, str]:
    given = {"gen": None if gen is None else str(gen), "home": home, "consumer": consumer, "handle": handle}
    return {name: text for name, text in given.items() if text is not None}


@runs.command(
    "answer",
    short_help="Answer a run's question, or tell it to contain now.",
    epilog="Answers:\n" + "\n".join(f"  {name:<12} {says}" for name, says in ANSWERS.items()),
)
@click.argument("run")
@click.argument("answer", type=click.Choice(list(ANSWERS)), metavar="ANSWER")
@click.option("--gen", type=click.IntRange(1), metavar="N", help="Which value.")
@click.option("--home", metavar="PRINCIPAL@ENDPOINT", help="At which home.")
@click.option("--consumer", metavar="ID", help="Which consumer.")
@click.option("--handle", metavar="HANDLE", help="Which handle at the platform.")
@reason_option(needed=True)
@yes_option
@wait_option
@session_of
def answer(session: Session, /, run: str, answer: str, reason: str, yes: bool, wait: bool, **about: Any) -> int:
    """Give an answer that `rotator runs show RUN` offers. Answers that cannot be taken back ask first."""
    if answer in GRAVE:
        session.confirm(f"{answer} means: {ANSWERS[answer]}. Go on?", yes=yes)
    body = {"answer": answer, "about": _about(**about), "reason": reason}
    return _after(session, session.client.post(path_of("runs", run, "answer"), body), wait)


@runs.command("back", short_help="Go back to the old value, at any moment before the first kill.")
@click.argument("run")
@reason_option(needed=True)
@wait_option
@session_of
def back(session: Session, run: str, reason: str, wait: bool) -> int:
    """Go back: the old value serves again, the new one is killed and proven dead. Ends failed safe (exit 11)."""
    return _after(session, session.client.post(path_of("runs", run, "back"), {"reason": reason}), wait)


def _after(session: Session, view: dict[str, Any], wait: bool) -> int:
    run = {key: value for key, value in view.items() if key != "schema_version"}
    return wait_for(session, {"runs": [run]}, wait=wait)
