"""What an answer of Vault or OpenBao, or its absence, means: one table, one row per status and text.

Called by `vault_client` for every exchange. Rows are data, in order, the first that fits counts; `docs/runbook.md`
explains the reasons. Texts of the server are looked at here and never passed on: they may name paths and fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Final

import requests
import urllib3.exceptions

from rotator.plugin_api import Failed, Misconfigured, OutcomeUnknown, PluginError, Refused


class CasRefused(Exception):
    """The server says that the version did not match. On a standby this may be untrue."""


class Missing(Exception):
    """404: nothing there, or a deleted or destroyed version, whose number is `version` (0: nothing is known)."""

    def __init__(self, version: int = 0) -> None:
        super().__init__(version)
        self.version = version


class Denied(Exception):
    """403: a missing permission or a dead token, which the text does not tell apart."""


class Says(Enum):
    """What a row says. BROKEN: certain in a read (failed), uncertain in a write (unknown)."""

    CAS = "cas"
    MISSING = "missing"
    DENIED = "denied"
    FAILED = "failed"
    REFUSED = "refused"
    MISCONFIGURED = "misconfigured"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: a status (first and last) and a text that the errors must contain ("": any)."""

    first: int
    last: int
    text: str
    says: Says
    reason: str


ROWS: Final = (
    Row(300, 399, "", Says.MISCONFIGURED, "redirect"),
    Row(400, 400, "check-and-set parameter did not match", Says.CAS, ""),
    Row(400, 400, "invalid role or secret id", Says.MISCONFIGURED, "store_login_refused"),
    Row(400, 400, "wrapping token is not valid", Says.MISCONFIGURED, "store_secret_id_taken"),
    Row(400, 400, "upgrading from non-versioned", Says.FAILED, "store_not_ready"),
    Row(400, 400, "", Says.REFUSED, "refused"),
    Row(401, 401, "", Says.DENIED, "store_permission"),
    Row(403, 403, "", Says.DENIED, "store_permission"),
    Row(404, 404, "no handler for route", Says.MISCONFIGURED, "store_mount_missing"),
    Row(404, 404, "", Says.MISSING, ""),
    Row(405, 405, "", Says.MISCONFIGURED, "store_mount_missing"),
    Row(412, 412, "", Says.FAILED, "store_behind"),
    Row(413, 413, "", Says.REFUSED, "too_large"),
    Row(429, 429, "", Says.FAILED, "throttled"),
    Row(400, 499, "", Says.REFUSED, "refused"),
    Row(500, 500, "too large", Says.REFUSED, "too_large"),
    Row(500, 500, "failed to verify client's certificate", Says.MISCONFIGURED, "store_client_certificate"),
    Row(500, 500, "active cluster node not found", Says.FAILED, "store_no_leader"),
    Row(501, 501, "", Says.MISCONFIGURED, "store_uninitialised"),
    Row(503, 503, "sealed", Says.FAILED, "store_sealed"),
    Row(500, 599, "", Says.BROKEN, "server_error"),
)


def answer_error(
    status: int, errors: Sequence[str], *, writing: bool, retry_after: str | None = None, version: int = 0
) -> Exception:
    """The exception for an answer that is not 2xx: one of the four of the plugin API, or a signal of this module."""
    text = " ".join(errors).lower()
    row = next((row for row in ROWS if row.first <= status <= row.last and row.text in text), None)
    if row is None:
        return broken("unrecognised_answer", writing=writing, status=str(status))
    signals: dict[Says, Exception] = {
        Says.CAS: CasRefused(),
        Says.MISSING: Missing(version),
        Says.DENIED: Denied(),
        Says.FAILED: Failed(row.reason, status=str(status), retry_after=_seconds(retry_after)),
        Says.REFUSED: Refused(row.reason, status=str(status)),
        Says.MISCONFIGURED: Misconfigured(row.reason, status=str(status)),
    }
    return signals[row.says] if row.says in signals else broken(row.reason, writing=writing, status=str(status))


def broken(reason: str, *, writing: bool, status: str = "") -> PluginError:
    """What may have been done if it was a write, and surely told us nothing if it was a read."""
    return OutcomeUnknown(reason, status=status) if writing else Failed(reason, status=status)


def network_error(error: Exception, *, writing: bool) -> PluginError:
    """The exception for an exchange without a whole answer. Unsent only if no connection was ever made."""
    cause = error.args[0] if error.args else None
    reason = getattr(cause, "reason", None)  # urllib3's MaxRetryError wraps what happened
    if _untrusted(error) or _untrusted(reason):
        return Misconfigured("tls", unsent=True)
    if _unwelcome(error) or _unwelcome(reason):
        return Misconfigured("store_client_certificate", unsent=True)
    if isinstance(error, requests.exceptions.ConnectTimeout) or isinstance(
        reason, (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)
    ):
        return Failed("unreachable", unsent=True)
    if isinstance(error, requests.exceptions.Timeout) or isinstance(cause, urllib3.exceptions.ReadTimeoutError):
        return broken("deadline", writing=writing)
    return broken("connection_lost", writing=writing)


def _untrusted(error: object) -> bool:
    """Whether the server's certificate was refused; the request had not been sent then."""
    return isinstance(error, (requests.exceptions.SSLError, urllib3.exceptions.SSLError)) and any(
        sign in str(error) for sign in ("CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER", "UNSUPPORTED_PROTOCOL")
    )


def _unwelcome(error: object) -> bool:
    """Whether the server refused our certificate, or wanted one: its alert. Nothing was carried out then."""
    return isinstance(error, (requests.exceptions.SSLError, urllib3.exceptions.SSLError)) and any(
        sign in str(error)
        for sign in ("ALERT_BAD_CERTIFICATE", "ALERT_CERTIFICATE_", "ALERT_UNSUPPORTED_CERT", "ALERT_UNKNOWN_CA")
    )


def _seconds(text: str | None) -> timedelta | None:
    # Only the form in seconds: the server sends no dates, and a strange text must not stop anything.
    return timedelta(seconds=int(text)) if text is not None and text.isdecimal() and len(text) < 7 else None
