"""Several files as one configuration, and where each part of it came from.

Made by the loader from documents; asked by everything that has a problem to place. Must never merge two definitions of
one id: that is a problem which names both places.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from .documents import Document, Path_, Plain, scalars_of
from .models import API_VERSION, SECTIONS
from .problems import Problem, nearest

_MERGED_ONE_DOWN = (*SECTIONS, "daemon", "plugins")
_KNOWN = ("apiVersion", "installation", "daemon", "plugins", "notify", *SECTIONS)


@dataclass(frozen=True, slots=True)
class Sources:
    """The merged data and, for each top-level key and each id, the document in which it stands.

    `inherited`: a path of the data -> the path at which a parent has it written. `referred`: a path -> the references
    (`${env:NAME}`) of which its text was made. `parents`: of each policy that has one. `unresolved`: policies whose
    parents could not be followed.
    Without documents (definitions that came from the ledger) every problem is made without a place.
    """

    documents: tuple[Document, ...] = ()
    data: dict[str, Plain] = field(default_factory=dict)
    origins: dict[Path_, Document] = field(default_factory=dict)
    inherited: Mapping[Path_, Path_] = field(default_factory=dict)
    referred: Mapping[Path_, tuple[str, ...]] = field(default_factory=dict)
    parents: Mapping[str, str] = field(default_factory=dict)
    unresolved: frozenset[str] = frozenset()

    def document(self, path: Path_) -> Document | None:
        """The document in which `path` stands, or would stand."""
        path = self.written(path)
        for length in (2, 1):
            found = self.origins.get(path[:length])
            if found is not None:
                return found
        return self.documents[0] if self.documents else None

    def written(self, path: Path_) -> Path_:
        """Where `path` is written: itself, or the path in the parent policy from which it came."""
        for length in range(len(path), 2, -1):
            found = self.inherited.get(path[:length])
            if found is not None:
                return (*found, *path[length:])
        return path

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
        document, there = self.document(path), self.written(path)
        where = ".".join(str(step) for step in path)
        if there != path:
            message = f"{message} (`{path[1]}` has it from `{there[1]}`)"
        elif value and there in self.referred:
            message = f"{message} (this is what {' and '.join(self.referred[there])} gave)"
        if document is None:
            return Problem(code, message, where, suggestion=suggestion, warning=warning)
        made = document.problem(code, message, there, value=value, suggestion=suggestion)
        return replace(made, where=where, warning=warning)

    def place(self, path: Path_) -> str:
        """`file:line` of a key, for a message that names a second place; without files the path in words."""
        document = self.document(path)
        if document is None:
            return ".".join(str(step) for step in path)
        return f"{document.name}:{document.locate(self.written(path))[0]}"

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
            if document.section and key in _KNOWN and key not in ("apiVersion", document.section):
                problems.append(_elsewhere(document, key))
            elif key == "apiVersion":
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


def _elsewhere(document: Document, key: str) -> Problem:
    """A file of a section's folder is as its owners may change it: they may not change another section there."""
    words = f"a file in the folder `{document.section}` holds `{document.section}:` only: move this out of the folder"
    return document.problem("CFG-WRONG-FOLDER", words, (key,))


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
