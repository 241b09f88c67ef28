"""The manual of packs holds: its example is a valid pack that works, and it names every word of the vocabulary."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
from rotator_http import calls, check_pack, load_pack, reading, reading_calls, reading_kinds, reading_replies
from rotator_http.reading_requests import METHODS

from rotator.effects.host import objections
from rotator.plugin_api import Alive, Generation, IssueRequest, ProbeRequest, Rejected, RevokeRequest, Secret, Subject
from tests.unit.pack_server import ADMIN, CALL, REPLY, Got, platform, serving

MANUAL = (Path(__file__).resolve().parents[2] / "docs/packs.md").read_text()
EXAMPLE = re.findall(r"```yaml\n(pack: 1.*?)```", MANUAL, re.DOTALL)[0]
SUBJECT = Subject(principal="svc-sync")


class Helpdesk:
    """The server that the manual describes."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.tokens = {f"Bearer {ADMIN}": "rotator"}

    def __call__(self, got: Got) -> REPLY:
        who = self.tokens.get(got.headers.get("authorization", ""))
        if who is None:
            return 401, {"error": "invalid token"}
        if got.path == "/api/me":
            return 200, {"login": who}
        if got.method == "GET":
            return 200, {"tokens": self.rows if got.query["page"] == "1" else []}
        if got.method == "POST":
            number = len(self.rows) + 17
            self.rows.append({"id": number, "name": got.json["name"], "user": got.json["user"], "expires": None})
            self.tokens[f"Bearer canary-{number}"] = got.json["user"]
            return 201, {"id": number, "secret": f"canary-{number}"}
        number = int(got.path.rpartition("/")[2])
        kept = [row for row in self.rows if row["id"] != number]
        gone, self.rows = len(kept) == len(self.rows), kept
        self.tokens.pop(f"Bearer canary-{number}", None)
        return (404, {"error": "no such token"}) if gone else (204, "")


def test_the_example_has_no_problems(tmp_path: Path) -> None:
    path = tmp_path / "helpdesk.yaml"
    path.write_text(EXAMPLE)
    assert check_pack(path) == []
    assert objections(load_pack(str(path))) == ()


def test_the_example_issues_tries_lists_and_kills(tmp_path: Path) -> None:
    with serving(Helpdesk()) as script:
        hosted = platform(tmp_path, script, EXAMPLE)
        issued = hosted.issue(CALL, IssueRequest(subject=SUBJECT, label="rot-a-1", scopes=frozenset({"read"})))
        assert issued.handle == "17"
        target = Generation(subject=SUBJECT, handle=issued.handle, label="rot-a-1")
        probe = ProbeRequest(target=target, value=issued.value)
        assert hosted.probe(CALL, probe) == Alive(principal="svc-sync")
        assert [row.label for row in hosted.listing(CALL, SUBJECT)] == ["rot-a-1"]
        assert not hosted.revoke(CALL, RevokeRequest(target=target)).already
        assert hosted.revoke(CALL, RevokeRequest(target=target)).already
        assert hosted.probe(CALL, probe) == Rejected(reason="token_refused")
        wrong = ProbeRequest(target=target, value=Secret("canary-wrong"))
        assert hosted.probe(CALL, wrong) == Rejected(reason="token_refused")


def test_the_mistake_that_the_manual_shows_is_told_at_that_place(tmp_path: Path) -> None:
    path = tmp_path / "helpdesk.yaml"
    path.write_text(EXAMPLE.replace("is: rejected, reason: token_refused", "is: rejected, reason: token_refusd"))
    shown = re.search(r"helpdesk\.yaml:(\d+):(\d+): 'token_refusd'", MANUAL)
    assert shown is not None
    found = [one for one in check_pack(path) if one.code == "undeclared_reason"]
    assert [(one.line, one.column) for one in found] == [(int(shown[1]), int(shown[2]))]


VOCABULARY = {
    *reading._TOP,
    *reading._TYPES,
    *reading_kinds._KIND,
    *reading_kinds._TRAITS,
    *reading_calls._EXCHANGE,
    *reading_calls._EACH,
    *reading_calls._SCHEMES,
    *reading_replies._PAGES,
    *get_args(calls.Word),
    *METHODS,
    *(name for names in reading_calls.TAKES.values() for name in names),
    *(name.partition(".")[0] for names in reading_calls.VARIABLES.values() for name in names),
    *("like", "query", "headers", "text", "conceal", "page", "where", "same", "more", "first", "size", "total"),
    *("retry_after", "when", "matches", "equals", "lives", "then", "logout", "none", "words", "epoch", "iso"),
}


@pytest.mark.parametrize("word", sorted(VOCABULARY))
def test_the_manual_names_every_word(word: str) -> None:
    assert re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", MANUAL), word
