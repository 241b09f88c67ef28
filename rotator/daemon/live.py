"""What is configured now: settings, plugins, stores, platforms. One whole object, replaced as a whole at a reload.

Made by the bootstrap; `perform` sees it as its `World`. A reload that fails leaves the old one standing. Endpoints with
a live placement may not be removed (R21): a reload that does it is refused.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

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
from rotator.effects.inspect import AdminRef, Inspection, read_value
from rotator.effects.stores.contract import Store
from rotator.effects.stores.opening import AppRole, LocalConfig, TokenFile, VaultConfig, open_store
from rotator.engine.inventory import CredentialId
from rotator.engine.opening import Opener
from rotator.engine.planning import Planner, Spans, TraitsOf
from rotator.engine.ports import Clock, Ledger
from rotator.engine.traits import KindTraits
from rotator.machine.facts import OWED
from rotator.plugin_api import Misconfigured, PluginError, Secret
from rotator.settings import definitions, loader, models
from rotator.settings.connections import Endpoint, VaultStore
from rotator.settings.documents import digests, files_of
from rotator.settings.problems import ConfigurationRefused, Problem

DOCUMENT = "configuration"
ADMIN_FRESH_S = 30.0


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
        self._clock = clock
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
        connection = Connection(
            name=name, plugin=loaded.plugin, config=dict(endpoint.config),
            admin="" if endpoint.admin is None else endpoint.admin.principal,
            insecure=endpoint.insecure, origins=tuple(endpoint.origins),
        )  # fmt: skip
        for kind in loaded.plugin.kinds:
            try:
                platform = self._gateway.platform(connection, kind.name, self._admins.get(name))
            except ConfigFault as fault:
                raise refused("CFG-PLUGIN-CONFIG", f"endpoint `{name}`: {fault}") from None
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

    def close(self) -> None:
        """Close every store."""
        for store in self.stores.values():
            store.close()


class Live:
    """The present world, and the way to the next one."""

    def __init__(self, path: Path, clock: Clock, closing: ExitStack, version: str) -> None:
        self._path, self._clock, self._version = path, clock, version
        self._digests: Mapping[str, str] = {}
        self.world = self._load()
        closing.callback(lambda: self.world.close())

    @property
    def settings(self) -> models.Configuration:
        """What is configured."""
        return self.world.settings

    @property
    def stores(self) -> Mapping[str, Store]:
        """The stores by name."""
        return self.world.stores

    @property
    def traits(self) -> TraitsOf:
        """Traits by endpoint and kind."""
        return self.world.traits

    @property
    def planner(self) -> Planner:
        """Plans for what is configured now."""
        daemon = self.settings.daemon
        return Planner(self.world.traits, Spans(deadline=daemon.deadline, landing=daemon.landing))

    def platform(self, endpoint: str, kind: str) -> HostedPlatform:
        """See `World`."""
        return self.world.platform(endpoint, kind)

    def store(self, name: str) -> Store:
        """See `World`."""
        return self.world.store(name)

    def opener(self, ledger: Ledger, new_id: Callable[[], str], owner: str) -> Opener:
        """Opens runs with plans of what is configured at that moment."""
        return Opener(ledger, self._clock, lambda definition, kind: self.planner.plan(definition, kind), new_id, owner)

    def inspection(self) -> Inspection:
        """Reads of the present world."""
        return Inspection(self, self._admin_ref, self._kinds_of, self._described)

    def accept(self, ledger: Ledger) -> list[CredentialId]:
        """Give the definitions to the ledger; the credentials whose definition is new or another."""
        known = {row.definition.id: row.definition for row in ledger.credentials()}
        wanted = definitions.definitions(self.settings)
        changed = [name for name, one in wanted.items() if known.get(name) != one]
        gone = [row.definition.id for row in ledger.credentials() if row.managed and row.definition.id not in wanted]
        if changed or gone or dict(ledger.digests()) != dict(self._digests):
            ledger.accept(list(wanted.values()), self._digests, self._clock.now())
            ledger.keep_document(DOCUMENT, models.to_json(self.settings))
        return [*changed, *gone]

    def reload(self, ledger: Ledger) -> dict[str, Any]:
        """Load anew, or raise ConfigurationRefused with the old world untouched."""
        before = set(self.settings.credentials)
        new = self._load()
        try:
            self._refuse_orphans(new, ledger)
        except ConfigurationRefused:
            new.close()
            raise
        old, self.world = self.world, new
        old.close()
        changed = self.accept(ledger)
        after = set(self.settings.credentials)
        return {
            "changed": bool(changed), "added": sorted(after - before), "unmanaged": sorted(before - after),
            "changed_ids": sorted(changed),
        }  # fmt: skip

    def _load(self) -> World:
        """Everything that a configuration can be refused for, before anything is opened on it."""
        loaded = loader.load(self._path, now=self._clock.now())
        world = World(loaded.configuration, self._clock, self._version)
        try:
            loader.check_traits(loaded, world.kinds)
        except ConfigurationRefused:
            world.close()
            raise
        self._digests = digests(files_of(self._path))
        return world

    def _refuse_orphans(self, new: World, ledger: Ledger) -> None:
        """R21: what may be alive at an endpoint needs that endpoint."""
        needed = {
            (home.endpoint, row.definition.id)
            for row in ledger.credentials()
            for (_, home), placement in row.facts.placements.items()
            if placement.state in OWED
        }
        lost = sorted((e, c) for e, c in needed if e not in new.settings.endpoints)
        if lost:
            raise ConfigurationRefused(
                [
                    Problem(
                        "CFG-ENDPOINT-IN-USE",
                        f"endpoint `{e}` is removed, but `{c}` may be alive there",
                        "",
                        str(self._path),
                    )
                    for e, c in lost
                ]
            )

    def _admin_ref(self, endpoint: str) -> AdminRef | None:
        one = self.settings.endpoints.get(endpoint)
        if one is None:
            raise Misconfigured("unknown_endpoint")
        if one.admin is None or one.admin.value.store is None:
            return None
        ref = one.admin.value
        return AdminRef(str(ref.store), str(ref.path), str(ref.field))

    def _kinds_of(self, endpoint: str) -> Sequence[str]:
        if endpoint not in self.settings.endpoints:
            raise Misconfigured("unknown_endpoint")
        return [kind.name for kind in self.world.loaded(endpoint).plugin.kinds]

    def _described(self) -> Sequence[Mapping[str, Any]]:
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for name in self.settings.endpoints:
            loaded = self.world.loaded(name)
            one = found.setdefault(
                (loaded.name, loaded.pack),
                {
                    "plugin": loaded.name, "pack": loaded.pack, "version": loaded.version, "digest": loaded.digest,
                    "endpoints": [],
                    "kinds": [{"kind": kind.name, "title": kind.title} for kind in loaded.plugin.kinds],
                },
            )  # fmt: skip
            one["endpoints"].append(name)
        return list(found.values())


def refused(code: str, words: str) -> ConfigurationRefused:
    """A refusal that has no line of its own."""
    return ConfigurationRefused([Problem(code, words, "", "")])


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
