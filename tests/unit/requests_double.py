"""A `Requests` at the seam, for the API and the command line: it answers by script and records who asked for what."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from rotator.engine.requests import Caller, Json, RequestRefused, Selection

RUN = "01980000-0000-7000-8000-000000000001"
CAMPAIGN = "01980000-0000-7000-8000-0000000000c1"
AT = "2026-11-24T09:30:0{}.000Z"


def run_view(number: int = 1, credential: str = "orders", kind: str = "rotate", **more: Any) -> dict[str, Any]:
    return {
        "id": f"01980000-0000-7000-8000-{number:012d}", "credential": credential, "kind": kind,
        "actor": "uid:0 (root)", "reason": "drill", "campaign": CAMPAIGN, "opened": AT.format(0), "ended": None,
        "ending": None, "display": "installing", "progress": {"holds": 3, "all": 12}, "wake": None, "held": "",
        "question": None, "debts": [],
    } | more  # fmt: skip


def event(sequence: int, name: str, says: str, **more: Any) -> dict[str, Any]:
    return {
        "sequence": sequence, "run": RUN, "at": AT.format(sequence % 10), "actor": "", "event": name, "says": says,
        "display": "installing", "observed": None,
    } | more  # fmt: skip


DEBT = {
    "credential": "orders", "gen": 1, "home": "orders_a@orders-db", "state": "gone", "since": AT.format(1),
    "label": "rot-acme-1", "handle": None, "fingerprint": "ab12cd34",
}  # fmt: skip
QUESTION = {
    "topic": "not_verified", "says": "what serves could not be seen alive, nothing is killed",
    "known": ["g3 is staged in the store"], "unknown": ["whether g3 works at orders_b@orders-db"],
    "answers": [
        {"answer": "retry", "command": f"rotator runs answer {RUN} retry --reason TEXT"},
        {"answer": "go_back", "command": f"rotator runs answer {RUN} go_back --reason TEXT"},
    ],
}  # fmt: skip
SWEEP = {
    "endpoint": "alerta", "at": AT.format(2), "next": AT.format(9), "lists": 1, "blind": [],
    "counts": {"ours": 3, "stray": 1, "unaccounted": 0, "foreign": 1, "unlabelled": 7},
    "items": [
        {"standing": "stray", "why": "listed_though_dead", "says": "ours, and nothing says that it lives",
         "do": "Nothing: a reconcile ends it.", "kind": "key", "label": "rot-acme-3", "handle": "h3",
         "principal": "svc@x.example", "installation": "acme", "credential": "orders", "gen": 2, "run": RUN, "held": "",
         "held_says": ""},
        {"standing": "foreign", "why": "foreign_label", "says": "another installation made it", "do": "Nothing here.",
         "kind": "key", "label": "rot-acme-1-9", "handle": "h9", "principal": "svc@x.example",
         "installation": "acme-1", "credential": None, "gen": None, "run": None, "held": "", "held_says": ""},
    ],
}  # fmt: skip
CREDENTIAL = {
    "id": "orders", "owner": "dba@x.example", "purpose": "the order service's database", "workflows": ["orders"],
    "tier": "T2", "expires": "2027-06-30T00:00:00.000Z", "policy": "standard", "labels": {"team": "ops"},
    "managed": True, "adopted": AT.format(0), "last_success": None, "due": "2026-12-24T01:00:00.000Z",
    "why": "by_schedule", "paused": None, "open_run": None, "current": 2, "debts": 0,
}  # fmt: skip
STEPS = [
    event(1, "opened", "rotate opened", actor="uid:0 (root)"),
    event(2, "intended", "going to install g3 at orders_b@orders-db"),
    event(3, "outcome", "install g3 at orders_b@orders-db: done", outcome="done"),
    event(4, "finished", "ended: succeeded"),
]


class RecordingRequests:
    """Answers from `answers` by method, else a fitting default; raises what stands there if it is an exception.

    `ends`: by run id, (ending, exit, question) once all its events were given out."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Caller | None, dict[str, Any]]] = []
        self.answers: dict[str, Any] = {}
        self.views: dict[str, dict[str, Any]] = {RUN: run_view()}
        self.journal: dict[str, list[dict[str, Any]]] = {RUN: list(STEPS)}
        self.ends: dict[str, tuple[str | None, int]] = {RUN: ("succeeded", 0)}
        self.hold = threading.Event()
        self.entered = threading.Event()

    def _do(self, name: str, default: Any, caller: Caller | None = None, **said: Any) -> Any:
        self.calls.append((name, caller, said))
        answer = self.answers.get(name, default)
        if isinstance(answer, Exception):
            raise answer
        return answer(**said) if callable(answer) else answer

    def said(self, name: str) -> dict[str, Any]:
        """What the last call of `name` was given."""
        return [said for called, _, said in self.calls if called == name][-1]

    def acts(self) -> list[str]:
        return [name for name, caller, _ in self.calls if caller is not None]

    def add_run(self, number: int, credential: str, ending: str | None, exit_code: int, **more: Any) -> dict[str, Any]:
        view = run_view(number, credential, **more)
        self.views[view["id"]] = view
        self.journal[view["id"]] = [event(number * 10, "finished", f"ended: {ending}")]
        self.ends[view["id"]] = (ending, exit_code)
        return view

    def _opened(self) -> dict[str, Any]:
        return {"campaign": CAMPAIGN, "runs": [self.views[RUN]], "refused": []}

    def status(self, selector: str = "") -> Json:
        counts = {
            "managed": 2, "unmanaged": 0, "adopted": 2, "due": 0, "paused": 0, "open_runs": 1, "waiting": 0, "debts": 0,
        }  # fmt: skip
        return self._do("status", {
            "installation": "acme-prod", "version": "0.1.0", "now": AT.format(0), "observe": False, "braked": False,
            "counts": counts, "next": [{"credential": "orders", "due": CREDENTIAL["due"], "why": "by_schedule"}],
            "open": [self.views[RUN]], "waiting": [], "debts": [],
            "brake": None, "freezes": [], "unmanaged": [], "held": [],
        }, **({"selector": selector} if selector else {}))  # fmt: skip

    def freezes(self) -> Json:
        return self._do("freezes", {"items": [{
            "id": "year-end", "reason": "the year's change freeze", "zone": "Europe/Berlin", "in_force": True,
            "until": "2027-01-04T23:00:00.000Z", "begins": "2027-12-19T23:00:00.000Z", "except": ["emergency"],
            "credentials": 2,
        }]})  # fmt: skip

    def release_brake(self, caller: Caller, *, reason: str) -> Json:
        return self._do("release_brake", {"released": True, "due": 70}, caller, reason=reason)

    def explain_debts(self, credential: str) -> Json:
        tried = {"at": AT.format(2), "run": RUN, "says": "prove g1 dead: inconclusive", "reason": "no_control"}
        item = {
            **{key: DEBT[key] for key in ("gen", "home", "state", "since", "label", "handle")}, "tried": [tried],
            "waits": ["the policy's time has not come (not_due)"], "needs": "3 refusals over at least 120 s (0 so far)",
            "commands": ["rotator reconcile --repair orders --reason TEXT"],
        }  # fmt: skip
        accepted = [{"gen": 3, "home": "orders_b@orders-db", "until": AT.format(9), "by": "uid:0 (root)", "run": RUN}]
        return self._do("explain_debts", {
            "credential": credential, "current": [2], "open_run": None, "reconcile": AT.format(8), "items": [item],
            "accepted": accepted,
        }, None, credential=credential)  # fmt: skip

    def accept_debt(self, caller: Caller, credential: str, *, gen: int, home: str, until: str, reason: str) -> Json:
        said = {"credential": credential, "gen": gen, "home": home, "until": until, "reason": reason}
        return self._do("accept_debt", self.views[RUN], caller, **said)

    def reconcile(self, selection: Selection) -> Json:
        item = {
            "credential": "orders", "verdict": "store_newer", "says": "the store has a value unknown to this ledger",
            "current": 2, "shown": None, "open_run": None, "staged": [4], "unread": [],
            "homes": [{"home": "orders_a@orders-db", "answer": "alive", "reason": ""}],
            "beyond": [{"endpoint": "orders-db", "principal": "orders_a", "label": "rot-acme-9", "handle": "k9"}],
            "commands": ["rotator reconcile --repair orders --reason TEXT"],
        }  # fmt: skip
        return self._do("reconcile", {"observe": True, "items": [item]}, None, selection=selection)

    def repair(self, caller: Caller, ids: Sequence[str], *, reason: str) -> Json:
        return self._do("repair", {"runs": [self.views[RUN]], "refused": []}, caller, ids=ids, reason=reason)

    def end_observing(self, caller: Caller, *, reason: str, unseen: bool) -> Json:
        done = {"epoch": "e2", "abandoned": [RUN], "unseen": [], "unread": []}
        return self._do("end_observing", done, caller, reason=reason, unseen=unseen)

    def backup(self, caller: Caller, path: str) -> Json:
        return self._do("backup", {"path": path, "sequence": 7}, caller, path=path)

    def retire_selected(self, caller: Caller, selection: Selection, *, apply: bool, reason: str, ticket: str) -> Json:
        listed = {"workflow": "", "retire": ["orders"], "shared": []}
        done = {**listed, **(self._opened() if apply else {})}
        said = {"selection": selection, "apply": apply, "reason": reason, "ticket": ticket}
        return self._do("retire_selected", done, caller, **said)

    def credentials(self, selection: Selection) -> Json:
        return self._do("credentials", {"items": [CREDENTIAL]}, selection=selection)

    def explain(self, credential: str) -> Json:
        return self._do("explain", {
            **CREDENTIAL, "verdict": "not_yet", "verdict_says": "it is not due yet", "again": CREDENTIAL["due"],
            "held": "", "held_says": "", "run": None,
            "steps": [{"kind": "stage", "leg": "advance", "rung": "staged", "says": "make a new value"}],
            "generations": [{
                "gen": 2, "label": "rot-acme-2", "current": True, "kept": True, "doomed": False, "filler": False,
                "fingerprint": "ab12cd34",
                "homes": [{"home": "orders_a@orders-db", "state": "alive", "alive": AT.format(0), "gone": None,
                           "rejections": 0, "grade": None, "handle": None}],
            }],
        }, credential=credential)  # fmt: skip

    def plan(self, selection: Selection, kind: str) -> Json:
        step = {"n": 1, "leg": "advance", "rung": "staged", "kind": "stage", "says": "make a new value and stage it"}
        return self._do("plan", {"items": [{
            "credential": "orders", "kind": kind, "digest": "d" * 64, "steps": [step],
            "exposure": ["orders_b is cut off for seconds"], "irreversible": ["g1 is revoked"], "findings": [],
            "refused": None,
        }]}, selection=selection, kind=kind)  # fmt: skip

    def adopt(self, caller: Caller, ids: Sequence[str], *, source: str, reason: str) -> Json:
        return self._do("adopt", {"runs": [self.views[RUN]]}, caller, ids=tuple(ids), source=source, reason=reason)

    def deposit(self, caller: Caller, endpoint: str, *, source: str, replace: bool, reason: str) -> Json:
        default = {"endpoint": endpoint, "store": "main", "path": "admin/db", "field": "password"}
        said = {"endpoint": endpoint, "source": source, "replace": replace, "reason": reason}
        return self._do("deposit", default, caller, **said)

    def rotate(self, caller: Caller, selection: Selection, *, reason: str, ticket: str) -> Json:
        return self._do("rotate", self._opened(), caller, selection=selection, reason=reason, ticket=ticket)

    def emergency(self, caller: Caller, selection: Selection, *, mode: str, reason: str, ticket: str) -> Json:
        said = {"selection": selection, "mode": mode, "reason": reason, "ticket": ticket}
        return self._do("emergency", self._opened(), caller, **said)

    def retire(self, caller: Caller, workflow: str, *, apply: bool, reason: str, ticket: str) -> Json:
        listed = {
            "workflow": workflow, "retire": ["orders"],
            "shared": [{"credential": "mail", "workflows": [workflow, "other"]}],
        }  # fmt: skip
        said = {"workflow": workflow, "apply": apply, "reason": reason, "ticket": ticket}
        return self._do("retire", {**listed, **(self._opened() if apply else {})}, caller, **said)

    def certificate(self, campaign: str) -> Json:
        proof = {"at": AT.format(5), "refusal": "28P01", "grade": 1, "control": "successor"}
        home = {"home": "orders_a@orders-db", "state": "dead", "proofs": [proof, proof]}
        value = {"gen": 1, "fingerprint": "ab12cd34", "label": "rot-acme-1", "filler": False, "homes": [home]}
        return self._do("certificate", {
            "campaign": campaign, "kind": "retire", "actor": "uid:0 (root)", "reason": "off", "opened": AT.format(0),
            "ended": AT.format(9), "complete": True,
            "credentials": [{"id": "orders", "ending": "succeeded", "complete": True, "values": [value]}],
        }, campaign=campaign)  # fmt: skip

    def verify(self, selection: Selection) -> Json:
        homes = [{"home": "orders_a@orders-db", "answer": "alive", "reason": ""}]
        item = {"credential": "orders", "ok": True, "homes": homes}
        return self._do("verify", {"items": [item]}, selection=selection)

    def runs(self, *, credential: str, open_only: bool, limit: int) -> Json:
        said = {"credential": credential, "open_only": open_only, "limit": limit}
        return self._do("runs", {"items": list(self.views.values())}, **said)

    def run(self, run: str) -> Json:
        self._known(run)
        return self._do("run", self.views[run], run=run)

    def events(self, run: str, after: int, wait: float) -> Json:
        self._known(run)
        self._do("events", None, run=run, after=after, wait=wait)
        items = [one for one in self.journal[run] if one["sequence"] > after]
        ending, code = self.ends.get(run, (None, -1))
        if not items and code < 0:
            self.entered.set()
            self.hold.wait(wait)
        return {
            "items": items, "ended": AT.format(9) if ending else None, "ending": ending,
            "exit": None if code < 0 else code,
        }  # fmt: skip

    def _known(self, run: str) -> None:
        if run not in self.views:
            raise RequestRefused("ROT-NOT-FOUND", "no such run", exit=5, hint="rotator runs list")

    def answer(self, caller: Caller, run: str, answer: str, *, about: Mapping[str, str], reason: str) -> Json:
        said = {"run": run, "answer": answer, "about": dict(about), "reason": reason}
        return self._do("answer", self.views[RUN], caller, **said)

    def back(self, caller: Caller, run: str, *, reason: str) -> Json:
        return self._do("back", self.views[RUN], caller, run=run, reason=reason)

    def debts(self, credential: str) -> Json:
        return self._do("debts", {"items": [DEBT]}, credential=credential)

    def strays(self) -> Json:
        return self._do("strays", {"items": [SWEEP]})

    def sweep(self, caller: Caller, endpoint: str, *, apply: bool, reason: str) -> Json:
        return self._do("sweep", SWEEP | {"endpoint": endpoint}, caller, endpoint=endpoint, apply=apply, reason=reason)

    def pause(self, caller: Caller, selection: Selection, *, reason: str, until: str) -> Json:
        return self._do("pause", {"paused": ["orders"]}, caller, selection=selection, reason=reason, until=until)

    def resume(self, caller: Caller, selection: Selection, *, reason: str) -> Json:
        return self._do("resume", {"resumed": ["orders"]}, caller, selection=selection, reason=reason)

    def reload(self, caller: Caller) -> Json:
        changes = {"changed": True, "added": ["new"], "changed_ids": [], "unmanaged": ["old"]}
        return self._do("reload", changes, caller)

    def notify(self) -> Json:
        return self._do("notify", {
            "routes": [{"route": "pages", "events": ["run_owed"], "only": "team=ops", "channels": ["soc"]}],
            "channels": [{
                "channel": "soc", "type": "webhook", "waiting": 1, "dead": 0, "sent": 7, "failing": 2,
                "oldest": AT.format(0),
            }],
            "unrouted": None,
        })  # fmt: skip

    def deliveries(self, *, channel: str, state: str, limit: int) -> Json:
        return self._do("deliveries", {"items": [{
            "channel": "soc", "route": "pages", "state": "sent", "attempts": 1, "since": AT.format(0), "next": None,
            "code": "", "event": "test", "credential": None, "message": "m1",
        }]}, channel=channel, state=state, limit=limit)  # fmt: skip

    def test_route(self, caller: Caller, route: str) -> Json:
        default = {"route": route, "channels": ["soc"], "message": "m1"}
        return self._do("test_route", default, caller, route=route)

    def resend(self, caller: Caller, channel: str) -> Json:
        return self._do("resend", {"channel": channel, "again": 3}, caller, channel=channel)

    def plugins(self) -> Json:
        kind = {"kind": "password", "title": "a role's password", "traits": {}}
        plugin = {"plugin": "postgresql", "version": "0.1.0", "digest": "sha256:ab", "endpoints": ["orders-db"]}
        return self._do("plugins", {"items": [{**plugin, "kinds": [kind]}]})

    def attempt(self, endpoint: str) -> Json:
        steps = [{"kind": "password", "ability": "preflight", "subject": "", "ok": True, "verdict": "works", "code": "",
                  "says": "version 17", "do": "", "docs": ""}]  # fmt: skip
        return self._do("attempt", {"endpoint": endpoint, "steps": steps}, endpoint=endpoint)

    def metrics(self) -> str:
        return self._do("metrics", "rotator_build_info 1\n")

    def ready(self) -> tuple[bool, str]:
        return self._do("ready", (True, ""))
