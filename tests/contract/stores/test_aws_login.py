"""Who the store is at AWS: the SDK's chain, a role, a token; and what is said when it is nobody."""

from __future__ import annotations

import json
import subprocess
import sys
from base64 import urlsafe_b64encode
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rotator.effects.stores.aws_config import AssumeRole, AwsConfig, DefaultChain, WebIdentity
from rotator.effects.stores.aws_login import make_client
from rotator.effects.stores.aws_wire import Wire
from rotator.effects.stores.contract import Store
from rotator.effects.stores.opening import open_store
from rotator.effects.transport import Transport
from rotator.plugin_api import Failed, Misconfigured
from tests.contract.stores.aws_driver import AwsDriver, policy
from tests.contract.stores.drivers import RealClock, private
from tests.contract.stores.recording import Recorder, RecordingProxy
from tests.lab.aws import AccessKey, AwsEmulator
from tests.lab.proxy import Answer, Fault, Proxy
from tests.lab.tls import Authority

pytestmark = pytest.mark.long

NAMES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_CONFIG_FILE")


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment in which the SDK finds nothing and asks nobody."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none-either"))
    monkeypatch.setenv("HOME", str(tmp_path))
    return monkeypatch


def _opened(driver: AwsDriver, auth: DefaultChain | AssumeRole | WebIdentity, **more: Any) -> Store:
    driver.seed(driver.slot().path, {"password": "old"})
    return driver.open(auth=auth, **more)


def _works(driver: AwsDriver, store: Store) -> bool:
    value = store.fetch(driver.slot().path, "password")
    return value is not None and value.reveal() == "old"


def test_keys_of_the_environment(aws: AwsDriver, bare: pytest.MonkeyPatch) -> None:
    bare.setenv("AWS_ACCESS_KEY_ID", aws.key.key_id)
    bare.setenv("AWS_SECRET_ACCESS_KEY", aws.key.secret)
    assert _works(aws, _opened(aws, DefaultChain()))


def test_a_profile_is_used_and_the_environment_is_not(aws: AwsDriver, bare: pytest.MonkeyPatch) -> None:
    bare.setenv("AWS_ACCESS_KEY_ID", "AKIAWRONG")
    bare.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    assert _works(aws, _opened(aws, DefaultChain(aws.profile, aws.credentials)))


def test_the_containers_own_service(aws: AwsDriver, bare: pytest.MonkeyPatch) -> None:
    user = {"AWS": f"arn:aws:iam::{aws.server.account}:user/{aws.user}"}
    arn = _role(aws, "task", _trust(user, "sts:AssumeRole"))
    _may_assume(aws)
    key = aws.server.client("sts", aws.key).assume_role(RoleArn=arn, RoleSessionName="task")["Credentials"]
    body = {
        "AccessKeyId": key["AccessKeyId"], "SecretAccessKey": key["SecretAccessKey"], "Token": key["SessionToken"],
        "Expiration": key["Expiration"].isoformat(),
    }  # fmt: skip
    with Recorder(200, {"Content-Type": "application/json"}, json.dumps(body).encode()) as service:
        bare.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{service.url}/role")
        assert _works(aws, _opened(aws, DefaultChain()))
        assert len(service.requests) >= 1


def test_nothing_found_is_said_and_looked_for_again(aws: AwsDriver, bare: pytest.MonkeyPatch) -> None:
    store = _opened(aws, DefaultChain())
    with pytest.raises(Misconfigured, match="store_login_missing") as caught:
        store.current(aws.slot())
    assert caught.value.unsent
    bare.setenv("AWS_ACCESS_KEY_ID", aws.key.key_id)
    bare.setenv("AWS_SECRET_ACCESS_KEY", aws.key.secret)
    assert _works(aws, store)


def test_a_profile_that_is_not_there(aws: AwsDriver) -> None:
    with pytest.raises(Misconfigured, match="store_login_missing"):
        _opened(aws, DefaultChain("absent", aws.credentials)).current(aws.slot())


def test_a_key_that_was_replaced_in_the_file_is_found_without_a_restart(aws: AwsDriver) -> None:
    store = _opened(aws, DefaultChain(aws.profile, aws.credentials))
    assert _works(aws, store)
    iam = aws.server.root("iam")
    made = iam.create_access_key(UserName=aws.user)["AccessKey"]
    iam.update_access_key(UserName=aws.user, AccessKeyId=aws.key.key_id, Status="Inactive")
    with pytest.raises(Misconfigured, match="store_login_refused"):
        store.current(aws.slot())
    aws.use_key(AccessKey(made["AccessKeyId"], made["SecretAccessKey"]))
    assert _works(aws, store)
    store.close()


@pytest.mark.parametrize("wrong", ["secret", "unknown"])
def test_a_refused_key(aws: AwsDriver, wrong: str) -> None:
    aws.use_key(AccessKey(aws.key.key_id if wrong == "secret" else "AKIAUNKNOWN", "canary-wrong"))
    with pytest.raises(Misconfigured, match="store_login_refused"):
        _opened(aws, DefaultChain(aws.profile, aws.credentials)).current(aws.slot())


# ---- roles -----------------------------------------------------------------------------------------------------------


def _trust(principal: Any, action: str, **condition: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Principal": principal, "Action": action}
    return {"Version": "2012-10-17", "Statement": [statement | ({"Condition": condition} if condition else {})]}


def _may_assume(driver: AwsDriver) -> None:
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}
    driver.set_policy({"Version": "2012-10-17", "Statement": [statement]})


def _role(driver: AwsDriver, name: str, trust: dict[str, Any]) -> str:
    whole = policy(driver.server, driver.installation, driver.app)
    return driver.server.create_role(f"{name}-{driver.user}", trust, whole)


@pytest.fixture
def chain(aws: AwsDriver) -> DefaultChain:
    return DefaultChain(aws.profile, aws.credentials)


def test_a_role_is_taken_and_carries_the_permissions(aws: AwsDriver, chain: DefaultChain) -> None:
    user = {"AWS": f"arn:aws:iam::{aws.server.account}:user/{aws.user}"}
    arn = _role(aws, "role", _trust(user, "sts:AssumeRole", StringEquals={"sts:ExternalId": "ext-1"}))
    _may_assume(aws)
    assert _works(aws, _opened(aws, AssumeRole(arn, "ext-1", chain=chain)))
    with pytest.raises(Misconfigured, match="store_permission"):  # the user alone may nothing
        _opened(aws, chain).current(aws.slot())


def test_a_role_that_does_not_trust_us_is_a_refused_login_and_nothing_was_sent(
    aws: AwsDriver, chain: DefaultChain
) -> None:
    other = {"AWS": f"arn:aws:iam::{aws.server.account}:user/somebody"}
    arn = _role(aws, "strict", _trust(other, "sts:AssumeRole"))
    _may_assume(aws)
    with pytest.raises(Misconfigured, match="store_login_refused") as caught:
        _opened(aws, AssumeRole(arn, chain=chain)).clear(aws.slot())
    assert caught.value.unsent


def test_a_login_that_fails_in_passing_is_never_an_unknown_write(aws: AwsDriver, chain: DefaultChain) -> None:
    user = {"AWS": f"arn:aws:iam::{aws.server.account}:user/{aws.user}"}
    arn = _role(aws, "passing", _trust(user, "sts:AssumeRole"))
    _may_assume(aws)
    with Proxy(aws.server.port) as proxy:
        store = _opened(aws, AssumeRole(arn, chain=chain), sts_url=proxy.url)
        for fault, reason in (
            ({"fault": Fault.MADE_UP, "answer": Answer(503, {}, b"")}, "store_login_source"),
            (
                {"fault": Fault.REPLACED, "answer": Answer(200, {"Content-Type": "text/xml"}, b"<a/>")},
                "store_login_source",
            ),
            ({"fault": Fault.HALF_ANSWER}, "store_login_source"),
        ):
            proxy.rule(**fault)
            with pytest.raises(Failed, match=reason):
                store.fetch(aws.slot().path, "password")
            proxy.clear()
        assert _works(aws, store)


def test_a_token_of_an_identity_provider_is_read_anew_for_every_session(aws: AwsDriver, tmp_path: Path) -> None:
    """The emulator reads the token's claims and does not check its signature: that part was not run."""
    provider = {"Federated": f"arn:aws:iam::{aws.server.account}:oidc-provider/issuer.example"}
    trust = _trust(provider, "sts:AssumeRoleWithWebIdentity", StringEquals={"issuer.example:sub": "rotator"})
    arn = _role(aws, "web", trust)
    file = private(tmp_path / "token", _token("somebody"))
    store = _opened(aws, WebIdentity(arn, file))
    with pytest.raises(Misconfigured, match="store_login_refused"):
        store.current(aws.slot())
    private(file, _token("rotator") + "\n")
    assert _works(aws, store)
    file.unlink()
    with pytest.raises(Misconfigured, match="store_auth_file"):
        _opened(aws, WebIdentity(arn, file)).current(aws.slot())


def _token(subject: str) -> str:
    parts = ({"alg": "none"}, {"iss": "https://issuer.example", "sub": subject, "aud": "sts.amazonaws.com"}, {})
    return ".".join(urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)


# ---- addresses, imports ----------------------------------------------------------------------------------------------


def test_no_address_is_taken_from_the_environment(
    aws: AwsDriver, bare: pytest.MonkeyPatch, chain: DefaultChain
) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_ENDPOINT_URL_STS"):
        bare.setenv(name, "http://127.0.0.1:9")
    config = AwsConfig("eu-central-1", "here", chain)
    made = make_client(config, Wire(Transport(RealClock())))
    assert made.meta.endpoint_url == "https://secretsmanager.eu-central-1.amazonaws.com"
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        bare.setenv(name, "http://127.0.0.1:9")
    assert _works(aws, _opened(aws, chain))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"url": "http://10.0.0.1"}, "store_insecure_url"),
        ({"sts_url": "http://10.0.0.1"}, "store_insecure_url"),
        ({"url": "ftp://x"}, "store_url"),
        ({"url": "https://169.254.169.254"}, "address_refused"),
        ({"ca": Path("/nonexistent.pem")}, "store_ca"),
        ({"installation": "Not A Slug"}, "store_installation"),
    ],
)
def test_what_cannot_be_opened_is_refused_before_anything_is_sent(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(Misconfigured, match=reason):
        open_store(replace(AwsConfig("eu-central-1", "here"), **change), RealClock())


def test_the_sdk_is_imported_only_for_a_configured_store() -> None:
    script = "import sys, rotator.daemon.bootstrap; sys.exit(bool({'boto3', 'botocore'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], timeout=60, check=False).returncode == 0


def test_only_the_configured_authority_is_trusted(tmp_path: Path) -> None:
    for folder in ("ours", "other"):
        (tmp_path / folder).mkdir()
    ours, other = Authority(tmp_path / "ours"), Authority(tmp_path / "other")
    with AwsEmulator(ours.server()) as server:
        driver = AwsDriver(server, tmp_path)
        store = _opened(driver, DefaultChain(driver.profile, driver.credentials), ca=ours.ca)
        assert _works(driver, store)
        for ca in (None, other.ca):
            with pytest.raises(Misconfigured, match="tls") as caught:
                driver.open(ca=ca).clear(driver.slot())
            assert caught.value.unsent


def test_requests_say_who_sends_them(aws: AwsDriver, chain: DefaultChain) -> None:
    with RecordingProxy(aws.server.url) as proxy:
        store = _opened(aws, chain, url=proxy.url, user_agent="rotator/9 (store)")
        assert _works(aws, store)
        assert [seen.headers["User-Agent"].split()[-2:] for seen in proxy.seen] == [["rotator/9", "(store)"]]


def test_opening_sends_nothing(aws: AwsDriver, chain: DefaultChain) -> None:
    with Proxy(aws.server.port) as proxy:
        aws.open(url=proxy.url, auth=chain).close()
        assert proxy.log == []
