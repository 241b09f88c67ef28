"""The emulated AWS keeps the rules that AWS documents, also where the emulator as it comes departs from them.

Sources stand at the rules in `tests/lab/aws_strict.py`. A new emulator that loses one fails here, not elsewhere.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.lab.aws import OTHER_ACCOUNT, AccessKey, AwsEmulator

A, B, C = (f"{letter * 40}" for letter in "abc")


class Subject:
    """One secret with the version A current."""

    def __init__(self, server: AwsEmulator) -> None:
        self.api: Any = server.root("secretsmanager")
        self.name = f"rules/{uuid.uuid4()}"
        self.api.create_secret(Name=self.name, SecretString="a", ClientRequestToken=A)

    def put(self, token: str, text: str, *labels: str) -> Any:
        more = {"VersionStages": list(labels)} if labels else {}
        return self.api.put_secret_value(SecretId=self.name, ClientRequestToken=token, SecretString=text, **more)

    def get(self, **by: str) -> str:
        return str(self.api.get_secret_value(SecretId=self.name, **by)["SecretString"])

    def move(self, label: str, **by: str) -> None:
        self.api.update_secret_version_stage(SecretId=self.name, VersionStage=label, **by)

    def labels(self) -> dict[str, str]:
        held = self.api.describe_secret(SecretId=self.name)["VersionIdsToStages"]
        return {label: version for version, labels in held.items() for label in labels}

    def versions(self, **more: Any) -> set[str]:
        answer = self.api.list_secret_version_ids(SecretId=self.name, **more)
        return {one["VersionId"] for one in answer["Versions"]}

    def refuses(self, code: str, call: Any, *arguments: Any, **more: Any) -> None:
        before = (self.labels(), self.versions(IncludeDeprecated=True))
        with pytest.raises(ClientError) as caught:
            call(*arguments, **more)
        assert caught.value.response["Error"]["Code"] == code
        assert (self.labels(), self.versions(IncludeDeprecated=True)) == before


@pytest.fixture
def it(aws_server: AwsEmulator) -> Subject:
    return Subject(aws_server)


def test_a_token_makes_a_version_once(it: Subject) -> None:
    it.api.create_secret(Name=it.name, SecretString="a", ClientRequestToken=A)
    it.refuses("ResourceExistsException", it.api.create_secret, Name=it.name, SecretString="b", ClientRequestToken=A)
    it.refuses("ResourceExistsException", it.api.create_secret, Name=it.name, SecretString="a", ClientRequestToken=B)
    assert it.put(B, "b", "x")["VersionStages"] == ["x"]
    it.move("x", RemoveFromVersionId=B)
    assert it.put(B, "b", "x")["VersionStages"] == []  # "succeeds but does nothing"
    it.refuses("ResourceExistsException", it.put, B, "c", "x")


def test_labels_move_and_awsprevious_follows(it: Subject) -> None:
    it.put(B, "b", "AWSPENDING")
    assert it.get(VersionStage="AWSCURRENT") == it.get() == "a"
    it.put(C, "c", "AWSPENDING")
    assert it.labels() == {"AWSCURRENT": A, "AWSPENDING": C}
    it.move("AWSCURRENT", MoveToVersionId=C, RemoveFromVersionId=A)
    assert it.labels() == {"AWSCURRENT": C, "AWSPREVIOUS": A, "AWSPENDING": C}
    assert it.get() == "c"
    it.put(str(uuid.uuid4()), "d")  # without labels: current
    assert it.labels()["AWSPREVIOUS"] == C
    assert B in it.versions(IncludeDeprecated=True)
    assert B not in it.versions()
    assert it.get(VersionId=B) == "b"


def test_a_label_is_moved_only_from_where_it_is(it: Subject) -> None:
    it.put(B, "b", "AWSPENDING")
    refused = "InvalidParameterException"
    it.refuses(refused, it.move, "AWSCURRENT", MoveToVersionId=B)
    it.refuses(refused, it.move, "AWSCURRENT", MoveToVersionId=B, RemoveFromVersionId=B)
    it.refuses(refused, it.move, "AWSCURRENT", RemoveFromVersionId=A)
    it.refuses(refused, it.move, "AWSPENDING", RemoveFromVersionId=A)
    it.refuses("ResourceNotFoundException", it.move, "AWSCURRENT", MoveToVersionId=C, RemoveFromVersionId=A)


def test_a_version_is_read_only_under_a_label_it_has(it: Subject) -> None:
    missing = "ResourceNotFoundException"
    it.refuses(missing, it.get, VersionId=A, VersionStage="AWSPENDING")
    it.refuses(missing, it.get, VersionId=B)
    it.refuses(missing, it.get, VersionStage="AWSPENDING")


def test_a_value_is_text_or_binary_and_not_too_long(it: Subject) -> None:
    put, more = it.api.put_secret_value, {"SecretId": it.name, "ClientRequestToken": B}
    bad = "InvalidParameterException"
    it.refuses(bad, put, **more)
    it.refuses(bad, put, SecretString="x", SecretBinary=b"y", **more)
    it.refuses(bad, put, SecretString="ü" * 32_769, **more)
    put(SecretString="x" * 65_536, VersionStages=["x"], **more)


def test_the_first_version_of_an_empty_secret_is_current(it: Subject) -> None:
    name = f"{it.name}-empty"
    it.api.create_secret(Name=name)
    assert "VersionIdsToStages" not in it.api.describe_secret(SecretId=name) or not it.api.describe_secret(
        SecretId=name
    ).get("VersionIdsToStages")
    it.api.put_secret_value(SecretId=name, SecretString="x", ClientRequestToken=A, VersionStages=["mine"])
    labels = it.api.describe_secret(SecretId=name)["VersionIdsToStages"][A]
    assert set(labels) == {"mine", "AWSCURRENT"}


def test_twenty_labels_and_no_more(it: Subject) -> None:
    for number in range(19):
        it.move(f"l{number}", MoveToVersionId=A)
    it.refuses("LimitExceededException", it.move, "one-more", MoveToVersionId=A)
    it.refuses("LimitExceededException", it.put, B, "b", "one-more")


def test_a_hundred_young_versions_and_no_more(it: Subject, aws_server: AwsEmulator) -> None:
    for number in range(99):
        it.put(str(uuid.uuid4()), f"v{number}")
    it.refuses("LimitExceededException", it.put, B, "b")
    aws_server.age(it.name, hours=25)
    it.put(B, "b")
    assert len(it.versions(IncludeDeprecated=True)) == 100


def test_lists_come_in_pages(it: Subject) -> None:
    it.put(B, "b")
    it.put(C, "c")
    page = it.api.list_secret_version_ids(SecretId=it.name, MaxResults=2, IncludeDeprecated=True)
    rest = it.api.list_secret_version_ids(
        SecretId=it.name, MaxResults=2, IncludeDeprecated=True, NextToken=page["NextToken"]
    )
    assert len(page["Versions"]) + len(rest["Versions"]) == 3
    assert "NextToken" not in rest
    dates = [one["CreatedDate"] for one in [*page["Versions"], *rest["Versions"]]]
    assert len(set(dates)) == 3


def test_a_secret_scheduled_for_deletion_is_out_of_use_and_its_name_taken(it: Subject) -> None:
    it.put(B, "b", "x")
    it.api.delete_secret(SecretId=it.name, RecoveryWindowInDays=7)
    for call, more in (
        (it.api.get_secret_value, {"SecretId": it.name}),
        (it.api.put_secret_value, {"SecretId": it.name, "SecretString": "c", "ClientRequestToken": C}),
        (it.api.update_secret_version_stage, {"SecretId": it.name, "VersionStage": "x", "RemoveFromVersionId": B}),
        (it.api.create_secret, {"Name": it.name, "SecretString": "a", "ClientRequestToken": A}),
    ):
        with pytest.raises(ClientError) as caught:
            call(**more)
        assert caught.value.response["Error"]["Code"] == "InvalidRequestException"
    assert "DeletedDate" in it.api.describe_secret(SecretId=it.name)
    it.api.restore_secret(SecretId=it.name)
    assert it.get(VersionStage="x") == "b"


def test_a_rotation_needs_a_function_and_no_other_under_way(it: Subject) -> None:
    refused = "InvalidRequestException"
    it.refuses(refused, it.api.rotate_secret, SecretId=it.name, ClientRequestToken=B)
    function = "arn:aws:lambda:eu-central-1:111122223333:function:f"
    it.api.rotate_secret(SecretId=it.name, ClientRequestToken=B, RotationLambdaARN=function)
    assert it.labels() == {"AWSCURRENT": A, "AWSPENDING": B}
    it.refuses("ResourceNotFoundException", it.get, VersionId=B)  # the version is empty until the function fills it
    it.refuses(refused, it.api.rotate_secret, SecretId=it.name, ClientRequestToken=C)
    it.api.rotate_secret(SecretId=it.name, ClientRequestToken=B)  # the same again is taken up again
    it.put(B, "b", "AWSPENDING")
    it.move("AWSCURRENT", MoveToVersionId=B, RemoveFromVersionId=A)
    it.api.rotate_secret(SecretId=it.name, ClientRequestToken=C)


@pytest.mark.parametrize("name", ["with space", "a#b", "ü"])
def test_names_have_awss_letters(it: Subject, name: str) -> None:
    with pytest.raises(ClientError, match="InvalidParameterException"):
        it.api.create_secret(Name=name, SecretString="x", ClientRequestToken=A)


def test_what_keys_may_and_how_a_bad_one_is_refused(aws_server: AwsEmulator) -> None:
    user = f"u-{uuid.uuid4()}"
    key = aws_server.create_user(user)
    iam = aws_server.root("iam")
    iam.create_access_key(UserName=user)
    with pytest.raises(ClientError, match="LimitExceeded"):
        iam.create_access_key(UserName=user)
    assert aws_server.identity(key).endswith(f":user/{user}")
    assert aws_server.identity(AccessKey(key.key_id, "wrong")) == "SignatureDoesNotMatch"
    assert aws_server.identity(AccessKey("AKIAUNKNOWN", "wrong")) == "InvalidClientTokenId"
    codes = []
    for one in (key, AccessKey(key.key_id, "wrong"), AccessKey("AKIAUNKNOWN", "wrong")):
        with pytest.raises(ClientError) as caught:
            aws_server.client("secretsmanager", one).describe_secret(SecretId="any")
        codes.append(caught.value.response["Error"]["Code"])
    assert codes == ["AccessDeniedException", "InvalidSignatureException", "UnrecognizedClientException"]
    iam.update_access_key(UserName=user, AccessKeyId=key.key_id, Status="Inactive")
    assert aws_server.identity(key) == "InvalidClientTokenId"


def test_another_accounts_secret_needs_both_policies_and_a_key_of_its_own(aws_server: AwsEmulator) -> None:
    user = f"u-{uuid.uuid4()}"
    key = aws_server.create_user(user)
    theirs = aws_server.root("secretsmanager", account=OTHER_ACCOUNT)
    arn = theirs.create_secret(Name=f"x/{user}", SecretString="x", ClientRequestToken=A)["ARN"]
    mine = aws_server.client("secretsmanager", key)

    def code() -> str:
        with pytest.raises(ClientError) as caught:
            mine.get_secret_value(SecretId=arn)
        return str(caught.value.response["Error"]["Code"])

    assert code() == "AccessDeniedException"
    allow = {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": "*"}
    aws_server.set_policy(user, {"Version": "2012-10-17", "Statement": [allow]})
    assert code() == "AccessDeniedException"
    principal = {"AWS": f"arn:aws:iam::{aws_server.account}:user/{user}"}
    document = {"Version": "2012-10-17", "Statement": [{**allow, "Principal": principal}]}
    theirs.put_resource_policy(SecretId=arn, ResourcePolicy=json.dumps(document))
    assert code() == "InvalidRequestException"  # encrypted with AWS's own key
