"""Facts, plans and events to and from JSON-able data. Called by the ledger.

Driven by the types of the dataclasses, so a new field with a default reads old rows. `FORMAT` goes with every row that
the ledger writes; it is raised, with a migration, when an old row could no longer be read. Must never see a value.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from enum import Enum
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from rotator.machine.frozen import FrozenMap

FORMAT = 1

T = TypeVar("T")

_NAME = "is"


class NotPlain(ValueError):
    """The data does not fit the type; `path` says where."""

    def __init__(self, path: str, expected: str) -> None:
        super().__init__(f"{path}: expected {expected}")
        self.path = path


def to_plain(value: Any) -> Any:
    """Dataclasses to objects (with their class name in "is"), enums to their value, sets sorted, maps to pairs."""
    if value is None or isinstance(value, str | bool) or type(value) is int:
        return value
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        plain = {_NAME: type(value).__name__}
        for name, default in _defaults(type(value)):
            item = getattr(value, name)
            if default is dataclasses.MISSING or item != default:
                plain[name] = to_plain(item)
        return plain
    if isinstance(value, FrozenMap):
        return sorted(([to_plain(k), to_plain(v)] for k, v in value.items()), key=repr)
    if isinstance(value, frozenset):
        return sorted((to_plain(item) for item in value), key=repr)
    if isinstance(value, tuple):
        return [to_plain(item) for item in value]
    raise NotPlain(type(value).__name__, "a type that the codec knows")


def from_plain(kind: type[T] | Any, plain: Any) -> T:
    """The inverse of `to_plain` for a value of type `kind` (a union such as Event too). Raises NotPlain."""
    return typing.cast(T, _read(kind, plain, "$"))


@cache
def _defaults(kind: type[Any]) -> tuple[tuple[str, Any], ...]:
    found = []
    for spec in dataclasses.fields(kind):
        default = spec.default_factory() if spec.default_factory is not dataclasses.MISSING else spec.default
        found.append((spec.name, default))
    return tuple(found)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _read(kind: Any, plain: Any, path: str) -> Any:
    kind = _without_newtype(kind)
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _read_union(get_args(kind), plain, path)
    if origin in (tuple, frozenset, FrozenMap):
        return _read_many(origin, get_args(kind), plain, path)
    if origin is Literal:
        return _only(plain in get_args(kind), plain, path, " or ".join(map(str, get_args(kind))))
    if kind is type(None):
        return _only(plain is None, None, path, "null")
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _read_enum(kind, plain, path)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _read_object(kind, plain, path)
    return _only(type(plain) is kind, plain, path, getattr(kind, "__name__", str(kind)))


def _without_newtype(kind: Any) -> Any:
    while hasattr(kind, "__supertype__"):
        kind = kind.__supertype__
    return kind


def _only(fits: bool, value: Any, path: str, expected: str) -> Any:
    if not fits:
        raise NotPlain(path, expected)
    return value


def _read_enum(kind: type[Enum], plain: Any, path: str) -> Enum:
    try:
        return kind(plain)
    except ValueError:
        raise NotPlain(path, kind.__name__) from None


def _read_union(members: tuple[Any, ...], plain: Any, path: str) -> Any:
    name = plain.get(_NAME) if isinstance(plain, dict) else None
    for member in members:
        bare = _without_newtype(member)
        if name is not None:
            if getattr(bare, "__name__", None) == name:
                return _read(bare, plain, path)
            continue
        try:
            return _read(bare, plain, path)
        except NotPlain:
            continue
    raise NotPlain(path, " or ".join(getattr(m, "__name__", str(m)) for m in members))


def _read_many(origin: Any, args: tuple[Any, ...], plain: Any, path: str) -> Any:
    _only(isinstance(plain, list), None, path, "a list")
    if origin is FrozenMap:
        return FrozenMap([(_read(args[0], k, path), _read(args[1], v, f"{path}[{k}]")) for k, v in plain])
    if origin is frozenset or args[-1] is Ellipsis:
        return origin(_read(args[0], item, f"{path}[{i}]") for i, item in enumerate(plain))
    _only(len(plain) == len(args), None, path, f"{len(args)} items")
    return tuple(_read(arg, item, f"{path}[{i}]") for i, (arg, item) in enumerate(zip(args, plain, strict=True)))


def _read_object(kind: type[Any], plain: Any, path: str) -> Any:
    _only(isinstance(plain, dict) and plain.get(_NAME, kind.__name__) == kind.__name__, None, path, kind.__name__)
    hints = _hints(typing.cast(Any, kind))
    extra = set(plain) - set(hints) - {_NAME}
    _only(not extra, None, f"{path}.{min(extra, default='')}", f"a field of {kind.__name__}")
    try:
        return kind(**{name: _read(hints[name], plain[name], f"{path}.{name}") for name in plain if name != _NAME})
    except TypeError:
        raise NotPlain(path, f"every field of {kind.__name__}") from None
