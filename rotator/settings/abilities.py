"""Policy against traits: what a policy asks of a kind that the kind cannot do, in words, with the alternative.

Called when a configuration is loaded, once the daemon knows the traits of every endpoint's kinds. Plain data in, plain
problems out: no plugin is imported here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from rotator.engine import calendar
from rotator.engine.traits import KindTraits

from .connections import Endpoint
from .documents import Path_
from .governance import Authority, Consumer, Credential, Policy
from .objections import Parts, authorities_of, interval_of
from .problems import Problem, nearest
from .sources import Sources
from .values import format_duration

SERIAL_LENGTH: Final = 7  # rot-<installation>-<serial> has at most 24 characters, twelve of them the installation's

Kinds = Mapping[tuple[str, str], KindTraits]
"""(endpoint id, kind name) -> its traits there."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """One authority of one credential, and what is asked of it."""

    path: Path_
    authority: Authority
    traits: KindTraits
    policy: Policy | None
    endpoint: Endpoint | None
    policy_path: Path_
    sources: Sources

    def refuse(self, words: str, *keys: str, value: bool = True) -> Problem:
        return self.sources.problem("CFG-TRAITS", words, (*self.path, *keys), value=value)

    def refuse_policy(self, words: str, *keys: str) -> Problem:
        """At the policy's key when it is written there; the credential is named in the words."""
        name = self.path[1]
        return self.sources.problem("CFG-TRAITS", f"for `{name}`: {words}", (*self.policy_path, *keys), value=True)


def against_traits(parts: Parts, installation: str, kinds: Kinds, sources: Sources) -> list[Problem]:
    """Everything that the kinds cannot do. `installation` because its name is part of every label."""
    found: list[Problem] = []
    for name, credential in parts.credentials.items():
        authorities = authorities_of(name, credential)
        for path, authority in authorities:
            if authority.endpoint not in parts.endpoints:
                continue  # told as an unknown reference
            traits = kinds.get((authority.endpoint, authority.kind))
            if traits is None:
                found.append(_unknown_kind(authority.endpoint, authority.kind, path, kinds, sources))
                continue
            policy = parts.policies.get(credential.policy)
            endpoint = parts.endpoints[authority.endpoint]
            asked = _Asked(path, authority, traits, policy, endpoint, ("policies", credential.policy), sources)
            found += _authority(asked, installation)
            if len(authorities) > 1 and traits.origin == "issued":
                words = "this platform makes the value itself: no second authority can be given the same one"
                found.append(asked.refuse(words, "kind"))
        found += _consumers(name, credential, parts, kinds, sources)
    return found


def _authority(asked: _Asked, installation: str) -> Iterator[Problem]:
    traits = asked.traits
    if traits.unsupported:
        yield asked.refuse(f"this kind can only be listed, not rotated: {traits.unsupported}", "kind")
        return
    if traits.role != "authority":
        words = f"this kind is a {traits.role}: it does not accept or refuse a value. Name it under `consumers`"
        yield asked.refuse(words, "kind")
        return
    if traits.origin in ("human", "leased"):
        yield asked.refuse("kinds whose value a person or a lease makes are not in this release", "kind")
        return
    yield from _slots(asked)
    yield from _proof(asked)
    yield from _bounds(asked, installation)
    yield from _names(asked)


def _slots(asked: _Asked) -> Iterator[Problem]:
    traits, policy, two = asked.traits, asked.policy, asked.authority.principals is not None
    if two and traits.live != 1:
        many = "many values" if traits.live is None else f"{traits.live} values"
        words = (
            f"{many} of one principal may be alive here, so two that take turns are not needed: "
            "write `principal: …` and let `overlap` keep the old one"
        )
        yield asked.refuse(words, "principals", value=False)
    if policy is not None and policy.overlap and not two and traits.old_lives_ms is not None:
        overlap = format_duration(policy.overlap)
        if traits.old_lives_ms == 0:
            words = f"overlap {overlap} is not possible: the old value dies at the write. Either set `overlap: 0s`"
            words += " in a policy of its own, or use `principals: [a, b]`, two accounts that take turns"
            yield asked.refuse_policy(words, "overlap")
        elif traits.old_lives_ms < policy.overlap:
            grace = format_duration(traits.old_lives_ms)
            words = f"overlap {overlap} is not possible: the platform ends the old value {grace} after the write."
            yield asked.refuse_policy(f"{words} Write at most `overlap: {grace}`", "overlap")
    if traits.revokes == "all" and traits.live != 1 and not two:
        words = "a revoke here ends every value of the principal, the new one too. Give it `principals: [a, b]`, or"
        yield asked.refuse(f"{words} only list it", "kind")


def _proof(asked: _Asked) -> Iterator[Problem]:
    if not asked.traits.has_probe:
        words = "a value of this kind cannot be tried, so no death can be proven. Govern it where it is accepted"
        yield asked.refuse(f"{words}, and name this endpoint under `consumers`", "kind")
    elif not asked.traits.identity:
        words = "a value that works here does not say whose it is, so neither a new value can be verified nor the"
        yield asked.refuse(
            f"{words} control of a proof. Use a kind or pack whose probe reads the identity back", "kind"
        )
    required = asked.traits.scopes_required - set(asked.authority.scopes)
    if required and asked.authority.scopes:
        lacking = ", ".join(sorted(required))
        yield asked.refuse(f"without {lacking} a value cannot be tried: add it to the scopes", "scopes", value=False)


def _bounds(asked: _Asked, installation: str) -> Iterator[Problem]:
    traits, policy = asked.traits, asked.policy
    need = len(f"rot-{installation}-") + SERIAL_LENGTH
    if traits.label_max is not None and traits.label_max < need:
        words = f"its labels have at most {traits.label_max} characters and ours need {need}"
        room = traits.label_max - (need - len(installation))
        advice = f": an installation name of at most {room} would fit" if room > 0 else ": it cannot be governed"
        yield asked.refuse(words + advice, "kind")
    if policy is None:
        return
    try:
        life = interval_of(policy.schedule()) + policy.jitter + policy.overlap
    except (calendar.CronRefused, ValueError):
        return  # told as an objection to the policy itself
    if traits.expiry_max_ms is not None and life > traits.expiry_max_ms:
        most = format_duration(traits.expiry_max_ms)
        words = (
            f"a value lives at most {most} on this platform; interval, jitter and overlap are {format_duration(life)}"
        )
        key = "every" if policy.every is not None else "cron"
        yield asked.refuse_policy(f"{words}. Rotate earlier, so that they are less", key)


def _names(asked: _Asked) -> Iterator[Problem]:
    for param in asked.authority.params:
        if param not in asked.traits.params:
            yield _unknown_param(param, asked.traits, (*asked.path, "params", param), asked.sources)
    if asked.endpoint is not None and asked.endpoint.admin is None and "self" not in asked.traits.acting:
        words = (
            "a value of this kind is changed by an admin, and the endpoint has none: add `admin: {principal, value}`"
        )
        yield asked.sources.problem("CFG-TRAITS", words, ("endpoints", asked.authority.endpoint))


def _consumers(name: str, credential: Credential, parts: Parts, kinds: Kinds, sources: Sources) -> Iterator[Problem]:
    for number, consumer in enumerate(credential.consumers):
        path: Path_ = ("credentials", name, "consumers", number)
        if consumer.endpoint not in parts.endpoints:
            continue
        traits = kinds.get((consumer.endpoint, consumer.kind))
        if traits is None:
            yield _unknown_kind(consumer.endpoint, consumer.kind, path, kinds, sources)
        else:
            yield from _consumer(consumer, traits, path, sources)


def _consumer(consumer: Consumer, traits: KindTraits, path: Path_, sources: Sources) -> Iterator[Problem]:
    if traits.unsupported:
        words = f"this kind can only be listed: {traits.unsupported}"
        yield sources.problem("CFG-TRAITS", words, (*path, "kind"), value=True)
    elif traits.role != "consumer":
        words = f"this kind is an {traits.role}: it accepts or makes values. Name it under `authority`"
        yield sources.problem("CFG-TRAITS", words, (*path, "kind"), value=True)
    for param in consumer.params:
        if param not in traits.params:
            yield _unknown_param(param, traits, (*path, "params", param), sources)


def _unknown_kind(endpoint: str, kind: str, path: Path_, kinds: Kinds, sources: Sources) -> Problem:
    known = sorted(name for at, name in kinds if at == endpoint)
    words = f"the plugin of `{endpoint}` has no such kind"
    words += f"; it has {', '.join(known)}" if known else ", it has none"
    close = nearest(kind, known)
    return sources.problem("CFG-UNKNOWN-KIND", words, (*path, "kind"), value=True, suggestion=close)


def _unknown_param(param: str, traits: KindTraits, path: Path_, sources: Sources) -> Problem:
    known = sorted(traits.params)
    words = f"`{param}` is no parameter of this kind"
    words += f"; it has {', '.join(known)}" if known else ", it has none"
    return sources.problem("CFG-UNKNOWN-KEY", words, path, suggestion=nearest(param, known))
