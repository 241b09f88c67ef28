"""SCRAM-SHA-256 as PostgreSQL does it: the verifier that is stored, and the two messages of a login.

Called by `wire` (login) and `calls` (install); does no I/O. Sources: RFC 5802, RFC 7677, RFC 4013 and the PostgreSQL
documentation of `password_encryption` and of the SASL messages. It must never return the password in clear.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import stringprep
import unicodedata
from dataclasses import dataclass
from typing import Final

from rotator.plugin_api import Secret

ITERATIONS: Final = 4096  # PostgreSQL's own default (scram_iterations)
SALT_BYTES: Final = 16
MAX_ITERATIONS: Final = 1_000_000  # a hostile server must not keep a worker busy for minutes
NO_BINDING: Final = "n,,"
SERVER_FIRST: Final = re.compile(r"r=([\x21-\x2b\x2d-\x7e]+),s=([A-Za-z0-9+/=]+),i=([1-9][0-9]{0,9})")

_PROHIBITED: Final = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
    stringprep.in_table_a1,
)


class NotScram(Exception):
    """The server's message is none of SCRAM's."""


def storable(value: Secret) -> bool:
    """Whether PostgreSQL can take the value as a password at all: not empty, no NUL, encodable as UTF-8."""
    try:
        return b"\0" not in value.reveal().encode() and value.reveal() != ""
    except UnicodeEncodeError:
        return False


def prepared(value: Secret) -> Secret:
    """The value after SASLprep as PostgreSQL does it.

    It differs from the RFC twice: what is forbidden is used as it stands, and what is forbidden is looked for before
    the normalisation, not after it (U+0340 shows the difference).
    """
    if value.reveal().isascii():
        return value
    mapped = Secret("".join(_mapped(sign) for sign in value.reveal()))
    if not mapped.reveal() or not _allowed(mapped):
        return value
    return Secret(unicodedata.normalize("NFKC", mapped.reveal()))


def _mapped(sign: str) -> str:
    if stringprep.in_table_c12(sign):
        return " "
    return "" if stringprep.in_table_b1(sign) else sign


def _allowed(value: Secret) -> bool:
    if any(forbids(sign) for sign in value.reveal() for forbids in _PROHIBITED):
        return False
    if not any(stringprep.in_table_d1(sign) for sign in value.reveal()):
        return True
    if any(stringprep.in_table_d2(sign) for sign in value.reveal()):
        return False
    return stringprep.in_table_d1(value.reveal()[0]) and stringprep.in_table_d1(value.reveal()[-1])


def _salted(value: Secret, salt: bytes, iterations: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", prepared(value).reveal().encode(), salt, iterations)


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def verifier(value: Secret, salt: bytes, iterations: int = ITERATIONS) -> Secret:
    """What `pg_authid.rolpassword` is to hold for this value. A Secret: whoever has it can try passwords offline."""
    salted = _salted(value, salt, iterations)
    stored = hashlib.sha256(_hmac(salted, b"Client Key")).digest()
    server = _hmac(salted, b"Server Key")
    return Secret(f"SCRAM-SHA-256${iterations}:{_text(salt)}${_text(stored)}:{_text(server)}")


def first(nonce: str) -> str:
    """The client's first message. The name in it stays empty: PostgreSQL takes that of the start-up packet."""
    return f"{NO_BINDING}n=,r={nonce}"


@dataclass(frozen=True, slots=True)
class Reply:
    """The client's last message, and the signature by which the server proves that it knows the verifier."""

    message: str
    signature: str


def last(value: Secret, nonce: str, server_first: str) -> Reply:
    """The answer to the server's challenge. Raises NotScram when the challenge is malformed or not for our nonce."""
    challenge = SERVER_FIRST.fullmatch(server_first)
    if challenge is None or not challenge[1].startswith(nonce) or challenge[1] == nonce:
        raise NotScram
    iterations = int(challenge[3])
    if iterations > MAX_ITERATIONS:
        raise NotScram
    try:
        salt = base64.b64decode(challenge[2], validate=True)
    except binascii.Error:
        raise NotScram from None
    salted = _salted(value, salt, iterations)
    bare = f"c={_text(NO_BINDING.encode())},r={challenge[1]}"
    signed = f"n=,r={nonce},{server_first},{bare}".encode()
    client = _hmac(salted, b"Client Key")
    proof = bytes(a ^ b for a, b in zip(client, _hmac(hashlib.sha256(client).digest(), signed), strict=True))
    return Reply(f"{bare},p={_text(proof)}", _text(_hmac(_hmac(salted, b"Server Key"), signed)))


def proven(expected: Reply, server_final: str) -> bool:
    """Whether the server's last message carries the signature that only a holder of the verifier can make."""
    return hmac.compare_digest(f"v={expected.signature}".encode(), server_final.encode())
