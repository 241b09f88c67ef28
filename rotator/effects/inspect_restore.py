"""The world beside a restored ledger: implements the engine's `Comparer`. Reads only.

Called by `rotator reconcile`. What the store shows its readers is named by fingerprint, tried once at each home, and
the platforms are asked for what bears our label. Must never write, and never try a value that the store does not show:
a refused try counts against a lock-out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rotator.engine.inspection import Seen
from rotator.engine.inventory import AuthorityRef, Credential, Source
from rotator.engine.observation import Beyond, Compared
from rotator.engine.strays import installation_of
from rotator.machine.facts import Facts
from rotator.machine.ids import Gen, Home
from rotator.plugin_api import Generation, PluginError, ProbeRequest, Secret

from .fingerprint import Fingerprints
from .inspect import call, hinted, told
from .platforms import World
from .stores.contract import Current, Slot, Store
from .values import slot_of, subject_of

AHEAD = 4
"""How many numbers beyond the ledger's are looked for among the staged values: the first lost ones are enough."""


class Comparison:
    """Of one installation; `fingerprints` as the ledger was founded with."""

    def __init__(self, world: World, fingerprints: Fingerprints, installation: str) -> None:
        self._world, self._fingerprints, self._installation = world, fingerprints, installation

    def compare(self, definition: Credential, facts: Facts, known: Mapping[Gen, str]) -> Compared:
        """See `Comparer`."""
        slot = slot_of(definition)
        try:
            store = self._world.store(definition.store.store)
            now = store.current(slot)
            staged = self._staged(store, slot, facts.top)
            shown = self._shown(definition, facts, known, now.value, store, slot)
        except PluginError as error:
            return Compared(unread=(error.reason,))
        homes: list[Seen] = []
        if now.value is not None:
            homes = [self._tried(definition, facts, shown, one, now) for one in hinted(definition, now.fields)]
        beyond, unlisted = self._beyond(definition)
        unread = tuple(one.reason for one in homes if one.answer == "inconclusive") + unlisted
        return Compared(shown, now.value is None, staged, homes, beyond, unread)

    def _staged(self, store: Store, slot: Slot, top: Gen) -> tuple[int, ...]:
        return tuple(n for n in range(top + 1, top + 1 + AHEAD) if store.read(slot, n) is not None)

    def _shown(
        self, definition: Credential, facts: Facts, known: Mapping[Gen, str], value: Secret | None, store: Store,
        slot: Slot,
    ) -> Gen | None:  # fmt: skip
        """Whose value it is: by fingerprint; one that was never observed, by its stage."""
        if value is None:
            return None
        text = self._fingerprints.of(definition.id, value)
        named = sorted(gen for gen, print_ in known.items() if print_ == text)
        if named:
            return named[-1]
        for gen in sorted(facts.stored, reverse=True):
            staged = store.read(slot, int(gen))
            if staged is not None and staged.matches(value):
                return gen
        return None

    def _tried(
        self, definition: Credential, facts: Facts, shown: Gen | None, authority: AuthorityRef, now: Current
    ) -> Seen:
        """One probe; of a pair the principal that the value is known or said to belong to, else each until one takes
        it."""
        assert now.value is not None
        meant = [home for home in facts.homes.get(shown, ()) if home.endpoint == authority.endpoint] if shown else []
        said = [now.fields.get(one.name) for one in definition.store.fields if one.source is Source.PRINCIPAL]
        names = [home.principal for home in meant] or [one for one in authority.principals if one in said]
        last = Seen(authority.endpoint, "inconclusive", "no_principal")
        for principal in names or authority.principals:
            home = Home(authority.endpoint, principal)
            handle = facts.handles.get((shown, home)) if shown is not None else authority.handle
            try:
                platform = self._world.platform(authority.endpoint, authority.kind)
                target = Generation(subject=subject_of(authority, home), handle=handle)
                answer = platform.probe(call(), ProbeRequest(target=target, value=now.value))
                last = Seen(str(home), *told(answer, principal, platform))
            except PluginError as error:
                last = Seen(str(home), "inconclusive", error.reason)
            if last.answer != "rejected":
                return last
        return last

    def _beyond(self, definition: Credential) -> tuple[Sequence[Beyond], tuple[str, ...]]:
        """Everything live that bears a label of this installation at the credential's homes: who asks knows whose."""
        found: list[Beyond] = []
        unlisted: list[str] = []
        for authority in definition.authorities:
            for principal in authority.principals:
                try:
                    platform = self._world.platform(authority.endpoint, authority.kind)
                    if platform.kind.list is None:
                        continue
                    rows = platform.listing(call(), subject_of(authority, Home(authority.endpoint, principal)))
                except PluginError as error:
                    unlisted.append(error.reason)
                    continue
                found += [
                    Beyond(authority.endpoint, row.principal or principal, str(row.label), row.handle)
                    for row in rows
                    if row.active
                    and installation_of(row.label or "") == self._installation
                    and row.principal in (None, principal)
                ]
        return found, tuple(unlisted)
