"""The store contract, word for word, over every store: local files, OpenBao, the standby of its cluster, and AWS."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rotator.effects.stores.contract import ABSENT, ForeignError, Mark, Store
from rotator.plugin_api import Misconfigured, Refused, Secret
from tests.contract.stores.drivers import Driver
from tests.contract.stores.steps import NEIGHBOURS, adopt, promote, text


def test_check_finds_nothing_wrong_with_a_fit_store(driver: Driver, store: Store) -> None:
    assert store.check(driver.slot()) == ()


def test_value_and_reference_fields_change_in_one_promote_and_neighbours_stay(driver: Driver, store: Store) -> None:
    slot, version = adopt(driver, store)
    store.stage(slot, 2, Secret("new"))
    before = store.current(slot)
    assert (text(before.value), before.fields, before.version) == ("old", {"username": "svc"}, version)
    written = promote(store, slot, 2, version, user="svc-2")
    number = driver.number(slot.path, version)
    assert driver.number(slot.path, written) == number + 1
    assert driver.look(slot.path) == {"password": "new", "username": "svc-2", **NEIGHBOURS}
    assert driver.look(slot.path, number) == {"password": "old", "username": "svc", **NEIGHBOURS}
    after = store.current(slot)
    assert (text(after.value), after.fields, after.version) == ("new", {"username": "svc-2"}, written)


def test_first_promote_creates_the_secret(driver: Driver, store: Store) -> None:
    slot = driver.slot()
    assert store.current(slot).version == ABSENT
    assert store.current(slot).value is None
    store.stage(slot, 1, Secret("first"))
    assert store.current(slot).version == ABSENT
    assert driver.number(slot.path, promote(store, slot, 1, ABSENT)) == 1
    assert driver.look(slot.path) == {"password": "first", "username": "svc"}


def test_staging_is_invisible_and_twice_is_once(driver: Driver, store: Store) -> None:
    slot, version = adopt(driver, store)
    seen = driver.look(slot.path)
    for _ in range(2):
        store.stage(slot, 2, Secret("new ✓"))
    assert text(store.read(slot, 2)) == "new ✓"
    assert (driver.look(slot.path), store.current(slot).version) == (seen, version)
    with pytest.raises(Refused, match="stage_conflict"):
        store.stage(slot, 2, Secret("another"))
    assert text(store.read(slot, 2)) == "new ✓"


def test_nothing_staged_reads_as_none_and_is_not_promoted(driver: Driver, store: Store) -> None:
    slot, version = adopt(driver, store)
    assert store.read(slot, 7) is None
    with pytest.raises(Refused, match="not_staged"):
        promote(store, slot, 7, version)


def test_stage_from_current(driver: Driver, store: Store) -> None:
    slot, _ = adopt(driver, store)
    store.stage_current(slot, 1)
    assert text(store.read(slot, 1)) == "old"
    with pytest.raises(Refused, match="not_found"):
        store.stage_current(driver.slot("none"), 1)
    driver.seed(driver.slot("other").path, {"password-2": "x"})
    with pytest.raises(Refused, match="not_found"):
        store.stage_current(driver.slot("other"), 1)


def test_promote_always_writes_also_the_same_value(driver: Driver, store: Store) -> None:
    slot, version = adopt(driver, store)
    again = promote(store, slot, 1, version)
    assert driver.number(slot.path, again) == driver.number(slot.path, version) + 1


def test_finalize_destroys_stage_and_history_and_refuses_a_late_stage(driver: Driver, store: Store) -> None:
    slot, version = adopt(driver, store)
    again = driver.seed(slot.path, {**(driver.look(slot.path) or {}), "third": "x"})
    store.stage(slot, 2, Secret("new"))
    promoted = promote(store, slot, 2, store.current(slot).version)
    for _ in range(2):
        store.finalize(slot, 1)
        assert store.read(slot, 1) is None
        assert driver.staged(slot, 1) is None
        assert driver.look(slot.path, driver.number(slot.path, version)) is None
        assert driver.look(slot.path, again) is None
    with pytest.raises(Refused, match="stage_closed"):
        store.stage(slot, 1, Secret("old"))
    with pytest.raises(Refused, match="not_staged"):
        promote(store, slot, 1, promoted)
    assert text(store.current(slot).value) == "new"
    assert text(store.read(slot, 2)) == "new"


def test_finalize_that_keeps_versions_destroys_the_stage_alone(driver: Driver, store: Store) -> None:
    slot, version = adopt(driver, store)
    before = driver.look(slot.path)
    store.stage(slot, 2, Secret("new"))
    promoted = promote(store, slot, 2, version)
    for _ in range(2):
        store.finalize(slot, 1, keep_versions=True)
        assert store.read(slot, 1) is None
        assert driver.staged(slot, 1) is None
        assert driver.look(slot.path, driver.number(slot.path, version)) == before
    with pytest.raises(Refused, match="stage_closed"):
        store.stage(slot, 1, Secret("old"))
    assert (text(store.current(slot).value), store.current(slot).version) == ("new", promoted)
    store.finalize(slot, 1)  # the policy changed: what was kept is kept, nobody knows its value any more
    assert driver.look(slot.path, driver.number(slot.path, version)) == before


def test_finalize_leaves_versions_with_other_values(driver: Driver, store: Store) -> None:
    slot, version = adopt(driver, store)
    store.stage(slot, 2, Secret("failed"))
    second = promote(store, slot, 2, version)
    back = promote(store, slot, 1, second)
    store.finalize(slot, 2)
    assert driver.look(slot.path, driver.number(slot.path, second)) is None
    if driver.history:
        assert (driver.look(slot.path, driver.number(slot.path, version)) or {})["password"] == "old"
    assert (driver.look(slot.path, driver.number(slot.path, back)) or {})["password"] == "old"


def test_finalize_never_destroys_what_current_holds(driver: Driver, store: Store) -> None:
    slot, version = adopt(driver, store)
    store.finalize(slot, 1)
    assert (driver.look(slot.path) or {})["password"] == "old"
    assert store.current(slot).version == version
    assert driver.staged(slot, 1) is None


def test_finalize_of_what_was_never_staged_refuses_a_late_stage(driver: Driver, store: Store) -> None:
    slot, _ = adopt(driver, store)
    store.finalize(slot, 3)
    with pytest.raises(Refused, match="stage_closed"):
        store.stage(slot, 3, Secret("late"))
    assert store.read(slot, 3) is None


def test_forget_removes_the_tombstone_and_only_that(driver: Driver, store: Store) -> None:
    slot, _ = adopt(driver, store)
    with pytest.raises(Refused, match="not_finalized"):
        store.forget(slot, 1)
    store.finalize(slot, 1)
    for _ in range(2):
        store.forget(slot, 1)
    store.forget(slot, 99)
    assert store.read(slot, 1) is None
    if not driver.reopens:  # the store itself forgets, in its own time
        with pytest.raises(Refused, match="stage_closed"):
            store.stage(slot, 1, Secret("never again"))
        return
    store.stage(slot, 1, Secret("possible again"))
    assert text(store.read(slot, 1)) == "possible again"


def test_retirement_leaves_no_value_of_ours_anywhere(driver: Driver, store: Store) -> None:
    slot, version = adopt(driver, store)
    store.stage(slot, 2, Secret("new"))
    promote(store, slot, 2, version)
    for _ in range(2):
        store.clear(slot)
        assert driver.look(slot.path) == NEIGHBOURS
    newest = driver.number(slot.path, store.current(slot).version)
    for generation in (1, 2):
        store.finalize(slot, generation)
    for number in range(1, newest):
        assert driver.look(slot.path, number) is None
    assert store.current(slot).value is None
    assert driver.look(slot.path) == NEIGHBOURS


def test_clear_removes_nothing_that_is_not_ours(driver: Driver, store: Store) -> None:
    slot, _ = adopt(driver, store)
    theirs = {"password": "theirs", "username": "svc"}
    driver.seed(slot.path, theirs)
    with pytest.raises(ForeignError):
        store.clear(slot)
    assert driver.look(slot.path) == theirs
    store.clear(driver.slot("never-there"))
    assert driver.look(driver.slot("never-there").path) is None


def test_fetch_reads_one_field_of_any_secret(driver: Driver, store: Store) -> None:
    slot, _ = adopt(driver, store)
    assert text(store.fetch(slot.path, "ключ")) == NEIGHBOURS["ключ"]
    assert store.fetch(slot.path, "absent") is None
    assert store.fetch(driver.slot("absent").path, "x") is None
    with pytest.raises(Misconfigured, match="store_field_not_text"):
        store.fetch(slot.path, "nested")


def test_deposit_never_overwrites_another_value_unasked(driver: Driver, store: Store) -> None:
    path = driver.slot("first").path
    one = store.deposit(path, "key", Secret("a"), {"id": "1"}, replace=False)
    assert store.deposit(path, "key", Secret("a"), {"id": "1"}, replace=False) == one
    with pytest.raises(Refused, match="occupied"):
        store.deposit(path, "key", Secret("b"), {"id": "1"}, replace=False)
    with pytest.raises(Refused, match="occupied"):
        store.deposit(path, "key", Secret("a"), {"id": "2"}, replace=False)
    assert driver.look(path) == {"key": "a", "id": "1"}
    store.deposit(path, "other", Secret("c"), {}, replace=False)
    store.deposit(path, "key", Secret("b"), {"id": "2"}, replace=True)
    assert driver.look(path) == {"key": "b", "id": "2", "other": "c"}


def test_mark_never_goes_back_in_an_epoch(driver: Driver, store: Store) -> None:
    assert store.read_mark() is None
    for sequence in (3, 5, 4):
        store.mark(Mark("e1", sequence))
    assert store.read_mark() == Mark("e1", 5)
    store.mark(Mark("e2", 1))
    assert store.read_mark() == Mark("e2", 1)


def test_value_at_the_size_limit(driver: Driver, store: Store) -> None:
    slot, version = adopt(driver, store)
    big = "x" * (driver.limit - 4096)
    store.stage(slot, 2, Secret(big))
    promoted = promote(store, slot, 2, version)
    assert text(store.current(slot).value) == big
    assert driver.number(slot.path, promoted) == driver.number(slot.path, version) + 1


@pytest.mark.parametrize(
    "driver", ["local", "standby", "aws"], indirect=True
)  # the dev server, in memory, has no limit
def test_value_over_the_size_limit_is_refused_and_nothing_changes(driver: Driver, store: Store) -> None:
    slot, version = adopt(driver, store)
    seen = driver.look(slot.path)
    with pytest.raises(Refused, match="too_large"):
        store.stage(slot, 2, Secret("x" * 1_600_000))
    assert store.read(slot, 2) is None
    store.stage(slot, 3, Secret("y" * (driver.limit - 4096)))
    with pytest.raises(Refused, match="too_large"):  # fits alone, not beside the reference field
        promote(store, slot, 3, version, user="u" * 200_000)
    assert (driver.look(slot.path), store.current(slot).version) == (seen, version)


@pytest.mark.parametrize("path", ["", "/a", "a/", "a//b", "a/../b", "./a", "a/\x01b", "a/ b"])
def test_unnormalised_paths_are_refused_before_anything_is_sent(driver: Driver, store: Store, path: str) -> None:
    slot = replace(driver.slot(), path=path)
    assert store.check(slot) == ("store_path_unnormalised",)
    for call in (store.current, store.clear):
        with pytest.raises(Misconfigured, match="store_path_unnormalised"):
            call(slot)


def test_our_own_folder_is_no_place_for_a_secret(driver: Driver, store: Store) -> None:
    slot = replace(driver.slot(), path="rotator/x/y")
    assert store.check(slot) == ("store_path_reserved",)
    with pytest.raises(Misconfigured, match="store_path_reserved"):
        store.current(slot)


@pytest.mark.parametrize("driver", ["local", "vault", "standby"], indirect=True)  # AWS has letters of its own
@pytest.mark.parametrize("name", ["with space", "a#b", "a?b=c", "per%cent", "ünïcode", "a&b+c"])
def test_odd_paths_are_themselves(driver: Driver, store: Store, name: str) -> None:
    slot = replace(driver.slot(), path=f"{driver.slot().path}/{name}")
    store.stage(slot, 1, Secret("v"))
    promote(store, slot, 1, ABSENT)
    assert text(store.current(slot).value) == "v"
    assert text(store.current(driver.slot()).value) is None


def test_a_store_opened_anew_sees_everything(driver: Driver, store: Store) -> None:
    slot, version = adopt(driver, store)
    store.stage(slot, 2, Secret("new"))
    other = driver.open()
    assert text(other.read(slot, 2)) == "new"
    promote(other, slot, 2, version)
    assert text(store.current(slot).value) == "new"
    other.close()


def test_no_error_text_carries_a_value(driver: Driver, store: Store) -> None:
    slot, version = adopt(driver, store)
    store.stage(slot, 2, Secret("canary-one"))
    driver.seed(slot.path, {"password": "canary-two"})
    for call in (
        lambda: promote(store, slot, 2, version),
        lambda: store.stage(slot, 2, Secret("canary-three")),
        lambda: store.clear(slot),
        lambda: store.deposit(slot.path, "password", Secret("canary-four"), {}, replace=False),
    ):
        with pytest.raises(Exception) as caught:
            call()
        chain: BaseException | None = caught.value
        while chain is not None:
            assert "canary" not in repr(chain) + str(chain)
            chain = chain.__cause__ or chain.__context__
