"""Which files make up a configuration: one file, or a directory with a folder for each section.

Called by the loader, by the daemon (digests) and by `config fmt`. A file in the folder of a section may hold that
section only: who may change `credentials/itsm.yaml` cannot make a policy milder with it. Hidden names are left out (a
mounted ConfigMap keeps its copies in `..data`). Must never follow a link out and round again.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .models import SECTIONS
from .problems import Problem, nearest

SUFFIXES: Final = (".yaml", ".yml")
DEEPEST: Final = 8
"""Folders inside folders of a section: by team, by workflow. More is a link that leads back."""
_ELSEWHERE: Final = frozenset({"packs", "schema"})
"""Folders whose YAML is no configuration."""


def files_of(path: Path) -> tuple[Path, ...]:
    """The file itself; or of a directory, sorted by name, its *.yaml and *.yml and those in the folders of sections.

    Raises OSError when a folder cannot be read.
    """
    if not path.is_dir():
        return (path,)
    found = [one for one in _visible(path) if _is_ours(one)]
    for section in SECTIONS:
        if (path / section).is_dir():
            found += _below(path / section, DEEPEST, frozenset())
    return tuple(sorted(found))


def section_of(root: Path, file: Path) -> str:
    """The only section that a file may hold; empty: all."""
    if not root.is_dir():
        return ""
    first = file.relative_to(root).parts[0]
    return first if first in SECTIONS and file.parent != root else ""


def strange_folders(root: Path) -> Iterator[Problem]:
    """Folders with YAML that nobody reads: an error where the name of a section was meant, else a warning."""
    if not root.is_dir():
        return
    for folder in _visible(root):
        if folder.name in SECTIONS or folder.name in _ELSEWHERE or not folder.is_dir():
            continue
        if not any(_is_ours(one) for one in _visible(folder)):
            continue
        close = nearest(folder.name, SECTIONS)
        words = f"no file in this folder is read; those that are: {', '.join(SECTIONS)}"
        yield Problem("CFG-WRONG-FOLDER", words, "", str(folder), suggestion=close, warning=not close)


def _below(folder: Path, deeper: int, above: frozenset[Path]) -> Iterator[Path]:
    here = folder.resolve()
    if here in above or deeper == 0:
        return
    for one in _visible(folder):
        if one.is_dir():
            yield from _below(one, deeper - 1, above | {here})
        elif _is_ours(one):
            yield one


def _visible(folder: Path) -> list[Path]:
    return sorted(one for one in folder.iterdir() if not one.name.startswith("."))


def _is_ours(one: Path) -> bool:
    return one.suffix in SUFFIXES and one.is_file()
