"""The AWS IAM plugin against an emulator that enforces IAM, through a proxy that loses, cuts and invents answers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from rotator.plugin_api import (
    Alive,
    Failed,
    Generation,
    Inconclusive,
    Misconfigured,
    PluginError,
    PreflightRequest,
    Refused,
    Rejected,
    Subject,
)
from tests.conformance import checks
from tests.conformance.aws_iam_bench import acting_as, as_credential, as_key, issue, issued, keys_of, name, refusal, xml
from tests.conformance.bench import Bench, Credential
from tests.lab.aws import OTHER_ACCOUNT, AccessKey, AwsEmulator
from tests.lab.process import wait_until
from tests.lab.proxy import Answer, Fault
from tests.lab.shapes_aws_iam import DELETE, LIST, WHO, set_lag

DEAD = Rejected(reason="key_refused")


# ---- the cycle -----------------------------------------------------------------------------------------------------


def test_a_new_key_works_beside_the_old_one_until_that_is_deleted(
    bench: Bench, old: Credential, aws: AwsEmulator
) -> None:
    new = issued(bench)
    assert new.target.handle != old.target.handle
    for one in (old, new):
        assert bench.probe(one) == Alive(principal=bench.subject.principal, handle=one.target.handle)
        assert aws.identity(as_key(one)) == f"arn:aws:iam::{aws.account}:user/governed/{bench.subject.principal}"

    assert not bench.revoke(old).already

    assert bench.probe(old) == DEAD
    assert aws.identity(as_key(old)) == "InvalidClientTokenId"
    assert isinstance(bench.probe(new), Alive)
    assert keys_of(aws, bench.subject.principal) == {new.target.handle: "Active"}
    assert bench.revoke(old).already, "gone is gone"


def test_the_secret_is_given_once_and_stands_in_nothing_else(bench: Bench) -> None:
    made = issue(bench)
    rows = bench.platform().listing(bench.call(), bench.subject)
    assert {row.handle for row in rows} >= {made.handle}
    assert made.value.reveal() not in repr((made, rows))
    assert made.principal == bench.subject.principal


def test_a_third_key_is_refused_and_changes_nothing(bench: Bench, old: Credential, aws: AwsEmulator) -> None:
    issued(bench)
    before = keys_of(aws, bench.subject.principal)
    with pytest.raises(Refused) as caught:
        issue(bench)
    assert (caught.value.reason, caught.value.status) == ("no_free_slot", "LimitExceeded")
    assert keys_of(aws, bench.subject.principal) == before


def test_the_list_says_when_a_key_was_made(bench: Bench, old: Credential) -> None:
    (row,) = bench.platform().listing(bench.call(), bench.subject)
    assert (row.handle, row.principal, row.label) == (old.target.handle, bench.subject.principal, None)
    assert row.created_at is not None
    assert abs(row.created_at - datetime.now(UTC)) < timedelta(minutes=1)


def test_the_list_says_when_a_key_was_used_last(bench: Bench, old: Credential) -> None:
    """This emulator never knows; what AWS documents is put in its place."""
    said = (
        '<GetAccessKeyLastUsedResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><GetAccessKeyLastUsedResult>'
        "<UserName>x</UserName><AccessKeyLastUsed><Region>eu-west-1</Region><ServiceName>s3</ServiceName>"
        "<LastUsedDate>2026-11-20T09:30:00Z</LastUsedDate></AccessKeyLastUsed></GetAccessKeyLastUsedResult>"
        "</GetAccessKeyLastUsedResponse>"
    )
    bench.proxy.rule(Fault.MADE_UP, content=b"Action=GetAccessKeyLastUsed&", answer=xml(200, said))
    (row,) = bench.platform().listing(bench.call(), bench.subject)
    assert row.last_used_at == datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


def test_a_key_that_is_switched_off_is_still_there(bench: Bench, old: Credential, aws: AwsEmulator) -> None:
    """It holds a place and can be switched on again, so it is listed; STS refuses it like one that is gone."""
    user, handle = bench.subject.principal, old.target.handle
    aws.root("iam").update_access_key(UserName=user, AccessKeyId=handle, Status="Inactive")
    (row,) = bench.platform().listing(bench.call(), bench.subject)
    assert (row.handle, row.active) == (handle, True)
    assert bench.probe(old) == DEAD
    assert not bench.revoke(old).already
    assert keys_of(aws, user) == {}


def test_everything_that_can_be_seen_is_listed_user_by_user(bench: Bench, old: Credential) -> None:
    rows = bench.platform().listing(bench.call(), None)
    mine = [row.handle for row in rows if row.principal == bench.subject.principal]
    assert mine == [old.target.handle]


def test_pages_are_read_to_the_end_and_a_broken_page_is_no_short_list(bench: Bench, old: Credential) -> None:
    page = (
        "<ListAccessKeysResponse><ListAccessKeysResult><AccessKeyMetadata><member><UserName>{0}</UserName>"
        "<AccessKeyId>AKIACANARYPAGE{1}</AccessKeyId><Status>Active</Status></member></AccessKeyMetadata>{2}"
        "</ListAccessKeysResult></ListAccessKeysResponse>"
    )
    user = bench.subject.principal
    more = "<IsTruncated>true</IsTruncated><Marker>next one</Marker>"
    bench.proxy.rule(
        Fault.MADE_UP, content=rb"Action=ListAccessKeys&.*Marker=next\+one", times=1,
        answer=xml(200, page.format(user, "0002", "<IsTruncated>false</IsTruncated>")),
    )  # fmt: skip
    bench.proxy.rule(Fault.MADE_UP, content=LIST, answer=xml(200, page.format(user, "0001", more)))
    rows = bench.platform().listing(bench.call(), bench.subject)
    assert [row.handle[-4:] for row in rows] == ["0001", "0002"]
    with pytest.raises(Failed):  # page two now says the same marker for ever
        bench.platform().listing(bench.call(), bench.subject)


@pytest.mark.parametrize(
    "text",
    [
        "<ListAccessKeysResponse/>",
        "<ListAccessKeysResponse><ListAccessKeysResult><AccessKeyMetadata/></ListAccessKeysResult>"
        "</ListAccessKeysResponse>",
        "<ListAccessKeysResponse><ListAccessKeysResult><IsTruncated>false</IsTruncated></ListAccessKeysResult>"
        "</ListAccessKeysResponse>",
        "<ListAccessKeysResponse><ListAccessKeysResult><AccessKeyMetadata/><IsTruncated>perhaps</IsTruncated>"
        "</ListAccessKeysResult></ListAccessKeysResponse>",
        "<ListAccessKeysResponse><ListAccessKeysResult><AccessKeyMetadata/><IsTruncated>true</IsTruncated>"
        "</ListAccessKeysResult></ListAccessKeysResponse>",
        "<ListAccessKeysResponse><ListAccessKeysResult><AccessKeyMetadata><member><UserName>other</UserName>"
        "<AccessKeyId>AKIACANARY0000000</AccessKeyId></member></AccessKeyMetadata><IsTruncated>false</IsTruncated>"
        "</ListAccessKeysResult></ListAccessKeysResponse>",
        "<html><body>Please log in</body></html>",
        "",
    ],
    ids=["nothing", "no end", "no list", "no yes or no", "more without marker", "another user", "page", "empty"],
)
def test_an_answer_that_is_no_list_is_no_empty_list(bench: Bench, text: str) -> None:
    bench.proxy.rule(Fault.MADE_UP, content=LIST, answer=xml(200, text))
    with pytest.raises(PluginError):
        bench.platform().listing(bench.call(), bench.subject)


def test_keys_of_a_user_that_does_not_exist_are_no_empty_list(bench: Bench, mighty: AccessKey) -> None:
    nobody = replace(acting_as(bench, mighty), subject=Subject(principal=name("nobody")))
    for work in (lambda: nobody.platform().listing(bench.call(), nobody.subject), lambda: issue(nobody)):
        with pytest.raises(Refused) as caught:
            work()
        assert caught.value.reason == "not_found"


# ---- who it is -----------------------------------------------------------------------------------------------------


def test_a_key_of_another_user_is_alive_as_that_user(bench: Bench, aws: AwsEmulator) -> None:
    other = name("other")
    found = bench.probe(as_credential(bench, aws.create_user(other)))
    assert isinstance(found, Alive)
    assert found.principal == other


def test_a_key_of_a_user_of_the_same_name_in_another_account_is_a_stranger(bench: Bench, aws: AwsEmulator) -> None:
    user = bench.subject.principal
    found = bench.probe(as_credential(bench, aws.create_user(user, account=OTHER_ACCOUNT)))
    assert isinstance(found, Alive)
    assert found.principal == f"{OTHER_ACCOUNT}:{user}"


def test_the_roots_key_is_no_user(bench: Bench, aws: AwsEmulator) -> None:
    found = bench.probe(as_credential(bench, aws.root_key()))
    assert isinstance(found, Alive)
    assert found.principal == f"arn:aws:iam::{aws.account}:root"


def test_a_value_whose_key_id_is_not_known_is_not_tried(bench: Bench, old: Credential) -> None:
    seen = len(bench.proxy.log)
    assert bench.probe(Credential(old.value, Generation(subject=bench.subject))) == Inconclusive(
        reason="key_id_missing"
    )
    assert len(bench.proxy.log) == seen


# ---- what proves nothing -------------------------------------------------------------------------------------------


def test_a_wrong_secret_says_nothing_about_the_key(bench: Bench, old: Credential) -> None:
    wrong = Credential("canary" * 6, old.target)
    assert bench.probe(wrong) == Inconclusive(reason="signature_refused")


OTHER_REFUSALS = {
    "another code": refusal(403, "SignatureDoesNotMatch"),
    "a clock": refusal(403, "SignatureDoesNotMatch", "Signature expired: 20261124T0 is now earlier than 20261124T1"),
    "denied": refusal(403, "AccessDenied"),
    "expired": refusal(403, "ExpiredToken"),
    "region is off": refusal(403, "RegionDisabledException"),
    "throttled": refusal(400, "Throttling"),
    "the words with 400": refusal(400, "InvalidClientTokenId"),
    "the words with 200": refusal(200, "InvalidClientTokenId"),
    "the words with 500": refusal(500, "InvalidClientTokenId"),
    "json": Answer.json(403, {"ErrorResponse": {"Error": {"Code": "InvalidClientTokenIdX"}}}),
    "cut": xml(403, "<ErrorResponse><Error><Code>InvalidClientTokenId</Code>"),
    "a document type": xml(
        403,
        '<!DOCTYPE x [<!ENTITY c "InvalidClientTokenId">]>'
        "<ErrorResponse><Error><Code>&c;</Code></Error></ErrorResponse>",
    ),
    "elsewhere": xml(403, "<Error><Code>InvalidClientTokenId</Code></Error>"),
}


@pytest.mark.parametrize("answer", [*checks.FOREIGN.values(), *OTHER_REFUSALS.values()])
def test_refusal_is_not_death(bench: Bench, old: Credential, answer: Answer) -> None:
    checks.refusal_is_not_death(bench, old, answer)


def test_a_clock_that_is_wrong_is_named(bench: Bench, old: Credential) -> None:
    bench.proxy.rule(Fault.MADE_UP, content=WHO, answer=OTHER_REFUSALS["a clock"])
    assert bench.probe(old) == Inconclusive(reason="clock_skew")
    with pytest.raises(Misconfigured) as caught:
        bench.platform().preflight(bench.call(), PreflightRequest(subject=bench.subject))
    assert caught.value.reason == "clock_skew"


def test_silence_is_not_death(bench: Bench, old: Credential) -> None:
    checks.silence_is_not_death(bench, old)


@pytest.mark.parametrize("arn", ["arn:aws:iam::999900001111:user/x", "arn:aws:iam::12:user/x", "", "x"])
def test_an_identity_that_contradicts_itself_is_none_of_ours(bench: Bench, old: Credential, arn: str) -> None:
    said = (
        f"<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>{arn}</Arn><Account>111122223333</Account>"
        "</GetCallerIdentityResult></GetCallerIdentityResponse>"
    )
    bench.proxy.rule(Fault.MADE_UP, content=WHO, answer=xml(200, said))
    found = bench.probe(old)
    assert not (isinstance(found, Alive) and found.principal == bench.subject.principal)
    assert found != DEAD


# ---- IAM is seen late ----------------------------------------------------------------------------------------------


def test_a_new_key_is_refused_at_first_in_the_words_of_a_dead_one(bench: Bench, aws: AwsEmulator) -> None:
    """Which is why the kind settles: the verdict before that means nothing."""
    set_lag(aws, 1.0)
    new = issued(bench)
    assert bench.probe(new) == DEAD
    wait_until(lambda: isinstance(bench.probe(new), Alive), "the key", 10)
    (kind,) = bench.plugin.kinds
    assert kind.traits.settle == timedelta(seconds=60)


def test_a_deleted_key_works_on_for_a_while(bench: Bench, old: Credential, aws: AwsEmulator) -> None:
    set_lag(aws, 1.0)
    bench.revoke(old)
    assert isinstance(bench.probe(old), Alive)
    wait_until(lambda: bench.probe(old) == DEAD, "its death", 10)


def test_gone_is_not_believed_while_the_key_is_listed(bench: Bench, old: Credential) -> None:
    """A replica that has not heard of the key yet says that there is none."""
    bench.proxy.rule(Fault.MADE_UP, content=DELETE, answer=refusal(404, "NoSuchEntity"), times=1)
    with pytest.raises(Failed) as caught:
        bench.revoke(old)
    assert caught.value.reason == "busy"
    assert isinstance(bench.probe(old), Alive)
