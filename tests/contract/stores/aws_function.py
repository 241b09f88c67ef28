"""A rotation function of AWS by the documented contract: four steps, one token, any step as often as it is called.

Used by the interoperability tests. Written from the user guide ("Rotation by Lambda function", "How rotation works")
and the API reference; it knows nothing of our store. Beside it the account whose password is rotated.
"""

from __future__ import annotations

import json
import secrets
from typing import Any

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")


class Account:
    """An account with one password: what sets it must log in first."""

    def __init__(self, password: str) -> None:
        self._password = password

    def accepts(self, password: str) -> bool:
        """Whether the password logs in."""
        return password == self._password

    def change(self, login: str, password: str) -> None:
        """Set another password."""
        if not self.accepts(login):
            raise PermissionError("the login was refused")
        self._password = password


class RotationFunction:
    """The single-user strategy for secrets of the form {"username", "password", ...}."""

    def __init__(self, client: Any, account: Account) -> None:
        self._client = client
        self._account = account

    def rotate(self, secret_id: str, token: str = "") -> str:
        """What Secrets Manager does: start a rotation, call the four steps with its token; the token."""
        token = self.begin(secret_id, token)
        for step in STEPS:
            self.invoke(secret_id, token, step)
        return token

    def begin(self, secret_id: str, token: str = "") -> str:
        """RotateSecret: an empty version with AWSPENDING, unless the token's version is there already."""
        more = {"ClientRequestToken": token} if token else {}
        answer = self._client.rotate_secret(
            SecretId=secret_id, RotationLambdaARN="arn:aws:lambda:eu-central-1:111122223333:function:rotate", **more
        )
        return str(answer["VersionId"])

    def invoke(self, secret_id: str, token: str, step: str) -> None:
        """One call of the function. ValueError: the secret is not in the state that the step expects."""
        described = self._client.describe_secret(SecretId=secret_id)
        labels = described["VersionIdsToStages"].get(token)
        if not described.get("RotationEnabled"):
            raise ValueError("rotation is not enabled")
        if labels is None:
            raise ValueError("the version has no stage for rotation")
        if "AWSCURRENT" in labels:
            return
        if "AWSPENDING" not in labels:
            raise ValueError("the version is not AWSPENDING")
        getattr(self, f"_{step}")(secret_id, token)

    def _createSecret(self, secret_id: str, token: str) -> None:  # noqa: N802  # the contract's own word
        current = self._value(secret_id, "AWSCURRENT")
        if self._value(secret_id, "AWSPENDING", token) is not None:
            return
        fields = {**(current or {}), "password": secrets.token_urlsafe(18)}
        self._client.put_secret_value(
            SecretId=secret_id, ClientRequestToken=token, SecretString=json.dumps(fields), VersionStages=["AWSPENDING"]
        )

    def _setSecret(self, secret_id: str, token: str) -> None:  # noqa: N802
        pending = self._password(secret_id, "AWSPENDING", token)
        if self._account.accepts(pending):
            return
        for label in ("AWSCURRENT", "AWSPREVIOUS"):
            known = self._value(secret_id, label)
            if known is not None and self._account.accepts(known["password"]):
                self._account.change(known["password"], pending)
                return
        raise ValueError("no known password logs in")

    def _testSecret(self, secret_id: str, token: str) -> None:  # noqa: N802
        if not self._account.accepts(self._password(secret_id, "AWSPENDING", token)):
            raise ValueError("the pending password does not log in")

    def _finishSecret(self, secret_id: str, token: str) -> None:  # noqa: N802
        described = self._client.describe_secret(SecretId=secret_id)
        holder = next(one for one, held in described["VersionIdsToStages"].items() if "AWSCURRENT" in held)
        if holder == token:
            return
        self._client.update_secret_version_stage(
            SecretId=secret_id, VersionStage="AWSCURRENT", MoveToVersionId=token, RemoveFromVersionId=holder
        )

    def _password(self, secret_id: str, label: str, token: str = "") -> str:
        fields = self._value(secret_id, label, token)
        if fields is None:
            raise ValueError("there is no such version")
        return str(fields["password"])

    def _value(self, secret_id: str, label: str, token: str = "") -> dict[str, Any] | None:
        more = {"VersionId": token} if token else {}
        try:
            answer = self._client.get_secret_value(SecretId=secret_id, VersionStage=label, **more)
        except self._client.exceptions.ResourceNotFoundException:
            return None
        found: dict[str, Any] = json.loads(answer["SecretString"])
        return found
