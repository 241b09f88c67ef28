"""The admin's policy as it is shipped, line by line: enough for the plugin, each line needed, and no more than that."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from botocore.exceptions import ClientError

from rotator.plugin_api import Failed, Misconfigured, PreflightRequest
from tests.conformance.aws_iam_bench import (
    acting_as,
    another_key,
    as_credential,
    governed,
    issue,
    issued,
    keys_of,
    make_bench,
    name,
    shipped_policy,
)
from tests.conformance.bench import Bench
from tests.lab.aws import AccessKey, AwsEmulator
from tests.lab.proxy import Proxy

pytestmark = pytest.mark.long


def lines(aws: AwsEmulator) -> list[tuple[int, str]]:
    """Every action of the policy with its statement."""
    found = []
    for number, statement in enumerate(shipped_policy(aws)["Statement"]):
        actions = statement["Action"]
        found += [(number, action) for action in ([actions] if isinstance(actions, str) else actions)]
    return found


def without(aws: AwsEmulator, action: str) -> dict[str, Any]:
    """The policy without one action."""
    policy = deepcopy(shipped_policy(aws))
    for statement in policy["Statement"]:
        actions = statement["Action"]
        statement["Action"] = [one for one in ([actions] if isinstance(actions, str) else actions) if one != action]
    policy["Statement"] = [one for one in policy["Statement"] if one["Action"]]
    return policy


@pytest.fixture
def limited(aws: AwsEmulator, start_proxy: Callable[..., Proxy]) -> Callable[[str], Bench]:
    """A bench whose admin lacks one action, for a user of its own with one key."""

    def make(action: str) -> Bench:
        user = name("svc")
        governed(aws, user)
        admin = aws.create_user(name("limited"), without(aws, action))
        return make_bench(aws, start_proxy(aws.port), admin, user)

    return make


def code_of(work: Callable[[], Any]) -> str:
    """The code with which the service refuses, past the plugin; empty if it does not."""
    try:
        work()
    except ClientError as refused:
        return str(refused.response["Error"]["Code"])
    return ""


def test_the_lines_are_those_that_are_tested_here(aws: AwsEmulator) -> None:
    assert [action for _, action in lines(aws)] == [
        "iam:ListAccessKeys", "iam:CreateAccessKey", "iam:DeleteAccessKey", "iam:GetAccessKeyLastUsed", "iam:ListUsers",
    ]  # fmt: skip
    assert all(statement["Effect"] == "Allow" for statement in shipped_policy(aws)["Statement"])


def test_it_is_enough_for_everything(bench: Bench, aws: AwsEmulator) -> None:
    platform = bench.platform()
    assert platform.preflight(bench.call(), PreflightRequest(subject=bench.subject)).findings == ()
    new = issued(bench)
    assert len(platform.listing(bench.call(), bench.subject)) == 2
    assert platform.listing(bench.call(), None)
    assert not bench.revoke(new).already


def test_without_list_access_keys_nothing_is_looked_up(limited: Callable[[str], Bench]) -> None:
    bench = limited("iam:ListAccessKeys")
    with pytest.raises(Misconfigured) as caught:
        bench.platform().listing(bench.call(), bench.subject)
    assert caught.value.reason == "access_denied"
    ready = bench.platform().preflight(bench.call(), PreflightRequest(subject=bench.subject))
    assert ready.findings == ("may_not_list",)


def test_without_create_access_key_nothing_is_made(limited: Callable[[str], Bench], aws: AwsEmulator) -> None:
    bench = limited("iam:CreateAccessKey")
    with pytest.raises(Misconfigured) as caught:
        issue(bench)
    assert caught.value.reason == "access_denied"
    assert len(keys_of(aws, bench.subject.principal)) == 1


def test_without_delete_access_key_nothing_is_ended(limited: Callable[[str], Bench], aws: AwsEmulator) -> None:
    bench = limited("iam:DeleteAccessKey")
    new = issued(bench)
    with pytest.raises(Misconfigured) as caught:
        bench.revoke(new)
    assert caught.value.reason == "access_denied"
    assert len(keys_of(aws, bench.subject.principal)) == 2


def test_without_get_access_key_last_used_only_that_is_not_known(
    limited: Callable[[str], Bench], aws: AwsEmulator
) -> None:
    bench = limited("iam:GetAccessKeyLastUsed")
    (row,) = bench.platform().listing(bench.call(), bench.subject)
    assert row.last_used_at is None
    client = aws.client("iam", AccessKey(bench.admin_handle or "", bench.admin_value))
    assert code_of(lambda: client.get_access_key_last_used(AccessKeyId=row.handle)) == "AccessDenied"


def test_without_list_users_only_the_whole_account_is_not_listed(limited: Callable[[str], Bench]) -> None:
    bench = limited("iam:ListUsers")
    with pytest.raises(Misconfigured) as caught:
        bench.platform().listing(bench.call(), None)
    assert caught.value.reason == "access_denied"
    assert len(bench.platform().listing(bench.call(), bench.subject)) == 1


def test_users_outside_the_path_are_out_of_reach(bench: Bench, admin: AccessKey, aws: AwsEmulator) -> None:
    other = name("other")
    aws.create_user(other)
    client = aws.client("iam", admin)
    spare = another_key(aws, other).key_id
    for work in (
        lambda: client.create_access_key(UserName=other),
        lambda: client.delete_access_key(UserName=other, AccessKeyId=spare),
        lambda: client.list_access_keys(UserName=other),
        lambda: client.get_access_key_last_used(AccessKeyId=spare),
    ):
        assert code_of(work) == "AccessDenied"
    assert len(keys_of(aws, other)) == 2
    rows = bench.platform().listing(bench.call(), None)
    assert other not in {row.principal for row in rows}, "what may not be seen is left out"


def test_nothing_else_can_be_done_to_a_governed_user(bench: Bench, admin: AccessKey, aws: AwsEmulator) -> None:
    user, client = bench.subject.principal, aws.client("iam", admin)
    (key_id,) = keys_of(aws, user)
    document = '{"Version": "2012-10-17", "Statement": []}'
    for work in (
        lambda: client.update_access_key(UserName=user, AccessKeyId=key_id, Status="Inactive"),
        lambda: client.put_user_policy(UserName=user, PolicyName="x", PolicyDocument=document),
        lambda: client.delete_user(UserName=user),
        lambda: client.create_login_profile(UserName=user, Password="canary-Password1!"),
        lambda: client.create_user(UserName=name("new"), Path="/governed/"),
        lambda: client.create_access_key(UserName="rotator"),
        lambda: aws.client("secretsmanager", admin).list_secrets(),
    ):
        assert code_of(work) in {"AccessDenied", "AccessDeniedException"}
    assert keys_of(aws, user) == {key_id: "Active"}


def test_a_governed_key_has_no_right_by_being_governed(bench: Bench, first: tuple[str, AccessKey]) -> None:
    weak = acting_as(bench, first[1])
    for work in (lambda: issue(weak), lambda: weak.revoke(as_credential(bench, first[1], bench.subject))):
        with pytest.raises((Misconfigured, Failed)) as caught:
            work()
        assert caught.value.reason in {"access_denied", "acting_key"}
