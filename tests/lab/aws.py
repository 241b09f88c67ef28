"""An AWS of this machine: Secrets Manager, IAM, STS and KMS of an emulator, IAM enforced, AWS's own rules restored.

Called by fixtures and tests. The emulator runs in an environment of its own (`requirements/aws-emulator.txt`) under
`aws_strict.py`, which puts AWS's documented rule back wherever the emulator departs from it. Clients are boto3's, one
request a call. It must never be reached from another machine, never meet a real account (no client reads the
environment's credentials), and never have its root key on a command line or in a process's environment.

    with AwsEmulator() as aws:
        aws.url, aws.region, aws.account            # "http://127.0.0.1:PORT", "eu-central-1", "111122223333"
        aws.root("secretsmanager")                  # a boto3 client of the account's root; any service name
        aws.root("iam", account=OTHER_ACCOUNT)      # ... of another account
        key = aws.create_user("svc", policy={...})  # an IAM user with one access key and one inline policy
        aws.client("sts", key)                      # a boto3 client of that key
        aws.set_policy("svc", {...})                # replaces its inline policy; it acts at once
        aws.create_role("r", trust={...}, policy={...})  # -> its ARN
        aws.identity(key)                           # the caller's ARN, or the error code that refuses the key
        aws.trim("app/db")                          # Secrets Manager forgets the versions without a label
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.lab import wire
from tests.lab.install import environment, site_packages
from tests.lab.process import Folder, LabError, Process, Server, free_port
from tests.lab.tls import ServerTls

ACCOUNT = "111122223333"
OTHER_ACCOUNT = "444455556666"
REGION = "eu-central-1"
POLICY_NAME = "inline"
_WRAPPER = Path(__file__).with_name("aws_strict.py")


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key; `token` is set for a session's."""

    key_id: str
    secret: str = field(repr=False)
    token: str = field(default="", repr=False)


class AwsEmulator(Server):
    """The emulator with its state in memory: a restart forgets everything."""

    region = REGION
    account = ACCOUNT

    def __init__(self, tls: ServerTls | None = None) -> None:
        """Prepare it, with https if it is given a certificate; it is not started yet. NotInstalled if its environment
        is absent."""
        site_packages("aws-emulator")
        self.tls = tls
        self.port = free_port()
        self.folder = Folder("aws")
        self._root = AccessKey(f"AKIALAB{secrets.token_hex(6).upper()}", secrets.token_urlsafe(30))
        self._clients: dict[tuple[str, str], Any] = {}
        keys = self.folder.path / "root.json"
        with os.fdopen(os.open(keys, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            json.dump({"id": self._root.key_id, "secret": self._root.secret}, out)
        settings = {
            "AUTH": "true", "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(self.port), "LOG_LEVEL": "WARNING",
            "MINISTACK_ACCOUNT_ID": ACCOUNT, "MINISTACK_REGION": REGION, "TMPDIR": str(self.folder.path),
            "IOT_MTLS_ENABLED": "0", "HOME": str(self.folder.path), "PATH": os.defpath, "LC_ALL": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1", "LAB_ROOT_KEY": str(keys),
        }  # fmt: skip
        if tls is not None:
            settings |= {
                "USE_SSL": "1", "MINISTACK_SSL_CERT": str(tls.certificate), "MINISTACK_SSL_KEY": str(tls.key),
            }  # fmt: skip
        command = [str(environment("aws-emulator") / "bin" / "python"), "-W", "ignore", str(_WRAPPER)]
        log = self.folder.path / "log"
        self.process = Process(
            "aws", command, log, env=settings, cwd=self.folder.path, conceal=(self._root.secret,)
        )  # fmt: skip

    def _launch(self) -> None:
        self.process.start()
        self.process.wait_ready(
            lambda: wire.call("GET", f"{self.url}/_ministack/health", ca=self.ca, timeout_s=5).status == 200,
            timeout_s=60,
        )

    @property
    def url(self) -> str:
        """The address of every service."""
        return f"{'http' if self.tls is None else 'https'}://127.0.0.1:{self.port}"

    @property
    def ca(self) -> Path | None:
        """The bundle that clients need; None: plain http."""
        return None if self.tls is None else self.tls.ca

    # ---- clients -----------------------------------------------------------------------------------------------------

    def root(self, service: str, *, account: str = ACCOUNT) -> Any:
        """A boto3 client of the root of an account; one for all who ask."""
        if (service, account) not in self._clients:
            key = self._root if account == ACCOUNT else AccessKey(account, self._root.secret)
            self._clients[service, account] = self.client(service, key)
        return self._clients[service, account]

    def client(self, service: str, key: AccessKey, *, url: str = "") -> Any:
        """A boto3 client of `key`: one request a call, nothing taken from the environment."""
        import boto3
        from botocore.config import Config

        session = boto3.Session(
            aws_access_key_id=key.key_id,
            aws_secret_access_key=key.secret,
            aws_session_token=key.token or None,
            region_name=REGION,
        )
        config = Config(
            retries={"total_max_attempts": 1}, proxies={}, connect_timeout=5, read_timeout=20,
            ignore_configured_endpoint_urls=True,
        )  # fmt: skip
        verify = None if self.ca is None else str(self.ca)
        return session.client(service, endpoint_url=url or self.url, verify=verify, config=config)

    def root_key(self) -> AccessKey:
        """The root's key, for a test that must write it into a file of its own."""
        return self._root

    # ---- principals --------------------------------------------------------------------------------------------------

    def create_user(self, name: str, policy: Mapping[str, Any] | None = None, *, account: str = ACCOUNT) -> AccessKey:
        """Make an IAM user with one access key and, if given, one inline policy."""
        iam = self.root("iam", account=account)
        iam.create_user(UserName=name)
        if policy is not None:
            self.set_policy(name, policy, account=account)
        made = iam.create_access_key(UserName=name)["AccessKey"]
        return AccessKey(made["AccessKeyId"], made["SecretAccessKey"])

    def set_policy(self, user: str, policy: Mapping[str, Any], *, account: str = ACCOUNT) -> None:
        """Replace the user's inline policy."""
        self.root("iam", account=account).put_user_policy(
            UserName=user, PolicyName=POLICY_NAME, PolicyDocument=json.dumps(policy)
        )

    def create_role(self, name: str, trust: Mapping[str, Any], policy: Mapping[str, Any]) -> str:
        """Make a role that `trust` lets others take, with one inline policy; its ARN."""
        iam = self.root("iam")
        made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
        iam.put_role_policy(RoleName=name, PolicyName=POLICY_NAME, PolicyDocument=json.dumps(policy))
        return str(made["Role"]["Arn"])

    def identity(self, key: AccessKey) -> str:
        """Who STS says that the key is, as an ARN; the error's code if it refuses the key."""
        from botocore.exceptions import ClientError

        try:
            return str(self.client("sts", key).get_caller_identity()["Arn"])
        except ClientError as refused:
            return str(refused.response["Error"]["Code"])

    # ---- what AWS does in the background -----------------------------------------------------------------------------

    def trim(self, secret_id: str) -> None:
        """Forget the versions of a secret that have no label, whatever their age, as AWS does behind its quota."""
        self._background("Trim", secret_id)

    def age(self, secret_id: str, hours: float) -> None:
        """Make every version of a secret older."""
        self._background("Age", secret_id, Hours=hours)

    def _background(self, action: str, secret_id: str, **more: Any) -> None:
        body = {"Action": action, "SecretId": secret_id, **more}
        status = wire.call("POST", f"{self.url}/_lab/background", body, ca=self.ca).status
        if status != 200:
            raise LabError(f"aws: background {action} answered {status}")
