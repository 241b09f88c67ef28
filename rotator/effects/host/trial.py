"""`plugins try`: an endpoint's reads, done once against the real platform, told without a single value.

Called by `effects.inspect` for the command line, and for the words of what a preflight finds. Preflight, list and the
admin value's own probe only: nothing is changed. An answer that proves nothing is never told as one that works.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from rotator.effects.platforms import Call, Platform
from rotator.plugin_api import RESERVED, Alive, Inconclusive, PluginError, PreflightRequest, Role, Subject

WORKS: Final = "works"
INCONCLUSIVE: Final = "inconclusive"
FAILS: Final = "fails"
MISSING: Final = "missing"
NOTHING: Final = "nothing"
MOST_SUBJECTS: Final = 10
_OURS: Final = "rot-"
_PROBE: Final = "probe of the admin value"
_ADVICE: Final = {
    INCONCLUSIVE: "it proves nothing either way: remove what is in the way, then try again",
    MISSING: "mend it before the first run that needs it, then try again",
    FAILS: "correct it, then try again",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was seen. `subject`: about whom; `code`: a reason, empty where it works or there is nothing.

    `verdict`: works · inconclusive (no proof either way) · fails · missing (a preflight's finding) · nothing (to read).
    """

    kind: str
    ability: str
    subject: str = ""
    verdict: str = WORKS
    code: str = ""
    says: str = ""
    do: str = ""

    @property
    def ok(self) -> bool:
        """Whether nobody needs to look at it."""
        return self.verdict in {WORKS, NOTHING}

    def as_json(self) -> dict[str, Any]:
        """As the API answers it. `docs`: where the reason stands; empty without one."""
        return {
            "kind": self.kind,
            "ability": self.ability,
            "subject": self.subject,
            "ok": self.ok,
            "verdict": self.verdict,
            "code": self.code,
            "says": self.says,
            "do": self.do,
            "docs": f"docs/runbook.md#rot-{self.code.replace('_', '-')}" if self.code else "",
        }


def try_endpoint(platform: Platform, call: Call, subjects: Sequence[Subject] = ()) -> tuple[Finding, ...]:
    """Preflight, list and probe of one kind. `subjects`: whom or what the configuration names here; the admin, if
    nobody. A consumer's place is not the admin: without one there is nothing to read. Never raises a plugin's error."""
    found: list[Finding] = []
    consumer = platform.kind.traits.role is Role.CONSUMER
    if platform.kind.preflight is not None:
        about = subjects or (() if consumer else (Subject(principal=platform.admin),))
        found += _preflights(platform, call, about)
    if platform.kind.list is not None and not consumer:
        found.append(_list(platform, call))
    if platform.kind.probe is not None:
        found.append(_probe(platform, call))
    says = "no credential names a place here yet" if consumer else "there is nothing to read without a credential"
    return tuple(found) or (Finding(kind=platform.kind.name, ability="-", verdict=NOTHING, says=says),)


def broken(kind: str, ability: str, error: PluginError, reasons: Mapping[str, str] | None = None) -> Finding:
    """A read that did not work. `reasons`: the plugin's own."""
    status = f" ({error.status})" if error.status else ""
    says = f"{in_words(error.reason, reasons or {})}{status}"
    wait = f"wait {error.retry_after.total_seconds():g} s, then try again" if error.retry_after else _ADVICE[FAILS]
    return Finding(kind=kind, ability=ability, verdict=FAILS, code=error.reason, says=says, do=wait)


def in_words(slug: str, reasons: Mapping[str, str]) -> str:
    """A reason for people: its name, and what the plugin or the catalogue says of it."""
    known = reasons.get(slug) or RESERVED.get(slug, "")
    name = slug.replace("_", " ")
    return f"{name}: {known}" if known else name


def _preflights(platform: Platform, call: Call, subjects: Sequence[Subject]) -> list[Finding]:
    """Who we are, said once, and each thing that is missing by itself. An error ends it: asking again would count
    against whoever acts, and say the same."""
    found: list[Finding] = []
    for subject in subjects[:MOST_SUBJECTS]:
        some = _tried(platform, "preflight", partial(_preflight, platform, call, subject))
        found += [one for one in some if not one.ok or one not in found]
        if any(one.verdict == FAILS for one in some):
            return found
    if len(subjects) > MOST_SUBJECTS:
        says = f"{len(subjects) - MOST_SUBJECTS} more are not asked about here; `rotator plan ID` does"
        found.append(Finding(kind=platform.kind.name, ability="preflight", verdict=NOTHING, says=says))
    return found


def _preflight(platform: Platform, call: Call, subject: Subject) -> list[Finding]:
    ready = platform.preflight(call, PreflightRequest(subject=subject))
    kind = platform.kind.name
    missing = [
        Finding(
            kind=kind,
            ability="preflight",
            subject=subject.principal,
            verdict=MISSING,
            code=slug,
            says=in_words(slug, platform.reasons),
            do=_ADVICE[MISSING],
        )
        for slug in ready.findings
    ]
    return [Finding(kind=kind, ability="preflight", says=f"we are {ready.acting}"), *missing]


def _list(platform: Platform, call: Call) -> Finding:
    def read() -> list[Finding]:
        rows = platform.listing(call, None)
        active = sum(row.active for row in rows)
        labelled = sum((row.label or "").startswith(_OURS) for row in rows)
        says = f"{len(rows)} rows, {active} active, {labelled} with a label of Rotator's"
        return [Finding(kind=platform.kind.name, ability="list", says=says)]

    return _tried(platform, "list", read)[0]


def _probe(platform: Platform, call: Call) -> Finding:
    """The admin value by the kind's own probe: as a witness it stands beside every proof of death."""
    kind, about = platform.kind.name, platform.admin
    answer = platform.witness(call)
    match answer:
        case Alive(principal=who) if platform.kind.traits.identity and who != about:
            says = f"{in_words('wrong_identity', platform.reasons)} (as {who})"
            return Finding(kind=kind, ability=_PROBE, subject=about, verdict=FAILS, code="wrong_identity", says=says,
                           do="correct `admin.principal` of the endpoint, or its value")  # fmt: skip
        case Alive(principal=who):
            return Finding(kind=kind, ability=_PROBE, says=f"alive as {who}" if who else "alive")
        case Inconclusive(reason=reason, retry_after=wait):
            do = f"wait {wait.total_seconds():g} s, then try again" if wait else _ADVICE[INCONCLUSIVE]
            return Finding(kind=kind, ability=_PROBE, subject=about, verdict=INCONCLUSIVE, code=reason,
                           says=in_words(reason, platform.reasons), do=do)  # fmt: skip


def _tried(platform: Platform, ability: str, read: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return read()
    except PluginError as error:
        return [broken(platform.kind.name, ability, error, platform.reasons)]
