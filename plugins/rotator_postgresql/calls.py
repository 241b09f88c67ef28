"""The abilities of the kind `password`: preflight, probe, install, sweep.

Called by the plugin host through the declaration in `__init__`. The clear password never stands in a statement: the
server is given the SCRAM verifier only. Names are quoted by psycopg.sql. Every failure becomes one of the four errors
by the tables of `sqlstate`; nothing that the server says in words is read or repeated.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Final

from psycopg import sql

from rotator.plugin_api import (
    Alive,
    Endpoint,
    Failed,
    Inconclusive,
    Installed,
    InstallRequest,
    Misconfigured,
    OutcomeUnknown,
    PluginError,
    PreflightRequest,
    Probed,
    ProbeRequest,
    Ready,
    Refused,
    Rejected,
    Secret,
    SweepRequest,
    Swept,
)

from . import scram, sqlstate
from .config import Config
from .wire import Session, Stage, Stopped, connect, is_name

CODING: Final = "utf-8"
SERVER_SHARE: Final = 0.8  # the server gives up before we do, so that its answer is known
# Reasons of a connection that a person must correct; the others pass by themselves.
FOR_A_PERSON: Final = frozenset(
    (
        "address_refused",
        "no_password_asked",
        "not_a_password",
        "not_a_role_name",
        "other_authentication",
        "root_certificate",
        "server_unproven",
        "tls",
        "tls_not_offered",
        "tls_required",
    )
)

WHO_ARE_WE: Final = b"""
select session_user, r.rolsuper, r.rolcreaterole, pg_catalog.current_setting('server_version_num')::int >= 160000,
       pg_catalog.current_setting('password_encryption'), pg_catalog.pg_is_in_recovery(),
       pg_catalog.pg_has_role(session_user, 'pg_signal_backend', 'USAGE')
from pg_catalog.pg_roles r where r.rolname = session_user
"""
WHO_IS_IT: Final = """
select rolcanlogin, rolsuper, rolreplication, pg_catalog.date_part('epoch', rolvaliduntil),
       pg_catalog.pg_has_role(session_user, oid, 'USAGE WITH ADMIN OPTION'),
       pg_catalog.pg_has_role(session_user, oid, 'USAGE')
from pg_catalog.pg_roles where rolname = {}
"""
# Not by backend_start: the server hides it from roles that may not read all statistics, and NULL matches nothing.
SESSIONS: Final = """
select pid from pg_catalog.pg_stat_activity where usename = {} and pid <> pg_catalog.pg_backend_pid()
"""
END_SESSIONS: Final = """
select pg_catalog.pg_terminate_backend(pid, {}) from pg_catalog.pg_stat_activity
where usename = {} and pid = any({}::int[])
"""
LEFT: Final = """
select pid from pg_catalog.pg_stat_activity where usename = {} and pid = any({}::int[])
"""


# ---- the four abilities --------------------------------------------------------------------------------------------


def preflight(at: Endpoint[Config], request: PreflightRequest) -> Ready:
    """Who the server says we are, and what stands in the way of setting the role's password."""
    session = _as_admin(at)
    name = request.subject.principal
    try:
        me, superuser, creates, is_16, encryption, standby, signals = session.query(WHO_ARE_WE)[0]
        role = session.query(_statement(WHO_IS_IT, name)) if is_name(name) else []
    except Stopped as stop:
        raise _read_error(stop) from None
    findings = []
    if standby == "t":
        findings.append("read_only")
    if encryption != "scram-sha-256":
        findings.append("password_encryption_md5")
    if not role:
        return Ready(acting=me or "", findings=(*findings, "role_missing"))
    can_login, is_super, replicates, until, is_admin, inherits = role[0]
    if can_login != "t":
        findings.append("role_cannot_login")
    if _over(until, at.now()):
        findings.append("valid_until_passed")
    # Before 16 CREATEROLE is enough (not for superusers and replication roles); since then ADMIN OPTION is needed too.
    allowed = creates == "t" and is_super != "t" and (is_admin == "t" if is_16 == "t" else replicates != "t")
    if not (superuser == "t" or allowed or me == name):
        findings.append("may_not_alter")
    may_signal = is_super != "t" and "t" in (signals, inherits)
    if at.config.end_sessions and not (superuser == "t" or may_signal):
        findings.append("may_not_signal")
    return Ready(acting=me or "", findings=tuple(findings))


def probe(at: Endpoint[Config], request: ProbeRequest) -> Probed:
    """Logs in with the value on a new connection. Alive only if the server asked for a password and took this one."""
    try:
        session = connect(at.config, request.target.subject.principal, request.value, at.remaining)
        at.closing.callback(session.close)
        rows = session.query(b"select session_user")
    except Stopped as stop:
        if stop.code == sqlstate.PASSWORD_REFUSED:
            # Before our answer it cannot be about the value: then a proxy made it up.
            about_value = stop.stage is Stage.LOGIN and stop.asked
            return Rejected(reason="password_refused") if about_value else Inconclusive(reason="unrecognised_answer")
        return Inconclusive(reason=sqlstate.of_login(stop.code).slug if stop.code else stop.reason)
    if len(rows) != 1 or not rows[0][0]:
        return Inconclusive(reason="unrecognised_answer")
    return Alive(principal=rows[0][0])


def install(at: Endpoint[Config], request: InstallRequest) -> Installed:
    """Stores the value's verifier at the role. Sent once; the same value again is the same password."""
    name = request.into.principal
    if not is_name(name):
        raise Refused("not_found")
    if not scram.storable(request.value):
        raise Refused("policy")
    session = _as_admin(at, unsent=True)
    _check_role(at, session, name)
    verifier = scram.verifier(request.value, secrets.token_bytes(scram.SALT_BYTES))
    statement = Secret(
        _text(sql.SQL("alter role {} password {}").format(sql.Identifier(name), verifier_literal(verifier)))
    )
    try:
        session.query(statement)
    except Stopped as stop:
        raise _write_error(stop) from None
    return Installed()


def sweep(at: Endpoint[Config], request: SweepRequest) -> Swept:
    """Ends the role's open sessions, where the endpoint is configured to; else says that it did not count them."""
    name = request.target.subject.principal
    if not at.config.end_sessions:
        return Swept(count=None)
    if not is_name(name):
        raise Refused("not_found")
    session = _as_admin(at, unsent=True)
    patience = max(1, int(at.remaining() * 1000 * SERVER_SHARE / 4))
    try:
        # Clients come back at once, and with the new value: only what is open at this moment is ended.
        opened = "{" + ",".join(row[0] or "" for row in session.query(_statement(SESSIONS, name))) + "}"
        ended = session.query(_statement(END_SESSIONS, patience, name, opened))
        left = session.query(_statement(LEFT, name, opened))
    except Stopped as stop:
        if stop.code == "42501":
            raise Misconfigured("may_not_signal", status=stop.code) from None
        raise _write_error(stop) from None
    if left:
        raise Failed("sessions_left")
    return Swept(count=len(ended))


# ---- connection and statements -------------------------------------------------------------------------------------


def _as_admin(at: Endpoint[Config], *, unsent: bool = False) -> Session:
    """A session of the acting credential with the server's own time limits set; it is closed after the call."""
    actor = at.actor
    try:
        session = connect(at.config, actor.generation.subject.principal, actor.value, at.remaining)
        at.closing.callback(session.close)
        limit = max(1, int(at.remaining() * 1000 * SERVER_SHARE))
        session.query(f"set statement_timeout = {limit}; set lock_timeout = {limit}".encode())
    except Stopped as stop:
        if stop.code:
            raise sqlstate.error(sqlstate.of_login(stop.code), stop.code, unsent=unsent) from None
        if stop.reason in FOR_A_PERSON:
            raise Misconfigured(stop.reason) from None
        raise Failed(stop.reason, unsent=unsent) from None
    return session


def _check_role(at: Endpoint[Config], session: Session, name: str) -> None:
    """Refuses what could not work, before anything is written."""
    try:
        role = session.query(_statement(WHO_IS_IT, name))
    except Stopped as stop:
        raise _read_error(stop, unsent=True) from None
    if not role:
        raise Refused("not_found")
    if role[0][0] != "t":
        raise Misconfigured("role_cannot_login")
    if _over(role[0][3], at.now()):
        # The server would take the password and refuse every login with it: that looks like a wrong password.
        raise Misconfigured("valid_until_passed")


def _over(until: str | None, now: datetime) -> bool:
    if until is None or until == "Infinity":
        return False
    return until == "-Infinity" or datetime.fromtimestamp(float(until), UTC) <= now


def verifier_literal(verifier: Secret) -> sql.Literal:
    """The verifier as a quoted literal; it is no password, but it is not shown either."""
    return sql.Literal(verifier.reveal())


def _statement(template: str, *values: str | int) -> bytes:
    return _text(sql.SQL(template).format(*(sql.Literal(value) for value in values))).encode(CODING)


def _text(composed: sql.Composed) -> str:
    return composed.as_string(None)


def _read_error(stop: Stopped, *, unsent: bool = False) -> PluginError:
    """A statement that changes nothing: whatever happened, nothing was done."""
    if stop.code:
        meaning = sqlstate.of_write(stop.code, stop.fatal)
        if meaning.fate is sqlstate.Fate.MISCONFIGURED:
            return Misconfigured(meaning.slug, status=stop.code)
        return Failed(meaning.slug, status=stop.code, unsent=unsent)
    return Failed(stop.reason, unsent=unsent)


def _write_error(stop: Stopped) -> PluginError:
    """The statement may have left: only the server's own ERROR says that it is not done."""
    if stop.code:
        return sqlstate.error(sqlstate.of_write(stop.code, stop.fatal), stop.code)
    return OutcomeUnknown(stop.reason)
