"""From files to a configuration, or to everything that is wrong with them, all at once.

Called by `config validate`, at the start and at a reload. Nothing is half loaded: `load` returns a whole configuration
or raises. Must never read a value that a reference points to.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from rotator.machine.ids import Millis

from .abilities import Kinds, against_traits
from .connections import Endpoint, Store
from .documents import Document, files_of, parse_document, read_document
from .governance import Credential, Policy
from .models import Configuration
from .objections import Parts, objections, parts_of
from .problems import ConfigurationRefused, Problem, in_order
from .references import references
from .sources import Sources, merge
from .wording import problems_of

T = TypeVar("T")

_ADAPTERS: dict[str, TypeAdapter[Any]] = {
    "stores": TypeAdapter(Store),
    "endpoints": TypeAdapter(Endpoint),
    "policies": TypeAdapter(Policy),
    "credentials": TypeAdapter(Credential),
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration without errors; its warnings; the digest of each file; where everything stands."""

    configuration: Configuration
    warnings: tuple[Problem, ...] = ()
    digests: dict[str, str] = field(default_factory=dict)
    sources: Sources = field(default_factory=Sources)


def load(path: Path, *, plugins: Collection[str] | None = None, now: Millis | None = None) -> Loaded:
    """Load one file, or every *.yaml and *.yml of a directory.

    `plugins`: names of those installed, None when that is not to be checked. `now`: for warnings about expiries.
    Raises ConfigurationRefused with every problem found.
    """
    try:
        files = files_of(path)
    except OSError as failed:
        reason = (failed.strerror or "it cannot be read").lower()
        raise ConfigurationRefused([Problem("CFG-UNREADABLE", f"cannot be read: {reason}", "", str(path))]) from None
    if not files:
        raise ConfigurationRefused([Problem("CFG-EMPTY", "no *.yaml or *.yml file is here", "", str(path))])
    return load_documents([read_document(one) for one in files], plugins=plugins, now=now)


def load_text(
    text: str, name: str = "<text>", *, plugins: Collection[str] | None = None, now: Millis | None = None
) -> Loaded:
    """The same for one text."""
    return load_documents([parse_document(name, text)], plugins=plugins, now=now)


def load_documents(
    documents: Sequence[Document], *, plugins: Collection[str] | None = None, now: Millis | None = None
) -> Loaded:
    """The same for documents already read."""
    found = [problem for document in documents for problem in document.problems]
    if any(document.root is None for document in documents):
        # Half of the names would be missing, and every reference to them would be told as an error of its own.
        raise ConfigurationRefused(found)
    sources, twice = merge(documents)
    found += twice
    found += references(sources, plugins)
    configuration: Configuration | None = None
    try:
        configuration = Configuration.model_validate(sources.data)
        parts = parts_of(configuration)
    except ValidationError as error:
        found += problems_of(error, sources)
        parts = _sound_parts(sources)
    found += objections(parts, sources, now)
    found = _without_echoes(found)
    errors = [problem for problem in found if not problem.warning]
    if errors or configuration is None:
        raise ConfigurationRefused(found)
    digest_of = {document.name: document.digest for document in documents}
    return Loaded(configuration, in_order(found), digest_of, sources)


def check_traits(loaded: Loaded, kinds: Kinds) -> None:
    """Raises ConfigurationRefused if the kinds cannot do what the policies ask."""
    configuration = loaded.configuration
    problems = against_traits(parts_of(configuration), configuration.installation, kinds, loaded.sources)
    if problems:
        raise ConfigurationRefused(problems)


def _sound_parts(sources: Sources) -> Parts:
    """The definitions that are right by themselves, so that the others do not hide what these do wrong together."""
    sound: dict[str, dict[str, Any]] = {}
    for section, adapter in _ADAPTERS.items():
        definitions = sources.data.get(section)
        sound[section] = {}
        for name, definition in (definitions if isinstance(definitions, dict) else {}).items():
            try:
                sound[section][name] = adapter.validate_python(definition)
            except ValidationError:
                continue
    return Parts(**sound)


def _without_echoes(problems: list[Problem]) -> list[Problem]:
    """One problem at one place: what a secret in clear, or a misspelt key, breaks besides is not told again."""
    misspelt = {(one.file, one.where.rpartition(".")[0], one.suggestion) for one in problems if one.suggestion}
    secret = {(one.file, one.where) for one in problems if one.code == "CFG-SECRET-IN-CLEAR"}
    kept: list[Problem] = []
    told: set[tuple[str, str]] = set()
    seen: set[tuple[str, str, str]] = set()
    for one in problems:
        place = (one.file, one.where)
        if place in secret and (one.code != "CFG-SECRET-IN-CLEAR" or place in told):
            continue
        if any((one.file, one.where, key) in misspelt for key in _missing_key(one)):
            continue
        if (one.file, one.where, one.code) in seen:
            continue
        seen.add((one.file, one.where, one.code))
        if one.code == "CFG-SECRET-IN-CLEAR":
            told.add(place)
        kept.append(one)
    return kept


def _missing_key(problem: Problem) -> list[str]:
    """The key that a problem says is missing."""
    return re.findall(r"^(?:every file begins with )?`([A-Za-z_]+)(?:`.* is missing|: )", problem.message)
