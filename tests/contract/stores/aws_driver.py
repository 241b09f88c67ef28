"""The AWS store's other side for the contract suite: opened under the shipped policy, looked into as the root.

Used by the suite's fixtures and by the tests of the AWS store. "Readers" are those who read by a label: a version
without one is gone for them.
"""

from __future__ import annotations

import itertools
import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rotator.effects.stores.aws_config import AwsConfig, DefaultChain
from rotator.effects.stores.aws_names import Names
from rotator.effects.stores.contract import Slot, Store, Version
from rotator.effects.stores.opening import open_store
from tests.contract.stores.drivers import RealClock, private
from tests.lab.aws import AccessKey, AwsEmulator

POLICY = Path(__file__).resolve().parents[3] / "config" / "aws-iam-policy.json"
_numbers = itertools.count(1)


def policy(server: AwsEmulator, installation: str, app: str, key: str = "none") -> dict[str, Any]:
    """The shipped policy with its placeholders filled in."""
    text = POLICY.read_text()
    for name, value in {
        "REGION": server.region, "ACCOUNT": server.account, "INSTALLATION": installation,
        "ADMIN/": f"{app}-admin/", "APP/": f"{app}/", "key/KEY": f"key/{key}",
    }.items():  # fmt: skip
        text = text.replace(name, value)
    found: dict[str, Any] = json.loads(text)
    return found


class AwsDriver:
    """The emulator, under the shipped policy, with an access key in a shared file of the SDK."""

    name = "aws"
    limit = 65_536
    history = reopens = False

    def __init__(self, server: AwsEmulator, folder: Path, *, url: str = "", kms_key: str = "") -> None:
        number = next(_numbers)
        self.clock = RealClock()
        self.server, self.folder, self.url, self.kms_key = server, folder, url or server.url, kms_key
        self.installation, self.app = f"t{os.getpid() % 10000}-{number}", f"app{os.getpid()}-{number}"
        self.user = f"rotator-{os.getpid()}-{number}"
        self.admin = server.root("secretsmanager")
        self.key = server.create_user(self.user, policy(server, self.installation, self.app, kms_key or "none"))
        self.names = Names(self.installation)
        self.profile = f"p{number}"
        self.use_key(self.key)

    def use_key(self, key: AccessKey) -> None:
        """Put an access key where the SDK finds it."""
        lines = [f"[{self.profile}]", f"aws_access_key_id = {key.key_id}", f"aws_secret_access_key = {key.secret}"]
        private(self.credentials, "\n".join([*lines, ""]))

    @property
    def kms_arn(self) -> str:
        """The ARN of the driver's own KMS key, if it was given one."""
        return f"arn:aws:kms:{self.server.region}:{self.server.account}:key/{self.kms_key}"

    @property
    def credentials(self) -> Path:
        """The SDK's shared file, of this driver alone."""
        return self.folder / f"aws-credentials-{self.profile}"

    def set_policy(self, wanted: Mapping[str, Any]) -> None:
        """Replace the policy of this driver's user."""
        self.server.set_policy(self.user, wanted)

    def config(self, **changes: Any) -> AwsConfig:
        """The store's configuration."""
        config = AwsConfig(
            region=self.server.region, installation=self.installation, url=self.url, sts_url=self.url,
            auth=DefaultChain(self.profile, self.credentials),
        )  # fmt: skip
        return replace(config, **changes)

    def slot(self, name: str = "db", value: str = "password", fields: tuple[str, ...] = ("username",)) -> Slot:
        return Slot(f"cred-{name}-{value}", f"{self.app}/{name}", value, fields)

    def open(self, **changes: Any) -> Store:
        return open_store(self.config(**changes), self.clock)

    # ---- behind the store's back -------------------------------------------------------------------------------------

    def seed(self, path: str, data: Mapping[str, Any]) -> int:
        text, token = json.dumps(data), str(uuid.uuid4())
        if self.describe(path) is None:
            self.admin.create_secret(Name=path, SecretString=text, ClientRequestToken=token)
        else:
            self.admin.put_secret_value(
                SecretId=path, SecretString=text, ClientRequestToken=token, VersionStages=["AWSCURRENT"]
            )
        return self.number(path, Version(f"{token}/"))

    def seed_fast(self, path: str, data: Mapping[str, Any]) -> None:
        """The same for a secret that is there, one request."""
        self.admin.put_secret_value(SecretId=path, SecretString=json.dumps(data), VersionStages=["AWSCURRENT"])

    def look(self, path: str, version: int = 0) -> Mapping[str, Any] | None:
        if self.describe(path) is None:
            return None
        by = {"VersionId": self.versions(path)[version - 1]} if version else {"VersionStage": "AWSCURRENT"}
        answer = self.get(path, **by)
        return None if answer is None or not answer["VersionStages"] else json.loads(answer["SecretString"])

    def staged(self, slot: Slot, generation: int) -> Mapping[str, Any] | None:
        answer = self.get(slot.path, VersionStage=self.names.stage(slot, generation))
        return None if answer is None else json.loads(answer["SecretString"]) or None

    def number(self, path: str, version: Version) -> int:
        return self.versions(path).index(version.partition("/")[0]) + 1

    def evict(self, path: str, data: Mapping[str, Any]) -> None:
        for number in range(3):
            self.seed(path, {**data, "n": str(number)})
        self.server.trim(path)

    def versions(self, path: str) -> list[str]:
        """The ids of the versions that are no stage and no placeholder of ours, in the order of their making."""
        answer = self.admin.list_secret_version_ids(SecretId=path, IncludeDeprecated=True, MaxResults=100)
        ordered = [one["VersionId"] for one in sorted(answer["Versions"], key=lambda one: one["CreatedDate"])]
        return [one for one in ordered if not (self.names.wrote(one) and self._own(path, one))]

    def _own(self, path: str, version: str) -> bool:
        answer = self.get(path, VersionId=version)
        return answer is not None and json.loads(answer["SecretString"]).keys() <= {"value"}

    def describe(self, path: str) -> Mapping[str, Any] | None:
        """DescribeSecret, or None if there is no such secret."""
        try:
            answer: Mapping[str, Any] = self.admin.describe_secret(SecretId=path)
        except self.admin.exceptions.ResourceNotFoundException:
            return None
        return answer

    def labels(self, path: str) -> dict[str, str]:
        """Label -> version."""
        described = self.describe(path) or {}
        return {label: one for one, held in described.get("VersionIdsToStages", {}).items() for label in held}

    def get(self, path: str, **by: str) -> Mapping[str, Any] | None:
        """GetSecretValue, or None if there is no such secret, version or label."""
        try:
            answer: Mapping[str, Any] = self.admin.get_secret_value(SecretId=path, **by)
        except self.admin.exceptions.ResourceNotFoundException:
            return None
        return answer
