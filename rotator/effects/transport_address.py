"""Which address a connection may go to: resolved once, checked, and then connected to as it was checked.

Called by `transport` for every request. A name that leads to a link-local or metadata address is refused: a plugin's URL
must not become a way to the machine's own identity. The name is never resolved again for the connection.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from typing import Final

from rotator.plugin_api import Failed, Misconfigured

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

METADATA: Final = (ipaddress.ip_address("100.100.100.200"), ipaddress.ip_address("fd00:ec2::254"))
NAT64: Final = ipaddress.ip_network("64:ff9b::/96")


def addresses_of(host: str, port: int, *, seconds: float, encrypted: bool, insecure: bool) -> tuple[str, ...]:
    """The addresses of `host`, all of them allowed, as texts without brackets.

    `encrypted`: https. Plain http is for loopback only unless `insecure`. Raises Misconfigured("address_refused" or
    "plain_http"), Failed("unreachable" or "deadline", unsent).
    """
    found = _literal(host) or _resolved(host, port, seconds)
    for text in found:
        address = ipaddress.ip_address(text.partition("%")[0])
        if is_refused(address):
            raise Misconfigured("address_refused")
        if not encrypted and not insecure and not _meant(address).is_loopback:
            raise Misconfigured("plain_http")
    return found


def is_refused(address: Address) -> bool:
    """Link-local, metadata, unspecified and multicast addresses, however they are wrapped into IPv6."""
    meant = _meant(address)
    return meant.is_link_local or meant in METADATA or meant.is_unspecified or meant.is_multicast


def _meant(address: Address) -> Address:
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return inner or address
    return address


def _literal(host: str) -> tuple[str, ...]:
    try:
        return (str(ipaddress.ip_address(host)),)
    except ValueError:
        return ()


def _resolved(host: str, port: int, seconds: float) -> tuple[str, ...]:
    """Asks the system's resolver, which knows no deadline, in a thread that is left behind when it takes too long."""
    found: list[str] = []

    def ask() -> None:
        try:
            rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return
        found.extend(dict.fromkeys(str(row[4][0]) for row in rows))

    asking = threading.Thread(target=ask, name="resolve", daemon=True)
    asking.start()
    asking.join(max(seconds, 0.0))
    if asking.is_alive():
        raise Failed("deadline", unsent=True)
    if not found:
        raise Failed("unreachable", unsent=True)
    return tuple(found)


__all__ = ["addresses_of", "is_refused"]
