"""A revoke that finds its row first (`find: list`), and handles that are digests of ids that work as credentials."""

from __future__ import annotations

import hashlib
import traceback
from pathlib import Path
from typing import Any

import pytest

from rotator.plugin_api import (
    Alive,
    Failed,
    Generation,
    InstallRequest,
    Misconfigured,
    OutcomeUnknown,
    PluginError,
    ProbeRequest,
    Refused,
    RevokeRequest,
    Secret,
    Subject,
)
from tests.unit.pack_server import CALL, REPLY, Got, platform, serving

SUBJECT = Subject(principal="svc")
ROWS = [{"id": f"canary-id-{n}", "key": f"canary-key-{n}", "name": f"rot-a-{n}", "user": "svc"} for n in range(5)]

PACK = """
    pack: 1
    name: found
    version: 1.0.0
    config: {url: {is: url}}
    auth: {acting: {header: {X-Key: "{acting.value}"}}, value: {header: {X-Key: "{value}"}}}
    reasons: {refused_key: The key is refused.}
    kinds:
      key:
        title: Key
        traits: {role: authority, origin: generated, live: many, old_lives: until_revoked, lost: by_label,
                 revokes: one, lists: all, label: {max: 36}}
        install:
          request: {post: /keys, json: {key: "{value}", name: "{label}"}}
          auth: acting
          take: {handle: {at: /id, as: digest}}
        probe:
          request: {get: /me}
          auth: value
          replies: [{when: {status: 401, at: /error, equals: dead}, is: rejected, reason: refused_key}]
          take: {principal: /login, handle: {at: /id, as: digest, none: "0"}}
        list:
          request: {get: /keys}
          auth: acting
          items: /rows
          page: {by: number, query: page, more: /more}
          each: {handle: {at: /id, as: digest}, label: /name, principal: /user, same: /key}
          conceal: [/key]
        revoke:
          find: list
          row: {id: /id, owner: /user}
          request: {delete: "/keys/{row.id}", headers: {X-Owner: "{row.owner}"}}
          auth: acting
          replies:
            - {when: {status: 404, at: /error, equals: gone}, is: gone}
            - {when: {status: 404, at: /error, equals: hidden}, is: maybe_gone}
"""


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def revoke(handle: str | None) -> RevokeRequest:
    return RevokeRequest(target=Generation(subject=SUBJECT, handle=handle, label="rot-a-1"))


def pages(rows: list[dict[str, Any]], size: int = 2, ending: REPLY = (200, {})) -> Any:
    def answer(got: Got) -> REPLY:
        if got.method != "GET":
            return ending
        start = (int(got.query["page"]) - 1) * size
        return 200, {"rows": rows[start : start + size], "more": start + size < len(rows)}

    return answer


@pytest.mark.parametrize("number", range(5))
def test_exactly_the_row_with_the_handle_is_deleted_after_the_whole_list_was_read(tmp_path: Path, number: int) -> None:
    with serving(pages(ROWS)) as script:
        assert not platform(tmp_path, script, PACK).revoke(CALL, revoke(digest(f"canary-id-{number}"))).already
    assert script.calls() == ["GET /keys"] * 3 + [f"DELETE /keys/canary-id-{number}"]
    assert script.got[-1].headers["x-owner"] == "svc"


def test_an_id_with_signs_of_its_own_is_one_piece_of_the_path(tmp_path: Path) -> None:
    rows = [{"id": "a/../b?c=d#é", "name": "x", "user": "svc"}]
    with serving(pages(rows)) as script:
        platform(tmp_path, script, PACK).revoke(CALL, revoke(digest("a/../b?c=d#é")))
    assert script.calls()[-1] == "DELETE /keys/a%2F..%2Fb%3Fc%3Dd%23%C3%A9"


def test_none_is_gone_only_after_the_whole_list_twice(tmp_path: Path) -> None:
    with serving(pages(ROWS)) as script:
        assert platform(tmp_path, script, PACK).revoke(CALL, revoke(digest("another"))).already
    assert script.calls() == ["GET /keys"] * 6
    with serving(pages(ROWS, size=9)) as script:
        assert platform(tmp_path, script, PACK).revoke(CALL, revoke(digest("another"))).already
    assert script.calls() == ["GET /keys"]


def test_a_row_that_slipped_to_a_page_already_read_is_found_the_second_time(tmp_path: Path) -> None:
    """Somebody deletes a row of page one between the pages: the rows behind it move up by one."""
    rows = list(ROWS)
    listed = pages(rows)

    def answer(got: Got) -> REPLY:
        reply: REPLY = listed(got)
        if got.method == "GET" and got.query["page"] == "1" and len(rows) == 5:
            del rows[0]
        return reply

    with serving(answer) as script:
        assert not platform(tmp_path, script, PACK).revoke(CALL, revoke(digest("canary-id-2"))).already
    assert script.calls()[-1] == "DELETE /keys/canary-id-2"


@pytest.mark.parametrize("page", [1, 2, 3])
def test_a_list_that_broke_deletes_nothing_and_says_nothing_was_done(tmp_path: Path, page: int) -> None:
    listed = pages(ROWS)
    with serving(lambda got: (503, "") if got.query.get("page") == str(page) else listed(got)) as script:
        with pytest.raises(Failed):
            platform(tmp_path, script, PACK).revoke(CALL, revoke(digest("canary-id-0")))
        assert script.calls() == ["GET /keys"] * page


OTHERS = {
    "twice": [{"id": "k", "name": "x", "user": "svc"}] * 2,
    "another's": [{"id": "k", "name": "x", "user": "other"}],
    "another's too": [{"id": "k", "name": "x", "user": "svc"}, {"id": "k", "name": "x", "user": "other"}],
}


@pytest.mark.parametrize("rows", OTHERS.values(), ids=OTHERS.keys())
def test_several_rows_or_somebody_elses_are_refused(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    with serving(pages(rows)) as script, pytest.raises(Refused):
        platform(tmp_path, script, PACK).revoke(CALL, revoke(digest("k")))
    assert "DELETE" not in " ".join(script.calls())


@pytest.mark.parametrize("handle", [None, "", "canary-id-1", digest("x").upper(), digest("x") + "0", "../keys"])
def test_what_is_no_digest_is_never_asked_for(tmp_path: Path, handle: str | None) -> None:
    """An id in clear as a handle would be one that stands in the journal: no `already` for it."""
    with serving(pages(ROWS)) as script, pytest.raises(Misconfigured) as caught:
        platform(tmp_path, script, PACK).revoke(CALL, revoke(handle))
    assert caught.value.unsent
    assert script.calls() == []


def test_gone_between_the_list_and_the_delete_is_gone(tmp_path: Path) -> None:
    with serving(pages(ROWS, ending=(404, {"error": "gone"}))) as script:
        assert platform(tmp_path, script, PACK).revoke(CALL, revoke(digest("canary-id-1"))).already


def test_maybe_gone_looks_again(tmp_path: Path) -> None:
    with serving(pages(ROWS, ending=(404, {"error": "hidden"}))) as script, pytest.raises(Refused):
        platform(tmp_path, script, PACK).revoke(CALL, revoke(digest("canary-id-1")))


def test_a_lost_delete_is_unknown_and_its_error_shows_no_id(tmp_path: Path) -> None:
    ending: REPLY = (500, {"error": ROWS[1]["id"]})
    request = revoke(digest(ROWS[1]["id"]))
    with serving(pages(ROWS, ending=ending)) as script, pytest.raises(OutcomeUnknown) as caught:
        platform(tmp_path, script, PACK).revoke(CALL, request)
    assert "canary-id" not in "".join(traceback.format_exception(caught.value)) + repr(caught.value.__dict__)


def test_install_probe_and_list_give_the_digest_and_never_the_id(tmp_path: Path) -> None:
    def answer(got: Got) -> REPLY:
        if got.path == "/me":
            return 200, {"login": "svc", "id": "canary-id-1"}
        return (201, {"id": "canary-id-1"}) if got.method == "POST" else pages(ROWS, size=9)(got)

    target = Generation(subject=SUBJECT, label="rot-a-1")
    value = Secret("canary-value")
    with serving(answer) as script:
        hosted = platform(tmp_path, script, PACK)
        made = hosted.install(CALL, InstallRequest(into=SUBJECT, value=value, of=target, label="rot-a-1"))
        found = hosted.probe(CALL, ProbeRequest(target=target, value=value))
        rows = hosted.listing(CALL, SUBJECT)
    assert made.handle == digest("canary-id-1")
    assert found == Alive(principal="svc", handle=digest("canary-id-1"))
    assert [row.handle for row in rows] == [digest(str(row["id"])) for row in ROWS]
    assert "canary-id" not in repr((made, found, rows))


@pytest.mark.parametrize("id_", ["", None, "0"])
def test_nothing_has_no_digest(tmp_path: Path, id_: str | None) -> None:
    with serving(lambda got: (200, {"login": "svc", "id": id_})) as script:
        target = Generation(subject=SUBJECT)
        found = platform(tmp_path, script, PACK).probe(CALL, ProbeRequest(target=target, value=Secret("canary-value")))
    assert found == Alive(principal="svc")


def test_a_row_without_its_id_fails_the_list(tmp_path: Path) -> None:
    with serving(pages([{"name": "x", "user": "svc"}])) as script, pytest.raises(PluginError):
        platform(tmp_path, script, PACK).listing(CALL, SUBJECT)


def test_a_label_that_repeats_the_id_of_its_row_is_left_out(tmp_path: Path) -> None:
    """It cannot be one of ours, and a label may be written down."""
    rows = [{"id": "canary-id-7", "name": "is canary-id-7", "user": "svc"}, ROWS[0]]
    with serving(pages(rows)) as script:
        found = platform(tmp_path, script, PACK).listing(CALL, SUBJECT)
    assert [row.label for row in found] == [None, "rot-a-0"]


@pytest.mark.parametrize(("label", "deleted"), [("rot-a-1", True), ("", True), ("rot-a-2", False)])
def test_where_ids_come_again_the_row_must_bear_our_label_if_the_value_has_one(
    tmp_path: Path, label: str, deleted: bool
) -> None:
    """An adopted value has none: its id is all that is known of it."""
    pack = PACK.replace("find: list", "find: list\n          labelled: true")
    target = Generation(subject=SUBJECT, handle=digest("canary-id-1"), label=label)
    with serving(pages(ROWS, size=9)) as script:
        hosted = platform(tmp_path, script, pack)
        if deleted:
            assert not hosted.revoke(CALL, RevokeRequest(target=target)).already
        else:
            with pytest.raises(Refused) as caught:
                hosted.revoke(CALL, RevokeRequest(target=target))
            assert caught.value.reason == "other_label"
    assert ("DELETE /keys/canary-id-1" in script.calls()) is deleted
