"""Plugin API, version 1. A plugin is data plus plain functions `f(at, request) -> response`; no classes to subclass.

Plugins import this (through `rotator.plugin_api`) and nothing else of ours; the host calls what they declare. A slot
that is `None` is an ability that is absent. Reading a declaration does no I/O. The API grows by keyword fields with
defaults and by new slots; anything else is version 2. `docs/plugins.md` tells the story.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import field
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeVar

from .calls import (
    Actor,
    CheckRequest,
    Installed,
    InstallRequest,
    Issued,
    IssueRequest,
    ListRequest,
    Page,
    PreflightRequest,
    Probed,
    ProbeRequest,
    ReadRequest,
    Ready,
    Revoked,
    RevokeRequest,
    Shown,
    SweepRequest,
    Swept,
)
from .secret import Secret
from .traits import Traits, ValueSpec, data

C = TypeVar("C")
C_co = TypeVar("C_co", covariant=True)

Leaf = str | int | float | bool | None | Secret
Json = Leaf | Mapping[str, "Json"] | list["Json"]


@data
class HttpRequest:
    """A request by a declared route. A Secret in `path` or `query` does not type-check."""

    method: str
    route: str  # must be one of Plugin.routes; "{name}" is filled from path
    base: str = ""  # "" = config.url; else the name of another URL of the config
    path: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str | Secret] = field(default_factory=dict)
    json: Json = None
    form: Mapping[str, str | Secret] = field(default_factory=dict)
    text: Secret | None = None
    read: bool = False  # this request changes nothing (inside a writing ability)


class Body(Protocol):
    """A masked answer body, read by JSON pointer (RFC 6901); there is no way to get the whole of it."""

    def text(self, pointer: str) -> str:
        """The leaf as text; missing -> OutcomeUnknown in a write, else Failed (`incomplete_answer`)."""
        ...

    def find(self, pointer: str) -> str | None:
        """The leaf as text, or None; numbers and booleans come as JSON text."""
        ...

    def has(self, pointer: str) -> bool:
        """Whether something other than null stands there, also an array or an object."""
        ...

    def items(self, pointer: str) -> tuple[Body, ...]:
        """The elements of an array; missing as in `text`."""
        ...

    def secret(self, pointer: str = "") -> Secret:
        """The leaf as a Secret; "" is the whole plain-text body."""
        ...

    def when(self, pointer: str) -> datetime | None:
        """The leaf as a time: ISO 8601, or a number of seconds since the epoch."""
        ...

    def matches(self, pattern: str, pointer: str = "") -> bool:
        """Whether the pattern is found in the leaf, or in the text of the body."""
        ...


class Response(Protocol):
    """An answer: status, headers by name, body by pointer."""

    @property
    def status(self) -> int: ...

    @property
    def body(self) -> Body: ...

    def header(self, name: str) -> str | None:
        """The first header of that name, in any case; of `Set-Cookie` all of them, a line each."""
        ...

    def ok(self, *statuses: int) -> Body:
        """The body if the status is listed, else raises by the standard table of `docs/plugins.md`."""
        ...


class Endpoint(Protocol, Generic[C_co]):
    """What a function is given of the world. Unwound by the host after the call."""

    @property
    def config(self) -> C_co: ...

    @property
    def actor(self) -> Actor: ...

    @property
    def closing(self) -> ExitStack: ...

    def send(self, request: HttpRequest) -> Response: ...

    def token(self, mint: Callable[[], tuple[Secret, timedelta]]) -> Secret:
        """A short login of the actor, kept by the host in memory for its lifetime. Never for a value under test."""
        ...

    def hold(self, secret: Secret) -> Secret:
        """The same, held from now on: a response or error of this call that repeats it is refused as an echo."""
        ...

    def now(self) -> datetime: ...

    def remaining(self) -> float:
        """Seconds left for this call; for drivers that are not our HTTP."""
        ...


# ---- declaration ---------------------------------------------------------------------------------------------------


@data
class Kind(Generic[C]):
    """One sort of credential on a platform: traits, and the slots that exist."""

    name: str
    title: str
    traits: Traits
    params: Mapping[str, str] = field(default_factory=dict)  # name -> what it is, for Subject.params
    permissions: tuple[str, ...] = ()
    value: ValueSpec = ValueSpec()
    scopes_required: tuple[str, ...] = ()  # scopes without which a value cannot be probed: refused at adopt
    unsupported: str = ""  # not empty: only inventory; says why and what instead
    human_issue: str = ""
    human_revoke: str = ""
    revoke_by_value: bool = False
    preflight: Callable[[Endpoint[C], PreflightRequest], Ready] | None = None
    probe: Callable[[Endpoint[C], ProbeRequest], Probed] | None = None
    install: Callable[[Endpoint[C], InstallRequest], Installed] | None = None
    issue: Callable[[Endpoint[C], IssueRequest], Issued] | None = None
    read: Callable[[Endpoint[C], ReadRequest], Shown] | None = None
    list: Callable[[Endpoint[C], ListRequest], Page] | None = None
    revoke: Callable[[Endpoint[C], RevokeRequest], Revoked] | None = None
    sweep: Callable[[Endpoint[C], SweepRequest], Swept] | None = None
    check: Callable[[Endpoint[C], CheckRequest], Probed] | None = None


@data
class Plugin(Generic[C]):
    """A plugin: what it is called, how an endpoint of it is configured, the kinds it knows, the calls it can make."""

    name: str
    version: str
    config: type[C]  # a frozen dataclass of str, int, bool; never a secret
    kinds: tuple[Kind[C], ...]
    api: int = 1
    routes: tuple[str, ...] = ()  # "DELETE /api/v1/tokens/{id}": the only HTTP calls it can make
    urls: tuple[str, ...] = ("url",)  # fields of config that are origins it may call
    reasons: Mapping[str, str] = field(default_factory=dict)  # slug -> what the operator should do
