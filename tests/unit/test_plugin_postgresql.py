"""The PostgreSQL plugin against a real server: what it does, and what it says when it cannot."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from rotator_postgresql import Config

from rotator.plugin_api import (
    Alive,
    Failed,
    Inconclusive,
    Installed,
    Misconfigured,
    Ready,
    Refused,
    Rejected,
)
from tests.lab.postgres import Postgres
from tests.unit.plugin_desk import Desk, acting, proxied
from tests.unit.plugin_postgresql_desk import (
    admin_of,
    desk_of,
    fresh,
    install,
    preflight,
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
    with pytest.raises(Misconfigured) as caught:
        install(desk, name, fresh())
    assert (caught.value.reason, caught.value.status) == ("acting_refused", "28P01")
    with pytest.raises(Misconfigured, match="acting_refused"):
        preflight(desk, name)
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
