"""A rotation function of AWS carries on after us, and we after it, wherever either of the two stopped."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rotator.effects.stores.contract import ForeignError, Slot, Store, Version
from rotator.plugin_api import Failed, Secret
from tests.contract.stores.aws_driver import AwsDriver
from tests.contract.stores.aws_function import STEPS, Account, RotationFunction
from tests.contract.stores.steps import text
from tests.lab.proxy import Fault, Proxy

MOVE_TO_CURRENT = rb'"VersionStage": "AWSCURRENT", "MoveToVersionId"'
FINISHED = ("neither", "createSecret", "setSecret", "testSecret")


class Stage:
    """One secret, one account, our store and a rotation function of AWS."""

    def __init__(self, driver: AwsDriver, store: Store) -> None:
        self.driver, self.store = driver, store
        self.slot: Slot = driver.slot()
        self.account = Account("old")
        self.function = RotationFunction(driver.admin, self.account)
        driver.seed(self.slot.path, {"password": "old", "username": "svc", "host": "db.example"})
        store.stage_current(self.slot, 1)
        self.version: Version = store.current(self.slot).version

    def install(self, value: str) -> None:
        """What our run does before a promote: stage the value, set it at the platform."""
        self.store.stage(self.slot, 2, Secret(value))
        self.account.change("old", value)

    def promote(self) -> None:
        self.store.promote(self.slot, 2, {"username": "svc"}, self.version)

    def password(self) -> str:
        return str((self.driver.look(self.slot.path) or {})["password"])


@pytest.fixture
def on(aws: AwsDriver) -> Iterator[Stage]:
    store = aws.open()
    yield Stage(aws, store)
    store.close()


def test_a_function_rotates_after_our_promote(on: Stage) -> None:
    on.install("ours")
    on.promote()
    ours = on.driver.labels(on.slot.path)["AWSCURRENT"]
    assert "AWSPENDING" not in on.driver.labels(on.slot.path)
    token = on.function.rotate(on.slot.path)
    labels = on.driver.labels(on.slot.path)
    assert (labels["AWSCURRENT"], labels["AWSPREVIOUS"]) == (token, ours)
    assert on.account.accepts(on.password())
    assert on.driver.look(on.slot.path) == {"password": on.password(), "username": "svc", "host": "db.example"}
    assert text(on.store.read(on.slot, 2)) == "ours"


def test_a_function_rotates_after_everything_was_finalized_and_cleared(on: Stage) -> None:
    on.install("ours")
    on.promote()
    on.store.finalize(on.slot, 1)
    token = on.function.rotate(on.slot.path)
    assert on.driver.labels(on.slot.path)["AWSCURRENT"] == token


def test_a_function_finishes_the_promote_that_we_were_killed_in(on: Stage) -> None:
    with Proxy(on.driver.server.port) as proxy:
        slow = on.driver.open(url=proxy.url, request_s=1.0)
        on.install("ours")
        proxy.rule(Fault.RESET, content=MOVE_TO_CURRENT)
        with pytest.raises(Exception, match="connection_lost"):
            slow.promote(on.slot, 2, {"username": "svc"}, on.version)
        slow.close()
    assert on.password() == "old"
    pending = on.driver.labels(on.slot.path)["AWSPENDING"]
    with pytest.raises(on.driver.admin.exceptions.InvalidRequestException, match="isn't complete"):
        on.function.begin(on.slot.path)  # a new rotation is refused, the one that hangs is reattempted
    assert on.function.rotate(on.slot.path, pending) == pending
    assert on.password() == "ours"
    now = on.store.current(on.slot)
    assert text(now.value) == "ours"
    assert text(on.store.read(on.slot, 2)) == "ours"
    on.store.promote(on.slot, 2, {"username": "svc"}, now.version)  # and we after it
    assert on.password() == "ours"


def test_we_take_what_a_function_left_and_go_on(on: Stage) -> None:
    on.function.rotate(on.slot.path)
    theirs = on.password()
    now = on.store.current(on.slot)
    assert text(now.value) == theirs
    on.store.stage(on.slot, 2, Secret("ours"))
    with pytest.raises(ForeignError):
        on.promote()  # what we knew is no longer true, and the value is not one of ours
    assert on.password() == theirs
    on.store.stage_current(on.slot, 3)  # a person said: take it
    on.account.change(theirs, "ours")
    on.store.promote(on.slot, 2, {"username": "svc"}, now.version)
    assert on.password() == "ours"
    on.store.finalize(on.slot, 3)
    assert all(theirs != (on.driver.get(on.slot.path, VersionStage=label) or {}) for label in ("AWSPREVIOUS",))
    assert on.function.rotate(on.slot.path) == on.driver.labels(on.slot.path)["AWSCURRENT"]


@pytest.mark.parametrize("stopped_after", FINISHED)
def test_we_wait_while_a_functions_rotation_is_half_done(on: Stage, stopped_after: str) -> None:
    on.store.stage(on.slot, 2, Secret("ours"))
    token = on.function.begin(on.slot.path)
    done = STEPS[: FINISHED.index(stopped_after)]
    for step in done:
        on.function.invoke(on.slot.path, token, step)
    before = on.driver.labels(on.slot.path)
    for call in (
        on.promote,
        lambda: on.store.stage(on.slot, 3, Secret("another")),
        lambda: on.store.clear(on.slot),
        lambda: on.store.deposit(on.slot.path, "k", Secret("v"), {}, replace=False),
    ):
        with pytest.raises(Failed, match="store_rotation_pending"):
            call()
    assert on.driver.labels(on.slot.path) == before
    assert {"store_rotation_enabled", "store_rotation_pending"} <= set(on.store.check(on.slot))
    for step in STEPS[len(done) :]:
        on.function.invoke(on.slot.path, token, step)
    assert on.account.accepts(on.password())


def test_we_go_on_when_a_person_cancelled_the_functions_rotation(on: Stage) -> None:
    token = on.function.begin(on.slot.path)
    on.function.invoke(on.slot.path, token, "createSecret")
    with pytest.raises(Failed, match="store_rotation_pending"):
        on.store.stage(on.slot, 2, Secret("ours"))
    on.driver.admin.cancel_rotate_secret(SecretId=on.slot.path)
    on.driver.admin.update_secret_version_stage(
        SecretId=on.slot.path, VersionStage="AWSPENDING", RemoveFromVersionId=token
    )
    assert on.store.check(on.slot) == ()
    on.install("ours")
    on.promote()
    assert on.password() == "ours"


def test_a_functions_repeated_steps_change_nothing_after_our_promote(on: Stage) -> None:
    token = on.function.rotate(on.slot.path)
    theirs = on.password()
    on.store.stage_current(on.slot, 2)
    on.store.promote(on.slot, 2, {"username": "svc"}, on.store.current(on.slot).version)
    current = on.driver.labels(on.slot.path)["AWSCURRENT"]
    for step in STEPS:
        with pytest.raises(ValueError, match="not AWSPENDING"):
            on.function.invoke(on.slot.path, token, step)
    assert on.driver.labels(on.slot.path)["AWSCURRENT"] == current
    assert on.password() == theirs


def test_awspending_on_the_current_version_is_no_rotation_under_way(on: Stage) -> None:
    """AWS documents both endings: AWSPENDING on the current version, or on none."""
    token = on.function.rotate(on.slot.path)
    labels = on.driver.labels(on.slot.path)
    assert labels["AWSPENDING"] == labels["AWSCURRENT"] == token
    on.driver.admin.cancel_rotate_secret(SecretId=on.slot.path)
    assert on.store.check(on.slot) == ()
    on.store.stage(on.slot, 2, Secret("ours"))
    on.store.promote(on.slot, 2, {"username": "svc"}, on.store.current(on.slot).version)
    assert on.password() == "ours"
    assert "AWSPENDING" not in on.driver.labels(on.slot.path)
