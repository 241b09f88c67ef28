"""The table of answers, row by row, and what the absence of an answer means."""

from __future__ import annotations

from datetime import timedelta

import pytest
import requests
import urllib3.exceptions

from rotator.effects.stores.vault_errors import (
    ROWS,
    CasRefused,
    Denied,
    Missing,
    answer_error,
    network_error,
)
from rotator.plugin_api import Failed, Misconfigured, OutcomeUnknown, PluginError, Refused

# status, the server's words as seen, what it means in a read, what in a write, the reason
ANSWERS = [
    (301, [], Misconfigured, Misconfigured, "redirect"),
    (307, [], Misconfigured, Misconfigured, "redirect"),
    (400, ["check-and-set parameter did not match the current version"], CasRefused, CasRefused, ""),
    (400, ["invalid role or secret ID"], Misconfigured, Misconfigured, "store_login_refused"),
    (400, ["wrapping token is not valid or does not exist"], Misconfigured, Misconfigured, "store_secret_id_taken"),
    (
        500,
        ["failed to verify client's certificate: x509: certificate has expired or is not yet valid: ..."],
        Misconfigured,
        Misconfigured,
        "store_client_certificate",
    ),
    (400, ["Upgrading from non-versioned to versioned data. ..."], Failed, Failed, "store_not_ready"),
    (400, ["lease is not renewable"], Refused, Refused, "refused"),
    (401, [], Denied, Denied, ""),
    (403, ["1 error occurred:\n\t* permission denied\n\n"], Denied, Denied, ""),
    (
        404,
        ['no handler for route "sekret/data/a". route entry not found.'],
        Misconfigured,
        Misconfigured,
        "store_mount_missing",
    ),
    (404, [], Missing, Missing, ""),
    (405, ["1 error occurred:\n\t* unsupported operation\n\n"], Misconfigured, Misconfigured, "store_mount_missing"),
    (412, ["required index state not present"], Failed, Failed, "store_behind"),
    (413, ["http: request body too large"], Refused, Refused, "too_large"),
    (429, ["rate limit quota exceeded"], Failed, Failed, "throttled"),
    (418, [], Refused, Refused, "refused"),
    (
        500,
        ["put failed due to value being too large; got 2097300 bytes, max: 1048576 bytes"],
        Refused,
        Refused,
        "too_large",
    ),
    (500, ["local node not active but active cluster node not found"], Failed, Failed, "store_no_leader"),
    (500, ["internal error"], Failed, OutcomeUnknown, "server_error"),
    (501, ["server is not yet initialized"], Misconfigured, Misconfigured, "store_uninitialised"),
    (502, [], Failed, OutcomeUnknown, "server_error"),
    (503, ["Vault is sealed"], Failed, Failed, "store_sealed"),
    (503, [], Failed, OutcomeUnknown, "server_error"),
    (504, [], Failed, OutcomeUnknown, "server_error"),
    (199, [], Failed, OutcomeUnknown, "unrecognised_answer"),
]


@pytest.mark.parametrize(("status", "errors", "in_read", "in_write", "reason"), ANSWERS)
def test_answer(
    status: int, errors: list[str], in_read: type[Exception], in_write: type[Exception], reason: str
) -> None:
    for writing, wanted in ((False, in_read), (True, in_write)):
        error = answer_error(status, errors, writing=writing)
        assert type(error) is wanted
        if isinstance(error, PluginError):
            assert (error.reason, error.status, error.unsent) == (reason, str(status), False)
        assert not any(words and words in repr(error) for words in errors)


def test_every_row_of_the_table_is_reached() -> None:
    reached = set()
    for status, errors, *_ in ANSWERS:
        text = " ".join(errors).lower()
        row = next((row for row in ROWS if row.first <= status <= row.last and row.text in text), None)
        reached.add(row)
    assert reached - {None} == set(ROWS)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("1", 1), ("30", 30), ("", None), (None, None), ("soon", None), ("-1", None), ("9" * 9, None)],
)
def test_retry_after(header: str | None, seconds: int | None) -> None:
    error = answer_error(429, [], writing=True, retry_after=header)
    assert isinstance(error, Failed)
    assert error.retry_after == (None if seconds is None else timedelta(seconds=seconds))


def test_number_of_a_deleted_version_is_kept() -> None:
    error = answer_error(404, [], writing=False, version=7)
    assert isinstance(error, Missing)
    assert error.version == 7


class _Pool(urllib3.exceptions.HTTPError):
    """Stands for urllib3's MaxRetryError, whose `reason` says what happened."""

    def __init__(self, reason: Exception) -> None:
        super().__init__("pool")
        self.reason = reason


class _Connection:
    host = "h"


NETWORK = [
    (requests.exceptions.ConnectTimeout(), Failed, Failed, "unreachable", True),
    (
        requests.exceptions.ConnectionError(_Pool(urllib3.exceptions.NewConnectionError(_Connection(), "refused"))),  # type: ignore[arg-type]
        Failed, Failed, "unreachable", True,
    ),
    (
        requests.exceptions.SSLError(_Pool(urllib3.exceptions.SSLError("[SSL: CERTIFICATE_VERIFY_FAILED] x"))),
        Misconfigured, Misconfigured, "tls", True,
    ),
    (requests.exceptions.SSLError("record layer failure"), Failed, OutcomeUnknown, "connection_lost", False),
    (requests.exceptions.ReadTimeout(), Failed, OutcomeUnknown, "deadline", False),
    (requests.exceptions.ConnectionError("aborted"), Failed, OutcomeUnknown, "connection_lost", False),
    (requests.exceptions.ChunkedEncodingError(), Failed, OutcomeUnknown, "connection_lost", False),
    (requests.exceptions.ContentDecodingError(), Failed, OutcomeUnknown, "connection_lost", False),
    (OSError("broken pipe"), Failed, OutcomeUnknown, "connection_lost", False),
]  # fmt: skip


@pytest.mark.parametrize(("error", "in_read", "in_write", "reason", "unsent"), NETWORK)
def test_no_answer(
    error: Exception, in_read: type[PluginError], in_write: type[PluginError], reason: str, unsent: bool
) -> None:
    for writing, wanted in ((False, in_read), (True, in_write)):
        translated = network_error(error, writing=writing)
        assert (type(translated), translated.reason, translated.unsent) == (wanted, reason, unsent)
