"""One configuration, opened: its stores, its plugins bound to endpoints, the admin values that act there.

Made by `live`; `perform` sees it as its `World`. What a configuration can be refused for beyond its text (a plugin that
does not load, an endpoint that its plugin does not accept) is refused here. Opening sends nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from rotator.effects.host import (
    BrokenPlugin,
    ConfigFault,
    Connection,
    Gateway,
    HostedPlatform,
    Loaded,
    discover,
    to_kind_traits,
)
from rotator.effects.inspect import read_value
from rotator.effects.stores.contract import Store
from rotator.effects.stores.opening import AppRole, LocalConfig, TokenFile, VaultConfig, open_store
from rotator.engine.ports import Clock
from rotator.engine.traits import KindTraits
from rotator.plugin_api import Misconfigured, PluginError, Secret
from rotator.settings import models
from rotator.settings.connections import Endpoint, VaultStore
from rotator.settings.problems import ConfigurationRefused, Problem

ADMIN_FRESH_S = 1.0


class Admin:
    """An endpoint's acting value: read from its reference, kept for a while, so that a store that does not answer
    cannot shield a leaked key from being revoked."""

    def __init__(self, read: Callable[[], Secret], clock: Clock) -> None:
        self._read, self._clock = read, clock
        self._lock = threading.Lock()
        self._kept: tuple[Secret, float] | None = None

    def __call__(self) -> Secret:
        with self._lock:
            kept = self._kept
            if kept is not None and self._clock.monotonic() - kept[1] < ADMIN_FRESH_S:
                return kept[0]
            try:
                value = self._read()
            except PluginError:
                if kept is None:
                    raise
                return kept[0]
            self._kept = (value, self._clock.monotonic())
            return value


class World:
    """One configuration, opened. Implements `effects.platforms.World`."""

    def __init__(self, settings: models.Configuration, clock: Clock, version: str) -> None:
        self.settings = settings
        self._clock, self._version = clock, version
        self._gateway = Gateway(clock, version)
        self.stores = {name: open_store(_store_config(settings, name), clock) for name in settings.stores}
        self.plugins = _discover(settings)
        self._admins = {
            name: Admin(_reader(self.stores, endpoint), clock)
            for name, endpoint in settings.endpoints.items()
            if endpoint.admin is not None
        }
        self._platforms: dict[tuple[str, str], HostedPlatform] = {}
        self.kinds: dict[tuple[str, str], KindTraits] = {}
        for name, endpoint in settings.endpoints.items():
            self._bind(name, endpoint)

    def _bind(self, name: str, endpoint: Endpoint) -> None:
        loaded = self.loaded(name)
        _refuse_http_keys(name, endpoint, loaded)
        connection = Connection(
            name=name, plugin=loaded.plugin, config=dict(endpoint.config),
            admin="" if endpoint.admin is None else endpoint.admin.principal,
            insecure=endpoint.insecure, ca=None if endpoint.ca is None else Path(endpoint.ca),
        )  # fmt: skip
        for kind in loaded.plugin.kinds:
            try:
                platform = self._gateway.platform(connection, kind.name, self._admins.get(name))
            except ConfigFault as fault:
                raise refused("CFG-PLUGIN-CONFIG", f"endpoint `{name}`: {fault}") from None
            except Misconfigured:  # at this moment nothing but the file of authorities is opened
                raise refused("CFG-PLUGIN-CONFIG", f"endpoint `{name}`: `ca` cannot be read as PEM") from None
            self._platforms[name, kind.name] = platform
            try:
                self.kinds[name, kind.name] = to_kind_traits(kind, _overrides(endpoint))
            except ValueError as fault:
                raise refused("CFG-TRAITS", f"endpoint `{name}`: {fault}") from None

    def loaded(self, endpoint: str) -> Loaded:
        """The plugin behind an endpoint."""
        one = self.settings.endpoints[endpoint]
        return self.plugins[one.plugin, one.pack or ""]

    def platform(self, endpoint: str, kind: str) -> HostedPlatform:
        """See `World`."""
        if endpoint not in self.settings.endpoints:
            raise Misconfigured("unknown_endpoint")
        found = self._platforms.get((endpoint, kind))
        if found is None:
            raise Misconfigured("unknown_kind")
        return found

    def store(self, name: str) -> Store:
        """See `World`."""
        found = self.stores.get(name)
        if found is None:
            raise Misconfigured("unknown_store")
        return found

    def traits(self, endpoint: str, kind: str) -> KindTraits:
        """The traits of a kind at an endpoint. LookupError in words."""
        found = self.kinds.get((endpoint, kind))
        if found is None:
            raise LookupError(f"endpoint {endpoint} with kind {kind} is not configured")
        return found

    def digests(self) -> dict[str, str]:
        """What else the judgement of a configuration hung on: this release, and the plugins as they are installed."""
        plugins = {f"plugin:{name}:{pack}": one.digest for (name, pack), one in self.plugins.items()}
        return plugins | {"release:": self._version}

    def close(self) -> None:
        """Close every store."""
        for store in self.stores.values():
            store.close()


def refused(code: str, words: str) -> ConfigurationRefused:
    """A refusal that has no line of its own."""
    return ConfigurationRefused([Problem(code, words, "", "")])


def _refuse_http_keys(name: str, endpoint: Endpoint, loaded: Loaded) -> None:
    """Keys of the HTTP transport would do nothing for a plugin that makes no HTTP calls."""
    said = [key for key in ("ca", "insecure") if getattr(endpoint, key)]
    if said and not loaded.plugin.routes:
        words = f"endpoint `{name}`: `{said[0]}` is for HTTP; the connection of this plugin is set under `config`"
        raise refused("CFG-PLUGIN-CONFIG", words)


def _discover(settings: models.Configuration) -> dict[tuple[str, str], Loaded]:
    wanted = [(one.plugin, one.pack or "") for one in settings.endpoints.values()]
    try:
        return discover(wanted, settings.allowed_plugins)
    except BrokenPlugin as broken:
        raise refused("CFG-PLUGIN", str(broken)) from None


def _store_config(settings: models.Configuration, name: str) -> VaultConfig | LocalConfig:
    one = settings.stores[name]
    if not isinstance(one, VaultStore):
        return LocalConfig(Path(one.path), Path(one.key.file), settings.installation)
    auth: AppRole | TokenFile
    if one.auth.approle is not None:
        auth = AppRole(one.auth.approle.role_id, Path(one.auth.approle.secret_id.file), one.auth.approle.mount)
    elif one.auth.token is not None:
        auth = TokenFile(Path(one.auth.token.file))
    else:
        raise AssertionError("the model demands one of both")
    call_s = min(30.0, settings.daemon.deadline / 1000)
    return VaultConfig(
        url=one.url, installation=settings.installation, auth=auth, ca=None if one.ca is None else Path(one.ca),
        mount=one.mount, namespace=one.namespace or "", insecure=one.insecure, call_s=call_s,
        read_s=min(10.0, call_s), connect_s=min(5.0, call_s), pool=settings.daemon.workers + 4,
    )  # fmt: skip


def _reader(stores: Mapping[str, Store], endpoint: Endpoint) -> Callable[[], Secret]:
    if endpoint.admin is None:
        raise AssertionError("asked for endpoints with an admin only")
    ref = endpoint.admin.value
    if ref.file is not None:
        path = Path(ref.file)
        return lambda: read_value(path)

    def read() -> Secret:
        value = stores[str(ref.store)].fetch(str(ref.path), str(ref.field))
        if value is None:
            raise Misconfigured("admin_value_missing")
        return value

    return read


def _overrides(endpoint: Endpoint) -> dict[str, int]:
    """The numbers that an endpoint sets otherwise, in milliseconds."""
    traits, found = endpoint.traits, {}
    for name, value in (
        ("settle_ms", traits.settle), ("old_lives_ms", traits.old_lives), ("live", traits.live),
        ("derived_live_ms", traits.derived_live),
    ):  # fmt: skip
        if value is not None:
            found[name] = value
    if traits.probe_limit is not None:
        found |= {"probe_failures": traits.probe_limit.failures, "probe_per_ms": traits.probe_limit.per}
    return found
