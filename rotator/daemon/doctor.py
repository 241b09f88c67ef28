"""`rotator doctor`: everything that could be found before anything is changed, in the order in which it would hurt.

Called by the command line, by name, as the daemon's user, with or without a daemon beside it. It reads: the machine,
the configuration, the ledger's file, the stores, each endpoint with its admin value, each credential's place. It must
never write anywhere, make a file, or try a credential's own value: that is `verify`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rotator.effects.inspect import AdminRef, Inspection
from rotator.engine.inventory import Credential, CredentialId
from rotator.plugin_api import Misconfigured
from rotator.settings import definitions, loader
from rotator.settings.models import Configuration
from rotator.settings.problems import ConfigurationRefused, Problem

from . import advice
from .clock import SystemClock
from .doctor_machine import local_checks
from .offline import judged
from .skew import clock_checks
from .world import World

OK: Final = "ok"
WARNING: Final = "warning"
FAILS: Final = "fails"
SKIPPED: Final = "skipped"
REMOTE: Final = ("stores", "endpoints", "credentials")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at. `verdict`: ok · warning · fails · skipped (something before it fails)."""

    area: str
    subject: str = ""
    verdict: str = OK
    code: str = ""
    says: str = ""
    do: str = ""

    def as_json(self) -> dict[str, Any]:
        """As the command line shows it; `docs`: where the code stands."""
        return {**asdict(self), "docs": advice.place(self.code) if self.code else ""}


def examine(config: Path, version: str) -> list[dict[str, Any]]:
    """All checks, in order. Never raises what it can tell."""
    return [one.as_json() for one in _examined(config, version)]


def _examined(config: Path, version: str) -> Iterator[Check]:
    try:
        loaded = loader.load(config)
    except ConfigurationRefused as refused:
        yield from _problems(refused.problems)
        yield from _skipped("the configuration is not valid", "files", *REMOTE)
        return
    settings = loaded.configuration
    try:
        problems = [*loaded.warnings, *judged(loaded)]
    except Misconfigured as error:
        problems = [Problem("CFG-PLUGIN", advice.of(error.reason).means)]
    yield from _problems(problems)
    wrong = any(not one.warning for one in problems)
    if not problems:
        many = f"{len(settings.credentials)} credentials, {len(settings.endpoints)} endpoints"
        yield Check(area="configuration", subject=str(config), says=f"valid: {many}")
    yield from (Check(**found) for found in local_checks(settings))
    yield from (Check(**found) for found in clock_checks(settings, SystemClock()))
    if wrong:
        yield from _skipped("the configuration is not valid", *REMOTE)
        return
    with ExitStack() as closing:
        try:
            # Without the daemon's deliveries: a wrapped secret id is looked at and not used up.
            world = World(settings, SystemClock(), version)
        except ConfigurationRefused as refused:
            yield from _problems(refused.problems)
            yield from _skipped("a store or an endpoint cannot be opened", *REMOTE)
            return
        closing.callback(world.close)
        yield from _world(settings, world)


def _world(settings: Configuration, world: World) -> Iterator[Check]:
    credentials = definitions.definitions(settings)
    inspection = Inspection(world, lambda name: _admin_of(settings, name), lambda name: _kinds(world, name), lambda: ())
    for name in settings.endpoints:
        yield from _endpoint(name, inspection, list(credentials.values()))
    yield from _places(credentials, inspection.findings)


def _places(
    credentials: Mapping[CredentialId, Credential], findings: Callable[[Credential], Sequence[tuple[str, str]]]
) -> Iterator[Check]:
    """Each credential's store and places. What several have in common is told once, but none of them is called good."""
    seen: set[tuple[str, str]] = set()
    for name, definition in credentials.items():
        found = findings(definition)
        fresh = [one for one in found if one not in seen]
        seen.update(found)
        if not found:
            yield Check(area="credentials", subject=str(name), says="its store and its places can be used")
        elif not fresh:
            yield Check(area="credentials", subject=str(name), verdict=SKIPPED, says="the same is wrong as above")
        for code, says in fresh:
            do = advice.of(code).do
            yield Check(area="credentials", subject=str(name), verdict=FAILS, code=code, says=says, do=do)


def _endpoint(name: str, inspection: Inspection, credentials: list[Credential]) -> Iterator[Check]:
    for found in inspection.attempt(name, credentials):
        subject = f"{name}: {found['kind']}, {found['ability']}" + (f", {found['subject']}" if found["subject"] else "")
        verdict = OK if found["ok"] else WARNING if found["verdict"] == "inconclusive" else FAILS
        told = advice.of(str(found["code"])).do if found["code"] else ""
        yield Check(
            area="endpoints", subject=subject, verdict=verdict, code=str(found["code"]), says=str(found["says"]),
            do=told or str(found["do"]),
        )  # fmt: skip


def _kinds(world: World, endpoint: str) -> tuple[str, ...]:
    return tuple(kind.name for kind in world.loaded(endpoint).plugin.kinds)


def _admin_of(settings: Configuration, endpoint: str) -> AdminRef | None:
    admin = settings.endpoints[endpoint].admin
    if admin is None or admin.value.store is None:
        return None
    return AdminRef(str(admin.value.store), str(admin.value.path), str(admin.value.field))


def _problems(problems: Iterable[Problem]) -> Iterator[Check]:
    for one in problems:
        place = f"{one.place} {one.where}".strip()
        says = f"{one.message}; did you mean: {one.suggestion}" if one.suggestion else one.message
        verdict = WARNING if one.warning else FAILS
        do = advice.of(one.code).do
        yield Check(area="configuration", subject=place, verdict=verdict, code=one.code, says=says, do=do)


def _skipped(why: str, *areas: str) -> Iterator[Check]:
    for area in areas:
        yield Check(area=area, verdict=SKIPPED, says=why)
