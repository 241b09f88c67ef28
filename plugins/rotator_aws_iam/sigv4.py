"""AWS Signature Version 4 for one sort of request: `POST /` with a form as its body. No I/O, no clock, no state.

Called by `query` for every request. The secret is used inside one expression: neither it nor a key derived from it is
ever bound to a name, since the derived key signs for a whole day. Checked in the tests against botocore's own signer.
Source: the AWS guide "Signature Version 4 signing process".
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import reduce
from typing import Final

from rotator.plugin_api import Secret

FORM: Final = "application/x-www-form-urlencoded; charset=utf-8"
ALGORITHM: Final = "AWS4-HMAC-SHA256"


def signed(
    key_id: str, secret: Secret, *, host: str, region: str, service: str, body: str, moment: datetime
) -> Mapping[str, str | Secret]:
    """The headers of the request. `host` is the Host header as it is sent; `moment` is an aware time."""
    date = moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{date[:8]}/{region}/{service}/aws4_request"
    covered = {"content-type": FORM, "host": host, "x-amz-date": date}
    names = ";".join(covered)
    lines = "".join(f"{name}:{text}\n" for name, text in covered.items())
    canonical = f"POST\n/\n\n{lines}\n{names}\n{_digest(body)}"
    to_sign = f"{ALGORITHM}\n{date}\n{scope}\n{_digest(canonical)}"
    proof = f"{ALGORITHM} Credential={key_id}/{scope}, SignedHeaders={names}, Signature="
    chain = (*scope.split("/"), to_sign)
    return {
        "Content-Type": FORM,
        "X-Amz-Date": date,
        "Authorization": Secret(
            proof + reduce(_mac, chain, f"AWS4{secret.reveal()}".encode()).hex(),
        ),
    }


def _mac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
