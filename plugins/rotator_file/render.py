"""What stands in the file: the fields as an env file, as JSON, or one value raw.

Called by `calls`; pure. The result is a Secret, because it contains one. It refuses what a reader of the format could
read differently, instead of writing it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

from rotator.plugin_api import Misconfigured, Refused, Secret

FORMATS: Final = ("env", "json", "raw")
KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
BARE: Final = re.compile(r"[A-Za-z0-9_./:@%+=,-]+")
BREAKS: Final = re.compile(r"[\n\r\0]")  # systemd ends a line at a carriage return too
ESCAPED: Final = re.compile(r'(["\\$`])')


def rendered(form: str, fields: Mapping[str, Secret], value: Secret) -> Secret:
    """The content of the file. Without fields, `raw` holds the value alone."""
    if form not in FORMATS:
        raise Misconfigured("format")
    for text in (*fields.values(), value):
        _encodable(text, value)
    if form == "raw":
        if len(fields) > 1:
            raise Misconfigured("format")
        return next(iter(fields.values()), value)
    if not fields:
        raise Misconfigured("no_fields")
    if form == "json":
        return Secret(json.dumps({key: text.reveal() for key, text in fields.items()}, ensure_ascii=False) + "\n")
    return Secret("".join(f"{_key(key)}={_quoted(text, value).reveal()}\n" for key, text in fields.items()))


def _key(key: str) -> str:
    if not KEY.fullmatch(key):
        raise Misconfigured("field_name")
    return key


def _encodable(text: Secret, value: Secret) -> None:
    try:
        text.reveal().encode()
    except UnicodeEncodeError:
        raise _unfit(text, value) from None


def _unfit(text: Secret, value: Secret) -> Refused | Misconfigured:
    """A generated value can be replaced by another; a reference field needs a person."""
    return Refused("policy") if text.reveal() == value.reveal() else Misconfigured("field_value")


def _quoted(text: Secret, value: Secret) -> Secret:
    """Quoted so that systemd's EnvironmentFile and a POSIX shell read the same text back."""
    if BREAKS.search(text.reveal()):
        raise _unfit(text, value)
    if BARE.fullmatch(text.reveal()):
        return text
    if "'" not in text.reveal() and "\\" not in text.reveal():
        return text.wrap("'{}'")
    return Secret(ESCAPED.sub(r"\\\1", text.reveal())).wrap('"{}"')
