"""What a SQLSTATE means to us: one table for a login, one for a statement that writes.

Read by `calls`; data and two look-ups, no I/O. The codes are those of PostgreSQL's appendix A. Server messages are
never read: they are translated by the server's `lc_messages` and may repeat what was sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from rotator.plugin_api import Failed, Misconfigured, OutcomeUnknown, PluginError, Refused

PASSWORD_REFUSED: Final = "28P01"  # noqa: S105 - a SQLSTATE


class Fate(Enum):
    """Which of the four errors a code becomes."""

    REFUSED = "refused"
    FAILED = "failed"
    UNKNOWN = "unknown"
    MISCONFIGURED = "misconfigured"


@dataclass(frozen=True, slots=True)
class Meaning:
    """`slug`: the reason. `fate`: the error, when it happens to the acting credential or to a write."""

    fate: Fate
    slug: str


# A login that is refused by code. For the acting credential `fate` holds; for a value under test each of them is
# inconclusive, except 28P01 after the server asked for the password.
LOGIN: Final[Mapping[str, Meaning]] = {
    "28P01": Meaning(Fate.MISCONFIGURED, "acting_refused"),
    "28000": Meaning(Fate.MISCONFIGURED, "login_not_permitted"),  # no pg_hba.conf entry, NOLOGIN, rejected by rule
    "3D000": Meaning(Fate.MISCONFIGURED, "database_missing"),
    "42501": Meaning(Fate.MISCONFIGURED, "database_refused"),  # no CONNECT on the database
    "55000": Meaning(Fate.MISCONFIGURED, "database_refused"),  # the database takes no connections
    "08P01": Meaning(Fate.FAILED, "unrecognised_answer"),
    "53300": Meaning(Fate.FAILED, "too_many_connections"),
    "57P01": Meaning(Fate.FAILED, "server_not_ready"),
    "57P02": Meaning(Fate.FAILED, "server_not_ready"),
    "57P03": Meaning(Fate.FAILED, "server_not_ready"),  # starting up, shutting down, in recovery
    "57P05": Meaning(Fate.FAILED, "server_not_ready"),
}
LOGIN_OTHER: Final = Meaning(Fate.FAILED, "server_error")

# A statement that the server refused with severity ERROR: its transaction is rolled back, so it is certainly not done.
WRITE: Final[Mapping[str, Meaning]] = {
    "42501": Meaning(Fate.MISCONFIGURED, "may_not_alter"),
    "42704": Meaning(Fate.REFUSED, "not_found"),
    "22023": Meaning(Fate.REFUSED, "policy"),  # passwordcheck and its like
    "28P01": Meaning(Fate.REFUSED, "policy"),
    "28000": Meaning(Fate.REFUSED, "policy"),
    "42601": Meaning(Fate.REFUSED, "refused"),
    "42883": Meaning(Fate.MISCONFIGURED, "server_too_old"),
    "25006": Meaning(Fate.FAILED, "read_only"),  # a standby, or default_transaction_read_only
    "40001": Meaning(Fate.FAILED, "conflict"),
    "40P01": Meaning(Fate.FAILED, "conflict"),
    "55P03": Meaning(Fate.FAILED, "locked"),
    "57014": Meaning(Fate.FAILED, "statement_timeout"),
    "40003": Meaning(Fate.UNKNOWN, "connection_lost"),  # statement completion unknown
}
WRITE_OTHER: Final = Meaning(Fate.FAILED, "server_error")
# FATAL and PANIC end the session; after a commit that waits for a standby they may arrive although it is done.
WRITE_FATAL: Final = Meaning(Fate.UNKNOWN, "connection_lost")

_ERRORS: Final[Mapping[Fate, type[PluginError]]] = {
    Fate.REFUSED: Refused,
    Fate.FAILED: Failed,
    Fate.UNKNOWN: OutcomeUnknown,
    Fate.MISCONFIGURED: Misconfigured,
}


def of_login(code: str) -> Meaning:
    """What a refused login means."""
    return LOGIN.get(code, LOGIN_OTHER)


def of_write(code: str, fatal: bool) -> Meaning:
    """What a refused statement means; `fatal`: its severity was FATAL or PANIC."""
    return WRITE_FATAL if fatal else WRITE.get(code, WRITE_OTHER)


def error(meaning: Meaning, status: str = "", *, unsent: bool = False) -> PluginError:
    """The error to raise for a meaning. `status` is the SQLSTATE."""
    return _ERRORS[meaning.fate](meaning.slug, status=status, unsent=unsent)
