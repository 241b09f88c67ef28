"""The PostgreSQL plugin with a spoiled connection to a real server: answers lost, late, hanging, refused or made up."""

from __future__ import annotations

import contextlib
import threading
import time
import traceback
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql
from rotator_postgresql import Config, plugin

from rotator.plugin_api import (
    RESERVED,
    Alive,
    Failed,
    Generation,
    Inconclusive,
    Misconfigured,
    OutcomeUnknown,
    PluginError,
    Refused,
    Rejected,
    Subject,
    SweepRequest,
    Swept,
)
from tests.lab.postgres import Postgres
from tests.unit.plugin_desk import Desk, Spoil, proxied
from tests.unit.plugin_postgresql_desk import (
    PASSWORD,
    admin_of,
    desk_of,
    error_response,
    fresh,
    install,
    probe,
    role,
    start,
    through,
)


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with start() as running:
        yield running


@pytest.fixture
def admin(server: Postgres) -> tuple[str, str]:
    return admin_of(server)


@pytest.fixture
def desk(server: Postgres, admin: tuple[str, str]) -> Desk:
    return desk_of(server, admin)


# ---- lost, late, lying ---------------------------------------------------------------------------------------------


def test_answer_lost_after_commit_is_unknown_and_a_resend_ends_it(
    server: Postgres, admin: tuple[str, str], desk: Desk
) -> None:
    name, value = role(server, admin), fresh()
    spoil = Spoil(b"alter role", forward=True)
    with proxied(server.port, spoil) as proxy, pytest.raises(OutcomeUnknown, match="connection_lost"):
        install(through(desk, proxy.port), name, value)
    assert server.login(name, value)  # it had been done
    install(desk, name, value)
    assert probe(desk, name, value) == Alive(principal=name)


def test_request_lost_is_unknown_too_because_nobody_can_tell(
    server: Postgres, admin: tuple[str, str], desk: Desk
) -> None:
    name, old, value = role(server, admin), fresh(), fresh()
    install(desk, name, old)
    spoil = Spoil(b"alter role")
    with proxied(server.port, spoil) as proxy, pytest.raises(OutcomeUnknown, match="connection_lost"):
        install(through(desk, proxy.port), name, value)
    assert server.login(name, old)


@pytest.mark.parametrize("marker", [b"user\0", b"p\0\0", b"set statement_timeout", b"from pg_catalog.pg_roles"])
def test_connection_cut_before_the_statement_left_is_unsent(
    marker: bytes, server: Postgres, admin: tuple[str, str], desk: Desk
) -> None:
    name = role(server, admin)
    with proxied(server.port, Spoil(marker)) as proxy, pytest.raises(Failed, match="connection_lost") as caught:
        install(through(desk, proxy.port), name, fresh())
    assert caught.value.unsent
    assert b"alter role" not in proxy.seen


def test_refusal_of_the_look_before_the_write_is_unsent(server: Postgres, admin: tuple[str, str], desk: Desk) -> None:
    spoil = Spoil(b"from pg_catalog.pg_roles", reply=error_response("57014"))
    with proxied(server.port, spoil) as proxy, pytest.raises(Failed, match="statement_timeout") as caught:
        install(through(desk, proxy.port), role(server, admin), fresh())
    assert caught.value.unsent


@pytest.mark.parametrize(
    ("marker", "error"), [(b"user\0", Failed), (b"SCRAM-SHA-256", Failed), (b"alter role", OutcomeUnknown)]
)
def test_hanging_server_does_not_hold_us_beyond_the_deadline(
    marker: bytes, error: type[PluginError], server: Postgres, admin: tuple[str, str], desk: Desk
) -> None:
    name = role(server, admin)
    with proxied(server.port, Spoil(marker, hang=True)) as proxy:
        started = time.monotonic()
        with pytest.raises(error, match="deadline"):
            install(through(desk, proxy.port, seconds=0.7), name, fresh())
        assert time.monotonic() - started < 1.7


def test_lock_held_by_another_ends_as_certainly_not_done(server: Postgres, admin: tuple[str, str], desk: Desk) -> None:
    name, value = role(server, admin), fresh()
    desk.seconds = 1.5
    with server.connect() as other, other.transaction():
        other.execute("lock table pg_authid in access exclusive mode")
        with pytest.raises((Failed, OutcomeUnknown)) as caught:
            install(desk, name, value)
    assert not isinstance(caught.value, OutcomeUnknown)
    assert probe(desk, name, value) == Rejected(reason="password_refused")


def test_update_that_waits_for_another_transaction_is_rolled_back_in_time(
    server: Postgres, admin: tuple[str, str], desk: Desk
) -> None:
    name, value = role(server, admin), fresh()
    desk.seconds = 1.5
    with server.connect() as other, other.transaction():
        other.execute(sql.SQL("alter role {} password 'canary-other'").format(sql.Identifier(name)))
        with pytest.raises(Failed) as caught:
            install(desk, name, value)
    assert caught.value.reason in ("statement_timeout", "locked")
    assert probe(desk, name, value) == Rejected(reason="password_refused")


def test_server_down_is_unsent_and_inconclusive(admin: tuple[str, str], server: Postgres, desk: Desk) -> None:
    with proxied(server.port) as gone:
        pass
    down = through(desk, gone.port)
    with pytest.raises(Failed) as caught:
        install(down, "x", fresh())
    assert (caught.value.reason, caught.value.unsent) == ("unreachable", True)
    assert probe(down, "x", fresh()) == Inconclusive(reason="unreachable")


@pytest.mark.parametrize(
    ("code", "severity", "error", "reason"),
    [
        ("42501", "ERROR", Misconfigured, "may_not_alter"),
        ("42704", "ERROR", Refused, "not_found"),
        ("22023", "ERROR", Refused, "policy"),
        ("28P01", "ERROR", Refused, "policy"),
        ("28000", "ERROR", Refused, "policy"),
        ("42601", "ERROR", Refused, "refused"),
        ("42883", "ERROR", Misconfigured, "server_too_old"),
        ("25006", "ERROR", Failed, "read_only"),
        ("40001", "ERROR", Failed, "conflict"),
        ("40P01", "ERROR", Failed, "conflict"),
        ("55P03", "ERROR", Failed, "locked"),
        ("57014", "ERROR", Failed, "statement_timeout"),
        ("40003", "ERROR", OutcomeUnknown, "connection_lost"),
        ("53100", "ERROR", Failed, "server_error"),
        ("XX000", "ERROR", Failed, "server_error"),
        ("57P01", "FATAL", OutcomeUnknown, "connection_lost"),
        ("57P02", "PANIC", OutcomeUnknown, "connection_lost"),
        ("42501", "FATAL", OutcomeUnknown, "connection_lost"),
        ("oops", "ERROR", OutcomeUnknown, "unrecognised_answer"),
    ],
)
def test_write_refused_by_code(
    code: str,
    severity: str,
    error: type[PluginError],
    reason: str,
    server: Postgres,
    admin: tuple[str, str],
    desk: Desk,
) -> None:
    spoil = Spoil(b"alter role", reply=error_response(code, severity))
    with proxied(server.port, spoil) as proxy, pytest.raises(PluginError) as caught:
        install(through(desk, proxy.port), role(server, admin), fresh())
    assert (type(caught.value), caught.value.reason) == (error, reason)
    assert caught.value.status == (code if len(code) == 5 else "")


@pytest.mark.parametrize(
    ("code", "error", "reason"),
    [
        ("28P01", Misconfigured, "acting_refused"),
        ("28000", Misconfigured, "login_not_permitted"),
        ("3D000", Misconfigured, "database_missing"),
        ("42501", Misconfigured, "database_refused"),
        ("55000", Misconfigured, "database_refused"),
        ("08P01", Failed, "unrecognised_answer"),
        ("53300", Failed, "too_many_connections"),
        ("57P01", Failed, "server_not_ready"),
        ("57P02", Failed, "server_not_ready"),
        ("57P03", Failed, "server_not_ready"),
        ("57P05", Failed, "server_not_ready"),
        ("XX000", Failed, "server_error"),
    ],
)
def test_login_refused_by_code(code: str, error: type[PluginError], reason: str, server: Postgres, desk: Desk) -> None:
    with proxied(server.port, Spoil(b"user\0", reply=error_response(code, "FATAL"))) as proxy:
        with pytest.raises(PluginError) as caught:
            install(through(desk, proxy.port), "postgres", fresh())
        verdict = probe(through(desk, proxy.port), "postgres", fresh())
    assert (type(caught.value), caught.value.reason, caught.value.status) == (error, reason, code)
    assert caught.value.unsent
    # Also 28P01: before the server asked for the password it cannot be about the value.
    assert verdict == Inconclusive(reason="unrecognised_answer" if code == "28P01" else reason)


# ---- sessions ------------------------------------------------------------------------------------------------------


def sweeping(desk: Desk, server: Postgres) -> Desk:
    config = Config(host="127.0.0.1", port=server.port, database="postgres", end_sessions=True)
    return Desk(config, desk.actor)


def sweep(desk: Desk, name: str) -> Any:
    return desk(PASSWORD.sweep, SweepRequest(target=Generation(subject=Subject(principal=name))))


def test_open_session_survives_a_password_change_until_a_sweep_ends_it(
    server: Postgres, admin: tuple[str, str], desk: Desk
) -> None:
    name, other, value = role(server, admin), role(server, admin), fresh()
    server.query(f"grant pg_signal_backend to {admin[0]}")
    for each in (name, other):
        install(desk, each, value)
    with server.connect(name, value) as mine, server.connect(other, value) as neighbour:
        install(desk, name, fresh())
        assert mine.execute("select 1").fetchone() == (1,)
        assert sweep(desk, name) == Swept(count=None)  # not configured: says that it did not look
        assert mine.execute("select 1").fetchone() == (1,)
        assert sweep(sweeping(desk, server), name) == Swept(count=1)
        with pytest.raises(psycopg.OperationalError):
            mine.execute("select 1")
        assert neighbour.execute("select 1").fetchone() == (1,)
    assert sweep(sweeping(desk, server), name) == Swept(count=0)


def test_sweep_ends_although_clients_come_back_at_once(server: Postgres, admin: tuple[str, str], desk: Desk) -> None:
    name, value = role(server, admin), fresh()
    server.query(f"grant pg_signal_backend to {admin[0]}")
    install(desk, name, value)
    over, connected = threading.Event(), threading.Event()

    def client() -> None:
        while not over.is_set():
            with contextlib.suppress(psycopg.OperationalError), server.connect(name, value) as mine:
                connected.set()
                while not over.is_set():
                    mine.execute("select 1")
                    time.sleep(0.001)

    clients = [threading.Thread(target=client) for _ in range(3)]
    for each in clients:
        each.start()
    assert connected.wait(5)
    try:
        for _ in range(5):
            swept = sweep(sweeping(desk, server), name)
            assert isinstance(swept, Swept)
    finally:
        over.set()
        for each in clients:
            each.join(10)


def test_sweep_without_permission_asks_for_it(server: Postgres, admin: tuple[str, str], desk: Desk) -> None:
    name, value = role(server, admin), fresh()
    install(desk, name, value)
    with server.connect(name, value) as mine:
        with pytest.raises(Misconfigured, match="may_not_signal"):
            sweep(sweeping(desk, server), name)
        assert mine.execute("select 1").fetchone() == (1,)


# ---- errors are closed ---------------------------------------------------------------------------------------------


def test_every_reason_is_declared_and_no_error_carries_a_value(
    server: Postgres, admin: tuple[str, str], desk: Desk
) -> None:
    name, value = role(server, admin), fresh()
    for marker in (b"user\0", b"p\0\0", b"set statement", b"alter role"):
        with proxied(server.port, Spoil(marker)) as proxy, pytest.raises(PluginError) as caught:
            install(through(desk, proxy.port), name, value)
        error = caught.value
        assert error.reason in plugin.reasons or error.reason in RESERVED
        assert error.__cause__ is None
        assert error.__suppress_context__
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=False).format())
        assert value not in shown
        assert admin[1] not in shown
