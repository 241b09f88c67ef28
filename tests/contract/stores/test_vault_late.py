"""Requests that land late: a promote, a stage, a clear that was given up and still arrives, after others have acted.

The lab's proxy holds the request itself, so that the server gets it whole, once, long after its client has left.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rotator.effects.stores.contract import Slot, Store, Version
from rotator.plugin_api import Failed, OutcomeUnknown, Refused, Secret
from tests.contract.stores.drivers import VaultDriver
from tests.lab.openbao import OpenBaoCluster, OpenBaoDev
from tests.lab.proxy import Fault, Proxy, Rule


class Late:
    """Two daemons: `slow` speaks through the proxy and gives up after a moment, `other` speaks to the server."""

    def __init__(self, driver: VaultDriver, proxy: Proxy) -> None:
        self.driver, self.proxy = driver, proxy
        self.slow: Store = driver.open(url=proxy.url, read_s=0.4, call_s=6.0)
        self.other: Store = driver.open()
        self.slot: Slot = driver.slot()
        driver.seed(self.slot.path, {"password": "old", "username": "svc", "near": {"x": 1}})
        self.slow.stage_current(self.slot, 1)
        self.slow.stage(self.slot, 2, Secret("new"))
        self.version: Version = self.slow.current(self.slot).version

    def hold(self, path: str, times: int) -> Rule:
        """Keep the next writes to this path from the server until they are released."""
        return self.proxy.rule(Fault.REQUEST_LATE, method="POST", path=path, times=times)

    def landed(self, held: Rule) -> None:
        """Let them go and wait until the server has answered."""
        held.release()
        self.proxy.wait_idle()

    def value(self) -> object:
        return (self.driver.look(self.slot.path) or {}).get("password")


@pytest.fixture(params=["dev", "cluster"])
def late(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Late]:
    if request.param == "dev":
        dev: OpenBaoDev = request.getfixturevalue("store_server")
        driver, port = VaultDriver(dev, tmp_path), dev.port
    else:
        cluster: OpenBaoCluster = request.getfixturevalue("store_cluster")
        driver, port = VaultDriver(cluster.leader, tmp_path, url=cluster.standby.url), cluster.standby.port
    with Proxy(port) as proxy:
        case = Late(driver, proxy)
        yield case
        case.slow.close()
        case.other.close()


def test_going_back_while_a_promote_is_still_on_its_way(late: Late) -> None:
    held = late.hold("/data/app", 2)
    with pytest.raises(OutcomeUnknown):
        late.slow.promote(late.slot, 2, {"username": "svc"}, late.version)
    assert (late.value(), held.hits) == ("old", 2)
    # the look finds the old value and the old version; going back writes all the same
    back = late.other.promote(late.slot, 1, {"username": "svc"}, late.other.current(late.slot).version).version
    late.landed(held)
    assert late.value() == "old"
    assert late.other.current(late.slot).version == back


def test_promote_that_landed_late_before_going_back_is_ours_and_is_looked_at_again(late: Late) -> None:
    held = late.hold("/data/app", 2)
    with pytest.raises(OutcomeUnknown):
        late.slow.promote(late.slot, 2, {"username": "svc"}, late.version)
    seen = late.other.current(late.slot).version
    late.landed(held)
    assert late.value() == "new"
    with pytest.raises(Failed, match="stale_version"):
        late.other.promote(late.slot, 1, {"username": "svc"}, seen)
    late.other.promote(late.slot, 1, {"username": "svc"}, late.other.current(late.slot).version)
    assert late.value() == "old"


def test_resent_promote_makes_the_held_one_harmless(late: Late) -> None:
    held = late.hold("/data/app", 1)
    written = late.slow.promote(late.slot, 2, {"username": "svc"}, late.version).version
    assert late.value() == "new"
    late.other.promote(late.slot, 1, {"username": "svc"}, written)
    late.landed(held)
    assert late.value() == "old"


def test_held_promote_never_lands_over_a_neighbours_change(late: Late) -> None:
    held = late.hold("/data/app", 2)
    with pytest.raises(OutcomeUnknown):
        late.slow.promote(late.slot, 2, {"username": "svc"}, late.version)
    fields = {**(late.driver.look(late.slot.path) or {}), "near": "changed"}
    late.driver.seed(late.slot.path, fields)
    late.landed(held)
    assert late.driver.look(late.slot.path) == fields


def test_stage_that_lands_after_finalize_is_refused_by_the_tombstone(late: Late) -> None:
    held = late.hold("/g7", 2)
    with pytest.raises(OutcomeUnknown):
        late.slow.stage(late.slot, 7, Secret("late"))
    late.other.finalize(late.slot, 7)
    late.landed(held)
    assert late.driver.staged(late.slot, 7) is None
    assert late.other.read(late.slot, 7) is None
    with pytest.raises(Refused, match="stage_closed"):
        late.other.stage(late.slot, 7, Secret("late"))


def test_stage_that_lands_before_its_repetition_is_one_stage(late: Late) -> None:
    held = late.hold("/g7", 2)
    with pytest.raises(OutcomeUnknown):
        late.slow.stage(late.slot, 7, Secret("value"))
    late.landed(held)
    late.other.stage(late.slot, 7, Secret("value"))
    assert late.driver.staged(late.slot, 7) == {"value": "value"}


def test_clear_that_lands_late_removes_nothing_newer(late: Late) -> None:
    held = late.hold("/data/app", 2)
    with pytest.raises(OutcomeUnknown):
        late.slow.clear(late.slot)
    late.other.promote(late.slot, 2, {"username": "svc"}, late.version)
    late.landed(held)
    assert late.value() == "new"
