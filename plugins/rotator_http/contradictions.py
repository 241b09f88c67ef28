"""What a kind says about itself that cannot be true together, in words. Called by `reading_kinds`.

The host refuses most of this of every plugin; here the author of a pack learns it with the place in the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from rotator.plugin_api import Acting, Lists, Lost, Origin, Revokes, Role, Traits, Undo

from .calls import Call, KindCalls
from .templates import ROW, SECRETS

_LOST_NEEDS = {
    Lost.PROBE: ("probe",),
    Lost.READ_BACK: ("read",),
    Lost.BY_LABEL: ("list",),
    Lost.BY_SNAPSHOT: ("list",),
}
Found = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What else the kind says: which calls are `present`, and what people do instead of calls."""

    present: frozenset[str]
    human_issue: str = ""
    human_revoke: str = ""
    unsupported: str = ""
    by_value: bool = False


def contradictions(traits: Traits, calls: KindCalls, said: Said) -> Iterator[Found]:
    """(the key it is about, what is wrong) for everything that is wrong."""
    if not said.unsupported:  # such a kind is only listed
        yield from _making(traits, said.present, said.human_issue)
        yield from _lost(traits, said.present)
        yield from _living(traits, said)
    yield from _killing(traits, calls, said)
    yield from _trying(traits, calls, said.present)
    yield from _labels(traits, calls, said.present)
    yield from _digests(traits, calls)


def _making(traits: Traits, present: frozenset[str], human_issue: str) -> Iterator[Found]:
    makes = traits.origin is Origin.ISSUED or traits.role is Role.ISSUER
    if makes and "issue" not in present and not human_issue:
        yield "origin", "an issued value needs the ability `issue` (or `human_issue`: what a person does)"
    installs = (traits.origin is Origin.GENERATED and traits.role is Role.AUTHORITY) or traits.role is Role.CONSUMER
    if installs and "install" not in present:
        yield "origin", "a value that we make, or that a consumer holds, needs the ability `install`"
    if traits.origin is Origin.HUMAN and not human_issue:
        yield "origin", "`origin: human` needs `human_issue`: the instructions for the person"
    if traits.role is Role.CONSUMER:
        if "issue" in present:
            yield "issue", "a consumer holds values, it does not issue them"
        if traits.lost is not Lost.RESEND:
            yield "lost", "a consumer has `lost: resend`: installing the same again has the effect of once"
    if traits.role is Role.ISSUER and "probe" in present:
        yield "probe", "an issuer is not the one who accepts the value: probe it at the authority"
    if traits.places and traits.role is not Role.ISSUER:
        yield "places", "`places` is for issuers"
    if Acting.SELF in traits.acting and makes and traits.old_lives == timedelta(0):
        yield "acting", "a value that renews itself and dies at once locks everybody out when an answer is lost"
    if "reserve" in present and not {"issue", "list"} <= present:
        yield "reserve", "`reserve` needs `issue` and `list`"


def _lost(traits: Traits, present: frozenset[str]) -> Iterator[Found]:
    for ability in _LOST_NEEDS.get(traits.lost, ()):
        if ability not in present:
            yield "lost", f"`lost: {traits.lost.value}` needs the ability `{ability}`"
    if traits.lost is Lost.PROBE and traits.origin is not Origin.GENERATED:
        yield "lost", "`lost: probe` is for values that we make: an issued value was lost with the answer"
    if traits.lost in {Lost.BY_LABEL, Lost.BY_SNAPSHOT} and traits.revokes is not Revokes.ONE:
        yield "lost", f"`lost: {traits.lost.value}` needs `revokes: one`, to remove what was found"
    if traits.lost is Lost.BY_LABEL and traits.label is None:
        yield "lost", "`lost: by_label` needs `label`"
    if traits.lost is Lost.EXPIRES and (traits.expiry is None or traits.expiry.max is None):
        yield "lost", "`lost: expires` needs `expiry` with `max`"
    several = traits.live != 1 and traits.origin is Origin.ISSUED
    if traits.lost is Lost.RESEND and several and "issue" in present and "reserve" not in present:
        yield "lost", "issuing again makes a second value: use `reserve`, or `lost: by_label` or `by_snapshot`"


def _living(traits: Traits, said: Said) -> Iterator[Found]:
    revokes = "revoke" in said.present or bool(said.human_revoke)
    if revokes != (traits.revokes is not Revokes.NONE) and traits.role is not Role.CONSUMER:
        yield "revokes", "`revokes: none` and the ability `revoke` exclude each other; anything else needs it"
    keeps = traits.old_lives is None or traits.live != 1
    if traits.role is Role.AUTHORITY and keeps and not revokes:
        yield "old_lives", "old values that live on need the ability `revoke` (or `human_revoke`: what a person does)"
    if traits.undo is Undo.REVOKE_NEW and traits.revokes is not Revokes.ONE:
        yield "undo", "`undo: revoke_new` needs `revokes: one`"
    if traits.undo is Undo.REINSTALL_OLD and "install" not in said.present:
        yield "undo", "`undo: reinstall_old` needs the ability `install`"


def _killing(traits: Traits, calls: KindCalls, said: Said) -> Iterator[Found]:
    if calls.revoke_rows is not None and traits.revokes is not Revokes.ALL:
        yield "revoke", "a revoke that goes over rows hits all of them: it needs `revokes: all`"
    for ability in ("revoke", "sweep"):
        call: Call | None = getattr(calls, ability)
        if call is None:
            continue
        if any(rule.word == "maybe_gone" for rule in call.rules) and "list" not in said.present:
            yield ability, "`is: maybe_gone` needs the ability `list`, to look"
    if calls.revoke is not None and traits.revokes is Revokes.ONE and traits.role is not Role.CONSUMER:
        names = {one.name for one in calls.revoke.sent.variables()}
        found = {f"{ROW}{name}" for name in calls.revoke_row or ()}
        if not names & ({"handle", "value"} if said.by_value else {"handle"} | found):
            yield "revoke", "a revoke that hits one needs {handle} in its request, or `find: list` and a {row.NAME}"


def _trying(traits: Traits, calls: KindCalls, present: frozenset[str]) -> Iterator[Found]:
    if (traits.lists is Lists.NONE) == ("list" in present):
        yield "lists", "`lists` (own or all) and the ability `list` belong together"
    probe = calls.probe
    if probe is None:
        return
    if "value" not in {one.name for one in probe.variables()}:
        yield "probe", "a probe sends the value: {value} must stand in its request or its auth block"
    if traits.identity and "principal" not in probe.take:
        words = "a probe says whose the value is: `take: {principal: ...}` (or `identity: false`, a weak proof)"
        yield "probe", words
    rules = [*probe.rules, *(probe.login.call.rules if probe.login else ())]
    if traits.role is Role.AUTHORITY and not any(rule.word == "rejected" for rule in rules):
        yield "probe", "no reply of the probe says `is: rejected`, so nothing could ever be proven dead"
    for ability in ("preflight", "list", "check", "read"):
        call = calls.list.call if ability == "list" and calls.list else getattr(calls, ability)
        if isinstance(call, Call) and "acting.value" not in {o.name for o in call.variables()} & SECRETS:
            yield ability, f"`{ability}` is called without a credential: say `auth` (one with {{acting.value}})"


def _labels(traits: Traits, calls: KindCalls, present: frozenset[str]) -> Iterator[Found]:
    if traits.handle_is_label and traits.label is None:
        yield "handle_is_label", "`handle_is_label` needs `label`"
    made = calls.issue
    by_label = made is not None and "handle" not in made.take and "reserve" not in present
    findable = calls.list is not None and "label" in calls.list.each and traits.label is not None
    if by_label and traits.revokes is Revokes.ONE and not findable:
        yield "issue", "without `take: {handle: ...}` a new value is found by its label: `list` and `label` are needed"
    if "reserve" in present and (calls.list is None or "label" not in calls.list.each):
        yield "reserve", "`reserve` needs `list` with `each: {label: ...}`, to find what was reserved"
    for ability in ("install", "reserve") if "reserve" in present else ("install", "issue"):
        call: Call | None = getattr(calls, ability)
        if call is None or traits.label is None or traits.role is Role.CONSUMER:
            continue
        if "label" not in {one.name for one in call.sent.variables()}:
            yield ability, f"the kind has a `label`, but `{ability}` does not send {{label}}"


def _digests(traits: Traits, calls: KindCalls) -> Iterator[Found]:
    """A handle has one form everywhere, and the platform does not know a digest."""
    makers = {"probe": calls.probe, "install": calls.install, "reserve": calls.reserve, "issue": calls.issue}
    takes = {name: one.take for name, one in makers.items() if one is not None}
    if calls.list is not None:
        takes["list"] = calls.list.each
    forms = {name: take["handle"].form for name, take in takes.items() if "handle" in take}
    if "digest" not in forms.values():
        return
    for name, form in forms.items():
        if form != "digest":
            yield name, "a handle is a digest everywhere or nowhere: add `as: digest` here"
    if traits.handle_is_label:
        yield "handle_is_label", "a handle that is a digest is not the label"
    for name, call in (makers | {"read": calls.read, "revoke": calls.revoke, "sweep": calls.sweep}).items():
        if call is not None and {one.name for one in call.variables()} & {"handle", "of.handle"}:
            yield name, "the handle is a digest, which the platform does not know: use `find: list` and a {row.NAME}"
