"""An answer as a plugin sees it: status, headers by name, a masked body read by JSON pointer.

Made by `endpoint.send`. There is no way to the whole body: no traceback, log line or return value of a plugin can
hold it. What is missing raises by the ability: it may have been done (writing) or it was not read (reading).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

from rotator.plugin_api import Body, Failed, Misconfigured, OutcomeUnknown, PluginError, Refused, Secret
from rotator.plugin_api.patterns import LONGEST_TEXT, compiled

from .markup import Unreadable, alone, parsed

_LONGEST_WAIT: Final = timedelta(days=1)
_NOTHING: Final = object()
_HTML: Final = re.compile(r"\s*<(!doctype html|html|head|body)\b", re.IGNORECASE)
_XML: Final = re.compile(r"(?:text|application)/(?:[\w.-]+\+)?xml\b", re.IGNORECASE)


class _Number(str):
    """A JSON number by its own text, so that an id of twenty digits stays what it was."""

    __slots__ = ()


class MaskedBody:
    """`Body` of the plugin API over one JSON value, one XML document, or text that is neither."""

    __slots__ = ("__text", "__value", "_writing")

    def __init__(self, text: str, value: Any, *, writing: bool) -> None:
        self.__text = text
        self.__value = value
        self._writing = writing

    @classmethod
    def of(cls, raw: bytes, *, writing: bool, kind: str = "") -> MaskedBody:
        """The body of an answer, read as XML if its content type `kind` says so, else as JSON. Bytes that are no UTF-8
        are replaced; text that is not what it should be has no pointers."""
        text = raw.decode("utf-8", errors="replace")
        if _XML.match(kind):
            try:
                return cls(text, parsed(raw), writing=writing)
            except Unreadable:
                return cls(text, _NOTHING, writing=writing)
        try:
            value = json.loads(text, parse_int=_Number, parse_float=_Number, parse_constant=_Number)
        except (ValueError, RecursionError):
            value = _NOTHING
        return cls(text, value, writing=writing)

    def __repr__(self) -> str:
        return "<body>"

    def text(self, pointer: str) -> str:
        found = self.find(pointer)
        if found is None:
            raise self.missing()
        return found

    def find(self, pointer: str) -> str | None:
        return _leaf(self._at(pointer))

    def has(self, pointer: str) -> bool:
        found = self._at(pointer)
        return found is not _NOTHING and found is not None

    def items(self, pointer: str) -> tuple[Body, ...]:
        found = self._at(pointer)
        if not isinstance(found, list):
            raise self.missing()
        return tuple(MaskedBody(_leaf(one) or "", one, writing=self._writing) for one in found)

    def secret(self, pointer: str = "") -> Secret:
        found = self.__text if pointer == "" and self.__value is _NOTHING else _leaf(self._at(pointer))
        if not found:
            raise self.missing()
        return Secret(found)

    def when(self, pointer: str) -> datetime | None:
        found = self.find(pointer)
        if not found:
            return None
        try:
            return _time(found)
        except (ValueError, OverflowError, OSError):
            raise self.missing() from None

    def matches(self, pattern: str, pointer: str = "") -> bool:
        subject = self.__text if pointer == "" else self.find(pointer)
        return subject is not None and compiled(pattern).search(subject[:LONGEST_TEXT]) is not None

    def missing(self) -> PluginError:
        """The error of an answer that lacks a part."""
        return (OutcomeUnknown if self._writing else Failed)("incomplete_answer")

    def is_page(self) -> bool:
        """A page for people: a login page, a proxy's apology. For the host."""
        return _HTML.match(self.__text) is not None

    def _at(self, pointer: str) -> Any:
        found = self.__value
        if pointer == "":
            return found
        if not pointer.startswith("/"):
            return _NOTHING
        for part in pointer[1:].split("/"):
            key = part.replace("~1", "/").replace("~0", "~")
            found = found if key.isdecimal() else alone(found)
            if isinstance(found, Mapping) and key in found:
                found = found[key]
            elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
                found = found[int(key)]
            else:
                return _NOTHING
        return found


def _leaf(value: Any) -> str | None:
    value = alone(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str) else None


def _time(text: str) -> datetime:
    if text.replace(".", "", 1).replace("-", "", 1).isdecimal() and "-" not in text[1:]:
        return datetime.fromtimestamp(float(text), UTC)
    found = datetime.fromisoformat(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


class Answer:
    """`Response` of the plugin API."""

    __slots__ = ("__body", "__headers", "_changed", "_now", "_status", "_writing")

    def __init__(
        self,
        status: int,
        headers: Mapping[str, str],
        raw: bytes,
        *,
        writing: bool,
        now: datetime,
        changed: bool = False,
    ) -> None:
        """`writing`: a broken answer leaves the outcome open. `changed`: an earlier request of the same call may have
        changed something, so that no refusal of this one says that nothing was done."""
        self._status = status
        self.__headers = headers
        self.__body = MaskedBody.of(raw, writing=writing, kind=headers.get("content-type", ""))
        self._writing = writing
        self._changed = changed
        self._now = now

    def __repr__(self) -> str:
        return f"<answer {self._status}>"

    @property
    def status(self) -> int:
        return self._status

    @property
    def body(self) -> Body:
        return self.__body

    def header(self, name: str) -> str | None:
        return self.__headers.get(name.lower())

    def ok(self, *statuses: int) -> Body:
        """The body if the status is listed; else the standard table of `docs/plugins.md`, as an error."""
        code = str(self._status)
        if self._status in statuses:
            if "html" in (self.header("content-type") or "").lower() or self.__body.is_page():
                raise (OutcomeUnknown if self._writing else Failed)("unrecognised_answer", status=code)
            return self.__body
        error = self._table(code)
        if self._changed:
            raise OutcomeUnknown(error.reason, status=code, retry_after=error.retry_after)
        raise error

    def _table(self, code: str) -> PluginError:
        if self._status == 429:
            return Failed("throttled", status=code, retry_after=self.retry_after())
        if self._status in {401, 403}:
            return Misconfigured("acting_refused", status=code)
        if 400 <= self._status < 500:
            return Refused("not_found" if self._status == 404 else "refused", status=code)
        if 300 <= self._status < 400:
            return Misconfigured("redirect", status=code)
        reason = "server_error" if self._status >= 500 else "unrecognised_answer"
        wait = self.retry_after()
        return (OutcomeUnknown if self._writing else Failed)(reason, status=code, retry_after=wait)

    def retry_after(self) -> timedelta | None:
        """What `Retry-After` asks, as seconds or as a date; nonsense and the past are nothing; a day at most."""
        text = (self.header("retry-after") or "").strip()
        if text.isascii() and text.isdecimal():
            return min(timedelta(seconds=int(text[:9])), _LONGEST_WAIT)
        try:
            wait = parsedate_to_datetime(text) - self._now
        except (ValueError, TypeError, OverflowError):
            return None
        return min(wait, _LONGEST_WAIT) if wait > timedelta(0) else None
