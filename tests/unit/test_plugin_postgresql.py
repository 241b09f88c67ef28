"""The PostgreSQL plugin against a real server: what it does, and what a lost, late or lying answer makes of it."""

from __future__ import annotations

import contextlib
import secrets
import time
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
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
    Installed,
    InstallRequest,
    Misconfigured,
    OutcomeUnknown,
    PluginError,
    PreflightRequest,
    ProbeRequest,
    Ready,
    Refused,
    Rejected,
    Secret,
    Subject,
    SweepRequest,
    Swept,
)
from tests.lab.postgres import Postgres
from tests.unit.plugin_desk import Desk, Spoil, acting, proxied

(PASSWORD,) = plugin.kinds


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres(log_statement="all", log_min_messages="debug1", log_min_error_statement="debug1") as running:
        yield running


@pytest.fixture
def admin(server: Postgres) -> tuple[str, str]:
    """An acting role with exactly the documented permissions, which also owns what it makes."""
    name = f"admin_{secrets.token_hex(4)}"
    return name, server.create_role(name, createrole=True)


@pytest.fixture
def desk(server: Postgres, admin: tuple[str, str]) -> Desk:
    return Desk(Config(host="127.0.0.1", port=server.port, database="postgres"), acting(*admin))


def role(server: Postgres, admin: tuple[str, str], name: str | None = None, tail: str = "login") -> str:
    """A role that `admin` may rotate: since 16 its creator has ADMIN OPTION on it."""
    made = name or f"app_{secrets.token_hex(4)}"
    with server.connect(*admin) as connection:
        connection.execute(sql.SQL("create role {} " + tail).format(sql.Identifier(made)))
    return made


def install(desk: Desk, name: str, value: str) -> Any:
    subject = Subject(principal=name)
    request = InstallRequest(into=subject, value=Secret(value), of=Generation(subject=subject), label="rot-t-1")
    return desk(PASSWORD.install, request)


def probe(desk: Desk, name: str, value: str) -> Any:
    return desk(PASSWORD.probe, ProbeRequest(target=Generation(subject=Subject(principal=name)), value=Secret(value)))


def preflight(desk: Desk, name: str) -> Any:
    return desk(PASSWORD.preflight, PreflightRequest(subject=Subject(principal=name)))


def fresh() -> str:
    return "canary-" + secrets.token_urlsafe(24)


def through(desk: Desk, port: int, seconds: float = 10.0) -> Desk:
    config = Config(host="127.0.0.1", port=port, database="postgres")
    return Desk(config, desk.actor, seconds=seconds)


def error_response(code: str, severity: str = "ERROR") -> bytes:
    fields = b"".join(
        k + v.encode() + b"\0" for k, v in ((b"S", "FEHLER"), (b"V", severity), (b"C", code), (b"M", "x"))
    )
    return b"E" + (len(fields) + 5).to_bytes(4, "big") + fields + b"\0" + b"Z\0\0\0\5I"


# ---- the cycle -----------------------------------------------------------------------------------------------------


def test_new_value_is_accepted_and_old_one_refused(server: Postgres, admin: tuple[str, str], desk: Desk) -> None:
    name, old, new = role(server, admin), fresh(), fresh()
    assert preflight(desk, name) == Ready(acting=admin[0])
    assert install(desk, name, old) == Installed()
    assert probe(desk, name, old) == Alive(principal=name)
    assert install(desk, name, new) == Installed()
    assert probe(desk, name, new) == Alive(principal=name)
    assert probe(desk, name, old) == Rejected(reason="password_refused")
    assert server.login(name, new)
    assert not server.login(name, old)


def test_resend_of_the_same_value_is_the_same_password(server: Postgres, admin: tuple[str, str], desk: Desk) -> None:
    name, value = role(server, admin), fresh()
    install(desk, name, value)
    install(desk, name, value)
    assert probe(desk, name, value) == Alive(principal=name)


def test_two_roles_change_each_on_its_own(server: Postgres, admin: tuple[str, str], desk: Desk) -> None:
    one, two, values = role(server, admin), role(server, admin), [fresh() for _ in range(3)]
    install(desk, one, values[0])
    install(desk, two, values[1])
    install(desk, two, values[2])
    assert probe(desk, one, values[0]) == Alive(principal=one)
    assert probe(desk, two, values[1]) == Rejected(reason="password_refused")
    assert probe(desk, two, values[2]) == Alive(principal=two)
    assert probe(desk, one, values[2]) == Rejected(reason="password_refused")


def test_acting_role_can_be_rotated_by_itself(server: Postgres, admin: tuple[str, str], desk: Desk) -> None:
    new = fresh()
    assert preflight(desk, admin[0]) == Ready(acting=admin[0])
    install(desk, admin[0], new)
    assert probe(desk, admin[0], new) == Alive(principal=admin[0])
    assert probe(desk, admin[0], admin[1]) == Rejected(reason="password_refused")


def test_identity_is_who_logged_in_even_if_the_session_starts_as_another(
    server: Postgres, admin: tuple[str, str], desk: Desk
) -> None:
    name, other, value = role(server, admin), role(server, admin), fresh()
    install(desk, name, value)
    server.query(f'grant "{other}" to "{name}"')
    server.query(f'alter role "{name}" set role = "{other}"')
    assert probe(desk, name, value) == Alive(principal=name)


HOSTILE_NAMES = (
    'quo"te',
    "apo'strophe",
    "back\\slash",
    "per%cent %s {0}",
    "new\nline",
    "ünï‑中",
    'x" superuser; --',
    "n" * 63,
    "current_user",
    "; drop",
)


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_role_name_is_that_role_and_no_other(
    name: str, server: Postgres, admin: tuple[str, str], desk: Desk
) -> None:
    value = fresh()
    role(server, admin, name)
    assert install(desk, name, value) == Installed()
    assert probe(desk, name, value) == Alive(principal=name)
    assert server.query("select rolsuper from pg_roles where rolname = %s", name) == [(False,)]


def test_name_that_the_server_would_cut_never_reaches_the_role_it_would_hit(
    server: Postgres, admin: tuple[str, str], desk: Desk
) -> None:
    name, value = role(server, admin, "c" * 63), fresh()
    install(desk, name, value)
    with pytest.raises(Refused, match="not_found"):
        install(desk, name + "c", fresh())
    assert probe(desk, name + "c", value) == Inconclusive(reason="not_a_role_name")
    assert preflight(desk, name + "c").findings == ("role_missing",)
    assert probe(desk, name, value) == Alive(principal=name)


HOSTILE_VALUES = (
    "quo\"te'apo\\back",
    "per%cent %s {}",
    "new\nline\ttab",
    "ünï-中文-🔑",
    "soft\u00adhyphen",
    "ﬁ-ligature Ⅸ",
    "nbsp\u00a0space",
    "\u00aa",
    "\u0627\u0031\u0628",
    "\u06271",
    "bell\u0007é",
    "\u0221unassigned",
    "\u200b",
    " ",
    "p" * 2000,
)


@pytest.mark.parametrize("value", HOSTILE_VALUES)
def test_hostile_password_is_accepted_by_us_and_by_other_clients(
    value: str, server: Postgres, admin: tuple[str, str], desk: Desk
) -> None:
    name = role(server, admin)
    assert install(desk, name, value) == Installed()
    assert probe(desk, name, value) == Alive(principal=name)
    assert probe(desk, name, value + "x") == Rejected(reason="password_refused")
    if len(value) < 1000:  # libpq's own limit
        assert server.login(name, value)


@pytest.mark.parametrize("value", ["", "nul\0inside", "half\ud800surrogate"])
def test_value_that_no_server_can_hold_is_refused_as_policy(
    value: str, server: Postgres, admin: tuple[str, str], desk: Desk
) -> None:
    with pytest.raises(Refused, match="policy"):
        install(desk, role(server, admin), value)
    assert probe(desk, "postgres", value) == Inconclusive(reason="not_a_password")


def test_server_log_and_statistics_never_hold_the_value(server: Postgres, admin: tuple[str, str], desk: Desk) -> None:
    name, value, wrong = role(server, admin), fresh(), fresh()
    install(desk, name, value)
    probe(desk, name, value)
    probe(desk, name, wrong)
    log = server.log.read_text()
    assert f'alter role "{name}" password' in log  # the log is the one that would show it
    assert value not in log
    assert wrong not in log
    with proxied(server.port) as proxy:
        install(through(desk, proxy.port), name, value)
        probe(through(desk, proxy.port), name, value)
    assert b"alter role" in proxy.seen
    assert value.encode() not in proxy.seen
    assert admin[1].encode() not in proxy.seen


def test_environment_is_ignored(
    monkeypatch: pytest.MonkeyPatch, server: Postgres, admin: tuple[str, str], desk: Desk
) -> None:
    name, value = role(server, admin), fresh()
    install(desk, name, value)
    for variable, text in {"PGPASSWORD": value, "PGHOST": "192.0.2.1", "PGUSER": "x", "PGOPTIONS": "-c x=y"}.items():
        monkeypatch.setenv(variable, text)
    assert probe(desk, name, fresh()) == Rejected(reason="password_refused")
    assert probe(desk, name, value) == Alive(principal=name)


# ---- what the server lacks or refuses ------------------------------------------------------------------------------


def test_preflight_says_what_is_missing(server: Postgres, admin: tuple[str, str], desk: Desk) -> None:
    assert preflight(desk, "nobody_here") == Ready(acting=admin[0], findings=("role_missing",))
    stranger = f"app_{secrets.token_hex(4)}"
    server.create_role(stranger, login=False)
    assert preflight(desk, stranger).findings == ("role_cannot_login", "may_not_alter")
    past = role(server, admin, tail="login valid until '2001-01-01'")
    assert preflight(desk, past).findings == ("valid_until_passed",)
    assert preflight(desk, role(server, admin, tail="login valid until 'infinity'")).findings == ()
    server.query(f"alter role {admin[0]} set password_encryption = md5")
    assert preflight(desk, "postgres").findings == ("password_encryption_md5", "may_not_alter")
    sweeping = Desk(Config(host="127.0.0.1", port=server.port, database="postgres", end_sessions=True), desk.actor)
    assert "may_not_signal" in preflight(sweeping, past).findings


def test_install_without_admin_option_is_a_permission(server: Postgres, desk: Desk) -> None:
    name, before = f"app_{secrets.token_hex(4)}", fresh()
    server.create_role(name, before)
    with pytest.raises(Misconfigured) as caught:
        install(desk, name, fresh())
    assert (caught.value.reason, caught.value.status) == ("may_not_alter", "42501")
    assert server.login(name, before)


def test_install_refuses_what_could_never_work(server: Postgres, admin: tuple[str, str], desk: Desk) -> None:
    with pytest.raises(Refused, match="not_found"):
        install(desk, "nobody_here", fresh())
    with pytest.raises(Misconfigured, match="role_cannot_login"):
        install(desk, role(server, admin, tail="nologin"), fresh())
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    name = role(server, admin, tail=f"login valid until '{tomorrow.isoformat()}'")
    install(desk, name, fresh())
    desk.moment = tomorrow + timedelta(seconds=1)
    with pytest.raises(Misconfigured, match="valid_until_passed"):
        install(desk, name, fresh())


def test_wrong_admin_password_is_a_misconfiguration(server: Postgres, admin: tuple[str, str], desk: Desk) -> None:
    name, old = role(server, admin), fresh()
    install(desk, name, old)
    desk.actor = acting(admin[0], fresh())
    for call in (lambda: install(desk, name, fresh()), lambda: preflight(desk, name)):
        with pytest.raises(Misconfigured) as caught:
            call()
        assert (caught.value.reason, caught.value.status) == ("acting_refused", "28P01")
    assert server.login(name, old)


def test_refusals_that_are_not_about_the_value_are_inconclusive(
    server: Postgres, admin: tuple[str, str], desk: Desk
) -> None:
    name, value = role(server, admin), fresh()
    install(desk, name, value)
    server.query(f"alter role {name} connection limit 0")
    assert probe(desk, name, value) == Inconclusive(reason="too_many_connections")
    server.query(f"alter role {name} connection limit -1 nologin")
    assert probe(desk, name, value) == Inconclusive(reason="login_not_permitted")
    server.query(f"alter role {name} login")
    for database, reason in (("no_such_db", "database_missing"), ("template0", "database_refused")):
        desk.config = Config(host="127.0.0.1", port=server.port, database=database)
        assert probe(desk, name, value) == Inconclusive(reason=reason)


def test_read_only_server_fails_for_now(server: Postgres, admin: tuple[str, str], desk: Desk) -> None:
    name, value = role(server, admin), fresh()
    server.query(f"alter role {admin[0]} set default_transaction_read_only = on")
    with pytest.raises(Failed, match="read_only"):
        install(desk, name, value)
    assert probe(desk, name, value) == Rejected(reason="password_refused")


@contextlib.contextmanager
def hba(server: Postgres, line: str) -> Iterator[None]:
    path = server.data / "pg_hba.conf"
    before = path.read_text()
    try:
        path.write_text(f"{line}\n{before}")
        server.query("select pg_reload_conf()")
        time.sleep(0.2)
        yield
    finally:
        path.write_text(before)
        server.query("select pg_reload_conf()")
        time.sleep(0.2)


@pytest.mark.parametrize(
    ("method", "reason"),
    [("trust", "no_password_asked"), ("reject", "login_not_permitted"), ("password", "other_authentication")],
)
def test_server_that_does_not_check_the_password_proves_nothing(
    method: str, reason: str, server: Postgres, admin: tuple[str, str], desk: Desk
) -> None:
    name, value, wrong = role(server, admin), fresh(), fresh()
    install(desk, name, value)
    with hba(server, f"host all {name} 127.0.0.1/32 {method}"), proxied(server.port) as proxy:
        assert probe(through(desk, proxy.port), name, value) == Inconclusive(reason=reason)
        assert probe(through(desk, proxy.port), name, wrong) == Inconclusive(reason=reason)
    assert value.encode() not in proxy.seen  # not even when the server asks for it in clear
    with hba(server, f"host all {admin[0]} 127.0.0.1/32 {method}"), pytest.raises(Misconfigured, match=reason):
        install(desk, name, fresh())


@pytest.mark.filterwarnings("ignore")
def test_role_with_an_old_md5_verifier_can_be_adopted_and_is_then_scram(
    server: Postgres, admin: tuple[str, str], desk: Desk
) -> None:
    name, old, new = role(server, admin), fresh(), fresh()
    server.query(f"set password_encryption = md5; alter role {name} password '{old}'")
    with hba(server, f"host all {name} 127.0.0.1/32 md5"):
        assert probe(desk, name, old) == Alive(principal=name)
        assert probe(desk, name, fresh()) == Rejected(reason="password_refused")
        install(desk, name, new)
        assert probe(desk, name, new) == Alive(principal=name)
    assert server.query("select rolpassword ~ '^SCRAM' from pg_authid where rolname = %s", name) == [(True,)]


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
