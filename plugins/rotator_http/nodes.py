"""YAML 1.2 into a tree that remembers where everything stands. Called by `reading`.

Only plain data: no anchors, no tags, no merges, no repeated keys; a bounded number of nodes, so a small file cannot
become a large one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

from .problems import Place, Report

MAX_BYTES: Final = 256 * 1024
MAX_DEPTH: Final = 30
Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Node:
    """A scalar, a list or a mapping of the file. `keys` says where each key of a mapping stands."""

    value: Scalar | list[Node] | dict[str, Node]
    line: int
    column: int
    keys: Mapping[str, Place] = field(default_factory=dict)

    def key(self, name: str) -> Place:
        """Where the key `name` stands; the node itself if it has no such key."""
        return self.keys.get(name, Place(self.line, self.column))

    @property
    def children(self) -> dict[str, Node]:
        """The members of a mapping; empty for anything else."""
        return self.value if isinstance(self.value, dict) else {}


def parse(text: str, report: Report) -> Node | None:
    """The tree of a file, or None if it is not YAML (the report says why)."""
    try:
        yaml = YAML(typ="safe", pure=True)
        aliases = [event for event in yaml.parse(text) if isinstance(event, AliasEvent)]
        if aliases:
            mark = aliases[0].start_mark
            report.add(Place(mark.line + 1, mark.column + 1), "syntax", "a pack has no anchors: write it out")
            return None
        root = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        spot = Place(mark.line + 1, mark.column + 1) if mark else Place()
        report.add(spot, "syntax", f"this is not YAML: {error.problem or error.context}")
        return None
    except (YAMLError, ValueError) as error:
        report.add(Place(), "syntax", f"this is not YAML: {str(error).splitlines()[0]}")
        return None
    if root is None:
        report.add(Place(), "syntax", "the file is empty")
        return None
    return _convert(root, report, 0)


def _convert(node: Any, report: Report, depth: int) -> Node:
    line, column = node.start_mark.line + 1, node.start_mark.column + 1
    here = Place(line, column)
    if depth > MAX_DEPTH:
        report.add(here, "syntax", f"more than {MAX_DEPTH} levels deep")
        return Node(None, line, column)
    if isinstance(node, SequenceNode):
        return Node([_convert(item, report, depth + 1) for item in node.value], line, column)
    if isinstance(node, MappingNode):
        return _mapping(node, report, depth)
    if isinstance(node, ScalarNode):
        return Node(_scalar(node, here, report), line, column)
    raise AssertionError(node)


def _mapping(node: MappingNode, report: Report, depth: int) -> Node:
    members: dict[str, Node] = {}
    keys: dict[str, Place] = {}
    for key, value in node.value:
        spot = Place(key.start_mark.line + 1, key.start_mark.column + 1)
        if not isinstance(key, ScalarNode):
            report.add(spot, "syntax", "a key is one word, not a list or a mapping (put texts with braces in quotes)")
            continue
        name = str(key.value)
        if name in members:
            report.add(spot, "repeated_key", f"{name!r} stands here twice; it was first said in line {keys[name].line}")
            continue
        if name == "<<":
            report.add(spot, "syntax", "a pack has no merges (<<); use `like`")
            continue
        members[name], keys[name] = _convert(value, report, depth + 1), spot
    return Node(members, node.start_mark.line + 1, node.start_mark.column + 1, keys)


def _scalar(node: ScalarNode, here: Place, report: Report) -> Scalar:
    kind, text = str(node.tag).removeprefix("tag:yaml.org,2002:"), str(node.value)
    if kind in {"str", "timestamp"}:
        return text
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    try:
        if kind == "int":
            return int(text.replace("_", ""), 0 if text.lower().startswith(("0x", "0o")) else 10)
        if kind == "float":
            return float(text)
    except ValueError:
        report.add(here, "syntax", f"{text!r} is not a number; put it in quotes if it is a text")
        return None
    report.add(here, "syntax", f"a pack has no YAML tags ({node.tag})")
    return None
