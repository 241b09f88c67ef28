"""`rotator config render` and `schema`: what a configuration comes to, and what may stand in one."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import click

from rotator.cli import exits
from rotator.cli.failures import Failure
from rotator.cli.grammar import command, session_of
from rotator.cli.screen import Screen
from rotator.cli.session import Session


@command(
    "render",
    short_help="What counts in the end, and where each value comes from.",
    epilog=(
        "Examples:\n  rotator config render /etc/rotator\n"
        "  rotator config render --origin --only policies.standard /etc/rotator"
    ),
)
@click.argument("path", type=click.Path(path_type=Path), envvar="ROTATOR_CONFIG")
@click.option("--origin", is_flag=True, help="Behind each value: file and line, the policy it is from, or default.")
@click.option("--only", metavar="KEYS", default="", help="One part: policies.standard, credentials.orders.store.")
@session_of
def render(session: Session, path: Path, origin: bool, only: str) -> int:
    """The effective configuration: parents followed, references replaced, defaults written out. As YAML it can be
    loaded again and is the same. No daemon is needed. No secret is in it. Exit 3 if the configuration is refused."""
    from rotator.settings import render as rendering
    from rotator.settings.loader import load
    from rotator.settings.problems import ConfigurationRefused

    try:
        loaded = load(path)
    except ConfigurationRefused as refused:
        session.err.line(refused.in_words())
        many = f"{len(refused.problems)} problem{'s' * (len(refused.problems) != 1)}"
        raise Failure("CFG-REFUSED", f"{path} is not valid: {many}", exits.CONFIGURATION) from None
    try:
        keys = rendering.path_of(only, loaded)
        items = [one.as_json() for one in rendering.values(loaded, keys)]
        written = rendering.text(loaded, origins=origin, only=keys)
    except LookupError:
        raise Failure("ROT-NOT-FOUND", f"nothing stands at {only}", exits.NOT_FOUND) from None

    def paint(screen: Screen) -> None:
        for line in written.splitlines():
            screen.line(line)

    session.show({"items": items}, paint)
    return exits.OK


@command(
    "schema",
    short_help="JSON Schema of the language and of every installed plugin.",
    epilog=(
        "Examples:\n  rotator config schema --draft 07 --out schema/rotator-v1.json\n"
        "Then as the first line of each file:\n  # yaml-language-server: $schema=schema/rotator-v1.json"
    ),
)
@click.option(
    "--draft",
    type=click.Choice(["07", "2020-12"]),
    default="2020-12",
    show_default=True,
    help="Dialect. Editors with the YAML language server want 07.",
)
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write it there instead of printing it.")
@session_of
def schema(session: Session, draft: str, out: Path | None) -> int:
    """JSON Schema for editors and for checks without this program. It has the settings of every installed plugin and
    of the packs that it ships. `rotator config validate` says more."""
    written = json.dumps(whole_schema(draft), indent=2, ensure_ascii=False) + "\n"
    if out is None:
        sys.stdout.write(written)
        return exits.OK
    try:
        out.write_text(written, encoding="utf-8")
    except OSError as failed:
        raise Failure("ROT-FILE", f"{out} cannot be written: {failed.strerror}", exits.USAGE) from None

    def paint(screen: Screen) -> None:
        screen.line(f"{out}: written")

    session.show({"path": str(out)}, paint)
    return exits.OK


def whole_schema(draft: str) -> dict[str, Any]:
    """The schema with the part of every installed plugin."""
    from rotator.settings import schema as schemas

    # By name: see `configuration.judge`.
    parts = importlib.import_module("rotator.daemon.offline").plugin_parts()
    return schemas.schema(parts, "07" if draft == "07" else "2020-12")
