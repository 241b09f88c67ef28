"""What is configured now: one whole world, replaced as a whole at a reload, and what the ledger accepted of it.

Made by the bootstrap; `perform` sees it as its `World`. A reload that fails leaves the old one standing. Endpoints with
a live placement may not be removed (R21): a start or a reload that does it is refused. With unchanged files the world
is made of what the ledger accepted last.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from rotator.effects.host import HostedPlatform
from rotator.effects.inspect import AdminRef, Inspection
from rotator.effects.inspect_labels import LabelSweep
from rotator.effects.stores.contract import Store
from rotator.effects.stores.opening import Deliveries
from rotator.engine.brake import BrakeRules
from rotator.engine.freezes import Freeze
from rotator.engine.inventory import CredentialId
from rotator.engine.opening import Opener
from rotator.engine.planning import Planner, Spans, TraitsOf
from rotator.engine.ports import Clock, Ledger
from rotator.engine.protection import Heard, Listener, Nobody, Rules, Target
from rotator.machine.ids import Millis
from rotator.plugin_api import Misconfigured
from rotator.settings import definitions, loader, models
from rotator.settings.documents import digests
from rotator.settings.expansion import digests_now
from rotator.settings.folders import files_of
from rotator.settings.freezes import brake_of
from rotator.settings.lint import errors_of
from rotator.settings.problems import ConfigurationRefused, Problem

from .offline import judged
from .orphans import orphans_of
from .store_login import wrapped_stores
from .whereabouts import CONNECTIONS, MANAGED, SCHEDULED, Accepted
from .world import World


@dataclass(frozen=True, slots=True)
class Changes:
    """What became of the definitions. `everything`: due times of all credentials are to be written anew."""

    changed: tuple[CredentialId, ...] = ()
    added: tuple[CredentialId, ...] = ()
    gone: tuple[CredentialId, ...] = ()
    otherwise: bool = False
    """Something beside the credentials changed."""
    everything: bool = False


class Live:
    """The present world, and the way to the next one. `accepted`: what the ledger accepted last; if nothing changed
    since, the world is made of that and no YAML is parsed."""

    def __init__(
        self, path: Path, clock: Clock, closing: ExitStack, version: str, accepted: Accepted | None = None
    ) -> None:
        self._path, self._clock, self._version = path, clock, version
        self._lock = threading.Lock()
        self._left: list[tuple[World, float]] = []
        self.listener: Listener = Nobody()
        self.deliveries = Deliveries()  # over reloads: what was unwrapped can be had only once
        remembered = None if accepted is None else self._remembered(accepted)
        self.managed = 0 if remembered is None or accepted is None else accepted.managed
        self.parsed = remembered is None
        self.world, self._digests = remembered or self._load()
        closing.callback(self._close)

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
        return Planner(self.world.traits, Spans(daemon.deadline, daemon.landing, daemon.backoff, daemon.backoff_max))

    @property
    def freezes(self) -> tuple[Freeze, ...]:
        """The freeze calendar."""
        return self.world.freezes

    def brake(self) -> BrakeRules:
        """What a sudden mass is."""
        return brake_of(self.settings.daemon.brake)

    def rules(self, target: Target) -> Rules:
        """How an endpoint or store is protected."""
        return self.world.rules(target)

    def heard(self, target: Target, what: Heard, calls: int = 1, wait: Millis | None = None) -> None:
        """See `Listener`: the world's calls are heard by whoever listens now."""
        self.listener.heard(target, what, calls, wait)

    def longest(self, target: Target) -> Millis:
        """See `Listener`."""
        return self.rules(target).longest

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

    def reconcile_rules(self) -> tuple[int, int]:
        """The pause before the first reconcile of a debt, and the longest between two."""
        return self.settings.daemon.reconcile, self.settings.daemon.reconcile_max

    def labels(self) -> LabelSweep:
        """Listings of the present world, for sweeps."""
        return LabelSweep(self, self._kinds_of)

    def accept(self, ledger: Ledger) -> Changes:
        """Give what was loaded at the start to the ledger. ConfigurationRefused: it cannot stand (R21)."""
        if not self.parsed:
            return Changes(everything=ledger.document(SCHEDULED) != mark_of(self._digests))
        return self._accept(ledger, self.world, self._digests)

    def scheduled(self, ledger: Ledger) -> None:
        """Every due time that `accept` or `reload` asked for is written."""
        ledger.keep_document(SCHEDULED, mark_of(self._digests))

    def reload(self, ledger: Ledger) -> Changes:
        """Load anew, or raise ConfigurationRefused with the old world untouched. Steps in progress end in the old
        world: its stores are closed when their time is over."""
        with self._lock:
            world, found = self._load()
            try:
                changes = self._accept(ledger, world, found)
            except BaseException:
                world.close()
                raise
            now = self._clock.monotonic()
            self._left.append((self.world, now + self.settings.daemon.deadline / 1000))
            self.world, self._digests = world, found
            self.deliveries.only(wrapped_stores(world.settings.stores))
            over = [one for one, until in self._left if until <= now]
            self._left = [(one, until) for one, until in self._left if until > now]
            for one in over:
                one.close()
            return changes

    def _accept(self, ledger: Ledger, world: World, found: Mapping[str, str]) -> Changes:
        before = dict(ledger.digests())
        wanted = definitions.definitions(world.settings)
        rows = {row.definition.id: row for row in ledger.credentials()}
        lost = orphans_of(world.settings, rows.values())
        if lost:
            raise ConfigurationRefused([Problem(code, words, "", str(self._path)) for code, words in lost])
        known = {name: row.definition for name, row in rows.items() if row.managed}
        changes = Changes(
            changed=tuple(name for name, one in wanted.items() if known.get(name) != one),
            added=tuple(name for name in wanted if name not in known),
            gone=tuple(name for name in known if name not in wanted),
            otherwise=before != found,
            everything=ledger.document(SCHEDULED) != mark_of(before),
        )
        if changes.changed or changes.gone or changes.otherwise:
            # The digests come last: whoever dies in between loads the files again.
            ledger.keep_document(MANAGED, str(len(wanted)))
            ledger.keep_document(CONNECTIONS, models.to_json(world.settings.model_copy(update={"credentials": {}})))
            ledger.accept(list(wanted.values()), found, self._clock.now())
        self.managed = len(wanted)
        return changes

    def _remembered(self, accepted: Accepted) -> tuple[World, dict[str, str]] | None:
        """The world of the accepted configuration, if the files, the plugins and this release are the same."""
        try:
            files = digests(files_of(self._path)) | digests_now(accepted.digests, os.environ)
            if not accepted.connections or not files.items() <= accepted.digests.items():
                return None
            settings = models.from_json(accepted.connections)
        except (OSError, ValueError):  # ValidationError is one: the language changed
            return None
        world = World(settings, self._clock, self._version, self.deliveries, self)
        found = files | world.digests()
        if found != dict(accepted.digests):
            world.close()
            return None
        return world, found

    def _load(self) -> tuple[World, dict[str, str]]:
        """Everything that a configuration can be refused for, before anything is opened on it."""
        loaded = loader.load(self._path, now=self._clock.now())
        wrong = errors_of(judged(loaded))
        if wrong:
            raise ConfigurationRefused(wrong)
        world = World(loaded.configuration, self._clock, self._version, self.deliveries, self)
        # Of what was read, not of what stands there now: a file may change between the two.
        return world, loaded.digests | world.digests()

    def _close(self) -> None:
        for world in (self.world, *(one for one, _ in self._left)):
            world.close()

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


def mark_of(found: Mapping[str, str]) -> str:
    """One text for a set of digests."""
    return sha256(json.dumps(sorted(found.items())).encode()).hexdigest()
