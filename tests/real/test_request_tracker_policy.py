"""Request Tracker refuses every value for its length: the real daemon gives up after so many values, and goes back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.lab.estate import Estate, Servers, Tempo
from tests.lab.request_tracker import WRONG_PASSWORD, RequestTracker
from tests.lab.shapes import staged, stored
from tests.lab.shapes_request_tracker import DEADLINE, ENDPOINT, TrackerPassword

pytestmark = [pytest.mark.real("request-tracker"), pytest.mark.timeout(300)]
WHY = ("--reason", "test")
VALUES = 2
LONGER_THAN_ANY = 65
"""Signs; what is made for this pack has 64."""


def test_a_length_that_no_value_has_ends_the_run_after_so_many_values_and_the_old_one_serves(
    tmp_path: Path, servers: Servers, start_real_server: Callable[..., Any]
) -> None:
    tracker: RequestTracker = start_real_server("request-tracker")
    patience = {"attempts": 4, "span": "8s", "values": VALUES}
    estate = Estate(tmp_path / "estate", servers, Tempo(deadline=DEADLINE, patience=patience))
    shape = TrackerPassword("intake", tracker)
    said = ""

    def rotator(*arguments: str, code: int = 0) -> str:
        nonlocal said
        ran = estate.rotator(*arguments)
        said += ran.out + ran.err
        assert ran.code == code, f"{arguments}: {ran.code}\n{ran.out}{ran.err}\n{estate.complaints()}"
        return ran.out + ran.err

    try:
        shape.prepare(estate)
        (user, first), *_ = shape.watched.values
        estate.start(log_level="debug")
        rotator("adopt", shape.name, *WHY, "--wait")
        tracker.demand(LONGER_THAN_ANY)
        assert "at least 65" in tracker.edit(user, f"Password: {first}"), "the rule is in force"

        rotator("rotate", shape.name, *WHY, "--yes", "--wait", code=11)
        run = estate.runs(shape.name)[0]
        assert (run["ending"], run["debts"]) == ("rolled_back", [])
        shown = rotator("runs", "show", run["id"])
        assert shown.count(": refused (policy)") == VALUES
        assert shown.count("make g") == 2 * VALUES, "announced, and done"
        assert "at least 65" not in shown, "the server's prose stays outside"
        for gen in range(2, 2 + VALUES):
            proof = f"prove g{gen} dead at {user}@{ENDPOINT}, by trying it beside a control: refused by the platform"
            assert shown.count(f"{proof} (password_refused, grade 1)") == 2

        # The server's own words, asked past Rotator.
        assert tracker.refusal(user, first) == ""
        assert tracker.refusal(user, f"{first}x") == f"401 Credentials required: {WRONG_PASSWORD}"
        assert shape.current(estate) == (user, first)
        assert (stored(estate, shape.name) or {})["url"] == tracker.url
        assert {value for _, value in staged(estate, shape.name)} <= {first}
        assert estate.ask("GET", f"/v1/debts?credential={shape.name}")[1]["items"] == []

        # With the rule gone the next rotation is one like any other.
        tracker.demand(8)
        rotator("rotate", shape.name, *WHY, "--yes", "--wait")
        second = shape.current(estate)
        assert second is not None
        assert tracker.refusal(*second) == ""
        assert tracker.refusal(user, first) != ""
        written = said.encode() + b"".join(
            one.read_bytes() for one in estate.folder.iterdir() if one.name.startswith(("ledger.db", "daemon.log"))
        )
        for value in (first, second[1], tracker.admin_password, json.dumps(first)):
            assert value.encode() not in written
    finally:
        estate.close()
