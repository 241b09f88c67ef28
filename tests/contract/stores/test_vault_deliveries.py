"""Deliveries of wrapped secret ids while the daemon works: picked up in time, and left alone by everybody else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from rotator.effects.stores.opening import Deliveries, open_store, pick_up
from tests.contract.stores.wrapped_stand import WrappedStand
from tests.lab.openbao import OpenBaoDev
from tests.lab.proxy import Answer, Fault, Proxy


@pytest.fixture
def stand(store_server: OpenBaoDev, tmp_path: Path) -> Iterator[WrappedStand]:
    with Proxy(store_server.port) as proxy:
        yield WrappedStand(store_server, tmp_path, proxy)


def test_delivery_is_picked_up_before_its_time_is_over_though_no_login_needs_it(stand: WrappedStand) -> None:
    stand.deliver()
    store = stand.open()
    store.current(stand.driver.slot())
    pick_up(store)
    assert stand.used() == (1, 1, 1)
    stand.deliver("1s")
    for _ in range(3):
        pick_up(store)
    assert stand.used() == (2, 2, 1)
    threading.Event().wait(1.3)
    stand.driver.clock.ahead += 4000
    store.current(stand.driver.slot())
    assert (stand.used(), stand.incidents()) == ((2, 2, 2), [])
    store.close()


def test_stolen_delivery_is_told_at_once_and_the_secret_id_before_it_serves_on(stand: WrappedStand) -> None:
    stand.deliver()
    store = stand.open()
    store.current(stand.driver.slot())
    stand.logins.unwrap(stand.deliver())
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            pick_up(store)
    assert [one["event"] for one in lines] == ["store.incident", "store.delivery.unfit"]
    assert stand.incidents() == [("main", "store_secret_id_taken")]
    stand.driver.clock.ahead += 4000
    store.current(stand.driver.slot())
    assert stand.used() == (3, 1, 2)
    assert stand.incidents() == [("main", "store_secret_id_taken")]
    store.close()


def test_pick_up_waits_for_a_server_in_trouble(stand: WrappedStand) -> None:
    stand.deliver()
    store = stand.open()
    stand.proxy.rule(Fault.MADE_UP, path="wrapping", times=1, answer=Answer.json(503, {"errors": ["Vault is sealed"]}))
    pick_up(store)
    pick_up(store)
    assert stand.used() == (2, 1, 0)
    store.current(stand.driver.slot())
    assert stand.used() == (2, 1, 1)
    store.close()


def test_whoever_is_not_the_daemon_looks_and_uses_nothing_up(stand: WrappedStand) -> None:
    """`rotator doctor` beside the daemon, before and after it has unwrapped."""
    stand.deliver()
    doctor = open_store(stand.config(), stand.driver.clock, Deliveries(look_only=True))
    assert stand.refused(doctor).reason == "store_secret_id_reserved"
    assert stand.used() == (1, 0, 0)
    store = stand.open()
    store.current(stand.driver.slot())
    later = open_store(stand.config(), stand.driver.clock, Deliveries(look_only=True))
    assert stand.refused(later).reason == "store_secret_id_reserved"
    assert stand.used() == (2, 1, 1)
    store.close()


def test_incident_of_a_store_that_logs_in_otherwise_now_is_over(stand: WrappedStand) -> None:
    stand.logins.unwrap(stand.deliver())
    stand.refused(stand.open())
    stand.deliveries.only({"main"})
    assert stand.incidents() != []
    stand.deliveries.only({"another"})
    assert stand.incidents() == []
