"""`rotator ledger`: backup, restore, check; `rotator reconcile` and `rotator observe end`: life after a restore."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from rotator.cli import exits
from rotator.cli.choosing import reason_option, selection_options, wait_option, yes_option
from rotator.cli.failures import Failure, usage
from rotator.cli.grammar import Group, command, session_of
from rotator.cli.screen import Screen, clean
from rotator.cli.session import Session
from rotator.cli.waiting import wait_for

ledger = Group("ledger", short_help="The ledger: backup, restore, check.", help="Copies of the ledger.")
_config = click.option(
    "--config", required=True, type=click.Path(path_type=Path), envvar="ROTATOR_CONFIG",
    help="The configuration: a file, or a directory of *.yaml.",
)  # fmt: skip


@ledger.command(
    "backup", short_help="A copy of the ledger, made while the daemon works.",
    epilog="Example:\n  rotator ledger backup /var/backups/rotator/ledger-monday.db",
)  # fmt: skip
@click.argument("file")
@session_of
def backup(session: Session, file: str) -> int:
    """Copy the ledger into FILE, which must not exist. The daemon writes it: 0600, of the daemon's user. It is a map of
    handles and principals: keep it encrypted."""
    path = Path(file).absolute()
    answer = session.client.post("/v1/ledger/backup", {"to": str(path.parent.resolve() / path.name)}, act=True)
    session.show(answer, lambda screen: screen.line(f"{clean(answer['path'])}: the ledger up to {answer['sequence']}"))
    return exits.OK


@ledger.command(
    "check", short_help="Whether the ledger, or a copy, is sound, and what it holds.",
    epilog="Examples:\n  rotator ledger check --config /etc/rotator\n"
    "  rotator ledger check --config /etc/rotator /var/backups/rotator/ledger-monday.db",
)  # fmt: skip
@click.argument("file", required=False, type=click.Path(path_type=Path))
@_config
@session_of
def check(session: Session, file: Path | None, config: Path) -> int:
    """Read every page of it and change nothing."""
    found = _offline("check", config, file)
    session.show(found, lambda screen: _held(screen, found))
    return exits.OK


@ledger.command(
    "restore", short_help="Put a copy in the place of the ledger; the daemon is stopped.",
    epilog="Example:\n  rotator ledger restore --config /etc/rotator /var/backups/rotator/ledger-monday.db --yes",
)  # fmt: skip
@click.argument("file", type=click.Path(path_type=Path))
@_config
@yes_option
@session_of
def restore(session: Session, file: Path, config: Path, yes: bool) -> int:
    """Replace the ledger by the copy in FILE. What stood there is kept beside it. The next start only observes, until
    `rotator observe end`."""
    session.confirm(f"Put {clean(file)} in the place of the ledger?", yes=yes)
    done = _offline("put_back", config, file)

    def paint(screen: Screen) -> None:
        _held(screen, done)
        screen.facts([("kept", done["kept"] or "nothing stood there")])
        screen.line("Start the daemon: it observes. Then: rotator reconcile --all, rotator observe end --reason TEXT")

    session.show(done, paint)
    return exits.OK


def _offline(name: str, config: Path, file: Path | None) -> Mapping[str, Any]:
    # By name: the rooms below the daemon hold values, and the command line is to reach none of them by an import.
    act: Callable[[Path, Path | None], Mapping[str, Any]]
    act = getattr(importlib.import_module("rotator.daemon.keeping"), name)
    found = act(config, file)
    error = found.get("error")
    if error:
        raise Failure(error["code"], error["message"], error["exit"], hint=error["hint"])
    return found


def _held(screen: Screen, one: Mapping[str, Any]) -> None:
    screen.line(screen.style(f"{clean(one['path'])}  sound", "bold"))
    screen.facts(
        [
            ("installation", str(one["installation"] or "not founded")),
            ("schema", str(one["schema"])),
            ("journal", f"up to {one['sequence']}"),
            ("credentials", str(one["credentials"])),
            ("open runs", str(one["open_runs"])),
        ]
    )


@command(
    "reconcile", short_help="Compare the ledger with stores and platforms; repair what is asked for.",
    epilog="Examples:\n  rotator reconcile --all\n  rotator reconcile --repair orders --reason 'after the restore'",
)  # fmt: skip
@selection_options(default_all=True)
@click.option("--repair", is_flag=True, help="Open a reconcile of each credential named, also while observing.")
@click.option("--exit-code", is_flag=True, help="Exit 10 when something does not match.")
@reason_option(needed=False)
@wait_option
@session_of
def reconcile(
    session: Session, selection: dict[str, Any], repair: bool, exit_code: bool, reason: str, wait: bool
) -> int:
    """Read the store, try once what it shows, list what bears our label; change nothing. With --repair a run forgets
    all certainty, looks at everything anew, and ends what should be dead."""
    if repair:
        if "ids" not in selection or not reason:
            raise usage("--repair needs the credentials by name, and --reason TEXT")
        body = {"ids": selection["ids"], "reason": reason}
        return wait_for(session, session.client.post("/v1/reconcile/repair", body), wait=wait)
    answer = session.client.post("/v1/reconcile", {"selection": selection}, act=False)
    session.show(answer, lambda screen: _compared(screen, answer))
    differs = any(one["verdict"] != "match" for one in answer["items"])
    return exits.FINDINGS if exit_code and differs else exits.OK


def _compared(screen: Screen, answer: Mapping[str, Any]) -> None:
    rows = [
        [
            one["credential"],
            str(one["verdict"]).replace("_", " "),
            f"g{one['current']}" if one["current"] else "-",
            f"g{one['shown']}" if one["shown"] else "-",
            ", ".join(f"{home['home']} {home['answer']}" for home in one["homes"]) or "-",
            _about(one),
        ]
        for one in answer["items"]
    ]
    screen.table(["CREDENTIAL", "VERDICT", "LEDGER", "STORE", "TRIED", "ALSO"], rows, cut=5)
    commands = [line for one in answer["items"] for line in one["commands"]]
    if commands:
        screen.section("DO")
        for line in commands:
            screen.line(f"  {clean(line)}")


def _about(one: Mapping[str, Any]) -> str:
    parts = [f"g{number} staged" for number in one["staged"]]
    parts += [f"{b['label']} alive at {b['endpoint']}" for b in one["beyond"]]
    parts += [str(reason).replace("_", " ") for reason in one["unread"]]
    return ", ".join(parts) or "-"


observe = Group(
    "observe", short_help="Observing after a restore: end it.", help="What a restored ledger does at first."
)


@observe.command(
    "end", short_help="Work again with a restored ledger.",
    epilog="Example:\n  rotator observe end --reason 'each was looked at'",
)  # fmt: skip
@reason_option(needed=True)
@click.option("--unseen", is_flag=True, help="Although credentials were not looked at, or a store said nothing.")
@session_of
def end(session: Session, reason: str, unseen: bool) -> int:
    """Runs that the copy had open are abandoned; what they left is looked at by the next run. Numbers and serials that
    the lost time may have used are never given again."""
    answer = session.client.post("/v1/observe/end", {"reason": reason, "unseen": unseen})

    def paint(screen: Screen) -> None:
        screen.line(f"{screen.sign('done')} the daemon works again")
        facts = [("abandoned", f"{len(answer['abandoned'])} runs that the copy had open")]
        facts += [("not looked at", ", ".join(answer["unseen"]))] if answer["unseen"] else []
        facts += [("not heard", ", ".join(answer["unread"]))] if answer["unread"] else []
        screen.facts(facts)

    session.show(answer, paint)
    return exits.OK
