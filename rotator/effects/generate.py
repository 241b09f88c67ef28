"""Makes values that we choose. Called by `perform` when a generation is staged; a value is born nowhere else.

Must never bind the text of a value to a name, nor make one that could be guessed.
"""

from __future__ import annotations

import math
import secrets
import string
import uuid
from typing import Final

from rotator.plugin_api import Form, Misconfigured, Secret, ValueSpec

LEAST_BITS: Final = 128
LONGEST: Final = 64
LETTERS_AND_DIGITS: Final = string.ascii_letters + string.digits
HEX_DIGITS: Final = "0123456789abcdef"
UUID_BITS: Final = 122


def generate(spec: ValueSpec) -> Secret:
    """A new value by the system's random source.

    TEXT: `spec.alphabet` (each letter counts once; empty = letters and digits); HEX: lower case; UUID: version 4. Of
    TEXT and HEX the length is `spec.max`, at most 64 unless `spec.min` asks for more. Raises
    Misconfigured("value_too_weak") below 128 bits (a version 4 UUID has 122: it is allowed, being a form that cannot be
    chosen otherwise), Misconfigured("form_unsupported") for key pairs and opaque values.
    """
    match spec.form:
        case Form.TEXT:
            return _text("".join(dict.fromkeys(spec.alphabet)) or LETTERS_AND_DIGITS, spec)
        case Form.HEX:
            return _text(HEX_DIGITS, spec)
        case Form.UUID:
            return Secret(str(uuid.UUID(bytes=secrets.token_bytes(16), version=4)))
        case _:
            raise Misconfigured("form_unsupported")


def _text(alphabet: str, spec: ValueSpec) -> Secret:
    length = max(spec.min, min(spec.max, LONGEST))
    if length > spec.max or len(alphabet) < 2 or length * math.log2(len(alphabet)) < LEAST_BITS:
        raise Misconfigured("value_too_weak")
    return Secret("".join(secrets.choice(alphabet) for _ in range(length)))
