"""The standby of a two-node cluster: it reads stale data and refuses correct writes; the store must not notice."""

from __future__ import annotations

from pathlib import Path

import pytest

from rotator.effects.stores.contract import ForeignError, Slot, Store, Version
from rotator.plugin_api import Failed, OutcomeUnknown, PluginError, Secret
from tests.contract.stores.drivers import VaultDriver
from tests.lab.openbao import OpenBaoCluster


def _adopt(driver: VaultDriver, store: Store) -> Slot:
    slot = driver.slot()
    driver.seed(slot.path, {"password": "old", "username": "svc"})
    store.stage_current(slot, 1)
    return slot


@pytest.fixture
def lagging(store_cluster: OpenBaoCluster, tmp_path: Path) -> VaultDriver:
    """Writes behind the back go to the leader, the store speaks to the standby only."""
    return VaultDriver(store_cluster.leader, tmp_path, url=store_cluster.standby.url)


def test_the_standby_of_this_suite_is_stale_and_refuses_correct_writes(
    store_cluster: OpenBaoCluster, lagging: VaultDriver
) -> None:
    """Or the tests below would prove nothing."""
    stale = refused = 0
    standby = store_cluster.standby.admin
    path = lagging.slot("stale").path
    for number in range(30):
        version = lagging.seed(path, {"n": str(number)})
        found = standby.reply("GET", f"secret/data/{path}").json() or {}
        stale += (found.get("data") or {}).get("data") != {"n": str(number)}
        version = lagging.seed(path, {"n": "again"})
        answer = standby.reply("POST", f"secret/data/{path}", {"data": {}, "options": {"cas": version}})
        refused += answer.status == 400
    assert stale > 0
    assert refused > 0


def test_standby_reads_right_after_a_write_are_never_stale(lagging: VaultDriver) -> None:
    store, slot = lagging.open(), lagging.slot()
    for number in range(40):
        version = lagging.seed(slot.path, {"password": f"v{number}", "username": "svc"})
        current = store.current(slot)
        assert current.version == Version(str(version))
        assert current.value is not None
        assert current.value.matches(Secret(f"v{number}"))
    store.close()


def test_correct_promotes_through_the_standby_are_never_refused_or_called_foreign(lagging: VaultDriver) -> None:
    store = lagging.open()
    slot = _adopt(lagging, store)
    for generation in range(2, 27):
        # a neighbour's write on the leader just before: the standby lags at the moment of our promote
        fields = {**(lagging.look(slot.path) or {}), "near": str(generation)}
        store.stage(slot, generation, Secret(f"v{generation}"))
        expected = Version(str(lagging.seed(slot.path, fields)))
        store.promote(slot, generation, {"username": "svc"}, expected)
        assert lagging.look(slot.path) == {"password": f"v{generation}", "username": "svc", "near": str(generation)}
    store.close()


def test_second_writer_is_found_through_the_standby_at_once(lagging: VaultDriver) -> None:
    store = lagging.open()
    for number in range(15):
        slot = lagging.slot(f"f{number}")
        version = lagging.seed(slot.path, {"password": "old"})
        store.stage(slot, 1, Secret("new"))
        lagging.seed(slot.path, {"password": "theirs"})
        with pytest.raises(ForeignError):
            store.promote(slot, 1, {}, Version(str(version)))
    store.close()


def test_late_stage_after_finalize_is_refused_by_both_nodes(
    store_cluster: OpenBaoCluster, lagging: VaultDriver
) -> None:
    standby, leader = lagging.open(), lagging.open(url=store_cluster.leader.url)
    for number in range(15):
        slot = lagging.slot(f"l{number}")
        first, second = (standby, leader) if number % 2 else (leader, standby)
        first.stage(slot, 1, Secret("v"))
        second.finalize(slot, 1)
        with pytest.raises(PluginError, match="stage_closed"):
            first.stage(slot, 1, Secret("v"))
        assert first.read(slot, 1) is None
    standby.close()
    leader.close()


def test_without_a_leader_calls_are_failed_or_unknown_and_work_when_there_is_one(
    store_cluster: OpenBaoCluster, tmp_path: Path
) -> None:
    standby = store_cluster.standby
    driver = VaultDriver(store_cluster.leader, tmp_path, url=standby.url)
    store = driver.open(call_s=3.0)
    slot = _adopt(driver, store)
    store_cluster.leader.kill()
    try:
        reasons = set()
        for generation in range(5, 8):
            with pytest.raises((Failed, OutcomeUnknown)) as caught:
                store.stage(slot, generation, Secret("v"))
            reasons.add(caught.value.reason)
            with pytest.raises(Failed):
                store.current(slot)
        assert reasons <= {"store_no_leader", "server_error", "deadline", "connection_lost", "store_sealed"}
    finally:
        store_cluster.start()
    for generation in range(5, 8):
        store.stage(slot, generation, Secret("v"))
        value = store.read(slot, generation)
        assert value is not None
        assert value.matches(Secret("v"))
    store.close()
