"""The fields of one version of a secret, masked. Stores read it, change named fields and write it whole.

Called by the store logic and its two shelves. The values of neighbours are secrets of others: nothing here prints them,
and a field is taken out only by name, as a `Secret`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NoReturn

from rotator.plugin_api import Misconfigured, Secret

MASK: Final = "<content>"


class Content:
    """An immutable map of field name to JSON value. `raw()` is the one door, for what sends or seals it."""

    __slots__ = ("__peek",)
    __peek: Callable[[], dict[str, object]]

    def __init__(self, fields: Mapping[str, object]) -> None:
        held = dict(fields)
        self.__peek = lambda: held

    def raw(self) -> dict[str, object]:
        """A copy of the map, values in clear. Use it inside the expression that sends or seals it."""
        return dict(self.__peek())

    def secret(self, name: str) -> Secret | None:
        """The field as a Secret, None if absent; Misconfigured("store_field_not_text") if it is no text."""
        if name not in self.__peek():
            return None
        if not isinstance(self.__peek()[name], str):
            raise Misconfigured("store_field_not_text")
        return Secret(str(self.__peek()[name]))

    def text(self, name: str) -> str | None:
        """A reference field (never a value field) as text; None and errors as in `secret`."""
        found = self.secret(name)
        return None if found is None else found.reveal()

    def with_fields(self, value_name: str, value: Secret, fields: Mapping[str, str]) -> Content:
        """The same fields with these set."""
        return Content({**self.__peek(), **fields, value_name: value.reveal()})

    def without(self, names: Iterable[str]) -> Content:
        """The same fields without these."""
        gone = set(names)
        return Content({name: value for name, value in self.__peek().items() if name not in gone})

    def same(self, other: Content, names: Iterable[str]) -> bool:
        """Whether both agree in these fields: present in both with equal values, or absent in both."""
        mine, theirs = self.__peek(), other.__peek()
        return all((name in mine) == (name in theirs) and _equal(mine.get(name), theirs.get(name)) for name in names)

    def equals(self, other: Content) -> bool:
        """Whether both have the same fields with the same values."""
        return _equal(self.__peek(), other.__peek())

    def __contains__(self, name: object) -> bool:
        return name in self.__peek()

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        raise TypeError("compare contents with equals()")

    def __hash__(self) -> int:
        raise TypeError("a Content is not hashable")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Content is not picklable")


def _equal(left: object, right: object) -> bool:
    # True == 1 in Python, not in JSON; 1 and 1.0 are the same number to a store that writes 1.0 as 1.
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_equal(left[name], right[name]) for name in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(_equal(one, two) for one, two in zip(left, right, strict=True))
    return left == right


EMPTY: Final = Content({})
