"""The reads of a heartbeat: implements the engine's `Pulse`. Reads only, and never tries a value that is not current.

Called by the daemon's rounds. What the store shows is named by its fingerprint, else by its stage, and only if it is
the value that should serve is it tried, once a home. A list is asked only where that try was refused.
"""

from __future__ import annotations

from collections.abc import Mapping

from rotator.engine.heartbeat import Beat, Felt
from rotator.engine.inventory import AuthorityRef, Credential
from rotator.machine.facts import Facts
from rotator.machine.ids import Gen, Home
from rotator.machine.reading import current_known
from rotator.plugin_api import Alive, Generation, Inconclusive, PluginError, ProbeRequest, Secret

from .fingerprint import Fingerprints
from .inspect import SECONDS
from .platforms import Call, Platform, World
from .values import authority_of, slot_of, subject_of


class HeartbeatPulse:
    """Of one installation; `fingerprints` as the ledger was founded with."""

    def __init__(self, world: World, fingerprints: Fingerprints) -> None:
        self._world, self._fingerprints = world, fingerprints

    def feel(self, definition: Credential, facts: Facts, known: Mapping[Gen, str]) -> Beat:
        """See `Pulse`."""
        current = current_known(facts)
        try:
            store, slot = self._world.store(definition.store.store), slot_of(definition)
            value = store.current(slot).value
            if value is None:
                return Beat("absent")
            gen = self._named(definition, known, value, current)
            if gen is None:  # one that was never fingerprinted is known by its stage
                staged = ((n, store.read(slot, int(n))) for n in sorted(facts.stored, reverse=True) if n not in known)
                gen = next((n for n, held in staged if held is not None and held.matches(value)), None)
        except PluginError as error:
            return Beat("unreachable", reason=error.reason)
        if gen is None:
            return Beat("foreign")
        if gen != current:
            return Beat("ours", gen)
        return Beat(
            "ours", gen, homes=tuple(self._at(definition, facts, gen, home, value) for home in facts.homes[gen])
        )

    def _named(
        self, definition: Credential, known: Mapping[Gen, str], value: Secret, current: Gen | None
    ) -> Gen | None:
        text = self._fingerprints.of(definition.id, value)
        named = [gen for gen, print_ in known.items() if print_ == text]
        return current if current in named else max(named, default=None)

    def _at(self, definition: Credential, facts: Facts, gen: Gen, home: Home, value: Secret) -> Felt:
        try:
            authority = authority_of(definition, home)
            platform = self._world.platform(authority.endpoint, authority.kind)
            if platform.kind.probe is None:
                return Felt(str(home), "inconclusive", "no_such_ability")
            target = Generation(subject=subject_of(authority, home), handle=facts.handles.get((gen, home)))
            answer = platform.probe(Call(run="heartbeat", seconds=SECONDS), ProbeRequest(target=target, value=value))
        except PluginError as error:
            return Felt(str(home), "inconclusive", error.reason)
        if isinstance(answer, Inconclusive):
            return Felt(str(home), "inconclusive", answer.reason)
        if isinstance(answer, Alive):
            if platform.kind.traits.identity and answer.principal != home.principal:
                return Felt(str(home), "stranger", "wrong_identity")
            if answer.scopes is not None and not frozenset(authority.scopes) <= answer.scopes:
                return Felt(str(home), "lacks", "scopes_missing")
            return Felt(str(home), "alive")
        return Felt(str(home), "rejected", answer.reason, self._older(platform, authority, facts, gen, home))

    def _older(self, platform: Platform, authority: AuthorityRef, facts: Facts, gen: Gen, home: Home) -> Gen | None:
        """An older value of ours that is listed as active there, by its own handle; None where none is, or none
        knows."""
        mine = {str(handle): other for (other, where), handle in facts.handles.items() if where == home and other < gen}
        if platform.kind.list is None or not mine:
            return None
        try:
            rows = platform.listing(Call(run="heartbeat", seconds=SECONDS), subject_of(authority, home))
        except PluginError:
            return None
        return max((mine[row.handle] for row in rows if row.active and row.handle in mine), default=None)
