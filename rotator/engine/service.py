"""Requests of people and programs, carried out on the ledger: the implementation of `requests.Requests`.

Called by the local API. It opens runs and records answers; workers do the rest. It never sees a value: what is read of
the world is asked of `Inspector` and `Intake`. This file has the requests that change something, `enquiries` the rest.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rotator.machine import answers
from rotator.machine.events import Answered, AnswerKind
from rotator.machine.facts import Facts, RunKind
from rotator.machine.ids import Millis

from .answering import NotLegal, record
from .enquiries import Enquiries
from .inspection import Intake
from .inventory import Pause
from .observation import Observation
from .opening import Opener, Order
from .owing import Owing
from .ports import CredentialRow, LeaseLost, LedgerError, RunId, RunOpen, RunRow
from .requests import Caller, Json, RequestRefused, Selection
from .retirement import split_by_workflow
from .scheduling import SERVED
from .sweeping import Sweeper
from .telling import Tellings
from .wording import shown

CONFLICT, NOT_FOUND, USAGE, INVALID, LEDGER = 6, 5, 2, 3, 1
PATIENCE_S = 90.0
"""How long a request waits for the step that a reconcile is in."""


@dataclass(slots=True)
class Service(Enquiries):
    """All requests. `reconfigure` reloads; `opener` opens runs."""

    intake: Intake
    opener: Opener
    reconfigure: Callable[[], Json]
    wake_workers: Callable[[], None]
    new_id: Callable[[], str]
    tellings: Tellings
    sweeper: Sweeper
    observation: Observation
    owing: Owing
    backup_to: Callable[[str], None]

    def adopt(self, caller: Caller, ids: Sequence[str], *, source: str, reason: str) -> Json:
        """See `Requests`. Refused with the reason code and words if the value cannot be bound or verified."""
        if source and len(ids) != 1:
            raise RequestRefused("ROT-USAGE", "--from takes one credential", exit=USAGE)
        rows = [self.row(name) for name in dict.fromkeys(ids)]
        return self._each(rows, lambda row: self._adopt(caller, row, source, reason))

    def _adopt(self, caller: Caller, row: CredentialRow, source: str, reason: str) -> RunId:
        if row.adopted_at is not None:
            raise RequestRefused(
                "ROT-ALREADY-ADOPTED", "it is adopted already", exit=CONFLICT,
                hint=f"rotator explain {row.definition.id}",
            )  # fmt: skip
        if row.open_run is not None:
            raise run_open(row.open_run)
        if source:
            self._refuse(self.intake.take_first(row.definition, source))
        found = self.inspector.adoptable(row.definition)
        self._refuse(found.refused, found.says)
        order = Order(RunKind.ADOPT, caller.actor, reason, handles=found.handles, active=found.active)
        return self._open(row, order)

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

    def retire_selected(self, caller: Caller, selection: Selection, *, apply: bool, reason: str, ticket: str) -> Json:
        """See `Requests`. Also of what the configuration no longer names: this is its way out."""
        rows = [row for row in self.select(selection, unmanaged=True) if row.adopted_at is not None]
        if not rows:
            raise RequestRefused("ROT-NOT-FOUND", "no adopted credential fits", exit=NOT_FOUND, hint="rotator status")
        listed = {"workflow": "", "retire": [row.definition.id for row in rows], "shared": []}
        if not apply:
            return listed
        return {**listed, **self._campaign(caller, rows, RunKind.RETIRE, why(reason, ticket))}

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
            if row.open_run is not None:  # it may be held until another end
                self.ledger.wake(row.open_run, self.clock.now())
        return {"paused": [row.definition.id for row in rows]}

    def resume(self, caller: Caller, selection: Selection, *, reason: str) -> Json:
        """See `Requests`."""
        rows = self.select(selection)
        for row in rows:
            self.ledger.pause(row.definition.id, None)
            if row.open_run is not None:
                self.ledger.wake(row.open_run, self.clock.now())
        self.tick.refresh(*(row.definition.id for row in rows if row.open_run is None))
        self.wake_workers()
        return {"resumed": [row.definition.id for row in rows]}

    def release_brake(self, caller: Caller, *, reason: str) -> Json:
        """See `Requests`."""
        done = self.tick.brake.release(caller.actor, reason)
        return {"released": done is not None, "due": 0 if done is None else self.ledger.count_due(self.clock.now())}

    def strays(self) -> Json:
        """See `Requests`."""
        return {"items": self.sweeper.overview()}

    def sweep(self, caller: Caller, endpoint: str, *, apply: bool, reason: str) -> Json:
        """See `Requests`."""
        known = self.sweeper.endpoints()
        if endpoint not in known:
            near = ", ".join(difflib.get_close_matches(endpoint, known, 3, 0.5))
            hint = f"did you mean {near}?" if near else "rotator strays"
            raise RequestRefused("ROT-NOT-FOUND", f"no endpoint {endpoint} is configured", exit=NOT_FOUND, hint=hint)
        if not apply:
            return self.sweeper.look(endpoint)
        if self.observing():
            raise RequestRefused("ROT-OBSERVING", self.words("observing"), exit=CONFLICT)
        return self.sweeper.sweep(endpoint, caller.actor, reason)

    def reconcile(self, selection: Selection) -> Json:
        """See `Requests`."""
        items = self.observation.look(self.select(selection))
        return {"observe": self.observing(), "items": items}

    def repair(self, caller: Caller, ids: Sequence[str], *, reason: str) -> Json:
        """See `Requests`."""
        rows = [self.row(name) for name in dict.fromkeys(ids)]
        return self._each(rows, lambda row: self._repaired(row, caller, reason))

    def _repaired(self, row: CredentialRow, caller: Caller, reason: str) -> RunId:
        try:
            return self.observation.repair(row, caller.actor, reason)
        except RunOpen as open_:
            raise run_open(open_.run) from None
        except LookupError as missing:
            raise RequestRefused("ROT-UNKNOWN-ENDPOINT", str(missing), exit=INVALID) from None

    def explain_debts(self, credential: str) -> Json:
        """See `Requests`."""
        return self.owing.explain(self.row(credential))

    def accept_debt(self, caller: Caller, credential: str, *, gen: int, home: str, until: str, reason: str) -> Json:
        """See `Requests`."""
        if self.observing():
            raise RequestRefused("ROT-OBSERVING", self.words("observing"), exit=CONFLICT)
        row, end = self.row(credential), parse_instant(until)
        try:
            return self.run(self.owing.accept(row, gen, home, end, caller.actor, reason))
        except RunOpen as open_:
            raise run_open(open_.run) from None
        except LookupError as missing:
            raise RequestRefused("ROT-UNKNOWN-ENDPOINT", str(missing), exit=INVALID) from None
        except LedgerError as error:
            if error.code != "stale_facts":
                raise
            raise RequestRefused("ROT-RUN-BUSY", self.words("stale_facts"), exit=CONFLICT) from None

    def end_observing(self, caller: Caller, *, reason: str, unseen: bool) -> Json:
        """See `Requests`."""
        done = self.observation.end(caller.actor, reason, unseen=unseen)
        self.tick.refresh_all()
        self.wake_workers()
        return done

    def backup(self, caller: Caller, path: str) -> Json:
        """See `Requests`."""
        try:
            self.backup_to(path)
        except LedgerError as error:
            code = f"ROT-LEDGER-{code_of(error.code)}"
            raise RequestRefused(code, self.words(error.code), exit=CONFLICT, hint="docs/restore.md") from None
        return {"path": path, "sequence": self.ledger.sequence()}

    def notify(self) -> Json:
        """See `Requests`."""
        return self.tellings.overview()

    def deliveries(self, *, channel: str, state: str, limit: int) -> Json:
        """See `Requests`."""
        return self.tellings.deliveries(channel, state, limit)

    def test_route(self, caller: Caller, route: str) -> Json:
        """See `Requests`."""
        return self.tellings.test(caller, route)

    def resend(self, caller: Caller, channel: str) -> Json:
        """See `Requests`."""
        return self.tellings.resend(caller, channel)

    def reload(self, caller: Caller) -> Json:
        """See `Requests`."""
        return self.reconfigure()

    # -- parts -----------------------------------------------------------------------------------------------------

    def _campaign(self, caller: Caller, rows: Sequence[CredentialRow], kind: RunKind, reason: str) -> Json:
        campaign = self.new_id()
        order = Order(kind, caller.actor, reason, campaign)
        return {"campaign": campaign, **self._each(rows, lambda row: self._ordered(caller, row, order))}

    def _ordered(self, caller: Caller, row: CredentialRow, order: Order) -> RunId:
        """A run of this order; an open run is told to contain where that is wanted."""
        held = None if row.open_run is None else self.ledger.run(row.open_run)
        if order.kind is RunKind.CONTAIN and held is not None and held.kind is not RunKind.RECONCILE:
            self._answer(caller, held.id, Answered(AnswerKind.CONTAIN_NOW), order.reason)
            return held.id
        if row.adopted_at is None:
            raise RequestRefused("ROT-NOT-ADOPTED", "it is not adopted yet", exit=CONFLICT)
        last = self.tick.last_passage(row.definition.id)
        if last is not None and last.kind is RunKind.RETIRE and last.ending in SERVED and order.kind is not last.kind:
            raise RequestRefused("ROT-RETIRED", self.words("retired"), exit=CONFLICT)
        return self._open(row, order)

    def _each(self, rows: Sequence[CredentialRow], opened: Callable[[CredentialRow], RunId]) -> dict[str, Any]:
        """{runs, refused}: one that is refused keeps none of the others from its run. Raises the refusal if nothing
        was opened at all."""
        runs: list[Json] = []
        refused: list[tuple[str, RequestRefused]] = []
        for row in rows:
            try:
                runs.append(self.run(opened(row)))
            except RequestRefused as no:
                refused.append((row.definition.id, no))
            except LedgerError as error:
                code = f"ROT-LEDGER-{code_of(error.code)}"
                refused.append((row.definition.id, RequestRefused(code, self.words(error.code), exit=LEDGER)))
        if runs:
            self.wake_workers()
        elif refused:
            name, first = refused[0]
            hint = first.hint or (f"rotator runs watch {first.run}" if first.run else f"rotator explain {name}")
            raise RequestRefused(first.code, f"{name}: {first.message}", exit=first.exit, run=first.run, hint=hint)
        said = [{"credential": name, "code": no.code, "says": no.message, "run": no.run} for name, no in refused]
        return {"runs": runs, "refused": said}

    def _open(self, row: CredentialRow, order: Order) -> RunId:
        """Open a run. An open reconcile gives way, once the step that it is in is over (bounded)."""
        if self.observing():
            raise RequestRefused("ROT-OBSERVING", self.words("observing"), exit=CONFLICT)
        limit = self.clock.monotonic() + PATIENCE_S
        while True:
            try:
                return self.opener.open(row.definition.id, order)
            except RunOpen as open_:
                held = self.ledger.run(open_.run)
                if held is None or held.kind is not RunKind.RECONCILE or self.clock.monotonic() > limit:
                    raise run_open(open_.run) from None
            except LookupError as missing:
                raise RequestRefused("ROT-UNKNOWN-ENDPOINT", str(missing), exit=INVALID) from None
            self.clock.sleep(0.05)

    def _answer(self, caller: Caller, run: RunId, answer: Answered, reason: str) -> None:
        """Record an answer under a claim of our own: a worker that holds the run finishes its step first."""
        if self.observing() and run not in self.observation.repairs():
            raise RequestRefused("ROT-OBSERVING", self.words("observing"), exit=CONFLICT)
        try:
            claim = self.claim_for_person(run)
            record(self.ledger, self.clock, claim, answer, f"{caller.actor}: {reason}")
        except NotLegal as no:
            raise self._illegal(self.run_row(run), no.facts) from None
        except LeaseLost:  # two persons at once: the other was first
            raise RequestRefused("ROT-RUN-BUSY", "somebody else answers it", exit=CONFLICT, run=run) from None
        row = self.run_row(run)
        if row.ended_at is not None:
            self.tick.refresh(row.credential)
        self.wake_workers()

    def _illegal(self, row: RunRow, facts: Facts) -> RequestRefused:
        legal = sorted({one.kind.value for one in answers.legal(row.plan, facts)} if row.ended_at is None else ())
        says = f"not possible now; possible: {', '.join(legal) or 'nothing, the run has ended'}"
        return RequestRefused("ROT-ANSWER-ILLEGAL", says, exit=CONFLICT, run=row.id, hint=f"rotator runs show {row.id}")

    def _wanted(self, row: RunRow, answer: str, about: Mapping[str, str]) -> Answered:
        """The legal answer that these words mean: what is not said is filled in where only one fits."""
        found = self.ledger.credential(row.credential)
        facts = Facts() if found is None else found.facts
        fits = [
            one
            for one in answers.legal(row.plan, facts)
            if row.ended_at is None
            and one.kind.value == answer
            and all(shown(one).get(name) == text for name, text in about.items())
        ]
        if len(fits) != 1:
            raise self._illegal(row, facts)
        return fits[0]

    def _refuse(self, reason: str, says: str = "") -> None:
        if reason:
            raise RequestRefused(f"ROT-{code_of(reason)}", says or self.words(reason), exit=INVALID)


def run_open(run: RunId) -> RequestRefused:
    """Another run of the credential is open (R10)."""
    return RequestRefused(
        "ROT-RUN-OPEN", "a run is open already", exit=CONFLICT, run=run, hint=f"rotator runs watch {run}"
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
