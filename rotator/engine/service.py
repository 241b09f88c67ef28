"""Requests of people and programs, carried out on the ledger: the implementation of `requests.Requests`.

Called by the local API. It opens runs and records answers; workers do the rest. It never sees a value: what is read of
the world is asked of `Inspector` and `Intake`. This file has the requests that change something, `enquiries` the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from rotator.machine import answers
from rotator.machine.events import Answered, AnswerKind
from rotator.machine.evolve import evolve
from rotator.machine.facts import Facts, RunKind
from rotator.machine.ids import Millis

from .enquiries import Enquiries
from .inspection import Intake
from .inventory import Pause
from .opening import Opener, Order
from .ports import CredentialRow, RunId, RunOpen, RunRow
from .requests import Caller, Json, RequestRefused, Selection
from .retirement import split_by_workflow
from .wording import shown

CONFLICT, NOT_FOUND, USAGE, INVALID, UNCERTAIN = 6, 5, 2, 3, 12


@dataclass(slots=True)
class Service(Enquiries):
    """All requests. `reconfigure` reloads; `opener` opens runs."""

    intake: Intake
    opener: Opener
    reconfigure: Callable[[], Json]
    wake_workers: Callable[[], None]
    new_id: Callable[[], str]

    def adopt(self, caller: Caller, ids: Sequence[str], *, source: str, reason: str) -> Json:
        """See `Requests`. Refused with the reason code and words if the value cannot be bound or verified."""
        if source and len(ids) != 1:
            raise RequestRefused("ROT-USAGE", "--from takes one credential", exit=USAGE)
        rows = [self.row(name) for name in ids]
        opened = []
        for row in rows:
            if row.adopted_at is not None:
                raise RequestRefused(
                    "ROT-ALREADY-ADOPTED", f"{row.definition.id} is adopted already", exit=CONFLICT,
                    hint=f"rotator explain {row.definition.id}",
                )  # fmt: skip
            if source:
                self._refuse(row, self.intake.take_first(row.definition, source))
            found = self.intake.adoptable(row.definition)
            self._refuse(row, found.refused, found.says)
            order = Order(RunKind.ADOPT, caller.actor, reason, handles=found.handles, active=found.active)
            opened.append(self._open(row, order))
        return {"runs": [self.run(run) for run in opened]}

    def deposit(self, caller: Caller, endpoint: str, *, source: str, replace: bool, reason: str) -> Json:
        """See `Requests`."""
        done = self.intake.take_admin(endpoint, source, replace)
        if "refused" in done:
            says = self.words(done["refused"])
            raise RequestRefused(f"ROT-{code_of(done['refused'])}", f"{endpoint}: {says}", exit=INVALID)
        return {"endpoint": endpoint, **done}

    def rotate(self, caller: Caller, selection: Selection, *, reason: str, ticket: str) -> Json:
        """See `Requests`."""
        return self._campaign(caller, self.select(selection), RunKind.ROTATE, why(reason, ticket))

    def emergency(self, caller: Caller, selection: Selection, *, mode: str, reason: str, ticket: str) -> Json:
        """See `Requests`. Over an open run: *contain now* is an answer; *overlap* waits for the run's own end."""
        kinds = {"overlap": RunKind.OVERLAP, "contain": RunKind.CONTAIN}
        if mode not in kinds:
            raise RequestRefused("ROT-USAGE", "mode is overlap or contain", exit=USAGE)
        rows = self.select(selection)
        text = why(reason, ticket)
        if mode == "contain":
            for row in rows:
                if row.open_run is not None:
                    self._answer(caller, row.open_run, Answered(AnswerKind.CONTAIN_NOW), text)
        return self._campaign(caller, rows, kinds[mode], text)

    def retire(self, caller: Caller, workflow: str, *, apply: bool, reason: str, ticket: str) -> Json:
        """See `Requests`. What other workflows use too is listed and left."""
        alone, shared = split_by_workflow(self.ledger.credentials(), workflow)
        if not alone and not shared:
            raise RequestRefused("ROT-NOT-FOUND", f"no credential is used by workflow {workflow}", exit=NOT_FOUND)
        listed = {
            "workflow": workflow,
            "retire": [row.definition.id for row in alone],
            "shared": [{"credential": r.definition.id, "workflows": list(r.definition.workflows)} for r in shared],
        }
        if not apply:
            return listed
        return {**listed, **self._campaign(caller, alone, RunKind.RETIRE, why(reason, ticket))}

    def answer(self, caller: Caller, run: str, answer: str, *, about: Mapping[str, str], reason: str) -> Json:
        """See `Requests`. Refused with the legal answers if this one is not legal now."""
        row = self.run_row(run)
        wanted = self._wanted(row, answer, about)
        self._answer(caller, row.id, wanted, reason)
        return self.run(run)

    def back(self, caller: Caller, run: str, *, reason: str) -> Json:
        """See `Requests`."""
        return self.answer(caller, run, AnswerKind.GO_BACK.value, about={}, reason=reason)

    def pause(self, caller: Caller, selection: Selection, *, reason: str, until: str) -> Json:
        """See `Requests`. Emergencies are not held by a pause."""
        end = parse_instant(until) if until else None
        rows = self.select(selection)
        for row in rows:
            self.ledger.pause(row.definition.id, Pause(caller.actor, reason, end))
        return {"paused": [row.definition.id for row in rows]}

    def resume(self, caller: Caller, selection: Selection, *, reason: str) -> Json:
        """See `Requests`."""
        rows = self.select(selection)
        for row in rows:
            self.ledger.pause(row.definition.id, None)
            if row.open_run is not None:
                self.ledger.wake(row.open_run, self.clock.now())
        self.wake_workers()
        return {"resumed": [row.definition.id for row in rows]}

    def reload(self, caller: Caller) -> Json:
        """See `Requests`."""
        return self.reconfigure()

    # -- parts -----------------------------------------------------------------------------------------------------

    def _campaign(self, caller: Caller, rows: Sequence[CredentialRow], kind: RunKind, reason: str) -> Json:
        campaign, runs, refused = self.new_id(), [], []
        for row in rows:
            try:
                if row.adopted_at is None:
                    raise RequestRefused("ROT-NOT-ADOPTED", "it is not adopted yet", exit=CONFLICT)
                runs.append(self.run(self._open(row, Order(kind, caller.actor, reason, campaign))))
            except RequestRefused as no:
                refused.append({"credential": row.definition.id, "code": no.code, "says": no.message, "run": no.run})
        if refused and not runs:
            first = refused[0]
            hint = f"rotator runs watch {first['run']}" if first["run"] else f"rotator explain {first['credential']}"
            raise RequestRefused(
                first["code"], f"{first['credential']}: {first['says']}", exit=CONFLICT, run=first["run"], hint=hint
            )
        return {"campaign": campaign, "runs": runs, "refused": refused}

    def _open(self, row: CredentialRow, order: Order) -> RunId:
        """Open a run; an open reconcile gives way, its facts stay."""
        held = None if row.open_run is None else self.ledger.run(row.open_run)
        if held is not None and held.kind is RunKind.RECONCILE and order.kind is not RunKind.RECONCILE:
            self._answer(Caller(order.actor), held.id, Answered(AnswerKind.ABANDON), "a run of its own falls due")
            self.settle(held.id)
        try:
            run = self.opener.open(row.definition.id, order)
        except RunOpen as open_:
            raise RequestRefused(
                "ROT-RUN-OPEN", "a run is open already", exit=CONFLICT, run=open_.run,
                hint=f"rotator runs watch {open_.run}",
            ) from None  # fmt: skip
        except LookupError as missing:
            raise RequestRefused("ROT-UNKNOWN-ENDPOINT", str(missing), exit=INVALID) from None
        self.wake_workers()
        return run

    def _answer(self, caller: Caller, run: RunId, answer: Answered, reason: str) -> None:
        """Record an answer under a claim of our own: a worker that holds the run finishes its step first."""
        claim = self.claim_for_person(run)
        row = self.run_row(run)
        found = self.ledger.credential(row.credential)
        facts = Facts() if found is None else found.facts
        if row.ended_at is not None or not answers.is_legal(row.plan, facts, answer):
            self.ledger.release(claim, self.clock.now(), "")
            raise self._illegal(row, facts)
        journal = self.ledger.journal(run)
        at = max(self.clock.now(), journal[-1].at if journal else row.opened_at)
        facts = evolve(row.plan, facts, answer, at)
        self.ledger.append(claim, [answer], facts, at, actor=f"{caller.actor}: {reason}", wake_at=at)
        self.ledger.release(claim, at, "")
        self.wake_workers()

    def _illegal(self, row: RunRow, facts: Facts) -> RequestRefused:
        legal = sorted({one.kind.value for one in answers.legal(row.plan, facts)})
        says = f"not possible now; possible: {', '.join(legal) or 'nothing, the run has ended'}"
        return RequestRefused("ROT-ANSWER-ILLEGAL", says, exit=CONFLICT, run=row.id, hint=f"rotator runs show {row.id}")

    def _wanted(self, row: RunRow, answer: str, about: Mapping[str, str]) -> Answered:
        """The legal answer that these words mean: what is not said is filled in where only one fits."""
        found = self.ledger.credential(row.credential)
        facts = Facts() if found is None else found.facts
        fits = [
            one
            for one in answers.legal(row.plan, facts)
            if one.kind.value == answer and all(shown(one).get(name) == text for name, text in about.items())
        ]
        if len(fits) != 1:
            raise self._illegal(row, facts)
        return fits[0]

    def _refuse(self, row: CredentialRow, reason: str, says: str = "") -> None:
        if reason:
            raise RequestRefused(
                f"ROT-{code_of(reason)}", f"{row.definition.id}: {says or self.words(reason)}", exit=INVALID
            )


def why(reason: str, ticket: str) -> str:
    """Reason and ticket in one text for the journal."""
    return f"{reason} [{ticket}]" if ticket else reason


def code_of(reason: str) -> str:
    """A reason code as the end of a string code."""
    return reason.upper().replace("_", "-")


def parse_instant(text: str) -> Millis:
    """RFC 3339 to milliseconds. Raises RequestRefused."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise RequestRefused("ROT-USAGE", "a time is written 2026-12-31T18:00:00Z", exit=USAGE) from None
    if moment.tzinfo is None:
        raise RequestRefused("ROT-USAGE", "a time needs its zone: 2026-12-31T18:00:00Z", exit=USAGE)
    return int(moment.timestamp() * 1000)
