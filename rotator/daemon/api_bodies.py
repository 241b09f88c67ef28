"""What a request may say: strict readers for bodies and query parameters. Unknown, doubled or odd fields are refused.

Used by `api_routes`. A reader takes what it knows out of the fields; `Fields.end` refuses what is left. Messages name
fields, never what stood in them: a value given in the wrong place must not come back in an error or a log.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from rotator.engine.requests import RequestRefused, Selection

LONGEST_TEXT: Final = 500
MOST_IDS: Final = 10_000


def bad(message: str, hint: str = "") -> RequestRefused:
    """The request itself is wrong."""
    return RequestRefused("ROT-BAD-REQUEST", message, exit=2, hint=hint)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise bad("the body has a field twice")
    return found


def _no_constant(_: str) -> Any:
    raise bad("the body has a number that JSON does not know")


def parse_body(raw: bytes) -> dict[str, Any]:
    """A JSON object; an empty body is an empty one."""
    if not raw:
        return {}
    try:
        body = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise bad("the body is not JSON in UTF-8") from None
    if not isinstance(body, dict):
        raise bad("the body is not a JSON object")
    return body


class Fields:
    """The fields of a body or a query, taken out one by one."""

    def __init__(self, given: Mapping[str, Any], what: str) -> None:
        self._left = dict(given)
        self._known: list[str] = []
        self._what = what

    def _take(self, name: str) -> Any:
        self._known.append(name)
        return self._left.pop(name, None)

    def text(self, name: str, *, needed: bool = False, longest: int = LONGEST_TEXT) -> str:
        """A line of text; empty when absent."""
        value = self._take(name)
        if value is None or value == "":
            if needed:
                raise bad(f"the {self._what} needs `{name}`")
            return ""
        if not isinstance(value, str) or len(value) > longest or not value.isprintable():
            raise bad(f"`{name}` must be one line of text of at most {longest} characters")
        if needed and not value.strip():
            raise bad(f"the {self._what} needs `{name}`")
        return value

    def one_of(self, name: str, words: tuple[str, ...]) -> str:
        value = self.text(name, needed=True)
        if value not in words:
            raise bad(f"`{name}` must be one of {', '.join(words)}")
        return value

    def flag(self, name: str) -> bool:
        """True or false (a query says it in words); false when absent."""
        value = self._take(name)
        if value is None:
            return False
        if value in ("true", "false"):
            return bool(value == "true")
        if not isinstance(value, bool):
            raise bad(f"`{name}` must be true or false")
        return value

    def number(self, name: str, default: float, *, low: float, high: float) -> float:
        """A number of a query."""
        value = self._take(name)
        if value is None:
            return default
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = low - 1
        if not low <= number <= high:
            raise bad(f"`{name}` must be a number from {low:g} to {high:g}")
        return number

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of lines of text, each once."""
        value = self._take(name)
        if value is None:
            return ()
        if not isinstance(value, list) or len(value) > MOST_IDS:
            raise bad(f"`{name}` must be a list of at most {MOST_IDS} texts")
        if not all(isinstance(one, str) and one and one.isprintable() and len(one) <= LONGEST_TEXT for one in value):
            raise bad(f"`{name}` must be a list of lines of text")
        return tuple(dict.fromkeys(value))

    def inner(self, name: str) -> Fields:
        """An object of its own; empty when absent."""
        value = self._take(name)
        if value is not None and not isinstance(value, dict):
            raise bad(f"`{name}` must be an object")
        return Fields(value or {}, f"`{name}`")

    def end(self) -> None:
        """Refuse whatever nobody asked for."""
        for name in self._left:
            shown = name if name.isidentifier() and len(name) <= 40 else "a name that is none"
            near = difflib.get_close_matches(name, self._known, n=1)
            raise bad(f"the {self._what} has an unknown field: {shown}", f"did you mean {near[0]}?" if near else "")


def selection(fields: Fields) -> Selection:
    """`{"ids": [...]}`, `{"selector": "..."}`, `{"workflow": "..."}` or `{"all": true}`: exactly one of them."""
    inner = fields.inner("selection")
    chosen = Selection(
        ids=inner.texts("ids"),
        selector=inner.text("selector"),
        workflow=inner.text("workflow"),
        everything=inner.flag("all"),
    )
    inner.end()
    return one_way(chosen)


def one_way(chosen: Selection) -> Selection:
    """Refuse a selection that selects in no way, or in several."""
    ways = sum(map(bool, (chosen.ids, chosen.selector, chosen.workflow, chosen.everything)))
    if ways != 1:
        raise bad("a selection is by ids, or selector, or workflow, or all: exactly one of them")
    return chosen


def source_file(fields: Fields, *, needed: bool) -> str:
    """An absolute, normal path of a file that the daemon reads."""
    path = fields.text("from", needed=needed, longest=4096)
    if path and (not path.startswith("/") or ".." in PurePosixPath(path).parts):
        raise bad("`from` must be the absolute path of a file, without `..`")
    return path


def target_file(fields: Fields) -> str:
    """An absolute, normal path of a file that the daemon makes."""
    path = fields.text("to", needed=True, longest=4096)
    if not path.startswith("/") or ".." in PurePosixPath(path).parts:
        raise bad("`to` must be the absolute path of a file, without `..`")
    return path
