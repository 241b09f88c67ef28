"""A kind's calls as the functions of the plugin API: `f(at, request) -> response`. Made by `reading`.

The host calls them. Two compositions are built in: reserve + issue (a record first, then its secret), and issue without
a handle (it is looked up by the label). Nothing here remembers anything between calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from rotator.plugin_api import (
    Alive,
    CheckRequest,
    Endpoint,
    Found,
    Generation,
    Inconclusive,
    Installed,
    InstallRequest,
    Issued,
    IssueRequest,
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
    Shown,
    Subject,
    SweepRequest,
    Swept,
)
from rotator.plugin_api.patterns import compiled

from .calls import Call, KindCalls, Listing
from .exchange import (
    Ending,
    LoginRefused,
    ask,
    is_digest,
    needed_text,
    opinion_of,
    optional_take,
    own_row,
    settled,
    take_secret,
    take_text,
    take_time,
    take_words,
)
from .listing import every_match, every_row, one_page
from .render import Value, config_values, expiry_values, is_empty, subject_values, target_values
from .templates import ROW

T = TypeVar("T")
UNLABELLED: Final = "unlabelled"
"""What a holder is marked with when it gets a value that was there before us, which has no label."""


@dataclass(frozen=True, slots=True)
class KindFunctions:
    """The functions of one kind. `config`: the names of the pack's settings."""

    calls: KindCalls
    config: tuple[str, ...]

    def _values(self, at: Endpoint[Any], *, acting: bool = True) -> dict[str, Value]:
        known = config_values(at.config, self.config)
        if acting:
            known["acting.principal"] = at.actor.generation.subject.principal
            known["acting.value"] = at.actor.value
        return known

    def _subject(self, subject: Subject | None) -> dict[str, Value]:
        """What is known of an account; Misconfigured for a name under which the platform would find another."""
        pattern = self.calls.principal
        if subject is not None and pattern is not None and compiled(pattern).search(subject.principal) is None:
            raise Misconfigured("unfit_name", unsent=True)
        return subject_values(subject)

    def _target(self, target: Generation) -> dict[str, Value]:
        return self._subject(target.subject) | target_values(target)

    # ---- reading ----

    def preflight(self, at: Endpoint[Any], request: PreflightRequest) -> Ready:
        call = _there(self.calls.preflight)
        asked = ask(at, call, self._values(at) | self._subject(request.subject), writing=False)
        _success(settled(call, asked))
        row = None if call.own is None else own_row(call.own, asked, at.actor.value)
        acting = needed_text(call.take["acting"], asked, row)
        return Ready(acting=acting, findings=self._rehearsed(at, call.rehearsal, request.subject))

    def _rehearsed(self, at: Endpoint[Any], call: Call | None, subject: Subject) -> tuple[str, ...]:
        """What the platform refuses in rehearsal; nothing if the subject lacks what it asks for (it is the actor's)."""
        values = self._values(at) | self._subject(subject)
        if call is None:
            return ()
        needed = {one.name for one in call.variables() if not one.optional} - {"login.token"}
        if any(is_empty(values.get(name)) for name in needed):
            return ()
        try:
            _success(settled(call, ask(at, call, values, writing=False)))
        except (Refused, Misconfigured) as error:
            return (error.reason,)
        return ()

    def probe(self, at: Endpoint[Any], request: ProbeRequest) -> Probed:
        call = _there(self.calls.probe)
        try:
            values = self._values(at, acting=False) | self._target(request.target) | {"value": request.value}
            asked = ask(at, call, values, writing=False)
            opinion = opinion_of(call, asked)
            if opinion is not None:
                return opinion
            row = asked.body if call.own is None else own_row(call.own, asked, request.value)
            scopes = take_words(call.take.get("scopes"), row)
            named = call.take.get("principal")
            return Alive(
                # Without a name it was perhaps somebody else who was let in, or nobody.
                principal=None if named is None else needed_text(named, asked, row),
                handle=optional_take(call.take, "handle", asked, row),
                scopes=None if scopes is None else frozenset(scopes),
                expires_at=take_time(call.take.get("expires_at"), row),
            )
        except LoginRefused as refused:
            return refused.opinion
        except PluginError as error:
            return Inconclusive(reason=error.reason, retry_after=error.retry_after)

    def check(self, at: Endpoint[Any], request: CheckRequest) -> Probed:
        call = _there(self.calls.check)
        try:
            values = self._values(at) | self._subject(request.into) | _of(request.of)
            asked = ask(at, call, values, writing=False)
            opinion = opinion_of(call, asked)
            if opinion is not None:
                return opinion
            shown = call.take.get("label")
            label = None if shown is None else take_text(shown, asked)
            if shown is not None and not request.of.label:
                return Inconclusive(reason="no_label")
            if shown is not None and label != request.of.label:
                return Rejected(reason="holds_nothing" if label is None else "holds_another")
            named = call.take.get("principal")
            return Alive(principal=None if named is None else take_text(named, asked))
        except PluginError as error:
            return Inconclusive(reason=error.reason, retry_after=error.retry_after)

    def read(self, at: Endpoint[Any], request: ReadRequest) -> Shown:
        call = _there(self.calls.read)
        asked = ask(at, call, self._values(at) | self._target(request.target), writing=False)
        _success(settled(call, asked))
        return Shown(value=take_secret(call.take["value"], asked))

    def list(self, at: Endpoint[Any], request: ListRequest) -> Page:
        listing = self._listing()
        page = one_page(at, listing, self._values(at) | self._subject(request.subject), request.cursor)
        return Page(items=_of_subject(page.items, request.subject), next=page.next)

    # ---- writing ----

    def install(self, at: Endpoint[Any], request: InstallRequest) -> Installed:
        call = _there(self.calls.install)
        values: dict[str, Value] = {
            "value": request.value,
            "label": request.label,
            "mark": request.label or UNLABELLED,
            "scopes": tuple(request.scopes),
            "fields": request.fields,
        }
        values |= self._values(at) | self._subject(request.into) | _of(request.of)
        values |= expiry_values(request.expires_at, at.now())
        asked = ask(at, call, values, writing=True)
        _success(settled(call, asked))
        if "handle" in call.take:
            return Installed(handle=needed_text(call.take["handle"], asked))
        return Installed(handle=request.label if self.calls.handle_is_label else None)

    def issue(self, at: Endpoint[Any], request: IssueRequest) -> Issued:
        call = _there(self.calls.issue)
        values: dict[str, Value] = {"label": request.label, "scopes": tuple(request.scopes)}
        values |= self._values(at) | self._subject(request.subject)
        values |= expiry_values(request.expires_at, at.now())
        if self.calls.reserve is not None:
            values["handle"] = self._reserved(at, self.calls.reserve, values, request)
        asked = ask(at, call, values, writing=True)
        _success(settled(call, asked))
        value = take_secret(call.take["value"], asked)
        handle = optional_take(call.take, "handle", asked)
        if "handle" in call.take and handle is None:
            raise asked.missing()
        if handle is None and self.calls.reserve is not None:
            handle = str(values["handle"])
        if handle is None and self.calls.list is not None and "label" in self.calls.list.each:
            handle = self._labelled(at, values, request)
        return Issued(
            value=value,
            handle=handle,
            principal=optional_take(call.take, "principal", asked),
            expires_at=take_time(call.take.get("expires_at"), asked.body),
        )

    def _reserved(self, at: Endpoint[Any], reserve: Call, values: dict[str, Value], request: IssueRequest) -> str:
        """The handle of the labelled record: the one that an earlier attempt left, or a new one."""
        rows = self._rows_labelled(at, values, request)
        if len(rows) > 1:
            raise Refused("label_taken", unsent=True)
        if rows:
            return rows[0].handle
        asked = ask(at, reserve, values, writing=True)
        _success(settled(reserve, asked))
        handle = optional_take(reserve.take, "handle", asked)
        return handle if handle is not None else self._labelled(at, values, request)

    def _labelled(self, at: Endpoint[Any], values: dict[str, Value], request: IssueRequest) -> str:
        try:
            rows = self._rows_labelled(at, values, request)
        except PluginError as error:
            # The value exists and cannot be named: that is not a failure that may be repeated.
            raise OutcomeUnknown(error.reason, status=error.status) from None
        if len(rows) != 1:
            raise OutcomeUnknown("incomplete_answer")
        return rows[0].handle

    def _rows_labelled(self, at: Endpoint[Any], values: dict[str, Value], request: IssueRequest) -> tuple[Found, ...]:
        rows = every_row(at, self._listing(), values)
        return tuple(row for row in _of_subject(rows, request.subject) if row.label == request.label)

    def revoke(self, at: Endpoint[Any], request: RevokeRequest) -> Revoked:
        call = _there(self.calls.revoke)
        values = self._values(at) | self._target(request.target) | _of(request.target)
        if request.value is not None:
            values["value"] = request.value
        values["fields"] = dict.fromkeys(request.fields)  # a consumer forgets them: each name with nothing
        if self.calls.revoke_rows is not None:
            count = self._row_by_row(at, call, self.calls.revoke_rows, values, request.target)
            return Revoked(already=count == 0)
        if self.calls.revoke_row is not None:
            own = self._row_of(at, self.calls.revoke_row, values, request.target)
            if own is None:
                return Revoked(already=True)
            values |= own
        asked = ask(at, call, values, writing=True)
        match settled(call, asked):
            case "gone":
                return Revoked(already=True)
            case "maybe_gone":
                # One text for "gone" and "forbidden": only the whole list can tell.
                if self._is_listed(at, request.target):
                    raise Refused("refused", status=str(asked.response.status))
                return Revoked(already=True)
        return Revoked()

    def sweep(self, at: Endpoint[Any], request: SweepRequest) -> Swept:
        call = _there(self.calls.sweep)
        values = self._values(at) | self._target(request.target) | _of(request.target)
        if self.calls.sweep_rows is not None:
            return Swept(count=self._row_by_row(at, call, self.calls.sweep_rows, values, request.target))
        asked = ask(at, call, values, writing=True)
        if settled(call, asked) == "maybe_gone":
            raise Refused("refused", status=str(asked.response.status))
        return Swept()

    def _row_by_row(
        self, at: Endpoint[Any], call: Call, listing: Listing, values: dict[str, Value], target: Generation
    ) -> int:
        """Sends the call once for each row of the target's subject; how many there were."""
        rows = _of_subject(every_row(at, listing, values), target.subject)
        for row in rows:
            own: dict[str, Value] = {"handle": row.handle, "label": row.label}
            asked = ask(at, call, values | own, writing=True)
            if settled(call, asked) == "maybe_gone":
                raise Refused("refused", status=str(asked.response.status))
        return len(rows)

    def _row_of(
        self, at: Endpoint[Any], places: Mapping[str, str], values: dict[str, Value], target: Generation
    ) -> dict[str, Value] | None:
        """The variables of the one row with the target's handle, masked; None: the whole list is without it."""
        listing = self._listing()
        handle = target.handle or ""
        if not handle:
            raise Misconfigured("missing_variable", unsent=True)
        if listing.each["handle"].form == "digest" and not is_digest(handle):
            raise Misconfigured("unfit_name", unsent=True)
        found = every_match(at, listing, values, handle, places)
        if not found:
            return None
        mine = _of_subject(tuple(one.found for one in found), target.subject)
        if self.calls.revoke_labelled and target.label and any(one.label != target.label for one in mine):
            raise Refused("other_label")
        if len(found) > 1 or len(mine) != 1:
            raise Refused("refused")
        return {f"{ROW}{name}": secret for name, secret in found[0].own.items()}

    def _is_listed(self, at: Endpoint[Any], target: Generation) -> bool:
        rows = every_row(at, self._listing(), self._values(at) | self._subject(target.subject))
        return any(row.handle == target.handle for row in rows)

    def _listing(self) -> Listing:
        return _there(self.calls.list)


def _there(slot: T | None) -> T:
    if slot is None:
        raise AssertionError("a slot that is not declared was called")
    return slot


def _of(generation: Generation) -> dict[str, Value]:
    return {"of.principal": generation.subject.principal, "of.handle": generation.handle}


def _success(ending: Ending) -> None:
    if ending != "ok":
        raise Refused("not_found")


def _of_subject(rows: tuple[Found, ...], subject: Subject | None) -> tuple[Found, ...]:
    """The rows of this subject, and those that do not say whose they are (the request asked for the subject's)."""
    if subject is None:
        return rows
    return tuple(row for row in rows if row.principal is None or row.principal == subject.principal)
