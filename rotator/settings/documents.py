"""Files of YAML 1.2 as plain data that still knows where every key stands.

Called by the loader. The only module that knows ruamel.yaml: it composes the node tree (which carries positions) and
builds plain dicts, lists and scalars from it. Dates stay text, duplicate keys are problems that name both places.
Must never resolve a tag to an object, follow an include, or put a value into a problem.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from .excerpts import SourceText
from .problems import Problem

Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]
Path_ = tuple[str | int, ...]

LARGEST_FILE: Final = 32 * 1024 * 1024
MOST_NODES: Final = 3_000_000  # an alias inside an alias inside an alias grows without end; this is where it stops

_TAG: Final = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class Document:
    """One file: its name as shown, its digest, its text, its data, and its node tree for positions."""

    name: str
    digest: str
    source: SourceText
    data: dict[str, Plain]
    root: MappingNode | None
    problems: tuple[Problem, ...] = ()
    section: str = ""
    """The only section that it may hold, because of the folder in which it lies; empty: all."""

    def locate(self, path: Path_) -> tuple[int, int]:
        """Line and column (from 1) of the last key of `path` that exists; of an item of a list, where it begins."""
        mark = self.root.start_mark if self.root is not None else None
        node: Node | None = self.root
        for step in path:
            pair = _step(node, step)
            if pair is None:
                break
            mark, node = pair[0].start_mark, pair[1]
        return (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)

    def locate_value(self, path: Path_) -> tuple[int, int]:
        """Line and column of the value at `path`, or of the nearest key when it is not there."""
        node: Node | None = self.root
        for step in path:
            pair = _step(node, step)
            if pair is None:
                return self.locate(path)
            node = pair[1]
        return (node.start_mark.line + 1, node.start_mark.column + 1) if node is not None else (1, 1)

    def is_blank(self, path: Path_) -> bool:
        """Whether nothing at all is written behind the key of `path`, not even `null`."""
        node: Node | None = self.root
        for step in path:
            pair = _step(node, step)
            if pair is None:
                return False
            node = pair[1]
        return isinstance(node, ScalarNode) and node.value == "" and node.style is None

    def problem(
        self, code: str, message: str, path: Path_ = (), *, value: bool = False, suggestion: str = ""
    ) -> Problem:
        """A problem at `path` of this file: at its key, or with `value` at its value."""
        line, column = self.locate_value(path) if value else self.locate(path)
        return problem_at(self, line, column, code, message, path, suggestion)


def problem_at(
    document: Document, line: int, column: int, code: str, message: str, path: Path_ = (), suggestion: str = ""
) -> Problem:
    """A problem at a line and column of a file, with its masked source line."""
    excerpt, caret = document.source.excerpt(line, column, scalars_of(document.root))
    where = ".".join(str(step) for step in path)
    return Problem(code, message, where, document.name, line, column, suggestion, excerpt, caret)


def digests(paths: Sequence[Path]) -> dict[str, str]:
    """sha256 of every file, by name: what tells that nothing changed since the definitions were accepted."""
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def read_document(path: Path, section: str = "") -> Document:
    """Read one file. What is wrong with it stands in `problems`; `data` is then as much as could be built."""
    return replace(_read(path), section=section)


def _read(path: Path) -> Document:
    name = str(path)
    try:
        raw = path.read_bytes()
        if len(raw) > LARGEST_FILE:
            return _broken(name, "", "CFG-UNREADABLE", f"the file is larger than {LARGEST_FILE // 1024 // 1024} MB")
        text = raw.decode("utf-8")
    except OSError as failed:
        reason = (failed.strerror or "it cannot be read").lower()
        return _broken(name, "", "CFG-UNREADABLE", f"the file cannot be read: {reason}")
    except UnicodeDecodeError:
        return _broken(name, "", "CFG-UNREADABLE", "the file is not UTF-8 text")
    return parse_document(name, text, hashlib.sha256(raw).hexdigest())


def parse_document(name: str, text: str, digest: str = "") -> Document:
    """Parse one text of YAML 1.2 (see `read_document`)."""
    source = SourceText(text)
    try:
        reader = YAML(typ="safe", pure=True)
        reader.composer.warn_double_anchors = False  # it would go past our problems to standard error
        nodes = list(reader.compose_all(text))
    except MarkedYAMLError as bad:
        return _bad_yaml(name, source, digest, bad)
    except (YAMLError, ValueError):
        return _broken(name, digest, "CFG-YAML", "the file is not YAML: it has a character that is not allowed")
    if len(nodes) > 1:
        return _broken(name, digest, "CFG-YAML", "one file holds one document: take out the `---` in the middle")
    root = nodes[0] if nodes else None
    if root is None or (isinstance(root, ScalarNode) and root.tag == f"{_TAG}null"):
        return _broken(name, digest, "CFG-EMPTY", "the file is empty")
    if not isinstance(root, MappingNode):
        return _broken(name, digest, "CFG-WRONG-TYPE", "the file must be a mapping that begins with `apiVersion:`")
    builder = _Builder()
    data = builder.build(root, ())
    document = Document(name, digest, source, data if isinstance(data, dict) else {}, root)
    found = tuple(
        problem_at(document, mark_line, column, code, message, path)
        for mark_line, column, code, message, path in builder.complaints
    )
    return Document(name, digest, source, document.data, root, found)


def scalars_of(root: Node | None) -> Iterator[tuple[Path_, ScalarNode]]:
    """Every scalar value of a file with its path; a subtree that is used twice comes once."""
    seen: set[int] = set()
    todo: list[tuple[Path_, Node]] = [] if root is None else [((), root)]
    while todo:
        path, node = todo.pop()
        if isinstance(node, ScalarNode):
            yield path, node
        elif id(node) not in seen:
            seen.add(id(node))
            if isinstance(node, MappingNode):
                todo.extend(((*path, _key_text(key)), value) for key, value in node.value)
            elif isinstance(node, SequenceNode):
                todo.extend(((*path, number), value) for number, value in enumerate(node.value))


@dataclass(slots=True)
class _Builder:
    """Node tree to plain data. Complaints are (line, column, code, message, path)."""

    complaints: list[tuple[int, int, str, str, Path_]] = field(default_factory=list)
    open: set[int] = field(default_factory=set)
    nodes: int = 0

    def build(self, node: Node, path: Path_) -> Plain:
        self.nodes += 1
        if self.nodes > MOST_NODES or id(node) in self.open:
            if self.nodes <= MOST_NODES + 1 or id(node) in self.open:
                self._complain(node, "CFG-YAML", "an anchor of this file holds itself, or they grow without end", path)
            return None
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        self.open.add(id(node))
        try:
            if isinstance(node, MappingNode):
                return self._mapping(node, path)
            assert isinstance(node, SequenceNode)
            return [self.build(item, (*path, number)) for number, item in enumerate(node.value)]
        finally:
            self.open.discard(id(node))

    def _mapping(self, node: MappingNode, path: Path_) -> dict[str, Plain]:
        built: dict[str, Plain] = {}
        inherited: dict[str, Plain] = {}
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            if key_node.tag == f"{_TAG}merge":
                merged = self.build(value_node, path)
                for one in merged if isinstance(merged, list) else [merged]:
                    inherited = {**(one if isinstance(one, dict) else {}), **inherited}
                continue
            if not isinstance(key_node, ScalarNode):
                self._complain(key_node, "CFG-WRONG-TYPE", "a key is one word, not a list or mapping", path)
                continue
            key = _key_text(key_node)
            if key in built:
                message = f"`{key}` stands here and already in line {first[key]}: one of the two must go"
                self._complain(key_node, "CFG-DUPLICATE-ID", message, (*path, key))
                continue
            first[key] = key_node.start_mark.line + 1
            built[key] = self.build(value_node, (*path, key))
        return {**inherited, **built}

    def _scalar(self, node: ScalarNode, path: Path_) -> Plain:
        kind = str(node.tag).removeprefix(_TAG)
        text: str = node.value
        if kind in ("str", "timestamp"):
            return text
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        try:
            if kind == "int":
                return _integer(text)
            if kind == "float":
                return float(text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))
        except ValueError:
            return text
        self._complain(node, "CFG-YAML", "a tag (`!...`) is not allowed here: write the plain value", path)
        return text

    def _complain(self, node: Node, code: str, message: str, path: Path_) -> None:
        self.complaints.append((node.start_mark.line + 1, node.start_mark.column + 1, code, message, path))


def _integer(text: str) -> int:
    digits = text.replace("_", "")
    return int(digits, 0) if digits.lstrip("+-")[:2].lower() in ("0o", "0x", "0b") else int(digits, 10)


def _key_text(node: Node) -> str:
    return node.value if isinstance(node, ScalarNode) else "?"


def _step(node: Node | None, step: str | int) -> tuple[Node, Node] | None:
    """The (key, value) nodes of one step down; an item of a list is its own key. Merged keys count."""
    if isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    if not isinstance(node, MappingNode):
        return None
    for key, value in node.value:
        if isinstance(key, ScalarNode) and key.tag != f"{_TAG}merge" and key.value == str(step):
            return key, value
    for key, value in node.value:
        if key.tag == f"{_TAG}merge":
            for one in value.value if isinstance(value, SequenceNode) else [value]:
                found = _step(one, step)
                if found is not None:
                    return found
    return None


def _broken(name: str, digest: str, code: str, message: str) -> Document:
    problem = Problem(code, message, "", name, 1, 1)
    return Document(name, digest, SourceText(""), {}, None, (problem,))


def _bad_yaml(name: str, source: SourceText, digest: str, bad: MarkedYAMLError) -> Document:
    mark: Any = bad.problem_mark or bad.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
    excerpt, caret = source.blind_excerpt(line, column)
    problem = Problem("CFG-YAML", _yaml_words(bad), "", name, line, column, "", excerpt, caret)
    return Document(name, digest, source, {}, None, (problem,))


_YAML_WORDS: Final[Mapping[str, str]] = {
    "found character '\\t' that cannot start any token": "a tab: YAML is indented with spaces",
    "mapping values are not allowed here": "a second `: ` in one line: put the text into quotes",
    "could not find expected ':'": "a key without its `:`",
    "expected <block end>, but found '-'": "this `-` does not belong to the list above: check the indentation",
    "expected <block end>, but found '<block mapping start>'": "this key is indented otherwise than the one above it",
    "expected ',' or '}', but got": "the `{` is not closed, or a comma is missing",
    "expected ',' or ']', but got": "the `[` is not closed, or a comma is missing",
    "found unexpected end of stream": "a quote is opened and not closed",
    "found undefined alias": "this alias (`*...`) has no anchor (`&...`)",
}


def _yaml_words(bad: MarkedYAMLError) -> str:
    complaint = str(bad.problem or "")
    for beginning, words in _YAML_WORDS.items():
        if complaint.startswith(beginning):
            return words
    return "the file is not YAML here: check quotes, brackets and indentation"
