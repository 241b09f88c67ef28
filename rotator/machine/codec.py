"""Facts, plans and events to and from JSON-able data. Called by the ledger.

Driven by the types of the dataclasses, so a new field with a default reads old rows. `FORMAT` goes with every row that
the ledger writes; it is raised, with a migration, when an old row could no longer be read. Must never see a value.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable
from enum import Enum
from functools import cache
from typing import Any, Literal, TypeAlias, TypeVar, Union, get_args, get_origin

from rotator.machine.frozen import FrozenMap

FORMAT = 1

T = TypeVar("T")
_Reader: TypeAlias = Callable[[Any], Any]

_NAME = "is"


class NotPlain(ValueError):
    """The data does not fit the type; `path` says where."""

    def __init__(self, path: str, expected: str) -> None:
        super().__init__(f"{path}: expected {expected}")
        self.path, self.expected = path, expected

    def under(self, outer: str) -> NotPlain:
        """The same, seen from further out."""
        return NotPlain(outer + self.path, self.expected)


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
    try:
        return typing.cast(T, _reader(typing.cast(Any, kind))(plain))
    except NotPlain as error:
        raise error.under("$") from None


@cache
def _defaults(kind: type[Any]) -> tuple[tuple[str, Any], ...]:
    found = []
    for spec in dataclasses.fields(kind):
        default = spec.default_factory() if spec.default_factory is not dataclasses.MISSING else spec.default
        found.append((spec.name, default))
    return tuple(found)


@cache
def _reader(kind: Any) -> _Reader:
    """What reads a value of a type, made once: the types are not looked at again for every row."""
    if hasattr(kind, "__supertype__"):
        return _reader(kind.__supertype__)
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _union(args)
    if origin is FrozenMap:
        return _map(*args)
    if origin in (tuple, frozenset):
        return _many(origin, args)
    if origin is Literal:
        return _only(lambda plain: plain in args, " or ".join(map(str, args)))
    if kind is type(None):
        return _only(lambda plain: plain is None, "null")
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _enum(kind)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _object(kind)
    return _only(lambda plain: type(plain) is kind, getattr(kind, "__name__", str(kind)))


def _only(fits: Callable[[Any], bool], expected: str) -> _Reader:
    def read(plain: Any) -> Any:
        if not fits(plain):
            raise NotPlain("", expected)
        return plain

    return read


def _enum(kind: type[Enum]) -> _Reader:
    def read(plain: Any) -> Any:
        try:
            return kind(plain)
        except ValueError:
            raise NotPlain("", kind.__name__) from None

    return read


def _union(members: tuple[Any, ...]) -> _Reader:
    readers = [_reader(member) for member in members]
    named = {_bare_name(member): reader for member, reader in zip(members, readers, strict=True)}
    optional = type(None) in members
    expected = " or ".join(getattr(member, "__name__", str(member)) for member in members)

    def read(plain: Any) -> Any:
        if plain is None and optional:
            return None
        name = plain.get(_NAME) if isinstance(plain, dict) else None
        if name is not None:
            if not isinstance(name, str) or name not in named:
                raise NotPlain("", expected)
            return named[name](plain)
        for reader in readers:
            try:
                return reader(plain)
            except NotPlain:
                continue
        raise NotPlain("", expected)

    return read


def _bare_name(kind: Any) -> str:
    while hasattr(kind, "__supertype__"):
        kind = kind.__supertype__
    return getattr(kind, "__name__", str(kind))


def _map(key: Any, value: Any) -> _Reader:
    key_reader, value_reader = _reader(key), _reader(value)

    def read(plain: Any) -> Any:
        pairs = []
        for one in _list(plain, "a list"):
            k, v = _list(one, "a pair", 2)
            try:
                pairs.append((key_reader(k), value_reader(v)))
            except NotPlain as error:
                raise error.under(f"[{k}]") from None
        return FrozenMap(pairs)

    return read


def _many(origin: Any, args: tuple[Any, ...]) -> _Reader:
    each = _reader(args[0]) if origin is frozenset or args[-1] is Ellipsis else None
    readers = [] if each is not None else [_reader(arg) for arg in args]

    def read(plain: Any) -> Any:
        if each is None:
            _list(plain, f"{len(readers)} items", len(readers))
        else:
            _list(plain, "a list")
        items = []
        for index, item in enumerate(plain):
            try:
                items.append((each or readers[index])(item))
            except NotPlain as error:
                raise error.under(f"[{index}]") from None
        return origin(items)

    return read


def _list(plain: Any, expected: str, length: int | None = None) -> list[Any]:
    if not isinstance(plain, list) or length not in (None, len(plain)):
        raise NotPlain("", expected)
    return plain


def _object(kind: type[Any]) -> _Reader:
    readers: dict[str, _Reader] = {}

    def read(plain: Any) -> Any:
        if not isinstance(plain, dict) or plain.get(_NAME, kind.__name__) != kind.__name__:
            raise NotPlain("", kind.__name__)
        if not readers:  # not before the first use: a type may name itself
            readers.update({name: _reader(hint) for name, hint in typing.get_type_hints(kind).items()})
        values = {}
        for name, item in plain.items():
            if name == _NAME:
                continue
            if name not in readers:
                raise NotPlain(f".{name}", f"a field of {kind.__name__}")
            try:
                values[name] = readers[name](item)
            except NotPlain as error:
                raise error.under(f".{name}") from None
        try:
            return kind(**values)
        except TypeError:
            raise NotPlain("", f"every field of {kind.__name__}") from None

    return read
