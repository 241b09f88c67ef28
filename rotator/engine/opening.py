"""Opens runs: the plan is frozen, the facts are read, the run and its first event are one transaction.

Called by the tick (what is due) and by a person's requests. Never performs an effect.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from rotator.machine.events import Opened, Stray
from rotator.machine.evolve import evolve
from rotator.machine.facts import RunKind
from rotator.machine.ids import Gen, Handle, Home, Millis
from rotator.machine.plan import Plan

from .answering import ABANDON, NotLegal, last_at, record
from .inventory import Credential, CredentialId
from .ports import Clock, CredentialRow, Ledger, LedgerError, RunId, RunOpen, RunRow

_READINGS = 3
"""How often facts are read anew when another run opened and ended meanwhile."""


@dataclass(frozen=True, slots=True)
class Order:
    """Why and on whose behalf a run opens. `campaign` binds runs of one request together."""

    kind: RunKind
    actor: str
    reason: str
    campaign: str = ""
    handles: tuple[tuple[Home, Handle], ...] = ()
    active: tuple[Home, ...] = ()
    """Adopt only: of an alternating pair, the principal that the value in the store belongs to."""
    strays: tuple[Stray, ...] = ()
    """Reconcile and retire only: values of ours that a platform lists though no placement says that they live."""


class Opener:
    """`plan` builds a plan from a definition; `new_id` gives UUIDv7 text; `lease` is milliseconds."""

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        plan: Callable[[Credential, RunKind], Plan],
        new_id: Callable[[], str],
        owner: str,
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._plan = plan
        self._new_id = new_id
        self._owner = owner

    def open(self, credential: CredentialId, order: Order) -> RunId:
        """Open a run and leave it to the workers; an open reconcile gives way to it, its facts stay.

        Raises RunOpen (R10; also while a step of the reconcile is under way), LedgerError("unknown_credential"),
        LookupError for an endpoint that is not configured.
        """
        for reading in range(_READINGS):
            row = self._ledger.credential(credential)
            if row is None:
                raise LedgerError("unknown_credential")
            plan = in_use_first(self._plan(row.definition, order.kind), order.active)
            if row.open_run is not None:
                self._give_way(row.open_run, order)
                continue
            try:
                return self._open(row, order, plan)
            except LedgerError as error:
                if error.code != "stale_facts" or reading == _READINGS - 1:
                    raise
        raise LedgerError("stale_facts")

    def _open(self, row: CredentialRow, order: Order, plan: Plan) -> RunId:
        now = self._clock.now()
        event = Opened(order.kind, order.handles, order.strays, self._floor(row))
        at = max(now, self._after_the_last(row))
        facts = evolve(plan, row.facts, event, at)
        run = RunRow(
            id=RunId(self._new_id()),
            credential=row.definition.id,
            kind=order.kind,
            definition=row.definition,
            plan=plan,
            actor=order.actor,
            reason=order.reason,
            campaign=order.campaign,
            opened_at=at,
            ended_at=None,
            ending=None,
            wake_at=now,
            held_why="",
            owner="",
            fence=0,
        )
        # Due from now on, hidden while the run is open: whoever dies between its end and the writing of the next due
        # time leaves a row that the tick looks at again, not one that is never due.
        self._ledger.set_due([(row.definition.id, now, "run_open")])
        claim = self._ledger.open_run(
            run, [event], facts, claim_by=self._owner, lease_until=now + LEASE, after=row.facts_sequence
        )
        self._ledger.release(claim, now, "")
        return run.id

    def _after_the_last(self, row: CredentialRow) -> Millis:
        """Later than all that is known of the credential, though the clock was set back meanwhile: facts have instants
        of the run before, and the newest run is found by when it was opened."""
        before = self._ledger.runs(credential=row.definition.id, limit=1)
        return last_at(self._ledger, before[0]) + 1 if before else 0

    def _floor(self, row: CredentialRow) -> Gen:
        """After a restore: numbers that the lost time may have given to values of this credential (`LOST`)."""
        lost = self._ledger.document(LOST)
        if lost is None or row.facts_sequence > int(lost):
            return Gen(0)
        return Gen(row.facts.top + LEAP)

    def _give_way(self, open_run: RunId, order: Order) -> None:
        """End an open reconcile for the sake of `order`. Raises RunOpen for another run, or one in a worker's hands."""
        held = self._ledger.run(open_run)
        if held is None or held.ended_at is not None:
            return
        if held.kind is not RunKind.RECONCILE or order.kind is RunKind.RECONCILE:
            raise RunOpen(open_run)
        now = self._clock.now()
        try:
            claim = self._ledger.claim(open_run, now, f"{self._owner}/opener", now + LEASE)
        except LedgerError as error:
            if error.code == "run_ended":
                return
            raise
        if claim is None:
            raise RunOpen(open_run)
        try:
            record(self._ledger, self._clock, claim, ABANDON, f"{order.actor}: it gives way to a {order.kind.value}")
        except NotLegal:
            return


LOST = "lost"
"""The document that a restore leaves: the journal's high-water mark of the copy. A credential whose facts are no newer
may have had more values, and they may still stand in the store, under numbers that this ledger would give again."""
LEAP = 1_000
"""More values than one credential ever gets between two copies of the ledger."""

LEASE: Millis = 10_000
"""For the moment between opening and handing the run to a worker; a crash in it costs the lease."""


def in_use_first(plan: Plan, active: tuple[Home, ...]) -> Plan:
    """The plan with the principal in use named first: an adopted value is bound to the first of a pair."""
    if not active:
        return plan
    principals = {home.endpoint: home.principal for home in active}
    authorities = tuple(
        replace(one, principals=tuple(sorted(one.principals, key=lambda name: name != principals.get(one.endpoint))))
        for one in plan.authorities
    )
    return replace(plan, authorities=authorities)
