"""Models of how the daemon logs in at AWS: by what the SDK finds itself, or by a role taken with it or with a token.

Used by `connections.AwsStore`. A value never stands here: keys are in the SDK's own files, tokens in files of theirs.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema, model_validator

from .values import FileRef, Model, Text, refuse

_ROLE = r"arn:aws[a-z-]*:iam::\d{12}:role/\S+"
_REGION = r"[a-z]{2,4}(-[a-z]+)+-\d{1,2}"


def _role(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(_ROLE, value):
        raise refuse("CFG-WRONG-TYPE", "write the role's full ARN, arn:aws:iam::111122223333:role/NAME")
    return value


def _region(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(_REGION, value):
        raise refuse("CFG-WRONG-TYPE", "write the region's code, such as eu-central-1")
    return value


def _session(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[\w+=,.@-]{2,64}", value, re.ASCII):
        raise refuse("CFG-BAD-ID", "2 to 64 letters, digits and _ + = , . @ -: AWS shows it in its logs")
    return value


RoleArn = Annotated[str, BeforeValidator(_role), WithJsonSchema({"type": "string", "pattern": f"^{_ROLE}$"})]
Region = Annotated[str, BeforeValidator(_region), WithJsonSchema({"type": "string", "pattern": f"^{_REGION}$"})]
SessionName = Annotated[str, BeforeValidator(_session), WithJsonSchema({"type": "string", "minLength": 2})]


class AwsRole(Model):
    """A role that is taken with what the SDK finds by itself."""

    arn: RoleArn
    """The role's ARN."""
    external_id: Text | None = None
    """What the role's trust policy asks for as `sts:ExternalId`. No secret."""
    session: SessionName = "rotator"
    """Name of the session in AWS's logs."""


class AwsWebIdentity(Model):
    """A role that is taken with a token of an identity provider."""

    arn: RoleArn
    """The role's ARN."""
    token: FileRef
    """File with the token; read again for every session."""
    session: SessionName = "rotator"
    """Name of the session in AWS's logs."""


class AwsAuth(Model):
    """How the daemon logs in. Without a key: what the SDK finds (environment, shared files, container, instance)."""

    profile: Text | None = None
    """Profile of the SDK's shared files; the environment's keys are not looked at then."""
    credentials: FileRef | None = None
    """The SDK's shared credentials file, where it is not in its usual place."""
    role: AwsRole | None = None
    """A role, taken with what was found."""
    web_identity: AwsWebIdentity | None = None
    """A role, taken with a token instead."""

    @model_validator(mode="after")
    def _one_source(self) -> AwsAuth:
        if self.web_identity is not None and (self.role or self.profile or self.credentials):
            words = "with `web_identity` the token is all that is needed: take the other keys out"
            raise refuse("CFG-CONFLICT", words, at="web_identity")
        return self
