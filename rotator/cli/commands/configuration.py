"""`rotator config`: validate and init work on files without a daemon, reload asks the daemon."""

from __future__ import annotations

import os
from importlib import metadata
from pathlib import Path
from typing import Any

import click

from rotator.cli import exits
from rotator.cli.failures import Failure
from rotator.cli.grammar import Group, session_of
from rotator.cli.screen import Screen
from rotator.cli.session import Session
from rotator.cli.starter import STARTER

config = Group("config", short_help="Configuration: validate, init, reload.", help="The configuration.")


@config.command(
    "validate",
    short_help="Everything that is wrong, at once, with file, line and column.",
    epilog="Examples:\n  rotator config validate /etc/rotator\n  rotator config validate -o json rotator.yaml",
)
@click.argument("path", type=click.Path(path_type=Path), envvar="ROTATOR_CONFIG")
@session_of
def validate(session: Session, path: Path) -> int:
    """Check a file, or all *.yaml of a directory. No daemon is needed, no value is read. Exit 3 if it is refused."""
    from rotator.daemon.clock import SystemClock
    from rotator.settings.loader import load
    from rotator.settings.problems import ConfigurationRefused

    installed = [one.name for one in metadata.entry_points(group="rotator.plugins")]
    try:
        loaded = load(path, plugins=installed, now=SystemClock().now())
    except ConfigurationRefused as refused:
        problems = refused.problems
        valid = False
    else:
        problems = loaded.warnings
        valid = True
    document = {"valid": valid, "items": [one.as_json() for one in problems]}

    def paint(screen: Screen) -> None:
        for one in problems:
            screen.line(one.in_words())
        errors = sum(not one.warning for one in problems)
        warned = f", {len(problems) - errors} to look at" if len(problems) > errors else ""
        screen.line(f"{path}: valid{warned}" if valid else f"{path}: {errors} problem{'s' * (errors != 1)}{warned}")

    session.show(document, paint)
    return exits.OK if valid else exits.CONFIGURATION


@config.command("init", short_help="Write a commented configuration to start from.")
@click.argument("path", type=click.Path(path_type=Path), default=Path("rotator.yaml"))
@session_of
def init(session: Session, path: Path) -> int:
    """Write a small configuration with a comment at every line that you must change. Nothing is overwritten."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
    except FileExistsError:
        raise Failure("ROT-FILE-EXISTS", f"{path} is there; nothing was written", exits.CONFLICT) from None
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise Failure("ROT-FILE", f"{path} cannot be written: {reason}", exits.USAGE) from None
    with os.fdopen(file, "w", encoding="utf-8") as stream:
        stream.write(STARTER)

    def paint(screen: Screen) -> None:
        screen.line(f"{path}: written")
        session.note(f"next: change what the comments say, then  rotator config validate {path}")

    session.show({"path": str(path)}, paint)
    return exits.OK


@config.command("reload", short_help="Let the daemon read its configuration anew, or keep the old one whole.")
@session_of
def reload(session: Session) -> int:
    """Same as SIGHUP, with the result."""
    answer: dict[str, Any] = session.client.post("/v1/reload", {})

    def paint(screen: Screen) -> None:
        if not answer.get("changed"):
            screen.line("nothing changed")
            return
        screen.line("the new configuration is in force")
        named = [("added", "added"), ("changed", "changed_ids"), ("no longer managed", "unmanaged")]
        screen.facts([(label, ", ".join(answer[key])) for label, key in named if answer.get(key)])

    session.show(answer, paint)
    return exits.OK
