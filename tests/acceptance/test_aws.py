"""The real daemon rotates a password whose store is AWS Secrets Manager, and hands over to AWS's own rotation and back.

The AWS is emulated, with IAM enforced and the shipped policy; a real devpi judges the passwords. Everything that the
daemon does is asked for with the `rotator` command, the rest is done past it.
"""

from __future__ import annotations

import json
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.test_devpi import ROTATOR, WHY, Site
from tests.contract.stores.aws_driver import policy
from tests.contract.stores.aws_function import RotationFunction
from tests.lab.aws import AwsEmulator
from tests.lab.devpi import ADMIN, Devpi
from tests.lab.install import NotInstalled
from tests.lab.process import Process, free_port, wait_until


class DevpiAccount:
    """What a rotation function needs of the platform: is a password good, and another one set after a login."""

    def __init__(self, devpi: Devpi, user: str) -> None:
        self._devpi, self._user = devpi, user

    def accepts(self, password: str) -> bool:
        """Whether devpi lets the user in."""
        return self._devpi.accepts(self._user, password)

    def change(self, login: str, password: str) -> None:
        """Set another password, logged in with this one."""
        status = self._devpi.ask("PATCH", f"/{self._user}", {"password": password}, self._user, login).status
        if status != 200:
            raise PermissionError(f"devpi answered {status}")


class AwsSite(Site):
    """One devpi user with a password in AWS, and a daemon that governs it."""

    def __init__(self, folder: Path, aws: AwsEmulator, devpi: Devpi) -> None:
        self.folder, self.aws, self.devpi = folder, aws, devpi
        self.tag = secrets.token_hex(3)
        self.user, self.path = f"svc-{self.tag}", f"app-{self.tag}/index"
        self.first = devpi.create_user(self.user)
        self.admin = aws.root("secretsmanager")
        fields = {"password": self.first, "username": self.user, "index": "root/dev"}
        self.admin.create_secret(Name=self.path, SecretString=json.dumps(fields))
        self.admin.create_secret(
            Name=f"app-{self.tag}-admin/devpi", SecretString=json.dumps({"password": devpi.admin_password})
        )
        self._write({"derived_live": "0s"})
        start = [str(ROTATOR), "serve", "--config", str(folder / "rotator.yaml")]
        self.daemon = Process("rotator", start, folder / "daemon.log", env=self._environment(), cwd=folder)

    def _write(self, traits: dict[str, str]) -> None:
        name = f"site-{self.tag}"
        key = self.aws.create_user(name, policy(self.aws, name, f"app-{self.tag}"))
        lines = ["[rotator]", f"aws_access_key_id = {key.key_id}", f"aws_secret_access_key = {key.secret}", ""]
        document = {
            "apiVersion": "rotator/v1",
            "installation": name,
            "daemon": {
                "ledger": str(self.folder / "ledger.db"), "socket": str(self.folder / "api.sock"),
                "fingerprint_key": self._secret_file("fingerprint.key", secrets.token_bytes(32)),
                "listen": f"127.0.0.1:{free_port()}", "tick": "200ms", "deadline": "20s", "landing": "200ms",
            },
            "stores": {
                "main": {
                    "type": "aws", "region": self.aws.region, "url": self.aws.url,
                    "auth": {
                        "profile": "rotator", "credentials": self._secret_file("aws", "\n".join(lines).encode())
                    },
                },
            },
            "endpoints": {
                "index": {
                    "plugin": "http", "pack": "devpi", "config": {"url": self.devpi.url}, "traits": traits,
                    "admin": {
                        "principal": ADMIN,
                        "value": {"store": "main", "path": f"app-{self.tag}-admin/devpi", "field": "password"},
                    },
                },
            },
            "policies": {
                "standard": {
                    "every": "365d", "overlap": "0s", "patience": {"attempts": 4, "span": "2s"},
                    "proof": {"times": 2, "over": "300ms", "grade": 1},
                },
            },
            "credentials": {
                "uploads": {
                    "owner": "itsm@lab.test", "purpose": "uploads packages", "workflows": ["uploads"],
                    "expires": "2099-12-31", "tier": "T2", "policy": "standard",
                    "authority": {"endpoint": "index", "kind": "password", "principal": self.user},
                    "store": {
                        "in": "main", "path": self.path, "value": "password", "fields": {"username": "principal"},
                    },
                },
            },
        }  # fmt: skip
        (self.folder / "rotator.yaml").write_text(json.dumps(document, indent=2))

    def stored(self) -> dict[str, Any]:
        """What readers of the secret find."""
        answer = self.admin.get_secret_value(SecretId=self.path, VersionStage="AWSCURRENT")
        found: dict[str, Any] = json.loads(answer["SecretString"])
        return found

    def labelled(self) -> dict[str, str]:
        """Label -> password, of every version that has a label."""
        described = self.admin.describe_secret(SecretId=self.path)["VersionIdsToStages"]
        found = {}
        for version, labels in described.items():
            text = self.admin.get_secret_value(SecretId=self.path, VersionId=version)["SecretString"]
            fields = json.loads(text)
            found |= {label: fields.get("password", fields.get("value", "")) for label in labels}
        return found


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[AwsEmulator, Devpi]]:
    try:
        aws, devpi = AwsEmulator(), Devpi()
    except NotInstalled as absent:
        pytest.fail(str(absent), pytrace=False)
    with aws, devpi:
        yield aws, devpi


@pytest.fixture
def site(tmp_path: Path, servers: tuple[AwsEmulator, Devpi]) -> Iterator[AwsSite]:
    made = AwsSite(tmp_path, *servers)
    made.start()
    yield made
    made.daemon.end()


def test_rotates_hands_over_to_awss_own_rotation_and_takes_back(site: AwsSite) -> None:
    site.rotator("adopt", "uploads", *WHY, "--wait")
    assert site.stored()["password"] == site.first
    site.rotator("rotate", "uploads", *WHY, "--yes", "--wait")

    run = site.run()
    assert (run["kind"], run["ending"], run["debts"]) == ("rotate", "succeeded", [])
    second = site.stored()["password"]
    assert site.stored() == {"password": second, "username": site.user, "index": "root/dev"}
    assert site.said_of(second) == ""
    assert "401" in site.said_of(site.first)
    assert site.first not in site.labelled().values(), "no label leads to the dead value"
    assert "AWSPENDING" not in site.labelled()

    function = RotationFunction(site.admin, DevpiAccount(site.devpi, site.user))  # type: ignore[arg-type]
    function.rotate(site.path)
    third = site.stored()["password"]
    assert third not in {site.first, second}
    assert site.said_of(third) == ""
    site.admin.cancel_rotate_secret(SecretId=site.path)

    site.rotator("rotate", "uploads", *WHY, "--yes", "--no-wait")
    wait_until(lambda: site.run()["question"] is not None, "the question", 60)
    run = site.run()
    assert "foreign" in json.dumps(run["question"]), run
    assert site.stored()["password"] == third, "nothing was overwritten"
    site.rotator("runs", "answer", run["id"], "take", *WHY)
    wait_until(lambda: site.run()["ended"] is not None, "the end", 60)
    assert site.run()["ending"] == "succeeded", site.run()
    fourth = site.stored()["password"]
    assert fourth not in {site.first, second, third}
    assert site.said_of(fourth) == ""
    assert "401" in site.said_of(third)
    assert not {site.first, second, third} & set(site.labelled().values())

    for value in (site.first, second, third, fourth, site.devpi.admin_password):
        assert value.encode() not in site.written()


def test_a_daemon_that_was_killed_goes_on_where_aws_is(site: AwsSite) -> None:
    site.rotator("adopt", "uploads", *WHY, "--wait")
    site.rotator("rotate", "uploads", *WHY, "--yes", "--no-wait")
    wait_until(lambda: any(label.endswith(".g2") for label in site.labelled()), "the stage", 60)
    site.daemon.end(signal.SIGKILL)
    site.start()
    wait_until(lambda: site.run()["ended"] is not None, "the end", 90)
    assert site.run()["ending"] == "succeeded", site.run()
    assert site.said_of(site.stored()["password"]) == ""
    assert "401" in site.said_of(site.first)
