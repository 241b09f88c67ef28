"""Which addresses a name stands for, and which of them are never called. Used by `transport` before it connects.

A name that resolves to a link-local or metadata address is refused as a whole: such an address hands out the machine's
own credentials, and a name may point there by mistake or on purpose.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Callable
from typing import Any, Final

from .transport_socket import Deadline

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[..., list[Any]]

_METADATA: Final = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "169.254.169.254",
        "169.254.170.2",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd20:ce::254",
    )
)
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")


class AddressRefused(Exception):
    """The name stands for an address that is never called."""


def resolved(host: str, port: int, deadline: Deadline, resolve: Resolve) -> list[tuple[str, int, int]]:
    """(address, port, family) of `host`, all of them allowed. Raises AddressRefused, or OSError if there are none."""
    rows = _in_time(lambda: resolve(host, port, type=socket.SOCK_STREAM), deadline)
    found: list[tuple[str, int, int]] = []
    for family, _, _, _, where in rows:
        if family not in {socket.AF_INET, socket.AF_INET6}:
            continue
        text, scope, _ = str(where[0]).partition("%")
        if scope or is_refused(ipaddress.ip_address(text)):
            raise AddressRefused
        if (text, port, int(family)) not in found:
            found.append((text, port, int(family)))
    if not found:
        raise OSError("no address")
    return found


def is_refused(address: Address) -> bool:
    """Whether `address` is link-local, a metadata service, or no unicast address; also when wrapped in IPv6."""
    inner = _unwrapped(address)
    return (
        inner.is_link_local or inner.is_multicast or inner.is_unspecified or inner in _METADATA or address in _METADATA
    )


def _unwrapped(address: Address) -> Address:
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _in_time(ask: Callable[[], list[Any]], deadline: Deadline) -> list[Any]:
    # The system's resolver has no deadline of its own; a thread that it keeps is left to end by itself.
    answers: list[list[Any]] = []

    def run() -> None:
        try:
            answers.append(ask())
        except (OSError, UnicodeError):
            return  # no answer says it all

    thread = threading.Thread(target=run, daemon=True, name="resolve")
    thread.start()
    thread.join(max(deadline.left(), 0.0))
    if not answers:
        raise OSError("not resolved")
    return answers[0]
