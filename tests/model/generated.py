"""The generated mutants: every comparison turned round and every constant changed, once each. Called by `mutants`.

A mutant is named by file, function and text, not by line: explanations of survivors outlive edits elsewhere.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

OPPOSITE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.GtE,
    ast.LtE: ast.Gt,
    ast.Gt: ast.LtE,
    ast.GtE: ast.Lt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
PATTERNS = ("rungs_*.py", "evolve*.py", "policy.py", "ripe.py", "guard.py")


@dataclass(frozen=True)
class Flip:
    """One change: the text between two offsets is another. `name` is what explanations are kept by."""

    name: str
    file: str
    line: int
    start: int
    end: int
    new: str

    def applied(self, text: str) -> str:
        """The file with the change."""
        raw = text.encode()
        return (raw[: self.start] + self.new.encode() + raw[self.end :]).decode()


def flips(machine: Path) -> list[Flip]:
    """All of them, in the order of the files."""
    found: list[Flip] = []
    for pattern in PATTERNS:
        for path in sorted(machine.glob(pattern)):
            found += _of_file(path)
    return found


def _of_file(path: Path) -> Iterator[Flip]:
    text = path.read_text()
    starts = [0]
    for line in text.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    met: Counter[str] = Counter()
    for where, node in _walk(ast.parse(text), ""):
        changed = _changed(node)
        if changed is None or node.end_lineno is None or node.end_col_offset is None:
            continue
        name = f"{path.stem}.{where}: {ast.unparse(node)}"
        met[name] += 1
        if met[name] > 1:
            name += f" ({met[name]})"
        start = starts[node.lineno - 1] + node.col_offset
        end = starts[node.end_lineno - 1] + node.end_col_offset
        yield Flip(name, path.name, node.lineno, start, end, changed)


def _walk(node: ast.AST, where: str) -> Iterator[tuple[str, ast.expr]]:
    """Expressions that run, with the function they stand in: no annotations, no defaults of signatures."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef):
            for line in child.body:
                yield from _walk(ast.Module([line], []), child.name)
            continue
        if isinstance(child, ast.expr):
            yield where or "module", child
        yield from _walk(child, where)


def _changed(node: ast.expr) -> str | None:
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        turned = ast.Compare(node.left, [OPPOSITE[type(node.ops[0])]()], node.comparators)
        return f"({ast.unparse(turned)})"
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        return str(not node.value)
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return str(node.value + 1)
    return None
