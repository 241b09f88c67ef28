"""By which handle a value is tried outside a run: the ledger's; at adoption, the one that stands beside the value."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rotator.effects.inspect import Inspection
from rotator.effects.stores.contract import Current, Version
from rotator.engine.inventory import AuthorityRef, FieldMap, Source
from rotator.machine.facts import Facts
from rotator.machine.frozen import FrozenMap
from rotator.machine.ids import Gen, Handle, Home
from rotator.plugin_api import (
    Alive,
    Inconclusive,
    Kind,
    Lists,
    Lost,
    Origin,
    Probed,
    ProbeRequest,
    Revokes,
    Role,
    Secret,
    Traits,
)
from tests.unit.engine_bench import credential

HOME = Home("aws", "svc")


class Platform:
    """A platform that accepts a value only beside its own id, as one does that signs requests with both."""

    admin = "rotator"
    kind: Kind[Any] = Kind(
        name="access-key",
        title="A key",
        traits=Traits(
            role=Role.AUTHORITY, origin=Origin.ISSUED, lost=Lost.BY_SNAPSHOT, live=2, lists=Lists.ALL, old_lives=None,
            revokes=Revokes.ONE,
        ),
        revoke=lambda at, request: None,  # type: ignore[arg-type, return-value]
    )  # fmt: skip

    def __init__(self, own: str) -> None:
        self.own = own
        self.tried: list[str | None] = []

    def probe(self, call: Any, request: ProbeRequest) -> Probed:
        self.tried.append(request.target.handle)
        if request.target.handle != self.own:
            return Inconclusive(reason="signature_refused")
        return Alive(principal="svc", handle=self.own)


class World:
    """One platform, and a store with one secret."""

    def __init__(self, platform: Platform, fields: dict[str, str]) -> None:
        self._platform, self._fields = platform, fields

    def platform(self, endpoint: str, kind: str) -> Any:
        return self._platform

    def store(self, name: str) -> Any:
        return self

    def current(self, slot: Any) -> Current:
        return Current(Version("1"), Secret("canary-value"), self._fields)


def definition(configured: str | None) -> Any:
    one = credential("one")
    authority = AuthorityRef("aws", "access-key", ("svc",), handle=configured)
    fields = (FieldMap("user", Source.PRINCIPAL), FieldMap("key_id", Source.HANDLE))
    return replace(one, authorities=(authority,), store=replace(one.store, fields=fields), consumers=())


def inspection(world: World) -> Inspection:
    return Inspection(world, lambda name: None, lambda name: [], list)


@pytest.mark.parametrize(
    ("fields", "configured", "tried"),
    [
        ({"key_id": "id-1"}, None, "id-1"),
        ({"key_id": "id-1"}, "id-2", "id-2"),
        ({"user": "svc"}, "id-2", "id-2"),
        ({"user": "svc"}, None, None),
        ({"key_id": ""}, None, None),
    ],
)
def test_adoption_tries_the_configured_handle_or_the_one_beside_the_value(
    fields: dict[str, str], configured: str | None, tried: str | None
) -> None:
    platform = Platform(tried or "id-1")
    found = inspection(World(platform, fields)).adoptable(definition(configured))
    assert platform.tried == [tried]
    assert found.handles == (((HOME, Handle(tried)),) if tried else ())
    assert bool(found.refused) == (tried is None)


def test_a_handle_beside_the_value_that_is_another_ones_is_not_believed() -> None:
    platform = Platform("id-9")
    found = inspection(World(platform, {"key_id": "id-1"})).adoptable(definition(None))
    assert (found.handles, found.refused) == ((), "signature_refused")


def test_verify_tries_what_serves_by_the_handle_of_the_ledger_not_by_the_configured_one() -> None:
    platform = Platform("id-2")
    gen = Gen(2)
    facts = Facts(
        top=gen,
        current=frozenset({gen}),
        homes=FrozenMap({gen: (HOME,)}),
        handles=FrozenMap({(Gen(1), HOME): Handle("id-1"), (gen, HOME): Handle("id-2")}),
    )
    (seen,) = inspection(World(platform, {"key_id": "id-2"})).verify(definition("id-1"), facts)
    assert (platform.tried, seen.answer) == (["id-2"], "alive")
