"""The `type: aws` store in a configuration: what it becomes, and what is refused with which code."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rotator.daemon.aws_settings import aws_config
from rotator.effects.stores.opening import AssumeRole, AwsConfig, DefaultChain, WebIdentity
from rotator.settings import loader
from rotator.settings.connections import AwsStore
from rotator.settings.problems import ConfigurationRefused

ROLE = "arn:aws:iam::111122223333:role/team/rotator"


def written(folder: Path, **store: Any) -> Path:
    """A configuration whose store `main` has these keys beside its type and region."""
    daemon = {"ledger": "/l/ledger.db", "socket": "/l/api.sock", "fingerprint_key": {"file": "/l/key"}, "workers": 8}
    main = {"type": "aws", "region": "eu-central-1", **store}
    document = {"apiVersion": "rotator/v1", "installation": "acme", "daemon": daemon, "stores": {"main": main}}
    path = folder / "rotator.yaml"
    path.write_text(json.dumps({**document, "plugins": {"allow": ["http"]}}))
    return path


def opened(folder: Path, **store: Any) -> AwsConfig:
    settings = loader.load(written(folder, **store)).configuration
    main = settings.stores["main"]
    assert isinstance(main, AwsStore)
    return aws_config(settings, main)


PLAIN = AwsConfig("eu-central-1", "acme", request_s=10.0, call_s=30.0)


def test_the_least_that_can_be_said(tmp_path: Path) -> None:
    assert opened(tmp_path) == PLAIN


@pytest.mark.parametrize(
    ("auth", "made"),
    [
        ({}, DefaultChain()),
        ({"profile": "p"}, DefaultChain("p")),
        ({"credentials": {"file": "/c"}}, DefaultChain("", Path("/c"))),
        ({"role": {"arn": ROLE}}, AssumeRole(ROLE)),
        (
            {"profile": "p", "role": {"arn": ROLE, "external_id": "e", "session": "me"}},
            AssumeRole(ROLE, "e", "me", DefaultChain("p")),
        ),
        ({"web_identity": {"arn": ROLE, "token": {"file": "/t"}}}, WebIdentity(ROLE, Path("/t"))),
    ],
)
def test_every_login(tmp_path: Path, auth: dict[str, Any], made: Any) -> None:
    assert opened(tmp_path, auth=auth) == replace(PLAIN, auth=made)


def test_everything_else(tmp_path: Path) -> None:
    found = opened(
        tmp_path,
        kms_key="alias/app",
        url="https://vpce.example",
        sts_url="http://10.0.0.1",
        ca="/ca.pem",
        insecure=True,
    )
    assert found == replace(
        PLAIN, kms_key="alias/app", url="https://vpce.example", sts_url="http://10.0.0.1", ca=Path("/ca.pem"),
        insecure=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("store", "code", "at"),
    [
        ({"region": "Frankfurt"}, "CFG-WRONG-TYPE", "stores.main.region"),
        ({"region": None}, "CFG-EMPTY", "stores.main.region"),
        ({"url": "http://10.0.0.1"}, "CFG-CONFLICT", "stores.main.url"),
        ({"sts_url": "http://10.0.0.1"}, "CFG-CONFLICT", "stores.main.sts_url"),
        ({"auth": {"role": {"arn": "rotator"}}}, "CFG-WRONG-TYPE", "stores.main.auth.role.arn"),
        ({"auth": {"role": {"arn": ROLE, "session": "a b"}}}, "CFG-BAD-ID", "stores.main.auth.role.session"),
        (
            {"auth": {"profile": "p", "web_identity": {"arn": ROLE, "token": {"file": "/t"}}}},
            "CFG-CONFLICT",
            "stores.main.auth.web_identity",
        ),
        ({"auth": {"web_identity": {"arn": ROLE}}}, "CFG-MISSING", "stores.main.auth.web_identity"),
        ({"auth": {"access_key": "AKIA"}}, "CFG-SECRET-IN-CLEAR", "stores.main.auth.access_key"),
        ({"mount": "secret"}, "CFG-UNKNOWN-KEY", "stores.main.mount"),
    ],
)
def test_what_is_refused(tmp_path: Path, store: dict[str, Any], code: str, at: str) -> None:
    with pytest.raises(ConfigurationRefused) as caught:
        loader.load(written(tmp_path, **store))
    found = [(problem.code, problem.where) for problem in caught.value.problems]
    assert found == [(code, at)]


def test_a_key_in_clear_is_refused_and_not_shown(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationRefused) as caught:
        loader.load(written(tmp_path, auth={"secret_access_key": "canary-key"}))
    assert [problem.code for problem in caught.value.problems] == ["CFG-SECRET-IN-CLEAR"]
    assert "canary" not in str(caught.value)
