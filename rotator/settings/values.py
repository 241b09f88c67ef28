"""Small typed values of the configuration: spans of time, ids, paths, moments, addresses.

Used by the models as annotated types. Each takes text as written in YAML and gives plain data (whole milliseconds);
each writes itself back as text that it reads again. A refusal never repeats the text.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

_UNITS: Final = {"w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_SPAN: Final = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?")
_ISO_SPAN: Final = re.compile(r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")
_LONGEST: Final = 100 * 366 * 86_400_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Model(BaseModel):
    """What every model of the configuration is: strict, frozen, without unknown keys, silent about its input."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )


def refuse(code: str, message: str, **at: Any) -> PydanticCustomError:
    """An error of ours inside Pydantic: a code of the catalogue, words, and `at` the key below that is meant."""
    return PydanticCustomError(code, "{words}", {"words": message, **at})


def parse_duration(text: str) -> int:
    """`30d`, `24h`, `15m`, `1h30m`, `250ms`, `0s`, ISO 8601 `P90D`, `PT15M` -> milliseconds. Raises ValueError.

    Months and years are no spans (28 to 31 days): a cron says them.
    """
    if re.fullmatch(r"P[^T]*\d[MY].*", text):
        raise ValueError("months and years are not all of one length: use days, or a cron")
    iso = _ISO_SPAN.fullmatch(text)
    found = iso or _SPAN.fullmatch(text)
    if found is None or not any(found.groups()):
        raise ValueError("write a span as 30d, 24h, 15m, 1h30m or P90D (w, d, h, m, s, ms)")
    span = sum(int(number) * _UNITS[unit] for number, unit in zip(found.groups(), _UNITS, strict=False) if number)
    if span > _LONGEST:
        raise ValueError("the span is longer than a hundred years")
    return span


def format_duration(span: int) -> str:
    """Milliseconds -> the shortest text that `parse_duration` reads as the same span (`30d`, `1h30m`, `0s`)."""
    parts = []
    for unit, size in list(_UNITS.items())[1:]:
        count, span = divmod(span, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def _duration(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, str):
        if isinstance(value, int) and not isinstance(value, bool):
            raise refuse("CFG-BAD-DURATION", "a span needs its unit: 30d, 24h, 15m, 10s")
        raise refuse("CFG-BAD-DURATION", "write a span as 30d, 24h, 15m, 1h30m or P90D")
    try:
        return parse_duration(value)
    except ValueError as bad:
        raise refuse("CFG-BAD-DURATION", str(bad)) from None


def _positive(value: Any) -> int:
    span = _duration(value)
    if span == 0:
        raise refuse("CFG-OUT-OF-RANGE", "the span must be longer than nothing")
    return span


def _span_or_off(value: Any) -> int:
    """`off` is 0."""
    return 0 if value == "off" else _duration(value)


def _minute(value: Any) -> int:
    found = re.fullmatch(r"([01]\d|2[0-4]):([0-5]\d)", value) if isinstance(value, str) else None
    if found is None or (found[1] == "24" and found[2] != "00"):
        raise refuse("CFG-BAD-TIME", 'write a time of day in quotes as "01:00" (00:00 to 24:00)')
    return int(found[1]) * 60 + int(found[2])


def _date(value: Any) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise refuse("CFG-BAD-TIME", "the calendar has no such day") from None
    raise refuse("CFG-BAD-TIME", "write a day as 2027-06-30")


def _moment(value: Any) -> int:
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
        if moment is not None and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
            moment = moment.replace(tzinfo=UTC)
        if moment is not None and moment.tzinfo is not None:
            return (moment - _EPOCH) // timedelta(milliseconds=1)
    raise refuse("CFG-BAD-TIME", "write a moment as 2027-01-31 (UTC midnight) or 2027-01-31T18:00:00+01:00")


def _moment_text(moment: int) -> str:
    return (_EPOCH + timedelta(milliseconds=moment)).isoformat(timespec="milliseconds")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise refuse("CFG-WRONG-TYPE", "a text belongs here (in quotes if it looks like a number)")
    if not value.strip():
        raise refuse("CFG-EMPTY", "the text is empty")
    return value


def _installation(value: Any) -> str:
    if not re.fullmatch(r"[a-z0-9-]{1,12}", _text(value)):
        raise refuse("CFG-BAD-ID", "1 to 12 of a-z, 0-9 and -: it stands in store paths, policies and labels")
    return str(value)


def check_id(name: str) -> bool:
    """Whether a name may be an id: it stands in store paths, metrics and commands."""
    return re.fullmatch(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?", name) is not None and ".." not in name


def _name(value: Any) -> str:
    return _text(value)


def _store_path(value: Any) -> str:
    path = _text(value)
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise refuse("CFG-BAD-PATH", "write the path without a leading or trailing `/`, without `//`, `.` and `..`")
    if not re.fullmatch(r"[A-Za-z0-9._@/+=:-]+", path) or re.search(r"%|\s", path):
        raise refuse("CFG-BAD-PATH", "a path has letters, digits and . _ @ + = : - only")
    return path


def _mount(value: Any) -> str:
    return _store_path(value)


def _absolute(value: Any) -> str:
    path = _text(value)
    if not path.startswith("/") or "//" in path or "/../" in f"{path}/" or "/./" in f"{path}/":
        raise refuse("CFG-BAD-PATH", "write the full path of the file, from `/`, without `//`, `.` and `..`")
    return path


def _ledger(value: Any) -> str:
    text = _text(value)
    if "://" not in text:
        return _absolute(text)
    if re.match(r"[a-z]+://[^/@]*:[^/@]*@", text):
        raise refuse("CFG-SECRET-IN-CLEAR", "the address carries no password: `ledger_password: {file: …}` says where")
    if _DATABASE.fullmatch(text) is None:
        raise refuse("CFG-WRONG-TYPE", "write a file's full path, or postgresql://user@host:5432/database and no more")
    return text


_DATABASE = re.compile(r"postgresql://[^\s:@/?#]+@(\[[0-9a-fA-F:.]+\]|[^\s:@/?#\[\]]+)(:\d{1,5})?/[^\s:@/?#]+")


def _listen(value: Any) -> str:
    found = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):(\d{1,5})", _text(value))
    if found is None or int(found[2]) > 65535:
        raise refuse("CFG-WRONG-TYPE", "write where to listen as 127.0.0.1:9464")
    return str(value)


def _url(value: Any) -> str:
    url = _text(value)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("https", "http") or not parts.hostname or port == 0:
        raise refuse("CFG-WRONG-TYPE", "write a URL as https://host:port")
    if parts.username is not None or parts.password is not None:
        raise refuse("CFG-SECRET-IN-CLEAR", "a URL carries no user and no password: the login has a key of its own")
    if parts.query or parts.fragment:
        raise refuse("CFG-WRONG-TYPE", "the URL ends with its path: no `?` and no `#`")
    return url


def is_loopback(url: str) -> bool:
    """Whether a URL points to this machine, where plain http may be used."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or re.fullmatch(r"127(\.\d{1,3}){3}", host) is not None


def as_tuple(value: Any) -> Any:
    """A list of YAML as the tuple that a frozen model keeps; anything else as it is."""
    return tuple(value) if isinstance(value, list) else value


_SPAN_TEXT: Final = WithJsonSchema({"type": "string", "examples": ["30d", "24h", "15m", "1h30m", "P90D"]})
_TEXT: Final = WithJsonSchema({"type": "string", "minLength": 1})
_WRITTEN: Final = PlainSerializer(format_duration, return_type=str)

Duration = Annotated[int, BeforeValidator(_duration), _WRITTEN, _SPAN_TEXT]
SpanOrOff = Annotated[int, BeforeValidator(_span_or_off), _WRITTEN, _SPAN_TEXT]
PositiveDuration = Annotated[int, BeforeValidator(_positive), _WRITTEN, _SPAN_TEXT]
MinuteOfDay = Annotated[
    int,
    BeforeValidator(_minute),
    PlainSerializer(lambda minute: f"{minute // 60:02}:{minute % 60:02}", return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^([01][0-9]|2[0-4]):[0-5][0-9]$"}),
]
Day = Annotated[date, BeforeValidator(_date), WithJsonSchema({"type": "string", "format": "date"})]
Moment = Annotated[int, BeforeValidator(_moment), PlainSerializer(_moment_text, return_type=str), _TEXT]
Text = Annotated[str, BeforeValidator(_text), _TEXT]
Name = Annotated[str, BeforeValidator(_name), _TEXT]
Installation = Annotated[
    str, BeforeValidator(_installation), WithJsonSchema({"type": "string", "pattern": "^[a-z0-9-]{1,12}$"})
]
StorePath = Annotated[str, BeforeValidator(_store_path), _TEXT]
Mount = Annotated[str, BeforeValidator(_mount), _TEXT]
FilePath = Annotated[str, BeforeValidator(_absolute), _TEXT]
LedgerPlace = Annotated[str, BeforeValidator(_ledger), _TEXT]
Listen = Annotated[str, BeforeValidator(_listen), _TEXT]
Url = Annotated[str, BeforeValidator(_url), WithJsonSchema({"type": "string", "format": "uri"})]
Names = Annotated[tuple[Name, ...], BeforeValidator(as_tuple)]
Count = Annotated[int, Field(ge=1)]
Uid = Annotated[int, Field(ge=0, le=2**32 - 2)]


class FileRef(Model):
    """A value in a file of its own (mode 0600, owned by the daemon's user)."""

    file: FilePath
    """Full path of the file."""
