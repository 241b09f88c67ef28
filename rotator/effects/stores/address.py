"""Which addresses a store may be reached at. Called by the stores when they are opened; it sends and resolves nothing.

Must never let a token or a value travel in clear to another machine, nor to an address that no server of ours has.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from rotator.plugin_api import Misconfigured


def require_address(text: str, *, insecure: bool) -> None:
    """Misconfigured: "store_url" if `text` is no http(s)://host[:port], "address_refused" for link-local and the like,
    "store_insecure_url" for plain http to another machine unless `insecure`."""
    try:
        url = urlsplit(text)
        host, _ = url.hostname, url.port
    except ValueError:
        url, host = urlsplit(""), None
    if not host or url.scheme not in {"http", "https"} or url.username or url.query or url.fragment:
        raise Misconfigured("store_url")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    if address is not None and (address.is_link_local or address.is_multicast or address.is_unspecified):
        raise Misconfigured("address_refused")
    loopback = host == "localhost" if address is None else address.is_loopback
    if url.scheme == "http" and not loopback and not insecure:
        raise Misconfigured("store_insecure_url")
