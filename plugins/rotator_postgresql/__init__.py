"""Passwords of PostgreSQL roles: the declaration. Loaded by the plugin host; reading it does no I/O.

`docs/plugin-postgresql.md` is its manual.
"""

from __future__ import annotations

from typing import Final

from rotator.plugin_api import Acting, Kind, Lists, Lost, Origin, Plugin, Revokes, Role, Traits, Undo, ValueSpec

from .calls import install, preflight, probe, sweep
from .config import Config

REASONS: Final = {
    "password_refused": "The server refuses this password (it says the same of a role that is missing or expired).",
    "no_password_asked": "The server lets this role in without a password (trust, cert, peer): change pg_hba.conf.",
    "other_authentication": "The server asks for something else than SCRAM or MD5 (ldap, pam, gss, password).",
    "server_unproven": "The server does not know the role's verifier: something stands between it and us.",
    "login_not_permitted": "pg_hba.conf has no entry that lets this role in from here, or the role has NOLOGIN.",
    "database_missing": "The database does not exist: correct `database`.",
    "database_refused": "The role may not connect to this database: grant CONNECT, or choose another `database`.",
    "too_many_connections": "No connection is free; it is tried again.",
    "server_not_ready": "The server is starting or stopping; it is tried again.",
    "read_only": "The server is a standby or read-only: `host` must lead to the primary.",
    "conflict": "Another transaction came between; it is tried again.",
    "locked": "A lock was held for too long; it is tried again.",
    "statement_timeout": "The server did not finish in time and rolled back; it is tried again.",
    "server_too_old": "The server lacks a function that is needed (PostgreSQL 14 or later).",
    "may_not_alter": "The acting role needs CREATEROLE and, from PostgreSQL 16, ADMIN OPTION on the role.",
    "may_not_signal": "Grant pg_signal_backend to the acting role, or set `end_sessions: false`.",
    "sessions_left": "Some sessions of the role did not end in time; it is tried again.",
    "role_missing": "The role does not exist: create it, or correct the principal.",
    "role_cannot_login": "The role has NOLOGIN: alter it.",
    "valid_until_passed": "The role's VALID UNTIL has passed, so no password works: alter it.",
    "password_encryption_md5": "password_encryption is md5: what others set is weak (ours is SCRAM anyway).",
    "not_a_role_name": "No role can have this name (empty, NUL, or more than 63 bytes).",
    "not_a_password": "PostgreSQL cannot hold this value (empty, or a NUL in it).",
    "root_certificate": "The file named by `sslrootcert` cannot be read as PEM certificates.",
    "tls_not_offered": "The server does not offer TLS: switch it on.",
    "tls_required": "`sslmode: disable` is for loopback only; elsewhere say `insecure: true` too.",
}

plugin: Final[Plugin[Config]] = Plugin(
    name="postgresql",
    version="1.0.0",
    config=Config,
    urls=(),
    reasons=REASONS,
    kinds=(
        Kind(
            name="password",
            title="Password of a role",
            traits=Traits(
                role=Role.AUTHORITY,
                origin=Origin.GENERATED,
                # The same password with a new salt is the same password, and PostgreSQL keeps no history.
                lost=Lost.RESEND,
                undo=Undo.REINSTALL_OLD,
                revokes=Revokes.NONE,
                acting=frozenset({Acting.ADMIN}),
                lists=Lists.NONE,
            ),
            permissions=(
                "CREATEROLE, and from PostgreSQL 16 ADMIN OPTION on each role that is rotated",
                "pg_signal_backend, if `end_sessions` is set",
            ),
            value=ValueSpec(min=32, max=64),
            preflight=preflight,
            probe=probe,
            install=install,
            sweep=sweep,
        ),
    ),
)

__all__ = ["Config", "plugin"]
