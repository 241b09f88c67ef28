"""Rows: one page of a listing, and all of them where a composition needs them. Called by `abilities`.

What a pack conceals is never read: only the places that `each` names are, and `same`, which stays a Secret. Where the
handle is a digest, the id behind it comes out of here as a Secret only (`every_match`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from rotator.plugin_api import Body, Endpoint, Failed, Found, Page, Secret

from .calls import Call, Listing, Paging, Sent, Take
from .exchange import Asked, ask, holds, needed_text, optional_take, settled, take_time, take_words
from .render import Values
from .templates import Template

MOST_PAGES: Final = 1000


def one_page(at: Endpoint[Any], listing: Listing, values: Values, cursor: str | None) -> Page:
    """One page of the rows that `where` lets through, with the cursor of the next."""
    pairs, following = _page(at, listing, values, cursor)
    return Page(items=tuple(found for found, _ in pairs), next=following)


def _page(
    at: Endpoint[Any], listing: Listing, values: Values, cursor: str | None
) -> tuple[list[tuple[Found, Body]], str | None]:
    call = _positioned(listing.call, listing.paging, cursor)
    known = {**values, "cursor": cursor} if _by_cursor(listing.paging) else values
    asked = ask(at, call, known, writing=False)
    settled(call, asked)
    rows = asked.body.items(listing.items)
    pairs = [(_found(listing, asked, row), row) for row in rows if all(holds(one, row) for one in listing.where)]
    return pairs, _next(listing.paging, asked, cursor, len(rows))


def every_row(at: Endpoint[Any], listing: Listing, values: Values) -> tuple[Found, ...]:
    """All rows. Raises Failed if the pages do not end or one cannot be read: a short list is never taken for whole."""
    return tuple(found for pairs in _pages(at, listing, values) for found, _ in pairs)


@dataclass(frozen=True, slots=True)
class Match:
    """A row that has the handle that was asked for. `own`: what stands at the places of its variables, kept masked."""

    found: Found
    own: Mapping[str, Secret]


def every_match(
    at: Endpoint[Any], listing: Listing, values: Values, handle: str, places: Mapping[str, str]
) -> tuple[Match, ...]:
    """Every row of the whole list with this handle. None is believed after a list of several pages was read twice: a
    row may slip from one page to another while they are read. Raises as `every_row`."""
    matches: list[Match] = []
    for _ in range(2):
        pages = 0
        for pairs in _pages(at, listing, values):
            pages += 1
            matches += [_match(at, one, row, places) for one, row in pairs if one.handle == handle]
        if matches or pages == 1:
            break
    return tuple(matches)


def _match(at: Endpoint[Any], found: Found, row: Body, places: Mapping[str, str]) -> Match:
    return Match(found, {name: at.hold(row.secret(place)) for name, place in places.items()})


def _pages(at: Endpoint[Any], listing: Listing, values: Values) -> Iterator[list[tuple[Found, Body]]]:
    seen: set[str] = set()
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        pairs, cursor = _page(at, listing, values, cursor)
        yield pairs
        if cursor is None:
            return
        if cursor in seen:
            break
        seen.add(cursor)
    raise Failed("incomplete_answer")


def _by_cursor(paging: Paging | None) -> bool:
    return paging is not None and paging.by == "cursor"


def _found(listing: Listing, asked: Asked, row: Body) -> Found:
    each = listing.each
    scopes = take_words(each.get("scopes"), row)
    return Found(
        handle=needed_text(each["handle"], asked, row),
        label=_label(each, asked, row),
        principal=optional_take(each, "principal", asked, row),
        active=listing.active is None or holds(listing.active, row),
        created_at=take_time(each.get("created_at"), row),
        updated_at=take_time(each.get("updated_at"), row),
        expires_at=take_time(each.get("expires_at"), row),
        last_used_at=take_time(each.get("last_used_at"), row),
        scopes=None if scopes is None else frozenset(scopes),
        used_by=take_words(each.get("used_by"), row) or (),
        same=row.secret(listing.same) if listing.same is not None and row.has(listing.same) else None,
    )


def _label(each: Mapping[str, Take], asked: Asked, row: Body) -> str | None:
    """The label, unless it repeats an id that must not be written down: then it cannot be one of ours."""
    label = optional_take(each, "label", asked, row)
    handle = each["handle"]
    hidden = row.find(handle.at) if handle.form == "digest" else None
    return None if label is not None and hidden and hidden in label else label


# ---- pages ---------------------------------------------------------------------------------------------------------


def _positioned(call: Call, paging: Paging | None, cursor: str | None) -> Call:
    if paging is None:
        return call
    query = dict(call.sent.query)
    match paging.by:
        case "link" | "next_url":
            query |= {name: Template((value,)) if value else Template(()) for name, value in parse_qsl(cursor or "")}
        case "cursor":
            if paging.query and cursor is not None:
                query[paging.query] = Template((cursor,))
        case "offset":
            query[paging.query] = Template((cursor or "0",))
        case _:
            query[paging.query] = Template((cursor or str(paging.first),))
    sent: Sent = replace(call.sent, query=query)
    return replace(call, sent=sent)


def _next(paging: Paging | None, asked: Asked, cursor: str | None, rows: int) -> str | None:
    if paging is None:
        return None
    ways: dict[str, Callable[[], str | None]] = {
        "link": lambda: _query_of(_linked(asked.response.header("link") or ""), asked),
        "next_url": lambda: _query_of(asked.body.find(paging.at) or "", asked),
        "cursor": lambda: asked.body.find(paging.at) or None,
        "offset": lambda: _next_offset(paging, asked, int(cursor or "0"), rows),
        "number": lambda: _next_number(paging, asked, int(cursor or paging.first), rows),
    }
    return ways[paging.by]()


def _next_offset(paging: Paging, asked: Asked, offset: int, rows: int) -> str | None:
    if paging.total:
        total = asked.body.find(paging.total)
        if total is None or not total.isdecimal():
            raise asked.missing()
        # Rows that are missing before the total is reached would be a short list that looks whole.
        if rows == 0 and offset < int(total):
            raise asked.missing()
        return str(offset + rows) if offset + rows < int(total) else None
    return str(offset + rows) if rows >= paging.size else None


def _next_number(paging: Paging, asked: Asked, page: int, rows: int) -> str | None:
    if paging.more:
        more = asked.body.find(paging.more)
        if more not in {"true", "false"}:
            raise asked.missing()
        return str(page + 1) if more == "true" else None
    return str(page + 1) if rows >= paging.size else None


def _linked(header: str) -> str:
    """The target of `rel="next"` of a Link header (RFC 8288)."""
    for part in header.split(","):
        target, _, rest = part.partition(";")
        marks = {mark.strip().replace('"', "").replace(" ", "").lower() for mark in rest.split(";")}
        if "rel=next" in marks:
            return target.strip().removeprefix("<").removesuffix(">")
    return ""


def _query_of(url: str, asked: Asked) -> str | None:
    """The parameters of the next page's URL. Nothing else of it is used: the route and the origin stay ours."""
    if not url:
        return None
    found = urlencode(parse_qsl(urlsplit(url).query, keep_blank_values=True))
    if not found:
        raise asked.missing()
    return found
