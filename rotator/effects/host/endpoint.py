"""What a plugin's function is given of the world for one call, and the configuration of the endpoint behind it.

Made by the gateway for each call and unwound after it. Holds no state between calls but the actor's short logins.
"""

from __future__ import annotations

import dataclasses
import threading
import typing
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from rotator.effects.transport import Broken, NotSent, Transport
from rotator.plugin_api import Actor, Failed, HttpRequest, Misconfigured, OutcomeUnknown, Plugin, Response, Secret

from .answer import Answer
from .wire import rendered, user_agent

WRITING: Final = frozenset({"install", "issue", "revoke", "sweep"})
TESTING: Final = frozenset({"probe", "check"})
_PERSON: Final = frozenset({"tls", "address_refused", "plain_http", "route_refused"})
_MARGIN: Final = timedelta(seconds=30)


class Clock(Protocol):
    """Milliseconds since the epoch, and seconds that never go back."""

    def now(self) -> int: ...
    def monotonic(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Acting:
    """What acts at an endpoint: its value and, where requests name it, the id by which the platform knows that value.
    Both were read together: an id beside another value's would look like a refused login."""

    value: Secret
    handle: Secret | None = None


class ConfigFault(ValueError):
    """The configuration of an endpoint does not fit its plugin. `problems`: (name of the setting, words)."""

    def __init__(self, problems: tuple[tuple[str, str], ...]) -> None:
        super().__init__("; ".join(f"{name}: {words}" for name, words in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A configured endpoint. `config` is plain; `admin` is the acting principal's name, empty where there is none."""

    name: str
    plugin: Plugin[Any]
    config: Mapping[str, str | int | bool] = field(default_factory=dict)
    admin: str = ""
    ca: Path | None = None
    insecure: bool = False
    origins: tuple[str, ...] = ()


def make_config(plugin: Plugin[Any], values: Mapping[str, str | int | bool]) -> Any:
    """The plugin's config object. Raises ConfigFault with every problem at once."""
    hints = typing.get_type_hints(plugin.config)
    known = {one.name: one for one in dataclasses.fields(plugin.config)}
    problems = [(name, "is no setting of this plugin") for name in values if name not in known]
    for name, one in known.items():
        needed = one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING
        if name not in values:
            problems += [(name, "is missing")] if needed else []
        elif not _fits(values[name], hints[name]):
            problems.append((name, f"must be {_words(hints[name])}"))
        elif name in plugin.urls and not _is_origin(str(values[name])):
            problems.append((name, "must be https://host[:port], perhaps with a path, without user, query or fragment"))
    if problems:
        raise ConfigFault(tuple(problems))
    try:
        return plugin.config(**values)
    except (TypeError, ValueError) as error:
        raise ConfigFault((("config", str(error) if isinstance(error, ValueError) else "does not fit"),)) from None


def _fits(value: object, hint: Any) -> bool:
    allowed = typing.get_args(hint) or (hint,)
    return type(value) in allowed or hint is Any


def _words(hint: Any) -> str:
    return {str: "a text", int: "a whole number", bool: "true or false"}.get(hint, "of another type")


def _is_origin(url: str) -> bool:
    parts = urlsplit(url)
    plain = not (parts.username or parts.password or parts.query or parts.fragment)
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and plain


class Logins:
    """Short logins of actors, in memory for their lifetime, never for a value under test. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str], tuple[Secret, Secret, float]] = {}

    def get(self, endpoint: str, actor: Actor) -> Secret | None:
        """The login of this very actor, if it lives a while longer."""
        with self._lock:
            kept = self._kept.get((endpoint, actor.generation.subject.principal))
        if kept is None or kept[2] <= self._clock.monotonic() or not kept[0].matches(actor.value):
            return None
        return kept[1]

    def keep(self, endpoint: str, actor: Actor, token: Secret, lives: timedelta) -> None:
        until = self._clock.monotonic() + max((lives - min(_MARGIN, lives / 2)).total_seconds(), 0.0)
        with self._lock:
            self._kept[endpoint, actor.generation.subject.principal] = (actor.value, token, until)

    def drop(self, endpoint: str) -> None:
        """Forget the endpoint's logins: at the end of a run, or because one was refused."""
        with self._lock:
            for key in [one for one in self._kept if one[0] == endpoint]:
                del self._kept[key]


@dataclass(slots=True)
class At:
    """`Endpoint` of the plugin API, for one call."""

    connection: Connection
    config: Any
    actor: Actor
    transport: Transport
    clock: Clock
    logins: Logins
    ability: str
    agent_version: str
    run: str
    until: float
    closing: ExitStack = field(default_factory=ExitStack)
    minted: list[Secret] = field(default_factory=list, repr=False)
    changed: bool = False
    """Whether a request that may have changed something has left in this call."""
    minting: bool = False
    borrowed: bool = False
    """Whether the actor's login came from an earlier call."""
    exchanges: int = 0
    """How many requests were made in this call."""

    def send(self, request: HttpRequest) -> Response:
        """One exchange by a declared route. Raises Failed, OutcomeUnknown or Misconfigured by how far it came."""
        before = self.changed
        writing = self.ability in WRITING and not request.read and not self.minting
        if self.remaining() <= 0:
            raise Failed("deadline", unsent=True)
        agent = user_agent(self.agent_version, self.ability, self.run)
        outgoing = rendered(request, self.connection.plugin.routes, self._base(request.base), agent)
        self.exchanges += 1
        try:
            got = self.transport.exchange(outgoing, self.remaining())
        except NotSent as fault:
            raise (Misconfigured if fault.reason in _PERSON else Failed)(fault.reason, unsent=True) from None
        except Broken as fault:
            self.changed = before or writing
            raise (OutcomeUnknown if self.changed else Failed)(fault.reason) from None
        # A 4xx is the platform's word that this one changed nothing.
        self.changed = before or (writing and not 400 <= got.status < 500)
        return Answer(got.status, got.headers, got.body, writing=writing or before, now=self.now(), changed=before)

    def token(self, mint: Callable[[], tuple[Secret, timedelta]]) -> Secret:
        # A value under test (the admin's own, too) logs in anew: a kept login would make a dead one look alive.
        testing = self.ability in TESTING
        kept = None if testing else self.logins.get(self.connection.name, self.actor)
        self.borrowed = kept is not None
        if kept is None:
            self.minting = True
            try:
                kept, lives = mint()
            finally:
                self.minting = False
            if not testing:
                self.logins.keep(self.connection.name, self.actor, kept, lives)
        self.minted.append(kept)
        return kept

    def hold(self, secret: Secret) -> Secret:
        self.minted.append(secret)
        return secret

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.clock.now() / 1000, UTC)

    def remaining(self) -> float:
        return self.until - self.clock.monotonic()

    def _base(self, name: str) -> str:
        name = name or "url"
        if name not in self.connection.plugin.urls:
            raise Failed("route_refused", unsent=True)
        return str(getattr(self.config, name))
