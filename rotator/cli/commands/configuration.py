"""`rotator config`: everything but reload works on files, without a daemon."""

from __future__ import annotations

import importlib
import json
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from rotator.cli import exits
from rotator.cli.grammar import Group, session_of
from rotator.cli.screen import Screen
from rotator.cli.session import Session

if TYPE_CHECKING:
    from rotator.settings.problems import Problem

LATER: Final = {
    "render": ("configuration_views:render", "What counts in the end, and where each value comes from."),
    "schema": ("configuration_views:schema", "JSON Schema of the language and of every installed plugin."),
    "init": ("configuration_start:init", "Write commented files to start from."),
    "fmt": ("configuration_form:fmt", "Put files into their usual form; comments stay."),
}
config = Group(
    "config",
    lazy=LATER,
    short_help="Configuration: init, validate, render, fmt, schema, reload.",
    help="The configuration.",
)


@config.command(
    "validate",
    short_help="Everything that is wrong, at once, with file, line and column.",
    formats=("sarif", "github"),
    epilog=(
        "Examples:\n  rotator config validate /etc/rotator\n  rotator config validate -o json rotator.yaml\n"
        "  rotator config validate -o github .        annotations in a pull request\n"
        "  rotator config validate -o sarif . > problems.sarif"
    ),
)
@click.argument("path", type=click.Path(path_type=Path), envvar="ROTATOR_CONFIG")
@click.option("--no-plugins", is_flag=True, help="Import no plugin: leave out what only they can judge.")
@session_of
def validate(session: Session, path: Path, no_plugins: bool) -> int:
    """Check a file or a directory. No daemon is needed, no value is read, nothing is sent. The plugins that are named
    are imported, to judge what is asked of them. Exit 3 if the configuration is refused, 0 with warnings only."""
    problems = judge(path, plugins=not no_plugins)
    valid = all(one.warning for one in problems)
    items = [one.as_json() for one in problems]

    def paint(screen: Screen) -> None:
        for one in problems:
            screen.line(one.in_words())
        errors = sum(not one.warning for one in problems)
        warned = f", {len(problems) - errors} to look at" if len(problems) > errors else ""
        screen.line(f"{path}: valid{warned}" if valid else f"{path}: {errors} problem{'s' * (errors != 1)}{warned}")

    if session.output in ("sarif", "github"):
        sys.stdout.write(_for_tools(session.output, items))
    else:
        session.show({"valid": valid, "items": items}, paint)
    return exits.OK if valid else exits.CONFIGURATION


def judge(path: Path, *, plugins: bool = True) -> tuple[Problem, ...]:
    """Everything that is wrong with a configuration, warnings too; with the plugins' judgement where they may be
    imported."""
    from rotator.daemon.clock import SystemClock
    from rotator.settings.loader import load
    from rotator.settings.problems import ConfigurationRefused, in_order

    installed = [one.name for one in metadata.entry_points(group="rotator.plugins")]
    try:
        loaded = load(path, plugins=installed, now=SystemClock().now())
    except ConfigurationRefused as refused:
        return refused.problems
    if not plugins:
        return loaded.warnings
    # By name: the rooms below the daemon hold values, and the command line is to reach none of them by an import.
    judged: list[Problem] = importlib.import_module("rotator.daemon.offline").judged(loaded)
    return in_order([*loaded.warnings, *judged])


def _for_tools(form: str, items: list[dict[str, Any]]) -> str:
    from rotator.cli import annotations
    from rotator.settings.problems import CODES

    if form == "github":
        return annotations.github(items)
    document = annotations.sarif(items, CODES, metadata.version("rotator"))
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


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
