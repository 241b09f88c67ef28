"""Fingerprints: which value was which, without the value. Text outside this file.

HMAC-SHA-256 under the installation's fingerprint key, bound to the credential, cut to 16 hex digits: two places can be
compared, a guess cannot be checked without the key. Made by `perform`, kept in the ledger as evidence.
"""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from hashlib import sha256
from pathlib import Path

from rotator.plugin_api import Misconfigured, Secret

KEY_BYTES = 32


class Fingerprints:
    """The fingerprint function of one installation."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise Misconfigured("fingerprint_key_length")
        self.__key = key

    def of(self, credential: str, value: Secret) -> str:
        """16 hex digits, stable for the same value of the same credential."""
        return self._digest(credential, value.reveal())

    def check(self) -> str:
        """A value that the ledger keeps to tell a wrong key at the start."""
        return self._digest("rotator", "fingerprint check")

    def _digest(self, scope: str, text: str) -> str:
        return hmac.new(self.__key, f"{scope}\0{text}".encode(), sha256).hexdigest()[:16]


def load_key(path: Path) -> bytes:
    """The 32 bytes of the key file. Misconfigured(`fingerprint_key_missing`, `_length` or `_mode`: 0600 or less)."""
    try:
        mode = path.stat().st_mode
        key = path.read_bytes()
    except OSError:
        raise Misconfigured("fingerprint_key_missing") from None
    if stat.S_IMODE(mode) & 0o077:
        raise Misconfigured("fingerprint_key_mode")
    if len(key) != KEY_BYTES:
        raise Misconfigured("fingerprint_key_length")
    return key


def make_key(path: Path) -> None:
    """Create the key file, 0600; an existing one is left alone (FileExistsError)."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(secrets.token_bytes(KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
