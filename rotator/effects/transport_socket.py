"""Sockets with one deadline for everything that is done with them. Used by `transport`, and by the sender of mail.

A plain time-out counts anew for each read, so a server that sends a byte a second could hold a call for ever; these set
what is left of the call's time before each read and write.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

_LEAST_S = 0.001


class Deadline:
    """A moment of a clock that never goes back."""

    def __init__(self, monotonic: Callable[[], float], at: float) -> None:
        self._monotonic = monotonic
        self._at = at

    def left(self) -> float:
        """Seconds left; zero or less: it is over."""
        return self._at - self._monotonic()

    def span(self) -> float:
        """Seconds left for the next thing to wait for. Raises TimeoutError if there are none."""
        left = self.left()
        if left <= 0:
            raise TimeoutError("deadline")
        return max(left, _LEAST_S)


class DeadlineSocket(socket.socket):
    """A TCP socket that carries its deadline."""

    deadline: Deadline | None = None

    def _arm(self) -> None:
        if self.deadline is not None:
            self.settimeout(self.deadline.span())

    def recv_into(self, *args: Any, **options: Any) -> int:
        self._arm()
        return super().recv_into(*args, **options)

    def sendall(self, *args: Any, **options: Any) -> None:
        self._arm()
        super().sendall(*args, **options)


class DeadlineTLSSocket(ssl.SSLSocket):
    """A TLS socket that carries its deadline; it takes it over from the TCP socket it is made from."""

    deadline: Deadline | None = None

    @classmethod
    def _create(cls, sock: socket.socket, *args: Any, **options: Any) -> ssl.SSLSocket:
        # The handshake happens inside: its time-out is the one that `dialled` left on the TCP socket.
        made: ssl.SSLSocket = super()._create(sock, *args, **options)  # type: ignore[misc]
        made.deadline = getattr(sock, "deadline", None)  # type: ignore[attr-defined]
        return made

    def _arm(self) -> None:
        if self.deadline is not None:
            self.settimeout(self.deadline.span())

    def recv_into(self, *args: Any, **options: Any) -> int:
        self._arm()
        return super().recv_into(*args, **options)

    def sendall(self, *args: Any, **options: Any) -> None:
        self._arm()
        super().sendall(*args, **options)


def trusting(ca: Path | None) -> ssl.SSLContext:
    """TLS 1.2 or later, certificates verified by the authorities in the file `ca`, else by the system's. Raises
    OSError for a file that cannot be read as such."""
    # Not `create_default_context`: that one writes session keys to a file that the environment names.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(cafile=str(ca))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = DeadlineTLSSocket
    return context


def dialled(addresses: list[tuple[str, int, int]], deadline: Deadline) -> socket.socket:
    """A connection to the first address that answers. Raises OSError."""
    for host, port, family in addresses:
        sock = DeadlineSocket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(deadline.span())
            sock.connect((host, port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(deadline.span())
        except OSError:
            sock.close()
            continue
        sock.deadline = deadline
        return sock
    raise OSError("no address answers")
