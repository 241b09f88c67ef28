"""What every conformance check needs: a plugin's kind behind the real host, a fault proxy before the real server.

A platform's tests make a `Bench` and call `checks`. The truth about the server comes from the lab, never from the
plugin.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from rotator.daemon.clock import SystemClock
from rotator.effects.host import Acting, Connection, Gateway, HostedPlatform
from rotator.effects.platforms import Call
from rotator.plugin_api import (
    Generation,
    Installed,
    InstallRequest,
    Plugin,
    Probed,
    ProbeRequest,
    Revoked,
    RevokeRequest,
    Secret,
    Subject,
)
from tests.lab.proxy import Proxy

SECONDS = 8.0
_SERIAL = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Credential:
    """A value that the bench made, and what it is known by."""

    value: str = field(repr=False)
    target: Generation


@dataclass(frozen=True, slots=True)
class Bench:
    """`write` and `probe_path`: regular expressions of the paths of the installing and the probing request.

    `accepts(value)`: whether the server takes a value, asked past plugin and proxy. `stored()`: the handles it holds.
    `refusal`: a declared slug that the probe gives for a dead value.
    """

    plugin: Plugin[Any]
    kind: str
    proxy: Proxy
    admin: str
    admin_value: str = field(repr=False)
    admin_handle: str | None = field(default=None, kw_only=True)
    subject: Subject
    scopes: frozenset[str]
    write: str
    probe_path: str
    refusal: str
    accepts: Callable[[str], bool]
    stored: Callable[[], Iterable[str]]
    settings: Mapping[str, str | int | bool] = field(default_factory=dict)

    def platform(self, admin_value: str | None = None, url: str = "") -> HostedPlatform:
        """The kind behind the host, through the proxy (or at `url`), acting with the admin's value (or another)."""
        config = {"url": url or self.proxy.url, **self.settings}
        connection = Connection(name="bench", plugin=self.plugin, config=config, admin=self.admin)
        acting = self.admin_value if admin_value is None else admin_value
        handle = None if self.admin_handle is None else Secret(self.admin_handle)
        return Gateway(SystemClock(), "0").platform(connection, self.kind, lambda: Acting(Secret(acting), handle))

    def fresh(self, subject: Subject | None = None) -> Credential:
        """A new value with a new label, not yet known to the server."""
        label = f"rot-t{secrets.token_hex(3)}-{next(_SERIAL)}"
        kind = next(one for one in self.plugin.kinds if one.name == self.kind)
        handle = label if kind.traits.handle_is_label else None
        value = "Canary" + secrets.token_hex(kind.value.max)[: kind.value.max - 6]
        return Credential(value, Generation(subject=subject or self.subject, handle=handle, label=label))

    def call(self, seconds: float = SECONDS) -> Call:
        return Call(run="conformance", seconds=seconds)

    def install(
        self,
        credential: Credential,
        platform: HostedPlatform | None = None,
        *,
        scopes: frozenset[str] | None = None,
        expires_at: datetime | None = None,
        seconds: float = SECONDS,
    ) -> Installed:
        request = InstallRequest(
            into=credential.target.subject,
            value=Secret(credential.value),
            of=credential.target,
            label=credential.target.label,
            scopes=self.scopes if scopes is None else scopes,
            expires_at=expires_at,
        )
        return (platform or self.platform()).install(self.call(seconds), request)

    def installed(self, subject: Subject | None = None) -> Credential:
        """A value that the server has, with the handle that the answer gave."""
        credential = self.fresh(subject)
        handle = self.install(credential).handle
        return replace(credential, target=replace(credential.target, handle=handle or credential.target.handle))

    def probe(self, credential: Credential, platform: HostedPlatform | None = None, seconds: float = SECONDS) -> Probed:
        request = ProbeRequest(target=credential.target, value=Secret(credential.value))
        return (platform or self.platform()).probe(self.call(seconds), request)

    def revoke(self, credential: Credential, platform: HostedPlatform | None = None) -> Revoked:
        request = RevokeRequest(target=credential.target)
        return (platform or self.platform()).revoke(self.call(), request)
