"""One request to IAM or STS by the AWS Query protocol: form in, XML out. Signed here, sent by the host.

Called by `calls`. Each action is one `POST /`, sent once. What AWS says is read by its error code; its prose is never
repeated, and only one sentence of it is looked at (a clock that is wrong).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlencode

from rotator.plugin_api import (
    Body,
    Endpoint,
    Failed,
    HttpRequest,
    Misconfigured,
    OutcomeUnknown,
    PluginError,
    Refused,
    Response,
    Secret,
)

from .config import Config, host_of, region_of
from .sigv4 import signed

ROUTE: Final = "POST /"
VERSIONS: Final = {"iam": "2010-05-08", "sts": "2011-06-15"}
ERROR: Final = "/ErrorResponse/Error"
SKEW: Final = "Signature (expired|not yet current)"
"""The words of both services about a clock that is wrong; the code is that of a wrong signature."""

KEY_REFUSED: Final = "InvalidClientTokenId"
"""The one code that says: there is no such key, or it is switched off."""
ACTING_REFUSED: Final = frozenset(
    {
        KEY_REFUSED,
        "SignatureDoesNotMatch",
        "IncompleteSignature",
        "MissingAuthenticationToken",
        "UnrecognizedClientException",
        "InvalidSignatureException",
        "ExpiredToken",
    }
)
THROTTLED: Final = frozenset(
    {"Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException", "RequestThrottled"}
)
BUSY: Final = frozenset({"EntityTemporarilyUnmodifiable", "ConcurrentModification"})
DENIED: Final = frozenset({"AccessDenied", "AccessDeniedException"})
KEY_ID: Final = re.compile(r"[A-Z0-9]{16,128}")
_CODE: Final = re.compile(r"[A-Z][A-Za-z]{2,34}")
Service = Literal["iam", "sts"]


@dataclass(frozen=True, slots=True)
class Key:
    """An access key that signs."""

    key_id: str
    secret: Secret


def acting(at: Endpoint[Config]) -> Key:
    """The endpoint's admin key: its id stands in the store beside its secret, so that both may be rotated."""
    key_id = at.actor.generation.handle or ""
    if not KEY_ID.fullmatch(key_id):
        raise Misconfigured("admin_id_missing", unsent=True)
    return Key(key_id, at.actor.value)


def ask(
    at: Endpoint[Config], service: Service, action: str, key: Key, fields: dict[str, str], *, read: bool = False
) -> Response:
    """Send one action, signed by `key`. Empty fields are left out. Raises what `at.send` raises."""
    given = {name: value for name, value in fields.items() if value}
    body = urlencode({"Action": action, "Version": VERSIONS[service], **given})
    headers = signed(
        key.key_id,
        key.secret,
        host=host_of(at.config.url if service == "iam" else at.config.sts),
        region=region_of(at.config, service),
        service=service,
        body=body,
        moment=at.now(),
    )
    base = "url" if service == "iam" else "sts"
    request = HttpRequest(method="POST", route="/", base=base, headers=headers, text=Secret(body), read=read)
    return at.send(request)


def code_of(answer: Response) -> str:
    """The code of an error that the service itself made; empty for an answer of something in between. A code is told to
    people, so that what could be a secret (40 signs) is none."""
    found = (answer.body.find(f"{ERROR}/Code") or "") if answer.status != 200 else ""
    return found if _CODE.fullmatch(found) else ""


def result(answer: Response) -> Body:
    """The body of a success. Raises by the code that the service gave, else by the host's standard table."""
    code = code_of(answer)
    if answer.status == 200 or not code or answer.status >= 500:
        return answer.ok(200)
    raise error_of(answer, code)


def error_of(answer: Response, code: str) -> PluginError:
    """What a refusal by the service (a 4xx with its code) means. Nothing was changed by it."""
    if code == "SignatureDoesNotMatch" and answer.body.matches(SKEW, f"{ERROR}/Message"):
        return Misconfigured("clock_skew", status=code)
    if code == "RequestExpired":
        return Misconfigured("clock_skew", status=code)
    if code in ACTING_REFUSED:
        return Misconfigured("acting_refused", status=code)
    if code in DENIED:
        return Misconfigured("access_denied", status=code)
    if code in THROTTLED:
        return Failed("throttled", status=code)
    if code in BUSY:
        return Failed("busy", status=code)
    if code == "NoSuchEntity":
        return Refused("not_found", status=code)
    if code == "LimitExceeded":
        return Refused("no_free_slot", status=code)
    return Refused("refused", status=code)


def strange(*, writing: bool) -> PluginError:
    """A complete answer that says something else than was asked."""
    return (OutcomeUnknown if writing else Failed)("unrecognised_answer")
