"""One exchange at run time: log in, send, judge the answer by the pack's rules, take from it. Called by `abilities`.

Answers are read by pointer only. Without a matching rule the API's standard table speaks; no status alone ever means
that a value is dead.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from rotator.plugin_api import (
    Body,
    Endpoint,
    Failed,
    Inconclusive,
    Misconfigured,
    OutcomeUnknown,
    PluginError,
    Refused,
    Rejected,
    Response,
    Secret,
)
from rotator.plugin_api.patterns import LONGEST_TEXT, compiled

from .calls import Call, Condition, Login, Own, Rule, Take
from .render import Value, Values, render

Ending = Literal["ok", "gone", "maybe_gone"]
DIGEST_DIGITS: Final = 32


@dataclass(frozen=True, slots=True)
class Asked:
    """An answer and how the request was sent: `writing` decides what an answer that is not understood means."""

    response: Response
    writing: bool

    @property
    def body(self) -> Body:
        return self.response.body

    def missing(self) -> PluginError:
        """The error of an answer that lacks a part."""
        return (OutcomeUnknown if self.writing else Failed)("incomplete_answer", status=str(self.response.status))


class LoginRefused(Exception):
    """Within a probe: the login with the value was not answered by a token, but by this."""

    def __init__(self, opinion: Rejected | Inconclusive) -> None:
        super().__init__(opinion.reason)
        self.opinion = opinion


def ask(at: Endpoint[Any], call: Call, values: Values, *, writing: bool) -> Asked:
    """Sends a call, after its login. `writing`: it changes something at the platform."""
    known: dict[str, Value] = dict(values)
    if call.login is not None:
        known["login.token"] = _token(at, call.login, values)
    return Asked(at.send(render(call.sent, known, read=not writing)), writing)


def _token(at: Endpoint[Any], login: Login, values: Values) -> Secret:
    # A login that must be ended is never kept: another call would find it ended. One with the value under test is never
    # kept either: revoked but cached would look alive.
    if login.of_actor and login.logout is None:
        return at.token(lambda: (_mint(at, login, values), login.lives))
    token = _mint(at, login, values)
    logout = login.logout
    if logout is not None:
        at.closing.callback(_end, at, logout, {**values, "login.token": token})
    return token


def _mint(at: Endpoint[Any], login: Login, values: Values) -> Secret:
    asked = ask(at, login.call, values, writing=False)
    if login.of_actor:
        settled(login.call, asked)
    else:
        opinion = opinion_of(login.call, asked)
        if opinion is not None:
            raise LoginRefused(opinion)
    return take_secret(login.token, asked)


def _end(at: Endpoint[Any], logout: Call, values: Values) -> None:
    with contextlib.suppress(PluginError):  # the session ends by itself; what the call found out stands
        ask(at, logout, values, writing=False)


# ---- judging -------------------------------------------------------------------------------------------------------


def holds(condition: Condition, body: Body, response: Response | None = None) -> bool:
    """Whether everything that the condition names is seen; a row has no status and no headers."""
    if response is not None:
        if condition.statuses and not any(low <= response.status <= high for low, high in condition.statuses):
            return False
        for name, pattern in condition.headers.items():
            value = response.header(name)
            if value is None or not _found(pattern, value):
                return False
    if condition.at is not None and not _seen(condition, condition.at, body):
        return False
    return condition.text is None or body.matches(condition.text)


def _seen(condition: Condition, at: str, body: Body) -> bool:
    if condition.equals is not None and body.find(at) != condition.equals:
        return False
    if condition.matches is not None and not body.matches(condition.matches, at):
        return False
    return condition.equals is not None or condition.matches is not None or body.has(at)


def _found(pattern: str, text: str) -> bool:
    return compiled(pattern).search(text[:LONGEST_TEXT]) is not None


def first_rule(call: Call, asked: Asked) -> Rule | None:
    """The first rule that holds."""
    return next((rule for rule in call.rules if holds(rule.when, asked.body, asked.response)), None)


def settled(call: Call, asked: Asked) -> Ending:
    """How a call that is no probe ended. Raises the API's errors for everything but success and "gone"."""
    rule = first_rule(call, asked)
    if rule is None:
        _without_rule(call, asked)
        return "ok"
    if rule.word in {"ok", "gone", "maybe_gone"}:
        return rule.word
    raise _error(rule, asked)


def _without_rule(call: Call, asked: Asked) -> None:
    status = asked.response.status
    if not 200 <= status <= 299:
        asked.response.ok()  # raises by the standard table
    elif not call.says_ok:
        return
    raise (OutcomeUnknown if asked.writing else Failed)("unrecognised_answer", status=str(status))


def _error(rule: Rule, asked: Asked) -> PluginError:
    code = str(asked.response.status)
    wait = rule.retry_after
    match rule.word:
        case "refused":
            return Refused(rule.reason, status=code)
        case "failed":
            return Failed(rule.reason, status=code, retry_after=wait or _asked_wait(asked))
        case "misconfigured":
            return Misconfigured(rule.reason, status=code)
        case "rejected":
            # Outside a probe the only credential that can be refused is the acting one.
            return Misconfigured("acting_refused", status=code)
        case _:
            unsure = OutcomeUnknown if asked.writing or rule.word == "unknown" else Failed
            return unsure(rule.reason, status=code, retry_after=wait)


def _asked_wait(asked: Asked) -> timedelta | None:
    """What `Retry-After` asks in seconds; the standard table reads its other form."""
    text = (asked.response.header("retry-after") or "").strip()
    return timedelta(seconds=min(int(text[:9]), 86400)) if text.isascii() and text.isdecimal() else None


def opinion_of(call: Call, asked: Asked) -> Rejected | Inconclusive | None:
    """What a probe's answer says about the value; None: it was accepted."""
    rule = first_rule(call, asked)
    if rule is not None:
        if rule.word == "ok":
            return None
        if rule.word == "rejected":
            return Rejected(reason=rule.reason)
        return Inconclusive(reason=rule.reason or "unrecognised_answer", retry_after=rule.retry_after)
    try:
        _without_rule(call, asked)
    except PluginError as error:
        # The table is made for the acting credential; about a value it says nothing.
        reason = "unrecognised_answer" if error.reason in {"acting_refused", "refused", "not_found"} else error.reason
        return Inconclusive(reason=reason, retry_after=error.retry_after)
    return None


# ---- taking --------------------------------------------------------------------------------------------------------


def own_row(own: Own, asked: Asked, value: Secret) -> Body:
    """The one row of the answer that shows `value`. Raises if there is none, or more than one."""
    rows = [row for row in asked.body.items(own.items) if row.has(own.same) and row.secret(own.same).matches(value)]
    if len(rows) != 1:
        raise asked.missing()
    return rows[0]


def take_text(take: Take, asked: Asked, body: Body | None = None) -> str | None:
    """The text at a place, or its digest; None where it is missing or means nothing."""
    found = asked.response.header(take.header) if take.header else (body or asked.body).find(take.at)
    if found is None or found == "" or found == take.none:
        return None
    return digest(found) if take.form == "digest" else found


def digest(text: str) -> str:
    """What stands for an id that must not be written down: the first 32 hex digits of its SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_DIGITS]


def is_digest(text: str) -> bool:
    """Whether a text has the form of a digest."""
    return len(text) == DIGEST_DIGITS and not set(text) - set("0123456789abcdef")


def needed_text(take: Take, asked: Asked, body: Body | None = None) -> str:
    """The text at a place; an error if it is missing."""
    found = take_text(take, asked, body)
    if found is None:
        raise asked.missing()
    return found


def take_secret(take: Take, asked: Asked) -> Secret:
    """The secret at a place; an error if it is missing."""
    if take.cookie:
        return _cookie(take.cookie, asked)
    if take.header:
        return Secret(needed_text(take, asked))
    return asked.body.secret("" if take.whole else take.at)


def _cookie(pattern: str, asked: Asked) -> Secret:
    """`name=value` of the one cookie that the answer sets under a name that fits; none or several: an error."""
    lines = (asked.response.header("set-cookie") or "").split("\n")
    pairs = [line.partition(";")[0].strip() for line in lines]
    found = [Secret(pair) for pair in pairs if pair.partition("=")[2] and _found(pattern, pair.partition("=")[0])]
    if len(found) != 1:
        raise asked.missing()
    return found[0]


def take_time(take: Take | None, body: Body) -> datetime | None:
    """The time at a place, or None where it is missing or means nothing."""
    if take is None:
        return None
    text = body.find(take.at)
    if text is None or text == "" or text == take.none:
        return None
    if take.form == "epoch":
        try:
            return datetime.fromtimestamp(float(text), UTC)
        except (ValueError, OverflowError, OSError):
            return None
    return body.when(take.at)


def take_words(take: Take | None, body: Body) -> tuple[str, ...] | None:
    """The list at a place: a JSON array of texts, or (`as: words`) a text with spaces or commas between them."""
    if take is None or not body.has(take.at):
        return None
    if take.form == "words":
        return tuple((body.find(take.at) or "").replace(",", " ").split())
    return tuple(item.text("") for item in body.items(take.at))


def optional_take(takes: Mapping[str, Take], name: str, asked: Asked, body: Body | None = None) -> str | None:
    """The text that a call takes under `name`; None where it takes none."""
    return take_text(takes[name], asked, body) if name in takes else None
