"""What `perform` needs of a platform: one configured endpoint, one of its kinds, one method an ability.

Made by the daemon's bootstrap from `effects.host`. The host chooses who acts, pages listings to the end, checks answers
for echoes and raises only the API's four errors; `probe` and `check` never raise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from rotator.plugin_api import (
    Alive,
    CheckRequest,
    Found,
    Inconclusive,
    Installed,
    InstallRequest,
    Issued,
    IssueRequest,
    Kind,
    PreflightRequest,
    Probed,
    ProbeRequest,
    Ready,
    Revoked,
    RevokeRequest,
    Subject,
    SweepRequest,
    Swept,
)

from .stores.contract import Store


@dataclass(frozen=True, slots=True)
class Call:
    """On whose behalf a call goes out: the run (for the User-Agent) and the seconds that it may take."""

    run: str
    seconds: float


class Platform(Protocol):
    """One kind at one endpoint."""

    @property
    def kind(self) -> Kind[Any]: ...
    @property
    def admin(self) -> str:
        """The acting principal's name; empty where the endpoint has none."""
        ...

    @property
    def reasons(self) -> Mapping[str, str]:
        """What the plugin's own slugs mean: what the operator should know or do."""
        ...

    def preflight(self, call: Call, request: PreflightRequest) -> Ready: ...
    def probe(self, call: Call, request: ProbeRequest) -> Probed: ...
    def witness(self, call: Call) -> Alive | Inconclusive:
        """Probe the endpoint's own admin credential by the same ability: the control of another principal."""
        ...

    def install(self, call: Call, request: InstallRequest) -> Installed: ...
    def issue(self, call: Call, request: IssueRequest) -> Issued: ...
    def listing(self, call: Call, subject: Subject | None) -> tuple[Found, ...]:
        """Every row, paged to the end; Failed if the listing ended early."""
        ...

    def revoke(self, call: Call, request: RevokeRequest) -> Revoked: ...
    def sweep(self, call: Call, request: SweepRequest) -> Swept: ...
    def check(self, call: Call, request: CheckRequest) -> Probed: ...


class World(Protocol):
    """What is configured: platforms by (endpoint, kind), stores by name."""

    def platform(self, endpoint: str, kind: str) -> Platform:
        """Raises Misconfigured("unknown_endpoint") or ("unknown_kind")."""
        ...

    def store(self, name: str) -> Store:
        """Raises Misconfigured("unknown_store")."""
        ...


__all__ = ["Call", "Platform", "World"]
