"""Fixtures of the AWS IAM plugin's tests: an emulator with its principals, shared by a module."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.conformance.aws_iam_bench import ADMIN, MIGHTY, as_credential, governed, make_bench, name, shipped_policy
from tests.conformance.bench import Bench, Credential
from tests.lab.aws import AccessKey, AwsEmulator
from tests.lab.install import NotInstalled
from tests.lab.proxy import Proxy
from tests.lab.shapes_aws_iam import set_lag


@pytest.fixture(scope="module")
def aws() -> Iterator[AwsEmulator]:
    try:
        server = AwsEmulator()
    except NotInstalled as absent:
        pytest.fail(str(absent), pytrace=False)
    with server:
        yield server


@pytest.fixture(scope="module")
def admin(aws: AwsEmulator) -> AccessKey:
    return aws.create_user(ADMIN, shipped_policy(aws))


@pytest.fixture(scope="module")
def mighty(aws: AwsEmulator) -> AccessKey:
    """An admin that may do everything in IAM."""
    allowed = {"Effect": "Allow", "Action": "iam:*", "Resource": "*"}
    return aws.create_user(MIGHTY, {"Version": "2012-10-17", "Statement": [allowed]})


@pytest.fixture
def first(aws: AwsEmulator) -> tuple[str, AccessKey]:
    """A governed user and its first key."""
    user = name("svc")
    return user, governed(aws, user)


@pytest.fixture
def bench(
    aws: AwsEmulator, admin: AccessKey, first: tuple[str, AccessKey], start_proxy: Callable[..., Proxy]
) -> Iterator[Bench]:
    yield make_bench(aws, start_proxy(aws.port), admin, first[0])
    set_lag(aws, 0)


@pytest.fixture
def old(bench: Bench, first: tuple[str, AccessKey]) -> Credential:
    """The user's first key."""
    return as_credential(bench, first[1])
