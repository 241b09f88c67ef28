"""The configuration of an AWS Secrets Manager store. Read by `opening` and by the daemon; it imports no vendor.

`aws.open_aws` makes the store of it; only then is boto3 imported, since most installations have no such store.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class DefaultChain:
    """What the SDK finds by itself: environment, shared files (one `profile` of them), container, instance.

    `credentials`: the shared credentials file, where it is not in its usual place.
    """

    profile: str = ""
    credentials: Path | None = None


@dataclass(frozen=True, slots=True)
class AssumeRole:
    """A role taken with what the SDK finds by itself."""

    role_arn: str
    external_id: str = ""
    session_name: str = "rotator"
    chain: DefaultChain = DefaultChain()


@dataclass(frozen=True, slots=True)
class WebIdentity:
    """A role taken with a token of an identity provider, in a file that is read again for every session."""

    role_arn: str
    token_file: Path
    session_name: str = "rotator"


AwsAuth = DefaultChain | AssumeRole | WebIdentity


@dataclass(frozen=True, slots=True)
class AwsConfig:
    """One store: the secrets of one account and region (others' by their full ARN). Times in seconds.

    `url` in place of the region's own address (a VPC endpoint, an emulator), `sts_url` likewise for taking roles; `ca`:
    the only bundle that is trusted (None: the system's). `kms_key`: the key of secrets that the store creates
    (empty: AWS's own). `insecure` allows plain http to another machine. `call_s` bounds one call of the store, logins
    included, `request_s` one request of it, so that one may be lost and found out within the call.
    """

    region: str
    installation: str
    auth: AwsAuth = DefaultChain()
    url: str = ""
    sts_url: str = ""
    ca: Path | None = None
    kms_key: str = ""
    insecure: bool = False
    request_s: float = 10.0
    call_s: float = 30.0
    user_agent: str = "rotator"
