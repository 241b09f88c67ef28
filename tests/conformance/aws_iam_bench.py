"""The bench of the AWS IAM plugin, and what its tests ask the emulator itself. Used by `test_aws_iam*`."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any

from rotator_aws_iam import plugin

from rotator.effects.host import HostedPlatform
from rotator.plugin_api import Generation, Issued, IssueRequest, Subject
from tests.conformance.bench import Bench, Credential
from tests.lab.aws import AccessKey, AwsEmulator
from tests.lab.proxy import Answer, Proxy
from tests.lab.shapes_aws_iam import admin_policy

ADMIN = "rotator"
MIGHTY = "mighty"


def shipped_policy(aws: AwsEmulator) -> dict[str, Any]:
    """The policy that an admin is given: governed users are those below /governed/."""
    return admin_policy(aws, "governed")


def name(stem: str) -> str:
    """A name that no other test has."""
    return f"{stem}-{secrets.token_hex(4)}"


def governed(aws: AwsEmulator, user: str) -> AccessKey:
    """A user below the path that the admin's policy names, with its first key."""
    aws.root("iam").create_user(UserName=user, Path="/governed/")
    return another_key(aws, user)


def another_key(aws: AwsEmulator, user: str) -> AccessKey:
    """One key more, made past the plugin."""
    made = aws.root("iam").create_access_key(UserName=user)["AccessKey"]
    return AccessKey(made["AccessKeyId"], made["SecretAccessKey"])


def keys_of(aws: AwsEmulator, user: str) -> dict[str, str]:
    """Key ids of a user with their status, past the plugin."""
    rows = aws.root("iam").list_access_keys(UserName=user)["AccessKeyMetadata"]
    return {row["AccessKeyId"]: row["Status"] for row in rows}


def make_bench(aws: AwsEmulator, proxy: Proxy, admin: AccessKey, user: str) -> Bench:
    """The kind behind the host, IAM and STS both through the proxy."""
    return Bench(
        plugin=plugin,
        kind="access-key",
        proxy=proxy,
        admin=ADMIN,
        admin_value=admin.secret,
        admin_handle=admin.key_id,
        subject=Subject(principal=user),
        scopes=frozenset(),
        write=r"^/$",
        probe_path=r"^/$",
        refusal="key_refused",
        accepts=lambda value: False,
        stored=lambda: keys_of(aws, user),
        settings={"account": aws.account, "sts": proxy.url, "region": aws.region},
    )


def as_credential(bench: Bench, key: AccessKey, subject: Subject | None = None) -> Credential:
    """A key as the bench knows it."""
    return Credential(key.secret, Generation(subject=subject or bench.subject, handle=key.key_id))


def issue(bench: Bench, platform: HostedPlatform | None = None, *, seconds: float = 8.0) -> Issued:
    """A new key for the bench's user."""
    request = IssueRequest(subject=bench.subject, label="rot-t-1")
    return (platform or bench.platform()).issue(bench.call(seconds), request)


def issued(bench: Bench) -> Credential:
    """A key that the plugin made."""
    made = issue(bench)
    return Credential(made.value.reveal(), Generation(subject=bench.subject, handle=made.handle))


def as_key(credential: Credential) -> AccessKey:
    """The same for a boto3 client."""
    return AccessKey(credential.target.handle or "", credential.value)


def xml(status: int, text: str) -> Answer:
    """A made-up answer in IAM's form."""
    return Answer(status, {"Content-Type": "text/xml"}, text.encode())


def refusal(status: int, code: str, words: str = "x", service: str = "iam") -> Answer:
    """The error of a service, as AWS documents it."""
    space = f"https://{service}.amazonaws.com/doc/2010-05-08/"
    return xml(
        status,
        f'<ErrorResponse xmlns="{space}"><Error><Type>Sender</Type><Code>{code}</Code><Message>{words}</Message>'
        "</Error><RequestId>1</RequestId></ErrorResponse>",
    )


def acting_as(bench: Bench, key: AccessKey) -> Bench:
    """The same bench with another admin."""
    return replace(bench, admin_handle=key.key_id, admin_value=key.secret)
