"""`rotator config fmt`: files in their usual form. The one command that writes into a person's files."""

from __future__ import annotations

import difflib
import os
import tempfile
from pathlib import Path
from typing import Any

import click

from rotator.cli import exits
from rotator.cli.failures import Failure
from rotator.cli.grammar import command, session_of
from rotator.cli.screen import Screen, clean
from rotator.cli.session import Session


@command(
    "fmt",
    short_help="Put files into their usual form; comments stay.",
    epilog=(
        "Examples:\n  rotator config fmt /etc/rotator\n"
        "  rotator config fmt --check .        exit 10 if a file is not in its form\n"
        "  rotator config fmt --diff rotator.yaml"
    ),
)
@click.argument("path", type=click.Path(path_type=Path), envvar="ROTATOR_CONFIG")
@click.option("--check", is_flag=True, help="Write nothing; exit 10 if something would be written.")
@click.option("--diff", is_flag=True, help="Write nothing; show what would be written.")
@session_of
def fmt(session: Session, path: Path, check: bool, diff: bool) -> int:
    """Keys in the order of the reference, two spaces of indentation, no loose ends. Ids stay in the order in which you
    wrote them. Values and comments are never changed: a file for which that cannot be kept is left alone, and told.
    A file is replaced whole or not at all. Exit 3 if one is not valid YAML of this language."""
    items = [_judged(one) for one in _files(path)]
    if not (check or diff):
        for one in items:
            if one["state"] == "changed":
                _replace(Path(one["path"]), one["text"])

    def paint(screen: Screen) -> None:
        for one in items:
            if diff and one["state"] == "changed":
                _show_difference(screen, one)
            elif one["state"] != "unchanged":
                done = "would change" if check or diff else "changed"
                screen.line(f"{one['path']}: {done if one['state'] == 'changed' else one['why']}")

    shown = [{key: one[key] for key in ("path", "state", "why")} for one in items]
    session.show({"changed": any(one["state"] == "changed" for one in items), "items": shown}, paint)
    states = {one["state"] for one in items}
    if "refused" in states:
        return exits.CONFIGURATION
    return exits.FINDINGS if check and "changed" in states else exits.OK


def _files(path: Path) -> tuple[Path, ...]:
    from rotator.settings.folders import files_of

    try:
        return files_of(path)
    except OSError as failed:
        raise Failure("ROT-FILE", f"{path} cannot be read: {failed.strerror}", exits.USAGE) from None


def _judged(path: Path) -> dict[str, Any]:
    """A file with its state: unchanged, changed (with its new text), left (it has no such form), refused."""
    from rotator.settings.documents import read_document
    from rotator.settings.fmt import NotFormatted, formatted
    from rotator.settings.problems import ConfigurationRefused

    found: dict[str, Any] = {"path": str(path), "state": "unchanged", "why": "", "old": "", "text": ""}
    document = read_document(path)
    try:
        if document.root is None:
            raise ConfigurationRefused(document.problems)
        found["old"] = path.read_bytes().decode("utf-8")
        found["text"] = formatted(str(path), found["old"])
    except ConfigurationRefused as refused:
        return found | {"state": "refused", "why": refused.in_words()}
    except NotFormatted as why:
        return found | {"state": "left", "why": f"left as it is: {why}"}
    except (OSError, UnicodeDecodeError):
        return found | {"state": "refused", "why": "the file changed while it was read"}
    return found | {"state": "unchanged" if found["text"] == found["old"] else "changed"}


def _replace(path: Path, text: str) -> None:
    """Put a text in the place of a file, with its rights, in one step; a link stays a link."""
    real = path.resolve()
    try:
        about = real.stat()
        file, name = tempfile.mkstemp(dir=real.parent, prefix=f".{real.name}.", suffix=".new")
        try:
            with os.fdopen(file, "w", encoding="utf-8", newline="") as stream:
                stream.write(text)
                stream.flush()
                os.fchmod(stream.fileno(), about.st_mode & 0o7777)
                if os.geteuid() == 0:
                    os.fchown(stream.fileno(), about.st_uid, about.st_gid)
                os.fsync(stream.fileno())
            Path(name).replace(real)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as failed:
        raise Failure("ROT-FILE", f"{path} cannot be written: {failed.strerror}", exits.USAGE) from None


def _show_difference(screen: Screen, one: dict[str, Any]) -> None:
    old, new = one["old"].splitlines(), one["text"].splitlines()
    for line in difflib.unified_diff(old, new, one["path"], one["path"], lineterm=""):
        screen.line(clean(line))
