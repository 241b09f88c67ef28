"""The shipped policy: enough for everything, and every capability of every line is needed for something."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from rotator.effects.stores.contract import ABSENT, Mark, Slot, Store
from rotator.effects.stores.vault import VaultStore
from rotator.plugin_api import Misconfigured, Secret
from tests.contract.stores.drivers import POLICY, RealClock, VaultDriver, policy_text
from tests.lab.openbao import OpenBaoDev

LINES = [
    (match["path"], match["capabilities"])
    for match in re.finditer(
        r'^path "(?P<path>[^"]+)"\s*\{ capabilities = \[(?P<capabilities>.*)\] \}$', POLICY.read_text(), re.M
    )
]
CAPABILITIES = [(path, name) for path, names in LINES for name in re.findall(r'"(\w+)"', names)]


def test_every_line_of_the_policy_was_understood() -> None:
    assert len(LINES) == POLICY.read_text().count('\npath "')
    assert len(LINES) == 12


def _promoted(store: Store, slot: Slot) -> None:
    """A secret with two versions; the first holds a finished value."""
    store.stage(slot, 1, Secret("old"))
    version = store.promote(slot, 1, {}, ABSENT).version
    store.stage(slot, 2, Secret("new"))
    store.promote(slot, 2, {}, version)


def _renew(driver: VaultDriver, store: Store) -> object:
    store.current(driver.slot())
    driver.clock.ahead += 2800  # past two thirds of the hour
    return store.current(driver.slot())


def _lives_after_renewal(driver: VaultDriver, store: Store) -> None:
    """Without renewal the store logs in anew: count the tokens."""
    before = _tokens(driver)
    _renew(driver, store)
    if _tokens(driver) != before + 1:
        raise Misconfigured("store_permission")


def _tokens(driver: VaultDriver) -> int:
    return len(driver.admin.ask("LIST", "auth/token/accessors")["data"]["keys"])


def _revoked_at_close(driver: VaultDriver, store: Store) -> None:
    before = _tokens(driver)
    store.current(driver.slot())
    store.close()
    if _tokens(driver) != before:
        raise Misconfigured("store_permission")


def _denied_not_dead(driver: VaultDriver, store: Store) -> None:
    """A missing permission is told from a dead token by one look, not by a new login."""
    store.current(driver.slot())
    before = _tokens(driver)
    with pytest.raises(Misconfigured, match="store_permission"):
        store.fetch("elsewhere/x", "y")
    if _tokens(driver) != before:
        raise Misconfigured("store_permission")


def _forgotten(driver: VaultDriver, store: Store) -> None:
    store.finalize(driver.slot(), 1)
    store.forget(driver.slot(), 1)


def _clean(driver: VaultDriver, store: Store) -> None:
    if store.check(driver.slot()):
        raise Misconfigured("store_permission")


Use = Callable[[VaultDriver, Store], object]
USES: dict[tuple[str, str], Use] = {
    ("MOUNT/data/APP/*", "create"): lambda d, s: s.deposit(d.slot("new").path, "k", Secret("v"), {}, replace=False),
    ("MOUNT/data/APP/*", "read"): lambda d, s: s.current(d.slot()),
    ("MOUNT/data/APP/*", "update"): lambda d, s: s.promote(d.slot(), 2, {}, s.current(d.slot()).version),
    ("MOUNT/metadata/APP/*", "read"): lambda d, s: s.finalize(d.slot(), 1),
    ("MOUNT/destroy/APP/*", "update"): lambda d, s: s.finalize(d.slot(), 1),
    ("MOUNT/data/ADMIN/*", "create"): lambda d, s: s.deposit(f"{d.app}-admin/new", "k", Secret("v"), {}, replace=False),
    ("MOUNT/data/ADMIN/*", "read"): lambda d, s: s.fetch(f"{d.app}-admin/old", "k"),
    ("MOUNT/data/ADMIN/*", "update"): lambda d, s: s.deposit(f"{d.app}-admin/old", "k", Secret("w"), {}, replace=True),
    ("MOUNT/data/rotator/INSTALLATION/*", "create"): lambda d, s: s.stage(d.slot(), 3, Secret("x")),
    ("MOUNT/data/rotator/INSTALLATION/*", "read"): lambda d, s: s.read(d.slot(), 2),
    ("MOUNT/data/rotator/INSTALLATION/*", "update"): lambda d, s: s.mark(Mark("e", 2)),
    ("MOUNT/metadata/rotator/INSTALLATION/*", "create"): lambda d, s: s.read(d.slot(), 2),
    ("MOUNT/metadata/rotator/INSTALLATION/*", "read"): lambda d, s: s.finalize(d.slot(), 1),
    ("MOUNT/metadata/rotator/INSTALLATION/*", "update"): lambda d, s: [s.read(d.slot(), 2), d.open().current(d.slot())],
    ("MOUNT/metadata/rotator/INSTALLATION/*", "delete"): _forgotten,
    ("MOUNT/metadata/rotator/INSTALLATION/*", "list"): lambda d, s: s.clear(d.slot()),
    ("MOUNT/destroy/rotator/INSTALLATION/*", "update"): lambda d, s: s.finalize(d.slot(), 1),
    ("MOUNT/config", "read"): _clean,
    ("sys/capabilities-self", "update"): _clean,
    ("auth/token/lookup-self", "read"): _denied_not_dead,
    ("auth/token/renew-self", "update"): _lives_after_renewal,
    ("auth/token/revoke-self", "update"): _revoked_at_close,
}


def test_every_capability_has_a_use() -> None:
    assert sorted(USES) == sorted(CAPABILITIES)


@pytest.fixture
def prepared(store_server: OpenBaoDev, tmp_path: Path) -> VaultDriver:
    """Everything there that the uses need, made under the whole policy."""
    driver = VaultDriver(store_server, tmp_path)
    store = driver.open()
    _promoted(store, driver.slot())
    store.mark(Mark("e", 1))
    store.deposit(f"{driver.app}-admin/old", "k", Secret("v"), {}, replace=False)
    store.close()
    driver.clock = RealClock()
    return driver


@pytest.mark.parametrize(("path", "capability"), CAPABILITIES)
def test_with_the_whole_policy_it_works_and_without_the_capability_it_fails(
    prepared: VaultDriver, path: str, capability: str
) -> None:
    driver = prepared
    if (path, capability) == ("MOUNT/metadata/rotator/INSTALLATION/*", "create"):
        driver.admin.ask("DELETE", f"secret/metadata/rotator/{driver.installation}/_sync")
    driver.set_policy(without(driver, path, capability))
    bare = driver.open()
    with pytest.raises(Misconfigured, match="store_permission"):
        USES[path, capability](driver, bare)
    missing = driver.open()
    if path not in {"sys/capabilities-self", "MOUNT/data/ADMIN/*"} and "auth/" not in path:
        assert isinstance(missing, VaultStore)
        assert "store_capability_missing" in missing.check(driver.slot())
        assert any(line.startswith(capability) for line in missing.missing_capabilities(driver.slot()))
        missing.close()
    driver.set_policy(policy_text(driver.installation, driver.app))
    driver.clock = RealClock()
    whole = driver.open()
    USES[path, capability](driver, whole)
    bare.close()
    whole.close()


def without(driver: VaultDriver, path: str, capability: str) -> str:
    """The policy with one capability of one line taken away."""
    real = policy_text(driver.installation, driver.app).splitlines()
    number = [line for line, _ in LINES].index(path)
    names = [name for name in re.findall(r'"(\w+)"', real[number].split("=", 1)[1]) if name != capability]
    head = real[number].split("{", 1)[0]
    real[number] = (
        f"{head}{{ capabilities = [{', '.join(f'{chr(34)}{name}{chr(34)}' for name in names)}] }}" if names else ""
    )
    return "\n".join(real)


def test_readers_of_the_application_cannot_see_what_is_staged(vault: VaultDriver) -> None:
    store = vault.open()
    _promoted(store, vault.slot())
    vault.admin.write_policy(f"reader-{vault.app}", f'path "secret/data/{vault.app}/*" {{ capabilities = ["read"] }}')
    reader = vault.admin.as_token(vault.admin.make_token([f"reader-{vault.app}"]))
    assert reader.reply("GET", f"secret/data/{vault.slot().path}").status == 200
    stage = f"secret/data/rotator/{vault.installation}/{vault.slot().credential}/g2"
    assert vault.admin.reply("GET", stage).status == 200
    assert reader.reply("GET", stage).status == 403
    store.close()
