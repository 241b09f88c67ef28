"""Makes the frozen plan of a run from a definition, the traits of its kinds and the configured spans.

Called when a run opens and by `plan`. Pure but for the traits it is given; the plan's digest is what gets approved.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from rotator.machine import strategy
from rotator.machine.codec import to_plain
from rotator.machine.facts import RunKind
from rotator.machine.ids import ConsumerId, Millis
from rotator.machine.plan import Authority, Clocks, Consumer, Full, Origin, Plan
from rotator.machine.steps import Grade

from .inventory import AuthorityRef, Credential
from .traits import KindTraits

TraitsOf = Callable[[str, str], KindTraits]
"""(endpoint, kind) -> traits. Raises LookupError for what is not configured."""


@dataclass(frozen=True, slots=True)
class Spans:
    """Spans of the daemon, in milliseconds."""

    deadline: Millis = 60_000
    landing: Millis = 60_000
    backoff: Millis = 1_000
    backoff_max: Millis = 300_000


def core_traits(traits: KindTraits) -> strategy.CoreTraits:
    """What the machine needs of a kind, field by field."""
    return strategy.CoreTraits(
        origin=Origin.ISSUED if traits.origin == "issued" else Origin.GENERATED,
        lost=strategy.Lost(traits.lost),
        live=traits.live,
        old_lives=traits.old_lives_ms,
        undo=strategy.Undo(traits.undo),
        revokes=strategy.Revokes(traits.revokes),
        revoke_by_value=traits.revoke_by_value or traits.handle_is_label,
        installs=traits.has_install,
        revoke=traits.has_revoke,
        lists=traits.has_list,
        reads=traits.has_read,
        sweeps=traits.has_sweep,
        labelled=traits.label_max is not None,
        full=Full(traits.full),
        settle=traits.settle_ms,
        derived_live=traits.derived_live_ms,
    )


def _weakest(definition: Credential, kind: RunKind) -> Grade:
    """What counts as a control. Nothing succeeds what is retired, so there it has a setting of its own (ADR 0019)."""
    policy = definition.policy
    return Grade(policy.proof_retired if kind is RunKind.RETIRE else policy.proof_grade)


class Planner:
    """Plans for one configuration."""

    def __init__(self, traits: TraitsOf, spans: Spans) -> None:
        self._traits = traits
        self._spans = spans

    def plan(self, definition: Credential, kind: RunKind) -> Plan:
        """The plan of a run of this kind. Raises LookupError for an endpoint or kind that is not configured."""
        pairs = [(ref, self._traits(ref.endpoint, ref.kind)) for ref in definition.authorities]
        authorities = strategy.order(tuple(self._authority(ref, traits) for ref, traits in pairs))
        return Plan(
            kind=kind,
            authorities=authorities,
            consumers=tuple(
                Consumer(ConsumerId(one.id), empties=self._traits(one.endpoint, one.kind).has_revoke)
                for one in definition.consumers
            ),
            clocks=self._clocks(definition, kind, [traits for _, traits in pairs]),
            weakest=_weakest(definition, kind),
            values=definition.policy.values,
        )

    def objections(self, definition: Credential) -> tuple[str, ...]:
        """Reason codes for what the machine cannot work with; empty: it can."""
        found: list[str] = []
        for ref in definition.authorities:
            found += strategy.objections(core_traits(self._traits(ref.endpoint, ref.kind)), ref.principals)
        return tuple(found)

    def _authority(self, ref: AuthorityRef, traits: KindTraits) -> Authority:
        return strategy.authority(ref.endpoint, ref.principals, core_traits(traits))

    def _clocks(self, definition: Credential, kind: RunKind, traits: list[KindTraits]) -> Clocks:
        policy = definition.policy
        emergency = kind in (RunKind.OVERLAP, RunKind.CONTAIN)
        return Clocks(
            settle=max(one.settle_ms for one in traits),
            derived_life=max(one.derived_live_ms for one in traits),
            overlap=0 if emergency else policy.overlap,
            fresh=policy.fresh,
            over=policy.proof_over,
            times=policy.proof_times,
            backoff=self._spans.backoff,
            backoff_max=self._spans.backoff_max,
            patience=policy.attempts,
            patience_span=policy.span,
            kill_patience=policy.kill_attempts,
            kill_patience_span=policy.kill_span,
            deadline=self._spans.deadline,
            landing=self._spans.landing,
        )


def digest(definition: Credential, plan: Plan) -> str:
    """SHA-256 over the inputs of a run: what an approval is bound to."""
    text = json.dumps([to_plain(definition), to_plain(plan)], sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()
