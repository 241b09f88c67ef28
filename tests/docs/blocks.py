"""Generated blocks inside documents that people write: found by their markers, replaced whole.

Used by `python -m tests.docs` and by the tests that hold the documents to the code.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]


def begin(name: str) -> str:
    """The line before a block."""
    return f"<!-- generated: {name} -->"


def end(name: str) -> str:
    """The line after a block."""
    return f"<!-- end of generated: {name} -->"


def block(name: str, body: str) -> str:
    """A block with its markers, as it stands in a document."""
    return f"{begin(name)}\n\n{body.strip()}\n\n{end(name)}"


def found(path: Path, name: str) -> str:
    """The block that stands in a document. ValueError if it has none."""
    text = path.read_text(encoding="utf-8")
    return text[text.index(begin(name)) : text.index(end(name)) + len(end(name))]


def put(path: Path, name: str, body: str) -> bool:
    """Replace the block in a document; whether it was another one."""
    old, new = found(path, name), block(name, body)
    if old == new:
        return False
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    return True


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; a pipe inside a cell is escaped."""
    lines = [list(head), ["---"] * len(head), *[[cell.replace("|", "\\|") for cell in row] for row in rows]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
