"""Opens runs: the plan is frozen, the facts are read, the run and its first event are one transaction.

Called by the tick (what is due) and by a person's requests. Never performs an effect.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from rotator.machine.events import Opened
from rotator.machine.evolve import evolve
from rotator.machine.facts import RunKind
from rotator.machine.ids import Handle, Home, Millis
from rotator.machine.plan import Plan

from .inventory import Credential, CredentialId
from .ports import Clock, Ledger, LedgerError, RunId, RunRow


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
        """Open a run and leave it to the workers. Raises RunOpen (R10), LedgerError("unknown_credential")."""
        row = self._ledger.credential(credential)
        if row is None:
            raise LedgerError("unknown_credential")
        now = self._clock.now()
        plan = in_use_first(self._plan(row.definition, order.kind), order.active)
        event = Opened(order.kind, order.handles)
        facts = evolve(plan, row.facts, event, now)
        run = RunRow(
            id=RunId(self._new_id()),
            credential=credential,
            kind=order.kind,
            definition=row.definition,
            plan=plan,
            actor=order.actor,
            reason=order.reason,
            campaign=order.campaign,
            opened_at=now,
            ended_at=None,
            ending=None,
            wake_at=now,
            held_why="",
            owner="",
            fence=0,
        )
        claim = self._ledger.open_run(run, [event], facts, claim_by=self._owner, lease_until=now + LEASE)
        self._ledger.release(claim, now, "")
        return run.id


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
