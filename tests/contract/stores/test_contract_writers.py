"""Promote among other writers: neighbours, strangers, ourselves a moment ago; over every store."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from rotator.effects.stores.contract import ABSENT, ForeignError, Slot, Store
from rotator.plugin_api import Failed, Secret
from tests.contract.stores.drivers import Driver
from tests.contract.stores.steps import NEIGHBOURS, adopt, promote, text


def test_neighbour_promoted_between_read_and_write_is_no_false_alarm(driver: Driver, store: Store) -> None:
    slot, version = adopt(driver, store)
    other = replace(driver.slot(), credential="cred-other", value="token", fields=("token_id",))
    store.stage(slot, 2, Secret("new"))
    store.stage(other, 1, Secret("theirs"))
    store.promote(other, 1, {"token_id": "9"}, version)
    driver.seed(slot.path, {**(driver.look(slot.path) or {}), "third": {"deep": 1}})
    written = promote(store, slot, 2, version)
    assert driver.number(slot.path, written) == driver.number(slot.path, version) + 3
    expected = {"password": "new", "username": "svc", **NEIGHBOURS, "token": "theirs", "token_id": "9"}
    assert driver.look(slot.path) == {**expected, "third": {"deep": 1}}


def test_two_credentials_of_one_secret_promoted_at_once_both_land(driver: Driver) -> None:
    one = driver.slot()
    two = replace(one, credential="cred-two", value="token", fields=("token_id",))
    driver.seed(one.path, {"password": "a", "username": "u", "token": "b", "token_id": "0"})
    stores = [driver.open(), driver.open()]
    for store, slot in zip(stores, (one, two), strict=True):
        store.stage(slot, 2, Secret(f"new-{slot.value}"))
    expected = stores[0].current(one).version
    gate, errors = threading.Barrier(2), []

    def run(store: Store, slot: Slot) -> None:
        gate.wait()
        try:
            store.promote(slot, 2, {slot.fields[0]: "7"}, expected)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=pair) for pair in zip(stores, (one, two), strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert driver.look(one.path) == {
        "password": "new-password", "username": "7", "token": "new-token", "token_id": "7",
    }  # fmt: skip
    for store in stores:
        store.close()


@pytest.mark.parametrize("change", [{"password": "theirs"}, {"username": "theirs"}, {"password": "theirs", "x": "y"}])
def test_second_writer_of_our_own_field_is_found_and_nothing_written(
    driver: Driver, store: Store, change: dict[str, str]
) -> None:
    slot, version = adopt(driver, store)
    store.stage(slot, 2, Secret("new"))
    foreign = {**(driver.look(slot.path) or {}), **change}
    number = driver.seed(slot.path, foreign)
    with pytest.raises(ForeignError):
        promote(store, slot, 2, version)
    assert driver.look(slot.path) == foreign
    assert driver.number(slot.path, store.current(slot).version) == number


def test_second_writer_who_set_the_field_before_we_first_did_is_found(driver: Driver, store: Store) -> None:
    slot = driver.slot()
    store.stage(slot, 1, Secret("new"))
    driver.seed(slot.path, {"password": "theirs"})
    with pytest.raises(ForeignError):
        promote(store, slot, 1, ABSENT)


def test_second_writer_who_removed_our_field_is_found(driver: Driver, store: Store) -> None:
    slot, version = adopt(driver, store)
    driver.seed(slot.path, {"other": "1"})
    with pytest.raises(ForeignError):
        promote(store, slot, 1, version)


def test_our_own_late_promote_is_no_second_writer(driver: Driver, store: Store) -> None:
    slot, version = adopt(driver, store)
    store.stage(slot, 2, Secret("new"))
    late = promote(store, slot, 2, version)
    with pytest.raises(Failed, match="stale_version"):  # going back with the version of before: look again
        promote(store, slot, 1, version)
    promote(store, slot, 1, late)
    assert text(store.current(slot).value) == "old"


def test_stale_promote_never_lands_over_going_back(driver: Driver, store: Store) -> None:
    slot, version = adopt(driver, store)
    store.stage(slot, 2, Secret("new"))
    back = promote(store, slot, 1, version)  # writes the old value again: the fence
    with driver_stale(driver) as stale, pytest.raises(Failed, match="stale_version"):
        promote(stale, slot, 2, version)
    assert (text(store.current(slot).value), store.current(slot).version) == ("old", back)
    # ... also when a neighbour was promoted after the fence, so that the newest version differs from `version`
    driver.seed(slot.path, {**(driver.look(slot.path) or {}), "third": "x"})
    with pytest.raises(Failed, match="stale_version"):
        promote(store, slot, 2, version)
    assert text(store.current(slot).value) == "old"


class driver_stale:  # noqa: N801  # reads as a word of the test
    """A second daemon's store for a block."""

    def __init__(self, driver: Driver) -> None:
        self._store = driver.open()

    def __enter__(self) -> Store:
        return self._store

    def __exit__(self, *_: object) -> None:
        self._store.close()


def test_repeated_promote_after_it_landed_writes_the_same_again(driver: Driver, store: Store) -> None:
    slot, version = adopt(driver, store)
    store.stage(slot, 2, Secret("new"))
    promote(store, slot, 2, version)
    assert driver.number(slot.path, promote(store, slot, 2, version)) == driver.number(slot.path, version) + 2
    assert text(store.current(slot).value) == "new"


def test_expected_version_that_is_kept_no_more_is_stale_not_foreign(driver: Driver, store: Store) -> None:
    slot, version = adopt(driver, store)
    store.stage(slot, 2, Secret("new"))
    driver.evict(slot.path, {"password": "old", "username": "svc"})
    with pytest.raises(Failed, match="stale_version"):
        promote(store, slot, 2, version)
