"""The shape of an access key of an IAM user in the laboratory: made by the platform, two at a time, without a label.

Like `tests.lab.shapes`: prepared as an administrator would, judged by asking the emulator itself. An AWS is no part of
every estate: the shape brings its endpoint and its proxy along. Used by the acceptance tests, the demo and the soak.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from tests.lab import wire
from tests.lab.aws import AccessKey, AwsEmulator
from tests.lab.estate import Estate
from tests.lab.process import LabError
from tests.lab.proxy import Answer, Proxy
from tests.lab.shapes import Watched, stored

ENDPOINT = "aws"
POLICY = Path(__file__).resolve().parents[2] / "config" / "aws-iam-admin-policy.json"
CREATE = rb"Action=CreateAccessKey&"
LIST = rb"Action=ListAccessKeys&"
DELETE = rb"Action=DeleteAccessKey&"
WHO = rb"Action=GetCallerIdentity&"
"""What the body of a request holds, by which a proxy's rule knows it: every one of them is `POST /`."""


FAULTS: dict[str, dict[str, Any]] = {
    "key: answer lost": {"fault": "answer_lost", "content": CREATE},
    "key: request lost": {"fault": "request_lost", "content": CREATE},
    "key: half an answer": {"fault": "half_answer", "content": CREATE},
    "key: late": {"fault": "request_late", "content": CREATE, "seconds": 2.1},
    "key: 503 after the write": {"fault": "replaced", "content": CREATE, "answer": Answer(503)},
    "key: 429": {"fault": "made_up", "content": CREATE, "answer": Answer.too_many(1)},
    "key list: half an answer": {"fault": "half_answer", "content": LIST},
    "delete: answer lost": {"fault": "answer_lost", "content": DELETE},
    "delete: late": {"fault": "request_late", "content": DELETE, "seconds": 2.1},
    "identity: answer lost": {"fault": "answer_lost", "content": WHO},
    "aws: hang": {"fault": "hang"},
    "aws: reset": {"fault": "reset"},
}
"""What may happen between the daemon and AWS: arguments of `Proxy.rule`, for one call each (`times=1`)."""


def admin_policy(aws: AwsEmulator, folder: str) -> dict[str, Any]:
    """The shipped policy of an admin, for the users below the path /`folder`/."""
    text = POLICY.read_text()
    policy: dict[str, Any] = json.loads(text.replace("ACCOUNT", aws.account).replace("GOVERNED", folder))
    return policy


def set_lag(aws: AwsEmulator, seconds: float) -> None:
    """How long IAM takes from now on until what it did is seen everywhere."""
    if wire.call("POST", f"{aws.url}/_lab/iam", {"lag": seconds}).status != 200:
        raise LabError("aws: the lag was not set")


def aws_proxy(estate: Estate, aws: AwsEmulator, seed: int = 0, settle: str = "300ms") -> Proxy:
    """The estate's proxy before this AWS; the first call starts it and adds endpoint and admin."""
    found = [proxy for proxy in estate.proxies if proxy.upstream_port == aws.port]
    if found:
        return found[0]
    proxy = Proxy(aws.port, seed=seed).start()
    estate.proxies.append(proxy)
    admin = aws.create_user(f"rotator-{estate.tag}", admin_policy(aws, estate.tag))
    path = f"admin-{estate.tag}/aws"
    estate.servers.openbao.admin.put(path, {"secret": admin.secret, "key_id": admin.key_id})
    estate.endpoints[ENDPOINT] = {
        "plugin": "aws_iam",
        "config": {"account": aws.account, "url": proxy.url, "sts": proxy.url, "region": aws.region},
        # Nobody in the laboratory makes sessions with these keys.
        "traits": {"settle": settle, "derived_live": "0s"},
        "admin": {
            "principal": f"rotator-{estate.tag}",
            "value": {"store": "main", "path": path, "field": "secret"},
            "handle": {"store": "main", "path": path, "field": "key_id"},
        },
    }
    return proxy


def named(run: Mapping[str, Any]) -> dict[str, Any] | None:
    """The answer of a person who knows that nobody else makes keys here: the one stranger is ours. It is the body for
    the API's answer of a run; None if the run asks something else, or about several."""
    question = run["question"]
    offers = [one["command"] for one in question["answers"] if one["answer"] == "name"] if question else []
    if len(offers) != 1:
        return None
    return {"answer": "name", "about": {"handle": offers[0].split("--handle ")[1].split()[0]}, "reason": "lab"}


@dataclass(slots=True)
class IamKey:
    """An access key of a user of its own."""

    name: str
    aws: AwsEmulator
    watched: Watched = field(default_factory=Watched)
    user: str = ""
    ids: dict[str, str] = field(default_factory=dict)
    """Key ids by value, of every value that readers found."""
    neighbour: ClassVar[str] = "region"
    in_place: ClassVar[bool] = False
    faults: ClassVar[Mapping[str, Mapping[str, Any]]] = FAULTS

    def between(self, estate: Estate) -> Proxy:
        return aws_proxy(estate, self.aws)

    def principals(self, estate: Estate) -> list[str]:
        return [self.user]

    def prepare(self, estate: Estate) -> None:
        """A user with a first key, as an administrator leaves it."""
        aws_proxy(estate, self.aws)
        self.user = f"{self.name}-{estate.tag}"
        self.aws.root("iam").create_user(UserName=self.user, Path=f"/{estate.tag}/")
        key = self.another()
        self.watched.see(self.user, key.secret)
        self.ids[key.secret] = key.key_id
        fields = {"secret_access_key": key.secret, "access_key_id": key.key_id, "region": self.aws.region}
        estate.servers.openbao.admin.put(estate.path_of(self.name), fields)
        estate.describe(
            self.name,
            {
                "authority": {"endpoint": ENDPOINT, "kind": "access-key", "principal": self.user},
                "store": {
                    "in": "main", "path": estate.path_of(self.name), "value": "secret_access_key",
                    "fields": {"access_key_id": "handle"},
                },
            },
        )  # fmt: skip

    def another(self) -> AccessKey:
        """One key more, made past Rotator."""
        made = self.aws.root("iam").create_access_key(UserName=self.user)["AccessKey"]
        return AccessKey(made["AccessKeyId"], made["SecretAccessKey"])

    def current(self, estate: Estate) -> tuple[str, str] | None:
        fields = stored(estate, self.name)
        if not fields or "secret_access_key" not in fields:
            return None
        self.ids[fields["secret_access_key"]] = fields["access_key_id"]
        return self.user, fields["secret_access_key"]

    def accepts(self, estate: Estate, principal: str, value: str) -> bool:
        """Whether any key of the user has this secret, by asking STS with each."""
        mine = [self.aws.identity(AccessKey(key_id, value)) for key_id in self.living(estate)]
        return any(arn.endswith(f"/{principal}") for arn in mine)

    def strays(self, estate: Estate, debts: Sequence[Mapping[str, Any]]) -> list[str]:
        """Keys that live, though they are neither what readers find nor a debt."""
        fields = stored(estate, self.name) or {}
        known = {fields.get("access_key_id")} | {debt["handle"] for debt in debts}
        return [key_id for key_id in self.living(estate) if key_id not in known]

    def refusal(self, estate: Estate, principal: str, value: str) -> str:
        said = self.aws.identity(AccessKey(self.ids.get(value, "AKIACANARYUNKNOWN"), value))
        return "" if said.startswith("arn:") else said

    def living(self, estate: Estate) -> list[str]:
        rows = self.aws.root("iam").list_access_keys(UserName=self.user)["AccessKeyMetadata"]
        return sorted(row["AccessKeyId"] for row in rows)
