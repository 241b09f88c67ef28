"""Names in AWS Secrets Manager: which secret, which staging label, which token of a write.

Called by the rest of the AWS store. Tokens (ClientRequestToken, which becomes the version's id) are pure functions of
the write's intent: the same write has the same token however often it is sent and whoever sends it, and another write
has another. They hold digests of names and version ids, never anything of a value.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Final

from rotator.plugin_api import Misconfigured

from .contract import Slot
from .paths import OURS, Places, normal

CURRENT: Final = "AWSCURRENT"
PENDING: Final = "AWSPENDING"
PREVIOUS: Final = "AWSPREVIOUS"

_ARN: Final = re.compile(
    r"arn:aws[a-z-]*:secretsmanager:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):secret:(?P<name>.+)"
)
_NAME: Final = re.compile(r"[A-Za-z0-9/_+=.@-]{1,512}")


def fault(path: str, region: str) -> str:
    """The finding that forbids a path ("": none): a name by AWS's rules, or the full ARN of a secret of this region."""
    arn = _ARN.fullmatch(path)
    name = arn["name"] if arn else path
    if not normal(name):
        return "store_path_unnormalised"
    if not _NAME.fullmatch(name):
        return "store_path_characters"
    if name.split("/", 1)[0] == OURS:
        return "store_path_reserved"
    return "store_arn_region" if arn and arn["region"] != region else ""


def secret_id(path: str, region: str) -> str:
    """The path itself, as SecretId; Misconfigured with the finding that forbids it."""
    found = fault(path, region)
    if found:
        raise Misconfigured(found)
    return path


def is_arn(path: str) -> bool:
    """Whether a path names a secret by its ARN: such a secret is never created by us."""
    return _ARN.fullmatch(path) is not None


class Names:
    """Our own labels, tokens and secrets for one installation."""

    __slots__ = ("_places", "_prefix")

    def __init__(self, installation: str) -> None:
        self._places = Places(installation)
        self._prefix: Final = f"{OURS}-{_digest(installation)[:12]}-"

    # ---- staging labels ----------------------------------------------------------------------------------------------

    def stage(self, slot: Slot, generation: int) -> str:
        """The label of a staged value."""
        if generation < 0:
            raise ValueError("generations are numbered from 0")
        return f"{self._of(slot)}.g{generation}"

    def generations(self, slot: Slot, labels: Mapping[str, str]) -> dict[int, str]:
        """The staged generations of a slot among the labels of its secret: generation -> label."""
        of = re.compile(re.escape(self._of(slot)) + r"\.g(\d+)")
        return {int(found[1]): label for label in labels if (found := of.fullmatch(label))}

    def last(self, slot: Slot) -> str:
        """The label of the version that the latest promote of this credential wrote."""
        return f"{self._of(slot)}.last"

    def is_ours(self, label: str) -> bool:
        """Whether a label is one of this installation's."""
        return label.startswith(self._places.folder.replace("/", ".") + ".")

    def _of(self, slot: Slot) -> str:
        return self._places.stages(slot).replace("/", ".")

    # ---- tokens ------------------------------------------------------------------------------------------------------

    def stage_token(self, slot: Slot, generation: int) -> str:
        """Of the version that holds a staged value. One for each generation: what is closed stays closed."""
        return self._token("stage", slot.credential, str(generation))

    def promote_token(self, slot: Slot, generation: int, stands_on: str, fields: Mapping[str, str]) -> str:
        """Of a promote over the version `stands_on`; the version's content is a function of the same."""
        return self._token("promote", slot.credential, slot.value, str(generation), stands_on, fields)

    def other_token(self, what: str, stands_on: str, *of: str | Mapping[str, str]) -> str:
        """Of any other write over the version `stands_on` ("": the secret is created)."""
        return self._token(what, stands_on, *of)

    def wrote(self, version_id: str) -> bool:
        """Whether a version was written by this installation."""
        return version_id.startswith(self._prefix)

    def _token(self, *of: str | Mapping[str, str]) -> str:
        parts = [dict(sorted(one.items())) if isinstance(one, Mapping) else one for one in of]
        return self._prefix + _digest(json.dumps(parts))[:40]

    @property
    def mark(self) -> str:
        """The secret that keeps the ledger's high-water mark, in its description."""
        return self._places.mark


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
