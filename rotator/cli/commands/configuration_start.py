"""`rotator config init`: commented files to start from, as one file or as a directory."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from rotator.cli import exits, starter
from rotator.cli.failures import Failure
from rotator.cli.grammar import command, session_of
from rotator.cli.screen import Screen
from rotator.cli.session import Session

_A_YEAR = timedelta(days=365)


@command(
    "init",
    short_help="Write commented files to start from.",
    epilog=(
        "Examples:\n  rotator config init /etc/rotator           a directory: a folder for each section\n"
        "  rotator config init rotator.yaml           all of it in one file"
    ),
)
@click.argument("path", type=click.Path(path_type=Path), default=Path(), metavar="[DIR|FILE.yaml]")
@session_of
def init(session: Session, path: Path) -> int:
    """Write a small configuration with a comment at every line that you must change, and the schema that editors use
    beside it. Nothing is overwritten: if one of the files is there, none is written (a schema is left as it is)."""
    files = _files(path)
    there = [str(one) for one in files if one.suffix != ".json" and (one.exists() or one.is_symlink())]
    if there:
        what = f"{there[0]} is there" if len(there) == 1 else f"{', '.join(there)} are there"
        raise Failure("ROT-FILE-EXISTS", f"{what}; nothing was written", exits.CONFLICT)
    written: list[Path] = []
    try:
        for one, text in files.items():
            if one.suffix == ".json" and one.exists():
                continue
            if one != path:
                one.parent.mkdir(parents=True, exist_ok=True)
            _write(one, text)
            written.append(one)
    except OSError as error:
        for one in written:
            one.unlink(missing_ok=True)
        if isinstance(error, FileExistsError):
            raise Failure("ROT-FILE-EXISTS", "a file came in between; nothing was written", exits.CONFLICT) from None
        reason = os.strerror(error.errno or 0)
        raise Failure("ROT-FILE", f"{path} cannot be written: {reason}", exits.USAGE) from None

    def paint(screen: Screen) -> None:
        for one in written:
            screen.line(f"{one}: written")
        session.note(f"next: change what the comments say, then  rotator config validate {path}")

    session.show({"path": str(path), "items": [{"path": str(one)} for one in written]}, paint)
    return exits.OK


def _files(path: Path) -> dict[Path, str]:
    """Every file that is to be written, with its text."""
    from rotator.cli.commands.configuration_views import whole_schema
    from rotator.daemon.clock import SystemClock
    from rotator.settings.schema import FILE

    today = datetime.fromtimestamp(SystemClock().now() / 1000, UTC).date()
    expires = (today + _A_YEAR).isoformat()
    schema = json.dumps(whole_schema("07"), indent=2, ensure_ascii=False) + "\n"
    if path.suffix in (".yaml", ".yml"):
        texts = {path: starter.one_file(expires, FILE)}
        where = path.parent
    else:
        texts = {path / name: text for name, text in starter.directory(expires, FILE).items()}
        where = path
    return {**texts, where / "schema" / FILE: schema}


def _write(path: Path, text: str) -> None:
    """A new file, never an old one."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
    with os.fdopen(file, "w", encoding="utf-8") as stream:
        stream.write(text)
