"""Reads of the world outside a run, and the one way in for values: implements the engine's `Inspector` and `Intake`.

Called by the service for adopt, plan, verify and `plugins try`. What reads changes nothing; what takes a value takes it
from a file that only the daemon's user may read, into the store, and shows it to nobody.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rotator.engine.inspection import Adoptable, Seen
from rotator.engine.inventory import AuthorityRef, Credential
from rotator.machine.facts import Facts
from rotator.machine.ids import Handle, Home
from rotator.machine.reading import current_known
from rotator.plugin_api import (
    Alive,
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
        """Probe what the store shows its readers, at every home of it."""
        gen = current_known(facts)
        try:
            value = self._current(definition)
        except PluginError as error:
            return [Seen(definition.store.path, "inconclusive", error.reason)]
        if value is None:
            return [Seen(definition.store.path, "absent", "no_value")]
        homes = facts.homes.get(gen, ()) if gen is not None else ()
        return [self._verify_at(definition, home, value) for home in homes]

    def _verify_at(self, definition: Credential, home: Home, value: Secret) -> Seen:
        try:
            authority = authority_of(definition, home)
            answer = self._probe(authority, home.principal, value)
            return Seen(str(home), *told(answer, home.principal, self._platform(authority)))
        except PluginError as error:
            return Seen(str(home), "inconclusive", error.reason)

    def findings(self, definition: Credential) -> Sequence[tuple[str, str]]:
        """What would be in the way: the store's check of the slot, each authority's preflight."""
        found: list[tuple[str, str]] = []
        try:
            slugs = self._world.store(definition.store.store).check(slot_of(definition))
            found += [(slug, f"store {definition.store.store}: {slug.replace('_', ' ')}") for slug in slugs]
        except PluginError as error:
            found.append((error.reason, f"store {definition.store.store}: {error.reason.replace('_', ' ')}"))
        for authority in definition.authorities:
            for principal in authority.principals:
                found += self._preflight(authority, principal)
        return found

    def attempt(self, endpoint: str) -> Sequence[Mapping[str, Any]]:
        """The reads of every kind of an endpoint: preflight and listing."""
        steps: list[Mapping[str, Any]] = []
        try:
            kinds = self._kinds_of(endpoint)
        except PluginError as error:
            return [{"ability": "-", "ok": False, "says": error.reason.replace("_", " ")}]
        for kind in kinds:
            platform = self._world.platform(endpoint, kind)
            subject = Subject(principal=platform.admin)
            if platform.kind.preflight is not None:
                steps.append(tried(f"{kind}: preflight", partial(preflight_says, platform, subject)))
            if platform.kind.list is not None:
                steps.append(tried(f"{kind}: list", partial(listing_says, platform)))
            if platform.kind.probe is not None:
                steps.append(tried(f"{kind}: probe of the admin value", partial(witness_says, platform)))
        return steps or [{"ability": "-", "ok": True, "says": "this plugin has nothing to read without a credential"}]

    def plugins(self) -> Sequence[Mapping[str, Any]]:
        """What is loaded: name, version, digest, endpoints, kinds."""
        return self._loaded()

    # -- adoption --------------------------------------------------------------------------------------------------

    def adoptable(self, definition: Credential) -> Adoptable:
        """Is the store's value accepted, as whom, and by which handle is it known?"""
        try:
            value = self._current(definition)
            if value is None:
                return Adoptable(refused="no_value", says=f"{definition.store.path} has no {definition.store.value}")
            found = [self._adopt_at(one, value) for one in definition.authorities]
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

    def _preflight(self, authority: AuthorityRef, principal: str) -> list[tuple[str, str]]:
        where = f"{principal} at {authority.endpoint}"
        try:
            platform = self._platform(authority)
            if platform.kind.preflight is None:
                return []
            subject = subject_of(authority, Home(authority.endpoint, principal))
            ready = platform.preflight(call(), PreflightRequest(subject=subject))
        except PluginError as error:
            return [(error.reason, f"{where}: {error.reason.replace('_', ' ')}")]
        return [(slug, f"{where}: {slug.replace('_', ' ')}") for slug in ready.findings]


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


def tried(ability: str, read: Callable[[], str]) -> Mapping[str, Any]:
    """One read of `plugins try`."""
    try:
        return {"ability": ability, "ok": True, "says": read()}
    except PluginError as error:
        status = f" ({error.status})" if error.status else ""
        return {"ability": ability, "ok": False, "says": f"{error.reason.replace('_', ' ')}{status}"}


def preflight_says(platform: Platform, subject: Subject) -> str:
    """Who we are, and what is missing."""
    ready = platform.preflight(call(), PreflightRequest(subject=subject))
    return f"we are {ready.acting}" + (f"; {', '.join(ready.findings)}" if ready.findings else "")


def listing_says(platform: Platform) -> str:
    """How much can be seen."""
    return f"{len(platform.listing(call(), None))} rows"


def witness_says(platform: Platform) -> str:
    """Whether the admin value is accepted by the same probe."""
    answer = platform.witness(call())
    return f"alive as {answer.principal}" if isinstance(answer, Alive) else f"inconclusive: {answer.reason}"


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
