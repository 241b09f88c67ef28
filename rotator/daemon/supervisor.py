"""What systemd is told, where it asks to be: ready, reloading, stopping, and the watchdog's sign of life.

Called by the bootstrap and by the ticker's watch. The protocol is `sd_notify(3)`: one datagram to the socket that
NOTIFY_SOCKET names. Without it every function does nothing. Must never fail the daemon.
"""

from __future__ import annotations

import contextlib
import os
import socket


def ready() -> None:
    """Both ports answer and ticks come."""
    _tell("READY=1")


def reloading(monotonic: float) -> None:
    """A reload began at this instant of the monotonic clock, in seconds; `ready` ends it."""
    _tell(f"RELOADING=1\nMONOTONIC_USEC={int(monotonic * 1_000_000)}")


def stopping() -> None:
    """The drain began."""
    _tell("STOPPING=1")


def alive() -> None:
    """The watchdog's sign of life: said by every tick, so that a daemon whose ticks hang is started anew."""
    _tell("WATCHDOG=1")


def _tell(text: str) -> None:
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
        out.settimeout(1.0)
        out.sendto(text.encode(), address)
