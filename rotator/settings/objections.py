"""What each key allows and all together do not: objections to a configuration whose types are right.

Called by the loader with every definition that passed the models, also when others did not, so that all is told at
once. Pure: `now` is an argument, and without it nothing about the calendar day is said.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, available_timezones

from rotator.engine import calendar
from rotator.machine.ids import Millis

from .connections import Endpoint, Store
from .documents import Path_
from .governance import Authority, Credential, Policy
from .models import Configuration
from .problems import Problem, nearest
from .sources import Sources
from .store_objections import unwrapped_twice
from .twins import same_endpoints, same_stores
from .values import format_duration

SHORTEST_WINDOW: Millis = 15 * calendar.MINUTE


@dataclass(frozen=True, slots=True)
class Parts:
    """The definitions that passed the models."""

    stores: Mapping[str, Store] = field(default_factory=dict)
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    policies: Mapping[str, Policy] = field(default_factory=dict)
    credentials: Mapping[str, Credential] = field(default_factory=dict)


def parts_of(configuration: Configuration) -> Parts:
    """All definitions of a whole configuration."""
    return Parts(configuration.stores, configuration.endpoints, configuration.policies, configuration.credentials)


def objections(parts: Parts, sources: Sources, now: Millis | None = None) -> list[Problem]:
    """Everything that contradicts itself or something else. With `now`, warnings about expiries too."""
    found: list[Problem] = []
    sound: dict[str, Policy] = {}
    for name, policy in parts.policies.items():
        complaints = list(_policy(name, policy, sources))
        found += complaints
        if not complaints:
            sound[name] = policy
    found += _same_principal(parts, sources)
    found += _same_field(parts, sources)
    found += _same_consumer(parts, sources)
    found += unwrapped_twice(parts.stores, sources)
    if now is not None:
        found += _expiries(parts, sound, sources, now)
    return found


def _policy(name: str, policy: Policy, sources: Sources) -> Iterator[Problem]:
    here: Path_ = ("policies", name)
    zones = list(_zones(here, policy, sources))
    yield from zones
    if policy.cron is not None:
        try:
            calendar.check_cron(policy.cron)
        except calendar.CronRefused as refused:
            yield sources.problem("CFG-BAD-CRON", str(refused), (*here, "cron"), value=True)
            return
    if not zones:
        yield from _spans(here, policy, sources)
    yield from _without_use(here, policy, sources)


def _zones(here: Path_, policy: Policy, sources: Sources) -> Iterator[Problem]:
    named: list[tuple[Path_, str]] = [((*here, "zone"), policy.zone)]
    if policy.window is not None and policy.window.zone is not None:
        named.append(((*here, "window", "zone"), policy.window.zone))
    for path, zone in named:
        if not known_zone(zone):
            words = "no time zone has this name: write an IANA name such as Europe/Berlin, or UTC"
            yield sources.problem("CFG-BAD-ZONE", words, path, value=True, suggestion=nearest(zone, _all_zones()))


def _spans(here: Path_, policy: Policy, sources: Sources) -> Iterator[Problem]:
    schedule = policy.schedule()
    interval = interval_of(schedule)
    every = format_duration(interval)
    if policy.overlap >= interval:
        words = f"the overlap is not over when the next rotation is due, {every} after the last: make it shorter"
        yield sources.problem("CFG-OVERLAP-TOO-LONG", words, (*here, "overlap"), value=True)
    if policy.jitter > interval // 2:
        words = (
            f"the jitter is more than half of the interval ({every}): write at most {format_duration(interval // 2)}"
        )
        yield sources.problem("CFG-OUT-OF-RANGE", words, (*here, "jitter"), value=True)
    if schedule.window is not None and schedule.window.length < SHORTEST_WINDOW:
        words = f"the window is shorter than {format_duration(SHORTEST_WINDOW)}: a run would hardly begin in it"
        yield sources.problem("CFG-OUT-OF-RANGE", words, (*here, "window", "to"), value=True)
    if schedule.window is not None and policy.every is not None and policy.every < calendar.DAY:
        words = "a window comes once a day, and the interval is shorter than a day: take one of the two out"
        yield sources.problem("CFG-CONFLICT", words, (*here, "every"), value=True)


def _without_use(here: Path_, policy: Policy, sources: Sources) -> Iterator[Problem]:
    if policy.missed is not None and policy.window is None:
        words = "without a `window` nothing is missed: what is late runs at once. Take it out, or add a window"
        yield sources.problem("CFG-CONFLICT", words, (*here, "missed"))
    if policy.min_age and policy.cron is None:
        words = "`every` counts from the last change by itself: `min_age` is for `cron`"
        yield sources.problem("CFG-CONFLICT", words, (*here, "min_age"))


def _same_principal(parts: Parts, sources: Sources) -> Iterator[Problem]:
    """Two credentials on one principal change each other's value, or count each other's as strays."""
    first: dict[tuple[str, str, str], tuple[str, Path_]] = {}
    twins = same_endpoints(parts.endpoints)
    for name, credential in parts.credentials.items():
        for path, authority in authorities_of(name, credential):
            for principal in authority.homes:
                place = (twins.get(authority.endpoint, authority.endpoint), authority.kind, principal)
                if place in first and first[place][0] != name:
                    other, there = first[place]
                    words = (
                        f"`{other}` ({sources.place(there)}) already changes this principal: one credential is enough"
                    )
                    key = "principals" if authority.principals is not None else "principal"
                    yield sources.problem("CFG-SAME-PLACE", words, (*path, key), value=True)
                elif place in first:
                    words = f"`{name}` names this principal twice"
                    yield sources.problem("CFG-SAME-PLACE", words, path)
                else:
                    first[place] = (name, path)


def _same_field(parts: Parts, sources: Sources) -> Iterator[Problem]:
    first: dict[tuple[str, str, str], tuple[str, Path_]] = {}
    twins = same_stores(parts.stores)
    for name, credential in parts.credentials.items():
        store = credential.store
        here: Path_ = ("credentials", name, "store")
        used = [(store.value, (*here, "value")), *((one, (*here, "fields", one)) for one in store.fields)]
        for key, path in used:
            place = (twins.get(store.store, store.store), store.path, key)
            if place in first:
                other, there = first[place]
                words = f"`{other}` ({sources.place(there)}) already writes this field of this secret"
                yield sources.problem("CFG-SAME-PLACE", words, path, value=path[-1] == "value")
            else:
                first[place] = (name, path)
    for name, endpoint in parts.endpoints.items():
        value = endpoint.admin.value if endpoint.admin is not None else None
        if value is not None and value.store is not None:
            governed = first.get((twins.get(value.store, value.store), str(value.path), str(value.field)))
            credential_there = parts.credentials.get(governed[0]) if governed else None
            if governed and credential_there and credential_there.store.value != value.field:
                words = f"this field holds a reference of `{governed[0]}`, not its value"
                here = ("endpoints", name, "admin", "value", "field")
                yield sources.problem("CFG-SAME-PLACE", words, here, value=True)
            elif governed and credential_there:
                yield from _id_stays(name, endpoint, governed[0], credential_there, sources)


def _id_stays(
    name: str, endpoint: Endpoint, governed: str, credential: Credential, sources: Sources
) -> Iterator[Problem]:
    """An admin's value is rotated, and the id that is read with it would be another value's."""
    handle = None if endpoint.admin is None else endpoint.admin.handle
    if handle is None:
        return
    place = (handle.store, handle.path)
    source = (
        credential.store.fields.get(str(handle.field))
        if place == (credential.store.store, credential.store.path)
        else None
    )
    if source != "handle":
        words = f"`{governed}` changes the value and this id stays: name the field of the same secret that it fills"
        words += " with `handle`"
        yield sources.problem("CFG-SAME-PLACE", words, ("endpoints", name, "admin", "handle"))


def _same_consumer(parts: Parts, sources: Sources) -> Iterator[Problem]:
    first: dict[tuple[str, str, str, str], tuple[str, Path_]] = {}
    twins = same_endpoints(parts.endpoints)
    for name, credential in parts.credentials.items():
        for number, consumer in enumerate(credential.consumers):
            here: Path_ = ("credentials", name, "consumers", number)
            key = "path" if consumer.path is not None else "principal"
            for written in consumer.fields or {"": "value"}:
                place = (twins.get(consumer.endpoint, consumer.endpoint), consumer.kind, consumer.subject, written)
                if place in first:
                    other, there = first[place]
                    whose = "this credential" if other == name else f"`{other}`"
                    words = f"{whose} ({sources.place(there)}) already writes here"
                    yield sources.problem("CFG-SAME-PLACE", words, (*here, key), value=True)
                    break
                first[place] = (name, here)


def _expiries(parts: Parts, sound: Mapping[str, Policy], sources: Sources, now: Millis) -> Iterator[Problem]:
    today = datetime.fromtimestamp(now // 1000, UTC).date()
    for name, credential in parts.credentials.items():
        path: Path_ = ("credentials", name, "expires")
        ends = calendar.DAY * (credential.expires - datetime(1970, 1, 1, tzinfo=UTC).date()).days
        policy = sound.get(credential.policy)
        if credential.expires <= today:
            words = "the credential has expired: say a new day, or retire what uses it. It goes on being rotated"
            yield sources.problem("CFG-EXPIRY-NEAR", words, path, value=True, warning=True)
        elif policy is not None and calendar.next_due(policy.schedule(), None, now, name) > ends:
            words = "the credential expires before a rotation that would be due after one made today"
            yield sources.problem("CFG-EXPIRY-NEAR", words, path, value=True, warning=True)


@functools.lru_cache(maxsize=4096)
def interval_of(schedule: calendar.Schedule) -> Millis:
    """`calendar.shortest_interval`, remembered: a cron is sampled for it, and several ask. Raises CronRefused."""
    return calendar.shortest_interval(schedule)


def authorities_of(name: str, credential: Credential) -> list[tuple[Path_, Authority]]:
    """Every authority of a credential with the path at which it is written."""
    if credential.authority is not None:
        return [(("credentials", name, "authority"), credential.authority)]
    return [(("credentials", name, "authorities", number), one) for number, one in enumerate(credential.authorities)]


def known_zone(name: str) -> bool:
    """Whether a zone is in the data that this process has."""
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError):  # not found; a directory such as "Europe"; a path that leaves the data
        return False
    return True


@functools.cache
def _all_zones() -> frozenset[str]:
    return frozenset(available_timezones())
