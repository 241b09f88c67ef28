"""Requests and responses of plugin API version 1: one pair per ability.

Everything but `value`, `fields` and `same` may be journaled. All grow by keyword fields with defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime, timedelta

from .secret import Secret
from .traits import data


@data
class Subject:
    """The principal, with the parameters that its kind declares."""

    principal: str
    params: Mapping[str, str] = field(default_factory=dict)


@data
class Generation:
    """A reference to one value: never the value."""

    subject: Subject
    handle: str | None = None
    label: str = ""


@data
class Actor:
    """Who calls; chosen by the host. `is_self`: the credential under rotation acts for itself."""

    is_self: bool
    generation: Generation
    value: Secret


# ---- requests and responses: one pair per ability ------------------------------------------------------------------


@data
class PreflightRequest:
    """Who are we at the platform, and could we do it? Changes nothing."""

    subject: Subject


@data
class Ready:
    """`acting`: who the platform says we are. `findings`: declared slugs of what is missing."""

    acting: str
    findings: tuple[str, ...] = ()


@data
class ProbeRequest:
    """Try this value, once, on a new connection."""

    target: Generation
    value: Secret


@data
class Alive:
    """The platform accepted this very value and said whose it is."""

    principal: str | None
    handle: str | None = None
    scopes: frozenset[str] | None = None
    expires_at: datetime | None = None


@data
class Rejected:
    """A recognised refusal of this very value."""

    reason: str


@data
class Inconclusive:
    """Anything else: time-outs, 403 by policy, 429, HTML."""

    reason: str
    retry_after: timedelta | None = None


Probed = Alive | Rejected | Inconclusive


@data
class InstallRequest:
    """Put `value` in place. At an authority `into == of.subject`; at a consumer `fields` is the rendered payload."""

    into: Subject
    value: Secret
    of: Generation
    label: str
    scopes: frozenset[str] = frozenset()
    expires_at: datetime | None = None
    fields: Mapping[str, Secret] = field(default_factory=dict)


@data
class Installed:
    """Done. `handle`: the platform's id, where it has one."""

    handle: str | None = None


@data
class IssueRequest:
    """Ask the platform to make a value."""

    subject: Subject
    label: str
    scopes: frozenset[str] = frozenset()
    expires_at: datetime | None = None


@data
class Issued:
    """The value that the platform made."""

    value: Secret
    handle: str | None
    principal: str | None = None
    expires_at: datetime | None = None


@data
class ReadRequest:
    """Show the present value."""

    target: Generation


@data
class Shown:
    """The present value."""

    value: Secret


@data
class ListRequest:
    """One page of what lives for `subject` (None: everything that can be seen)."""

    subject: Subject | None
    cursor: str | None = None


@data
class Found:
    """One row of a listing. `same`: only where the platform shows values; compared inside the host, never journaled."""

    handle: str
    label: str | None = None
    principal: str | None = None
    active: bool = True
    created_at: datetime | None = None
    updated_at: datetime | None = None
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    scopes: frozenset[str] | None = None
    used_by: tuple[str, ...] = ()
    same: Secret | None = None


@data
class Page:
    """One page; `next` is the cursor of the following one."""

    items: tuple[Found, ...]
    next: str | None = None


@data
class RevokeRequest:
    """Kill exactly this one. `value` only where `Kind.revoke_by_value`. `fields`: at a consumer, the names of the
    fields that it holds and shall forget; never their values."""

    target: Generation
    value: Secret | None = None
    fields: tuple[str, ...] = ()


@data
class Revoked:
    """Gone. `already`: it was gone before."""

    already: bool = False


@data
class SweepRequest:
    """Remove tokens and sessions derived from the target."""

    target: Generation


@data
class Swept:
    """Derived tokens are gone; `left_until`: the last of those that cannot be removed dies then."""

    count: int | None = None
    left_until: datetime | None = None


@data
class CheckRequest:
    """The holder uses what it holds."""

    into: Subject
    of: Generation
