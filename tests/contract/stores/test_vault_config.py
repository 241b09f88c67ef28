"""What a configuration may say: addresses, certificates, mounts, settings of path and mount, the deadline."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rotator.effects.stores.contract import ABSENT, Slot, Store, Version
from rotator.effects.stores.opening import open_store
from rotator.plugin_api import Failed, Misconfigured, OutcomeUnknown, Secret
from tests.contract.stores.drivers import RealClock, VaultDriver, policy_text
from tests.lab.openbao import OpenBaoRaft
from tests.lab.tls import Authority


def _adopt(driver: VaultDriver, store: Store) -> Slot:
    slot = driver.slot()
    driver.seed(slot.path, {"password": "old", "username": "svc"})
    store.stage_current(slot, 1)
    return slot


@pytest.fixture(scope="module")
def raft() -> Iterator[OpenBaoRaft]:
    with OpenBaoRaft(tls=True, seal="shamir") as server:  # with the static seal it unseals itself after some seconds
        yield server


# ---- addresses and certificates --------------------------------------------------------------------------------------


def test_certificates_are_checked_against_the_configured_bundle_only(raft: OpenBaoRaft, tmp_path: Path) -> None:
    driver = VaultDriver(raft, tmp_path)
    store = driver.open()
    assert store.current(driver.slot()).version == ABSENT
    store.close()
    other = tmp_path / "other"
    other.mkdir()
    for ca in (Authority(other).ca, None):
        with pytest.raises(Misconfigured, match="tls") as caught:
            driver.open(ca=ca).current(driver.slot())
        assert caught.value.unsent
    with pytest.raises(Misconfigured, match="store_ca"):
        driver.open(ca=tmp_path / "absent.pem")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://bao.example:8200", "store_insecure_url"),
        ("ftp://bao.example", "store_url"),
        ("https://", "store_url"),
        ("https://user@bao.example", "store_url"),
        ("https://bao.example:x", "store_url"),
        ("https://169.254.169.254", "address_refused"),
        ("https://[fe80::1]", "address_refused"),
        ("https://0.0.0.0:8200", "address_refused"),
    ],
)
def test_addresses_that_are_refused_before_anything_is_sent(vault: VaultDriver, url: str, reason: str) -> None:
    with pytest.raises(Misconfigured, match=reason):
        vault.open(url=url)


def test_plain_http_to_another_machine_only_by_an_explicit_word(vault: VaultDriver) -> None:
    vault.open(url="http://bao.example:8200", insecure=True)
    vault.open(url="http://localhost:8200")
    vault.open(url="http://[::1]:8200")


# ---- check -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "mount", "finding"),
    [
        ({"max_versions": 1}, {}, "store_max_versions"),
        ({}, {"max_versions": 1}, "store_max_versions"),
        ({"delete_version_after": "1h"}, {}, "store_short_retention"),
        ({}, {"delete_version_after": "720h"}, "store_short_retention"),
        ({}, {"delete_version_after": "87600h"}, ""),
        ({"max_versions": 5}, {"max_versions": 1}, ""),
    ],
)
def test_settings_of_path_and_mount_that_lose_values_are_found(
    vault: VaultDriver, path: dict[str, object], mount: dict[str, object], finding: str
) -> None:
    name = f"kv-{vault.app}"
    vault.admin.enable_kv(name)
    vault.set_policy(policy_text(vault.installation, vault.app, mount=name))
    threading.Event().wait(0.3)
    if mount:
        vault.admin.configure_mount(name, **mount)
    if path:
        vault.admin.configure(vault.slot().path, name, **path)
    store = vault.open(mount=name)
    assert store.check(vault.slot()) == ((finding,) if finding else ())
    store.close()


def test_kv_version_1_and_absent_mounts_are_found(vault: VaultDriver) -> None:
    name = f"old-{vault.app}"
    vault.admin.enable_kv(name, version=1)
    vault.set_policy(policy_text(vault.installation, vault.app, mount=name))
    assert vault.open(mount=name).check(vault.slot()) == ("store_kv_v1",)
    assert vault.open(mount="nowhere").check(vault.slot()) == ("store_mount_missing",)
    with pytest.raises(OutcomeUnknown, match="incomplete_answer"):  # the trap: the server says 204
        vault.open(mount=name).stage(vault.slot(), 1, Secret("v"))


def test_a_clock_that_jumped_past_the_deadline_sends_no_write(vault: VaultDriver) -> None:
    """A worker that was stopped between read and write has lost its lease: it must not write any more."""
    store = vault.open()
    slot = _adopt(vault, store)
    store.stage(slot, 2, Secret("new"))

    class Stopped(RealClock):
        reads = 0

        def monotonic(self) -> float:
            self.reads += 1
            return super().monotonic() + (60.0 if self.reads > self.after else 0.0)

        after = 10**9

    clock = Stopped()
    late = open_store(vault.config(), clock)
    late.current(slot)
    begun = clock.reads
    late.promote(slot, 2, {}, Version("1"))
    reads = clock.reads - begun
    for after in range(1, reads):
        before = store.current(slot).version
        clock.reads, clock.after = 0, after
        with pytest.raises((Failed, OutcomeUnknown), match="deadline") as caught:
            late.promote(slot, 2, {}, before)
        assert isinstance(caught.value, OutcomeUnknown) or store.current(slot).version == before
        clock.after = 10**9
    store.close()
