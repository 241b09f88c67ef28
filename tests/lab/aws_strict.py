"""The emulator with AWS's documented rules put back: started by `tests.lab.aws`, in the emulator's own environment.

Each rule names its source: the page of the Secrets Manager API reference (or IAM's, or the user guide's) that says it.
`tests/contract/stores/test_aws_emulator.py` holds every one of them, so that a new emulator cannot lose one unseen.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

_ROOT = json.loads(Path(os.environ["LAB_ROOT_KEY"]).read_text())
os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"] = _ROOT["id"], _ROOT["secret"]

import aws_strict_iam  # noqa: E402
from ministack import app  # noqa: E402  # the root key is read when it is imported
from ministack.core import iam_evaluator, responses  # noqa: E402
from ministack.services import iam  # noqa: E402
from ministack.services import secretsmanager as sm  # noqa: E402

Answer = Any
LARGEST = 65_536  # CreateSecret, PutSecretValue: SecretString, maximum length
LABELS = 20  # user guide, "quotas": labels attached across all versions of a secret
VERSIONS = 100  # user guide, "quotas": versions of a secret
YOUNG_S = 24 * 3600  # the same page: versions younger than this are never removed
_last = 0.0


def refuse(code: str, text: str) -> Answer:
    return sm.error_response_json(code, text, 400)


def moment() -> float:
    """Creation dates have milliseconds on AWS (the examples of ListSecretVersionIds); here no two are the same."""
    global _last
    _last = max(round(time.time(), 3), round(_last + 0.001, 3))
    return _last


def living(data: dict[str, Any]) -> tuple[dict[str, Any] | None, Answer]:
    """The secret, or the answer that refuses: absent, or scheduled for deletion (InvalidRequestException)."""
    _, secret = sm._resolve(data.get("SecretId"))
    if not secret:
        return None, refuse("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
    if secret.get("DeletedDate"):
        text = "You can't perform this operation on the secret because it was marked for deletion."
        return None, refuse("InvalidRequestException", text)
    return secret, None


def value_of(data: dict[str, Any]) -> tuple[Any, Any]:
    return data.get("SecretString"), data.get("SecretBinary")


def bad_value(data: dict[str, Any]) -> Answer:
    """PutSecretValue, SecretString: "SecretBinary or SecretString, but not both", at most 65,536."""
    text, binary = value_of(data)
    if (text is None) == (binary is None):
        return refuse("InvalidParameterException", "You must provide either SecretString or SecretBinary.")
    if len((text if text is not None else binary).encode()) > LARGEST:
        return refuse("InvalidParameterException", f"The secret value is longer than {LARGEST} bytes.")
    return None


def labels_of(secret: dict[str, Any]) -> set[str]:
    return {label for version in secret["Versions"].values() for label in version["Stages"]}


def attach(secret: dict[str, Any], version_id: str, label: str) -> None:
    """PutSecretValue, VersionStages: a label of another version moves; with AWSCURRENT goes AWSPREVIOUS, to the version
    that AWSCURRENT was removed from. A version without labels stays, deprecated (UpdateSecretVersionStage)."""
    before, _ = sm._find_stage_version(secret, label)
    sm._remove_stage_everywhere(secret, label, except_version_id=version_id)
    sm._add_stage(secret, version_id, label)
    if label == "AWSCURRENT" and before not in {None, version_id}:
        sm._remove_stage_everywhere(secret, "AWSPREVIOUS")
        sm._add_stage(secret, before, "AWSPREVIOUS")


def over_quota(secret: dict[str, Any], labels: list[str]) -> Answer:
    """User guide, "quotas": 20 labels; about 100 versions, of which the unlabelled older than a day go first."""
    if len(labels_of(secret) | set(labels) - {"AWSPREVIOUS"}) > LABELS:
        return refuse("LimitExceededException", "The secret has too many staging labels.")
    return None


def trim(secret: dict[str, Any], younger_s: float) -> None:
    now = time.time()
    for version_id, version in sorted(secret["Versions"].items(), key=lambda one: one[1]["CreatedDate"]):
        if len(secret["Versions"]) < VERSIONS and younger_s:
            return
        if not version["Stages"] and now - version["CreatedDate"] >= younger_s:
            del secret["Versions"][version_id]


def put_secret_value(data: dict[str, Any]) -> Answer:
    secret, answer = living(data)
    answer = answer or bad_value(data)
    if answer or secret is None:
        return answer
    token = data.get("ClientRequestToken") or sm.new_uuid()
    found = secret["Versions"].get(token)
    if found is not None and value_of(found) != (None, None):
        # PutSecretValue: the same token and value "succeeds but does nothing"; with another value it fails.
        if value_of(found) != value_of(data):
            return refuse("ResourceExistsException", f"The version {token} exists with another value.")
        return sm.json_response(
            {"ARN": secret["ARN"], "Name": secret["Name"], "VersionId": token, "VersionStages": list(found["Stages"])}
        )
    first = not any(value_of(version) != (None, None) for version in secret["Versions"].values())
    labels = list(dict.fromkeys([*data.get("VersionStages", ["AWSCURRENT"]), *(["AWSCURRENT"] if first else [])]))
    trim(secret, YOUNG_S)
    if found is None and len(secret["Versions"]) >= VERSIONS:
        return refuse("LimitExceededException", "The secret has too many versions.")
    answer = over_quota(secret, labels)
    if answer:
        return answer
    text, binary = value_of(data)
    stages = [] if found is None else found["Stages"]
    secret["Versions"][token] = {
        "SecretString": text, "SecretBinary": binary, "CreatedDate": moment(), "Stages": stages
    }  # fmt: skip
    for label in labels:
        attach(secret, token, label)
    secret["LastChangedDate"] = moment()
    return sm.json_response(
        {
            "ARN": secret["ARN"], "Name": secret["Name"], "VersionId": token,
            "VersionStages": list(secret["Versions"][token]["Stages"]),
        }
    )  # fmt: skip


def create_secret(data: dict[str, Any]) -> Answer:
    name, token = data.get("Name", ""), data.get("ClientRequestToken") or sm.new_uuid()
    if not name or not all(char.isascii() and (char.isalnum() or char in "/_+=.@-") for char in name):
        return refuse("InvalidParameterException", "Invalid name. Must be a valid name containing alphanumerics.")
    empty = value_of(data) == (None, None)  # CreateSecret: the value is optional, the secret has no version then
    answer = None if empty else bad_value(data)
    if answer:
        return answer
    secret = sm._secrets.get(name)
    if secret is not None and secret.get("DeletedDate"):
        text = "You can't create this secret because a secret with this name is already scheduled for deletion."
        return refuse("InvalidRequestException", text)
    if secret is not None:
        found = secret["Versions"].get(token)
        if found is not None and value_of(found) == value_of(data):  # CreateSecret: "the request is ignored"
            return sm.json_response({"ARN": secret["ARN"], "Name": name, "VersionId": token})
        return refuse("ResourceExistsException", f"The operation failed because the secret {name} already exists.")
    text, binary = value_of(data)
    arn, made = sm._store_new_secret(
        name, secret_string=text, secret_binary=binary, description=data.get("Description", ""),
        tags=data.get("Tags"), kms_key_id=data.get("KmsKeyId"),
    )  # fmt: skip
    versions = sm._secrets[name]["Versions"]
    version = versions.pop(made)
    if empty:
        return sm.json_response({"ARN": arn, "Name": name})
    version["CreatedDate"] = moment()
    versions[token] = version
    return sm.json_response({"ARN": arn, "Name": name, "VersionId": token})


def get_secret_value(data: dict[str, Any]) -> Answer:
    """GetSecretValue: "If you include both this parameter and VersionStage, the two must refer to the same version"."""
    secret, answer = living(data)
    if answer or secret is None:
        return answer
    version_id, label = data.get("VersionId"), data.get("VersionStage")
    version = secret["Versions"].get(version_id) if version_id else None
    if version_id and (version is None or (label and label not in version["Stages"])):
        text = f"Secrets Manager can't find the specified secret value for VersionId: {version_id}"
        return refuse("ResourceNotFoundException", text)
    if not version_id:
        _, version = sm._find_stage_version(secret, label or "AWSCURRENT")
    if version is None or value_of(version) == (None, None):
        text = f"Secrets Manager can't find the specified secret value for staging label: {label or 'AWSCURRENT'}"
        return refuse("ResourceNotFoundException", text)
    return _EMULATED["get"](data)


def update_secret_version_stage(data: dict[str, Any]) -> Answer:
    secret, answer = living(data)
    if answer or secret is None:
        return answer
    label, to, source = data.get("VersionStage"), data.get("MoveToVersionId"), data.get("RemoveFromVersionId")
    if not label or not (to or source):
        return refuse("InvalidParameterException", "You must specify a version.")
    for version_id in (to, source):
        if version_id and version_id not in secret["Versions"]:
            text = f"Secrets Manager can't find the specified secret version: {version_id}."
            return refuse("ResourceNotFoundException", text)
    holder, _ = sm._find_stage_version(secret, label)
    # UpdateSecretVersionStage, RemoveFromVersionId: "If the label is attached and you either do not specify this
    # parameter, or the version ID does not match, then the operation fails."
    if holder != source and (source or (holder and holder != to)):
        text = f"The staging label {label} is currently attached to version {holder}, not to {source}."
        return refuse("InvalidParameterException", text)
    if label == "AWSCURRENT" and not to:  # user guide, "What's in a secret": a secret always has AWSCURRENT
        return refuse("InvalidParameterException", "You can only move staging label AWSCURRENT to a different version.")
    if to:
        answer = over_quota(secret, [label])
        if answer:
            return answer
        attach(secret, to, label)
    else:
        sm._remove_stage(secret, source, label)
    secret["LastChangedDate"] = moment()
    return sm.json_response({"ARN": secret["ARN"], "Name": secret["Name"]})


def list_secret_version_ids(data: dict[str, Any]) -> Answer:
    """ListSecretVersionIds: without IncludeDeprecated only versions with labels; only versions with a value."""
    _, secret = sm._resolve(data.get("SecretId"))
    if not secret:
        return _EMULATED["list"](data)
    shown = {
        version_id: version
        for version_id, version in secret["Versions"].items()
        if value_of(version) != (None, None) and (version["Stages"] or data.get("IncludeDeprecated"))
    }
    hidden = secret["Versions"]
    secret["Versions"] = shown
    try:
        return _EMULATED["list"](data)
    finally:
        secret["Versions"] = hidden


def rotate_secret(data: dict[str, Any]) -> Answer:
    """RotateSecret: a secret without a function is refused (InvalidRequestException), and so is one whose AWSPENDING
    is on another version than AWSCURRENT: a rotation is "still in progress". The function itself is the test's."""
    secret, answer = living(data)
    if answer or secret is None:
        return answer
    function = data.get("RotationLambdaARN") or secret.get("RotationLambdaARN")
    if not function:
        return refuse("InvalidRequestException", "No Lambda rotation function ARN is associated with this secret.")
    pending, _ = sm._find_stage_version(secret, "AWSPENDING")
    current, _ = sm._find_stage_version(secret, "AWSCURRENT")
    token = data.get("ClientRequestToken") or sm.new_uuid()
    if pending not in {None, current, token}:
        return refuse(
            "InvalidRequestException", "A previous rotation isn't complete. That rotation will be reattempted."
        )
    secret["RotationLambdaARN"], secret["RotationEnabled"] = function, True
    if token not in secret["Versions"]:  # user guide, "Rotation by Lambda function": an empty version, AWSPENDING
        secret["Versions"][token] = {
            "SecretString": None, "SecretBinary": None, "CreatedDate": moment(), "Stages": []
        }  # fmt: skip
        attach(secret, token, "AWSPENDING")
    return sm.json_response({"ARN": secret["ARN"], "Name": secret["Name"], "VersionId": token})


def cancel_rotate_secret(data: dict[str, Any]) -> Answer:
    secret, answer = living(data)
    if answer or secret is None:
        return answer
    secret["RotationEnabled"] = False
    return sm.json_response({"ARN": secret["ARN"], "Name": secret["Name"]})


def create_access_key(parameters: dict[str, Any]) -> Answer:
    """IAM user guide, "quotas": two access keys of a user, not adjustable."""
    user = iam._p(parameters, "UserName")
    if sum(1 for key in iam._access_keys.values() if key["UserName"] == user) >= 2:
        return iam._error(409, "LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2")
    return _EMULATED["key"](parameters)


def owner_of(secret_id: str) -> tuple[str, str] | None:
    """Account and region in a full ARN."""
    parts = str(secret_id).split(":")
    return (parts[4], parts[3]) if len(parts) == 7 and parts[:3] == ["arn", "aws", "secretsmanager"] else None


def secret_policy_for_arn(arn: str) -> tuple[str, str] | None:
    """The policy of a secret of any account (user guide, "Access secrets from a different account")."""
    owner = owner_of(arn)
    if owner is None:
        return None
    for _, secret in sm._secrets.items_scoped(*owner):
        if secret["ARN"] == arn:
            return sm._resource_policies.get_scoped(*owner, arn) or "", owner[0]
    return "", owner[0]


def key_denied(action: str, data: dict[str, Any], access_key: str) -> Answer:
    """User guide, "Secret encryption and decryption": with a key of one's own the caller needs kms:Decrypt to read and
    kms:GenerateDataKey with kms:Decrypt to write; another account's secret must have such a key."""
    needs = {
        "GetSecretValue": ("Decrypt",), "PutSecretValue": ("GenerateDataKey", "Decrypt"),
        "CreateSecret": ("GenerateDataKey", "Decrypt"),
    }.get(action, ())  # fmt: skip
    owner = owner_of(data.get("SecretId", "")) or (responses.get_account_id(), responses.get_region())
    secret: dict[str, Any] = next(
        (one for name, one in sm._secrets.items_scoped(*owner) if data.get("SecretId") in (name, one["ARN"])), {}
    )
    key = data.get("KmsKeyId") if action == "CreateSecret" else secret.get("KmsKeyId")
    if not needs or (action == "CreateSecret" and value_of(data) == (None, None)):
        return None
    if not key:
        if owner[0] == responses.get_account_id() or not secret:
            return None
        text = "You can't access a secret from a different AWS account if you encrypt it with the default KMS key."
        return refuse("InvalidRequestException", text)
    context = {"kms:viaservice": f"secretsmanager.{owner[1]}.amazonaws.com"}
    for need in needs:
        if iam_evaluator.enforce(access_key, f"kms:{need}", "kms", owner[1], key, context):
            return refuse("AccessDeniedException", "Access to KMS is not allowed")
    return None


async def handle_request(method: str, path: str, headers: Any, body: Any, query_params: Any) -> Answer:
    from ministack.core.router import extract_access_key_id

    action = headers.get("x-amz-target", "").rpartition(".")[2]
    data = json.loads(body) if body else {}
    denied = key_denied(action, data, extract_access_key_id(headers, query_params) or "")
    if denied:
        return denied
    if action == "CancelRotateSecret":
        return cancel_rotate_secret(data)
    owner = owner_of(data.get("SecretId", ""))
    if owner is None or owner[0] == responses.get_account_id():
        return await _EMULATED["handle"](method, path, headers, body, query_params)
    before = responses._request_account_id.set(owner[0])
    try:
        return await _EMULATED["handle"](method, path, headers, body, query_params)
    finally:
        responses._request_account_id.reset(before)


async def shortcuts(method: str, path: str, headers: Any, body: Any, query_params: Any, request_id: str) -> Answer:
    """What AWS does in the background, on the laboratory's word: forget versions without labels, let time pass."""
    if path != "/_lab/background":
        return await _EMULATED["shortcuts"](method, path, headers, body, query_params, request_id)
    wanted = json.loads(body)
    responses._request_account_id.set(os.environ["MINISTACK_ACCOUNT_ID"])
    responses._request_region.set(os.environ["MINISTACK_REGION"])
    _, secret = sm._resolve(wanted["SecretId"])
    if secret is None:
        return 404, {}, b""
    if wanted["Action"] == "Trim":
        trim(secret, 0)
    else:
        for version in secret["Versions"].values():
            version["CreatedDate"] -= wanted["Hours"] * 3600
    return 200, {"Content-Type": "application/json"}, b"{}"


_EMULATED: dict[str, Any] = {
    "get": sm._get_secret_value, "list": sm._list_secret_version_ids, "handle": sm.handle_request,
    "key": iam._IAM_HANDLERS["CreateAccessKey"], "shortcuts": app._handle_post_body_shortcuts,
}  # fmt: skip
sm._put_secret_value = put_secret_value
sm._create_secret = create_secret
sm._get_secret_value = get_secret_value
sm._update_secret_version_stage = update_secret_version_stage
sm._list_secret_version_ids = list_secret_version_ids
sm._rotate_secret = rotate_secret
sm.secret_policy_for_arn = secret_policy_for_arn
sm.handle_request = handle_request
iam._IAM_HANDLERS["CreateAccessKey"] = create_access_key
app._handle_post_body_shortcuts = shortcuts
app._port_is_bindable = lambda *_: False  # with https it would listen on 443 too
aws_strict_iam.restore()

if __name__ == "__main__":
    app.main()
