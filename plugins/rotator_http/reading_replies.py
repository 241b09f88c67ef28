"""Reads how an answer is judged and what is taken of it: `replies`, `when`, `take`, `each`, `page`.

Called by `reading_calls`.
"""

from __future__ import annotations

from typing import Final, cast, get_args

from . import shapes
from .calls import As, Condition, Paging, Rule, Take, Word
from .nodes import Node
from .shapes import Sections

WORDS: Final[tuple[Word, ...]] = get_args(Word)
_DEFAULT_REASON: Final[dict[str, str]] = {
    "refused": "refused",
    "failed": "server_error",
    "unknown": "unrecognised_answer",
    "misconfigured": "acting_refused",
    "inconclusive": "unrecognised_answer",
}
TIMES: Final = frozenset({"created_at", "updated_at", "expires_at", "last_used_at"})
SECRET_TAKES: Final = frozenset({"value", "token"})
LISTS: Final = frozenset({"scopes", "used_by"})
_PAGES: Final[dict[str, tuple[frozenset[str], frozenset[str]]]] = {
    # by: (needed, allowed besides)
    "link": (frozenset(), frozenset()),
    "next_url": (frozenset({"at"}), frozenset()),
    "cursor": (frozenset({"at"}), frozenset({"query"})),
    "offset": (frozenset({"query", "size"}), frozenset({"total"})),
    "number": (frozenset({"query"}), frozenset({"size", "more", "first"})),
}


def read_replies(node: Node | None, sections: Sections, *, opinion: bool) -> tuple[Rule, ...]:
    """The rules of a call: the name of a set under `replies:`, or the rules themselves.

    `opinion`: the answer is an opinion on a value, so that the reason of `is: rejected` is told.
    """
    if node is None:
        return ()
    found = sections.named("replies", node) if isinstance(node.value, str) else node
    if found is None:
        return ()
    rows = shapes.elements(found, sections.report, "a set of replies")
    return tuple(rule for row in rows if (rule := _read_rule(row, sections, opinion)) is not None)


def report_unheard(sections: Sections) -> None:
    """Notes each reason of `is: rejected` that no call would ever tell. To be called when all calls are read."""
    for node, heard in sections.rejections.values():
        if not heard:
            words = (
                "this reason is never told: where no value is tried, `is: rejected` is about the acting credential and "
                "tells acting_refused. Write that, or `is: misconfigured` with this reason"
            )
            sections.report.add(node, "unheard_reason", words)


def _note_rejection(node: Node, sections: Sections, opinion: bool) -> None:
    """A set of replies may serve a probe and others: then the probe tells the reason."""
    if node.value != "acting_refused":
        spot = (node.line, node.column)
        sections.rejections[spot] = (node, opinion or (spot in sections.rejections and sections.rejections[spot][1]))


def _read_rule(node: Node, sections: Sections, opinion: bool) -> Rule | None:
    report = sections.report
    parts = shapes.members(node, report, "a reply", ("when", "is", "reason", "retry_after"), ("when", "is"))
    if "when" not in parts or "is" not in parts:
        return None
    when = read_condition(parts["when"], sections)
    word = shapes.choice(parts["is"], report, "what a reply can mean", WORDS, "unknown")
    if word in {"ok", "gone", "maybe_gone"} and "reason" in parts:
        report.add(node.key("reason"), "unknown_key", f"`is: {word}` has no reason")
    if word == "rejected":
        if "reason" not in parts:
            report.add(node, "missing_key", "`is: rejected` needs `reason`: it becomes part of the proof of death")
        else:
            _note_rejection(parts["reason"], sections, opinion)
        if when.text is None and when.equals is None and when.matches is None and not when.headers:
            words = (
                "`is: rejected` needs the platform's own words, not a status alone: proxies, policies and lock-outs "
                "answer 401 and 403 to a living value too. Add `at` with `equals` or `matches`, or `text`"
            )
            report.add(node, "bare_rejection", words)
    reason = shapes.reason(parts.get("reason"), sections, _DEFAULT_REASON.get(word, ""))
    wait = shapes.span(parts.get("retry_after"), report, "`retry_after`")
    return Rule(when=when, word=cast(Word, word), reason=reason, retry_after=wait)


def read_condition(node: Node, sections: Sections) -> Condition:
    """A `when` (or a row's `where`): everything that is given must hold."""
    report = sections.report
    parts = shapes.members(node, report, "`when`", ("status", "at", "equals", "matches", "text", "header"))
    if not parts and isinstance(node.value, dict):
        report.add(node, "missing_key", "`when` needs at least one thing to look at")
    for name in ("equals", "matches"):
        if name in parts and "at" not in parts:
            report.add(node.key(name), "missing_key", f"`{name}` needs `at`: the place in the answer")
    headers = {
        name: found
        for name, child in shapes.named_headers(parts.get("header"), report).items()
        if (found := shapes.pattern(child, report, f"header {name}")) is not None
    }
    equals = parts.get("equals")
    return Condition(
        statuses=_statuses(parts.get("status"), sections),
        at=shapes.pointer(parts["at"], report, "`at`") if "at" in parts else None,
        equals=None if equals is None else _literal(equals, sections),
        matches=shapes.pattern(parts.get("matches"), report, "`matches`"),
        text=shapes.pattern(parts.get("text"), report, "`text`"),
        headers=headers,
    )


def _literal(node: Node, sections: Sections) -> str:
    if isinstance(node.value, bool):
        return "true" if node.value else "false"
    return shapes.text(node, sections.report, "`equals`")


def _statuses(node: Node | None, sections: Sections) -> tuple[tuple[int, int], ...]:
    if node is None:
        return ()
    found: list[tuple[int, int]] = []
    for one in node.value if isinstance(node.value, list) else [node]:
        code = str(one.value)
        if len(code) == 3 and code[0] in "12345" and code[1:] == "xx":
            found.append((int(code[0]) * 100, int(code[0]) * 100 + 99))
        elif code.isdecimal() and 100 <= int(code) <= 599:
            found.append((int(code), int(code)))
        else:
            sections.report.add(one, "wrong_value", f"`status` is 200, [200, 204] or 4xx, not {code!r}")
    return tuple(found)


def read_takes(node: Node | None, sections: Sections, allowed: tuple[str, ...], what: str) -> dict[str, Take]:
    """`take` or `each`: where each thing stands."""
    if node is None:
        return {}
    parts = shapes.members(node, sections.report, what, allowed)
    return {name: read_take(child, sections, name) for name, child in parts.items()}


def read_take(node: Node, sections: Sections, name: str) -> Take:
    """One place: a pointer, `{header: name}`, `{cookie: pattern}`, `{text: whole}`, or `{at, as, none}`."""
    report = sections.report
    default: As = "iso" if name in TIMES else "text"
    if not isinstance(node.value, dict):
        return Take(at=shapes.pointer(node, report, f"`{name}`"), form=default)
    parts = shapes.members(node, report, f"`{name}`", ("at", "as", "none", "header", "text", "cookie"))
    if sum(key in parts for key in ("at", "header", "text", "cookie")) != 1:
        words = f"`{name}` needs one of `at` (a place in the JSON), `header`, `cookie`, `text: whole`"
        report.add(node, "missing_key", words)
        return Take()
    if "cookie" in parts:
        if name != "token":
            report.add(node, "wrong_value", f"only the `token` of a login is taken from a cookie, `{name}` is not")
        if parts["cookie"].value == "":
            report.add(parts["cookie"], "wrong_value", "`cookie` is a pattern of the cookie's name, such as ^SESSION")
        return Take(cookie=shapes.pattern(parts["cookie"], report, "`cookie`") or "")
    if "text" in parts:
        shapes.choice(parts["text"], report, "what `text` can be", ("whole",))
        if name not in SECRET_TAKES:
            report.add(node, "wrong_value", f"only a secret is taken as the whole text, `{name}` is not one")
        return Take(whole=True)
    if "header" in parts:
        if name in TIMES | LISTS:
            report.add(node, "wrong_value", f"`{name}` cannot be taken from a header")
        return Take(header=shapes.text(parts["header"], report, "`header`"))
    form = shapes.choice(parts.get("as"), report, f"a form of `{name}`", _forms(name), default)
    none = parts.get("none")
    return Take(
        at=shapes.pointer(parts["at"], report, "`at`"),
        form=cast(As, form),
        none=None if none is None else _literal(none, sections),
    )


def _forms(name: str) -> tuple[str, ...]:
    if name in TIMES:
        return ("iso", "epoch")
    if name in LISTS:
        return ("text", "words")
    return ("text", "digest") if name == "handle" else ("text",)


def read_paging(node: Node | None, sections: Sections) -> Paging | None:
    """`page`: how the next page of a list is asked for."""
    if node is None:
        return None
    report = sections.report
    parts = shapes.members(node, report, "`page`", ("by", "at", "query", "size", "total", "more", "first"), ("by",))
    by = shapes.choice(parts.get("by"), report, "a way to ask for the next page", _PAGES)
    if not by:
        return None
    needed, besides = _PAGES[by]
    for name in sorted(needed - set(parts)):
        report.add(node, "missing_key", f"`page: {{by: {by}}}` needs `{name}`")
    for name in sorted(set(parts) - needed - besides - {"by"}):
        report.unknown(node.key(name), "unknown_key", name, f"a key of `page: {{by: {by}}}`", needed | besides)
    if by == "number" and not {"size", "more"} & set(parts):
        report.add(
            node, "missing_key", "`page: {by: number}` needs `more` (who says so) or `size` (rows of a full page)"
        )
    return Paging(
        by=by,
        at=shapes.pointer(parts.get("at"), report, "`at`"),
        query=shapes.text(parts.get("query"), report, "`query`"),
        size=shapes.number(parts.get("size"), report, "`size`", 1),
        first=shapes.number(parts.get("first"), report, "`first`", 0, 1),
        more=shapes.pointer(parts.get("more"), report, "`more`"),
        total=shapes.pointer(parts.get("total"), report, "`total`"),
    )
