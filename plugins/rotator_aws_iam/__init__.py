"""AWS IAM: access keys of users. Issued by AWS, two at a time, without a label, and seen a while after they are made.

Loaded by the plugin host. Importing it does no I/O. It signs its requests itself and sends them by the host
(`docs/adr/0013`); the SDK is not used, so no credential of the machine can act in place of the configured one.
Traps and permissions: `docs/plugin-aws-iam.md`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from rotator.plugin_api import (
    Acting,
    Form,
    Full,
    Kind,
    Lists,
    Lost,
    Origin,
    Plugin,
    Revokes,
    Role,
    Traits,
    Undo,
    ValueSpec,
)

from .calls import SLOTS, issue, listing, preflight, probe, revoke
from .config import Config
from .query import ROUTE

REASONS: Final = {
    "key_refused": "STS does not know this access key (any more), or it is switched off.",
    "signature_refused": "The key exists, but what was signed with it is wrong: another secret, or a proxy between.",
    "clock_skew": "The clock of this machine is wrong by more than minutes: set it right.",
    "access_denied": "The admin key may not do this: give its user the shipped policy.",
    "acting_key": "This is the key that acts: it does not end itself. Without a newer one, another admin must.",
    "admin_id_missing": "The admin's access key id is not known: set `admin.handle` to where it stands.",
    "busy": "IAM is still changing this user; it is tried again.",
    "key_id_missing": "Which key the value belongs to is not known: map a field of its secret to `handle`.",
    "may_not_list": "The admin key may not list the keys of this user: give its user the shipped policy.",
    "not_a_key_id": "This is no access key id.",
    "not_a_user_name": "No IAM user can have this name.",
    "other_admin": "The admin key belongs to another user than `admin.principal` says.",
    "other_account": "The admin key belongs to another account than the endpoint's `account`.",
    "region_unknown": "The region of the endpoint is not known: set `region`.",
    "slots_full": "The user has two keys, the most there can be: delete the one that nobody uses.",
    "user_missing": "The user does not exist in this account: create it, or correct the principal.",
}

plugin: Final[Plugin[Config]] = Plugin(
    name="aws_iam",
    version="1.0.0",
    config=Config,
    routes=(ROUTE,),
    urls=("url", "sts"),
    reasons=REASONS,
    kinds=(
        Kind(
            name="access-key",
            title="Access key of an IAM user",
            traits=Traits(
                role=Role.AUTHORITY,
                origin=Origin.ISSUED,
                # The answer with the secret is the only one, and a key bears no label: what is new in the list tells.
                lost=Lost.BY_SNAPSHOT,
                live=SLOTS,
                full=Full.REFUSES,
                old_lives=None,
                undo=Undo.REVOKE_NEW,
                revokes=Revokes.ONE,
                acting=frozenset({Acting.ADMIN}),
                lists=Lists.ALL,
                # AWS promises no number: a new key is usually known after seconds.
                settle=timedelta(seconds=60),
                # Sessions of GetSessionToken outlive the key that they were made with, up to 36 hours.
                derived_live=timedelta(hours=36),
                last_used=timedelta(minutes=15),
            ),
            permissions=("iam:ListAccessKeys", "iam:CreateAccessKey", "iam:DeleteAccessKey"),
            value=ValueSpec(form=Form.OPAQUE),
            preflight=preflight,
            probe=probe,
            issue=issue,
            list=listing,
            revoke=revoke,
        ),
    ),
)

__all__ = ["Config", "plugin"]
