"""Every `rotator …` that a document names is a command, with options that it has."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from rotator.cli.main import root
from tests.docs import runbook

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
GLOBAL = frozenset(
    {"--socket", "-o", "--output", "--color", "--timeout", "--no-input", "-q", "--quiet", "-h", "--help"}
)
"""They may stand anywhere (docs/cli.md)."""


def commands(text: str) -> Iterator[str]:
    """What stands in code marks or in a block and begins with the program's name."""
    for block in re.findall(r"^```\w*\n(.*?)^```$", text, re.M | re.S):
        yield from re.findall(r"^(rotator [a-z].*)$", block, re.M)
    outside = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    yield from re.findall(r"`(rotator [a-z][^`\n]*)`", outside)


def complaint(line: str) -> str:
    """What is wrong with a command line; empty: nothing."""
    words = shlex.split(re.sub(r"\s(#|[|;>&]).*$", "", line).replace("…", ""), posix=True)[1:]
    here: click.Command = root
    while words and isinstance(here, click.Group):
        default = getattr(here, "default", "")
        if default and words[0] not in here.commands:
            words = [default, *words]
        found = here.get_command(click.Context(here), words[0])
        if found is None:
            return f"no command {words[0]}"
        here, words = found, words[1:]
    known = {name for one in here.params for name in (*one.opts, *one.secondary_opts)}
    unknown = [word for word in words if word.startswith("-") and word.split("=")[0] not in known | GLOBAL]
    return f"no option {', '.join(unknown)}" if unknown else ""


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_in_documents_exist(path: Path) -> None:
    said = commands(path.read_text(encoding="utf-8"))
    assert [(line, wrong) for line in said if (wrong := complaint(line))] == []


def test_commands_in_the_catalogue_exist() -> None:
    assert [(entry.code, line) for entry in runbook.entries() for line in commands(entry.do) if complaint(line)] == []


def test_a_wrong_command_is_noticed() -> None:
    assert complaint("rotator rotat x") == "no command rotat"
    assert complaint("rotator rotate x --why y") == "no option --why"
    assert complaint("rotator runs answer RUN retry --reason TEXT") == ""
