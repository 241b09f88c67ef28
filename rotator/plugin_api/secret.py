"""The one type that carries a secret value.

Who uses it: stores, the plugin host and plugins. Nothing else may import it (import-linter holds that). It must never
show its value by accident: text forms are a fixed mask, and everything that would copy the value into another system
(pickle, JSON, hashing, truth, length, iteration) raises. `reveal` is the one door; a test lists who calls it.
What Python cannot do is said in SECURITY.md: memory is not wiped.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable
from typing import NoReturn, final

MASK = "<secret>"


@final
class Secret:
    """A value that masks itself. Build with `Secret(text)`; derive with `wrap` and `basic`; read with `reveal`."""

    __slots__ = ("__peek",)
    __peek: Callable[[], str]

    def __init__(self, value: str) -> None:
        if type(value) is not str:
            raise TypeError("a Secret is made of text")
        # A closure, not an attribute: debuggers, vars() and dataclass helpers that walk slots find a function.
        self.__peek = lambda: value

    def reveal(self) -> str:
        """The value. Use it inside the expression that sends it; never bind it to a name (tracebacks print names)."""
        return self.__peek()

    def wrap(self, template: str) -> Secret:
        """A Secret of `template` with its single `{}` replaced by this value, e.g. `wrap("Bearer {}")`."""
        head, found, tail = template.partition("{}")
        if not found or "{}" in tail:
            raise ValueError("a template has exactly one {}")
        return Secret(head + self.__peek() + tail)

    def basic(self, user: str) -> Secret:
        """The value of an HTTP Basic `Authorization` header for `user` (RFC 7617, UTF-8)."""
        if ":" in user:
            raise ValueError("a user name for Basic has no colon")
        return Secret("Basic " + base64.b64encode(f"{user}:{self.__peek()}".encode()).decode("ascii"))

    def base64(self) -> Secret:
        """A Secret of the base64 text of the UTF-8 bytes of this value."""
        return Secret(base64.b64encode(self.__peek().encode()).decode("ascii"))

    def matches(self, other: Secret) -> bool:
        """Whether both hold the same text, compared in constant time."""
        return hmac.compare_digest(self.__peek().encode(), other.__peek().encode())

    def occurs_in(self, text: str) -> bool:
        """Whether `text` contains this value in clear. Values under 4 characters are never found (too many hits)."""
        value = self.__peek()
        return len(value) >= 4 and value in text

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return MASK

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __eq__(self, other: object) -> bool:
        raise TypeError("compare secrets with matches()")

    def __hash__(self) -> int:
        raise TypeError("a Secret is not hashable")

    def __bool__(self) -> bool:
        raise TypeError("a Secret has no truth value")

    def __len__(self) -> int:
        raise TypeError("a Secret has no length")

    def __iter__(self) -> NoReturn:
        raise TypeError("a Secret is not iterable")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not picklable")

    __getstate__ = __reduce__
