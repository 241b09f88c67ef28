"""An XML answer becomes what a JSON pointer can walk: mappings, lists and texts. Pure; no I/O.

Called by `answer` for answers whose content type says XML. Names lose their namespace, attributes are dropped, every
child stands in a list of its own name, so that one row and many rows read alike. A document type is refused: it is the
way to entities that name files or grow without end. Must never keep the text that it was given.
"""

from __future__ import annotations

from typing import Any, Final
from xml.parsers import expat

DEEPEST: Final = 64
MOST: Final = 100_000


class Unreadable(ValueError):
    """No XML, or more of it than is read."""


class Nodes(list[Any]):
    """The children of one name: each a text, or a mapping of the names of its children to Nodes."""

    __slots__ = ()


def parsed(raw: bytes) -> dict[str, Nodes]:
    """The document as a mapping of its root's name. Raises Unreadable."""
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.refuse
    try:
        parser.Parse(raw, True)
    except (expat.ExpatError, ValueError, LookupError):
        raise Unreadable("no XML") from None
    return reader.top


class _Reader:
    """The handlers of one document."""

    __slots__ = ("_left", "_open", "top")

    def __init__(self) -> None:
        self.top: dict[str, Nodes] = {}
        self._open: list[tuple[str, dict[str, Nodes], list[str]]] = []
        self._left = MOST

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._left -= 1
        if self._left < 0 or len(self._open) >= DEEPEST:
            raise Unreadable("too much")
        self._open.append((name.rpartition(" ")[2], {}, []))

    def text(self, piece: str) -> None:
        self._open[-1][2].append(piece)

    def end(self, name: str) -> None:
        own, children, pieces = self._open.pop()
        above = self._open[-1][1] if self._open else self.top
        # Beside children there is only the space between them.
        above.setdefault(own, Nodes()).append(children or "".join(pieces))

    def refuse(self, *declared: object) -> None:
        raise Unreadable("a document type")


def alone(value: Any) -> Any:
    """The one node, where there is one of its name."""
    return value[0] if isinstance(value, Nodes) and len(value) == 1 else value
