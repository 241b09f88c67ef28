"""Pydantic's errors as problems in words of ours, at the right line.

Called by the loader. Looks at the *type* of a refused value, and at its text only to find the word that was meant;
never repeats it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from .connections import STORE_TYPES
from .documents import Path_
from .excerpts import hides
from .models import API_VERSION, Configuration
from .problems import Problem, nearest
from .shapes import field_type, is_reference, keys_of, names_a_file, unwrapped
from .sources import Sources

REASONS: Final[Mapping[str, tuple[str, str]]] = {
    "owner": ("CFG-NO-OWNER", "`owner` is missing: somebody must answer for it and be told when something goes wrong"),
    "purpose": ("CFG-NO-PURPOSE", "`purpose` is missing: nobody can judge a credential whose use is not said"),
    "workflows": (
        "CFG-NO-WORKFLOWS",
        "`workflows` is missing: retiring a workflow must find what it used; none is said as `workflows: []`",
    ),
    "expires": ("CFG-NO-EXPIRY", "`expires` is missing: the day on which somebody says again that it is needed"),
    "tier": ("CFG-NO-TIER", "`tier` is missing: T0 can change identity or access, T3 only reads"),
}

_TYPES: Final[Mapping[str, str]] = {
    "string_type": "a text belongs here (in quotes if it looks like a number)",
    "int_type": "a whole number belongs here",
    "bool_type": "true or false belongs here",
    "dict_type": "a mapping belongs here: names, each with its `:`",
    "mapping_type": "a mapping belongs here: names, each with its `:`",
    "model_type": "a mapping belongs here: names, each with its `:`",
    "model_attributes_type": "a mapping belongs here: names, each with its `:`",
    "tuple_type": "a list belongs here: [a, b]",
}

_IN_CLEAR: Final = (
    "a secret never stands in the configuration: write where it is, `{store: …, path: …, field: …}` or `{file: …}`"
)


def problems_of(error: ValidationError, sources: Sources) -> list[Problem]:
    """Every error of a validation of the whole configuration."""
    return [one_problem(detail, sources) for detail in error.errors(include_url=False)]


def one_problem(detail: ErrorDetails, sources: Sources) -> Problem:
    """One error as a problem."""
    path, model, expected = follow(detail["loc"])
    kind, value = detail["type"], detail["input"]
    context = detail.get("ctx", {})
    if value is None and (kind in _TYPES or kind.startswith("CFG-")):
        words = _TYPES.get(kind) or str(context["words"])
        return sources.problem("CFG-EMPTY", f"nothing stands here: {words}", path)
    if kind.startswith("CFG-"):
        at = context.get("at", ())
        path = (*path, *(at if isinstance(at, tuple) else (at,)))
        return sources.problem(kind, str(context["words"]), path, value=True)
    if kind == "missing":
        return _missing(path, model, sources)
    if kind == "extra_forbidden":
        return _unknown_key(path, model, value, sources)
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _store_type(path, value, sources)
    if kind == "literal_error":
        return _word(path, value, _literals(expected), sources)
    if (is_reference(expected) or names_a_file(expected)) and isinstance(value, str | int | float):
        return sources.problem("CFG-SECRET-IN-CLEAR", _IN_CLEAR, path)
    if kind in _TYPES:
        return sources.problem("CFG-WRONG-TYPE", _TYPES[kind], path, value=True)
    if kind in ("greater_than_equal", "less_than_equal"):
        bound = context.get("ge", context.get("le"))
        words = f"the number must be {bound} or {'more' if kind.startswith('greater') else 'less'}"
        return sources.problem("CFG-OUT-OF-RANGE", words, path, value=True)
    return sources.problem("CFG-WRONG-TYPE", "this is not what belongs here", path, value=True)


def follow(loc: tuple[int | str, ...]) -> tuple[Path_, type[BaseModel] | None, Any]:
    """Pydantic's location as a path in the file, the model whose key is meant, and the type expected there.

    Differs from the location where a discriminated union puts its tag between the keys.
    """
    path: list[str | int] = []
    model: type[BaseModel] | None = None
    expected: Any = Configuration
    for step in loc:
        expected, tags = unwrapped(expected)
        if step in tags:
            expected = tags[str(step)]
            continue
        path.append(step)
        model = None
        if isinstance(expected, type) and issubclass(expected, BaseModel):
            model = expected
            expected = field_type(expected, str(step))
        elif get_origin(expected) is tuple or (get_origin(expected) or object) in (list, Mapping, dict):
            arguments = get_args(expected)
            expected = arguments[0] if get_origin(expected) is tuple else arguments[1]
        elif get_origin(expected) is not None and len(get_args(expected)) == 2:
            expected = get_args(expected)[1]
        else:
            expected = None
    return tuple(path), model, unwrapped(expected)[0]


def _literals(expected: Any) -> tuple[str, ...]:
    return tuple(str(word) for word in get_args(expected))


def _missing(path: Path_, model: type[BaseModel] | None, sources: Sources) -> Problem:
    key = str(path[-1])
    parent = path[:-1]
    if len(path) == 3 and path[0] == "credentials" and key in REASONS:
        return sources.problem(*REASONS[key], parent)
    if path == ("apiVersion",):
        return sources.problem("CFG-MISSING", f"every file begins with `apiVersion: {API_VERSION}`")
    words = f"`{key}` is missing"
    for name, info in model.model_fields.items() if model is not None else ():
        if (info.alias or name) == key and info.description:
            words += f": {_within_a_sentence(info.description.splitlines()[0])}"
    return sources.problem("CFG-MISSING", words, parent)


def _within_a_sentence(description: str) -> str:
    text = description.rstrip(".:")
    return text[0].lower() + text[1:] if text[1:2].islower() or text[1:2] == " " else text


def _unknown_key(path: Path_, model: type[BaseModel] | None, value: Any, sources: Sources) -> Problem:
    key = str(path[-1])
    known = keys_of(model) if model is not None else ()
    if hides(key) and isinstance(value, str | int | float) and not isinstance(value, bool):
        return sources.problem("CFG-SECRET-IN-CLEAR", _IN_CLEAR, path)
    close = nearest(key, known)
    words = f"`{key}` is not known here"
    if not close:
        words += f"; known are {', '.join(known)}"
    return sources.problem("CFG-UNKNOWN-KEY", words, path, suggestion=close)


def _store_type(path: Path_, value: Any, sources: Sources) -> Problem:
    word = value.get("type") if isinstance(value, dict) else None
    if word is None:
        words = f"`type` is missing: one of {', '.join(STORE_TYPES)}"
        return sources.problem("CFG-MISSING", words, path)
    return _word((*path, "type"), word, STORE_TYPES, sources)


def _word(path: Path_, value: Any, words: tuple[str, ...], sources: Sources) -> Problem:
    close = nearest(value, words) if isinstance(value, str) else ""
    return sources.problem(
        "CFG-BAD-ENUM", f"one of {', '.join(words)} belongs here", path, value=True, suggestion=close
    )
