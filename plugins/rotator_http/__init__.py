"""Platforms described by a YAML file (a "pack") instead of code. Loaded by the plugin host and by `rotator plugins`.

A pack becomes the same `Plugin` value as a coded plugin, so nothing above knows the difference. Loading reads one
file and nothing else; it must never let a secret into a URL, nor run anything that a pack says. `docs/packs.md` is the
manual.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from rotator.plugin_api import Plugin

from .problems import PackProblem, PackRefused, Report
from .reading import read_pack

PACKS: Final = Path(__file__).parent / "packs"


def shipped() -> tuple[str, ...]:
    """The names of the packs that come with the plugin, sorted."""
    return tuple(sorted(path.stem for path in PACKS.glob("*.yaml")))


def pack_path(source: str) -> Path:
    """The file of a pack: `source` is the name of a shipped one, or a path (it has a `/`, or ends in .yaml or .yml).

    Raises PackRefused when there is no such pack.
    """
    if "/" in source or source.endswith((".yaml", ".yml")):
        return Path(source)
    if source in shipped():
        return PACKS / f"{source}.yaml"
    report = Report(source)
    report.missing_pack(source, shipped())
    raise PackRefused(report.sorted())


def load_pack(source: str) -> Plugin[Any]:
    """The plugin that a pack describes. `source`: see `pack_path`. Raises PackRefused with all problems at once."""
    plugin, problems = read_pack(pack_path(source))
    if plugin is None or problems:
        raise PackRefused(problems)
    return plugin


def check_pack(path: str | Path) -> list[PackProblem]:
    """Everything that is wrong with the pack in the file `path`, in the order of the file; empty if it can be used."""
    return read_pack(Path(path))[1]


__all__ = ["PackProblem", "PackRefused", "check_pack", "pack_path", "load_pack", "shipped"]
