"""Rows of packs: the ways to page, filters, and revokes and sweeps that go row by row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rotator.plugin_api import Failed, Generation, RevokeRequest, Subject, SweepRequest
from tests.unit.pack_server import CALL, REPLY, Got, platform, serving

SUBJECT = Subject(principal="svc")
ROWS = [{"id": f"k{n}", "name": f"rot-a-{n}", "user": "svc" if n % 2 else "other"} for n in range(7)]

PACK = """
    pack: 1
    name: rows
    version: 1.0.0
    config: {url: {is: url}}
    auth: {acting: {header: {X-Key: "{acting.value}"}}, value: {header: {X-Key: "{value}"}}}
    reasons: {refused_key: The key is refused.}
    kinds:
      key:
        title: Key
        traits: {role: authority, origin: generated, live: many, old_lives: until_revoked, lost: probe,
                 revokes: all, lists: all}
        install: {request: {post: /keys, json: {key: "{value}"}}, auth: acting}
        probe:
          request: {get: /me}
          auth: value
          replies: [{when: {status: 401, at: /error, equals: dead}, is: rejected, reason: refused_key}]
          take: {principal: /login}
        list:
          request: {get: /keys, query: {fixed: "1"}}
          auth: acting
          items: /rows
          each: {handle: /id, label: /name, principal: /user, scopes: {at: /scope, as: words}}
          PAGE
        revoke:
          each: list
          request: {delete: "/keys/{handle}"}
          auth: acting
          replies: [{when: {status: 404}, is: gone}]
        sweep:
          each:
            request: {get: /sessions, query: {of: "{principal}"}}
            auth: acting
            items: ""
            each: {handle: /sid}
            where: {at: /kind, matches: "^api"}
          request: {delete: "/sessions/{handle}", query: {of: "{of.handle?}"}}
          auth: acting
"""


def pages(page: str) -> str:
    return PACK.replace("PAGE", page)


def sliced(start: int, size: int) -> list[dict[str, str]]:
    return ROWS[start : start + size]


def by_link(got: Got) -> REPLY:
    start = int(got.query.get("after", "0"))
    rest = f'<https://elsewhere.example/other?after={start + 3}&fixed=1>; rel="next", </x>; rel="last"'
    return 200, {"rows": sliced(start, 3)}, {"Link": rest} if start < 6 else {}


def by_url(got: Got) -> REPLY:
    start = int(got.query.get("after", "0"))
    return 200, {"rows": sliced(start, 3), "next": f"/any?after={start + 3}" if start < 6 else None}


def by_cursor(got: Got) -> REPLY:
    start = int(got.query.get("c", "0"))
    return 200, {"rows": sliced(start, 3), "cursor": str(start + 3) if start < 6 else ""}


def by_offset(got: Got) -> REPLY:
    return 200, {"rows": sliced(int(got.query["offset"]), 3), "total": len(ROWS)}


def by_number(got: Got) -> REPLY:
    return 200, {"rows": sliced((int(got.query["page"]) - 1) * 3, 3), "more": int(got.query["page"]) < 3}


WAYS: dict[str, tuple[str, Any, int]] = {
    "link": ("page: {by: link}", by_link, 3),
    "next_url": ("page: {by: next_url, at: /next}", by_url, 3),
    "cursor": ("page: {by: cursor, at: /cursor, query: c}", by_cursor, 3),
    "offset by total": ("page: {by: offset, query: offset, size: 3, total: /total}", by_offset, 3),
    "offset by size": ("page: {by: offset, query: offset, size: 3}", by_offset, 3),
    "number by more": ("page: {by: number, query: page, more: /more}", by_number, 3),
    "number by size": ("page: {by: number, query: page, size: 3}", by_number, 3),
}


@pytest.mark.parametrize(("page", "answer", "calls"), WAYS.values(), ids=WAYS.keys())
def test_every_way_to_page_gives_every_row_once(tmp_path: Path, page: str, answer: Any, calls: int) -> None:
    with serving(answer) as script:
        rows = platform(tmp_path, script, pages(page)).listing(CALL, None)
    assert [row.handle for row in rows] == [row["id"] for row in ROWS]
    assert script.calls() == ["GET /keys"] * calls, "a link names parameters only, never another place"
    assert all(one.query["fixed"] == "1" for one in script.got)


@pytest.mark.parametrize(
    ("page", "answer"),
    [
        ("page: {by: number, query: page, more: /more}", {"rows": []}),
        ("page: {by: offset, query: offset, size: 3, total: /total}", {"rows": [], "total": 9}),
        ("page: {by: offset, query: offset, size: 3, total: /total}", {"rows": ROWS}),
        ("page: {by: cursor, at: /cursor, query: c}", {"rows": ROWS, "cursor": "same"}),
        ("page: {by: next_url, at: /next}", {"rows": ROWS, "next": "/no-parameters"}),
        ("page: {by: link}", {"no": "rows"}),
        ("page: {by: link}", {"rows": [{"name": "without an id"}]}),
    ],
)
def test_a_list_that_may_be_short_is_an_error(tmp_path: Path, page: str, answer: Any) -> None:
    with serving(lambda got: (200, answer)) as script, pytest.raises(Failed):
        platform(tmp_path, script, pages(page)).listing(CALL, None)


def test_rows_of_others_are_left_out_for_a_subject_and_words_are_split(tmp_path: Path) -> None:
    rows = [{"id": 1, "user": "svc", "scope": "a b,c"}, {"id": 2, "user": "other"}, {"id": 3}]
    with serving(lambda got: (200, {"rows": rows})) as script:
        found = platform(tmp_path, script, pages("")).listing(CALL, SUBJECT)
    assert [row.handle for row in found] == ["1", "3"]
    assert found[0].scopes == frozenset({"a", "b", "c"})
    assert found[1].scopes is None


def test_a_revoke_of_all_deletes_the_subjects_rows_one_by_one_and_no_others(tmp_path: Path) -> None:
    with serving(lambda got: (200, {"rows": ROWS}) if got.method == "GET" else (404, {})) as script:
        target = Generation(subject=SUBJECT, handle="k1")
        assert not platform(tmp_path, script, pages("")).revoke(CALL, RevokeRequest(target=target)).already
    assert script.calls()[1:] == ["DELETE /keys/k1", "DELETE /keys/k3", "DELETE /keys/k5"]
    with serving(lambda got: (200, {"rows": []})) as script:
        assert platform(tmp_path, script, pages("")).revoke(CALL, RevokeRequest(target=target)).already


def test_a_revoke_of_all_whose_list_is_broken_deletes_nothing(tmp_path: Path) -> None:
    page = "page: {by: number, query: page, more: /more}"

    def answer(got: Got) -> REPLY:
        return (200, {"rows": ROWS, "more": True}) if got.query.get("page") == "1" else (503, "")

    with serving(answer) as script:
        with pytest.raises(Failed):
            platform(tmp_path, script, pages(page)).revoke(CALL, RevokeRequest(target=Generation(subject=SUBJECT)))
        assert script.calls() == ["GET /keys", "GET /keys"]


def test_a_sweep_goes_over_a_listing_of_its_own(tmp_path: Path) -> None:
    sessions = [{"sid": 1, "kind": "api"}, {"sid": 2, "kind": "web"}, {"sid": 3, "kind": "api-2"}]
    with serving(lambda got: (200, sessions if got.method == "GET" else {})) as script:
        target = Generation(subject=SUBJECT, handle="k9")
        assert platform(tmp_path, script, pages("")).sweep(CALL, SweepRequest(target=target)).count == 2
    assert script.calls() == ["GET /sessions", "DELETE /sessions/1", "DELETE /sessions/3"]
    assert script.got[0].query == {"of": "svc"}
    assert script.got[1].query == {"of": "k9"}
