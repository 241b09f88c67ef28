"""Finding, making and rendering values for a step. Used by `perform` only; a value never leaves its call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from rotator.engine.inventory import AuthorityRef, ConsumerRef, Credential, FieldMap, Source
from rotator.engine.ports import Work
from rotator.machine.ids import Gen, Home
from rotator.plugin_api import (
    Failed,
    Generation,
    Kind,
    Misconfigured,
    OutcomeUnknown,
    Refused,
    Secret,
    Subject,
    ValueSpec,
)

from .stores.contract import Slot, Store


@dataclass(frozen=True, slots=True)
class Kept:
    """The store of one credential, bound to its slot. A read never makes the step *unknown*: nothing was sent yet."""

    store: Store
    slot: Slot

    def staged(self, gen: Gen) -> Secret | None:
        """The staged value, or None."""
        try:
            return self.store.read(self.slot, int(gen))
        except OutcomeUnknown as error:
            raise Failed(error.reason, status=error.status) from None

    def value(self, work: Work, gen: Gen) -> Secret:
        """The value of a generation: its stage, or current while it is not staged yet. Refused("not_staged")."""
        staged = self.staged(gen)
        if staged is None and work.facts.current == frozenset({gen}):
            try:
                staged = self.store.current(self.slot).value
            except OutcomeUnknown as error:
                raise Failed(error.reason, status=error.status) from None
        if staged is None:
            raise Refused("not_staged")
        return staged


def slot_of(credential: Credential) -> Slot:
    """Where a credential lives."""
    ref = credential.store
    return Slot(credential.id, ref.path, ref.value, tuple(one.name for one in ref.fields))


def authority_of(credential: Credential, home: Home) -> AuthorityRef:
    """The configured authority of a home."""
    for one in credential.authorities:
        if one.endpoint == home.endpoint:
            return one
    raise Misconfigured("unknown_endpoint")


def consumer_of(credential: Credential, name: str) -> ConsumerRef:
    """The configured consumer."""
    for one in credential.consumers:
        if one.id == name:
            return one
    raise Misconfigured("unknown_consumer")


def subject_of(authority: AuthorityRef, home: Home) -> Subject:
    """The principal of a home with its parameters."""
    return Subject(principal=home.principal, params=dict(authority.params))


def generation_of(work: Work, gen: Gen, home: Home, subject: Subject, kind: Kind[Any]) -> Generation:
    """The journaled reference to a value at a home."""
    handle = handle_of(work, gen, home, kind)
    if work.intent.handle is not None and work.step.gen == gen and work.step.home == home:
        handle = work.intent.handle  # R17: fixed in the intent
    label = work.facts.labels.get(gen)
    return Generation(subject=subject, handle=handle, label=label or "")


def handle_of(work: Work, gen: Gen, home: Home, kind: Kind[Any]) -> str | None:
    """The known handle; where the platform lets us choose it, the label that we chose."""
    known = work.facts.handles.get((gen, home))
    if known is None and kind.traits.handle_is_label:
        return work.facts.labels.get(gen)
    return known


def first_home(work: Work, gen: Gen) -> Home | None:
    """The home whose principal and handle the reference fields show: the first authority's."""
    homes = work.facts.homes.get(gen, ())
    order = [one.endpoint for one in work.definition.authorities]
    known = [home for home in homes if home.endpoint in order]
    return min(known, key=lambda home: order.index(home.endpoint)) if known else None


def references(work: Work, gen: Gen, fields: tuple[FieldMap, ...], kind: Kind[Any]) -> Mapping[str, str]:
    """The reference fields that change with the value; `kind` is the first authority's. Refused("handle_unknown")."""
    home = first_home(work, gen)
    found: dict[str, str] = {}
    for one in fields:
        if one.source is Source.VALUE:
            continue
        if home is None:
            raise Misconfigured("unknown_endpoint")
        if one.source is Source.PRINCIPAL:
            found[one.name] = home.principal
            continue
        handle = handle_of(work, gen, home, kind)
        if handle is None:
            raise Refused("handle_unknown")
        found[one.name] = handle
    return found


def payload(work: Work, gen: Gen, fields: tuple[FieldMap, ...], value: Secret, kind: Kind[Any]) -> Mapping[str, Secret]:
    """What a consumer gets: the value under its names, references under theirs."""
    plain = {name: Secret(text) for name, text in references(work, gen, fields, kind).items()}
    return plain | {one.name: value for one in fields if one.source is Source.VALUE}


def joined(specs: list[ValueSpec]) -> ValueSpec:
    """One specification that satisfies all authorities. Misconfigured("value_specs_differ") if none does."""
    spec = specs[0]
    for other in specs[1:]:
        if other.form is not spec.form:
            raise Misconfigured("value_specs_differ")
        alphabet = _common(spec.alphabet, other.alphabet)
        spec = replace(spec, min=max(spec.min, other.min), max=min(spec.max, other.max), alphabet=alphabet)
    if spec.min > spec.max:
        raise Misconfigured("value_specs_differ")
    return spec


def _common(one: str, other: str) -> str:
    if not one or not other or one == other:
        return one or other
    shared = "".join(letter for letter in one if letter in other)
    if len(set(shared)) < 16:
        raise Misconfigured("value_specs_differ")
    return shared
