"""How far this machine's clock is from those of the servers that it works with: their `Date` headers are read.

Called by the doctor. A clock that is wrong breaks signatures (AWS), tokens with a life (JWT), and windows. One request
for `/` per server, without any credential. Must never follow an answer or keep its body.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from rotator.effects.transport import Outgoing, Transport, TransportFault
from rotator.engine.ports import Clock
from rotator.plugin_api import Misconfigured
from rotator.settings.connections import VaultStore
from rotator.settings.models import Configuration

from . import advice

MOST: Final = 30.0
"""Seconds of difference that are accepted."""
_SECONDS: Final = 5.0


def clock_checks(settings: Configuration, clock: Clock) -> Iterator[dict[str, str]]:
    """A finding per server that tells the time; a server that does not answer is told elsewhere."""
    for origin, (ca, insecure) in sorted(_origins(settings).items()):
        said = _date_of(origin, ca, insecure, clock)
        if said is None:
            continue
        off = clock.now() / 1000 - said
        found = {"area": "clock", "subject": origin, "verdict": "ok", "says": "within 30 seconds of ours"}
        if abs(off) > MOST:
            word = "ahead of" if off > 0 else "behind"
            found |= {
                "verdict": "fails", "code": "ROT-CLOCK", "do": advice.of("ROT-CLOCK").do,
                "says": f"our clock is {abs(off):.0f} s {word} this server's",
            }  # fmt: skip
        yield found


def _origins(settings: Configuration) -> dict[str, tuple[Path | None, bool]]:
    found: dict[str, tuple[Path | None, bool]] = {}
    for store in settings.stores.values():
        if isinstance(store, VaultStore):
            found[_origin(store.url)] = (None if store.ca is None else Path(store.ca), store.insecure)
    for endpoint in settings.endpoints.values():
        url = endpoint.config.get("url")
        if isinstance(url, str) and url.startswith(("http://", "https://")):
            found[_origin(url)] = (None if endpoint.ca is None else Path(endpoint.ca), bool(endpoint.insecure))
    return found


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _date_of(origin: str, ca: Path | None, insecure: bool, clock: Clock) -> float | None:
    """The server's time, in seconds since 1970; None: it says nothing that can be read."""
    request = Outgoing("GET", origin, "/", {"User-Agent": "rotator (doctor: clock)", "Accept": "*/*"})
    try:
        answer = Transport(clock, ca=ca, insecure=insecure).exchange(request, _SECONDS)
        moment = parsedate_to_datetime(answer.headers["date"])
    except (TransportFault, Misconfigured, KeyError, ValueError, TypeError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
