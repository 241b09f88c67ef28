"""What the formatter must know of a file's node tree: which lines belong to a value, what is in braces, which order.

Called by `fmt` only. Positions are of the text that was parsed; lines and columns count from 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from .documents import Document, Path_, Plain
from .shapes import expected_at, is_model, keys_of

_MERGE = "tag:yaml.org,2002:merge"


@dataclass(slots=True)
class Entry:
    """A key of a block mapping: its lines `begin` to `end` (not included), and the comment lines above it."""

    name: str
    key: Node
    value: Node
    begin: int
    end: int
    lead: list[str]


@dataclass(frozen=True, slots=True)
class Item:
    """A node and its path in the configuration."""

    node: Node
    path: Path_

    @property
    def is_mapping(self) -> bool:
        return isinstance(self.node, MappingNode)

    def pairs(self) -> list[tuple[Node, Node]]:
        """Keys and values of a mapping."""
        return list(self.node.value)


@dataclass(frozen=True, slots=True)
class Span:
    """What is to stand between two columns of a line."""

    begin: int
    end: int
    text: str


@dataclass(slots=True)
class Tree:
    """A parsed file: its data; lines that are inside a value of several lines; whether it has anchors."""

    data: dict[str, Plain]
    lines: list[str]
    protected: set[int] = field(default_factory=set)
    anchored: bool = False
    _scalars: list[ScalarNode] = field(default_factory=list)
    _kept: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, document: Document, lines: list[str]) -> Tree:
        """From a document that has a root, and its lines."""
        tree = cls(document.data, lines)
        seen: set[int] = set()
        todo: list[Node] = [document.root] if document.root is not None else []
        while todo:
            node = todo.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            tree.anchored |= bool(node.anchor)
            if isinstance(node, ScalarNode):
                tree._scalars.append(node)
                tree._protect(node)
            elif isinstance(node, MappingNode):
                todo += [part for pair in node.value for part in pair]
            elif isinstance(node, SequenceNode):
                todo += node.value
        return tree

    def _protect(self, node: ScalarNode) -> None:
        start, end = node.start_mark.line, node.end_mark.line
        if node.style not in ("|", ">"):
            self.protected.update(range(start + 1, end + 1))
            return
        last = end if node.end_mark.column else end - 1
        lines = self.lines
        kept = "+" in lines[start][node.start_mark.column :].split("#")[0]
        while not kept and last > start and (last >= len(lines) or not lines[last].strip()):
            last -= 1
        self.protected.update(range(start + 1, last + 1))
        self._kept.update(range(start + 1, last + 1))

    def keeps_blanks(self, number: int) -> bool:
        """Whether spaces of an empty line may count: inside a text with `|` or `>`."""
        return number in self._kept

    def scalar_columns(self) -> dict[int, list[tuple[int, int]]]:
        """By line, the columns that belong to values."""
        found: dict[int, list[tuple[int, int]]] = {}
        for node in self._scalars:
            start, end = node.start_mark, node.end_mark
            block = node.style in ("|", ">")
            for number in range(start.line, end.line + 1):
                if block and number not in self.protected:
                    continue
                begin = start.column if number == start.line and not block else 0
                stop = end.column if number == end.line and not block else 1_000_000
                found.setdefault(number, []).append((begin, stop))
        return found

    def is_alias(self, key: Node, value: Node) -> bool:
        """Whether a value stands elsewhere, before its key."""
        return bool(value.start_mark.index < key.start_mark.index)


def is_block(node: Node) -> bool:
    """A mapping or list that is not in braces."""
    return isinstance(node, MappingNode | SequenceNode) and not node.flow_style


def is_sorted_by(item: Item, data: Plain) -> Callable[[str], int]:
    """The place of a key of this mapping: in the order of the reference; what is not ours stays behind, as it was."""
    _, expected = expected_at(item.path, data)
    order = ["<<", *keys_of(expected)] if is_model(expected) else ["<<"] if expected is None else []
    places = {key: number for number, key in enumerate(order)}
    return lambda key: places.get(key, len(places))


def flow_text(item: Item, tree: Tree, line: int) -> Span | None:
    """A value in braces that begins and ends in this line, put in order; None: there is none, or it stays as it is."""
    node = item.node
    if tree.anchored or not isinstance(node, MappingNode | SequenceNode) or not node.flow_style:
        return None
    if node.start_mark.line != line or node.end_mark.line != line:
        return None
    made = _flow(item, tree.data, tree.lines[line])
    return Span(node.start_mark.column, node.end_mark.column, made)


def _flow(item: Item, data: Plain, source: str) -> str:
    node = item.node
    written = source[node.start_mark.column : node.end_mark.column]
    if isinstance(node, MappingNode) and written.startswith("{") and written.endswith("}"):
        order = is_sorted_by(item, data)
        pairs = sorted(item.pairs(), key=lambda pair: order(str(pair[0].value)))
        parts = []
        for key, value in pairs:
            name = source[key.start_mark.column : key.end_mark.column]
            made = _flow(Item(value, (*item.path, str(key.value))), data, source)
            if not isinstance(key, ScalarNode) or not name or not made:
                return written
            parts.append(f"{name}: {made}")
        return f"{{{', '.join(parts)}}}"
    if isinstance(node, SequenceNode) and written.startswith("[") and written.endswith("]"):
        items = [_flow(Item(one, (*item.path, number)), data, source) for number, one in enumerate(node.value)]
        return f"[{', '.join(items)}]" if all(items) else written
    return written
