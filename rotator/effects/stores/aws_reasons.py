"""The reasons that only the AWS store gives: a part of the catalogue in `reasons`, which is the one to read."""

from __future__ import annotations

from typing import Final

AWS_REASONS: Final = {
    "store_arn_region": "The secret's ARN is of another region than the store's: configure a store for that region.",
    "store_clock": "AWS refuses the request for its time: set this machine's clock.",
    "store_kms": "The secret's KMS key refuses us or is disabled: allow kms:Decrypt and kms:GenerateDataKey in the "
    "policy and in the key's own; a secret of another account must have a key of its own, not AWS's.",
    "store_label_quota": "The secret has too many staging labels (AWS allows 20): let old generations be proven dead "
    "and finalized, take labels of others away, or move a credential into a secret of its own.",
    "store_login_missing": "The SDK finds no credentials for AWS: see `auth`.",
    "store_login_source": "What the SDK takes its credentials from does not answer as it should: the instance's or "
    "container's own service, a single sign-on, a credential process, or STS.",
    "store_not_object": "The secret's value is no JSON object: write it as one (the store changes its fields).",
    "store_path_characters": "A secret of AWS is named with letters, digits and /_+=.@- only.",
    "store_quota": "A quota of AWS is reached: labels (20 of a secret) or versions (about 100 a day); "
    "`rotator plan` shows which.",
    "store_rotation_enabled": "The secret has a rotation schedule of AWS: two would rotate it. Cancel it "
    "(aws secretsmanager cancel-rotate-secret).",
    "store_rotation_pending": "A rotation of somebody else is under way in the secret, or was left half done: let it "
    "finish, or take its AWSPENDING away (aws secretsmanager update-secret-version-stage).",
    "store_secret_deleted": "The secret is scheduled for deletion: restore it, or wait until it is gone for good.",
    "store_secret_managed": "The secret is managed by another service of AWS, which alone may change it.",
    "store_secret_missing": "There is no secret with this ARN; a secret named by its ARN is never created.",
    "store_secret_replica": "The secret is a replica: configure a store for the region of its primary.",
    "store_version_quota": "The secret gets too many versions in a day (AWS keeps about 100): rotate it more rarely.",
}
