"""`rotator plugins`: list and try ask the daemon, check reads a pack without one."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from rotator.cli import exits
from rotator.cli.client import path_of
from rotator.cli.failures import Failure
from rotator.cli.grammar import Group, session_of
from rotator.cli.screen import Screen, clean
from rotator.cli.session import Session

PACKS: Final = "rotator_http"
"""The declarative plugin; its `check_pack(path)` gives a list of problems: dataclasses, as text what people read.

By name: the command line reaches no plugin by an import, and a pack is only data to it."""

plugins = Group("plugins", short_help="Plugins: list, check a pack, try an endpoint.", help="Plugins and packs.")


@plugins.command("list", short_help="What is installed and allowed, with its kinds.")
@session_of
def list_plugins(session: Session) -> int:
    """List plugins with version, digest, endpoints and kinds."""
    answer = session.client.get("/v1/plugins")

    def paint(screen: Screen) -> None:
        rows = [
            [
                one["plugin"],
                one["version"],
                str(one["digest"])[:19],
                ", ".join(one["endpoints"]) or "-",
                kind["kind"],
                kind["title"],
            ]
            for one in answer["items"]
            for kind in one["kinds"] or [{"kind": "-", "title": "-"}]
        ]
        screen.table(["PLUGIN", "VERSION", "DIGEST", "ENDPOINTS", "KIND", "WHAT IT IS"], rows, cut=5)

    session.show(answer, paint)
    return exits.OK


@plugins.command("check", short_help="Is a pack valid? File, line, column and what was expected.")
@click.argument("path", type=click.Path(path_type=Path))
@session_of
def check(session: Session, path: Path) -> int:
    """Check a pack's YAML without a daemon. Exit 3 if it is not valid."""
    try:
        checker: Callable[[Path], Sequence[Any]] = importlib.import_module(PACKS).check_pack
    except ModuleNotFoundError as absent:
        if absent.name != PACKS:
            raise
        raise Failure(
            "ROT-NO-PLUGIN",
            "the plugin that reads packs is not installed",
            exits.NOT_FOUND,
            hint="install Rotator whole: its plugin `http` reads packs",
            docs="docs/runbook.md#rot-no-plugin",
        ) from None
    problems = list(checker(path))
    items = [{**dataclasses.asdict(one), "docs": one.docs} for one in problems]
    document = {"valid": not problems, "items": items}

    def paint(screen: Screen) -> None:
        for one in problems:
            screen.line(clean(one))
            screen.facts([("more", one.docs)], indent="    ")
        many = f"{len(problems)} problem{'s' * (len(problems) != 1)}"
        screen.line(f"{path}: valid" if not problems else f"{path}: {many}")

    session.show(document, paint)
    return exits.OK if not problems else exits.CONFIGURATION


@plugins.command("try", short_help="Do an endpoint's reads against the real thing. Changes nothing.")
@click.argument("endpoint")
@session_of
def attempt(session: Session, endpoint: str) -> int:
    """Do what an endpoint's plugin can read, with its admin value. Exit 10 when a read does not work."""
    answer = session.client.post(path_of("endpoints", endpoint, "try"), {}, act=False)

    def paint(screen: Screen) -> None:
        for step in answer["steps"]:
            _paint_step(screen, step)

    session.show(answer, paint)
    return exits.OK if all(step["ok"] for step in answer["steps"]) else exits.FINDINGS


SIGNS: Final = {"works": "done", "inconclusive": "unknown", "fails": "refused", "missing": "failed", "nothing": "note"}
"""The sign of each verdict; one that this command line does not know is shown as what proves nothing."""


def _paint_step(screen: Screen, step: Mapping[str, Any]) -> None:
    """What was seen; unless it works: that it does not, the reason's code, what to do, where to read on."""
    verdict = str(step.get("verdict") or ("works" if step["ok"] else "fails"))
    about = f" of {step['subject']}" if step.get("subject") else ""
    head = f"{step.get('kind') or '-'}: {step['ability']}{about}"
    word = "" if step["ok"] else f"{verdict.upper()}: "
    code = f" [{step['code']}]" if step.get("code") else ""
    screen.line(f"{screen.sign(SIGNS.get(verdict, 'unknown'))} {clean(head)}: {word}{clean(step['says'])}{clean(code)}")
    if not step["ok"]:
        rows = [("do", str(step.get("do") or "")), ("more", str(step.get("docs") or ""))]
        screen.facts([row for row in rows if row[1]], indent="    ")
