"""Whether a secret of AWS fits a credential: findings before anything is changed. Called by `aws.AwsStore.check`.

Reads only: who may write cannot be asked without the right to ask IAM, which the daemon does not need otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rotator.plugin_api import Misconfigured

from .aws_client import Line
from .aws_names import CURRENT, PENDING, PREVIOUS, Names, fault, is_arn
from .aws_secret import Description, OneSecret
from .contract import Slot
from .paths import normal

LABELS: Final = 20
"""AWS's quota of labels over all versions of a secret."""

VERSIONS: Final = 100
"""AWS's quota of versions; those younger than a day are never removed."""

DAY_MS: Final = 24 * 3_600_000
NEEDED_VERSIONS: Final = 8
"""What one rotation writes, with a going back and the repetitions of a bad day."""


def findings(line: Line, names: Names, slot: Slot) -> tuple[str, ...]:
    """Slugs of what makes the store unfit for `slot`, in a fixed order; empty if nothing."""
    found = "" if normal(slot.credential) else "store_path_unnormalised"
    found = found or fault(slot.path, line.config.region)
    if found:
        return (found,)
    secret = OneSecret(line.call(), slot.path)
    try:
        return tuple(_of_secret(line, names, slot, secret))
    except Misconfigured as error:
        return (error.reason,)


def _of_secret(line: Line, names: Names, slot: Slot, secret: OneSecret) -> list[str]:
    described = secret.describe()
    if described is None:
        return ["store_secret_missing"] if is_arn(slot.path) else []
    if described.deleted:
        return ["store_secret_deleted"]
    found = _of_description(line, names, slot, described)
    if _young(secret.versions(), line.clock.now()) + NEEDED_VERSIONS > VERSIONS:
        found.append("store_version_quota")
    secret.current()  # raises what forbids reading it: permission, key, form
    return found


def _of_description(line: Line, names: Names, slot: Slot, described: Description) -> list[str]:
    raw, labels, found = described.raw, described.labels, []
    if raw.get("OwningService"):
        found.append("store_secret_managed")
    if raw.get("PrimaryRegion", line.config.region) != line.config.region:
        found.append("store_secret_replica")
    if raw.get("RotationEnabled"):
        found.append("store_rotation_enabled")
    pending = labels.get(PENDING)
    if pending and pending != labels.get(CURRENT) and not names.wrote(pending):
        found.append("store_rotation_pending")
    # A rotation stages two values at once: the one that serves and its successor.
    free = max(names.generations(slot, labels), default=0) + 1
    needed = {CURRENT, PREVIOUS, PENDING, names.last(slot), names.stage(slot, free), names.stage(slot, free + 1)}
    if len(labels.keys() | needed) > LABELS:
        found.append("store_label_quota")
    return found


def _young(versions: Sequence[Mapping[str, Any]], now: int) -> int:
    """How many versions AWS will not remove yet: younger than a day, or with labels."""
    return sum(
        1 for one in versions if one.get("VersionStages") or now - int(one["CreatedDate"].timestamp() * 1000) < DAY_MS
    )
