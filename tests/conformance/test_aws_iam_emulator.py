"""The emulator keeps the rules of IAM that the plugin's tests lean on, asked by the SDK past the plugin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conformance.aws_iam_bench import another_key, governed, keys_of, name
from tests.lab.aws import AccessKey, AwsEmulator
from tests.lab.process import wait_until
from tests.lab.shapes_aws_iam import set_lag


def code_of(work: Callable[[], Any]) -> str:
    """The code with which the service refuses; empty if it does not."""
    try:
        work()
    except ClientError as refused:
        return str(refused.response["Error"]["Code"])
    return ""


@pytest.fixture
def user(aws: AwsEmulator) -> str:
    made = name("svc")
    aws.root("iam").create_user(UserName=made, Path="/governed/")
    return made


def test_a_user_has_two_keys_at_most(aws: AwsEmulator, user: str) -> None:
    for _ in range(2):
        another_key(aws, user)
    assert code_of(lambda: another_key(aws, user)) == "LimitExceeded"


def test_a_user_that_is_not_there_has_no_empty_list(aws: AwsEmulator) -> None:
    iam, nobody = aws.root("iam"), name("nobody")
    assert code_of(lambda: iam.list_access_keys(UserName=nobody)) == "NoSuchEntity"
    assert code_of(lambda: iam.create_access_key(UserName=nobody)) == "NoSuchEntity"
    assert code_of(lambda: iam.delete_access_key(UserName=nobody, AccessKeyId="A" * 20)) == "NoSuchEntity"


def test_a_key_is_deleted_under_its_own_user_only(aws: AwsEmulator, user: str) -> None:
    iam, other = aws.root("iam"), name("other")
    theirs = governed(aws, other).key_id
    assert code_of(lambda: iam.delete_access_key(UserName=user, AccessKeyId=theirs)) == "NoSuchEntity"
    assert keys_of(aws, other) == {theirs: "Active"}


def test_wrong_secrets_unknown_and_inactive_keys_are_refused_by_their_codes(aws: AwsEmulator, user: str) -> None:
    key = another_key(aws, user)
    assert aws.identity(key) == f"arn:aws:iam::{aws.account}:user/governed/{user}"
    assert aws.identity(AccessKey(key.key_id, "canary-wrong")) == "SignatureDoesNotMatch"
    assert aws.identity(AccessKey("AKIACANARYUNKNOWN", key.secret)) == "InvalidClientTokenId"
    aws.root("iam").update_access_key(UserName=user, AccessKeyId=key.key_id, Status="Inactive")
    assert aws.identity(key) == "InvalidClientTokenId"
    aws.root("iam").update_access_key(UserName=user, AccessKeyId=key.key_id, Status="Active")
    assert aws.identity(key).startswith("arn:")


def test_policies_see_the_path_of_a_user(aws: AwsEmulator, user: str) -> None:
    own = {"Effect": "Allow", "Action": "iam:ListAccessKeys", "Resource": f"arn:aws:iam::{aws.account}:user/governed/*"}
    client = aws.client("iam", aws.create_user(name("reader"), {"Version": "2012-10-17", "Statement": [own]}))
    assert code_of(lambda: client.list_access_keys(UserName=user)) == ""
    outside = name("outside")
    aws.create_user(outside)
    assert code_of(lambda: client.list_access_keys(UserName=outside)) == "AccessDenied"


def test_what_iam_did_is_seen_late_where_the_laboratory_says_so(aws: AwsEmulator, user: str) -> None:
    # The first client of a service takes the SDK a while, which is not the emulator's.
    assert (aws.identity(AccessKey("AKIACANARYUNKNOWN", "canary")), keys_of(aws, user)) == ("InvalidClientTokenId", {})
    set_lag(aws, 4.0)
    try:
        key = another_key(aws, user)
        assert (aws.identity(key), keys_of(aws, user)) == ("InvalidClientTokenId", {})
        wait_until(lambda: aws.identity(key).startswith("arn:"), "the key", 20)
        aws.root("iam").delete_access_key(UserName=user, AccessKeyId=key.key_id)
        assert (aws.identity(key)[:4], keys_of(aws, user)) == ("arn:", {key.key_id: "Active"})
        wait_until(lambda: aws.identity(key) == "InvalidClientTokenId", "its end", 20)
        assert keys_of(aws, user) == {}
    finally:
        set_lag(aws, 0)
