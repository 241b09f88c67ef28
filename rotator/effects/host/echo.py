"""Does what a plugin returned repeat a secret of the call? Called by the gateway on every response and error.

Platforms print rejected keys into messages and show keys in lists; what a plugin returns may be journaled. So every
string in it is compared with the values of the call, in the encodings in which they travel.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final
from urllib.parse import quote, quote_plus

from rotator.plugin_api import Secret

LONGEST: Final = 512
MOST: Final = 100_000
_SHORTEST: Final = 6


class Oversized(Exception):
    """A string or a collection that is longer than anything a plugin has to say, or holds control characters."""


def secrets_in(value: Any) -> Iterator[Secret]:
    """Every Secret in a request, an actor or a response."""
    if isinstance(value, Secret):
        yield value
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for one in dataclasses.fields(value):
            yield from secrets_in(getattr(value, one.name))
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from secrets_in(one)
    elif isinstance(value, tuple | list | frozenset | set):
        for one in value:
            yield from secrets_in(one)


def plain_strings(value: Any) -> Iterator[str]:
    """Every string in a request, but not those of Secrets: names that everybody may see."""
    if isinstance(value, str):
        yield value
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for one in dataclasses.fields(value):
            yield from plain_strings(getattr(value, one.name))
    elif isinstance(value, Mapping):
        yield from plain_strings(tuple(value.items()))
    elif isinstance(value, tuple | list | frozenset | set):
        for one in value:
            yield from plain_strings(one)


def is_one_of(secret: Secret, names: frozenset[str]) -> bool:
    """Whether a Secret holds nothing but one of these names: a payload's reference fields do."""
    return secret.reveal() in names


def repeats(response: Any, held: Iterable[Secret]) -> bool:
    """Whether a string of `response` contains a value of `held` in any of its forms. Raises Oversized."""
    needles = {form for one in held for form in _forms(one.reveal())}
    return any(needle in text for text in _strings(response, [MOST]) for needle in needles)


def _forms(value: str) -> set[str]:
    if len(value) < _SHORTEST:
        return set()  # would be found in anything
    raw = value.encode()
    packed = base64.b64encode(raw).decode()
    forms = {
        value,
        quote(value, safe=""),
        quote(value),
        quote_plus(value),
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        packed,
        packed.rstrip("="),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
        raw.hex(),
        raw.hex().upper(),
    }
    return {form for form in forms if len(form) >= _SHORTEST}


def _strings(value: Any, left: list[int]) -> Iterator[str]:
    left[0] -= 1
    if left[0] < 0:
        raise Oversized
    if isinstance(value, str):
        if len(value) > LONGEST or any(ord(sign) < 32 or ord(sign) == 127 for sign in value):
            raise Oversized
        yield value
    elif isinstance(value, Secret | datetime | timedelta | Enum | int | float) or value is None:
        return
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for one in dataclasses.fields(value):
            yield from _strings(getattr(value, one.name), left)
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _strings(key, left)
            yield from _strings(one, left)
    elif isinstance(value, tuple | list | frozenset | set):
        for one in value:
            yield from _strings(one, left)
    else:
        raise Oversized
