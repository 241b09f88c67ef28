"""From files to a configuration, or to everything that is wrong with them, all at once.

Called by `config validate`, at the start and at a reload. Nothing is half loaded: `load` returns a whole configuration
or raises. Must never read a value that a reference points to.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from rotator.machine.ids import Millis

from . import lint, parents
from .abilities import Kinds, against_traits
from .connections import Endpoint, Store
from .documents import Document, parse_document, read_document
from .expansion import Environment, expand
from .folders import files_of, section_of, strange_folders
from .governance import Credential, Policy
from .models import Configuration
from .objections import Parts, objections, parts_of
from .problems import ConfigurationRefused, Problem, in_order
from .references import references
from .slots import without_slot
from .sources import Sources, merge
from .wording import problems_of

T = TypeVar("T")

_SECRET: Final = ("CFG-SECRET-BY-REFERENCE", "CFG-SECRET-IN-CLEAR", "CFG-BAD-REFERENCE", "CFG-UNRESOLVED")
_ADAPTERS: dict[str, TypeAdapter[Any]] = {
    "stores": TypeAdapter(Store),
    "endpoints": TypeAdapter(Endpoint),
    "policies": TypeAdapter(Policy),
    "credentials": TypeAdapter(Credential),
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration without errors; its warnings; digests of the files and of what `${…}` read; where all stands."""

    configuration: Configuration
    warnings: tuple[Problem, ...] = ()
    digests: dict[str, str] = field(default_factory=dict)
    sources: Sources = field(default_factory=Sources)


def load(
    path: Path,
    *,
    plugins: Collection[str] | None = None,
    now: Millis | None = None,
    environment: Environment | None = None,
) -> Loaded:
    """Load one file, or a directory (`folders`).

    `plugins`: names of those installed, None when that is not to be checked. `now`: for warnings about expiries.
    `environment`: what `${env:NAME}` names; none: that of this process.
    Raises ConfigurationRefused with every problem found.
    """
    try:
        files = files_of(path)
        strange = tuple(strange_folders(path))
    except OSError as failed:
        reason = (failed.strerror or "it cannot be read").lower()
        raise ConfigurationRefused([Problem("CFG-UNREADABLE", f"cannot be read: {reason}", "", str(path))]) from None
    if not files:
        raise ConfigurationRefused([Problem("CFG-EMPTY", "no *.yaml or *.yml file is here", "", str(path))])
    documents = [read_document(one, section_of(path, one)) for one in files]
    return load_documents(documents, plugins=plugins, now=now, environment=environment, beside=strange)


def load_text(
    text: str,
    name: str = "<text>",
    *,
    plugins: Collection[str] | None = None,
    now: Millis | None = None,
    environment: Environment | None = None,
) -> Loaded:
    """The same for one text."""
    return load_documents([parse_document(name, text)], plugins=plugins, now=now, environment=environment)


def load_documents(
    documents: Sequence[Document],
    *,
    plugins: Collection[str] | None = None,
    now: Millis | None = None,
    environment: Environment | None = None,
    beside: Sequence[Problem] = (),
) -> Loaded:
    """The same for documents already read. `beside`: problems of the directory that are told with the rest."""
    found = [*beside, *(problem for document in documents for problem in document.problems)]
    if any(document.root is None for document in documents):
        # Half of the names would be missing, and every reference to them would be told as an error of its own.
        raise ConfigurationRefused(found)
    sources, twice = merge(documents)
    expanded = expand(sources, os.environ if environment is None else environment)
    sources, lost = parents.resolve(expanded.sources)
    found += [*twice, *expanded.problems, *lost]
    found += references(sources, plugins)
    configuration: Configuration | None = None
    try:
        configuration = Configuration.model_validate(sources.data)
        parts = parts_of(configuration)
    except ValidationError as error:
        found += problems_of(error, sources)
        parts = _sound_parts(sources)
    found += objections(parts, sources, now)
    if configuration is not None and not lint.errors_of(found):
        found += lint.lint(configuration, sources)
        found += without_slot(configuration, sources, now) if now is not None else ()
    found = parents.echoes(_without_echoes(found), sources)
    errors = [problem for problem in found if not problem.warning]
    if errors or configuration is None:
        raise ConfigurationRefused(found)
    digest_of = {document.name: document.digest for document in documents} | expanded.digests
    return Loaded(configuration, in_order(found), digest_of, sources)


def check_traits(loaded: Loaded, kinds: Kinds) -> None:
    """Raises ConfigurationRefused if the kinds cannot do what the policies ask."""
    configuration = loaded.configuration
    problems = against_traits(parts_of(configuration), configuration.installation, kinds, loaded.sources)
    problems += lint.lint_traits(configuration, kinds, loaded.sources)
    if lint.errors_of(problems):
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
    secret = {(one.file, one.where) for one in problems if one.code in _SECRET}
    kept: list[Problem] = []
    told: set[tuple[str, str]] = set()
    seen: set[tuple[str, str, str]] = set()
    for one in problems:
        place = (one.file, one.where)
        if place in secret and (one.code not in _SECRET or place in told):
            continue
        if any((one.file, one.where, key) in misspelt for key in _missing_key(one)):
            continue
        if (one.file, one.where, one.code) in seen:
            continue
        seen.add((one.file, one.where, one.code))
        if one.code in _SECRET:
            told.add(place)
        kept.append(one)
    return kept


def _missing_key(problem: Problem) -> list[str]:
    """The key that a problem says is missing."""
    return re.findall(r"^(?:every file begins with )?`([A-Za-z_]+)(?:`.* is missing|: )", problem.message)
