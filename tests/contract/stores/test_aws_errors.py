"""What each answer of AWS and each exception of the SDK means; and that none of them carries a value out."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from botocore import exceptions as sdk
from botocore.parsers import ResponseParserError

from rotator.daemon.clock import SystemClock
from rotator.daemon.logs import configure_logs, unconfigure_logs
from rotator.effects.stores.aws_errors import ROWS, Exists, Missing, Moved, Says, translated
from rotator.effects.stores.contract import Slot, Store
from rotator.effects.transport import Broken, NotSent
from rotator.plugin_api import Failed, Misconfigured, OutcomeUnknown, PluginError, Refused, Secret
from tests.contract.stores.aws_driver import AwsDriver
from tests.lab.proxy import Answer, Fault, Proxy

KINDS: dict[Says, type[Exception]] = {
    Says.MISSING: Missing, Says.EXISTS: Exists, Says.FAILED: Failed, Says.REFUSED: Refused,
    Says.MISCONFIGURED: Misconfigured,
}  # fmt: skip


def _error(code: str, text: str = "", status: int = 400, operation: str = "PutSecretValue") -> sdk.ClientError:
    meta = {"HTTPStatusCode": status, "HTTPHeaders": {"retry-after": "7"}}
    return sdk.ClientError({"Error": {"Code": code, "Message": text}, "ResponseMetadata": meta}, operation)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.code}-{row.reason}")
@pytest.mark.parametrize("writing", [True, False])
def test_every_row_says_what_it_says(row: Any, writing: bool) -> None:
    found = translated(_error(row.code, f"xx {row.text.upper()} canary"), writing=writing)
    if row.says is Says.BROKEN:
        assert type(found) is (OutcomeUnknown if writing else Failed)
    else:
        assert type(found) is KINDS[row.says]
    if isinstance(found, PluginError):
        assert (found.reason, found.status) == (row.reason, "400")
        assert "canary" not in repr(found)


def test_a_refused_parameter_of_a_label_is_a_label_that_moved_and_no_other_is() -> None:
    code = "InvalidParameterException"
    assert type(translated(_error(code, operation="UpdateSecretVersionStage"), writing=True)) is Moved
    assert type(translated(_error(code, operation="PutSecretValue"), writing=True)) is Refused


def test_a_secret_that_is_named_after_its_key_is_not_taken_for_the_key() -> None:
    text = (
        "User: arn:aws:iam::1:user/x is not authorized to perform: secretsmanager:GetSecretValue on resource: app/kms"
    )
    found = translated(_error("AccessDeniedException", text), writing=False)
    assert isinstance(found, Misconfigured)
    assert found.reason == "store_permission"


def test_the_platforms_own_wish_to_wait_is_kept() -> None:
    found = translated(_error("ThrottlingException"), writing=True)
    assert isinstance(found, Failed)
    assert found.retry_after is not None
    assert found.retry_after.total_seconds() == 7


@pytest.mark.parametrize(
    ("code", "status", "reading", "writing"),
    [
        ("Unheard", 400, Refused, Refused),
        ("400", 400, Failed, OutcomeUnknown),  # no whole JSON: somebody else's answer, or half of AWS's
        ("500", 500, Failed, OutcomeUnknown),
        ("503", 503, Failed, OutcomeUnknown),
        ("429", 429, Failed, Failed),
        ("307", 307, Misconfigured, Misconfigured),
        ("Unheard", 600, Failed, OutcomeUnknown),
    ],
)
def test_answers_that_no_row_knows(code: str, status: int, reading: type, writing: type) -> None:
    assert type(translated(_error(code, status=status), writing=False)) is reading
    assert type(translated(_error(code, status=status), writing=True)) is writing


Said = tuple[Exception, type, str, bool]
SDK: tuple[Said, ...] = (
    (NotSent("unreachable"), Failed, "unreachable", True),
    (NotSent("deadline"), Failed, "deadline", True),
    (NotSent("tls"), Misconfigured, "tls", True),
    (NotSent("address_refused"), Misconfigured, "address_refused", True),
    (NotSent("plain_http"), Misconfigured, "plain_http", True),
    (Broken("connection_lost"), OutcomeUnknown, "connection_lost", False),
    (Broken("deadline"), OutcomeUnknown, "deadline", False),
    (Broken("too_large"), OutcomeUnknown, "too_large", False),
    (sdk.ConnectTimeoutError(endpoint_url="canary"), Failed, "store_login_source", True),  # the machine's own service
    (ResponseParserError("canary"), OutcomeUnknown, "unrecognised_answer", False),
    (sdk.NoCredentialsError(), Misconfigured, "store_login_missing", True),
    (sdk.PartialCredentialsError(provider="p", cred_var="v"), Misconfigured, "store_login_missing", True),
    (sdk.ProfileNotFound(profile="p"), Misconfigured, "store_login_missing", True),
    (sdk.MetadataRetrievalError(error_msg="x"), Failed, "store_login_source", True),
    (sdk.CredentialRetrievalError(provider="p", error_msg="canary"), Misconfigured, "store_login_source", True),
    (sdk.UnauthorizedSSOTokenError(), Misconfigured, "store_login_source", True),
    (sdk.ParamValidationError(report="SecretString canary"), Refused, "too_large", True),
    (sdk.ParamValidationError(report="SecretId canary"), Refused, "refused", True),
    (FileNotFoundError("canary"), Misconfigured, "store_auth_file", True),
    (_error("AccessDenied", operation="AssumeRole"), Misconfigured, "store_login_refused", True),
    (_error("Throttling", operation="AssumeRole"), Failed, "store_login_source", True),
    (_error("500", status=500, operation="AssumeRoleWithWebIdentity"), Failed, "store_login_source", True),
    (KeyError("canary"), OutcomeUnknown, "unrecognised_answer", False),
)


@pytest.mark.parametrize(
    ("error", "kind", "reason", "unsent"), SDK, ids=[f"{type(one[0]).__name__}-{one[2]}" for one in SDK]
)
def test_exceptions_of_the_sdk(error: Exception, kind: type, reason: str, unsent: bool) -> None:
    found = translated(error, writing=True)
    assert isinstance(found, PluginError)
    assert (type(found), found.reason, found.unsent) == (kind, reason, unsent)
    assert "canary" not in repr(found)
    in_a_read = translated(error, writing=False)
    assert type(in_a_read) is (Failed if kind is OutcomeUnknown else kind)


# ---- through the whole store -----------------------------------------------------------------------------------------


@pytest.fixture
def adopted(aws: AwsDriver) -> Slot:
    slot = aws.slot()
    aws.seed(slot.path, {"password": "canary-old", "username": "svc"})
    return slot


def _answer(code: str, status: int = 400) -> Answer:
    body = {"__type": code, "message": "canary-text"}
    return Answer(status, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(body).encode())


def test_a_throttled_write_is_failed_and_sent_once_a_throttled_read_is_repeated(aws: AwsDriver, adopted: Slot) -> None:
    with Proxy(aws.server.port) as proxy:
        store = aws.open(url=proxy.url)
        throttled = proxy.rule(Fault.MADE_UP, content=b"SecretString", answer=_answer("ThrottlingException"))
        with pytest.raises(Failed, match="throttled") as caught:
            store.stage(adopted, 1, Secret("canary-new"))
        assert (throttled.struck, caught.value.unsent) == (1, False)
        proxy.clear()
        proxy.rule(Fault.MADE_UP, times=3, answer=_answer("ThrottlingException"))
        assert store.read(adopted, 1) is None
        store.close()


@pytest.mark.parametrize("code", ["DecryptionFailure", "EncryptionFailure"])
def test_a_key_that_is_disabled_is_a_matter_for_a_person(aws: AwsDriver, adopted: Slot, code: str) -> None:
    with Proxy(aws.server.port) as proxy:
        store = aws.open(url=proxy.url)
        proxy.rule(Fault.MADE_UP, content=b"AWSCURRENT", answer=_answer(code))
        with pytest.raises(Misconfigured, match="store_kms"):
            store.current(adopted)
        assert "store_kms" in store.check(adopted)
        store.close()


def test_a_redirect_is_not_followed(aws: AwsDriver, adopted: Slot) -> None:
    with Proxy(aws.server.port) as proxy, Proxy(aws.server.port) as elsewhere:
        store = aws.open(url=proxy.url)
        proxy.rule(Fault.MADE_UP, answer=Answer.redirect(elsewhere.url))
        with pytest.raises(Misconfigured, match="redirect"):
            store.stage(adopted, 1, Secret("canary-new"))
        assert elsewhere.log == []
        store.close()


def test_what_was_written_a_moment_ago_and_is_not_seen_yet_is_not_absent(aws: AwsDriver, adopted: Slot) -> None:
    with Proxy(aws.server.port) as proxy:
        store = aws.open(url=proxy.url)
        version = store.current(adopted).version
        store.stage(adopted, 2, Secret("canary-new"))
        for call in (lambda: store.read(adopted, 2), lambda: store.promote(adopted, 2, {"username": "svc"}, version)):
            lag = proxy.rule(
                Fault.MADE_UP, content=b"VersionStage.*g2", times=1, answer=_answer("ResourceNotFoundException")
            )
            assert call() is not None
            assert lag.struck
            proxy.clear()
        assert (aws.look(adopted.path) or {})["password"] == "canary-new"
        store.close()


def _said(**fields: Any) -> Answer:
    body = json.dumps({"ARN": "a", "Name": "n", **fields}).encode()
    return Answer(200, {"Content-Type": "application/x-amz-json-1.1"}, body)


def test_an_answer_about_another_version_is_no_answer(aws: AwsDriver, adopted: Slot) -> None:
    label, other = aws.names.stage(adopted, 2), "o" * 32
    with Proxy(aws.server.port) as proxy:
        store = aws.open(url=proxy.url)
        proxy.rule(Fault.REPLACED, content=b"SecretString", answer=_said(VersionId=other, VersionStages=[label]))
        with pytest.raises(OutcomeUnknown, match="incomplete_answer"):
            store.stage(adopted, 2, Secret("canary-new"))
        proxy.clear()
        value = '{"value": "canary"}'
        for labels, reason in (["other"], "incomplete_answer"), ([], "incomplete_answer"):
            answer = _said(VersionId=other, VersionStages=labels, SecretString=value)
            proxy.rule(Fault.MADE_UP, content=b"VersionStage", answer=answer)
            with pytest.raises(Failed, match=reason):
                store.read(adopted, 2)
            proxy.clear()
        assert store.read(adopted, 2) is not None
        store.close()


def test_labels_that_lag_behind_are_read_again(aws: AwsDriver, adopted: Slot) -> None:
    with Proxy(aws.server.port) as proxy:
        store = aws.open(url=proxy.url)
        stale = _as_sent(aws.describe(adopted.path) or {})
        store.stage(adopted, 2, Secret("canary-new"))
        written = store.promote(adopted, 2, {"username": "svc"}, store.current(adopted).version).version
        lag = proxy.rule(Fault.MADE_UP, content=rb'^\{"SecretId": "[^"]*"\}$', times=2, answer=stale)
        assert store.current(adopted).version == written
        assert lag.struck == 2
        store.close()


def _as_sent(described: Mapping[str, Any]) -> Answer:
    body = {name: described[name] for name in ("ARN", "Name", "VersionIdsToStages")}
    return Answer(200, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(body).encode())


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """The daemon's log at its most talkative."""
    stream = io.StringIO()
    configure_logs(SystemClock(), level="debug", stream=stream)
    for name in ("boto3", "botocore", "urllib3"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield stream
    unconfigure_logs()
    for name in ("boto3", "botocore", "urllib3"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def test_the_sdks_own_log_shows_no_value_however_talkative_it_is(
    aws: AwsDriver, adopted: Slot, log: io.StringIO
) -> None:
    store = aws.open()
    store.stage(adopted, 2, Secret("canary-new"))
    store.promote(adopted, 2, {"username": "svc"}, store.current(adopted).version)
    logging.getLogger("botocore.credentials").warning("Refreshing failed %s", "canary-argument", exc_info=True)
    with Proxy(aws.server.port) as proxy:
        broken = aws.open(url=proxy.url)
        proxy.rule(Fault.REPLACED, answer=Answer(500, {}, b"canary-body"))
        with pytest.raises(PluginError):
            broken.stage(adopted, 3, Secret("canary-three"))
    assert "botocore.credentials" in log.getvalue()
    assert "canary" not in log.getvalue()
    assert aws.key.secret not in log.getvalue()
    store.close()


Breaks = tuple[str, dict[str, Any]]
BREAKS: tuple[Breaks, ...] = (
    ("lost", {"fault": Fault.ANSWER_LOST}),
    ("reset", {"fault": Fault.RESET}),
    ("denied", {"fault": Fault.MADE_UP, "answer": _answer("AccessDeniedException")}),
    ("unheard", {"fault": Fault.MADE_UP, "answer": _answer("Unheard")}),
    ("html", {"fault": Fault.MADE_UP, "answer": Answer(200, {}, b"<html>canary</html>")}),
    ("error", {"fault": Fault.MADE_UP, "answer": Answer(500, {}, b"canary")}),
)


@pytest.mark.parametrize(("name", "rule"), BREAKS, ids=[name for name, _ in BREAKS])
def test_no_exception_carries_a_value_or_a_text_of_the_server(
    aws: AwsDriver, adopted: Slot, name: str, rule: dict[str, Any]
) -> None:
    with Proxy(aws.server.port) as proxy:
        store = aws.open(url=proxy.url)
        calls: tuple[Callable[[], object], ...] = (
            lambda: store.stage(adopted, 1, Secret("canary-new")),
            lambda: store.stage_current(adopted, 2),
            lambda: store.deposit(adopted.path, "k", Secret("canary-k"), {}, replace=False),
            lambda: store.current(adopted),
            lambda: store.clear(adopted),
        )
        proxy.rule(**rule)
        for call in calls:
            _require_silent(call)
        store.close()


def test_a_value_that_the_sdk_refuses_is_not_repeated(aws: AwsDriver, adopted: Slot) -> None:
    store: Store = aws.open()
    _require_silent(lambda: store.stage(adopted, 1, Secret("canary" * 20_000)))
    _require_silent(lambda: store.stage(adopted, 1, Secret("canary \ud800")))
    store.close()


def _require_silent(call: Callable[[], object]) -> None:
    with pytest.raises(PluginError) as caught:
        call()
    chain: BaseException | None = caught.value
    while chain is not None:
        assert "canary" not in repr(chain) + str(chain)
        chain = chain.__cause__ or chain.__context__
