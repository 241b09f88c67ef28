"""The routes of the local API: path and method, what is read from the request, which `Requests` call answers it.

Used by `api`. The table at the end is the whole API; `docs/api.md` describes it and a test compares the two. Must hold
no decision of its own: what is allowed, due or dangerous is the engine's to say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from rotator.engine.requests import Caller, Json, RequestRefused, Requests, Selection

from .api_bodies import Fields, bad, one_way, selection, source_file, target_file

LONGEST_WAIT: Final = 30.0
PLANS: Final = ("adopt", "rotate", "overlap", "contain", "retire")
MODES: Final = ("overlap", "contain")
STATES: Final = ("waiting", "sent", "dead")
ANSWERS: Final = (
    "retry", "go_back", "go_on", "accept", "skip", "name", "give_up", "abandon", "contain_now", "overwrite", "take",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: who asks, the path's parts, the query, the body."""

    caller: Caller
    path: tuple[str, ...]
    query: Fields
    body: Fields


Call = Callable[[], Json]
Reader = Callable[[Requests, Ask], Call]
"""Reads the request whole and gives the call, which is made only when nothing is left over that nobody asked for."""


def _status(requests: Requests, ask: Ask) -> Call:
    return partial(requests.status, ask.query.text("selector"))


def _credentials(requests: Requests, ask: Ask) -> Call:
    ids = ask.query.texts("id")
    selector, workflow = ask.query.text("selector"), ask.query.text("workflow")
    everything = not (ids or selector or workflow)
    return partial(requests.credentials, one_way(Selection(ids, selector, workflow, everything)))


def _freezes(requests: Requests, ask: Ask) -> Call:
    return requests.freezes


def _release_brake(requests: Requests, ask: Ask) -> Call:
    reason = ask.body.text("reason", needed=True)
    return partial(requests.release_brake, ask.caller, reason=reason)


def _explain(requests: Requests, ask: Ask) -> Call:
    return partial(requests.explain, ask.path[0])


def _plan(requests: Requests, ask: Ask) -> Call:
    chosen, kind = selection(ask.body), ask.body.one_of("kind", PLANS)
    return partial(requests.plan, chosen, kind)


def _adopt(requests: Requests, ask: Ask) -> Call:
    ids, source, reason = ask.body.texts("ids"), source_file(ask.body, needed=False), ask.body.text("reason")
    if not ids:
        raise bad("the body needs `ids`")
    if source and len(ids) != 1:
        raise bad("`from` goes with one credential only")
    return partial(requests.adopt, ask.caller, ids, source=source, reason=reason)


def _deposit(requests: Requests, ask: Ask) -> Call:
    source, replace, reason = source_file(ask.body, needed=True), ask.body.flag("replace"), ask.body.text("reason")
    return partial(requests.deposit, ask.caller, ask.path[0], source=source, replace=replace, reason=reason)


def _rotate(requests: Requests, ask: Ask) -> Call:
    chosen, reason, ticket = selection(ask.body), ask.body.text("reason", needed=True), ask.body.text("ticket")
    return partial(requests.rotate, ask.caller, chosen, reason=reason, ticket=ticket)


def _emergency(requests: Requests, ask: Ask) -> Call:
    chosen, mode = selection(ask.body), ask.body.one_of("mode", MODES)
    reason, ticket = ask.body.text("reason", needed=True), ask.body.text("ticket")
    return partial(requests.emergency, ask.caller, chosen, mode=mode, reason=reason, ticket=ticket)


def _retire(requests: Requests, ask: Ask) -> Call:
    apply = ask.body.flag("apply")
    reason, ticket = ask.body.text("reason", needed=apply), ask.body.text("ticket")
    return partial(requests.retire, ask.caller, ask.path[0], apply=apply, reason=reason, ticket=ticket)


def _retire_selected(requests: Requests, ask: Ask) -> Call:
    chosen, apply = selection(ask.body), ask.body.flag("apply")
    reason, ticket = ask.body.text("reason", needed=apply), ask.body.text("ticket")
    return partial(requests.retire_selected, ask.caller, chosen, apply=apply, reason=reason, ticket=ticket)


def _certificate(requests: Requests, ask: Ask) -> Call:
    return partial(requests.certificate, ask.path[0])


def _verify(requests: Requests, ask: Ask) -> Call:
    chosen = selection(ask.body)
    return partial(requests.verify, chosen)


def _runs(requests: Requests, ask: Ask) -> Call:
    credential, open_only = ask.query.text("credential"), ask.query.flag("open")
    limit = int(ask.query.number("limit", 50, low=1, high=1000))
    return partial(requests.runs, credential=credential, open_only=open_only, limit=limit)


def _run(requests: Requests, ask: Ask) -> Call:
    return partial(requests.run, ask.path[0])


def _events(requests: Requests, ask: Ask) -> Call:
    """What is there now; `api` does the waiting, in slices."""
    return partial(requests.events, ask.path[0], int(ask.query.number("after", 0, low=0, high=2**62)), 0.0)


def _answer(requests: Requests, ask: Ask) -> Call:
    answer, reason = ask.body.one_of("answer", ANSWERS), ask.body.text("reason", needed=True)
    inner = ask.body.inner("about")
    about = {name: text for name in ("gen", "home", "consumer", "handle") if (text := inner.text(name))}
    inner.end()
    if "gen" in about and not (about["gen"].isascii() and about["gen"].isdigit() and len(about["gen"]) < 10):
        raise bad("`gen` must be the number of a generation, as text")
    return partial(requests.answer, ask.caller, ask.path[0], answer, about=about, reason=reason)


def _back(requests: Requests, ask: Ask) -> Call:
    reason = ask.body.text("reason", needed=True)
    return partial(requests.back, ask.caller, ask.path[0], reason=reason)


def _debts(requests: Requests, ask: Ask) -> Call:
    credential = ask.query.text("credential")
    return partial(requests.debts, credential)


def _explain_debts(requests: Requests, ask: Ask) -> Call:
    return partial(requests.explain_debts, ask.path[0])


def _accept_debt(requests: Requests, ask: Ask) -> Call:
    gen, home = ask.body.text("gen", needed=True), ask.body.text("home", needed=True)
    until, reason = ask.body.text("until", needed=True), ask.body.text("reason", needed=True)
    if not (gen.isascii() and gen.isdigit() and len(gen) < 10):
        raise bad("`gen` must be the number of a generation, as text")
    return partial(requests.accept_debt, ask.caller, ask.path[0], gen=int(gen), home=home, until=until, reason=reason)


def _strays(requests: Requests, ask: Ask) -> Call:
    return requests.strays


def _sweep(requests: Requests, ask: Ask) -> Call:
    apply = ask.body.flag("apply")
    reason = ask.body.text("reason", needed=apply)
    return partial(requests.sweep, ask.caller, ask.path[0], apply=apply, reason=reason)


def _reconcile(requests: Requests, ask: Ask) -> Call:
    return partial(requests.reconcile, selection(ask.body))


def _repair(requests: Requests, ask: Ask) -> Call:
    ids, reason = ask.body.texts("ids"), ask.body.text("reason", needed=True)
    if not ids:
        raise bad("the body needs `ids`")
    return partial(requests.repair, ask.caller, ids, reason=reason)


def _end_observing(requests: Requests, ask: Ask) -> Call:
    reason, unseen = ask.body.text("reason", needed=True), ask.body.flag("unseen")
    return partial(requests.end_observing, ask.caller, reason=reason, unseen=unseen)


def _backup(requests: Requests, ask: Ask) -> Call:
    return partial(requests.backup, ask.caller, target_file(ask.body))


def _pause(requests: Requests, ask: Ask) -> Call:
    chosen, reason, until = selection(ask.body), ask.body.text("reason", needed=True), ask.body.text("until")
    return partial(requests.pause, ask.caller, chosen, reason=reason, until=until)


def _resume(requests: Requests, ask: Ask) -> Call:
    chosen, reason = selection(ask.body), ask.body.text("reason")
    return partial(requests.resume, ask.caller, chosen, reason=reason)


def _reload(requests: Requests, ask: Ask) -> Call:
    return partial(requests.reload, ask.caller)


def _notify(requests: Requests, ask: Ask) -> Call:
    return requests.notify


def _deliveries(requests: Requests, ask: Ask) -> Call:
    channel, state = ask.query.text("channel"), ask.query.text("state")
    if state and state not in STATES:
        raise bad(f"`state` must be one of {', '.join(STATES)}")
    limit = int(ask.query.number("limit", 50, low=1, high=1000))
    return partial(requests.deliveries, channel=channel, state=state, limit=limit)


def _test_route(requests: Requests, ask: Ask) -> Call:
    return partial(requests.test_route, ask.caller, ask.path[0])


def _resend(requests: Requests, ask: Ask) -> Call:
    return partial(requests.resend, ask.caller, ask.path[0])


def _plugins(requests: Requests, ask: Ask) -> Call:
    return requests.plugins


def _try(requests: Requests, ask: Ask) -> Call:
    return partial(requests.attempt, ask.path[0])


ROUTES: Final[Mapping[tuple[str, str], Reader]] = {
    ("GET", "/v1/status"): _status,
    ("GET", "/v1/freezes"): _freezes,
    ("POST", "/v1/brake/release"): _release_brake,
    ("GET", "/v1/credentials"): _credentials,
    ("GET", "/v1/credentials/{id}"): _explain,
    ("POST", "/v1/plan"): _plan,
    ("POST", "/v1/adopt"): _adopt,
    ("POST", "/v1/rotate"): _rotate,
    ("POST", "/v1/emergency"): _emergency,
    ("POST", "/v1/verify"): _verify,
    ("POST", "/v1/workflows/{name}/retire"): _retire,
    ("POST", "/v1/retire"): _retire_selected,
    ("GET", "/v1/campaigns/{id}/certificate"): _certificate,
    ("GET", "/v1/runs"): _runs,
    ("GET", "/v1/runs/{id}"): _run,
    ("GET", "/v1/runs/{id}/events"): _events,
    ("POST", "/v1/runs/{id}/answer"): _answer,
    ("POST", "/v1/runs/{id}/back"): _back,
    ("GET", "/v1/debts"): _debts,
    ("GET", "/v1/debts/{id}"): _explain_debts,
    ("POST", "/v1/debts/{id}/accept"): _accept_debt,
    ("GET", "/v1/strays"): _strays,
    ("POST", "/v1/endpoints/{name}/strays"): _sweep,
    ("POST", "/v1/reconcile"): _reconcile,
    ("POST", "/v1/reconcile/repair"): _repair,
    ("POST", "/v1/observe/end"): _end_observing,
    ("POST", "/v1/ledger/backup"): _backup,
    ("POST", "/v1/pause"): _pause,
    ("POST", "/v1/resume"): _resume,
    ("POST", "/v1/reload"): _reload,
    ("GET", "/v1/notify"): _notify,
    ("GET", "/v1/notify/deliveries"): _deliveries,
    ("POST", "/v1/notify/routes/{name}/test"): _test_route,
    ("POST", "/v1/notify/channels/{name}/resend"): _resend,
    ("GET", "/v1/plugins"): _plugins,
    ("POST", "/v1/endpoints/{name}/admin"): _deposit,
    ("POST", "/v1/endpoints/{name}/try"): _try,
}
"""Every request. `{id}` and `{name}` are one part of the path, percent-encoded."""

EVENTS_ROUTE: Final = "/v1/runs/{id}/events"
_PARTS: Final = {key: key[1].strip("/").split("/") for key in ROUTES}


@dataclass(frozen=True, slots=True)
class Found:
    """The route of a request and the parts of its path."""

    route: str
    read: Reader
    path: tuple[str, ...]


def find_route(method: str, parts: list[str]) -> Found:
    """By method and the decoded parts of the path. Raises RequestRefused."""
    elsewhere = False
    for key, pattern in _PARTS.items():
        if len(pattern) != len(parts):
            continue
        taken = tuple(given for wanted, given in zip(pattern, parts, strict=True) if wanted.startswith("{"))
        same = all(wanted.startswith("{") or wanted == given for wanted, given in zip(pattern, parts, strict=True))
        if not same or not all(one and one.isprintable() and len(one) <= 200 for one in taken):
            continue
        if key[0] == method:
            return Found(key[1], ROUTES[key], taken)
        elsewhere = True
    if elsewhere:
        raise RequestRefused("ROT-BAD-METHOD", "this path takes another method", exit=2)
    raise RequestRefused(
        "ROT-NO-ROUTE", "the API has no such path", exit=5, hint="client and daemon may differ in version"
    )


def query_fields(pairs: list[tuple[str, str]]) -> Fields:
    """Query parameters: `id` may come several times, all others once."""
    given: dict[str, Any] = {}
    for name, value in pairs:
        if name == "id":
            given.setdefault(name, []).append(value)
        elif name in given:
            raise bad("the query has a parameter twice")
        else:
            given[name] = value
    return Fields(given, "query")
