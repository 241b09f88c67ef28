"""What the courier works with, from a configuration: its senders, its rules, and conditions with keys of their own."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rotator.daemon.postroom import Conditions, Postroom
from rotator.engine.delivery import Parcel, Sent
from rotator.engine.freezes import Freeze, Moment
from rotator.engine.inspection import Incident
from rotator.engine.requests import Selection
from rotator.engine.watch import WatchRules
from rotator.plugin_api import Secret
from rotator.settings.loader import load_text
from tests.unit.engine_bench import ME, T0, Bench, credential
from tests.unit.test_settings_freezes import WHOLE

from .hostile_server import answer, hostile
from .test_notices_senders import Clock

PARCEL = Parcel("id-1", "about-1", "subject", '{"data": {}}')


class Kept:
    """A store with one value."""

    def __init__(self, values: dict[tuple[str, str], str]) -> None:
        self.values = values

    def fetch(self, path: str, field: str) -> Secret | None:
        found = self.values.get((path, field))
        return None if found is None else Secret(found)


def live(text: str, store: Kept | None = None, freezes: tuple[Freeze, ...] = ()) -> Any:
    configuration = load_text(WHOLE + text).configuration
    return SimpleNamespace(settings=configuration, store=lambda name: store, freezes=freezes)


def hook(url: str, refs: str) -> str:
    return (
        f"notify:\n  channels:\n    soc: {{type: webhook, url: {url}, secrets: {refs}}}\n"
        "  routes: {all: {events: [all], channels: [soc]}}\n"
    )


def signed_by(request: bytes, key: str) -> bool:
    head, _, body = request.partition(b"\r\n\r\n")
    given = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    signed = f"{given['webhook-id']}.{given['webhook-timestamp']}.".encode() + body
    wanted = base64.b64encode(hmac.new(key.encode(), signed, hashlib.sha256).digest()).decode()
    return f"v1,{wanted}" in given["webhook-signature"].split(" ")


def test_a_key_is_read_from_where_it_stands_at_each_message(tmp_path: Path) -> None:
    first, second, old = (secrets.token_urlsafe(24) for _ in range(3))
    file = tmp_path / "old.key"
    file.write_text(old)
    file.chmod(0o600)
    store = Kept({("notify/soc", "key"): first})
    with hostile(answer(204, b"")) as server:
        refs = f"[{{store: main, path: notify/soc, field: key}}, {{file: {file}}}]"
        room = Postroom(live(hook(server.url, refs), store), Clock(), "0.1.0")
        assert room.senders().send("soc", PARCEL) == Sent(True)
        store.values[("notify/soc", "key")] = second
        assert room.senders().send("soc", PARCEL) == Sent(True)
    one, two = server.requests
    assert (signed_by(one, first), signed_by(one, old), signed_by(one, second)) == (True, True, False)
    assert (signed_by(two, first), signed_by(two, old), signed_by(two, second)) == (False, True, True)


def test_a_key_that_is_not_there_sends_nothing() -> None:
    with hostile(answer(204, b"")) as server:
        refs = "[{store: main, path: notify/soc, field: key}]"
        room = Postroom(live(hook(server.url, refs), Kept({})), Clock(), "0.1.0")
        assert room.senders().send("soc", PARCEL) == Sent(False, "key_unreadable")
    assert server.connections == 0


def test_a_reload_counts_at_the_next_message() -> None:
    key = Kept({("notify/soc", "key"): "canary-" + "k" * 20})
    refs = "[{store: main, path: notify/soc, field: key}]"
    with hostile(answer(204, b"")) as first, hostile(answer(204, b"")) as second:
        now = live(hook(first.url, refs), key)
        room = Postroom(now, Clock(), "0.1.0")
        kept = room.senders()
        assert room.senders() is kept
        room.senders().send("soc", PARCEL)
        now.settings = live(hook(second.url, refs)).settings
        room.senders().send("soc", PARCEL)
        now.settings = live("").settings
        assert room.senders().send("soc", PARCEL) == Sent(False, "unknown_channel")
        assert (room.rules().routes, room.kinds()) == ((), {})
    assert (first.connections, second.connections) == (1, 1)


def test_a_bundle_that_cannot_be_read_shuts_one_channel_only(tmp_path: Path) -> None:
    key = Kept({("notify/soc", "key"): "canary-" + "k" * 20})
    with hostile(answer(204, b"")) as server:
        refs = "[{store: main, path: notify/soc, field: key}]"
        bad = f"    bad: {{type: webhook, url: {server.url}, ca: {tmp_path}/none.pem, secrets: {refs}}}\n  routes:"
        room = Postroom(live(hook(server.url, refs).replace("  routes:", bad), key), Clock(), "0.1.0")
        assert room.senders().send("bad", PARCEL) == Sent(False, "tls")
        assert room.senders().send("soc", PARCEL) == Sent(True)


def test_links_go_to_where_the_documents_are_served() -> None:
    text = hook("https://x.example", "[{file: /k}]") + "  runbook: https://docs.example/rotator\n  give_up_after: 1d\n"
    rules = Postroom(live(text), Clock(), "0").rules()
    assert (rules.runbook, rules.give_up_after, rules.channels) == (
        "https://docs.example/rotator/", 86_400_000, {"soc"},
    )  # fmt: skip
    assert Postroom(live(""), Clock(), "0").rules().runbook == "docs/"


# -- conditions ----------------------------------------------------------------------------------------------------


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, credential())
    made.adopted()
    yield made
    made.close()


def conditions(bench: Bench, *, freezes: tuple[Freeze, ...] = (), behind: bool = False, **more: Any) -> list[str]:
    found = Conditions(
        bench.ledger, bench.clock, live("", freezes=freezes), WatchRules, lambda: behind,
        lambda: more.get("incidents", ()),
    )  # fmt: skip
    before = len(bench.ledger.unrouted(1000))
    bench.ledger.tell(list(found()))
    return [one.notice.event for one in bench.ledger.unrouted(1000)][before:]


def test_whoever_passes_a_freeze_is_told_of_once(bench: Bench) -> None:
    freeze = Freeze("year-end", Moment(0), Moment(T0 * 2), "UTC", "quiet days")
    assert conditions(bench, freezes=(freeze,)) == []
    bench.service.emergency(ME, Selection(ids=("alpha",)), mode="overlap", reason="leak", ticket="")
    assert conditions(bench, freezes=(freeze,)) == ["freeze_broken"]
    assert conditions(bench, freezes=(freeze,)) == []
    assert dict(list(bench.ledger.unrouted(1000))[-1].notice.facts)["freeze"] == "year-end"


def test_whoever_has_passed_it_before_anybody_looked_is_told_of_too(bench: Bench) -> None:
    freeze = Freeze("short", Moment(bench.clock.at), Moment(bench.clock.at + 60_000), "UTC", "quiet minute")
    done = bench.service.emergency(ME, Selection(ids=("alpha",)), mode="overlap", reason="leak", ticket="")
    bench.finish(done["runs"][0]["id"])
    bench.clock.move(120_000)
    assert conditions(bench, freezes=(freeze,)) == ["freeze_broken"]
    bench.clock.move(7_200_000)
    assert conditions(bench, freezes=(freeze,)) == []


def test_whoever_is_held_by_a_freeze_has_not_passed_it(bench: Bench) -> None:
    bench.rotate()
    assert conditions(bench, freezes=(Freeze("f", Moment(0), Moment(T0 * 2), "UTC", "r"),)) == []


def test_a_restored_ledger_and_an_incident_are_told_once(bench: Bench) -> None:
    incident = Incident("main", "store_secret_id_taken", "somebody was quicker", T0)
    assert conditions(bench, behind=True, incidents=(incident,)) == ["ledger_behind", "incident"]
    assert conditions(bench, behind=True, incidents=(incident,)) == []
