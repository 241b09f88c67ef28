"""Tokens: where they come from, how they are kept alive, and what happens when they die in the middle of things."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from rotator.effects.stores.opening import TokenFile
from rotator.plugin_api import Misconfigured, Secret
from tests.contract.stores.drivers import VaultDriver, private
from tests.contract.stores.recording import RecordingProxy
from tests.lab.openbao import OpenBaoDev
from tests.lab.proxy import Fault, Proxy


def _calls(proxy: RecordingProxy, end: str) -> int:
    return sum(seen.path.endswith(end) for seen in proxy.seen)


def _file(driver: VaultDriver, token: str) -> TokenFile:
    return TokenFile(private(driver.folder / "token", token + "\n"))


def test_one_login_serves_all_threads_and_is_renewed_before_it_expires(
    store_server: OpenBaoDev, tmp_path: Path
) -> None:
    with RecordingProxy(store_server.url) as proxy:
        driver = VaultDriver(store_server, tmp_path, url=proxy.url)
        store = driver.open()
        threads = [threading.Thread(target=store.current, args=(driver.slot(f"t{n}"),)) for n in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert _calls(proxy, "/login") == 1
        driver.clock.ahead += 2000
        store.current(driver.slot())
        assert _calls(proxy, "/renew-self") == 0
        driver.clock.ahead += 500
        store.current(driver.slot())
        assert (_calls(proxy, "/renew-self"), _calls(proxy, "/login")) == (1, 1)
        store.close()
        assert _calls(proxy, "/revoke-self") == 1


def test_token_that_expired_for_real_in_mid_run_is_replaced_by_a_login(
    store_server: OpenBaoDev, tmp_path: Path
) -> None:
    driver = VaultDriver(store_server, tmp_path, ttl="1s")
    store = driver.open()
    store.stage(driver.slot(), 1, Secret("v"))
    threading.Event().wait(1.6)
    value = store.read(driver.slot(), 1)
    assert value is not None
    assert value.matches(Secret("v"))
    store.close()


def test_token_revoked_in_mid_run_is_told_from_a_missing_permission(store_server: OpenBaoDev, tmp_path: Path) -> None:
    with RecordingProxy(store_server.url) as proxy:
        driver = VaultDriver(store_server, tmp_path, url=proxy.url)
        store = driver.open()
        store.current(driver.slot())
        token = next(seen.headers["X-Vault-Token"] for seen in proxy.seen if "X-Vault-Token" in seen.headers)
        driver.admin.revoke_token(token)
        proxy.seen.clear()
        store.stage(driver.slot(), 1, Secret("v"))  # a write whose first sending was surely not carried out
        assert (_calls(proxy, "/lookup-self"), _calls(proxy, "/login")) == (1, 1)
        assert driver.staged(driver.slot(), 1) == {"value": "v"}
        proxy.seen.clear()
        with pytest.raises(Misconfigured, match="store_permission"):
            store.fetch("elsewhere/x", "y")
        assert (_calls(proxy, "/lookup-self"), _calls(proxy, "/login")) == (1, 0)
        store.close()


def test_many_threads_with_a_dead_token_make_one_login(store_server: OpenBaoDev, tmp_path: Path) -> None:
    with RecordingProxy(store_server.url) as proxy:
        driver = VaultDriver(store_server, tmp_path, url=proxy.url)
        store = driver.open()
        store.current(driver.slot())
        driver.admin.revoke_token(proxy.seen[-1].headers["X-Vault-Token"])
        proxy.seen.clear()
        errors: list[Exception] = []

        def run(number: int) -> None:
            try:
                store.stage(driver.slot(), number, Secret("v"))
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=run, args=(number,)) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert errors == []
        assert _calls(proxy, "/login") == 1
        store.close()


def test_destroyed_secret_id_is_a_misconfiguration_and_logins_are_not_hammered(
    store_server: OpenBaoDev, tmp_path: Path
) -> None:
    with RecordingProxy(store_server.url) as proxy:
        driver = VaultDriver(store_server, tmp_path, url=proxy.url)
        driver.admin.destroy_secret_id(driver.role, driver.approle.accessor)
        store = driver.open()
        for _ in range(5):
            with pytest.raises(Misconfigured, match="store_login_refused"):
                store.current(driver.slot())
        assert _calls(proxy, "/login") == 2
        driver.new_secret_id()
        driver.clock.ahead += 11
        store.current(driver.slot())
        store.close()


def test_new_secret_id_in_the_file_is_used_at_the_next_login(vault: VaultDriver) -> None:
    store = vault.open()
    store.current(vault.slot())
    vault.admin.destroy_secret_id(vault.role, vault.approle.accessor)
    vault.new_secret_id()
    vault.clock.ahead += 4000  # past the lease, by our clock
    store.current(vault.slot())
    store.close()


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_missing_or_empty_secret_id_file(vault: VaultDriver, content: str | None) -> None:
    vault.secret_id.unlink()
    if content is not None:
        private(vault.secret_id, content)
    with pytest.raises(Misconfigured, match="store_auth_file"):
        vault.open().current(vault.slot())


def test_periodic_token_from_a_file_is_renewed_and_never_revoked(store_server: OpenBaoDev, tmp_path: Path) -> None:
    with RecordingProxy(store_server.url) as proxy:
        driver = VaultDriver(store_server, tmp_path, url=proxy.url)
        token = driver.admin.make_token([driver.role], period="1h")
        store = driver.open(auth=_file(driver, token))
        store.current(driver.slot())
        driver.clock.ahead += 2500
        store.current(driver.slot())
        assert _calls(proxy, "/renew-self") == 1
        store.close()
        assert _calls(proxy, "/revoke-self") == 0
        assert driver.admin.as_token(token).reply("GET", "auth/token/lookup-self").status == 200


def test_token_file_replaced_by_an_agent_is_read_again_when_the_token_dies(vault: VaultDriver) -> None:
    first, second = (vault.admin.make_token([vault.role]) for _ in range(2))
    store = vault.open(auth=_file(vault, first))
    store.current(vault.slot())
    _file(vault, second)
    vault.admin.revoke_token(first)
    store.current(vault.slot())
    store.close()


def test_dead_token_in_the_file_is_a_misconfiguration(vault: VaultDriver) -> None:
    token = vault.admin.make_token([vault.role])
    vault.admin.revoke_token(token)
    with pytest.raises(Misconfigured, match="store_login_refused"):
        vault.open(auth=_file(vault, token)).current(vault.slot())


def test_token_that_cannot_be_renewed_is_used_to_its_end(store_server: OpenBaoDev, tmp_path: Path) -> None:
    with RecordingProxy(store_server.url) as proxy:
        driver = VaultDriver(store_server, tmp_path, url=proxy.url)
        token = driver.admin.make_token([driver.role], period=None, ttl="1h", renewable=False)
        store = driver.open(auth=_file(driver, token))
        store.current(driver.slot())
        driver.clock.ahead += 3000
        store.current(driver.slot())
        assert _calls(proxy, "/renew-self") == 0
        store.close()


def test_renewal_that_gives_no_more_time_becomes_a_login(store_server: OpenBaoDev, tmp_path: Path) -> None:
    with RecordingProxy(store_server.url) as proxy:
        driver = VaultDriver(store_server, tmp_path, url=proxy.url)
        settings = {"token_policies": [driver.role], "token_no_default_policy": True, "token_ttl": "4s"}
        driver.admin.ask("POST", f"auth/approle/role/{driver.role}", {**settings, "token_explicit_max_ttl": "4s"})
        store = driver.open()
        store.current(driver.slot())
        proxy.seen.clear()
        threading.Event().wait(2.9)
        store.current(driver.slot())
        assert (_calls(proxy, "/renew-self"), _calls(proxy, "/login")) == (1, 1)
        store.close()


def test_renewal_in_trouble_keeps_the_token_while_it_lives(store_server: OpenBaoDev, tmp_path: Path) -> None:
    with Proxy(store_server.port) as proxy:
        driver = VaultDriver(store_server, tmp_path, url=proxy.url)
        store = driver.open()
        store.current(driver.slot())
        driver.clock.ahead += 2500
        lost = proxy.rule(Fault.ANSWER_LOST, path="/renew-self")
        store.current(driver.slot())
        assert lost.hits == 1
        assert proxy.count(path="/login") == 1
        store.close()


def test_environment_and_token_file_of_the_command_line_are_ignored(vault: VaultDriver, tmp_path: Path) -> None:
    """In a process of its own: hvac reads some variables when it is imported."""

    (tmp_path / ".vault-token").write_text(vault.server.token)
    program = f"""
import sys
from pathlib import Path
from rotator.effects.stores.opening import VaultConfig, AppRole, open_store
from rotator.effects.stores.contract import Slot
from tests.contract.stores.drivers import RealClock
store = open_store(VaultConfig(url={vault.url!r}, installation={vault.installation!r},
                   auth=AppRole({vault.approle.role_id!r}, Path({str(vault.secret_id)!r}))), RealClock())
print(repr(store.current(Slot("c", {vault.slot().path!r}, "password")).version))
try:
    store.fetch("elsewhere/x", "y")
except Exception as error:
    print(type(error).__name__, error.reason)
store.close()
"""
    nowhere = "http://127.0.0.1:9"
    env = {
        **os.environ, "HOME": str(tmp_path), "VAULT_TOKEN": vault.server.token, "VAULT_ADDR": nowhere,
        "VAULT_NAMESPACE": "other", "VAULT_CACERT": "/nonexistent", "VAULT_CAPATH": "/nonexistent",
        "VAULT_CLIENT_CERT": "/nonexistent", "VAULT_CLIENT_KEY": "/nonexistent", "VAULT_SKIP_VERIFY": "1",
        "HTTP_PROXY": nowhere, "http_proxy": nowhere, "ALL_PROXY": nowhere, "REQUESTS_CA_BUNDLE": "/nonexistent",
    }  # fmt: skip
    ran = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=60)
    assert (ran.stdout, ran.stderr) == ("''\nMisconfigured store_permission\n", "")
