"""Servers in trouble or oddly set up: sealed, restarted, stale, limited, redirecting, behind TLS, in a namespace."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from rotator.effects.stores.contract import ABSENT, Slot, Store, Version
from rotator.effects.stores.opening import open_store
from rotator.plugin_api import Failed, Misconfigured, OutcomeUnknown, PluginError, Secret
from tests.contract.stores.drivers import VaultDriver, policy_text
from tests.contract.stores.recording import Recorder, RecordingProxy
from tests.lab.openbao import OpenBaoDev, OpenBaoRaft
from tests.lab.proxy import Answer, Fault, Proxy


def _all_calls(store: Store, slot: Slot) -> list[Callable[[], object]]:
    return [
        lambda: store.current(slot),
        lambda: store.read(slot, 1),
        lambda: store.stage(slot, 9, Secret("v")),
        lambda: store.promote(slot, 1, {}, Version("1")),
        lambda: store.finalize(slot, 1),
        lambda: store.clear(slot),
        lambda: store.fetch(slot.path, "password"),
        store.read_mark,
    ]


def _adopt(driver: VaultDriver, store: Store) -> Slot:
    slot = driver.slot()
    driver.seed(slot.path, {"password": "old", "username": "svc"})
    store.stage_current(slot, 1)
    return slot


# ---- sealed, restarted, killed ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def raft() -> Iterator[OpenBaoRaft]:
    with OpenBaoRaft(tls=True, seal="shamir") as server:  # with the static seal it unseals itself after some seconds
        yield server


def test_sealed_server_is_failed_for_every_call_and_works_after_unsealing(raft: OpenBaoRaft, tmp_path: Path) -> None:
    driver = VaultDriver(raft, tmp_path)
    store = driver.open(call_s=2.0)
    slot = _adopt(driver, store)
    raft.admin.seal()
    for call in _all_calls(store, slot):
        with pytest.raises(Failed, match="store_sealed"):
            call()
    raft.restart()
    current = store.current(slot)
    assert current.value is not None
    assert current.value.matches(Secret("old"))
    store.close()


def test_server_that_is_down_is_unsent_for_every_call(raft: OpenBaoRaft, tmp_path: Path) -> None:
    driver = VaultDriver(raft, tmp_path)
    store = driver.open(call_s=2.0)
    slot = _adopt(driver, store)
    raft.kill()
    try:
        for call in _all_calls(store, slot)[:3]:
            with pytest.raises(Failed, match="unreachable") as caught:
                call()
            assert caught.value.unsent
    finally:
        raft.start()
    store.stage(slot, 9, Secret("v"))
    assert driver.staged(slot, 9) == {"value": "v"}
    store.close()


def test_restart_keeps_values_versions_and_tombstones(raft: OpenBaoRaft, tmp_path: Path) -> None:
    driver = VaultDriver(raft, tmp_path)
    store = driver.open()
    slot = _adopt(driver, store)
    store.finalize(slot, 4)
    version = store.current(slot).version
    raft.restart()
    assert store.current(slot).version == version
    with pytest.raises(PluginError, match="stage_closed"):
        store.stage(slot, 4, Secret("late"))
    store.close()


# ---- limits, redirects, odd servers ----------------------------------------------------------------------------------


def _ten_times(call: Callable[[], object]) -> None:
    for _ in range(10):
        call()


def test_rate_limit_is_failed_in_reads_and_writes(vault: VaultDriver) -> None:
    store = vault.open(call_s=1.0)
    slot = _adopt(vault, store)
    vault.admin.enable_kv(f"kv-{vault.app}")
    limited = open_store(vault.config(mount=f"kv-{vault.app}", call_s=0.5), vault.clock)
    vault.set_policy(policy_text(vault.installation, vault.app, mount=f"kv-{vault.app}"))
    threading.Event().wait(0.5)  # a new mount needs a moment
    limited.current(slot)
    vault.admin.limit_rate(vault.role, 1, f"kv-{vault.app}/", block_s=20)
    try:
        for call in (lambda: limited.stage(slot, 3, Secret("v")), lambda: limited.current(slot)):
            with pytest.raises(Failed, match="throttled"):
                _ten_times(call)
    finally:
        vault.admin.lift_rate_limit(vault.role)
    limited.close()
    store.close()


def test_retry_after_of_a_429_is_passed_on_by_a_write_and_waited_for_by_a_read(
    store_server: OpenBaoDev, tmp_path: Path
) -> None:
    with RecordingProxy(store_server.url) as proxy:
        driver = VaultDriver(store_server, tmp_path, url=proxy.url)
        store = driver.open(call_s=2.5)
        slot = _adopt(driver, store)
        with Recorder(429, {"Retry-After": "1"}) as throttling:
            proxy.reroute(throttling.url)
            with pytest.raises(Failed, match="throttled") as caught:
                store.stage(slot, 3, Secret("v"))
            assert caught.value.retry_after == timedelta(seconds=1)
            assert driver.clock.slept == 0
            with pytest.raises(Failed, match="throttled"):
                store.current(slot)
            assert driver.clock.slept == 2
            assert len(throttling.requests) == 1 + 3


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_never_followed_with_token_and_secret_on_board(
    store_server: OpenBaoDev, tmp_path: Path, status: int
) -> None:
    with Recorder(200, {}, b"{}") as thief, RecordingProxy(store_server.url) as proxy:
        driver = VaultDriver(store_server, tmp_path, url=proxy.url)
        store = driver.open()
        slot = _adopt(driver, store)
        with Recorder(status, {"Location": f"{thief.url}/v1/x"}) as redirecting:
            proxy.reroute(redirecting.url)
            for call in _all_calls(store, slot):
                with pytest.raises(Misconfigured, match="redirect"):
                    call()
            fresh = driver.open(url=redirecting.url)
            with pytest.raises(Misconfigured, match="redirect"):  # at login, with the secret id on board
                fresh.current(slot)
            assert redirecting.requests
            asked = [headers for _, path, headers, _ in redirecting.requests if path == "/v1/sys/health"]
            assert asked
            assert not any("X-Vault-Token" in headers for headers in asked)
        assert thief.requests == []


def test_redirect_of_a_node_that_cannot_forward_now_passes_by_itself(store_server: OpenBaoDev, tmp_path: Path) -> None:
    with Recorder(200, {}, b"{}") as thief, RecordingProxy(store_server.url) as proxy:
        driver = VaultDriver(store_server, tmp_path, url=proxy.url)
        store = driver.open(call_s=1.0)
        slot = _adopt(driver, store)
        health = json.dumps({"initialized": True, "sealed": False, "standby": True}).encode()
        with Recorder(307, {"Location": f"{thief.url}/v1/x"}, health=health) as standby:
            proxy.reroute(standby.url)
            for call in _all_calls(store, slot):
                with pytest.raises(Failed, match="store_no_leader"):
                    call()
        assert thief.requests == []


def test_namespace_header_is_sent_with_every_request(store_server: OpenBaoDev, tmp_path: Path) -> None:
    store_server.admin.ask("POST", f"sys/namespaces/team-{tmp_path.name[-20:]}", {})
    name = f"team-{tmp_path.name[-20:]}"
    driver = VaultDriver(store_server, tmp_path)
    inside = store_server.admin
    for method, path, body in (
        ("POST", "sys/mounts/secret", {"type": "kv", "options": {"version": "2"}}),
        ("POST", "sys/auth/approle", {"type": "approle"}),
        ("PUT", "sys/policies/acl/rotator", {"policy": policy_text(driver.installation, driver.app)}),
        ("POST", "auth/approle/role/r", {"token_policies": ["rotator"], "token_no_default_policy": True}),
    ):
        assert inside.reply(method, path, body, {"X-Vault-Namespace": name}).status < 300
    role_id = inside.reply("GET", "auth/approle/role/r/role-id", None, {"X-Vault-Namespace": name}).json()
    made = inside.reply("POST", "auth/approle/role/r/secret-id", {}, {"X-Vault-Namespace": name}).json()
    driver.secret_id.write_text(made["data"]["secret_id"])
    threading.Event().wait(0.3)
    with RecordingProxy(store_server.url) as proxy:
        auth = replace(driver.config().auth, role_id=role_id["data"]["role_id"])
        store = driver.open(url=proxy.url, namespace=name, auth=auth)
        slot = driver.slot()
        assert store.check(slot) == ()
        store.stage(slot, 1, Secret("v"))
        store.promote(slot, 1, {}, ABSENT)
        store.close()
        assert {seen.headers.get("X-Vault-Namespace") for seen in proxy.seen} == {name}
    assert driver.look(slot.path) is None  # not in the root namespace
    found = inside.reply("GET", f"secret/data/{slot.path}", None, {"X-Vault-Namespace": name}).json()
    assert found["data"]["data"] == {"password": "v"}


def test_strange_answers_are_never_taken_for_success(store_server: OpenBaoDev, tmp_path: Path) -> None:
    bodies = [
        b"",
        b"null",
        b"[]",
        b'"x"',
        b"{",
        b"{}",
        b'{"data": null}',
        b'{"data": {}}',
        b'{"data": {"version": "2"}}',
    ]
    with RecordingProxy(store_server.url) as proxy:
        driver = VaultDriver(store_server, tmp_path, url=proxy.url)
        store = driver.open()
        slot = _adopt(driver, store)
        for body in bodies:
            with Recorder(200, {}, body) as strange:
                proxy.reroute(strange.url)
                with pytest.raises(OutcomeUnknown, match="incomplete_answer"):
                    store.stage(slot, 5, Secret("v"))
                with pytest.raises(Failed, match="incomplete_answer"):
                    store.current(slot)
        proxy.reroute(store_server.url)
        assert store.read(slot, 5) is None
        store.close()


def test_endless_answer_is_cut_at_the_cap(store_server: OpenBaoDev, tmp_path: Path) -> None:
    with RecordingProxy(store_server.url) as proxy:
        driver = VaultDriver(store_server, tmp_path, url=proxy.url)
        store = driver.open(call_s=5.0)
        slot = _adopt(driver, store)
        with Recorder(200, {}, json.dumps({"data": "x" * 9_000_000}).encode()) as huge:
            proxy.reroute(huge.url)
            with pytest.raises(Failed):
                store.current(slot)


def test_silent_server_is_left_at_the_deadline(tmp_path: Path, vault: VaultDriver) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        store = vault.open(url=f"http://127.0.0.1:{listener.getsockname()[1]}", call_s=0.6)
        start = time.monotonic()
        with pytest.raises(Failed, match="deadline"):
            store.stage(vault.slot(), 1, Secret("v"))
        assert time.monotonic() - start < 2.0


def test_no_error_carries_a_request_a_value_or_a_token(store_server: OpenBaoDev, tmp_path: Path) -> None:
    with Proxy(store_server.port) as proxy:
        driver = VaultDriver(store_server, tmp_path, url=proxy.url)
        store = driver.open(call_s=1.0)
        slot = _adopt(driver, store)
        rules: list[dict[str, Any]] = [
            {"fault": Fault.ANSWER_LOST},
            {"fault": Fault.HALF_ANSWER},
            {"fault": Fault.REPLACED, "answer": Answer(500, {}, b'{"errors": ["canary-value"]}')},
            {"fault": Fault.REPLACED, "answer": Answer(400, {}, b'{"errors": ["canary-value"]}')},
            {"fault": Fault.REPLACED, "answer": Answer(307, {"Location": "http://canary-value/"})},
        ]
        for rule in rules:
            proxy.clear()
            proxy.rule(**rule)
            for call in (lambda: store.stage(slot, 5, Secret("canary-value")), lambda: store.current(slot)):
                with pytest.raises(PluginError) as caught:
                    call()
                chain: BaseException | None = caught.value
                while chain is not None:
                    assert not isinstance(chain, (requests.RequestException, OSError))
                    assert "canary" not in repr(vars(chain)) + repr(chain)
                    chain = chain.__cause__ or chain.__context__
