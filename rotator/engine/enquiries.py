"""Requests that change nothing: status, explain, plan, runs, debts, certificate. The reading half of `service`.

Read from the ledger and, for plan and verify, by probes that change nothing. Never a value, never an effect.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rotator.machine import answers
from rotator.machine.display import Shown
from rotator.machine.display import shown as display_of
from rotator.machine.dryrun import Rehearsal, rehearse
from rotator.machine.due import due
from rotator.machine.events import Opened
from rotator.machine.evolve import evolve
from rotator.machine.facts import Ending, Facts, RunKind
from rotator.machine.holds import Limits
from rotator.machine.plan import Plan

from .freezes import frozen, kinds_passing
from .heartbeat import Heart
from .inspection import Inspector
from .inventory import CredentialId
from .opening import in_use_first
from .overview import braking_view, coming, counts, freeze_view, standing_view, unmanaged
from .owing import owed
from .planning import Planner, digest
from .ports import Claim, Clock, CredentialRow, Debt, Ledger, RunId, RunRow
from .protection import Standing
from .rehearsed import exposure_of, lines_of, replaced_of, undoable_of
from .requests import Json, RequestRefused, Selection
from .retirement import certificate_of
from .selectors import Selector, SelectorRefused, matches, parse
from .standing import certain, meaning, uncertain
from .tick import Tick
from .views import credential_view, debt_view, event_view, generations_view, instant, run_exit
from .wording import answer_in_words, event_in_words, step_in_words

NOT_FOUND, USAGE, BUSY = 5, 2, 6
MOST_RUNS = 10_000


@dataclass(slots=True)
class Enquiries:
    """The reading half; see `Requests` for the shapes."""

    ledger: Ledger
    clock: Clock
    planner: Callable[[], Planner]
    tick: Tick
    inspector: Inspector
    limits: Callable[[RunRow, Facts, int], Limits]
    heart: Heart
    standings: Callable[[], Sequence[Standing]]
    render_metrics: Callable[[], str]
    observing: Callable[[], bool]
    version: str
    owner: str

    def status(self, selector: str = "") -> Json:
        now = self.clock.now()
        rows = self.ledger.credentials()
        if selector:
            chosen = self.selector(selector)
            rows = [row for row in rows if matches(chosen, row.definition)]
        names = {row.definition.id for row in rows}
        debts = [debt for debt in self._owed() if debt.credential in names]
        runs = [run for run in self.ledger.runs(open_only=True, limit=1000) if run.credential in names]
        open_runs = [self.run(run.id) for run in runs]
        installation = self.ledger.installation()
        braking = self.tick.brake.state()
        frozen = [freeze_view(one, rows, now) for one in self.tick.freezes()]
        return {
            "installation": "" if installation is None else installation.name,
            "version": self.version,
            "now": instant(now),
            "observe": self.observing(),
            "braked": braking is not None and braking.holds,
            "brake": braking_view(braking, self.tick.brake.rules().per_hour),
            "freezes": [one for one in frozen if one["in_force"] and one["credentials"]],
            "counts": counts(rows, open_runs, debts, now),
            "next": coming(rows),
            "open": open_runs,
            "waiting": [run for run in open_runs if run["question"] is not None],
            "debts": self._debts(debts),
            "unmanaged": unmanaged(rows),
            "drifts": [one for one in self.heart.drifts() if one["credential"] in names],
            "held": [standing_view(one) for one in self.standings()],
        }

    def freezes(self) -> Json:
        rows, now = self.ledger.credentials(), self.clock.now()
        return {"items": [freeze_view(one, rows, now) for one in self.tick.freezes()]}

    def credentials(self, selection: Selection) -> Json:
        rows = self.select(selection)
        owed = Counter(debt.credential for debt in self._owed())
        return {"items": [credential_view(row, owed[row.definition.id]) for row in rows]}

    def explain(self, credential: str) -> Json:
        row, now = self.row(credential), self.clock.now()
        schedule = self.tick.schedule(row, now)
        verdict = due(schedule, now)
        run = None if row.open_run is None else self.ledger.run(row.open_run)
        steps = [] if run is None else lines_of(self._rehearsed(run.plan, row.facts, True))
        if run is None and row.managed:
            coming = self._plan(row, RunKind.ADOPT if row.adopted_at is None else RunKind.ROTATE, look=False)
            steps = coming.get("steps", [])
        fingerprints = self.ledger.fingerprints(row.definition.id)
        return {
            **credential_view(row, len(self._owed(row.definition.id))),
            "verdict": verdict.why,
            "verdict_says": self.words(verdict.why),
            "again": instant(verdict.at),
            "held": "" if run is None else run.held_why,
            "held_says": "" if run is None or not run.held_why else self.words(run.held_why),
            "freeze": self._freeze(row, run),
            "heartbeat": self.heart.view(row.definition.id),
            "run": None if run is None else self.run(run.id),
            "steps": steps,
            "generations": generations_view(row.facts, fingerprints),
        }

    def plan(self, selection: Selection, kind: str) -> Json:
        kinds = {"rotate", "overlap", "contain", "retire", "adopt"}
        if kind not in kinds:
            raise RequestRefused("ROT-USAGE", f"kind is one of {', '.join(sorted(kinds))}", exit=USAGE)
        return {"items": [self._plan(row, RunKind(kind)) for row in self.select(selection)]}

    def certificate(self, campaign: str) -> Json:
        runs = [run for run in self.ledger.runs(limit=MOST_RUNS) if campaign and run.campaign == campaign]
        if not runs:
            raise RequestRefused("ROT-NOT-FOUND", f"no campaign {campaign}", exit=NOT_FOUND)
        parts = []
        for run in sorted(runs, key=lambda one: one.credential):
            facts = self.row(run.credential).facts
            prints = self.ledger.fingerprints(run.credential)
            parts.append(certificate_of(run, facts, self._history(run), prints))
        installation = self.ledger.installation()
        return {
            "schema": 1,
            "installation": "" if installation is None else installation.name,
            "campaign": campaign,
            "kind": runs[0].kind.value,
            "actor": runs[0].actor,
            "reason": runs[0].reason,
            "opened": instant(min(run.opened_at for run in runs)),
            "ended": instant(max((run.ended_at or 0) for run in runs)) if all(run.ended_at for run in runs) else None,
            "complete": all(part["complete"] for part in parts),
            "credentials": parts,
        }

    def verify(self, selection: Selection) -> Json:
        items = []
        for row in self.select(selection):
            seen = self.inspector.verify(row.definition, row.facts)
            homes = [{"home": one.home, "answer": one.answer, "reason": one.reason} for one in seen]
            items.append(
                {
                    "credential": row.definition.id,
                    "ok": bool(seen) and all(s.answer == "alive" for s in seen),
                    "homes": homes,
                }
            )
        return {"items": items}

    def runs(self, *, credential: str, open_only: bool, limit: int) -> Json:
        only = self.row(credential).definition.id if credential else None
        return {
            "items": [self.run(row.id) for row in self.ledger.runs(credential=only, open_only=open_only, limit=limit)]
        }

    def run(self, run: str) -> Json:
        row = self.run_row(run)
        found = self.ledger.credential(row.credential)
        facts = Facts() if found is None else found.facts
        is_last = found is not None and (found.open_run == row.id or row.ended_at is None)
        where = display_of(row.plan, facts, self.clock.now()) if is_last else Shown("", None, None, 0, 0)
        over = "" if row.ending is None else row.ending.value
        return {
            "id": row.id, "credential": row.credential, "kind": row.kind.value, "actor": row.actor,
            "reason": row.reason, "campaign": row.campaign, "opened": instant(row.opened_at),
            "ended": instant(row.ended_at), "ending": over or None,
            "display": where.word or over,
            "progress": {"holds": where.held, "all": where.rungs},
            "wake": instant(row.wake_at), "held": row.held_why,
            "question": self._question(row, facts) if is_last else None,
            "debts": self._debts(self._owed(row.credential)),
        }  # fmt: skip

    def events(self, run: str, after: int, wait: float) -> Json:
        until = self.clock.monotonic() + min(wait, 30.0)
        while True:
            # In this order: an answer that says "ended" has the last events with it.
            row = self.run_row(run)
            found = self.ledger.credential(row.credential)
            facts = Facts() if found is None else found.facts
            entries = self.ledger.journal(row.id, after)
            code = run_exit(row, facts)
            if entries or code is not None or self.clock.monotonic() >= until:
                break
            self.clock.sleep(0.1)
        word = "" if row.ended_at is not None else display_of(row.plan, facts, self.clock.now()).word
        return {
            "items": [event_view(entry, event_in_words(entry.event), word) for entry in entries],
            "ended": instant(row.ended_at),
            "ending": None if row.ending is None else row.ending.value,
            "exit": code,
        }

    def debts(self, credential: str) -> Json:
        only = self.row(credential).definition.id if credential else None
        return {"items": self._debts(self._owed(only))}

    def plugins(self) -> Json:
        return {"items": list(self.inspector.plugins())}

    def attempt(self, endpoint: str) -> Json:
        managed = [row.definition for row in self.ledger.credentials() if row.managed]
        return {"endpoint": endpoint, "steps": list(self.inspector.attempt(endpoint, managed))}

    def metrics(self) -> str:
        return self.render_metrics()

    def ready(self) -> tuple[bool, str]:
        installation = self.ledger.installation()
        return (installation is not None, "" if installation is not None else "no_installation")

    # -- parts -----------------------------------------------------------------------------------------------------

    def words(self, reason: str) -> str:
        """What a reason code means."""
        return meaning(reason)

    def row(self, credential: str) -> CredentialRow:
        """The credential, or a refusal with the nearest names."""
        found = self.ledger.credential(CredentialId(credential))
        if found is None:
            near = difflib.get_close_matches(credential, [r.definition.id for r in self.ledger.credentials()], 3, 0.5)
            hint = f"did you mean {', '.join(near)}?" if near else "rotator status"
            raise RequestRefused("ROT-NOT-FOUND", f"no credential {credential}", exit=NOT_FOUND, hint=hint)
        return found

    def run_row(self, run: str) -> RunRow:
        """The run, or a refusal."""
        found = self.ledger.run(RunId(run))
        if found is None:
            raise RequestRefused("ROT-NOT-FOUND", f"no run {run}", exit=NOT_FOUND, hint="rotator runs list")
        return found

    def selector(self, text: str) -> Selector:
        """What the text selects, or a refusal that names the column."""
        try:
            return parse(text)
        except SelectorRefused as refused:
            hint = "rotator help selectors"
            raise RequestRefused("ROT-BAD-SELECTOR", f"the selector, {refused}", exit=USAGE, hint=hint) from None

    def select(self, selection: Selection, *, unmanaged: bool = False) -> list[CredentialRow]:
        """The rows that a selection means; refused if it means none. What is no longer configured is meant by its id,
        or where the request is a way out of that (`unmanaged`)."""
        if selection.ids:
            return [self.row(name) for name in dict.fromkeys(selection.ids)]
        rows = [row for row in self.ledger.credentials() if row.managed or unmanaged]
        if selection.workflow:
            rows = [row for row in rows if selection.workflow in row.definition.workflows]
        elif selection.selector:
            chosen = self.selector(selection.selector)
            rows = [row for row in rows if matches(chosen, row.definition)]
        elif not selection.everything:
            raise RequestRefused("ROT-USAGE", "say which: ids, -l, --workflow or --all", exit=USAGE)
        if not rows:
            raise RequestRefused("ROT-NOT-FOUND", "no credential fits", exit=NOT_FOUND, hint="rotator status")
        return rows

    def claim_for_person(self, run: RunId) -> Claim:
        """The run, for a person's answer: a worker that has it finishes its step first (bounded by its deadline)."""
        limit = self.clock.monotonic() + 90
        while self.clock.monotonic() < limit:
            now = self.clock.now()
            claim = self.ledger.claim(run, now, f"{self.owner}/person", now + 10_000)
            if claim is not None:
                return claim
            self.clock.sleep(0.02)
        raise RequestRefused(
            "ROT-RUN-BUSY", "a step of this run is under way", exit=BUSY, run=run, hint=f"rotator runs watch {run}"
        )

    def _plan(self, row: CredentialRow, kind: RunKind, *, look: bool = True) -> dict[str, Any]:
        """`look`: with the reads of the world that a plan may make."""
        head = {"credential": row.definition.id, "kind": kind.value}
        if row.adopted_at is None and kind is not RunKind.ADOPT:
            says = f"adopt it first: rotator adopt {row.definition.id}"
            return head | {"refused": {"code": "not_adopted", "says": says}}
        if row.adopted_at is not None and kind is RunKind.ADOPT:
            return head | {"refused": {"code": "already_adopted", "says": "it is adopted already"}}
        try:
            plan = self.planner().plan(row.definition, kind)
        except LookupError as missing:
            return head | {"refused": {"code": "unknown_endpoint", "says": str(missing)}}
        found = list(self.inspector.findings(row.definition)) if look else []
        if look and kind is RunKind.ADOPT:
            seen = self.inspector.adoptable(row.definition)
            plan = in_use_first(plan, seen.active)
            if seen.refused:
                found.append((seen.refused, seen.says or self.words(seen.refused)))
        dry = self._rehearsed(plan, row.facts, False)
        return head | {
            "digest": digest(row.definition, plan),
            "steps": lines_of(dry),
            "exposure": exposure_of(dry),
            "irreversible": [*replaced_of(plan, row.facts), *undoable_of(dry)],
            "ending": None if dry.ending is None else dry.ending.value,
            "asks": None if dry.question is None else self.words(dry.question.topic.value),
            "findings": [{"code": code, "says": says} for code, says in found],
            "refused": None,
        }

    def _rehearsed(self, plan: Plan, facts: Facts, is_open: bool) -> Rehearsal:
        """The steps to come, as an obliging world would take them."""
        now = self.clock.now()
        if not is_open:
            facts = evolve(plan, facts.but(ending=facts.ending or Ending.ABANDONED), Opened(plan.kind), now)
        return rehearse(plan, facts, now)

    def _freeze(self, row: CredentialRow, run: RunRow | None) -> dict[str, Any] | None:
        """The freeze that holds its run, or what the calendar would open."""
        passing = frozenset[str]() if run is None else kinds_passing(run.kind, run.actor)
        held = frozen(self.tick.freezes(), row.definition, passing, self.clock.now())
        return None if held is None else {"id": held.freeze, "reason": held.reason, "until": instant(held.until)}

    def _history(self, run: RunRow) -> list[Any]:
        """All journal rows of the credential up to and with this run: a proof may be older than the campaign."""
        rows = self.ledger.runs(credential=run.credential, limit=MOST_RUNS)
        # One run a credential is open at a time: in the order of their opening the journals follow one another.
        before = [one for one in reversed(rows) if (one.opened_at, one.id) <= (run.opened_at, run.id)]
        return [entry for one in before for entry in self.ledger.journal(one.id)]

    def _question(self, row: RunRow, facts: Facts) -> dict[str, Any] | None:
        question = facts.question
        if question is None or row.ended_at is not None:
            return None
        known, unknown = certain(facts), uncertain(facts)
        offered = []
        for one in answers.legal(row.plan, facts):
            about = "".join(
                f" --{name} {value}"
                for name, value in (
                    ("gen", one.gen),
                    ("home", one.home),
                    ("consumer", one.consumer),
                    ("handle", one.handle),
                )
                if value is not None
            )
            command = f"rotator runs answer {row.id} {one.kind.value}{about} --reason TEXT"
            offered.append({"answer": one.kind.value, "says": answer_in_words(one), "command": command})
        return {
            "topic": question.topic.value,
            "says": self.words(question.topic.value),
            "detail": question.detail,
            "detail_says": self.words(question.detail) if question.detail else "",
            "step": None if question.step is None else step_in_words(question.step),
            "known": list(known),
            "unknown": list(unknown),
            "answers": offered,
        }

    def _owed(self, only: CredentialId | None = None) -> list[Debt]:
        """What is a debt now; an acceptance that is over needs no event to be one."""
        return owed(self.ledger.debts(only), self.clock.now())

    def _debts(self, debts: Sequence[Debt]) -> list[dict[str, Any]]:
        prints: dict[CredentialId, Mapping[Any, str]] = {}
        for debt in debts:
            if debt.credential not in prints:
                prints[debt.credential] = self.ledger.fingerprints(debt.credential)
        return [debt_view(debt, prints[debt.credential].get(debt.gen, "")) for debt in debts]
