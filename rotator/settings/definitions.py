"""The configuration's credentials as the engine's plain definitions.

Called by the daemon after a load and after reading the ledger's copy. Nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from rotator.engine import calendar, inventory
from rotator.machine.ids import Millis

from .governance import Authority, Consumer, Credential, Pause, Policy
from .models import Configuration

_EPOCH = date(1970, 1, 1)


def definitions(configuration: Configuration) -> dict[inventory.CredentialId, inventory.Credential]:
    """Every credential with its policy resolved. Raises KeyError for a policy that a load would have refused."""
    policies = {name: policy_of(name, policy) for name, policy in configuration.policies.items()}
    return {
        inventory.CredentialId(name): _credential(name, credential, policies[credential.policy])
        for name, credential in configuration.credentials.items()
    }


def policy_of(name: str, policy: Policy) -> inventory.Policy:
    """One policy."""
    return inventory.Policy(
        name=name,
        schedule=policy.schedule(),
        overlap=policy.overlap,
        fresh=policy.fresh,
        attempts=policy.patience.attempts,
        span=policy.patience.span,
        values=policy.patience.values,
        kill_attempts=policy.kill_patience.attempts,
        kill_span=policy.kill_patience.span,
        proof_times=policy.proof.times,
        proof_over=policy.proof.over,
        proof_grade=policy.proof.grade,
        proof_retired=policy.proof.retired,
        keep_history=policy.history == "keep",
        pause=_pause(policy.pause),
        heartbeat=policy.heartbeat,
    )


def _credential(name: str, credential: Credential, policy: inventory.Policy) -> inventory.Credential:
    store = credential.store
    return inventory.Credential(
        id=inventory.CredentialId(name),
        owner=credential.owner,
        purpose=credential.purpose,
        workflows=credential.workflows,
        expires=_midnight(credential.expires),
        tier=inventory.Tier(credential.tier),
        policy=policy,
        authorities=tuple(_authority(authority) for authority in credential.accepted_at),
        store=inventory.StoreRef(store.store, store.path, store.value, _fields(store.fields)),
        consumers=tuple(_consumer(consumer) for consumer in credential.consumers),
        labels=tuple(sorted(credential.labels.items())),
    )


def _authority(authority: Authority) -> inventory.AuthorityRef:
    return inventory.AuthorityRef(
        endpoint=authority.endpoint,
        kind=authority.kind,
        principals=authority.homes,
        scopes=authority.scopes,
        params=tuple(sorted(authority.params.items())),
        handle=authority.handle,
    )


def _consumer(consumer: Consumer) -> inventory.ConsumerRef:
    return inventory.ConsumerRef(
        id=f"{consumer.endpoint}/{consumer.kind}/{consumer.subject}",
        endpoint=consumer.endpoint,
        kind=consumer.kind,
        target=consumer.subject,
        params=tuple(sorted(consumer.params.items())),
        fields=_fields(consumer.fields),
    )


def _fields(fields: Mapping[str, str]) -> tuple[inventory.FieldMap, ...]:
    return tuple(inventory.FieldMap(name, inventory.Source(source)) for name, source in sorted(fields.items()))


def _pause(pause: Pause | None) -> inventory.Pause | None:
    return None if pause is None else inventory.Pause(pause.by, pause.reason, pause.until)


def _midnight(day: date) -> Millis:
    """The moment at which the day begins, UTC: the credential expires with the day's first second."""
    return (day - _EPOCH).days * calendar.DAY
