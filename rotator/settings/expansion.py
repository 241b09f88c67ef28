"""`${env:NAME}`, `${env:NAME:-default}` and `${file:/path}` inside texts of a configuration.

Called by the loader on plain data, after YAML was read: what comes in is text and stays text, it can add no key and
change no type. For what differs from place to place (a URL, a zone), never for a secret: a place for one refuses a
reference before it is read, and what looks like a secret after it. Must never put a read text into a problem.
"""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from .documents import Path_, Plain
from .excerpts import hides, looks_secret
from .problems import Problem
from .shapes import expected_at, is_reference, names_a_file
from .sources import Sources

LARGEST: Final = 64 * 1024
_ANY: Final = re.compile(r"\$\$|\$\{[^}]*\}?")
_ENV: Final = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)(?::-([^{}]*))?\}")
_FILE: Final = re.compile(r"\$\{file:(/[^{}]+)\}")
_FREE: Final = frozenset({"config", "params", "labels"})  # mappings whose keys are not ours

Environment = Mapping[str, str]


class _Unresolved(Exception):
    """A reference that gives no text. (code, words, the word to write instead)"""

    def __init__(self, code: str, words: str, suggestion: str = "") -> None:
        super().__init__(words)
        self.code, self.words, self.suggestion = code, words, suggestion


@dataclass(slots=True)
class _Expansion:
    sources: Sources
    environment: Environment
    private: frozenset[str]
    problems: list[Problem] = field(default_factory=list)
    referred: dict[Path_, tuple[str, ...]] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Expanded:
    """The data with every reference replaced; what is wrong; the digest of everything that was read, by its name."""

    sources: Sources
    problems: tuple[Problem, ...]
    digests: dict[str, str]


def expand(sources: Sources, environment: Environment) -> Expanded:
    """Replace every reference. Where one gives no text the problem says so, and the text stays as written."""
    work = _Expansion(sources, environment, frozenset(_private_files(sources.data)))
    data = _walk(sources.data, (), work)
    assert isinstance(data, dict)
    made = replace(sources, data=data, referred=work.referred)
    return Expanded(made, tuple(work.problems), work.digests)


def digests_now(names: Iterable[str], environment: Environment) -> dict[str, str]:
    """What the references among `names` give now: another digest than the accepted one means that they changed."""
    found = {}
    for name in names:
        if (env := _ENV.fullmatch(name)) is not None:
            found[name] = _digest(environment.get(env[1]))
        elif (file := _FILE.fullmatch(name)) is not None:
            try:
                found[name] = _digest(_read(file[1]))
            except _Unresolved:
                found[name] = ""
    return found


def escaped(text: str) -> str:
    """A text as it is written so that it comes out of an expansion as it is."""
    return text.replace("$", "$$")


def _walk(value: Plain, path: Path_, work: _Expansion) -> Plain:
    if isinstance(value, dict):
        return {key: _walk(one, (*path, key), work) for key, one in value.items()}
    if isinstance(value, list):
        return [_walk(one, (*path, number), work) for number, one in enumerate(value)]
    if isinstance(value, str) and "$" in value:
        return _text(value, path, work)
    return value


def _text(text: str, path: Path_, work: _Expansion) -> str:
    found = [one for one in _ANY.findall(text) if one != "$$"]
    if found and _is_secret_place(path, work.sources.data):
        words = "a secret is never read into the configuration, not by a reference either: write where it is, "
        words += "`{store: …, path: …, field: …}` or `{file: …}`"
        work.problems.append(work.sources.problem("CFG-SECRET-BY-REFERENCE", words, path))
        return text
    try:
        made = _ANY.sub(_replacing(work), text)
    except _Unresolved as told:
        place = work.sources.problem(told.code, told.words, path, value=True, suggestion=told.suggestion)
        work.problems.append(place)
        return text
    if found:
        if looks_secret(made):
            words = f"what {' and '.join(found)} gave looks like a secret: write where it is instead"
            work.problems.append(work.sources.problem("CFG-SECRET-BY-REFERENCE", words, path, value=True))
            return text
        work.referred[path] = tuple(dict.fromkeys(found))
    return made


def _replacing(work: _Expansion) -> Callable[[re.Match[str]], str]:
    def replaced(found: re.Match[str]) -> str:
        written = found[0]
        if written == "$$":
            return "$"
        if (env := _ENV.fullmatch(written)) is not None:
            return _variable(env[1], env[2], work)
        if (file := _FILE.fullmatch(written)) is not None:
            return _file(file[1], work)
        raise _misspelt(written)

    return replaced


def _variable(name: str, default: str | None, work: _Expansion) -> str:
    value = work.environment.get(name)
    work.digests[f"${{env:{name}}}"] = _digest(value)
    if not value and default is not None:
        return default
    if not value:
        state = "is not set" if value is None else "is empty"
        words = f"the variable {name} {state}: set it for the daemon, or give a default, `${{env:{name}:-…}}`"
        raise _Unresolved("CFG-UNRESOLVED", words)
    return _plain(value, f"the variable {name}")


def _file(path: str, work: _Expansion) -> str:
    if path in work.private:
        words = "this file holds a secret, another key of the configuration says so: it is never read into it"
        raise _Unresolved("CFG-SECRET-BY-REFERENCE", words)
    raw = _read(path)
    work.digests[f"${{file:{path}}}"] = _digest(raw)
    text = _plain(raw.removesuffix("\n").removesuffix("\r"), "the file")
    if not text:
        raise _Unresolved("CFG-UNRESOLVED", "the file is empty")
    return text


def _read(path: str) -> str:
    if "//" in path or "/../" in f"{path}/" or "/./" in f"{path}/":
        raise _Unresolved("CFG-BAD-REFERENCE", "write the full path of the file, without `//`, `.` and `..`")
    try:
        file = Path(path)
        about = file.stat()
        if not stat.S_ISREG(about.st_mode):
            raise _Unresolved("CFG-UNRESOLVED", "this is no plain file")
        if not stat.S_IMODE(about.st_mode) & 0o077:
            words = "only its owner may read this file, as files with secrets are kept: a secret is never read into the"
            words += " configuration. If it holds none, let others read it (chmod 0644)"
            raise _Unresolved("CFG-SECRET-BY-REFERENCE", words)
        if about.st_size > LARGEST:
            raise _Unresolved("CFG-UNRESOLVED", f"the file is larger than {LARGEST // 1024} kB")
        return file.read_bytes().decode("utf-8")
    except OSError as failed:
        reason = (failed.strerror or "it cannot be read").lower()
        raise _Unresolved("CFG-UNRESOLVED", f"the file cannot be read: {reason}") from None
    except UnicodeDecodeError:
        raise _Unresolved("CFG-UNRESOLVED", "the file is not UTF-8 text") from None


def _plain(text: str, what: str) -> str:
    if any(not (letter.isprintable() or letter == "\t") for letter in text):
        words = f"{what} holds more than one line, or characters that cannot be printed"
        raise _Unresolved("CFG-UNRESOLVED", words)
    return text


def _misspelt(written: str) -> _Unresolved:
    words = "write ${env:NAME}, ${env:NAME:-default} or ${file:/full/path}; a `$` that is meant as such is `$$`"
    plain = re.fullmatch(r"\$\{([A-Za-z_][A-Za-z0-9_]*)((?::-[^{}]*)?)\}", written)
    return _Unresolved("CFG-BAD-REFERENCE", words, f"${{env:{plain[1]}{plain[2]}}}" if plain else "")


def _is_secret_place(path: Path_, data: Plain) -> bool:
    model, expected = expected_at(path, data)
    if is_reference(expected) or names_a_file(expected):
        return True
    name = next((step for step in reversed(path) if isinstance(step, str)), "")
    free = any(step in _FREE for step in path[2:-1])
    return hides(name) and (free or (model is not None and expected is None) or (model is None and expected is None))


def _private_files(data: Plain) -> Iterable[str]:
    """Paths of files that hold secrets: of every `{file: …}`."""
    todo: list[tuple[Path_, Plain]] = [((), data)]
    while todo:
        path, value = todo.pop()
        if isinstance(value, dict):
            if names_a_file(expected_at(path, data)[1]) and isinstance(value.get("file"), str):
                yield str(value["file"])
            todo += [((*path, key), one) for key, one in value.items()]
        elif isinstance(value, list):
            todo += [((*path, number), one) for number, one in enumerate(value)]


def _digest(text: str | None) -> str:
    return "unset" if text is None else hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
