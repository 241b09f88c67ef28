"""The alerta pack's rows against the real server: the listing, and the revoke that finds its row in it.

The id of a key works as the key, so it is shown by nothing but the request that ends it.
"""

from __future__ import annotations

import secrets
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rotator.plugin_api import (
    Alive,
    Failed,
    Generation,
    OutcomeUnknown,
    Refused,
    Subject,
)
from tests.conformance import checks
from tests.conformance.alerta_bench import SERVICE, make_bench, paged_pack, row_of, with_plugin
from tests.conformance.bench import Bench, Credential
from tests.lab.alerta import Alerta
from tests.lab.proxy import Answer, Fault, Proxy
from tests.lab.shapes import handle_of


@pytest.fixture
def bench(alerta: Alerta, start_proxy: Callable[..., Proxy]) -> Bench:
    return make_bench(alerta, start_proxy(alerta.port))


def test_a_revoke_finds_its_row_on_any_page_and_a_broken_page_deletes_nothing(bench: Bench, tmp_path: Path) -> None:
    credentials = [bench.installed() for _ in range(5)]
    paged = with_plugin(bench, paged_pack(tmp_path))
    for page in (1, 2):
        paged.proxy.clear()
        paged.proxy.rule(Fault.MADE_UP, method="GET", path=rf"[?&]page={page}(&|$)", answer=Answer(503))
        with pytest.raises(Failed):
            paged.revoke(credentials[0])
    assert paged.proxy.count(method="DELETE") == 0
    paged.proxy.clear()
    for one in credentials:
        assert not paged.revoke(one).already
        assert not bench.accepts(one.value)
        assert paged.revoke(one).already


def test_a_revoke_of_a_key_that_is_anothers_now_is_refused(bench: Bench) -> None:
    credential = bench.installed(Subject(principal="other@lab.test"))
    asked = Credential(credential.value, Generation(subject=SERVICE, handle=credential.target.handle))
    with pytest.raises(Refused):
        bench.revoke(asked)
    assert bench.accepts(credential.value)


def test_two_rows_with_one_handle_are_refused(bench: Bench, alerta: Alerta) -> None:
    credential = bench.installed()
    row = row_of(alerta, credential)
    twice = Answer.json(200, {"status": "ok", "keys": [row, {**row, "text": "again"}], "more": False})
    bench.proxy.rule(Fault.REPLACED, method="GET", path=r"^/keys", answer=twice)
    with pytest.raises(Refused):
        bench.revoke(credential)
    assert bench.proxy.count(method="DELETE") == 0


def test_an_id_is_shown_by_nothing_but_the_delete_that_ends_it(
    bench: Bench, alerta: Alerta, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    credential = bench.installed()
    id_ = row_of(alerta, credential)["id"]
    said = [repr(credential.target), repr(bench.probe(credential)), repr(bench.platform().listing(bench.call(), None))]
    bench.proxy.rule(Fault.MADE_UP, method="DELETE", answer=Answer.json(500, {"message": f"no {id_}"}), times=1)
    with pytest.raises(OutcomeUnknown) as caught:
        bench.revoke(credential)
    said += ["".join(traceback.format_exception(caught.value)), caplog.text]
    assert not any(id_ in text for text in said)
    assert [event.method for event in bench.proxy.log if id_ in event.path] == ["DELETE"]
    assert not bench.revoke(credential).already


def test_a_key_whose_text_repeats_its_id_hides_no_others_and_is_shown_without_it(bench: Bench, alerta: Alerta) -> None:
    id_ = f"chosen-{secrets.token_hex(4)}"
    record = {"id": id_, "user": SERVICE.principal, "scopes": ["read"], "text": f"key {id_}"}
    assert alerta.ask("POST", "/key", record).status == 201
    credential = bench.installed()
    rows = bench.platform().listing(bench.call(), SERVICE)
    assert credential.target.handle in {row.handle for row in rows}
    assert id_ not in repr(rows)
    (row,) = [row for row in rows if row.handle == handle_of({"id": id_})]
    assert row.label is None
    alerta.delete_key(id_)


# ---- listing -------------------------------------------------------------------------------------------------------


def test_the_list_has_every_row_of_every_page_and_of_everybody(bench: Bench, tmp_path: Path) -> None:
    mine = [bench.installed() for _ in range(5)]
    theirs = bench.installed(Subject(principal="other@lab.test"))
    paged = with_plugin(bench, paged_pack(tmp_path))
    rows = paged.platform().listing(bench.call(), None)
    assert sorted(row.handle for row in rows) == sorted(bench.stored())
    assert bench.proxy.count(path=r"[?&]page=3(&|$)") == 1
    own = paged.platform().listing(bench.call(), SERVICE)
    assert {one.target.handle for one in mine} <= {row.handle for row in own}
    assert theirs.target.handle not in {row.handle for row in own}


def test_a_row_says_what_the_server_knows(bench: Bench) -> None:
    credential = bench.installed()
    assert isinstance(bench.probe(credential), Alive)
    rows = bench.platform().listing(bench.call(), SERVICE)
    (row,) = [row for row in rows if row.label == credential.target.label]
    assert row.handle == credential.target.handle
    assert (row.label, row.principal, row.active) == (credential.target.label, SERVICE.principal, True)
    assert row.last_used_at is not None
    assert abs(datetime.now(UTC) - row.last_used_at) < timedelta(minutes=2)
    assert row.same is not None
    assert row.same.reveal() == credential.value
    assert credential.value not in repr(rows)


def test_a_listing_that_broke_on_page_two_is_an_error(bench: Bench, tmp_path: Path) -> None:
    for _ in range(3):
        bench.installed()
    checks.listing_that_broke(with_plugin(bench, paged_pack(tmp_path)), r"[?&]page=2(&|$)")
