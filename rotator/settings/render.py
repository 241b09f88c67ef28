"""What counts, key by key, and where each value comes from.

Called by `rotator config render`. The text that it gives is a configuration again: parents followed, references
replaced, defaults written out; loaded, it gives the same configuration. No secret can be in it, since none is in the
configuration.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from .documents import Path_, Plain
from .expansion import escaped
from .loader import Loaded

_PLAIN: Final = re.compile(
    r"[A-Za-z/][A-Za-z0-9 ._/@+-]*[A-Za-z0-9._/@+-]|[A-Za-z]|(?:[0-9]+(?:ms|[dhms]))+|[0-9]{4}-[0-9]{2}-[0-9]{2}"
)
_NOT_PLAIN: Final = re.compile(r"(?i)true|false|null|yes|no|on|off|y|n|~|nan|inf")
_EXACT_KEY: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from. `kind`: file, policy, default. `place`: file:line. `policy`: the parent that has it.
    `references`: what it was made of."""

    kind: str
    place: str = ""
    policy: str = ""
    references: tuple[str, ...] = ()

    def in_words(self) -> str:
        """`rotator.yaml:12`, `policy standard (policies/base.yaml:3)`, `default`; then the references."""
        made = f", from {' and '.join(self.references)}" if self.references else ""
        if self.kind == "policy":
            return f"policy {self.policy} ({self.place}){made}"
        return f"{self.place or self.kind}{made}"


@dataclass(frozen=True, slots=True)
class Value:
    """One effective value: a scalar, or a list as a whole."""

    path: Path_
    value: Plain
    origin: Origin

    def as_json(self) -> dict[str, Any]:
        """For `-o json`."""
        return {
            "path": list(self.path),
            "value": self.value,
            "origin": self.origin.kind,
            "place": self.origin.place,
            "policy": self.origin.policy,
            "references": list(self.origin.references),
        }


def effective(loaded: Loaded) -> dict[str, Plain]:
    """The whole configuration as plain data, defaults written out; what is not said and has no default is left out."""
    plain: dict[str, Plain] = loaded.configuration.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {key: _without_idle(value, (key,), loaded) for key, value in plain.items()}


def _without_idle(value: Plain, path: Path_, loaded: Loaded) -> Plain:
    """Without the empty lists and mappings that nobody wrote: they say nothing."""
    if not isinstance(value, dict):
        return value
    return {
        key: _without_idle(one, (*path, key), loaded)
        for key, one in value.items()
        if one not in ([], {}) or _is_said(loaded.sources.data, (*path, key))
    }


def values(loaded: Loaded, only: Path_ = ()) -> Iterator[Value]:
    """Every effective value in the order of the language, or those below a path. LookupError: nothing is there."""
    found = _at(effective(loaded), only)
    for path, value in _leaves(found, only):
        yield Value(path, value, origin(loaded, path))


def origin(loaded: Loaded, path: Path_) -> Origin:
    """Where the value at `path` comes from."""
    sources = loaded.sources
    if not _is_said(sources.data, path):
        return Origin("default")
    written, document = sources.written(path), sources.document(path)
    place = "" if document is None else f"{document.name}:{document.locate(written)[0]}"
    references = tuple(one for at, those in sources.referred.items() if at[: len(written)] == written for one in those)
    if written != path:
        return Origin("policy", place, str(written[1]), references)
    return Origin("file", place, "", references)


def text(loaded: Loaded, *, origins: bool = False, only: Path_ = ()) -> str:
    """The effective configuration as YAML; with `origins` a comment behind each value. LookupError: nothing there."""
    data = effective(loaded)
    part = _at(data, only)
    for key in reversed(only):
        part = {str(key): part} if isinstance(key, str) else part
    lines = list(_lines(part, (), 0))
    width = min(60, max((len(line) for _, line in lines), default=0))
    written = []
    for path, line in lines:
        if path is None or not origins:
            written.append(line)
        else:
            written.append(f"{line:<{width}}  # {origin(loaded, path).in_words()}")
    return "\n".join(written) + "\n"


def path_of(keys: str, loaded: Loaded) -> Path_:
    """`policies.standard.window` -> its path; ids may have dots themselves. Empty: the whole. LookupError: no such."""
    found: list[str] = []
    data: Plain = effective(loaded)
    rest = keys.split(".") if keys else []
    while rest:
        fits = next((n for n in range(len(rest), 0, -1) if isinstance(data, dict) and ".".join(rest[:n]) in data), 0)
        if not fits:
            raise LookupError(keys)
        found.append(".".join(rest[:fits]))
        data, rest = _at(data, (found[-1],)), rest[fits:]
    return tuple(found)


def _at(data: Plain, only: Path_) -> Plain:
    for key in only:
        if not isinstance(data, dict) or key not in data:
            raise LookupError(".".join(str(step) for step in only))
        data = data[str(key)]
    return data


def _is_said(data: Plain, path: Path_) -> bool:
    for step in path:
        if isinstance(data, dict) and step in data and data[str(step)] is not None:
            data = data[str(step)]
        elif isinstance(data, list) and isinstance(step, int) and step < len(data):
            data = data[step]
        else:
            return False
    return True


def _leaves(value: Plain, path: Path_) -> Iterator[tuple[Path_, Plain]]:
    if isinstance(value, dict) and value:
        for key, one in value.items():
            yield from _leaves(one, (*path, key))
    elif isinstance(value, list) and any(isinstance(one, dict | list) for one in value):
        for number, one in enumerate(value):
            yield from _leaves(one, (*path, number))
    else:
        yield path, value


def _lines(value: Plain, path: Path_, depth: int) -> Iterator[tuple[Path_ | None, str]]:
    """Lines of block YAML, each with the path of the value that stands in it (None: of none)."""
    pad = "  " * depth
    if not isinstance(value, dict):
        yield path, f"{pad}{_flat(value)}"
        return
    for key, one in value.items():
        here = (*path, key)
        name = _key(key)
        if isinstance(one, dict) and one:
            yield None, f"{pad}{name}:"
            yield from _lines(one, here, depth + 1)
        elif isinstance(one, list) and any(isinstance(item, dict) for item in one):
            yield None, f"{pad}{name}:"
            for number, item in enumerate(one):
                yield from _item(item, (*here, number), depth + 1)
        else:
            yield here, f"{pad}{name}: {_flat(one)}"


def _quoted(text: str) -> str:
    """In double quotes. Nothing that a terminal would obey: what cannot be printed is written as its number."""
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(one if one.isprintable() else f"\\U{ord(one):08x}" for one in quoted)


def _key(key: str) -> str:
    return key if _EXACT_KEY.fullmatch(key) and not _NOT_PLAIN.fullmatch(key) else _quoted(key)


def _item(item: Plain, path: Path_, depth: int) -> Iterator[tuple[Path_ | None, str]]:
    lines = list(_lines(item, path, depth + 1))
    first, pad = lines[0], "  " * depth
    yield first[0], f"{pad}- {first[1].strip()}"
    yield from lines[1:]


def _flat(value: Plain) -> str:
    if isinstance(value, str):
        made = escaped(value)
        if _PLAIN.fullmatch(made) and not _NOT_PLAIN.fullmatch(made):
            return made
        return _quoted(made)
    if isinstance(value, list):
        return f"[{', '.join(_flat(one) for one in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_key(key)}: {_flat(one)}' for key, one in value.items())}}}"
    return json.dumps(value)
