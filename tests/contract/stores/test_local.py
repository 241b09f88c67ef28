"""The embedded store where it stands alone: its key, its files, the disk, other processes, death between two writes."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import shutil
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rotator.effects.stores import local_files
from rotator.effects.stores.content import Content
from rotator.effects.stores.contract import Slot, Store, Version
from rotator.effects.stores.local import LocalConfig, create_key, create_local
from rotator.effects.stores.opening import open_store
from rotator.plugin_api import Failed, Misconfigured, OutcomeUnknown, Secret
from tests.contract.stores.drivers import LocalDriver, RealClock


@pytest.fixture
def local(tmp_path: Path) -> LocalDriver:
    return LocalDriver(tmp_path)


def _adopt(driver: LocalDriver) -> tuple[Store, Slot, Version]:
    store, slot = driver.open(), driver.slot()
    driver.seed(slot.path, {"password": "canary-old-value", "username": "svc", "near": {"x": 1}})
    store.stage_current(slot, 1)
    store.stage(slot, 2, Secret("canary-new-value"))
    return store, slot, store.current(slot).version


def _files(driver: LocalDriver) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in sorted(driver.root.rglob("*")) if file.is_file()}


def _secret_files(driver: LocalDriver) -> list[Path]:
    return sorted((driver.root / "secrets").glob("*.json"))


def _holds(store: Store, slot: Slot, value: str) -> bool:
    current = store.current(slot).value
    return current is not None and current.matches(Secret(value))


# ---- the key ---------------------------------------------------------------------------------------------------------


def test_key_is_made_once_private_and_outside_the_store(tmp_path: Path) -> None:
    root = tmp_path / "store"
    with pytest.raises(Misconfigured, match="store_key"):
        create_key(root / "key", root)
    create_key(tmp_path / "key", root)
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    made = (tmp_path / "key").read_bytes()
    assert len(made) == 32
    with pytest.raises(Misconfigured, match="store_key"):
        create_key(tmp_path / "key", root)
    assert (tmp_path / "key").read_bytes() == made


def test_opening_never_makes_a_key_or_a_store(tmp_path: Path) -> None:
    config = LocalConfig(tmp_path / "store", tmp_path / "key", "here")
    with pytest.raises(Misconfigured, match="store_key"):
        open_store(config, RealClock())
    create_key(config.key, config.root)
    with pytest.raises(Misconfigured, match="store_missing"):
        open_store(config, RealClock())
    assert not config.root.exists()
    config.root.mkdir()
    (config.root / "something").write_text("x")
    with pytest.raises(Misconfigured, match="store_not_empty"):
        create_local(config, RealClock())


@pytest.mark.parametrize("damage", ["short", "long", "readable", "absent", "inside"])
def test_improper_key_file_is_refused(local: LocalDriver, damage: str) -> None:
    _adopt(local)
    before = _files(local)
    key = local.key
    if damage == "short":
        key.write_bytes(key.read_bytes()[:31])
    if damage == "long":
        key.write_bytes(key.read_bytes() + b"x")
    if damage == "readable":
        key.chmod(0o640)
    if damage == "absent":
        key.unlink()
    if damage == "inside":
        key = local.root / "key"
        shutil.copy2(local.key, key)
        before[str(key)] = key.read_bytes()
    with pytest.raises(Misconfigured, match="store_key"):
        local.open(key=key)
    assert _files(local) == {name: before[name] for name in sorted(before)}


def test_another_key_is_damage_and_changes_nothing(local: LocalDriver, tmp_path: Path) -> None:
    _, slot, _ = _adopt(local)
    before = _files(local)
    create_key(tmp_path / "other", local.root)
    with pytest.raises(Misconfigured, match="store_damaged"):
        local.open(key=tmp_path / "other")
    assert _files(local) == before
    assert _holds(local.open(), slot, "canary-old-value")


# ---- damaged files ---------------------------------------------------------------------------------------------------


def _each(store: Store, slot: Slot, version: Version) -> list[Callable[[], object]]:
    return [
        lambda: store.current(slot),
        lambda: store.promote(slot, 2, {"username": "x"}, version),
        lambda: store.deposit(slot.path, "password", Secret("v"), {}, replace=True),
        lambda: store.clear(slot),
        lambda: store.finalize(slot, 1),
    ]


def _file_of(driver: LocalDriver, path: str) -> Path:
    return next(file for file in _secret_files(driver) if json.loads(file.read_text())["path"] == path)


def test_every_single_flipped_or_cut_byte_is_found_and_never_overwritten(local: LocalDriver) -> None:
    store, slot, version = _adopt(local)
    file = _file_of(local, slot.path)
    whole = file.read_bytes()
    body = json.loads(whole)
    for at in range(0, len(whole), 7):
        for damaged in (whole[:at], whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]):
            file.write_bytes(damaged)
            try:
                same = json.loads(damaged) == body  # white space between members is no damage
            except ValueError:
                same = False
            if not same:
                with pytest.raises(Misconfigured, match="store_damaged"):
                    store.current(slot)
    for call in _each(store, slot, version):
        file.write_bytes(whole[:-9])
        with pytest.raises(Misconfigured, match="store_damaged"):
            call()
        assert file.read_bytes() == whole[:-9]
    file.write_bytes(whole)
    assert _holds(store, slot, "canary-old-value")


def test_swapped_files_fields_and_versions_are_found(local: LocalDriver) -> None:
    store, slot, version = _adopt(local)
    other = local.slot("other")
    local.seed(other.path, {"password": "theirs", "username": "svc"})
    store.promote(slot, 2, {"username": "svc"}, version)
    mine, theirs = _file_of(local, slot.path), _file_of(local, other.path)
    whole, foreign = mine.read_bytes(), theirs.read_bytes()
    swaps: list[bytes] = [foreign]
    body = json.loads(whole)
    swaps.append(json.dumps({**json.loads(foreign), "path": slot.path}).encode())
    one, two = body["versions"]["1"], body["versions"]["2"]
    swaps.append(json.dumps({**body, "versions": {"1": two, "2": one}}).encode())
    crossed = {**two, "password": two["username"], "username": two["password"]}
    swaps.append(json.dumps({**body, "versions": {"1": one, "2": crossed}}).encode())
    swaps.append(json.dumps({**body, "newest": 1}).encode())
    swaps.append(json.dumps({**body, "versions": {"2": two}}).encode())
    for swapped in swaps:
        mine.write_bytes(swapped)
        with pytest.raises(Misconfigured, match="store_damaged"):
            store.current(slot)
    mine.write_bytes(whole)
    assert _holds(store, slot, "canary-new-value")


def test_a_sealed_field_opens_only_at_its_own_path_name_and_version() -> None:
    seal = local_files.Seal(os.urandom(local_files.KEY_BYTES))
    sealed = seal.close_fields(Content({"a": "one", "b": "two"}), "app/x", 3)
    assert seal.open_fields(sealed, "app/x", 3).equals(Content({"a": "one", "b": "two"}))
    crossed = {"a": sealed["b"], "b": sealed["a"]}
    for fields, path, version in ((sealed, "app/y", 3), (sealed, "app/x", 4), (crossed, "app/x", 3)):
        with pytest.raises(Misconfigured, match="store_damaged"):
            seal.open_fields(fields, path, version)


def test_vanished_volume_is_missing_not_empty(local: LocalDriver) -> None:
    store, slot, _ = _adopt(local)
    away = local.root.with_name("away")
    local.root.rename(away)
    with pytest.raises(Misconfigured, match="store_missing"):
        store.current(slot)
    local.root.mkdir()
    with pytest.raises(Misconfigured, match="store_missing"):
        store.current(slot)
    local.root.rmdir()
    away.rename(local.root)
    assert _holds(store, slot, "canary-old-value")


def test_no_value_stands_in_clear_in_any_file_and_files_are_private(local: LocalDriver) -> None:
    _adopt(local)
    for name, data in _files(local).items():
        assert b"canary" not in data
        assert stat.S_IMODE(Path(name).stat().st_mode) == 0o600
    assert stat.S_IMODE(local.root.stat().st_mode) == 0o700


# ---- the disk --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, "store_full"),
        (errno.EROFS, "store_read_only"),
        (errno.EACCES, "store_read_only"),
        (errno.EIO, "store_disk"),
    ],
)
@pytest.mark.parametrize("step", ["fsync", "rename"])
def test_disk_trouble_before_the_rename_is_failed_and_the_former_file_stands(
    local: LocalDriver, monkeypatch: pytest.MonkeyPatch, number: int, reason: str, step: str
) -> None:
    store, slot, version = _adopt(local)
    before = _files(local)

    def broken(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        target, name = (os, "fsync") if step == "fsync" else (Path, "rename")
        patch.setattr(target, name, broken)
        with pytest.raises(Failed, match=reason):
            store.promote(slot, 2, {"username": "svc"}, version)
    assert _files(local) == before
    store.promote(slot, 2, {"username": "svc"}, version)
    assert _holds(store, slot, "canary-new-value")


def test_folder_that_cannot_be_flushed_after_the_rename_is_unknown(
    local: LocalDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, slot, version = _adopt(local)
    real = os.fsync

    def broken(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EIO, "io")
        real(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", broken)
        with pytest.raises(OutcomeUnknown, match="store_disk"):
            store.promote(slot, 2, {"username": "svc"}, version)


def test_a_really_full_disk_is_failed(local: LocalDriver) -> None:
    """A limit on the size of files stands for a full disk: the kernel refuses the write."""
    import resource
    import signal

    store, slot, version = _adopt(local)
    before = _files(local)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    former = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
    try:
        with pytest.raises(Failed, match="store_full"):
            store.promote(slot, 2, {"username": "svc"}, version)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, former)
    assert _files(local) == before


# ---- death and other processes ---------------------------------------------------------------------------------------


def _die_at(config: LocalConfig, slot: Slot, version: Version, call: str, step: int) -> None:
    """In a child: end like a killed process at the n-th operation on the disk."""
    left = [step]

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def operation(*args: object, **more: object) -> object:
            if left[0] == 0:
                os._exit(9)
            left[0] -= 1
            return real(*args, **more)

        return operation

    for owner, name in ((os, "open"), (os, "fsync"), (Path, "rename"), (Path, "unlink"), (os, "fdopen")):
        setattr(owner, name, counted(getattr(owner, name)))
    store = open_store(config, RealClock())
    _make(store, slot, version, call)
    os._exit(0)


def _make(store: Store, slot: Slot, version: Version, call: str) -> None:
    if call == "promote":
        store.promote(slot, 2, {"username": "svc"}, version)
    if call == "stage":
        store.stage(slot, 3, Secret("third"))
    if call == "finalize":
        store.finalize(slot, 1)
    if call == "clear":
        store.clear(slot)


@pytest.mark.parametrize("call", ["promote", "stage", "finalize", "clear"])
def test_killed_at_any_step_leaves_old_or_new_and_the_next_start_goes_on(tmp_path: Path, call: str) -> None:
    context = multiprocessing.get_context("fork")
    step, code = 0, 9
    while code == 9:
        folder = tmp_path / str(step)
        folder.mkdir()
        driver = LocalDriver(folder)
        former, slot, version = _adopt(driver)
        if call == "finalize":
            former.promote(slot, 2, {"username": "svc"}, version)
        child = context.Process(target=_die_at, args=(driver.config(), slot, version, call, step))
        child.start()
        child.join(20)
        assert child.exitcode in {0, 9}
        code, step = child.exitcode or 0, step + 1
        store = driver.open()
        current = store.current(slot).value
        assert (
            current is None
            or current.matches(Secret("canary-old-value"))
            or current.matches(Secret("canary-new-value"))
        )
        assert (driver.look(slot.path) or {})["near"] == {"x": 1}
        _make(store, slot, version, call)
        promoted = call in {"promote", "finalize"}
        assert _holds(store, slot, "canary-new-value" if promoted else "canary-old-value") or call == "clear"
        assert call != "stage" or driver.staged(slot, 3) == {"value": "third"}
        assert call != "clear" or driver.look(slot.path) == {"near": {"x": 1}}
        assert call != "finalize" or (driver.staged(slot, 1), driver.look(slot.path, 1)) == (None, None)
    assert step > 5


def _deposit_many(config: LocalConfig, name: str, count: int) -> None:
    store = open_store(config, RealClock())
    for number in range(count):
        store.deposit("app/shared", f"{name}{number}", Secret("v"), {}, replace=False)
    os._exit(0)


def test_processes_and_threads_together_lose_no_write(local: LocalDriver) -> None:
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=_deposit_many, args=(local.config(), name, 15)) for name in ("a", "b", "c")]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0, 0, 0]
    assert len(local.look("app/shared") or {}) == 45


def test_lock_held_by_another_process_is_busy_at_the_deadline_and_unsent(local: LocalDriver) -> None:
    store, slot, _ = _adopt(local)
    impatient = local.open(call_s=0.2)
    files = local_files.Files(local.root, local_files.Seal(local.key.read_bytes()), RealClock())
    held, free = threading.Event(), threading.Event()

    def hold() -> None:
        with files.locked(time.monotonic() + 5):
            held.set()
            free.wait(5)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(5)
    try:
        with pytest.raises(Failed, match="store_busy") as caught:
            impatient.stage(slot, 5, Secret("v"))
        assert caught.value.unsent
        assert _holds(store, slot, "canary-old-value")  # readers never wait
    finally:
        free.set()
        thread.join(5)


def test_versions_beyond_the_kept_are_dropped_and_one_is_too_few(local: LocalDriver) -> None:
    for number in range(14):
        local.seed("app/many", {"n": str(number)})
    assert local.look("app/many", 4) is None
    assert local.look("app/many", 5) == {"n": "4"}
    assert local.open(keep=1).check(local.slot()) == ("store_max_versions",)
