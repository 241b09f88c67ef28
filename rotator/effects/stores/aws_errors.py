"""What an answer of AWS, or its absence, means: one table, one row per error code; and the SDK's own exceptions.

Called by `aws_client` for every exchange. Rows are data, in order, the first that fits counts; `docs/stores-aws.md`
explains the reasons. The SDK's exceptions repeat parameters and AWS's texts, so they end here: what leaves is a slug
and the HTTP status.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any, Final

from botocore import exceptions as sdk
from botocore.parsers import ResponseParserError

from rotator.effects.transport import Broken, NotSent
from rotator.plugin_api import Failed, Misconfigured, OutcomeUnknown, PluginError, Refused

LOGINS: Final = frozenset({"AssumeRole", "AssumeRoleWithWebIdentity", "GetRoleCredentials", "CreateToken"})


class LoginFailed(Exception):
    """A role could not be taken, on the way of some request, which was not sent then."""

    def __init__(self, outcome: PluginError) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


class Missing(Exception):
    """No such secret, version or label."""


class Exists(Exception):
    """The name is taken, or the token belongs to a version with another value."""


class Moved(Exception):
    """A label is not where the request says that it is: the compare-and-set was refused."""


class Says(Enum):
    """What a row says. BROKEN: certain in a read (failed), uncertain in a write (unknown)."""

    MISSING = "missing"
    EXISTS = "exists"
    FAILED = "failed"
    REFUSED = "refused"
    MISCONFIGURED = "misconfigured"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: the error's code and a text that the message must contain ("": any), in lower case."""

    code: str
    text: str
    says: Says
    reason: str


def _rows(says: Says, reason: str, *codes: str) -> tuple[Row, ...]:
    return tuple(Row(code, "", says, reason) for code in codes)


ROWS: Final = (
    Row("AccessDeniedException", "access to kms", Says.MISCONFIGURED, "store_kms"),
    Row("AccessDeniedException", "to perform: kms:", Says.MISCONFIGURED, "store_kms"),
    *_rows(Says.MISCONFIGURED, "store_permission", "AccessDeniedException", "AccessDenied"),
    *_rows(Says.MISCONFIGURED, "store_kms", "DecryptionFailure", "EncryptionFailure"),
    *_rows(Says.MISSING, "", "ResourceNotFoundException"),
    *_rows(Says.EXISTS, "", "ResourceExistsException"),
    Row("InvalidRequestException", "delet", Says.MISCONFIGURED, "store_secret_deleted"),
    Row("InvalidRequestException", "default kms", Says.MISCONFIGURED, "store_kms"),
    Row("InvalidRequestException", "replica", Says.MISCONFIGURED, "store_secret_replica"),
    Row("InvalidRequestException", "managed", Says.MISCONFIGURED, "store_secret_managed"),
    Row("LimitExceededException", "", Says.FAILED, "store_quota"),
    *_rows(
        Says.FAILED, "throttled", "ThrottlingException", "Throttling", "ThrottledException", "TooManyRequestsException",
        "RequestLimitExceeded", "RequestThrottled", "RequestThrottledException", "SlowDown",
        "ProvisionedThroughputExceededException",
    ),
    *_rows(
        Says.MISCONFIGURED, "store_login_refused", "UnrecognizedClientException", "InvalidSignatureException",
        "InvalidClientTokenId", "SignatureDoesNotMatch", "IncompleteSignature", "MissingAuthenticationToken",
        "InvalidIdentityToken", "IDPRejectedClaim", "ExpiredToken", "ExpiredTokenException", "InvalidToken",
        "NotAuthorizedException", "OptInRequired", "AuthFailure",
    ),
    *_rows(Says.MISCONFIGURED, "store_clock", "RequestExpired", "RequestTimeTooSkewed"),
    *_rows(Says.BROKEN, "server_error", "InternalServiceError", "InternalFailure", "ServiceUnavailable"),
)  # fmt: skip


def translated(error: Exception, *, writing: bool) -> Exception:
    """The exception for one of the SDK's: one of the four of the plugin API, or a signal of this module."""
    if isinstance(error, LoginFailed):
        return error.outcome
    if isinstance(error, sdk.ClientError):
        return answer_error(error.response, error.operation_name, writing=writing)
    if isinstance(error, NotSent):
        passing = error.reason in {"unreachable", "deadline"}
        return Failed(error.reason, unsent=True) if passing else Misconfigured(error.reason, unsent=True)
    if isinstance(error, Broken):
        return broken(error.reason, writing=writing)
    if isinstance(error, ResponseParserError):
        return broken("unrecognised_answer", writing=writing)
    if isinstance(error, sdk.MetadataRetrievalError | sdk.HTTPClientError | sdk.ConnectionError):
        return Failed("store_login_source", unsent=True)  # the instance's or container's own service
    if isinstance(error, sdk.NoCredentialsError | sdk.PartialCredentialsError | sdk.ProfileNotFound):
        return Misconfigured("store_login_missing", unsent=True)
    if isinstance(error, sdk.ParamValidationError):
        return Refused("too_large" if "SecretString" in str(error) else "refused", unsent=True)
    if isinstance(error, sdk.BotoCoreError):  # tokens of a single sign-on, credential processes, configuration files
        return Misconfigured("store_login_source", unsent=True)
    if isinstance(error, OSError):  # a file of the credentials
        return Misconfigured("store_auth_file", unsent=True)
    return broken("unrecognised_answer", writing=writing)


def login_error(error: Exception) -> PluginError:
    """The exception for a role that could not be taken: nothing of the request that needed it was sent."""
    found = translated(error, writing=False)
    if isinstance(found, Misconfigured):
        return Misconfigured(found.reason, status=found.status, unsent=True)
    status, wait = (found.status, found.retry_after) if isinstance(found, PluginError) else ("", None)
    return Failed("store_login_source", status=status, retry_after=wait, unsent=True)


def answer_error(response: Any, operation: str, *, writing: bool) -> Exception:
    """The exception for an answer that is an error; a login's, made on the way, is never the write's own."""
    error, meta = response.get("Error", {}), response.get("ResponseMetadata", {})
    status, code, text = (
        meta.get("HTTPStatusCode", 0),
        str(error.get("Code", "")),
        str(error.get("Message", "")).lower(),
    )
    if operation in LOGINS:
        return _login(code, status)
    if (operation, code) == ("UpdateSecretVersionStage", "InvalidParameterException"):
        return Moved()  # our parameters are well formed: what is wrong is where the label is
    row = next((row for row in ROWS if row.code == code and row.text in text), None)
    if row is None:
        return _unlisted(status, code, text, writing=writing)
    match row.says:
        case Says.MISSING:
            return Missing()
        case Says.EXISTS:
            return Exists()
        case Says.FAILED:
            return Failed(row.reason, status=str(status), retry_after=_seconds(meta))
        case Says.MISCONFIGURED:
            return Misconfigured(row.reason, status=str(status))
        case Says.REFUSED:
            return Refused(row.reason, status=str(status))
        case Says.BROKEN:
            return broken(row.reason, writing=writing, status=str(status))


def _unlisted(status: int, code: str, text: str, *, writing: bool) -> Exception:
    if 300 <= status < 400:
        return Misconfigured("redirect", status=str(status))
    if status == 429:
        return Failed("throttled", status="429")
    # An error that is no whole JSON has its status for a code: somebody else's answer, or half of AWS's.
    if 400 <= status < 500 and code.isalpha():
        return Refused("too_large" if "longer" in text or "length" in text else "refused", status=str(status))
    return broken("server_error" if status >= 500 else "unrecognised_answer", writing=writing, status=str(status))


def _login(code: str, status: int) -> PluginError:
    row = next((row for row in ROWS if row.code == code), None)
    if status >= 500 or status == 429 or (row is not None and row.says is Says.FAILED):
        return Failed("store_login_source", status=str(status), unsent=True)
    return Misconfigured("store_login_refused", status=str(status), unsent=True)


def broken(reason: str, *, writing: bool, status: str = "") -> PluginError:
    """What may have been done if it was a write, and surely told us nothing if it was a read."""
    return OutcomeUnknown(reason, status=status) if writing else Failed(reason, status=status)


def _seconds(meta: Any) -> timedelta | None:
    text = str(meta.get("HTTPHeaders", {}).get("retry-after", ""))
    return timedelta(seconds=int(text)) if text.isdecimal() and len(text) < 7 else None
