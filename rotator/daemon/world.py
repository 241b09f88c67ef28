"""One configuration, opened: its stores, its plugins bound to endpoints, the admin values that act there.

Made by `live`; `perform` sees it as its `World`. What a configuration can be refused for beyond its text (a plugin that
does not load, an endpoint that its plugin does not accept) is refused here. Opening sends nothing.
"""

from __future__ import annotations

from dataclasses import replace
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
from rotator.effects.stores.attended import Attended
from rotator.effects.stores.contract import Store
from rotator.effects.stores.opening import Deliveries, LocalConfig, StoreConfig, VaultConfig, open_store
from rotator.effects.stores.reasons import REASONS as STORE_REASONS
from rotator.engine.ports import Clock
from rotator.engine.protection import Listener, Nobody, Rules, Target
from rotator.engine.protection import store as store_target
from rotator.engine.traits import KindTraits
from rotator.plugin_api import Misconfigured
from rotator.settings import models
from rotator.settings.connections import AwsStore, Endpoint, LocalStore
from rotator.settings.freezes import freezes_of
from rotator.settings.limits import Limits, rules_of
from rotator.settings.problems import ConfigurationRefused, Problem

from .acting import Admin, reader
from .aws_settings import aws_config
from .endpoint_traits import overrides_of
from .store_login import login_of, notes_of
from .workers import reserved_of


class World:
    """One configuration, opened. Implements `effects.platforms.World`."""

    def __init__(
        self,
        settings: models.Configuration,
        clock: Clock,
        version: str,
        deliveries: Deliveries | None = None,
        listener: Listener | None = None,
    ) -> None:
        self.settings = settings
        self.freezes = freezes_of(settings.freezes)
        self._clock, self._version = clock, version
        self._gateway = Gateway(clock, version, listener)
        # Whoever opens a world of his own beside the daemon's must not use up what was delivered to the daemon.
        given = deliveries or Deliveries(look_only=True)
        self.stores = _opened(settings, clock, f"rotator/{version} (store)", given)
        self._rules: dict[Target, Rules] = {}
        heard = listener or Nobody()
        self._attended = {name: Attended(one, store_target(name), heard) for name, one in self.stores.items()}
        try:
            self._bind_all()
        except BaseException:
            self.close()
            raise

    def _bind_all(self) -> None:
        settings, clock = self.settings, self._clock
        self.plugins = _discover(settings)
        self._admins = {
            name: Admin(reader(self.stores, endpoint.admin), clock)
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
                self.kinds[name, kind.name] = to_kind_traits(kind, overrides_of(endpoint))
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
        found = self._attended.get(name)
        if found is None:
            raise Misconfigured("unknown_store")
        return found

    def rules(self, target: Target) -> Rules:
        """How an endpoint or store is protected; what is no longer configured as anything of which nothing is said."""
        found = self._rules.get(target)
        if found is None:
            one = (self.settings.stores if target.sort == "store" else self.settings.endpoints).get(target.name)
            workers = self.settings.daemon.workers
            found = rules_of(Limits() if one is None else one.limits, workers - reserved_of(workers))
            self._rules[target] = found
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


def _opened(settings: models.Configuration, clock: Clock, agent: str, deliveries: Deliveries) -> dict[str, Store]:
    """All stores; `agent`: what their servers will see of us. What a store cannot be opened with (an unreadable
    `ca`, a key that is open to others) is told like every other mistake in the configuration; what was opened before it
    is closed again."""
    found: dict[str, Store] = {}
    for name in settings.stores:
        try:
            config = _store_config(settings, name)
            named = replace(config, user_agent=agent) if not isinstance(config, LocalConfig) else config
            found[name] = open_store(named, clock, deliveries)
        except Misconfigured as wrong:
            for one in found.values():
                one.close()
            words = f"store `{name}`: {STORE_REASONS.get(wrong.reason, wrong.reason)} ({wrong.reason})"
            raise refused("CFG-STORE", words) from None
    return found


def _store_config(settings: models.Configuration, name: str) -> StoreConfig:
    one = settings.stores[name]
    if isinstance(one, AwsStore):
        return aws_config(settings, one)
    if isinstance(one, LocalStore):
        return LocalConfig(Path(one.path), Path(one.key.file), settings.installation)
    call_s = min(30.0, settings.daemon.deadline / 1000)
    return VaultConfig(
        url=one.url, installation=settings.installation, auth=login_of(one.auth),
        ca=None if one.ca is None else Path(one.ca),
        mount=one.mount, namespace=one.namespace or "", insecure=one.insecure, call_s=call_s,
        read_s=min(10.0, call_s), connect_s=min(5.0, call_s), pool=settings.daemon.workers + 4,
        name=name, notes=notes_of(settings.daemon),
    )  # fmt: skip
