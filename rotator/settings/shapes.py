"""What the models expect at a path: which model's key it is, which type, in which order its keys stand.

Used wherever a path of plain data must be understood without validating it: `wording`, `expansion`, `fmt`, `schema`.
Pure; knows no file and no value but the word in `type`, which chooses between the models of a union.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from .connections import ValueRef
from .documents import Path_, Plain
from .models import Configuration
from .values import FileRef


def expected_at(path: Path_, data: Plain) -> tuple[type[BaseModel] | None, Any]:
    """The model whose key stands last in `path` (None: a name or an item), and the type expected there (None: no key
    of ours). `data` is the whole configuration as far as it is known."""
    model: type[BaseModel] | None = None
    expected: Any = Configuration
    value: Any = data
    for step in path:
        expected = chosen(expected, value)
        model = expected if is_model(expected) else None
        expected = inner(expected, step)
        value = _below(value, step)
    return model, chosen(expected, value)


def is_model(expected: Any) -> bool:
    """Whether a type is one of the models."""
    return isinstance(expected, type) and issubclass(expected, BaseModel)


def is_reference(expected: Any) -> bool:
    """Whether a value is named here by where it is, and must never stand here itself."""
    return isinstance(expected, type) and issubclass(expected, FileRef | ValueRef)


def names_a_file(expected: Any) -> bool:
    """Whether a mapping that belongs here says in which file a value stands."""
    return is_model(expected) and "file" in expected.model_fields


def inner(expected: Any, step: str | int) -> Any:
    """The type one step below: of a model's key, of a mapping's values, of a list's items. None: there is none."""
    if is_model(expected):
        return field_type(expected, str(step))
    arguments = get_args(expected)
    if get_origin(expected) is tuple and arguments:
        return arguments[0]
    if get_origin(expected) is not None and len(arguments) == 2:
        return arguments[1]
    return None


def chosen(expected: Any, value: Any) -> Any:
    """A type unwrapped; of a union of models the one that the word in `type` names (None: it names none)."""
    expected, tags = unwrapped(expected)
    if not tags:
        return expected
    word = value.get("type") if isinstance(value, dict) else None
    return tags.get(word) if isinstance(word, str) else None


def keys_of(model: type[BaseModel]) -> tuple[str, ...]:
    """The keys of a model as written in YAML."""
    return tuple(info.alias or name for name, info in model.model_fields.items())


def field_type(model: type[BaseModel], key: str) -> Any:
    """The type of a key of a model; None when it has no such key."""
    for name, info in model.model_fields.items():
        if (info.alias or name) == key:
            return info.annotation
    return None


def unwrapped(expected: Any) -> tuple[Any, Mapping[str, Any]]:
    """A type without Annotated and None; and, of a union of models, the members by the word in `type`."""
    while get_origin(expected) is Annotated:
        expected = get_args(expected)[0]
    if get_origin(expected) in (Union, types.UnionType):
        members = [member for member in get_args(expected) if member is not type(None)]
        if len(members) == 1:
            return unwrapped(members[0])
        tags = {
            get_args(member.model_fields["type"].annotation)[0]: member
            for member in members
            if isinstance(member, type) and issubclass(member, BaseModel) and "type" in member.model_fields
        }
        return expected, tags
    return expected, {}


def _below(value: Any, step: str | int) -> Any:
    if isinstance(value, dict):
        return value.get(step)
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        return value[step]
    return None
