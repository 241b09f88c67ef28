"""What is allowed, each by itself, and yet not meant: the lint of a whole configuration.

Called by the loader once the models and `objections` have nothing against it, and by whoever knows the traits. Nearly
all of it warns; an error only where a run could never end as promised. Pure: `now` is an argument, without it the
calendar is not tried.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from rotator.engine import calendar
from rotator.engine.traits import KindTraits
from rotator.machine.ids import Millis

from .connections import AwsStore, VaultStore
from .documents import Path_
from .governance import Credential, Policy
from .limits import rate_of
from .models import Configuration
from .notify import references_of
from .objections import authorities_of, interval_of
from .problems import Problem
from .sources import Sources
from .values import format_duration

CODES: Final = (
    "CFG-LIMITS",
    "CFG-NO-SLOT",
    "CFG-OVERLAP-TOO-LONG",
    "CFG-PROOF-TOO-LONG",
    "CFG-SIMILAR-NAMES",
    "CFG-STORE-VERSIONS",
    "CFG-TRAITS",
    "CFG-UNUSED",
    "CFG-WINDOW-TOO-SHORT",
)
"""What this module and `slots` can say; the words of each are in `problems`."""

AWS_LABELS: Final = 20
AWS_OWN: Final = 3  # AWSCURRENT, AWSPREVIOUS, AWSPENDING
LABELS_EACH: Final = 3  # two staged values while one replaces the other, and the mark of the last promote
VAULT_VERSIONS: Final = 10  # what KV version 2 keeps where neither mount nor secret says otherwise


def lint(configuration: Configuration, sources: Sources) -> Iterator[Problem]:
    """Everything that can be said without plugins and without the time of day."""
    yield from _unused(configuration, sources)
    yield from _similar(configuration, sources)
    for name, policy in configuration.policies.items():
        yield from _proof(name, policy, sources)
    yield from _versions(configuration, sources)
    yield from _limits(configuration, sources)


def _limits(configuration: Configuration, sources: Sources) -> Iterator[Problem]:
    """More at once than there are threads: the others would wait, so it is not given. A burst that the platform counts
    as a minute's calls: whatever the rate is, it may come at once."""
    workers = configuration.daemon.workers
    sections = (("endpoints", configuration.endpoints), ("stores", configuration.stores))
    for section, named in sections:
        for name, one in named.items():
            here: Path_ = (section, name, "limits")
            asked = one.limits.concurrency
            if "concurrency" in one.limits.model_fields_set and asked >= workers > 1:
                words = f"the daemon has {workers} worker threads (`daemon.workers`), and some are for others and for"
                words += f" emergencies: it never has {asked} at once"
                yield sources.problem("CFG-LIMITS", words, (*here, "concurrency"), value=True, warning=True)
            rate = rate_of(one.limits)
            if one.limits.burst is not None and rate is not None and one.limits.burst > rate.calls:
                words = f"a burst of {rate.burst} is more than the {rate.calls} calls that the rate allows in its span:"
                words += " a platform that counts by that span would throttle it"
                yield sources.problem("CFG-LIMITS", words, (*here, "burst"), value=True, warning=True)


def lint_traits(
    configuration: Configuration, kinds: Mapping[tuple[str, str], KindTraits], sources: Sources
) -> Iterator[Problem]:
    """What only the traits of the kinds tell. A policy is judged once for each credential that it governs."""
    for name, credential in configuration.credentials.items():
        policy = configuration.policies[credential.policy]
        here: Path_ = ("policies", credential.policy)
        settle = 0
        for _, authority in authorities_of(name, credential):
            traits = kinds.get((authority.endpoint, authority.kind))
            if traits is None:
                continue
            settle = max(settle, traits.settle_ms)
            if authority.principals is not None and policy.proof.grade == 1:
                words = f"for `{name}`: of two accounts that take turns the old one gets a value that nobody keeps, and"
                words += " that is a control of grade 2. With `grade: 1` nothing would ever be proven: write `grade: 2`"
                yield sources.problem("CFG-TRAITS", words, (*here, "proof", "grade"), value=True)
        if settle:
            yield from _window(here, policy, sources, settle, f"for `{name}`: ")


def _unused(configuration: Configuration, sources: Sources) -> Iterator[Problem]:
    if not configuration.credentials:
        return  # a beginning: everything is still to be used
    used = _uses(configuration, sources)
    words = {
        "policies": "no credential has this policy, and no other policy takes anything from it",
        "endpoints": "no credential names this endpoint",
        "stores": "nothing is kept in this store, and no reference names it",
    }
    for section, said in words.items():
        for name in getattr(configuration, section):
            if name not in used[section]:
                yield sources.problem("CFG-UNUSED", said, (section, name), warning=True)
    named = {endpoint.plugin for endpoint in configuration.endpoints.values()}
    for number, plugin in enumerate(configuration.plugins.allow if configuration.plugins else ()):
        if plugin not in named:
            said = "no endpoint is of this plugin: what is not needed is best not allowed"
            yield sources.problem("CFG-UNUSED", said, ("plugins", "allow", number), value=True, warning=True)


def _uses(configuration: Configuration, sources: Sources) -> dict[str, set[str]]:
    credentials = configuration.credentials
    references = [one.admin.value for one in configuration.endpoints.values() if one.admin is not None]
    references += [one.admin.handle for one in configuration.endpoints.values() if one.admin and one.admin.handle]
    references += [reference for _, reference in references_of(configuration.notify)]
    endpoints = {one.endpoint for each in credentials.values() for one in each.accepted_at}
    endpoints |= {one.endpoint for each in credentials.values() for one in each.consumers}
    return {
        "policies": {one.policy for one in credentials.values()} | set(sources.parents.values()),
        "endpoints": endpoints,
        "stores": {one.store.store for one in credentials.values()} | {str(one.store) for one in references},
    }


def _similar(configuration: Configuration, sources: Sources) -> Iterator[Problem]:
    """Retiring `Alert-Sync` must not leave alive what says `alert-sync`."""
    first: dict[tuple[str, str], tuple[str, Path_]] = {}
    for what, name, path in _names(configuration):
        other, there = first.setdefault((what, name.casefold()), (name, path))
        if other != name:
            words = f"`{other}` ({sources.place(there)}) is another {what}, though only its capitals differ"
            yield sources.problem("CFG-SIMILAR-NAMES", words, path, value=what == "workflow", warning=True)


def _names(configuration: Configuration) -> Iterator[tuple[str, str, Path_]]:
    for name, credential in configuration.credentials.items():
        here: Path_ = ("credentials", name)
        for number, workflow in enumerate(credential.workflows):
            yield "workflow", workflow, (*here, "workflows", number)
        for label in credential.labels:
            yield "label", label, (*here, "labels", label)


def _proof(name: str, policy: Policy, sources: Sources) -> Iterator[Problem]:
    """Interval against all that follows a rotation; and what begins in a window against the window."""
    here: Path_ = ("policies", name)
    interval = interval_of(policy.schedule())
    every, over = format_duration(interval), format_duration(policy.proof.over)
    ends = policy.overlap + policy.proof.over
    if ends >= interval:
        words = f"the proof takes {over} after an overlap of {format_duration(policy.overlap)}, and the next rotation"
        words += f" is due {every} after the last: the old value would not be proven dead by then"
        yield sources.problem("CFG-PROOF-TOO-LONG", words, (*here, "proof", "over"), value=True)
        return
    window = policy.schedule().window
    if window is not None and policy.overlap:
        shut = calendar.DAY - window.length
        if ends + shut >= interval:
            words = f"the revoke waits for the window, up to {format_duration(shut)} after the overlap: with the proof"
            words += f" that may be later than the next rotation, {every} after the last"
            yield sources.problem("CFG-OVERLAP-TOO-LONG", words, (*here, "overlap"), value=True, warning=True)
    yield from _window(here, policy, sources, 0, "")


def _window(here: Path_, policy: Policy, sources: Sources, settle: Millis, whose: str) -> Iterator[Problem]:
    """What begins in the window goes on after it: new value, settling, verify; revoke, settling, proof."""
    window = policy.schedule().window
    if window is None:
        return
    last = settle + policy.proof.over
    needed = last + settle if policy.overlap == 0 else max(last, settle)
    alone = policy.proof.over  # what was told already without the traits
    if needed <= window.length or (settle and alone > window.length):
        return
    parts = [f"the proof takes {format_duration(policy.proof.over)}"]
    if settle:
        parts.append(f"the platform shows a change after {format_duration(settle)}")
    words = f"{whose}what begins in this window goes on when it has closed: it is open for"
    words += f" {format_duration(window.length)}, and {', '.join(parts)}, together {format_duration(needed)}"
    yield sources.problem("CFG-WINDOW-TOO-SHORT", words, (*here, "window", "to"), value=True, warning=True)


def _versions(configuration: Configuration, sources: Sources) -> Iterator[Problem]:
    places = [(one.store.store, one.store.path) for one in configuration.credentials.values()]
    sharing = Counter(places)
    told: set[tuple[str, str]] = set()
    for (name, credential), place in zip(configuration.credentials.items(), places, strict=True):
        words = _crowd(configuration, credential, sharing[place])
        if words and place not in told:
            told.add(place)
            path: Path_ = ("credentials", name, "store", "path")
            yield sources.problem("CFG-STORE-VERSIONS", words, path, value=True, warning=True)


def _crowd(configuration: Configuration, credential: Credential, many: int) -> str:
    """What is wrong when so many credentials share the secret of this one; empty: nothing."""
    store = configuration.stores.get(credential.store.store)
    if isinstance(store, AwsStore) and AWS_OWN + many * LABELS_EACH > AWS_LABELS:
        most = (AWS_LABELS - AWS_OWN) // LABELS_EACH
        return f"{many} credentials share this secret; at AWS it carries {AWS_LABELS} labels, enough for {most} at once"
    keeps = configuration.policies[credential.policy].history == "keep"
    if isinstance(store, VaultStore) and keeps and VAULT_VERSIONS // many < 2:
        words = f"{many} credentials share this secret, each change is a version, and the store keeps {VAULT_VERSIONS}"
        return f"{words} unless it is set otherwise: `history: keep` would keep hardly one of each"
    return ""


def errors_of(problems: Iterable[Problem]) -> list[Problem]:
    """Those that refuse a configuration."""
    return [one for one in problems if not one.warning]
