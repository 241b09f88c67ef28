"""Messages as signed HTTPS requests, by the rules of Standard Webhooks (symmetric signatures). Used by `notices`.

Signed is `id.timestamp.body` with HMAC-SHA256. The id is the same at every try, so a receiver can drop what it has
seen; the timestamp is that of the try, so it can refuse what was recorded long ago. With several keys there are several
signatures and the receiver accepts any: that is how a key is changed. Redirects are not followed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from rotator.engine.delivery import Parcel, Sent
from rotator.engine.ports import Clock
from rotator.plugin_api import Secret

from .notices import SECONDS, Read
from .transport import Outgoing, Transport, TransportFault

LEAST_KEY: Final = 16
PREFIX: Final = "whsec_"
_MAX_ANSWER: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class WebhookConfig:
    """Where to, and how it is signed. `secrets`: at least one."""

    url: str
    secrets: tuple[Read, ...]
    ca: Path | None = None
    insecure: bool = False


class ShortKey(Exception):
    """A key that signs nothing worth the name."""


class Webhook:
    """One receiver."""

    def __init__(self, config: WebhookConfig, clock: Clock, version: str) -> None:
        self._config, self._clock, self._version = config, clock, version
        self._transport = Transport(clock, ca=config.ca, insecure=config.insecure, max_body=_MAX_ANSWER)

    def send(self, parcel: Parcel) -> Sent:
        """Post it, once."""
        body = parcel.body.encode()
        stamp = str(self._clock.now() // 1000)
        try:
            signed = signatures([read() for read in self._config.secrets], parcel.id, stamp, body)
        except ShortKey:
            return Sent(False, "signing_key_short")
        parts = urlsplit(self._config.url)
        headers = {
            "Content-Type": "application/cloudevents+json; charset=utf-8", "webhook-id": parcel.id,
            "webhook-timestamp": stamp, "webhook-signature": signed, "User-Agent": f"rotator/{self._version} (notice)",
        }  # fmt: skip
        request = Outgoing("POST", f"{parts.scheme}://{parts.netloc}", parts.path or "/", headers, body)
        try:
            answer = self._transport.exchange(request, SECONDS)
        except TransportFault as fault:
            # An answer that is too large or none of HTTP was an answer all the same; it is no acknowledgement.
            known = fault.reason in {
                "unreachable",
                "tls",
                "deadline",
                "connection_lost",
                "address_refused",
                "plain_http",
            }
            return Sent(False, fault.reason) if known else Sent(False, "receiver_failed")
        return judged(answer.status, answer.headers.get("retry-after", ""))


def judged(status: int, retry_after: str) -> Sent:
    """What a status means for a delivery."""
    seconds = int(retry_after) if retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 7 else 0
    again = seconds * 1000 or None
    match status:
        case _ if 200 <= status < 300:
            return Sent(True)
        case _ if 300 <= status < 400:
            return Sent(False, "redirect")
        case 408 | 425 | 429:
            return Sent(False, "receiver_failed", again)
        case 410:
            return Sent(False, "receiver_gone")
        case _ if 400 <= status < 500:
            return Sent(False, "receiver_refused", again)
        case _:
            return Sent(False, "receiver_failed", again)


def signatures(keys: Sequence[Secret], message: str, stamp: str, body: bytes) -> str:
    """The value of the header `webhook-signature`: one signature a key, with a blank between. Raises ShortKey."""
    signed = b".".join((message.encode(), stamp.encode(), body))
    return " ".join(f"v1,{base64.b64encode(_hmac(key, signed)).decode('ascii')}" for key in keys)


def _hmac(key: Secret, signed: bytes) -> bytes:
    if len(_bytes_of(key)) < LEAST_KEY:
        raise ShortKey
    return hmac.new(_bytes_of(key), signed, hashlib.sha256).digest()


def _bytes_of(key: Secret) -> bytes:
    """A key of the form `whsec_<base64>` is what it encodes, any other its own bytes."""
    if not key.reveal().startswith(PREFIX):
        return key.reveal().encode()
    try:
        return base64.b64decode(key.reveal().removeprefix(PREFIX), validate=True)
    except ValueError:  # not ASCII, or no base64
        raise ShortKey from None
