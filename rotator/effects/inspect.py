"""Reads of the world outside a run, and the one way in for values: implements the engine's `Inspector` and `Intake`.

Called by the service for adopt, plan, verify and `plugins try`. What reads changes nothing; what takes a value takes it
from a file that only the daemon's user may read, into the store, and shows it to nobody.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rotator.engine.inspection import Adoptable, Seen
from rotator.engine.inventory import AuthorityRef, ConsumerRef, Credential, Source
from rotator.machine.facts import Facts
from rotator.machine.ids import Handle, Home
from rotator.machine.reading import current_known
from rotator.plugin_api import (
    Alive,
    CheckRequest,
    Generation,
    Inconclusive,
    Misconfigured,
    PluginError,
    PreflightRequest,
    Probed,
    ProbeRequest,
    Rejected,
    Secret,
    Subject,
)

from .host.trial import Finding, broken, in_words, try_endpoint
from .platforms import Call, Platform, World
from .values import authority_of, slot_of, subject_of

SECONDS = 20.0
LARGEST = 65_536


@dataclass(frozen=True, slots=True)
class AdminRef:
    """Where an endpoint's admin value stands."""

    store: str
    path: str
    field: str


class Inspection:
    """Reads, each bounded to `SECONDS`. `admin_of` says where an endpoint's admin value stands (None: in a file)."""

    def __init__(
        self,
        world: World,
        admin_of: Callable[[str], AdminRef | None],
        kinds_of: Callable[[str], Sequence[str]],
        loaded: Callable[[], Sequence[Mapping[str, Any]]],
    ) -> None:
        self._world = world
        self._admin_of = admin_of
        self._kinds_of = kinds_of
        self._loaded = loaded

    def verify(self, definition: Credential, facts: Facts) -> Sequence[Seen]:
        """Probe what the store shows its readers, at every home; ask the consumers that can show what they hold."""
        gen = current_known(facts)
        try:
            value = self._current(definition)
        except PluginError as error:
            return [Seen(definition.store.path, "inconclusive", error.reason)]
        if value is None:
            return [Seen(definition.store.path, "absent", "no_value")]
        homes = facts.homes.get(gen, ()) if gen is not None else ()
        handles = {home: facts.handles.get((gen, home)) for home in homes} if gen is not None else {}
        seen = [self._verify_at(definition, home, value, handles[home]) for home in homes]
        label = facts.labels.get(gen) if gen is not None else None
        if not homes or not label:
            return seen  # without a label a consumer cannot say which value it is
        of = Generation(subject=Subject(principal=homes[0].principal), label=label)
        return seen + [one for consumer in definition.consumers if (one := self._held_by(consumer, of)) is not None]

    def _held_by(self, consumer: ConsumerRef, of: Generation) -> Seen | None:
        """Whether a consumer holds the value; None where it has no way to say."""
        try:
            platform = self._world.platform(consumer.endpoint, consumer.kind)
            if platform.kind.check is None:
                return None
            into = Subject(principal=consumer.target, params=dict(consumer.params))
            answer = platform.check(call(), CheckRequest(into=into, of=of))
        except PluginError as error:
            return Seen(consumer.id, "inconclusive", error.reason)
        match answer:
            case Alive():
                return Seen(consumer.id, "alive", "")
            case Rejected(reason=reason):
                return Seen(consumer.id, "rejected", reason)
            case Inconclusive(reason=reason):
                return None if reason == "no_check" else Seen(consumer.id, "inconclusive", reason)

    def _verify_at(self, definition: Credential, home: Home, value: Secret, handle: str | None) -> Seen:
        """`handle`: what the ledger knows. The configured one was that of the value that was adopted."""
        try:
            authority = replace(authority_of(definition, home), handle=handle)
            answer = self._probe(authority, home.principal, value)
            return Seen(str(home), *told(answer, home.principal, self._platform(authority)))
        except PluginError as error:
            return Seen(str(home), "inconclusive", error.reason)

    def findings(self, definition: Credential) -> Sequence[tuple[str, str]]:
        """What would be in the way: the store's check of the slot, the preflight of each authority and consumer."""
        found: list[tuple[str, str]] = []
        try:
            slugs = self._world.store(definition.store.store).check(slot_of(definition))
            found += [(slug, f"store {definition.store.store}: {slug.replace('_', ' ')}") for slug in slugs]
        except PluginError as error:
            found.append((error.reason, f"store {definition.store.store}: {error.reason.replace('_', ' ')}"))
        for authority in definition.authorities:
            for principal in authority.principals:
                subject = subject_of(authority, Home(authority.endpoint, principal))
                found += self._preflight(authority.endpoint, authority.kind, subject)
        for consumer in definition.consumers:
            subject = Subject(principal=consumer.target, params=dict(consumer.params))
            found += self._preflight(consumer.endpoint, consumer.kind, subject)
        return found

    def attempt(self, endpoint: str, about: Sequence[Credential] = ()) -> Sequence[Mapping[str, Any]]:
        """The reads of every kind of an endpoint: preflight for what `about` has there, listing, the admin's probe."""
        found: list[Finding] = []
        try:
            kinds = self._kinds_of(endpoint)
        except PluginError as error:
            return [broken("-", "configuration", error).as_json()]
        for kind in kinds:
            try:
                found += try_endpoint(self._world.platform(endpoint, kind), call(), subjects_at(endpoint, kind, about))
            except PluginError as error:
                found.append(broken(kind, "configuration", error))
        return [one.as_json() for one in found]

    def plugins(self) -> Sequence[Mapping[str, Any]]:
        """What is loaded: name, version, digest, endpoints, kinds."""
        return self._loaded()

    # -- adoption --------------------------------------------------------------------------------------------------

    def adoptable(self, definition: Credential) -> Adoptable:
        """Is the store's value accepted, as whom, and by which handle is it known?"""
        try:
            now = self._world.store(definition.store.store).current(slot_of(definition))
            if now.value is None:
                return Adoptable(refused="no_value", says=f"{definition.store.path} has no {definition.store.value}")
            found = [self._adopt_at(one, now.value) for one in hinted(definition, now.fields)]
        except PluginError as error:
            return Adoptable(refused=error.reason)
        refused = next((one for one in found if one.refused), None)
        if refused is not None:
            return refused
        return Adoptable(
            handles=tuple(pair for one in found for pair in one.handles),
            active=tuple(home for one in found for home in one.active),
        )

    def _adopt_at(self, authority: AuthorityRef, value: Secret) -> Adoptable:
        platform = self._platform(authority)
        if platform.kind.unsupported:
            return Adoptable(refused="kind_unsupported", says=platform.kind.unsupported)
        lacking = sorted(set(platform.kind.scopes_required) - set(authority.scopes))
        if lacking and authority.scopes:
            words = f"a value without the scope {', '.join(lacking)} cannot be verified: give it that scope first"
            return Adoptable(refused="scopes_required", says=words)
        last = ""
        for principal in authority.principals:
            answer = self._probe(authority, principal, value)
            word, reason = told(answer, principal, platform)
            if word == "alive" and isinstance(answer, Alive):
                missing = sorted(set(authority.scopes) - (answer.scopes or set(authority.scopes)))
                if missing:
                    words = f"{authority.endpoint}: the value in the store lacks the scope {', '.join(missing)}"
                    return Adoptable(refused="scopes_missing", says=words)
                return self._bind(authority, principal, value, answer, platform)
            last = last or reason or word
        if "scopes" in last or (lacking and last):
            last = "scopes_required"
        return Adoptable(refused=last or "not_accepted", says=f"{authority.endpoint}: the value in the store: {last}")

    def _bind(
        self, authority: AuthorityRef, principal: str, value: Secret, answer: Alive, platform: Platform
    ) -> Adoptable:
        """The handle: from the probe, the row that shows the same value, or the configuration; else refuse."""
        home = Home(authority.endpoint, principal)
        traits = platform.kind.traits
        by_handle = platform.kind.revoke is not None and traits.live != 1 and not platform.kind.revoke_by_value
        handle = answer.handle
        if handle is None and by_handle:
            handle = self._listed(authority, home, value, platform)
        if handle is None and by_handle:
            words = (
                "the platform does not say by which id it knows this value: set `authority.handle` to one that it lists"
            )
            return Adoptable(refused="handle_unknown", says=words)
        return Adoptable(handles=((home, Handle(handle)),) if handle else (), active=(home,))

    def _listed(self, authority: AuthorityRef, home: Home, value: Secret, platform: Platform) -> str | None:
        """By which handle the list knows this value. A configured handle that the list denies is none: a rotation would
        revoke somebody else's (R22)."""
        if platform.kind.list is None:
            return authority.handle
        rows = platform.listing(call(), subject_of(authority, home))
        same = [row.handle for row in rows if row.same is not None and row.same.matches(value)]
        if len(same) == 1 and authority.handle in (None, same[0]):
            return same[0]
        shown = [row.handle for row in rows if row.same is not None]
        mine = {row.handle for row in rows if row.active and row.principal in (None, home.principal)}
        return authority.handle if authority.handle in mine.difference(shown) else None

    # -- values come in --------------------------------------------------------------------------------------------

    def take_first(self, definition: Credential, source: str) -> str:
        """Into the store, unless another value stands there already."""
        ref = definition.store
        return self._take(ref.store, ref.path, ref.value, source, replace=False)

    def take_admin(self, endpoint: str, source: str, replace: bool) -> Mapping[str, str]:
        """Into the place that the endpoint's `admin.value` names."""
        try:
            ref = self._admin_of(endpoint)
        except PluginError as error:
            return {"refused": error.reason}
        if ref is None:
            return {"refused": "admin_in_file"}
        refused = self._take(ref.store, ref.path, ref.field, source, replace=replace)
        return {"refused": refused} if refused else {"store": ref.store, "path": ref.path, "field": ref.field}

    def _take(self, store: str, path: str, name: str, source: str, *, replace: bool) -> str:
        try:
            self._world.store(store).deposit(path, name, read_value(Path(source)), {}, replace=replace)
        except PluginError as error:
            return error.reason
        return ""

    # -- parts -----------------------------------------------------------------------------------------------------

    def _current(self, definition: Credential) -> Secret | None:
        return self._world.store(definition.store.store).current(slot_of(definition)).value

    def _platform(self, authority: AuthorityRef) -> Platform:
        return self._world.platform(authority.endpoint, authority.kind)

    def _probe(self, authority: AuthorityRef, principal: str, value: Secret) -> Probed:
        subject = subject_of(authority, Home(authority.endpoint, principal))
        target = Generation(subject=subject, handle=authority.handle)
        return self._platform(authority).probe(call(), ProbeRequest(target=target, value=value))

    def _preflight(self, endpoint: str, kind: str, subject: Subject) -> list[tuple[str, str]]:
        where = f"{subject.principal} at {endpoint}"
        try:
            platform = self._world.platform(endpoint, kind)
            if platform.kind.preflight is None:
                return []
            ready = platform.preflight(call(), PreflightRequest(subject=subject))
        except PluginError as error:
            return [(error.reason, f"{where}: {in_words(error.reason, {})}")]
        return [(slug, f"{where}: {in_words(slug, platform.reasons)}") for slug in ready.findings]


def hinted(definition: Credential, fields: Mapping[str, str]) -> tuple[AuthorityRef, ...]:
    """The authorities; the first one's handle, where the configuration says none, as the secret itself has it beside
    the value. Like a configured one it is believed only if the probe or the list confirms it."""
    first, *others = definition.authorities
    said = [fields[one.name] for one in definition.store.fields if one.source is Source.HANDLE and fields.get(one.name)]
    if first.handle is None and said:
        first = replace(first, handle=said[0])
    return (first, *others)


def subjects_at(endpoint: str, kind: str, credentials: Sequence[Credential]) -> tuple[Subject, ...]:
    """Whom or what credentials have at an endpoint, as authority or as consumer; each once."""
    found: list[Subject] = []
    for credential in credentials:
        for authority in credential.authorities:
            if (authority.endpoint, authority.kind) == (endpoint, kind):
                found += [subject_of(authority, Home(endpoint, principal)) for principal in authority.principals]
        for consumer in credential.consumers:
            if (consumer.endpoint, consumer.kind) == (endpoint, kind):
                found.append(Subject(principal=consumer.target, params=dict(consumer.params)))
    return tuple(one for n, one in enumerate(found) if one not in found[:n])


def call() -> Call:
    """A call of an inspection: no run, bounded."""
    return Call(run="inspect", seconds=SECONDS)


def told(answer: Probed, principal: str, platform: Platform) -> tuple[str, str]:
    """A probe's answer as (word, reason)."""
    match answer:
        case Alive(principal=who):
            if platform.kind.traits.identity and who != principal:
                return "stranger", "wrong_identity"
            return "alive", ""
        case Rejected(reason=reason):
            return "rejected", reason
        case Inconclusive(reason=reason):
            return "inconclusive", reason


def read_value(path: Path) -> Secret:
    """A value from a 0600 file of our own uid; one trailing newline is dropped. Misconfigured says why not."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        raise Misconfigured("source_unreadable") from None
    with os.fdopen(handle, "rb") as file:
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode):
            raise Misconfigured("source_unreadable")
        if state.st_uid != os.geteuid():
            raise Misconfigured("source_owner")
        if stat.S_IMODE(state.st_mode) & 0o077:
            raise Misconfigured("source_mode")
        if not 0 < state.st_size <= LARGEST:
            raise Misconfigured("source_size")
        try:
            return Secret(file.read(LARGEST).decode().removesuffix("\n"))
        except UnicodeDecodeError:
            raise Misconfigured("source_not_text") from None
