"""A small immutable mapping that can be hashed. Used by facts; must never be changed in place."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, Mapping, ValuesView
from typing import TypeVar, overload

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")


class FrozenMap(Mapping[K, V]):
    """An immutable mapping. `put` and `drop` give new ones. Equal and hashed by its items; the hash is kept."""

    __slots__ = ("_hash", "_items")

    def __init__(self, items: Mapping[K, V] | Iterable[tuple[K, V]] = ()) -> None:
        self._items: dict[K, V] = dict(items)
        self._hash: int | None = None

    def __getitem__(self, key: K) -> V:
        return self._items[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, key: object) -> bool:
        return key in self._items

    # The three that follow are what Mapping would give, without its detour: facts are read very often.
    @overload
    def get(self, key: K, default: None = None, /) -> V | None: ...
    @overload
    def get(self, key: K, default: V | D, /) -> V | D: ...
    def get(self, key: K, default: object = None, /) -> object:
        """The value at `key`, else `default`."""
        return self._items.get(key, default)

    def items(self) -> ItemsView[K, V]:
        """Keys with their values."""
        return self._items.items()

    def values(self) -> ValuesView[V]:
        """The values."""
        return self._items.values()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FrozenMap):
            return NotImplemented
        return self is other or self._items == other._items

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(frozenset(self._items.items()))
        return self._hash

    def __repr__(self) -> str:
        return f"FrozenMap({self._items!r})"

    def put(self, key: K, value: V) -> FrozenMap[K, V]:
        """A copy in which `key` has `value`."""
        items = dict(self._items)
        items[key] = value
        return FrozenMap(items)

    def drop(self, *keys: K) -> FrozenMap[K, V]:
        """A copy without `keys`; those that are absent do not matter."""
        return FrozenMap({k: v for k, v in self._items.items() if k not in keys})
