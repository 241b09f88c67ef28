"""One secret of AWS Secrets Manager as the store sees it: labelled versions, a write, a moved label.

Made by `aws`, for one call of the store. A value is read by an explicit label or version, never by default. Each write
is one request; what is sent again after a lost answer is harmless by its token (a version is never made twice) or by
its compare-and-set (AWSCURRENT moves only away from the version that it was seen on).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from rotator.plugin_api import Failed, Misconfigured, OutcomeUnknown, PluginError, Refused

from .aws_client import Answer, Call
from .aws_errors import Exists, Missing, Moved
from .aws_names import CURRENT
from .content import Content

LARGEST: Final = 65_536
"""Bytes of a value, the whole JSON text of a version."""

PAGE = 100
"""Versions asked for at once: the most that AWS gives."""

_TRIES: Final = 4
_LAG_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Description:
    """A secret without its values: label -> version, and what forbids writing. `raw`: the answer."""

    labels: Mapping[str, str]
    deleted: bool
    raw: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Seen:
    """One version: its id and labels. `content` is None if its value is not the text of a JSON object."""

    version: str
    labels: tuple[str, ...]
    content: Content | None


class OneSecret:
    """One secret within one call; `name` is its name or ARN."""

    def __init__(self, call: Call, name: str) -> None:
        self._call = call
        self.name = name

    # ---- reads -------------------------------------------------------------------------------------------------------

    def describe(self) -> Description | None:
        """The labels; None: there is no such secret."""
        try:
            answer = self._call.read("describe_secret", SecretId=self.name)
        except Missing:
            return None
        versions = answer.get("VersionIdsToStages", {})  # absent if there is none: AWS leaves empty fields out
        labels = {str(label): str(version) for version, held in versions.items() for label in held}
        return Description(labels, "DeletedDate" in answer, answer)

    def read(self, label: str, version: str = "") -> Seen | None:
        """The version with a label, or the one with an id (which then needs no label); None: there is none, or the
        secret is not there, or the version is empty."""
        by = {"VersionId": version} if version else {"VersionStage": label}
        return self._call.patiently(lambda: self._read(by))

    def _read(self, by: Mapping[str, str]) -> Seen | None:
        try:
            answer = self._call.ask("get_secret_value", SecretId=self.name, **by)
        except Missing:
            return None
        found, labels = answer.get("VersionId"), answer.get("VersionStages", [])
        asked = by.get("VersionStage")
        has_value = "SecretString" in answer or "SecretBinary" in answer
        if not isinstance(found, str) or not has_value or (asked is not None and asked not in labels):
            raise Failed("incomplete_answer")
        if found != by.get("VersionId", found):
            raise Failed("unrecognised_answer")
        return Seen(found, tuple(labels), _parsed(answer.get("SecretString")))

    def settled(self, label: str) -> Seen | None:
        """The version with a label; that there is none counts when it was seen twice: what was written a moment ago
        may not be seen at once."""
        seen = self.read(label)
        if seen is None:
            self.pause()
            seen = self.read(label)
        return seen

    def pause(self, times: int = 1) -> None:
        """Wait for what was written a moment ago, within the call."""
        self._call.pause(_LAG_S * times)

    def current(self) -> Seen | None:
        """The version that readers see; Misconfigured("store_not_object") if it is no JSON object."""
        seen = self.read(CURRENT)
        if seen is not None and seen.content is None:
            raise Misconfigured("store_not_object")
        return seen

    def versions(self) -> Sequence[Mapping[str, Any]]:
        """Every version that AWS still has, those without labels too."""
        found: list[Mapping[str, Any]] = []
        more: dict[str, str] = {}
        for _ in range(50):
            answer = self._call.read(
                "list_secret_version_ids", SecretId=self.name, IncludeDeprecated=True, MaxResults=PAGE, **more
            )
            page = answer.get("Versions")
            if not isinstance(page, list):
                raise Failed("incomplete_answer")
            found += page
            token = answer.get("NextToken")
            if not token:
                return found
            more = {"NextToken": str(token)}
        raise Failed("unrecognised_answer")

    # ---- writes ------------------------------------------------------------------------------------------------------

    def create(self, token: str, kms_key: str, description: str = "", content: Content | None = None) -> None:
        """Make the secret, with a first version if there is a content; that it is there already is as good."""
        more = {"KmsKeyId": kms_key} if kms_key else {}
        if content is not None:
            more["SecretString"] = _text(content)
        if description:
            more["Description"] = description
        try:
            self._twice("create_secret", Name=self.name, ClientRequestToken=token, **more)
        except Exists:
            return

    def put(self, token: str, content: Content, labels: Sequence[str]) -> tuple[str, ...]:
        """Write the version with this id and give it labels; the labels that it has. Exists: it has another value.

        If the version is there with this value already, nothing is done: labels that it lost are not given again.
        """
        answer = self._twice(
            "put_secret_value", SecretId=self.name, ClientRequestToken=token, SecretString=_text(content),
            VersionStages=list(labels),
        )  # fmt: skip
        if answer.get("VersionId") != token:
            raise OutcomeUnknown("incomplete_answer")
        return tuple(answer.get("VersionStages", []))

    def make_current(self, version: str, instead_of: str) -> bool:
        """Move AWSCURRENT from one version to another; False: surely not, it is on neither of the two."""
        lost: OutcomeUnknown | None = None
        for attempt in range(_TRIES):
            if attempt:
                self.pause(attempt)
            try:
                self._call.write(
                    "update_secret_version_stage", SecretId=self.name, VersionStage=CURRENT,
                    MoveToVersionId=version, RemoveFromVersionId=instead_of,
                )  # fmt: skip
                return True
            except (Moved, Missing):
                pass
            except OutcomeUnknown as error:
                if lost is not None:
                    raise
                lost = error
            except PluginError as error:
                if lost is None:
                    raise
                raise OutcomeUnknown(error.reason, status=error.status) from None
            holder = self._holder(lost)
            if holder == version:
                return True
            if holder != instead_of:
                if lost is not None:  # ours may have been there for a moment
                    raise OutcomeUnknown(lost.reason, status=lost.status)
                return False
        if lost is not None:
            raise OutcomeUnknown(lost.reason, status=lost.status)
        raise Failed("store_behind")

    def _holder(self, lost: OutcomeUnknown | None) -> str:
        try:
            now = self.describe()
        except PluginError as error:
            if lost is None:
                raise
            raise OutcomeUnknown(error.reason, status=error.status) from None
        return "" if now is None else now.labels.get(CURRENT, "")

    def move(self, label: str, version: str) -> bool:
        """Give a label of ours to a version, whoever has it; False: another writer moved it meanwhile."""
        now = self.describe()
        holder = "" if now is None else now.labels.get(label, "")
        if holder == version:
            return True
        more = {"RemoveFromVersionId": holder} if holder else {}
        try:
            self._twice(
                "update_secret_version_stage", SecretId=self.name, VersionStage=label, MoveToVersionId=version, **more
            )
        except (Moved, Missing):
            now = self.describe()
            return now is not None and now.labels.get(label) == version
        return True

    def unlabel(self, label: str, version: str) -> None:
        """Take a label from a version; that it is not there any more is as good."""
        try:
            self._twice(
                "update_secret_version_stage", SecretId=self.name, VersionStage=label, RemoveFromVersionId=version
            )
        except (Moved, Missing):
            now = self.describe()
            if now is not None and now.labels.get(label) == version:
                raise Failed("store_behind") from None

    def describe_as(self, description: str) -> None:
        """Replace the description; no version is made."""
        self._twice("update_secret", SecretId=self.name, Description=description)

    def _twice(self, operation: str, **parameters: Any) -> Answer:
        """A write of which a second one changes nothing more: sent again once when its answer was lost."""
        try:
            return self._call.write(operation, **parameters)
        except OutcomeUnknown:
            pass
        try:
            return self._call.write(operation, **parameters)
        except Failed as error:
            raise OutcomeUnknown(error.reason, status=error.status) from None
        except (Refused, Misconfigured) as error:
            raise OutcomeUnknown(error.reason, status=error.status) from None


def _text(content: Content) -> str:
    """A version as it is sent; Refused("too_large") before anything is. It is used where it is sent, never kept."""
    text = json.dumps(content.raw(), ensure_ascii=False, separators=(",", ":"))
    if len(text.encode("utf-8", "surrogatepass")) > LARGEST:
        raise Refused("too_large")
    return text


def _parsed(text: object) -> Content | None:
    """The fields of a version. Numbers that JSON cannot say again, and everything but an object, are none of ours."""
    if not isinstance(text, str):
        return None
    try:
        fields = json.loads(text, parse_constant=_no_constant)
        json.dumps(fields, allow_nan=False)
    except ValueError:
        return None
    return Content(fields) if isinstance(fields, dict) else None


def _no_constant(name: str) -> None:
    raise ValueError("no JSON")
