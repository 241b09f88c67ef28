"""The AWS IAM plugin without a network: its declaration, its configuration, its signatures beside botocore's."""

from __future__ import annotations

import ast
import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st
from rotator_aws_iam import Config, plugin
from rotator_aws_iam.config import host_of, region_of
from rotator_aws_iam.sigv4 import FORM, signed

from rotator.effects.host import objections, to_core_traits
from rotator.machine.plan import Kill, Origin, Seen
from rotator.machine.strategy import authority
from rotator.plugin_api import Secret

ACCOUNT = "111122223333"
FOLDER = Path(__file__).resolve().parents[2] / "plugins" / "rotator_aws_iam"


# ---- the declaration -----------------------------------------------------------------------------------------------


def test_the_declaration_contradicts_nothing_and_the_machine_works_by_snapshot() -> None:
    assert objections(plugin) == ()
    (kind,) = plugin.kinds
    made = authority("aws", ("svc",), to_core_traits(kind))
    assert (made.origin, made.slots, made.seen, made.kill, made.handles) == (
        Origin.ISSUED, 2, Seen.SNAPSHOT, Kill.HANDLE, True,
    )  # fmt: skip
    assert not made.settable


def test_every_slug_that_is_raised_is_declared_and_every_declared_one_is_used() -> None:
    from rotator.plugin_api import RESERVED

    texts = {
        node.value
        for path in FOLDER.glob("[!_]*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if re.fullmatch(r"[a-z]+(_[a-z]+)*", node.value)
    }
    assert set(plugin.reasons) <= texts
    page = (FOLDER.parents[1] / "docs" / "plugin-aws-iam.md").read_text()
    assert [slug for slug in plugin.reasons if f"`{slug}`" not in page] == []
    assert not set(plugin.reasons) & set(RESERVED)


def test_no_sdk_is_imported_and_no_environment_read() -> None:
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [one.name for one in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            assert not {"boto3", "botocore", "os", "environ"} & {*names, module.partition(".")[0]}, path


# ---- the configuration ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings_", "iam", "sts"),
    [
        ({}, "us-east-1", "us-east-1"),
        ({"sts": "https://sts.eu-central-1.amazonaws.com"}, "us-east-1", "eu-central-1"),
        ({"sts": "https://sts-fips.us-west-2.amazonaws.com"}, "us-east-1", "us-west-2"),
        ({"sts": "https://sts.amazonaws.com"}, "us-east-1", "us-east-1"),
        (
            {"url": "https://iam.us-gov.amazonaws.com", "sts": "https://sts.us-gov-west-1.amazonaws.com"},
            "us-gov-west-1", "us-gov-west-1",
        ),
        (
            {"url": "https://iam.cn-north-1.amazonaws.com.cn", "sts": "https://sts.cn-north-1.amazonaws.com.cn"},
            "cn-north-1", "cn-north-1",
        ),
        ({"url": "http://127.0.0.1:4", "sts": "http://127.0.0.1:4", "region": "eu-west-1"}, "eu-west-1", "eu-west-1"),
    ],
)  # fmt: skip
def test_the_region_is_what_the_host_says(settings_: dict[str, Any], iam: str, sts: str) -> None:
    config = Config(account=ACCOUNT, **settings_)
    assert (region_of(config, "iam"), region_of(config, "sts")) == (iam, sts)


@pytest.mark.parametrize(
    ("settings_", "word"),
    [
        ({"account": "1111-2222-3333"}, "account"),
        ({"account": ""}, "account"),
        ({"region": "Frankfurt"}, "region"),
        ({"region": "eu-central-1"}, "region"),
        ({"url": "https://iam.example"}, "region"),
        ({"sts": "https://sts.example"}, "region"),
        ({"sts": "https://iam.amazonaws.com"}, "region"),
        ({"url": "https://iam.amazonaws.com/v1"}, "url"),
        ({"sts": "https://sts.eu-west-1.amazonaws.com./"}, "sts"),
        ({"url": "https://iam.amazonaws.com.evil.example"}, "region"),
    ],
)
def test_nonsense_in_the_configuration_is_named(settings_: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=f"^{word}: "):
        Config(**{"account": ACCOUNT, **settings_})


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://iam.amazonaws.com", "iam.amazonaws.com"),
        ("https://IAM.amazonaws.com:443/", "iam.amazonaws.com"),
        ("http://127.0.0.1:4566", "127.0.0.1:4566"),
        ("http://127.0.0.1:80", "127.0.0.1"),
        ("http://[::1]:4566", "[::1]:4566"),
    ],
)
def test_the_host_that_is_signed_is_the_host_that_is_sent(url: str, host: str) -> None:
    assert host_of(url) == host


# ---- signatures ----------------------------------------------------------------------------------------------------


def botocore_says(key_id: str, secret: str, url: str, region: str, service: str, body: str, moment: datetime) -> str:
    """The Authorization header of the SDK's own signer."""
    request = AWSRequest(method="POST", url=url, data=body.encode(), headers={"Content-Type": FORM})
    auth = SigV4Auth(Credentials(key_id, secret), service, region)
    request.context["timestamp"] = moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    auth._modify_request_before_signing(request)
    text = auth.string_to_sign(request, auth.canonical_request(request))
    auth._inject_signature_to_request(request, auth.signature(text, request))
    return str(request.headers["Authorization"])


def ours(key_id: str, secret: str, url: str, region: str, service: str, body: str, moment: datetime) -> str:
    headers = signed(
        key_id, Secret(secret), host=host_of(url), region=region, service=service, body=body, moment=moment
    )  # fmt: skip
    held = headers["Authorization"]
    assert isinstance(held, Secret)
    return held.reveal()


NAMES = st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=64)
MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@settings(max_examples=200, deadline=None)
@given(
    secret=NAMES,
    fields=st.dictionaries(NAMES, st.text(max_size=40), max_size=4),
    moment=MOMENTS,
    place=st.sampled_from(
        [("https://iam.amazonaws.com/", "us-east-1", "iam"), ("http://127.0.0.1:4566/", "eu-central-1", "sts")]
    ),
)
def test_signatures_are_those_of_the_sdk(
    secret: str, fields: dict[str, str], moment: datetime, place: tuple[str, str, str]
) -> None:
    case = ("AKIACANARY0000000", secret, *place, urlencode(fields), moment)
    assert ours(*case) == botocore_says(*case)


def test_everything_that_is_sent_is_covered_by_the_signature() -> None:
    moment = datetime(2026, 11, 24, 12, 0, tzinfo=timezone(timedelta(hours=2)))
    case = {
        "key_id": "AKIACANARY0000000", "host": "iam.amazonaws.com", "region": "us-east-1", "service": "iam",
        "body": "Action=CreateAccessKey&UserName=svc",
    }  # fmt: skip

    def signature(**changes: Any) -> str:
        held = signed(**{**case, "secret": Secret("canary-one"), "moment": moment, **changes})["Authorization"]
        assert isinstance(held, Secret)
        return held.reveal().partition("Signature=")[2]

    plain = signature()
    assert re.fullmatch(r"[0-9a-f]{64}", plain)
    others: list[dict[str, Any]] = [
        {"host": "iam.amazonaws.com:444"}, {"region": "us-east-2"}, {"service": "sts"},
        {"body": "Action=CreateAccessKey&UserName=svd"}, {"moment": moment + timedelta(seconds=1)},
        {"secret": Secret("canary-two")},
    ]  # fmt: skip
    assert len({plain, *(signature(**one) for one in others)}) == 7
    assert signature(moment=moment.astimezone(UTC)) == plain


def test_neither_secret_nor_signature_shows_in_a_request() -> None:
    headers = signed(
        "AKIACANARY0000000", Secret("canary-secret"), host="h", region="us-east-1", service="iam", body="",
        moment=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    assert "canary-secret" not in repr(headers)
    assert "Signature=" not in repr(headers)
