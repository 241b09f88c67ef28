"""The settings of an AWS store as its configuration: one translation, beside that of the other stores in `world`.

Called by `world` when a configuration is opened. Sends nothing, reads nothing.
"""

from __future__ import annotations

from pathlib import Path

from rotator.effects.stores.opening import AssumeRole, AwsConfig, DefaultChain, WebIdentity
from rotator.settings import models
from rotator.settings.connections import AwsStore

_CALL_S = 30.0


def aws_config(settings: models.Configuration, store: AwsStore) -> AwsConfig:
    """The configuration of one store; a request takes a third of a call at most, so that one may be lost and found."""
    call_s = min(_CALL_S, settings.daemon.deadline / 1000)
    return AwsConfig(
        region=store.region, installation=settings.installation, auth=_auth(store), url=store.url or "",
        sts_url=store.sts_url or "", ca=None if store.ca is None else Path(store.ca), kms_key=store.kms_key or "",
        insecure=store.insecure, request_s=min(10.0, call_s / 3), call_s=call_s,
    )  # fmt: skip


def _auth(store: AwsStore) -> DefaultChain | AssumeRole | WebIdentity:
    auth = store.auth
    if auth.web_identity is not None:
        return WebIdentity(auth.web_identity.arn, Path(auth.web_identity.token.file), auth.web_identity.session)
    file = None if auth.credentials is None else Path(auth.credentials.file)
    chain = DefaultChain(auth.profile or "", file)
    if auth.role is None:
        return chain
    return AssumeRole(auth.role.arn, auth.role.external_id or "", auth.role.session, chain)
