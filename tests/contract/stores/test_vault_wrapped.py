"""Wrapped secret ids against a real OpenBao: unwrapped once, and an incident when somebody else was there first."""

from __future__ import annotations

import hashlib
import stat
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import structlog

from rotator.effects.stores.contract import Store
from rotator.effects.stores.opening import AppRole, open_store
from rotator.plugin_api import Failed, Misconfigured, PluginError, Secret
from tests.contract.stores.drivers import private
from tests.contract.stores.wrapped_stand import WrappedStand
from tests.lab.openbao import OpenBaoDev
from tests.lab.openbao_logins import Logins
from tests.lab.proxy import Answer, Event, Fault, Proxy

DEAD = Answer.json(400, {"errors": ["wrapping token is not valid or does not exist"]})


@pytest.fixture
def stand(store_server: OpenBaoDev, tmp_path: Path) -> Iterator[WrappedStand]:
    with Proxy(store_server.port) as proxy:
        yield WrappedStand(store_server, tmp_path, proxy)


def test_wrapped_secret_id_is_unwrapped_once_and_serves_every_login(stand: WrappedStand) -> None:
    token = stand.deliver()
    store = stand.open()
    store.stage(stand.driver.slot(), 1, Secret("canary-value"))
    assert stand.used() == (1, 1, 1)
    stand.driver.clock.ahead += 4000
    store.current(stand.driver.slot())
    assert stand.used() == (1, 1, 2)
    assert stand.incidents() == []
    assert stand.notes.read_text().split() == [hashlib.sha256(token.encode()).hexdigest()]
    assert stat.S_IMODE(stand.notes.stat().st_mode) == 0o600
    store.close()


def test_somebody_else_was_first_it_is_an_incident_and_nothing_is_tried_again(stand: WrappedStand) -> None:
    stand.logins.unwrap(stand.deliver())
    store = stand.open()
    with structlog.testing.capture_logs() as lines:
        for _ in range(5):
            error = stand.refused(store)
            assert (type(error), error.reason) == (Misconfigured, "store_secret_id_taken")
    assert stand.used() == (2, 0, 0)  # looked up twice, since a standby may lag; then never again
    assert stand.incidents() == [("main", "store_secret_id_taken")]
    assert [(one["event"], one["log_level"]) for one in lines] == [("store.incident", "error")]
    assert (lines[0]["store"], lines[0]["reason"]) == ("main", "store_secret_id_taken")
    stand.driver.clock.ahead += 3600
    stand.refused(store)
    assert stand.used() == (2, 0, 0)


def test_another_delivery_ends_the_incident(stand: WrappedStand) -> None:
    stand.logins.unwrap(stand.deliver())
    store = stand.open()
    stand.refused(store)
    stand.deliver()
    with structlog.testing.capture_logs() as lines:
        store.current(stand.driver.slot())
    assert stand.incidents() == []
    assert [one["event"] for one in lines] == ["store.secret_id.unwrapped", "store.incident.over"]
    store.close()


def test_stolen_between_the_look_and_the_unwrapping(stand: WrappedStand) -> None:
    token = stand.deliver()

    def steal(_event: Event) -> None:
        stand.logins.unwrap(token)

    stand.proxy.rule(Fault.DELAY, path="wrapping/unwrap", times=1, seconds=0.0, hook=steal)
    assert stand.refused(stand.open()).reason == "store_secret_id_taken"
    assert stand.incidents() == [("main", "store_secret_id_taken")]


def test_read_and_wrapped_anew_is_an_incident_and_is_not_unwrapped(stand: WrappedStand) -> None:
    inside = stand.logins.unwrap(stand.deliver())
    again = stand.logins.wrapped("sys/wrapping/wrap", body=inside)
    private(stand.file, again)
    store = stand.open()
    for _ in range(3):
        assert stand.refused(store).reason == "store_secret_id_path"
    assert stand.used() == (1, 0, 0)
    assert stand.incidents() == [("main", "store_secret_id_path")]
    assert stand.logins.unwrap(again) == inside


@pytest.mark.parametrize(("role", "reason"), [("rotator", ""), ("another", "store_secret_id_path")])
def test_role_is_compared_where_the_configuration_says_it(stand: WrappedStand, role: str, reason: str) -> None:
    stand.deliver()
    store = stand.open(role=role)
    if reason:
        assert stand.refused(store).reason == reason
    else:
        store.current(stand.driver.slot())
        store.close()


def test_made_at_another_mount_is_an_incident(stand: WrappedStand) -> None:
    stand.deliver()
    assert stand.refused(stand.open(mount="approle")).reason == "store_secret_id_path"


def test_wrapped_anew_by_the_server_itself_is_good(stand: WrappedStand) -> None:
    token = stand.deliver()
    made = stand.driver.admin.reply("POST", "sys/wrapping/rewrap", {"token": token}).json()["wrap_info"]["token"]
    private(stand.file, made)
    store = stand.open()
    store.current(stand.driver.slot())
    store.close()


def test_answer_lost_is_our_own_loss_and_no_incident(stand: WrappedStand) -> None:
    stand.deliver()
    stand.proxy.rule(Fault.ANSWER_LOST, path="wrapping/unwrap", times=1)
    store = stand.open()
    error = [stand.refused(store) for _ in range(3)][-1]
    assert (type(error), error.reason) == (Misconfigured, "store_secret_id_spent")
    assert stand.used()[1:] == (1, 0)
    assert stand.incidents() == []
    stand.deliver()
    store.current(stand.driver.slot())
    store.close()


def test_request_lost_is_sent_again(stand: WrappedStand) -> None:
    stand.deliver()
    stand.proxy.rule(Fault.REQUEST_LOST, path="wrapping/unwrap", times=1)
    store = stand.open()
    store.current(stand.driver.slot())
    assert stand.used()[1] == 2
    store.close()


def test_restart_with_the_delivery_of_the_life_before_is_no_incident(stand: WrappedStand) -> None:
    stand.deliver()
    store = stand.open()
    store.current(stand.driver.slot())
    store.close()
    again = stand.restart()
    assert stand.refused(again).reason == "store_secret_id_spent"
    assert stand.incidents() == []
    stand.notes.unlink()  # whoever loses the notes with the ledger's folder learns of it
    assert stand.refused(stand.restart()).reason == "store_secret_id_taken"


def test_died_between_the_note_and_the_unwrapping(stand: WrappedStand) -> None:
    token = stand.deliver()
    torn = "a3"
    stand.notes.write_text(f"{torn}\n{hashlib.sha256(token.encode()).hexdigest()}\n")
    store = stand.restart()
    store.current(stand.driver.slot())
    store.close()


def test_note_that_was_cut_does_not_spoil_the_next(stand: WrappedStand) -> None:
    stand.notes.write_text("a3f")  # the machine died in the middle of a line
    stand.deliver()
    stand.open().current(stand.driver.slot())
    assert stand.refused(stand.restart()).reason == "store_secret_id_spent"


@pytest.mark.parametrize("how", ["a folder in its place", "no folder"])
def test_nothing_is_unwrapped_that_cannot_be_noted(stand: WrappedStand, how: str, tmp_path: Path) -> None:
    token = stand.deliver()
    if how == "no folder":
        stand.notes = tmp_path / "nowhere" / "notes"
    else:
        stand.notes.mkdir()
    error = stand.refused(stand.open())
    assert (type(error), error.reason, error.unsent) == (Failed, "store_disk", True)
    assert stand.used()[1:] == (0, 0)
    assert "secret_id" in stand.logins.unwrap(token)


def test_reload_goes_on_with_what_was_unwrapped(stand: WrappedStand) -> None:
    stand.deliver()
    before = stand.open()
    before.current(stand.driver.slot())
    after = stand.open()
    after.current(stand.driver.slot())
    assert stand.used() == (1, 1, 2)
    before.close()
    after.close()


def test_two_stores_opened_at_once_do_not_take_each_other_for_a_thief(stand: WrappedStand) -> None:
    stand.deliver()
    stores = [stand.open() for _ in range(6)]
    errors: list[Exception] = []

    def read(store: Store) -> None:
        try:
            store.current(stand.driver.slot())
        except PluginError as error:
            errors.append(error)

    threads = [threading.Thread(target=read, args=(one,)) for one in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
    assert stand.used() == (1, 1, 6)
    for one in stores:
        one.close()


def test_standby_that_does_not_know_the_token_yet_raises_no_incident(stand: WrappedStand) -> None:
    stand.deliver()
    stand.proxy.rule(Fault.MADE_UP, path="wrapping/lookup", times=1, answer=DEAD)
    store = stand.open()
    store.current(stand.driver.slot())
    assert stand.incidents() == []
    store.close()


@pytest.mark.parametrize("path", ["wrapping/lookup", "wrapping/unwrap"])
@pytest.mark.parametrize(
    ("status", "text", "reason"),
    [(503, "Vault is sealed", "store_sealed"), (500, "active cluster node not found", "store_no_leader")],
)
def test_server_in_trouble_is_no_incident(stand: WrappedStand, path: str, status: int, text: str, reason: str) -> None:
    stand.deliver()
    trouble = stand.proxy.rule(Fault.MADE_UP, path=path, answer=Answer.json(status, {"errors": [text]}))
    store = stand.open()
    error = stand.refused(store)
    assert (type(error), error.reason) == (Failed, reason)
    assert (stand.incidents(), trouble.hits > 0) == ([], True)
    stand.proxy.clear()
    store.current(stand.driver.slot())
    store.close()


@pytest.mark.parametrize(
    "answer",
    [Answer.json(200, {"data": None}), Answer.json(200, {"data": {"creation_path": 5}}), Answer(200, body=b"<html>")],
)
def test_look_without_a_path_is_no_look(stand: WrappedStand, answer: Answer) -> None:
    stand.deliver()
    stand.proxy.rule(Fault.MADE_UP, path="wrapping/lookup", answer=answer)
    error = stand.refused(stand.open())
    assert (type(error), error.reason) == (Failed, "incomplete_answer")
    assert stand.used()[1] == 0


def test_bare_secret_id_is_told_from_a_wrapping_token_and_not_shown_to_anybody(stand: WrappedStand) -> None:
    made = stand.logins.ask("POST", stand.made_at, {})["data"]["secret_id"]
    private(stand.file, made)
    assert stand.refused(stand.open()).reason == "store_secret_id_plain"
    assert stand.proxy.log == []


def test_wrapping_token_that_ran_out_unused_asks_for_a_person_too(stand: WrappedStand) -> None:
    """The server cannot tell it from one that was used: it is the audit log that can."""
    stand.deliver("1s")
    threading.Event().wait(1.3)
    assert stand.refused(stand.open()).reason == "store_secret_id_taken"


def test_secret_id_that_was_destroyed_after_the_unwrapping_is_a_refused_login(stand: WrappedStand) -> None:
    stand.deliver()
    store = stand.open()
    store.current(stand.driver.slot())
    accessors = stand.logins.ask("LIST", f"auth/{stand.mount}/role/rotator/secret-id")["data"]["keys"]
    for accessor in accessors:
        stand.driver.admin.destroy_secret_id("rotator", accessor, stand.mount)
    stand.driver.clock.ahead += 4000
    assert stand.refused(store).reason == "store_login_refused"
    assert stand.incidents() == []


def test_wrapped_in_a_namespace(stand: WrappedStand) -> None:
    space = f"wrap-{stand.mount}"
    stand.driver.admin.ask("POST", f"sys/namespaces/{space}", {})
    inner = Logins(stand.driver.admin, space)
    role_id = inner.approle("approle", "rotator", ["default"])
    private(stand.file, inner.wrapped("auth/approle/role/rotator/secret-id"))
    login = AppRole(role_id, stand.file, wrapped=True, namespace=space, role="rotator")
    store = open_store(replace(stand.config(), auth=login), stand.driver.clock, stand.deliveries)
    assert stand.refused(store).reason == "store_permission"  # unwrapped and logged in; policies are another matter
    assert stand.used()[:2] == (1, 1)
    store.close()
