"""`plugins try`: an endpoint's reads, done once against the real platform, told without a single value.

Called by the daemon for the command line. Preflight and list only: nothing is changed, nothing is probed.
"""

from __future__ import annotations

from dataclasses import dataclass

from rotator.effects.platforms import Call
from rotator.plugin_api import RESERVED, PluginError, PreflightRequest, Subject

from .gateway import HostedPlatform


@dataclass(frozen=True, slots=True)
class Finding:
    """One read: which kind and ability, whether it worked, what was seen in words."""

    kind: str
    ability: str
    ok: bool
    says: str


def try_endpoint(platform: HostedPlatform, call: Call, subject: Subject | None = None) -> tuple[Finding, ...]:
    """Do preflight and list of one kind. Never raises a plugin's error: it becomes a finding."""
    subject_or_admin = subject or Subject(principal=platform.admin)
    found: list[Finding] = []
    if platform.kind.preflight is not None:
        found.append(_preflight(platform, call, subject_or_admin))
    if platform.kind.list is not None:
        found.append(_list(platform, call, subject))
    if not found:
        found.append(Finding(platform.kind.name, "none", False, "this kind has no reads to try"))
    return tuple(found)


def _preflight(platform: HostedPlatform, call: Call, subject: Subject) -> Finding:
    try:
        ready = platform.preflight(call, PreflightRequest(subject=subject))
    except PluginError as error:
        return _failed(platform, "preflight", error)
    missing = "; ".join(platform.connection.plugin.reasons.get(slug, slug) for slug in ready.findings)
    return Finding(platform.kind.name, "preflight", not missing, missing or f"we act as {ready.acting}")


def _list(platform: HostedPlatform, call: Call, subject: Subject | None) -> Finding:
    try:
        rows = platform.listing(call, subject)
    except PluginError as error:
        return _failed(platform, "list", error)
    active = sum(row.active for row in rows)
    labelled = sum((row.label or "").startswith("rot-") for row in rows)
    return Finding(
        platform.kind.name, "list", True, f"{len(rows)} rows, {active} active, {labelled} with a label of ours"
    )


def _failed(platform: HostedPlatform, ability: str, error: PluginError) -> Finding:
    words = platform.connection.plugin.reasons.get(error.reason) or RESERVED.get(error.reason, "")
    code = f" {error.status}" if error.status else ""
    return Finding(platform.kind.name, ability, False, f"{error.reason}{code}: {words}")
