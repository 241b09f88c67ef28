"""The SDK's session of one AWS store: who the daemon is there, by what the SDK finds itself or by a role taken with it.

Called by `aws_client` when the first request is made and again after AWS refused the login: keys in the SDK's shared
files may have been replaced meanwhile. The SDK may ask the container's or instance's own service here, and STS; nothing
is kept outside the session, and no key is ever written anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import boto3
import botocore.session
from botocore import UNSIGNED
from botocore.config import Config
from botocore.credentials import DeferredRefreshableCredentials
from botocore.exceptions import NoCredentialsError

from .aws_config import AssumeRole, AwsConfig, DefaultChain, WebIdentity
from .aws_errors import LoginFailed, login_error
from .aws_wire import Wire

_METADATA_S: Final = 2

Key = dict[str, str]


def make_client(config: AwsConfig, wire: Wire) -> Any:
    """A Secrets Manager client. Raises the SDK's exceptions, OSError, LoginFailed: `aws_errors` translates them."""
    core = _session(config, wire)
    if not isinstance(config.auth, DefaultChain):
        core.register_component("credential_provider", _Role(_role(config, wire)))
    if core.get_credentials() is None:
        raise NoCredentialsError
    session = boto3.Session(botocore_session=core, region_name=config.region)
    return session.client("secretsmanager", **_options(config, config.url))


def _session(config: AwsConfig, wire: Wire) -> Any:
    chain = config.auth.chain if isinstance(config.auth, AssumeRole) else config.auth
    profile, file = (chain.profile, chain.credentials) if isinstance(chain, DefaultChain) else ("", None)
    core = botocore.session.Session(profile=profile or None)
    core.set_config_variable("metadata_service_timeout", _METADATA_S)
    if file is not None:
        core.set_config_variable("credentials_file", str(file))
    core.register("before-send", wire.send)
    return core


def _options(config: AwsConfig, url: str, **more: Any) -> dict[str, Any]:
    settings = Config(
        retries={"total_max_attempts": 1, "mode": "standard"},  # `max_attempts: 1` would send twice
        user_agent_extra=config.user_agent,
        ignore_configured_endpoint_urls=True,  # addresses come from our configuration alone
        **more,
    )
    return {"endpoint_url": url or None, "config": settings}


class _Role:
    """What the SDK asks for credentials instead of its own chain."""

    def __init__(self, fetch: Callable[[], Key]) -> None:
        self._credentials = DeferredRefreshableCredentials(refresh_using=fetch, method="assume-role")

    def load_credentials(self) -> Any:
        return self._credentials


def _role(config: AwsConfig, wire: Wire) -> Callable[[], Key]:
    """A function that takes the role anew; the SDK calls it when the first request is signed, and before the end."""
    auth = config.auth

    def by_chain(role: AssumeRole) -> Any:
        base = _session(config, wire)
        if base.get_credentials() is None:
            raise NoCredentialsError
        sts = base.create_client("sts", region_name=config.region, **_options(config, config.sts_url))
        more = {"ExternalId": role.external_id} if role.external_id else {}
        return sts.assume_role(RoleArn=role.role_arn, RoleSessionName=role.session_name, **more)

    def by_token(role: WebIdentity) -> Any:
        options = _options(config, config.sts_url, signature_version=UNSIGNED)
        sts = _session(config, wire).create_client("sts", region_name=config.region, **options)
        return sts.assume_role_with_web_identity(
            RoleArn=role.role_arn,
            RoleSessionName=role.session_name,
            WebIdentityToken=role.token_file.read_text("utf-8").strip(),
        )

    def fetch() -> Key:
        failure: LoginFailed
        try:
            key = (by_token(auth) if isinstance(auth, WebIdentity) else by_chain(_assumed(auth)))["Credentials"]
            return {
                "access_key": key["AccessKeyId"], "secret_key": key["SecretAccessKey"], "token": key["SessionToken"],
                "expiry_time": key["Expiration"].isoformat(),
            }  # fmt: skip
        except Exception as error:  # an answer that lacks a part, too; it may repeat the token
            failure = LoginFailed(login_error(error))
        raise failure

    return fetch


def _assumed(auth: object) -> AssumeRole:
    if not isinstance(auth, AssumeRole):
        raise TypeError("the default chain takes no role")
    return auth
