"""Runs one ability of a plugin and lets through a checked response or exactly one of the API's errors.

`HostedPlatform` is what `perform` knows as a Platform; the daemon makes one per endpoint and kind. Here only are: who
acts, the deadline, paging to the end, the echo check, the translation of whatever a plugin raises.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from rotator.effects.platforms import Call
from rotator.effects.transport import Transport
from rotator.engine.protection import Heard, Listener, Nobody, Target, endpoint
from rotator.plugin_api import (
    RESERVED,
    Actor,
    Alive,
    CheckRequest,
    Failed,
    Found,
    Generation,
    Inconclusive,
    Installed,
    InstallRequest,
    Issued,
    IssueRequest,
    Kind,
    ListRequest,
    Misconfigured,
    OutcomeUnknown,
    Page,
    PluginError,
    PreflightRequest,
    Probed,
    ProbeRequest,
    ReadRequest,
    Ready,
    Refused,
    Rejected,
    Revoked,
    RevokeRequest,
    Secret,
    Shown,
    Subject,
    SweepRequest,
    Swept,
)

from .echo import LONGEST, Oversized, is_one_of, plain_strings, repeats, secrets_in
from .endpoint import WRITING, Acting, At, Clock, Connection, Logins, make_config
from .hearing import in_error, in_response

MOST_PAGES: Final = 1000
MOST_ROWS: Final = 100_000
_SLUG: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_CODE: Final = re.compile(r"[A-Za-z0-9_.-]{0,40}")
_ERRORS: Final = (Refused, Failed, OutcomeUnknown, Misconfigured)
R = TypeVar("R")


class Gateway:
    """What all platforms of a daemon share: the clock, the version in the User-Agent, the actors' short logins."""

    def __init__(self, clock: Clock, version: str, listener: Listener | None = None) -> None:
        self.clock = clock
        self.version = version
        self.listener = listener or Nobody()
        self.logins = Logins(clock)

    def platform(
        self, connection: Connection, kind: str, admin: Callable[[], Secret | Acting] | None = None
    ) -> HostedPlatform:
        """One kind at one endpoint. `admin` fetches the acting value when a call needs it (the store may rotate it),
        with its id where the platform wants one; what it raises must be a PluginError. Raises ConfigFault,
        Misconfigured("unknown_kind"), Misconfigured("tls") for a CA file that cannot be used."""
        found = next((one for one in connection.plugin.kinds if one.name == kind), None)
        if found is None:
            raise Misconfigured("unknown_kind")
        config = make_config(connection.plugin, connection.config)
        transport = self._transport(connection.ca, connection.insecure)
        return HostedPlatform(self, connection, found, config, transport, admin)

    def _transport(self, ca: Path | None, insecure: bool) -> Transport:
        try:
            return Transport(self.clock, ca=ca, insecure=insecure)
        except OSError:  # ssl.SSLError is one: no such file, or nothing in it
            raise Misconfigured("tls", unsent=True) from None


@dataclass(frozen=True, slots=True)
class HostedPlatform:
    """One kind at one endpoint, behind the host's guarantees. Thread-safe: each call has an endpoint of its own."""

    gateway: Gateway
    connection: Connection
    kind: Kind[Any]
    config: Any
    transport: Transport
    admin_value: Callable[[], Secret | Acting] | None = None

    @property
    def admin(self) -> str:
        return self.connection.admin

    @property
    def reasons(self) -> Mapping[str, str]:
        return self.connection.plugin.reasons

    def preflight(self, call: Call, request: PreflightRequest) -> Ready:
        return self._run("preflight", self.kind.preflight, call, request, Ready)

    def probe(self, call: Call, request: ProbeRequest) -> Probed:
        return self._tried("probe", self.kind.probe, call, request)

    def check(self, call: Call, request: CheckRequest) -> Probed:
        return self._tried("check", self.kind.check, call, request)

    def witness(self, call: Call) -> Alive | Inconclusive:
        """The endpoint's own admin credential, tried by the same ability."""
        if self.admin_value is None or self.kind.probe is None:
            return Inconclusive(reason="no_witness")
        try:
            acting = self._login(self.admin_value)
        except PluginError as error:
            return Inconclusive(reason=error.reason)
        found = self.probe(call, ProbeRequest(target=self._admin_of(acting), value=acting.value))
        if isinstance(found, Alive | Rejected):
            said = Heard.ADMITTED if isinstance(found, Alive) else Heard.REFUSED
            self.gateway.listener.heard(self._target, said, 0)
        return Inconclusive(reason=found.reason) if isinstance(found, Rejected) else found

    def install(self, call: Call, request: InstallRequest) -> Installed:
        return self._run("install", self.kind.install, call, request, Installed)

    def issue(self, call: Call, request: IssueRequest) -> Issued:
        return self._run("issue", self.kind.issue, call, request, Issued)

    def read(self, call: Call, request: ReadRequest) -> Shown:
        return self._run("read", self.kind.read, call, request, Shown)

    def revoke(self, call: Call, request: RevokeRequest) -> Revoked:
        if request.value is not None and not self.kind.revoke_by_value:
            raise Failed("plugin_bug", unsent=True)  # H2: no other revoke may see a value
        return self._run("revoke", self.kind.revoke, call, request, Revoked)

    def sweep(self, call: Call, request: SweepRequest) -> Swept:
        return self._run("sweep", self.kind.sweep, call, request, Swept)

    def listing(self, call: Call, subject: Subject | None) -> tuple[Found, ...]:
        """Every row. A page that fails, a cursor that comes back or a bound that is met fails the listing: what is not
        in a part of a list is not absent."""
        until = self.gateway.clock.monotonic() + call.seconds
        rows: list[Found] = []
        seen: set[str] = set()
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            left = Call(call.run, until - self.gateway.clock.monotonic())
            page = self._run("list", self.kind.list, left, ListRequest(subject=subject, cursor=cursor), Page)
            rows += page.items
            if page.next is None:
                return tuple(rows)
            cursor = page.next
            if cursor in seen or len(rows) > MOST_ROWS:
                break
            seen.add(cursor)
        raise Failed("unrecognised_answer")

    def _tried(self, ability: str, slot: Callable[[Any, Any], Any] | None, call: Call, request: Any) -> Probed:
        try:
            found: Probed = self._run(ability, slot, call, request, (Alive, Rejected, Inconclusive))
        except PluginError as error:
            return Inconclusive(reason=error.reason, retry_after=error.retry_after)
        if isinstance(found, Inconclusive) and found.retry_after is not None:
            found = replace(found, retry_after=self._bounded(found.retry_after))
        if isinstance(found, Rejected | Inconclusive) and not self._is_declared(found.reason):
            return Inconclusive(reason="unexplained")
        return found

    def _run(
        self,
        ability: str,
        slot: Callable[[Any, Any], R] | None,
        call: Call,
        request: Any,
        expected: type[R] | tuple[type[Any], ...],
    ) -> R:
        if slot is None:
            raise Misconfigured("no_such_ability", unsent=True)
        # The time runs from here: reading the acting value takes of it, a write must not leave after its deadline.
        until = self.gateway.clock.monotonic() + call.seconds
        at = self._at(ability, call, until)
        names = frozenset(plain_strings((request, self.admin)))
        held = [one for one in (at.actor.value, *secrets_in(request)) if not is_one_of(one, names)]
        failure: PluginError
        began = self.gateway.clock.monotonic()
        try:
            with at.closing:
                response = slot(at, request)
            response = self._checked(ability, response, [*held, *at.minted], expected)
            self._heard(in_response(ability, response, acting=self.admin_value is not None), max(1, at.exchanges))
            return response
        except _ERRORS as error:
            failure = self._passed(ability, error, [*held, *at.minted], at)
        except Exception:
            failure = _bug(ability, "plugin_bug")
        took = self.gateway.clock.monotonic() - began
        self._heard(in_error(failure, took, until - began), max(at.exchanges, 0 if failure.unsent else 1))
        # Raised here and not above: `from None` hides what went before, it does not drop it.
        raise failure from None

    def _checked(self, ability: str, response: R, held: list[Secret], expected: type[R] | tuple[type[Any], ...]) -> R:
        """The response, if it is one and repeats nothing; labels of strangers are cut to length."""
        if not isinstance(response, expected):
            raise _bug(ability, "plugin_bug")
        if isinstance(response, Page):
            response = replace(response, items=tuple(_shortened(row) for row in response.items))
        try:
            echoed = repeats(response, [*held, *secrets_in(response)])
        except Oversized:
            raise _bug(ability, "too_large") from None
        if echoed:
            raise _bug(ability, "echo")
        return response

    @property
    def _target(self) -> Target:
        return endpoint(self.connection.name)

    def _heard(self, said: tuple[Heard, int | None], calls: int) -> None:
        self.gateway.listener.heard(self._target, said[0], calls, said[1])

    def _bounded(self, wait: timedelta) -> timedelta:
        """What the platform asks to wait, never beyond what is allowed here."""
        return min(wait, timedelta(milliseconds=self.gateway.listener.longest(self._target)))

    def _at(self, ability: str, call: Call, until: float) -> At:
        acting = Acting(Secret("")) if self.admin_value is None else self._login(self.admin_value)
        actor = Actor(is_self=False, generation=self._admin_of(acting), value=acting.value)
        return At(
            connection=self.connection,
            config=self.config,
            actor=actor,
            transport=self.transport,
            clock=self.gateway.clock,
            logins=self.gateway.logins,
            ability=ability,
            agent_version=self.gateway.version,
            run=call.run,
            until=until,
        )

    def _admin_of(self, acting: Acting) -> Generation:
        """The acting value as a reference. Its id is none that we made up: it stands in the store beside the value."""
        handle = None if acting.handle is None else acting.handle.reveal()
        return Generation(subject=Subject(principal=self.admin), handle=handle)

    def _login(self, read: Callable[[], Secret | Acting]) -> Acting:
        """What acts. Reading it has sent nothing to the platform, whatever became of it."""
        failure: PluginError
        try:
            found = read()
            return Acting(found) if isinstance(found, Secret) else found
        except (Failed, OutcomeUnknown) as error:
            failure = Failed(error.reason, status=error.status, retry_after=error.retry_after, unsent=True)
        except PluginError as error:
            failure = error
        except Exception:
            failure = Misconfigured("admin_unreadable", unsent=True)
        raise failure

    def _passed(self, ability: str, error: PluginError, held: list[Secret], at: At) -> PluginError:
        """The plugin's error made anew: nothing that hangs on the old one (cause, notes, context) comes along."""
        status = error.status if isinstance(error.status, str) and _CODE.fullmatch(error.status) else ""
        reason = error.reason if self._is_declared(error.reason) else "unexplained"
        if repeats((reason, status), held):
            return _bug(ability, "echo")
        if reason == "acting_refused":
            self.gateway.logins.drop(self.connection.name)
        wait = self._bounded(error.retry_after) if isinstance(error.retry_after, timedelta) else None
        made = next(one for one in _ERRORS if isinstance(error, one))
        if at.borrowed and reason == "acting_refused" and made is Misconfigured:
            made = Failed  # perhaps only the kept login is stale: the next try logs in anew
        if error.unsent and at.changed:
            made = OutcomeUnknown  # this request never left, but an earlier one of the same call did
        return made(reason, status=status, retry_after=wait, unsent=error.unsent is True and not at.changed)

    def _is_declared(self, reason: object) -> bool:
        known = isinstance(reason, str) and _SLUG.fullmatch(reason) is not None
        return known and (reason in RESERVED or reason in self.connection.plugin.reasons)


def _shortened(row: Any) -> Any:
    """Ids and names must be whole; a stranger's label may be as long as it likes and must not hide the others."""
    if not isinstance(row, Found) or not isinstance(row.label, str) or len(row.label) <= LONGEST:
        return row
    return replace(row, label=row.label[:LONGEST])


def _bug(ability: str, reason: str) -> PluginError:
    """A broken contract, by what it leaves open: a write may have been done."""
    return (OutcomeUnknown if ability in WRITING else Failed)(reason)
