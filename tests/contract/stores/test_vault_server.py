"""Servers in trouble or oddly set up: sealed, restarted, stale, limited, redirecting, behind TLS, in a namespace."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from rotator.effects.stores.contract import ABSENT, ForeignError, Slot, Store, Version
from rotator.effects.stores.opening import open_store
from rotator.plugin_api import Failed, Misconfigured, OutcomeUnknown, PluginError, Secret
from tests.contract.stores.drivers import RealClock, VaultDriver, policy_text
from tests.contract.stores.wire_faults import FaultProxy
from tests.lab.openbao import OpenBaoCluster, OpenBaoDev, OpenBaoRaft
from tests.lab.tls import Authority


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
    with OpenBaoRaft(tls=True) as server:
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


# ---- the standby -----------------------------------------------------------------------------------------------------


@pytest.fixture
def lagging(store_cluster: OpenBaoCluster, tmp_path: Path) -> VaultDriver:
    """Writes behind the back go to the leader, the store speaks to the standby only."""
    return VaultDriver(store_cluster.leader, tmp_path, url=store_cluster.standby.url)


def test_the_standby_of_this_suite_is_stale_and_refuses_correct_writes(
    store_cluster: OpenBaoCluster, lagging: VaultDriver
) -> None:
    """Or the tests below would prove nothing."""
    stale = refused = 0
    standby = store_cluster.standby.admin
    path = lagging.slot("stale").path
    for number in range(30):
        version = lagging.seed(path, {"n": str(number)})
        found = standby.reply("GET", f"secret/data/{path}").json() or {}
        stale += (found.get("data") or {}).get("data") != {"n": str(number)}
        version = lagging.seed(path, {"n": "again"})
        answer = standby.reply("POST", f"secret/data/{path}", {"data": {}, "options": {"cas": version}})
        refused += answer.status == 400
    assert stale > 0
    assert refused > 0


def test_standby_reads_right_after_a_write_are_never_stale(lagging: VaultDriver) -> None:
    store, slot = lagging.open(), lagging.slot()
    for number in range(40):
        version = lagging.seed(slot.path, {"password": f"v{number}", "username": "svc"})
        current = store.current(slot)
        assert current.version == Version(str(version))
        assert current.value is not None
        assert current.value.matches(Secret(f"v{number}"))
    store.close()


def test_correct_promotes_through_the_standby_are_never_refused_or_called_foreign(lagging: VaultDriver) -> None:
    store = lagging.open()
    slot = _adopt(lagging, store)
    for generation in range(2, 27):
        # a neighbour's write on the leader just before: the standby lags at the moment of our promote
        fields = {**(lagging.look(slot.path) or {}), "near": str(generation)}
        store.stage(slot, generation, Secret(f"v{generation}"))
        expected = Version(str(lagging.seed(slot.path, fields)))
        store.promote(slot, generation, {"username": "svc"}, expected)
        assert lagging.look(slot.path) == {"password": f"v{generation}", "username": "svc", "near": str(generation)}
    store.close()


def test_second_writer_is_found_through_the_standby_at_once(lagging: VaultDriver) -> None:
    store = lagging.open()
    for number in range(15):
        slot = lagging.slot(f"f{number}")
        version = lagging.seed(slot.path, {"password": "old"})
        store.stage(slot, 1, Secret("new"))
        lagging.seed(slot.path, {"password": "theirs"})
        with pytest.raises(ForeignError):
            store.promote(slot, 1, {}, Version(str(version)))
    store.close()


def test_late_stage_after_finalize_is_refused_by_both_nodes(store_cluster: OpenBaoCluster, lagging: VaultDriver) -> None:
    standby, leader = lagging.open(), lagging.open(url=store_cluster.leader.url)
    for number in range(15):
        slot = lagging.slot(f"l{number}")
        first, second = (standby, leader) if number % 2 else (leader, standby)
        first.stage(slot, 1, Secret("v"))
        second.finalize(slot, 1)
        with pytest.raises(PluginError, match="stage_closed"):
            first.stage(slot, 1, Secret("v"))
        assert first.read(slot, 1) is None
    standby.close()
    leader.close()


# ---- limits, redirects, odd servers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [False, True], ids=["silent", "retry-after"])
def test_rate_limit_is_failed_with_the_time_that_the_server_asks_for(vault: VaultDriver, headers: bool) -> None:
    store = vault.open(call_s=1.0)
    slot = _adopt(vault, store)
    vault.admin.enable_kv(f"kv-{vault.app}")
    limited = open_store(vault.config(mount=f"kv-{vault.app}", call_s=0.5), vault.clock)
    vault.set_policy(policy_text(vault.installation, vault.app, mount=f"kv-{vault.app}"))
    threading.Event().wait(0.5)  # a new mount needs a moment
    limited.current(slot)
    vault.admin.ask("POST", "sys/quotas/config", {"enable_rate_limit_response_headers": headers})
    vault.admin.limit_rate(vault.role, 1, f"kv-{vault.app}/", block_s=20)
    try:
        with pytest.raises(Failed, match="throttled") as caught:
            for number in range(10):
                limited.stage(slot, number, Secret("v"))
        assert (caught.value.retry_after is not None) == headers
        assert caught.value.retry_after is None or caught.value.retry_after.total_seconds() > 0
    finally:
        vault.admin.ask("POST", "sys/quotas/config", {"enable_rate_limit_response_headers": False})
        vault.admin.lift_rate_limit(vault.role)
    limited.close()
    store.close()


class Recorder:
    """A server that answers every request alike and keeps what it got."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes = b"", *, health: bytes = b"") -> None:
        recorder = self
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                recorder.requests.append((self.command, self.path, dict(self.headers.items()), data))
                well = health if self.path.endswith("/sys/health") else b""
                self.send_response(429 if well else status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(well or body)))
                self.end_headers()
                self.wfile.write(well or body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Quiet."""

            do_GET = do_POST = do_PUT = do_DELETE = do_LIST = answer  # noqa: N815

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> Recorder:
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_never_followed_with_token_and_secret_on_board(
    store_server: OpenBaoDev, tmp_path: Path, status: int
) -> None:
    with Recorder(200, {}, b"{}") as thief, FaultProxy(store_server.url) as proxy:
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
    with Recorder(200, {}, b"{}") as thief, FaultProxy(store_server.url) as proxy:
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
    with FaultProxy(store_server.url) as proxy:
        auth = replace(driver.config().auth, role_id=role_id["data"]["role_id"])  # type: ignore[call-arg]
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
    bodies = [b"", b"null", b"[]", b'"x"', b"{", b"{}", b'{"data": null}', b'{"data": {}}', b'{"data": {"version": "2"}}']
    with FaultProxy(store_server.url) as proxy:
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
    with FaultProxy(store_server.url) as proxy:
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
        try:
            late.promote(slot, 2, {}, before)
        except (Failed, OutcomeUnknown) as error:
            assert error.reason == "deadline"
            assert isinstance(error, Failed) or store.current(slot).version != before
        clock.after = 10**9
    store.close()
