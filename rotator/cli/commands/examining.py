"""`rotator doctor`: what is wrong, in order, with the fix. Needs no daemon; reads as the daemon's user would."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import click

from rotator.cli import exits
from rotator.cli.grammar import command, session_of
from rotator.cli.screen import Screen, clean
from rotator.cli.session import Session

_MARKS: Final = {
    "ok": ("✓", "green"), "warning": ("!", "yellow"), "fails": ("✗", "red"), "skipped": ("-", "dim"),
}  # fmt: skip


@command(
    "doctor",
    short_help="Find what is wrong before anything is changed, with the fix.",
    epilog="Examples:\n  rotator doctor --config /etc/rotator\n  rotator doctor --config /etc/rotator -o json",
)
@click.option(
    "--config",
    required=True,
    type=click.Path(path_type=Path),
    envvar="ROTATOR_CONFIG",
    help="The configuration: a file, or a directory of *.yaml.",
)
@session_of
def doctor(session: Session, config: Path) -> int:
    """Look at machine, configuration, ledger, clock, stores, endpoints and credentials' places; change nothing.

    Endpoints are asked with their admin values; no credential's own value is tried (that is `verify`). Exit 10 when
    something fails.
    """
    # By name: the rooms below the daemon hold values, and the command line is to reach none of them by an import.
    examine: Callable[[Path, str], Sequence[Mapping[str, Any]]]
    examine = importlib.import_module("rotator.daemon.doctor").examine
    found = list(examine(config, metadata.version("rotator")))
    failing = sum(one["verdict"] == "fails" for one in found)
    warnings = sum(one["verdict"] == "warning" for one in found)

    def paint(screen: Screen) -> None:
        area = ""
        for one in found:
            if one["area"] != area:
                area = one["area"]
                screen.section(area)
            mark, style = _MARKS[one["verdict"]]
            words = ": ".join(clean(one[part]) for part in ("subject", "says") if one[part])
            code = f"  [{clean(one['code'])}]" if one["code"] else ""
            screen.line(f"  {screen.style(mark, style)} {words}{code}")
            if one["verdict"] in {"fails", "warning"}:
                told = [("do", one["do"])] if one["do"] else []
                screen.facts([*told, *([("more", one["docs"])] if one["docs"] else [])], indent="      ")
        screen.line("")
        screen.line(f"{failing} failing, {warnings} to look at, {len(found)} looked at")

    session.show({"items": found, "failing": failing, "warnings": warnings}, paint)
    return exits.FINDINGS if failing else exits.OK
