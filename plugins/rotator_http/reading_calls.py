"""Reads the calls of a kind: `preflight probe install reserve issue read list revoke sweep check`.

Called by `reading_kinds`. Each ability has its own variables and its own things to take; anything else is refused here.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Final

from . import shapes
from .calls import Call, Condition, Listing, Login, Own, Sent
from .nodes import Node
from .reading_replies import TIMES, read_condition, read_paging, read_replies, read_take, read_takes
from .reading_requests import read_block, read_request, with_block
from .shapes import Sections
from .templates import EXPIRY, ROW, Scope

ACTING: Final = frozenset({"acting.principal", "acting.value"})
_TARGET: Final = frozenset({"handle", "label"})
_MAKING: Final = frozenset({"label", "scopes", *EXPIRY})
_OF: Final = frozenset({"of.principal", "of.handle"})
VARIABLES: Final[dict[str, frozenset[str]]] = {
    "preflight": ACTING,
    "probe": _TARGET | {"value"},
    "install": ACTING | _MAKING | _OF | {"value", "fields", "mark"},
    "reserve": ACTING | _MAKING,
    "issue": ACTING | _MAKING,
    "read": ACTING | _TARGET,
    "list": ACTING | {"cursor"},
    "revoke": ACTING | _TARGET | _OF,
    "sweep": ACTING | _TARGET | _OF,
    "check": ACTING | _OF,
}
TAKES: Final[dict[str, tuple[str, ...]]] = {
    "preflight": ("acting",),
    "probe": ("principal", "handle", "scopes", "expires_at"),
    "install": ("handle",),
    "reserve": ("handle",),
    "issue": ("value", "handle", "principal", "expires_at"),
    "read": ("value",),
    "check": ("principal", "label"),
    "revoke": (),
    "sweep": (),
}
_NEEDED_TAKES: Final = {"preflight": "acting", "issue": "value", "read": "value"}
_EXCHANGE: Final = ("request", "auth", "base", "replies")
_EACH: Final = ("handle", "label", "principal", "active", *sorted(TIMES), "scopes", "used_by", "same")
_SCHEMES: Final = ("header", "basic", "json", "form", "login")


def scope_of(ability: str, params: tuple[str, ...], sections: Sections, extra: frozenset[str] = frozenset()) -> Scope:
    """The variables of an ability."""
    subject = {"principal", *(f"param.{name}" for name in params)}
    names = VARIABLES[ability] | subject | {f"config.{name}" for name in sections.config} | extra
    loose = EXPIRY | {"of.handle", "cursor"} | (subject if ability == "list" else set())
    return Scope(f"`{ability}`", frozenset(names), frozenset(loose & names))


def read_call(node: Node, sections: Sections, ability: str, scope: Scope) -> Call | None:
    """A call with one exchange."""
    report = sections.report
    own = ("items", "same") if ability in {"preflight", "probe"} else ()
    rows = {
        "revoke": ("each", "where", "find", "row", "labelled"),
        "sweep": ("each", "where"),
        "preflight": ("rehearse",),
    }.get(ability, ())
    take = ("take",) if TAKES[ability] else ()
    parts = shapes.members(node, report, f"`{ability}`", (*_EXCHANGE, *take, *own, *rows), ("request",))
    call = _exchange(parts, sections, scope, probe=ability == "probe", opinion=ability in {"probe", "check"})
    if call is None:
        return None
    takes = read_takes(parts.get("take"), sections, TAKES[ability], f"`take` of `{ability}`")
    needed = _NEEDED_TAKES.get(ability)
    if needed and needed not in takes:
        report.add(node, "missing_key", f"`{ability}` needs `take: {{{needed}: ...}}`")
    if ("items" in parts) != ("same" in parts):
        report.add(node, "missing_key", "`items` and `same` belong together: the rows, and where a row shows its value")
    found = None
    if "items" in parts and "same" in parts:
        items = shapes.pointer(parts["items"], report, "`items`")
        found = Own(items=items, same=shapes.pointer(parts["same"], report, "`same`"))
    return replace(call, take=takes, own=found, rehearsal=_read_rehearsal(parts.get("rehearse"), sections, scope))


def _read_rehearsal(node: Node | None, sections: Sections, scope: Scope) -> Call | None:
    """The second call of a preflight: what it is refused for is a finding."""
    if node is None:
        return None
    parts = shapes.members(node, sections.report, "`rehearse`", _EXCHANGE, ("request",))
    return _exchange(parts, sections, scope, probe=False, opinion=False)


def _exchange(
    parts: dict[str, Node], sections: Sections, scope: Scope, *, probe: bool, opinion: bool | None
) -> Call | None:
    """`opinion`: whether the answer is one on a value; None: if the request sends the value (a login)."""
    if "request" not in parts:
        return None
    auth = parts.get("auth")
    if auth is not None and isinstance(auth.value, str):
        auth = sections.named("auth", auth)
    base = _read_base(parts.get("base"), sections)
    if auth is not None and not base:
        base = _read_base(auth.children.get("base"), sections)
    sent = read_request(parts["request"], sections, scope, base)
    login = None
    if auth is not None and sent is not None:
        # Elsewhere than in a probe nobody logs in with the value: it is not in place yet, or it is to die.
        outside = {"value", "fields"} | {name for name in scope.names if name.startswith(ROW)}
        inside = scope if probe else Scope(scope.where, scope.names - outside, scope.loose)
        sent, login = _authenticated(sent, auth, sections, inside)
    if opinion is None:
        opinion = sent is not None and "value" in {one.name for one in sent.variables()}
    rules = read_replies(parts.get("replies"), sections, opinion=opinion)
    return None if sent is None else Call(sent=sent, login=login, rules=rules)


def _read_base(node: Node | None, sections: Sections) -> str:
    if node is None:
        return ""
    name = shapes.text(node, sections.report, "`base`")
    if name not in sections.urls:
        sections.report.unknown(node, "unknown_name", name, "a URL under `config:`", sections.urls)
    return name


def _authenticated(sent: Sent, auth: Node, sections: Sections, scope: Scope) -> tuple[Sent, Login | None]:
    report = sections.report
    if "oauth" in auth.children:
        report.add(auth.key("oauth"), "unknown_key", "`oauth` does not exist yet: use `login`, or a coded plugin")
    parts = shapes.members(auth, report, "an auth block", (*_SCHEMES, "base", *_present(auth, "oauth")))
    schemes = [name for name in _SCHEMES if name in parts]
    if len(schemes) != 1:
        if "oauth" not in parts:
            report.add(auth, "missing_key", f"an auth block has exactly one of {', '.join(_SCHEMES)}")
        return sent, None
    if schemes != ["login"]:
        return with_block(sent, read_block(auth, sections, scope), auth, sections), None
    return _logged_in(sent, parts["login"], sections, scope)


def _present(node: Node, name: str) -> tuple[str, ...]:
    return (name,) if name in node.children else ()


def _logged_in(sent: Sent, node: Node, sections: Sections, scope: Scope) -> tuple[Sent, Login | None]:
    report = sections.report
    known = (*_EXCHANGE, "take", "lives", "then", "logout")
    parts = shapes.members(node, report, "`login`", known, ("request", "take", "lives", "then"))
    first = _exchange(parts, sections, scope, probe=True, opinion=None)
    if first is None or {"take", "lives", "then"} - set(parts):
        return sent, None
    names = {one.name for one in first.variables()}
    if {"value", "acting.value"} <= names:
        report.add(node, "mixed_secrets", "a login with {value} and {acting.value}: one or the other")
    if first.login is not None:
        report.add(node, "wrong_value", "a login cannot need a login")
    takes = shapes.members(parts["take"], report, "`take` of `login`", ("token",), ("token",))
    inside = Scope(scope.where, scope.names | {"login.token"}, scope.loose)
    logout = None
    if "logout" in parts:
        ending = shapes.members(parts["logout"], report, "`logout`", _EXCHANGE, ("request",))
        logout = _exchange(ending, sections, inside, probe=True, opinion=False)
    block_node = parts["then"]
    shapes.members(block_node, report, "`then`", _SCHEMES[:-1])
    sent = with_block(sent, read_block(block_node, sections, inside), block_node, sections)
    token = read_take(takes["token"], sections, "token") if "token" in takes else None
    if token is None:
        return sent, None
    lives = shapes.span(parts["lives"], report, "`lives`") or timedelta(0)
    return sent, Login(call=first, token=token, lives=lives, logout=logout, of_actor="value" not in names)


# ---- rows ----------------------------------------------------------------------------------------------------------


def read_listing(node: Node, sections: Sections, scope: Scope, what: str = "`list`") -> Listing | None:
    """A call whose answer is rows."""
    report = sections.report
    known = (*_EXCHANGE, "items", "each", "where", "conceal", "page")
    parts = shapes.members(node, report, what, known, ("request", "items", "each"))
    call = _exchange(parts, sections, scope, probe=False, opinion=False)
    if call is None or "items" not in parts or "each" not in parts:
        return None
    rows = shapes.members(parts["each"], report, "`each`", _EACH, ("handle",))
    takes = {name: read_take(child, sections, name) for name, child in rows.items() if name not in {"active", "same"}}
    same = shapes.pointer(rows["same"], report, "`same`") if "same" in rows else None
    paging = read_paging(parts.get("page"), sections)
    unsaid = paging is not None and paging.by == "cursor" and not paging.query
    if unsaid and "cursor" not in {one.name for one in call.sent.variables()}:
        words = "`page: {by: cursor}` needs `query` (the parameter), or {cursor?} in the request"
        report.add(node.key("page"), "missing_key", words)
    listing = Listing(
        call=call,
        items=_items(parts["items"], sections),
        each=takes,
        active=_read_active(rows.get("active"), sections),
        where=_conditions(parts.get("where"), sections),
        same=same,
        concealed=tuple(str(one.value) for one in _listed(parts.get("conceal"), sections)),
        paging=paging,
    )
    _check_concealed(parts.get("conceal"), listing, sections)
    return listing


def _items(node: Node, sections: Sections) -> str:
    """Where the rows are; `""` is for an answer that is itself the list."""
    return "" if node.value == "" else shapes.pointer(node, sections.report, "`items`")


def _read_active(node: Node | None, sections: Sections) -> Condition | None:
    if node is None:
        return None
    if isinstance(node.value, dict):
        return _conditions(node, sections, "`active`")[0]
    return Condition(at=shapes.pointer(node, sections.report, "`active`"), equals="true")


def _conditions(node: Node | None, sections: Sections, what: str = "`where`") -> tuple[Condition, ...]:
    if node is None:
        return ()
    rows = node.value if isinstance(node.value, list) else [node]
    found = tuple(read_condition(row, sections) for row in rows)
    for row, one in zip(rows, found, strict=True):
        if one.at is None or one.statuses or one.headers:
            sections.report.add(row, "wrong_value", f"{what} looks at a place of the row: `at`, `equals`, `matches`")
    return found


def _check_concealed(node: Node | None, listing: Listing, sections: Sections) -> None:
    concealed = [(one, shapes.pointer(one, sections.report, "`conceal`")) for one in _listed(node, sections)]
    conditions = [one for one in (listing.active, *listing.where) if one is not None]
    looked_at = {take.at for take in listing.each.values()} | {one.at for one in conditions if one.at}
    for spot, place in concealed:
        if any(seen == place or seen.startswith(place + "/") for seen in looked_at):
            sections.report.add(spot, "concealed", f"{place} is concealed, so `each` and `where` cannot look at it")
    if listing.same is not None and listing.same not in {place for _, place in concealed}:
        words = f"the list shows values at {listing.same}: say `conceal: [{listing.same}]` too"
        sections.report.add(node or Node(None, 1, 1), "concealed", words)


def _listed(node: Node | None, sections: Sections) -> list[Node]:
    return [] if node is None else shapes.elements(node, sections.report, "`conceal`")


def read_rows(node: Node, own: Listing | None, sections: Sections, ability: str, scope: Scope) -> Listing | None:
    """The rows that a revoke or sweep goes over: `each: list`, or a listing of its own; None without `each`."""
    each = node.children.get("each")
    if each is None:
        if "where" in node.children:
            sections.report.add(node.key("where"), "unknown_key", "`where` belongs to `each: list`")
        return None
    if isinstance(each.value, dict):
        inside = Scope(scope.where, scope.names | {"cursor"}, scope.loose | {"cursor"})
        return read_listing(each, sections, inside, f"`each` of `{ability}`")
    if each.value != "list":
        sections.report.add(each, "wrong_value", "`each` is `list`, or a listing (request, items, each)")
        return None
    if own is None:
        sections.report.add(each, "contradiction", "`each: list` needs the ability `list`")
        return None
    return replace(own, where=(*own.where, *_conditions(node.children.get("where"), sections)))


def row_places(node: Node, sections: Sections) -> dict[str, Node]:
    """The variables that a revoke takes of the row that it finds, without `row.`: their places. None without `row`."""
    return shapes.named_members(node.children.get("row"), sections.report, "`row`", shapes.FIELD)


def read_found_row(node: Node, own: Listing | None, sections: Sections) -> dict[str, str] | None:
    """`find: list` and `row`: the places of the row's variables; None without `find`."""
    report = sections.report
    find = node.children.get("find")
    if find is None:
        if "row" in node.children:
            report.add(node.key("row"), "unknown_key", "`row` belongs to `find: list`")
        return None
    if find.value != "list":
        report.add(find, "wrong_value", "`find` is `list`: the row is looked up in the kind's own list")
        return None
    if own is None:
        report.add(find, "contradiction", "`find: list` needs the ability `list`")
        return None
    if "each" in node.children:
        report.add(find, "contradiction", "`find` looks for one row, `each` goes over all: one or the other")
    if "row" not in node.children:
        report.add(node, "missing_key", "`find: list` needs `row`: places of the row by a name, used as {row.NAME}")
    found: dict[str, str] = {}
    for name, child in row_places(node, sections).items():
        found[name] = shapes.pointer(child, report, f"`{name}`")
        if any(found[name] == place or found[name].startswith(place + "/") for place in own.concealed):
            report.add(child, "concealed", f"{found[name]} is concealed, so `row` cannot look at it")
    return found


def read_labelled(node: Node, own: Listing | None, sections: Sections) -> bool:
    """`labelled`: whether the row that `find` found must bear the value's label."""
    asked = node.children.get("labelled")
    if asked is not None and "find" not in node.children:
        sections.report.add(node.key("labelled"), "unknown_key", "`labelled` belongs to `find: list`")
    if asked is not None and own is not None and "label" not in own.each:
        sections.report.add(asked, "contradiction", "`labelled` needs `list` with `each: {label: ...}`")
    return shapes.flag(asked, sections.report, "`labelled`")
