"""The shipped IAM policy: enough for everything, and every action of every statement is needed for something."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rotator.effects.stores.contract import ABSENT, Mark, Slot, Store
from rotator.plugin_api import Misconfigured, PluginError, Secret
from tests.contract.stores.aws_driver import POLICY, AwsDriver, policy
from tests.lab.aws import AwsEmulator

pytestmark = pytest.mark.long

Use = Callable[[AwsDriver, Store], object]


def _statements(document: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = document["Statement"]
    return found


def _listed(value: object) -> list[str]:
    return [str(value)] if isinstance(value, str) else [str(one) for one in value]  # type: ignore[attr-defined]


def _admin(driver: AwsDriver, name: str) -> str:
    return f"{driver.app}-admin/{name}"


def _clean(driver: AwsDriver, store: Store) -> None:
    found = store.check(driver.slot())
    if found:
        raise Misconfigured(found[0])


APP, ADMIN, MARK = "secret:APP/*", "secret:ADMIN/*", "secret:rotator/INSTALLATION/_mark*"
SM = "secretsmanager"
USES: dict[tuple[str, str, str], Use] = {
    ("Secrets", f"{SM}:DescribeSecret", APP): lambda d, s: s.current(d.slot()),
    ("Secrets", f"{SM}:GetSecretValue", APP): lambda d, s: s.read(d.slot(), 2),
    ("Secrets", f"{SM}:ListSecretVersionIds", APP): _clean,
    ("Secrets", f"{SM}:PutSecretValue", APP): lambda d, s: s.stage(d.slot(), 3, Secret("x")),
    ("Secrets", f"{SM}:UpdateSecretVersionStage", APP): lambda d, s: s.promote(
        d.slot(), 2, {}, s.current(d.slot()).version
    ),
    ("Secrets", f"{SM}:DescribeSecret", ADMIN): lambda d, s: s.deposit(
        _admin(d, "old"), "n", Secret("w"), {}, replace=False
    ),
    ("Secrets", f"{SM}:GetSecretValue", ADMIN): lambda d, s: s.fetch(_admin(d, "old"), "k"),
    ("Secrets", f"{SM}:ListSecretVersionIds", ADMIN): lambda d, s: _clean_at(s, _admin(d, "old")),
    ("Secrets", f"{SM}:PutSecretValue", ADMIN): lambda d, s: s.deposit(
        _admin(d, "old"), "k", Secret("w"), {}, replace=True
    ),
    ("Secrets", f"{SM}:UpdateSecretVersionStage", ADMIN): lambda d, s: s.deposit(
        _admin(d, "old"), "k", Secret("w"), {}, replace=True
    ),
    ("NewSecrets", f"{SM}:CreateSecret", APP): lambda d, s: s.stage(d.slot("new"), 1, Secret("x")),
    ("NewSecrets", f"{SM}:CreateSecret", ADMIN): lambda d, s: s.deposit(
        _admin(d, "new"), "k", Secret("v"), {}, replace=False
    ),
    ("Mark", f"{SM}:CreateSecret", MARK): lambda d, s: _first_mark(d, s),
    ("Mark", f"{SM}:DescribeSecret", MARK): lambda d, s: s.read_mark(),
    ("Mark", f"{SM}:UpdateSecret", MARK): lambda d, s: s.mark(Mark("e", 2)),
    ("Key", "kms:Decrypt", "key/KEY"): lambda d, s: s.current(d.slot()),
    ("Key", "kms:GenerateDataKey", "key/KEY"): lambda d, s: s.stage(d.slot(), 3, Secret("x")),
}


def _clean_at(store: Store, path: str) -> None:
    found = store.check(Slot("cred", path, "k"))
    if found:
        raise Misconfigured(found[0])


def _first_mark(driver: AwsDriver, store: Store) -> None:
    if driver.describe(driver.names.mark) is not None:
        driver.admin.delete_secret(SecretId=driver.names.mark, ForceDeleteWithoutRecovery=True)
    store.mark(Mark("e", 1))


def _lines() -> list[tuple[str, str, str]]:
    """(statement, action, resource without its prefix) of the shipped file."""
    return [
        (one["Sid"], action, resource.partition(":ACCOUNT:")[2])
        for one in json.loads(POLICY.read_text())["Statement"]
        for action in _listed(one["Action"])
        for resource in _listed(one["Resource"])
    ]


LINES = _lines()


def test_every_action_at_every_resource_has_a_use() -> None:
    assert sorted(USES) == sorted(LINES)
    assert len(LINES) == 17


@pytest.fixture
def prepared(aws_server: AwsEmulator, tmp_path: Path) -> AwsDriver:
    """Everything there that the uses need, made under the whole policy, with a key of the account's own."""
    key = aws_server.root("kms").create_key()["KeyMetadata"]["KeyId"]
    driver = AwsDriver(aws_server, tmp_path, kms_key=key)
    store = driver.open(kms_key=driver.kms_arn)
    store.stage(driver.slot(), 1, Secret("old"))
    store.promote(driver.slot(), 1, {}, ABSENT)
    store.stage(driver.slot(), 2, Secret("new"))
    store.mark(Mark("e", 1))
    store.deposit(_admin(driver, "old"), "k", Secret("v"), {}, replace=False)
    store.close()
    described = driver.describe(driver.slot().path) or {}
    assert described["KmsKeyId"] == driver.kms_arn
    return driver


@pytest.mark.parametrize(("sid", "action", "resource"), LINES)
def test_with_the_whole_policy_it_works_and_without_the_action_it_fails(
    prepared: AwsDriver, sid: str, action: str, resource: str
) -> None:
    driver = prepared
    whole = policy(driver.server, driver.installation, driver.app, driver.kms_key)
    bare = copy.deepcopy(whole)
    number = LINES.index((sid, action, resource))
    _take(bare, sid, action, [line for line in LINES if line[:2] == (sid, action)].index(LINES[number]))
    use, reason = USES[sid, action, resource], "store_kms" if sid == "Key" else "store_permission"
    driver.set_policy(bare)
    with_less = driver.open(kms_key=driver.kms_arn)
    with pytest.raises(PluginError, match=reason) as caught:
        use(driver, with_less)
    assert isinstance(caught.value, Misconfigured)
    driver.set_policy(whole)
    use(driver, with_less)  # the same store, at once
    with_less.close()


def _take(document: dict[str, Any], sid: str, action: str, resource: int) -> None:
    """Take one action at one of the statement's resources away, and leave it at the others."""
    statement = next(one for one in _statements(document) if one["Sid"] == sid)
    actions, resources = _listed(statement["Action"]), _listed(statement["Resource"])
    statement["Action"] = [one for one in actions if one != action] or ["secretsmanager:GetRandomPassword"]
    others = [one for place, one in enumerate(resources) if place != resource]
    if others:
        more = {**statement, "Sid": f"{sid}More", "Action": [action], "Resource": others}
        document["Statement"].append(more)


def test_the_key_may_be_used_through_secrets_manager_only(prepared: AwsDriver) -> None:
    kms = prepared.server.client("kms", prepared.key)
    with pytest.raises(kms.exceptions.ClientError, match="AccessDenied"):
        kms.generate_data_key(KeyId=prepared.kms_arn, KeySpec="AES_256")


def test_other_secrets_cannot_be_read(aws: AwsDriver) -> None:
    aws.seed(f"{aws.app}x/other", {"k": "v"})
    store = aws.open()
    with pytest.raises(Misconfigured, match="store_permission"):
        store.fetch(f"{aws.app}x/other", "k")
    store.close()
