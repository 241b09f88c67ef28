"""The AWS IAM plugin's writes against the emulator, who acts in them, and that no secret leaves by them."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable
from dataclasses import replace

import pytest

from rotator.plugin_api import (
    Alive,
    Failed,
    Generation,
    Inconclusive,
    Misconfigured,
    OutcomeUnknown,
    PluginError,
    PreflightRequest,
    Ready,
    Refused,
    Rejected,
    Subject,
)
from tests.conformance import checks
from tests.conformance.aws_iam_bench import (
    ADMIN,
    acting_as,
    another_key,
    as_credential,
    governed,
    issue,
    issued,
    keys_of,
    name,
    refusal,
    xml,
)
from tests.conformance.bench import Bench, Credential
from tests.lab.aws import OTHER_ACCOUNT, AccessKey, AwsEmulator
from tests.lab.proxy import Answer, Fault, Proxy
from tests.lab.shapes_aws_iam import CREATE, DELETE

DEAD = Rejected(reason="key_refused")


# ---- writing -------------------------------------------------------------------------------------------------------


def test_a_lost_answer_to_a_create_is_unknown_and_the_list_shows_one_stranger(
    bench: Bench, old: Credential, aws: AwsEmulator
) -> None:
    before = {row.handle for row in bench.platform().listing(bench.call(), bench.subject)}
    rule = bench.proxy.rule(Fault.ANSWER_LOST, content=CREATE, times=1)
    with pytest.raises(OutcomeUnknown):
        issue(bench)
    assert rule.struck == 1
    after = {row.handle for row in bench.platform().listing(bench.call(), bench.subject)}
    assert before == {old.target.handle}
    assert len(after - before) == 1
    assert isinstance(bench.probe(old), Alive)


def test_half_an_answer_to_a_create_is_unknown(bench: Bench) -> None:
    bench.proxy.rule(Fault.HALF_ANSWER, content=CREATE, times=1)
    with pytest.raises(OutcomeUnknown):
        issue(bench)


@pytest.mark.parametrize("drop", ["SecretAccessKey", "AccessKeyId", "UserName", "AccessKey"])
def test_a_success_without_its_parts_is_unknown(bench: Bench, drop: str) -> None:
    said = (
        f"<CreateAccessKeyResponse><CreateAccessKeyResult><AccessKey><UserName>{bench.subject.principal}</UserName>"
        "<AccessKeyId>AKIACANARY0000000</AccessKeyId><SecretAccessKey>canary-secret</SecretAccessKey></AccessKey>"
        "</CreateAccessKeyResult></CreateAccessKeyResponse>"
    )
    bench.proxy.rule(Fault.MADE_UP, content=CREATE, answer=xml(200, said.replace(f"{drop}>", "Other>")))
    with pytest.raises(OutcomeUnknown):
        issue(bench)


def test_a_key_made_for_somebody_else_is_unknown(bench: Bench) -> None:
    said = (
        "<CreateAccessKeyResponse><CreateAccessKeyResult><AccessKey><UserName>other</UserName><AccessKeyId>"
        "AKIACANARY0000000</AccessKeyId><SecretAccessKey>canary-secret</SecretAccessKey></AccessKey>"
        "</CreateAccessKeyResult></CreateAccessKeyResponse>"
    )
    bench.proxy.rule(Fault.MADE_UP, content=CREATE, answer=xml(200, said))
    with pytest.raises(OutcomeUnknown):
        issue(bench)


def test_a_create_that_was_never_sent_failed_and_made_nothing(bench: Bench, old: Credential, aws: AwsEmulator) -> None:
    with bench.proxy.refusing(), pytest.raises(Failed) as caught:
        issue(bench)
    assert caught.value.unsent
    assert list(keys_of(aws, bench.subject.principal)) == [old.target.handle]


@pytest.mark.parametrize(
    ("answer", "error", "reason"),
    [
        (Answer(503), OutcomeUnknown, "server_error"),
        (refusal(500, "ServiceFailure"), OutcomeUnknown, "server_error"),
        (refusal(503, "ServiceUnavailable"), OutcomeUnknown, "server_error"),
        (Answer.too_many(1), Failed, "throttled"),
        (refusal(400, "Throttling"), Failed, "throttled"),
        (refusal(409, "ConcurrentModification"), Failed, "busy"),
        (refusal(409, "EntityTemporarilyUnmodifiable"), Failed, "busy"),
        (refusal(409, "LimitExceeded"), Refused, "no_free_slot"),
        (refusal(403, "AccessDenied"), Misconfigured, "access_denied"),
        (refusal(403, "InvalidClientTokenId"), Misconfigured, "acting_refused"),
        (refusal(403, "SignatureDoesNotMatch"), Misconfigured, "acting_refused"),
        (refusal(400, "ValidationError"), Refused, "refused"),
    ],
)
def test_a_create_is_sent_once_and_ends_as_the_service_says(
    bench: Bench, answer: Answer, error: type[PluginError], reason: str
) -> None:
    rule = bench.proxy.rule(Fault.MADE_UP, content=CREATE, answer=answer)
    with pytest.raises(error) as caught:
        issue(bench)
    assert (caught.value.reason, rule.hits) == (reason, 1)


def test_a_lost_answer_to_a_delete_is_unknown_and_the_next_says_gone(bench: Bench, old: Credential) -> None:
    bench.proxy.rule(Fault.ANSWER_LOST, content=DELETE, times=1)
    with pytest.raises(OutcomeUnknown):
        bench.revoke(old)
    assert bench.revoke(old).already
    assert bench.probe(old) == DEAD


def test_only_the_key_that_is_named_is_deleted(bench: Bench, old: Credential, aws: AwsEmulator) -> None:
    neighbour, other = issued(bench), name("svc")
    theirs = as_credential(bench, governed(aws, other), Subject(principal=other))
    wrong = Credential(theirs.value, Generation(subject=bench.subject, handle=theirs.target.handle))
    assert bench.revoke(wrong).already, "this user has no such key"
    assert isinstance(bench.probe(theirs), Alive), "and the other user's is untouched"
    bench.revoke(old)
    assert isinstance(bench.probe(neighbour), Alive)


@pytest.mark.parametrize("handle", ["", "*", "AKIA&UserName=x", "AKIACANARY0000000&AccessKeyId=x", "../x", "A\nB", "x"])
def test_a_hostile_handle_deletes_nothing(bench: Bench, old: Credential, handle: str) -> None:
    target = Credential("unused", Generation(subject=bench.subject, handle=handle))
    seen = len(bench.proxy.log)
    with pytest.raises((Refused, Misconfigured)):
        bench.revoke(target)
    assert len(bench.proxy.log) == seen
    assert isinstance(bench.probe(old), Alive)


@pytest.mark.parametrize("user", ["", "*", "a&Action=DeleteUser", "a/b", "x" * 65, "ä", "a\nb"])
def test_a_hostile_user_name_is_never_sent(bench: Bench, old: Credential, user: str) -> None:
    hostile = replace(bench, subject=Subject(principal=user))
    for work in (
        lambda: issue(hostile),
        lambda: hostile.platform().listing(bench.call(), hostile.subject),
        lambda: bench.revoke(Credential("", Generation(subject=hostile.subject, handle=old.target.handle))),
    ):
        seen = len(bench.proxy.log)
        with pytest.raises(Refused):
            work()
        assert len(bench.proxy.log) == seen


# ---- who acts ------------------------------------------------------------------------------------------------------


def test_preflight_says_who_acts_and_what_is_in_the_way(
    bench: Bench, old: Credential, admin: AccessKey, aws: AwsEmulator
) -> None:
    def ready(at: Bench = bench) -> Ready:
        return at.platform().preflight(at.call(), PreflightRequest(subject=at.subject))

    assert ready().findings == ()
    assert ready().acting == ADMIN
    assert ready(replace(bench, subject=Subject(principal=name("nobody")))).findings == ("may_not_list",)
    assert ready(replace(bench, subject=Subject(principal="no such"))).findings == ("not_a_user_name",)
    assert ready(replace(bench, settings={**bench.settings, "account": OTHER_ACCOUNT})).findings == ("other_account",)
    another_key(aws, bench.subject.principal)
    assert ready().findings == ("slots_full",)


def test_preflight_names_a_missing_user_and_an_admin_that_is_another(
    bench: Bench, old: Credential, mighty: AccessKey
) -> None:
    def findings(at: Bench, principal: str) -> tuple[str, ...]:
        return at.platform().preflight(at.call(), PreflightRequest(subject=Subject(principal=principal))).findings

    assert findings(acting_as(bench, mighty), name("nobody")) == ("user_missing",)
    assert findings(bench, ADMIN) == ()
    assert findings(acting_as(bench, mighty), ADMIN) == ("other_admin",)


@pytest.mark.parametrize("handle", [None, "", "rotator", "AKIA/../x"])
def test_an_admin_whose_key_id_is_not_known_sends_nothing(bench: Bench, old: Credential, handle: str | None) -> None:
    at = replace(bench, admin_handle=handle)
    with pytest.raises(Misconfigured) as caught:
        issue(at)
    assert (caught.value.reason, at.proxy.log) == ("admin_id_missing", [])
    assert isinstance(at.platform().witness(at.call()), Inconclusive)


def test_the_key_that_acts_is_never_deleted_by_itself(bench: Bench, admin: AccessKey) -> None:
    seen = len(bench.proxy.log)
    with pytest.raises(Failed) as caught:
        bench.revoke(as_credential(bench, admin))
    assert (caught.value.reason, len(bench.proxy.log)) == ("acting_key", seen)


def test_the_admins_own_key_is_a_witness(bench: Bench, admin: AccessKey) -> None:
    found = bench.platform().witness(bench.call())
    assert isinstance(found, Alive)
    assert found.handle == admin.key_id


def test_a_dead_admin_is_a_matter_for_a_person_and_no_verdict(bench: Bench, old: Credential) -> None:
    dead = bench.platform(admin_value="canary" * 6)
    for work in (
        lambda: dead.preflight(bench.call(), PreflightRequest(subject=bench.subject)),
        lambda: dead.listing(bench.call(), bench.subject),
        lambda: bench.revoke(old, dead),
        lambda: issue(bench, dead),
    ):
        with pytest.raises(Misconfigured) as caught:
            work()
        assert caught.value.reason == "acting_refused"
    assert isinstance(bench.probe(old, dead), Alive)


def test_a_redirect_is_not_followed(bench: Bench, old: Credential, start_proxy: Callable[..., Proxy]) -> None:
    checks.redirect(bench, old, start_proxy(bench.proxy.upstream_port))


def test_nothing_of_this_machine_acts_in_place_of_the_admin(
    bench: Bench, old: Credential, aws: AwsEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An SDK would find these; here nobody looks."""
    root = aws.root_key()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", root.key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", root.secret)
    weak = acting_as(bench, aws.create_user(name("weak")))
    with pytest.raises(Misconfigured) as caught:
        issue(weak)
    assert caught.value.reason == "access_denied"


# ---- secrets -------------------------------------------------------------------------------------------------------


def test_no_secret_is_sent_nor_told(bench: Bench, old: Credential) -> None:
    words: list[str] = []
    for code in ("AccessDenied", "Throttling", "NoSuchEntity", "InvalidClientTokenId", old.value):
        bench.proxy.clear()
        bench.proxy.rule(Fault.MADE_UP, answer=refusal(403, code, f"no: {old.value} {bench.admin_value}"))
        for work in (lambda: issue(bench), lambda: bench.probe(old), lambda: bench.revoke(old)):
            try:
                words.append(repr(work()))
            except PluginError as error:
                words.append("".join(traceback.format_exception(error)))
    assert len(words) == 15
    assert not any(value in text for text in words for value in (old.value, bench.admin_value))
    with contextlib.suppress(PluginError):
        issue(bench)
    assert all(event.path == "/" for event in bench.proxy.log)
