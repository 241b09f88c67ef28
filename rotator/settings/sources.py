"""Several files as one configuration, and where each part of it came from.

Made by the loader from documents; asked by everything that has a problem to place. Must never merge two definitions of
one id: that is a problem which names both places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from .documents import Document, Path_, Plain, scalars_of
from .models import API_VERSION, SECTIONS
from .problems import Problem, nearest

_MERGED_ONE_DOWN = (*SECTIONS, "daemon", "plugins")
_KNOWN = ("apiVersion", "installation", "daemon", "plugins", *SECTIONS)


@dataclass(frozen=True, slots=True)
class Sources:
    """The merged data and, for each top-level key and each id, the document in which it stands.

    Without documents (definitions that came from the ledger) every problem is made without a place.
    """

    documents: tuple[Document, ...] = ()
    data: dict[str, Plain] = field(default_factory=dict)
    origins: dict[Path_, Document] = field(default_factory=dict)

    def document(self, path: Path_) -> Document | None:
        """The document in which `path` stands, or would stand."""
        for length in (2, 1):
            found = self.origins.get(path[:length])
            if found is not None:
                return found
        return self.documents[0] if self.documents else None

    def problem(
        self,
        code: str,
        message: str,
        path: Path_ = (),
        *,
        value: bool = False,
        suggestion: str = "",
        warning: bool = False,
    ) -> Problem:
        """A problem at the key of `path` (or at its value), in the file in which it stands."""
        document = self.document(path)
        where = ".".join(str(step) for step in path)
        if document is None:
            return Problem(code, message, where, suggestion=suggestion, warning=warning)
        made = document.problem(code, message, path, value=value, suggestion=suggestion)
        return replace(made, warning=warning)

    def place(self, path: Path_) -> str:
        """`file:line` of a key, for a message that names a second place; without files the path in words."""
        document = self.document(path)
        if document is None:
            return ".".join(str(step) for step in path)
        return f"{document.name}:{document.locate(path)[0]}"

    def scalar_paths(self) -> list[tuple[Document, Path_, str]]:
        """Every scalar as written, with its document and path."""
        return [
            (document, path, str(node.value))
            for document in self.documents
            for path, node in scalars_of(document.root)
            if str(node.tag).endswith(":str")
        ]


def merge(documents: Sequence[Document]) -> tuple[Sources, tuple[Problem, ...]]:
    """All documents as one. Sections are merged by id, `daemon` by key; nothing may be said twice but apiVersion."""
    data: dict[str, Plain] = {}
    origins: dict[Path_, Document] = {}
    problems: list[Problem] = []
    for document in documents:
        if document.root is not None:
            problems += _version_of(document)
        for key, value in document.data.items():
            if key == "apiVersion":
                data.setdefault(key, value)
                origins.setdefault((key,), document)
            elif key in _MERGED_ONE_DOWN and isinstance(value, dict):
                held = data.setdefault(key, {})
                origins.setdefault((key,), document)
                for name, definition in value.items():
                    path = (key, name)
                    if path in origins:
                        problems.append(_twice(document, origins[path], path))
                    elif isinstance(held, dict):
                        held[name] = definition
                        origins[path] = document
            elif key in _MERGED_ONE_DOWN and value is None and key in SECTIONS:
                problems.append(document.problem("CFG-EMPTY", "the section is empty: take it out or fill it", (key,)))
            elif (key,) in origins:
                problems.append(_twice(document, origins[(key,)], (key,)))
            else:
                data[key] = value
                origins[(key,)] = document
    return Sources(tuple(documents), data, origins), tuple(problems)


def _twice(here: Document, there: Document, path: Path_) -> Problem:
    name = path[-1]
    line = there.locate(path)[0]
    return here.problem("CFG-DUPLICATE-ID", f"`{name}` stands here and already in {there.name}:{line}", path)


def _version_of(document: Document) -> list[Problem]:
    if "apiVersion" not in document.data:
        similar = nearest("apiVersion", (key for key in document.data if key not in _KNOWN))
        if similar:
            return []  # a misspelt key is told as such
        return [document.problem("CFG-MISSING", f"every file begins with `apiVersion: {API_VERSION}`")]
    if document.data["apiVersion"] != API_VERSION:
        message = "this version of the language is not known"
        return [document.problem("CFG-BAD-ENUM", message, ("apiVersion",), value=True, suggestion=API_VERSION)]
    return []
