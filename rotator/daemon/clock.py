"""The one home of time and identifiers: the only place that reads a clock, sleeps or draws an id.

Everything else takes the `Clock` port. `tests/architecture` holds that.
"""

from __future__ import annotations

import secrets
import time


class SystemClock:
    """The machine's clock."""

    def now(self) -> int:
        """Milliseconds since the epoch. May jump when the machine's clock is set."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def new_id() -> str:
    """A UUIDv7 (RFC 9562): sorted by the time of its making, 74 random bits."""
    at = time.time_ns() // 1_000_000
    bits = (at & (1 << 48) - 1) << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
