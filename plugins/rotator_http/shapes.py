"""Small readers for the things that a pack is made of: mappings, words, spans, pointers, patterns.

Called by the `reading_*` modules. Each notes what is wrong and returns something harmless, so that reading goes on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from rotator.plugin_api import RESERVED
from rotator.plugin_api.patterns import objection

from .nodes import Node
from .problems import Report

SPAN: Final = re.compile(r"(\d{1,9})(ms|s|m|h|d)")
SLUG: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,39}")
FIELD: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
POINTER: Final = re.compile(r"(/([^~/]|~0|~1)*)+")
HEADER: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
OUR_HEADERS: Final = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "user-agent"}
)
_UNITS: Final = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(slots=True)
class Sections:
    """The named parts of a pack that its calls refer to, and which of them were referred to."""

    report: Report
    config: frozenset[str] = frozenset()
    urls: frozenset[str] = frozenset()
    requests: Mapping[str, Node] = field(default_factory=dict)
    auth: Mapping[str, Node] = field(default_factory=dict)
    replies: Mapping[str, Node] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    used: set[tuple[str, str]] = field(default_factory=set)
    rejections: dict[tuple[int, int], tuple[Node, bool]] = field(default_factory=dict)
    """Reasons of `is: rejected` by their place: whether a call that tries a value would tell them."""

    def named(self, section: str, node: Node) -> Node | None:
        """The part of `section` (requests, auth, replies) that the text of `node` names."""
        parts: Mapping[str, Node] = {"requests": self.requests, "auth": self.auth, "replies": self.replies}[section]
        name = str(node.value)
        if name not in parts:
            self.report.unknown(node, "unknown_name", name, f"a name under `{section}:`", parts)
            return None
        self.used.add((section, name))
        return parts[name]


def members(
    node: Node, report: Report, what: str, known: Iterable[str], required: Iterable[str] = ()
) -> dict[str, Node]:
    """The members of a mapping; notes keys that are not `known`, and `required` ones that are missing."""
    if not isinstance(node.value, dict):
        report.add(node, "wrong_type", f"{what} is a mapping (lines `key: value`)")
        return {}
    names = set(known)
    for name in node.value:
        if name not in names:
            report.unknown(node.key(name), "unknown_key", name, f"a key of {what}", names)
    for name in required:
        if name not in node.value:
            report.add(node, "missing_key", f"{what} needs `{name}`")
    return {name: child for name, child in node.value.items() if name in names}


def named_members(node: Node | None, report: Report, what: str, pattern: re.Pattern[str] = NAME) -> dict[str, Node]:
    """The members of a mapping whose keys are names that the author chooses."""
    if node is None:
        return {}
    if not isinstance(node.value, dict):
        report.add(node, "wrong_type", f"{what} is a mapping (lines `name: ...`)")
        return {}
    for name in node.value:
        if not pattern.fullmatch(name):
            report.add(node.key(name), "wrong_value", f"{name!r}: a name of {what} is lower case: {pattern.pattern}")
    return node.value


def elements(node: Node, report: Report, what: str) -> list[Node]:
    """The elements of a list."""
    if not isinstance(node.value, list):
        report.add(node, "wrong_type", f"{what} is a list (lines `- ...`, or [a, b])")
        return []
    return node.value


def text(node: Node | None, report: Report, what: str) -> str:
    """A text; numbers are taken as they are written. Empty if there is none."""
    if node is None:
        return ""
    if isinstance(node.value, str):
        return node.value
    if isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return str(node.value)
    report.add(node, "wrong_type", f"{what} is a text (put it in quotes)")
    return ""


def texts(node: Node | None, report: Report, what: str) -> tuple[str, ...]:
    """A list of texts."""
    return () if node is None else tuple(text(one, report, what) for one in elements(node, report, what))


def flag(node: Node | None, report: Report, what: str, default: bool = False) -> bool:
    """true or false."""
    if node is None:
        return default
    if isinstance(node.value, bool):
        return node.value
    report.add(node, "wrong_type", f"{what} is true or false")
    return default


def number(node: Node | None, report: Report, what: str, least: int, default: int = 0) -> int:
    """A whole number of at least `least`."""
    if node is None:
        return default
    if isinstance(node.value, int) and not isinstance(node.value, bool) and node.value >= least:
        return node.value
    report.add(node, "wrong_value", f"{what} is a whole number, {least} or more")
    return default


def choice(node: Node | None, report: Report, what: str, known: Iterable[str], default: str = "") -> str:
    """One of some words."""
    if node is None:
        return default
    names = list(known)
    if isinstance(node.value, str) and node.value in names:
        return node.value
    report.unknown(node, "wrong_value", str(node.value), what, names)
    return default


def span(node: Node | None, report: Report, what: str) -> timedelta | None:
    """A span of time: 500ms, 30s, 5m, 2h, 7d. 0 is 0s."""
    if node is None:
        return None
    found = SPAN.fullmatch(str(node.value))
    if found:
        return timedelta(**{_UNITS[found.group(2)]: int(found.group(1))})
    if node.value == 0 and not isinstance(node.value, bool):
        return timedelta(0)
    report.add(node, "wrong_value", f"{what} is a span of time such as 500ms, 30s, 5m, 2h or 7d")
    return None


def pointer(node: Node | None, report: Report, what: str) -> str:
    """A JSON pointer: /keys/0/user."""
    found = text(node, report, what)
    if node is not None and found and not POINTER.fullmatch(found):
        report.add(node, "wrong_value", f"{what} is a place in the answer's JSON such as /keys/0/user, not {found!r}")
    return found


def pattern(node: Node | None, report: Report, what: str) -> str | None:
    """A regular expression that is matched in linear time."""
    if node is None:
        return None
    found = text(node, report, what)
    words = objection(found)
    if words:
        report.add(node, "slow_pattern" if "bounded" in words else "wrong_pattern", f"{what}: the pattern {words}")
        return None
    return found


def reason(node: Node | None, sections: Sections, default: str) -> str:
    """A slug that stands under `reasons:` or is one of the reserved."""
    if node is None:
        return default
    found = text(node, sections.report, "a reason")
    if found in sections.reasons:
        sections.used.add(("reasons", found))
    elif found not in RESERVED:
        known = {*sections.reasons, *RESERVED}
        words = "a reason under `reasons:` (say there what the operator should do), nor one that always exists"
        sections.report.unknown(node, "undeclared_reason", found, words, known)
    return found


def named_headers(node: Node | None, report: Report) -> dict[str, Node]:
    """The members of a mapping whose keys are names of HTTP headers."""
    if node is None:
        return {}
    if not isinstance(node.value, dict):
        report.add(node, "wrong_type", "headers are a mapping (lines `Name: text`)")
        return {}
    for name in node.value:
        if not HEADER.fullmatch(name):
            report.add(node.key(name), "wrong_value", f"{name!r} is not the name of a header")
        if name.lower() in OUR_HEADERS:
            report.add(node.key(name), "wrong_value", f"the header {name!r} is set by Rotator itself")
    return node.value
