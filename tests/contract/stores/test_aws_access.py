"""Who may at AWS, beyond our own policy: resource policies, KMS keys, secrets of other accounts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rotator.effects.stores.contract import ForeignError, Slot, Store
from rotator.plugin_api import Failed, Misconfigured, Secret
from tests.contract.stores.aws_driver import AwsDriver, policy
from tests.lab.aws import OTHER_ACCOUNT, AwsEmulator

pytestmark = pytest.mark.long


@pytest.fixture
def store(aws: AwsDriver) -> Iterator[Store]:
    opened = aws.open()
    yield opened
    opened.close()


@pytest.fixture
def slot(aws: AwsDriver) -> Slot:
    """A secret that is there, adopted by nobody yet."""
    found = aws.slot()
    aws.seed(found.path, {"password": "old", "username": "svc"})
    return found


def _denying(driver: AwsDriver, *actions: str) -> str:
    user = f"arn:aws:iam::{driver.server.account}:user/{driver.user}"
    statement = {"Effect": "Deny", "Principal": {"AWS": user}, "Action": list(actions), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_a_resource_policy_that_denies_is_a_matter_for_a_person(aws: AwsDriver, store: Store, slot: Slot) -> None:
    aws.admin.put_resource_policy(SecretId=slot.path, ResourcePolicy=_denying(aws, "secretsmanager:GetSecretValue"))
    with pytest.raises(Misconfigured, match="store_permission"):
        store.current(slot)
    assert store.check(slot) == ("store_permission",)
    aws.admin.put_resource_policy(
        SecretId=slot.path, ResourcePolicy=_denying(aws, "secretsmanager:UpdateSecretVersionStage")
    )
    store.stage(slot, 2, Secret("new"))
    store.stage_current(slot, 1)
    with pytest.raises(Misconfigured, match="store_permission") as caught:
        store.promote(slot, 2, {}, store.current(slot).version)
    assert not caught.value.unsent
    assert (aws.look(slot.path) or {})["password"] == "old"
    aws.admin.delete_resource_policy(SecretId=slot.path)
    store.promote(slot, 2, {}, store.current(slot).version)
    assert (aws.look(slot.path) or {})["password"] == "new"


class Foreign:
    """A secret of another account with a key of its own, shared with us by both policies."""

    def __init__(self, driver: AwsDriver, name: str, *, with_key: bool = True) -> None:
        self.driver = driver
        self.admin = driver.server.root("secretsmanager", account=OTHER_ACCOUNT)
        user = f"arn:aws:iam::{driver.server.account}:user/{driver.user}"
        more = {}
        if with_key:
            kms = driver.server.root("kms", account=OTHER_ACCOUNT)
            self.key = kms.create_key(Policy=_sharing(OTHER_ACCOUNT, user, "kms:*"))["KeyMetadata"]["Arn"]
            more["KmsKeyId"] = self.key
        made = self.admin.create_secret(Name=name, SecretString='{"password": "old", "near": 1}', **more)
        self.arn = str(made["ARN"])
        self.admin.put_resource_policy(SecretId=name, ResourcePolicy=_sharing(OTHER_ACCOUNT, user, "secretsmanager:*"))

    def permit(self) -> None:
        """Let our own policy allow the secret and the key of the other account."""
        document = policy(self.driver.server, self.driver.installation, self.driver.app)
        for statement in document["Statement"]:
            if statement["Sid"] == "Secrets":
                statement["Resource"] = [*statement["Resource"], self.arn]
            if statement["Sid"] == "Key" and hasattr(self, "key"):
                statement["Resource"] = self.key
        self.driver.set_policy(document)

    def look(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            self.admin.get_secret_value(SecretId=self.arn, VersionStage="AWSCURRENT")["SecretString"]
        )
        return found


def _sharing(owner: str, user: str, action: str) -> str:
    principals = {"AWS": [f"arn:aws:iam::{owner}:root", user]}
    statement = {"Effect": "Allow", "Principal": principals, "Action": action, "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_a_secret_of_another_account_by_its_arn(aws: AwsDriver, store: Store) -> None:
    foreign = Foreign(aws, f"{aws.app}/theirs")
    slot = Slot("cred-theirs", foreign.arn, "password")
    with pytest.raises(Misconfigured, match="store_permission"):
        store.current(slot)
    foreign.permit()
    assert store.check(slot) == ()
    store.stage_current(slot, 1)
    store.stage(slot, 2, Secret("new"))
    version = store.current(slot).version
    store.promote(slot, 2, {}, version)
    assert foreign.look() == {"password": "new", "near": 1}
    with pytest.raises(Failed, match="stale_version"):
        store.promote(slot, 1, {}, version)
    store.finalize(slot, 1)
    assert store.read(slot, 1) is None
    foreign.admin.put_secret_value(
        SecretId=foreign.arn, SecretString='{"password": "theirs"}', VersionStages=["AWSCURRENT"]
    )
    with pytest.raises(ForeignError):
        store.promote(slot, 2, {}, version)


def test_a_secret_of_another_account_with_awss_own_key_cannot_be_used(aws: AwsDriver, store: Store) -> None:
    foreign = Foreign(aws, f"{aws.app}/keyless", with_key=False)
    foreign.permit()
    with pytest.raises(Misconfigured, match="store_kms"):
        store.current(Slot("cred-theirs", foreign.arn, "password"))


def test_a_secret_named_by_its_arn_is_never_created(aws: AwsDriver, store: Store) -> None:
    arn = f"arn:aws:secretsmanager:{aws.server.region}:{aws.server.account}:secret:{aws.app}/none-AbCdEf"
    slot = Slot("cred", arn, "password")
    assert store.check(slot) == ("store_secret_missing",)
    with pytest.raises(Misconfigured, match="store_secret_missing"):
        store.stage(slot, 1, Secret("x"))


def test_a_key_that_does_not_allow_us(aws_server: AwsEmulator, tmp_path: Path) -> None:
    key = aws_server.root("kms").create_key()["KeyMetadata"]["KeyId"]
    driver = AwsDriver(aws_server, tmp_path)  # its policy names another key
    slot = driver.slot()
    arn = f"arn:aws:kms:{aws_server.region}:{aws_server.account}:key/{key}"
    driver.admin.create_secret(Name=slot.path, SecretString='{"password": "old"}', KmsKeyId=arn)
    store = driver.open()
    for call in (lambda: store.current(slot), lambda: store.stage(slot, 1, Secret("x"))):
        with pytest.raises(Misconfigured, match="store_kms"):
            call()
    assert store.check(slot) == ("store_kms",)
    store.close()
