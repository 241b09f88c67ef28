"""Requests to AWS that land late: a promote, a stage, a clear that was given up and still arrives, after others acted.

The lab's proxy holds the request itself, so that the server gets it whole, once, long after its client has left.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rotator.effects.stores.contract import Slot, Store, Version
from rotator.plugin_api import Failed, OutcomeUnknown, Refused, Secret
from tests.contract.stores.aws_driver import AwsDriver
from tests.lab.proxy import Fault, Proxy, Rule

pytestmark = pytest.mark.long

PUT, MOVE = b"SecretString", b"MoveToVersionId"


class Late:
    """Two daemons: `slow` speaks through the proxy and gives up after a moment, `other` speaks to the server."""

    def __init__(self, driver: AwsDriver, proxy: Proxy) -> None:
        self.driver, self.proxy = driver, proxy
        self.slow: Store = driver.open(url=proxy.url, request_s=1.0, call_s=20.0)
        self.other: Store = driver.open()
        self.slot: Slot = driver.slot()
        driver.seed(self.slot.path, {"password": "old", "username": "svc", "near": {"x": 1}})
        self.slow.stage_current(self.slot, 1)
        self.slow.stage(self.slot, 2, Secret("new"))
        self.version: Version = self.slow.current(self.slot).version

    def hold(self, sign: bytes, times: int) -> Rule:
        """Keep the next writes with this sign from the server until they are released."""
        return self.proxy.rule(Fault.REQUEST_LATE, content=sign, times=times)

    def landed(self, held: Rule) -> None:
        """Let them go and wait until the server has answered."""
        held.release()
        self.proxy.wait_idle()

    def names_of(self, generation: int) -> str:
        """The label of a stage."""
        return self.driver.names.stage(self.slot, generation)

    def value(self) -> object:
        return (self.driver.look(self.slot.path) or {}).get("password")

    def promote(self, store: Store, generation: int, expected: Version) -> Version:
        return store.promote(self.slot, generation, {"username": "svc"}, expected).version


@pytest.fixture
def late(aws: AwsDriver) -> Iterator[Late]:
    with Proxy(aws.server.port) as proxy:
        case = Late(aws, proxy)
        yield case
        case.slow.close()
        case.other.close()


@pytest.mark.parametrize("sign", [PUT, MOVE], ids=["put", "move"])
def test_going_back_while_a_promote_is_still_on_its_way(late: Late, sign: bytes) -> None:
    held = late.hold(sign, 2)
    with pytest.raises(OutcomeUnknown):
        late.promote(late.slow, 2, late.version)
    assert (late.value(), held.hits) == ("old", 2)
    # the look finds the old value and the old version; going back writes all the same
    back = late.promote(late.other, 1, late.other.current(late.slot).version)
    late.landed(held)
    assert late.value() == "old"
    assert late.other.current(late.slot).version.partition("/")[0] == back.partition("/")[0]
    again = late.promote(late.other, 2, late.other.current(late.slot).version)  # what landed late is in nobody's way
    assert late.value() == "new"
    assert late.other.current(late.slot).version == again
    assert "AWSPENDING" not in late.driver.labels(late.slot.path)


def test_promote_that_landed_late_before_going_back_is_ours_and_is_looked_at_again(late: Late) -> None:
    held = late.hold(MOVE, 2)
    with pytest.raises(OutcomeUnknown):
        late.promote(late.slow, 2, late.version)
    seen = late.other.current(late.slot).version
    late.landed(held)
    assert late.value() == "new"
    with pytest.raises(Failed, match="stale_version"):
        late.promote(late.other, 1, seen)
    late.promote(late.other, 1, late.other.current(late.slot).version)
    assert late.value() == "old"


def test_a_lost_promote_that_was_gone_back_from_meanwhile_is_unknown(late: Late) -> None:
    """It was current for a moment: "nothing was done" would be untrue."""
    patient = late.driver.open(url=late.proxy.url)
    late.proxy.rule(
        Fault.ANSWER_LOST,
        content=MOVE,
        times=1,
        hook=lambda _: late.promote(late.other, 1, late.other.current(late.slot).version),
    )
    with pytest.raises(OutcomeUnknown):
        late.promote(patient, 2, late.version)
    assert late.value() == "old"
    patient.close()


def test_resent_promote_makes_the_held_one_harmless(late: Late) -> None:
    held = late.hold(MOVE, 1)
    written = late.promote(late.slow, 2, late.version)
    assert late.value() == "new"
    late.promote(late.other, 1, written)
    late.landed(held)
    assert late.value() == "old"


def test_held_promote_never_lands_over_a_neighbours_change(late: Late) -> None:
    held = late.hold(MOVE, 2)
    with pytest.raises(OutcomeUnknown):
        late.promote(late.slow, 2, late.version)
    fields = {**(late.driver.look(late.slot.path) or {}), "near": "changed"}
    late.driver.seed(late.slot.path, fields)
    late.landed(held)
    assert late.driver.look(late.slot.path) == fields


def test_stage_that_lands_after_finalize_is_refused_by_the_tombstone(late: Late) -> None:
    held = late.hold(PUT, 2)
    with pytest.raises(OutcomeUnknown):
        late.slow.stage(late.slot, 7, Secret("late"))
    late.other.finalize(late.slot, 7)
    late.landed(held)
    assert late.driver.staged(late.slot, 7) is None
    assert late.other.read(late.slot, 7) is None
    assert late.names_of(7) not in late.driver.labels(late.slot.path)
    with pytest.raises(Refused, match="stage_closed"):
        late.other.stage(late.slot, 7, Secret("late"))


def test_second_request_of_a_stage_that_lands_after_finalize_gives_no_label_back(late: Late) -> None:
    held = late.hold(PUT, 1)
    late.slow.stage(late.slot, 7, Secret("late"))  # the second request landed
    late.other.finalize(late.slot, 7)
    late.landed(held)
    assert late.other.read(late.slot, 7) is None
    assert late.names_of(7) not in late.driver.labels(late.slot.path)


def test_stage_that_lands_before_its_repetition_is_one_stage(late: Late) -> None:
    held = late.hold(PUT, 2)
    with pytest.raises(OutcomeUnknown):
        late.slow.stage(late.slot, 7, Secret("value"))
    late.landed(held)
    late.other.stage(late.slot, 7, Secret("value"))
    assert late.driver.staged(late.slot, 7) == {"value": "value"}


@pytest.mark.parametrize("sign", [PUT, MOVE], ids=["put", "move"])
def test_clear_that_lands_late_removes_nothing_newer(late: Late, sign: bytes) -> None:
    held = late.hold(sign, 2)
    with pytest.raises(OutcomeUnknown):
        late.slow.clear(late.slot)
    late.promote(late.other, 2, late.other.current(late.slot).version)
    late.landed(held)
    assert late.value() == "new"


def test_secret_that_is_created_late_holds_nothing(late: Late) -> None:
    slot = late.driver.slot("later")
    held = late.hold(b"Name", 2)
    with pytest.raises(OutcomeUnknown):
        late.slow.stage(slot, 1, Secret("value"))
    late.landed(held)
    assert late.driver.look(slot.path) == {}
    late.other.stage(slot, 1, Secret("value"))
    assert late.driver.look(slot.path) == {}
