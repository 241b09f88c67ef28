"""The dead man's ping: one GET that says "still here" to somebody else's alarm. Used by `daemon.watchdog` only.

It carries nothing of the installation but the fact that it came. The rules of every other transport hold: https (plain
http only to loopback), no redirect followed, no proxy of the environment.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from rotator.engine.ports import Clock

from .transport import Outgoing, Transport, TransportFault

SECONDS = 10.0
_MAX_ANSWER = 64 * 1024


class DeadmanPing:
    """`version`: for the User-Agent. Thread-safe."""

    def __init__(self, clock: Clock, version: str) -> None:
        self._transport = Transport(clock, max_body=_MAX_ANSWER)
        self._agent = f"rotator/{version} (deadman)"

    def __call__(self, url: str) -> str:
        """Send it once. Empty: it was taken; else the reason, a slug. Never raises for what the world does."""
        parts = urlsplit(url)
        target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        request = Outgoing("GET", f"{parts.scheme}://{parts.netloc}", target, {"User-Agent": self._agent})
        try:
            answer = self._transport.exchange(request, SECONDS)
        except TransportFault as fault:
            return fault.reason
        return "" if 200 <= answer.status < 300 else "receiver_refused"
