"""What is AWS's alone: quotas, names, other accounts, keys, secrets that are deleted, empty, or none of ours."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from rotator.effects.stores import aws_secret
from rotator.effects.stores.aws_names import secret_id
from rotator.effects.stores.contract import ABSENT, Mark, Slot, Store
from rotator.plugin_api import Failed, Misconfigured, Refused, Secret
from tests.contract.stores.aws_driver import AwsDriver
from tests.contract.stores.steps import text
from tests.unit.hostile_server import drip, hostile


@pytest.fixture
def store(aws: AwsDriver) -> Iterator[Store]:
    opened = aws.open()
    yield opened
    opened.close()


@pytest.fixture
def slot(aws: AwsDriver) -> Slot:
    """A secret that is there, adopted by nobody yet."""
    found = aws.slot()
    aws.seed(found.path, {"password": "old", "username": "svc"})
    return found


# ---- labels and versions ---------------------------------------------------------------------------------------------


def test_labels_and_versions_after_a_promote(aws: AwsDriver, store: Store, slot: Slot) -> None:
    before = aws.labels(slot.path)["AWSCURRENT"]
    store.stage_current(slot, 1)
    store.stage(slot, 2, Secret("new"))
    written = store.promote(slot, 2, {"username": "svc"}, store.current(slot).version).version
    prefix = f"rotator.{aws.installation}.{slot.credential}"
    labels = aws.labels(slot.path)
    current = labels["AWSCURRENT"]
    assert labels == {
        "AWSCURRENT": current, "AWSPREVIOUS": before, f"{prefix}.last": current,
        f"{prefix}.g1": aws.names.stage_token(slot, 1), f"{prefix}.g2": aws.names.stage_token(slot, 2),
    }  # fmt: skip
    assert written == f"{current}/{current}"
    assert current == aws.names.promote_token(slot, 2, before, {"username": "svc"})
    assert all(32 <= len(version) <= 64 for version in labels.values())


def test_a_token_is_the_writes_own_and_says_nothing_of_a_value(aws: AwsDriver, slot: Slot) -> None:
    names = aws.names
    made = {
        names.promote_token(slot, 2, "base", {"username": "a"}),
        names.promote_token(slot, 2, "base", {"username": "b"}),
        names.promote_token(slot, 3, "base", {"username": "a"}),
        names.promote_token(slot, 2, "other", {"username": "a"}),
        names.promote_token(replace(slot, credential="c"), 2, "base", {"username": "a"}),
        names.stage_token(slot, 2),
        names.other_token("clear", "base", slot.credential),
    }
    assert len(made) == 7
    assert names.promote_token(slot, 2, "base", {"username": "a"}) in made


def test_a_promote_takes_the_label_of_ours_that_hangs_on_a_version_that_never_served(
    aws: AwsDriver, store: Store, slot: Slot
) -> None:
    store.stage(slot, 2, Secret("new"))
    base = aws.labels(slot.path)["AWSCURRENT"]
    token = aws.names.promote_token(slot, 2, base, {})
    aws.admin.put_secret_value(
        SecretId=slot.path, ClientRequestToken=token, SecretString=json.dumps({"password": "new", "username": "svc"}),
        VersionStages=["AWSPENDING", aws.names.last(slot)],
    )  # fmt: skip  # what a daemon leaves that was killed in between
    store.promote(slot, 2, {}, store.current(slot).version)
    assert aws.labels(slot.path)["AWSCURRENT"] == token
    assert aws.look(slot.path) == {"password": "new", "username": "svc"}


def test_a_fence_that_was_written_before_and_never_served_stops_a_stale_promote_too(
    aws: AwsDriver, store: Store, slot: Slot
) -> None:
    store.stage_current(slot, 1)
    store.stage(slot, 2, Secret("new"))
    base = aws.labels(slot.path)["AWSCURRENT"]
    for token, labels in (
        (aws.names.promote_token(slot, 1, base, {}), ["AWSPENDING", aws.names.last(slot)]),
        (aws.names.promote_token(slot, 9, base, {}), ["AWSPENDING", aws.names.last(slot)]),
    ):  # two daemons that were killed, one after the other
        aws.admin.put_secret_value(
            SecretId=slot.path, ClientRequestToken=token, VersionStages=labels,
            SecretString=json.dumps({"password": "old", "username": "svc"}),
        )  # fmt: skip
    expected = store.current(slot).version
    back = store.promote(slot, 1, {}, expected).version
    assert aws.labels(slot.path)[aws.names.last(slot)] == aws.names.promote_token(slot, 1, base, {})
    with pytest.raises(Failed, match="stale_version"):
        store.promote(slot, 2, {}, expected)
    assert store.current(slot).version == back


def test_a_token_that_stands_for_another_content_is_never_made_current(
    aws: AwsDriver, store: Store, slot: Slot
) -> None:
    store.stage(slot, 2, Secret("new"))
    token = aws.names.promote_token(slot, 2, aws.labels(slot.path)["AWSCURRENT"], {})
    aws.admin.put_secret_value(
        SecretId=slot.path, ClientRequestToken=token, SecretString='{"password": "theirs"}', VersionStages=["x"]
    )
    with pytest.raises(Failed, match="store_contended"):
        store.promote(slot, 2, {}, store.current(slot).version)
    assert (aws.look(slot.path) or {})["password"] == "old"


def test_finalize_takes_no_label_from_what_serves_and_none_that_is_not_ours(
    aws: AwsDriver, store: Store, slot: Slot
) -> None:
    store.stage_current(slot, 1)
    store.stage(slot, 2, Secret("new"))
    first = aws.labels(slot.path)["AWSCURRENT"]
    aws.admin.update_secret_version_stage(SecretId=slot.path, VersionStage="theirs", MoveToVersionId=first)
    store.promote(slot, 2, {}, store.current(slot).version)
    current = aws.labels(slot.path)["AWSCURRENT"]
    pending = aws.admin.put_secret_value(
        SecretId=slot.path, SecretString='{"password": "old"}', VersionStages=["AWSPENDING"]
    )["VersionId"]
    for generation in (1, 2):
        store.finalize(slot, generation)
    kept = {"AWSCURRENT": current, aws.names.last(slot): current, "theirs": first, "AWSPENDING": pending}
    assert aws.labels(slot.path) == kept


def test_a_promote_that_neighbours_overtake_again_and_again_is_not_taken_for_a_fence(
    aws: AwsDriver, store: Store, slot: Slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    move, overtaken = aws_secret.OneSecret.make_current, 0

    def busy(secret: aws_secret.OneSecret, version: str, instead_of: str) -> bool:
        nonlocal overtaken
        if overtaken < 3:
            overtaken += 1
            aws.seed(slot.path, {**(aws.look(slot.path) or {}), "neighbour": overtaken})
        return move(secret, version, instead_of)

    store.stage(slot, 2, Secret("new"))
    version = store.current(slot).version
    monkeypatch.setattr(aws_secret.OneSecret, "make_current", busy)
    store.promote(slot, 2, {"username": "svc"}, version)
    assert aws.look(slot.path) == {"password": "new", "username": "svc", "neighbour": 3}
    assert "AWSPENDING" not in aws.labels(slot.path)


def test_the_label_quota_is_found_before_and_refused_by_aws(aws: AwsDriver, store: Store, slot: Slot) -> None:
    current = aws.labels(slot.path)["AWSCURRENT"]
    for number in range(14):
        aws.admin.update_secret_version_stage(
            SecretId=slot.path, VersionStage=f"theirs-{number}", MoveToVersionId=current
        )
    assert store.check(slot) == ()  # with three of AWS's, one for the last, two stages: twenty
    aws.admin.update_secret_version_stage(SecretId=slot.path, VersionStage="theirs-14", MoveToVersionId=current)
    assert store.check(slot) == ("store_label_quota",)
    for generation in range(1, 5):
        store.stage(slot, generation, Secret(f"v{generation}"))
    before = aws.labels(slot.path)
    assert len(before) == 20
    with pytest.raises(Failed, match="store_quota"):
        store.stage(slot, 5, Secret("one too many"))
    assert store.read(slot, 5) is None
    assert aws.labels(slot.path) == before


def test_the_version_quota_is_found_before_and_passes_with_time(aws: AwsDriver, store: Store, slot: Slot) -> None:
    for number in range(91):
        aws.seed_fast(slot.path, {"password": "old", "n": number})
    assert store.check(slot) == ()
    aws.seed_fast(slot.path, {"password": "old", "n": 91})
    assert store.check(slot) == ("store_version_quota",)
    for number in range(92, 99):
        aws.seed_fast(slot.path, {"password": "old", "n": number})
    with pytest.raises(Failed, match="store_quota"):
        store.stage(slot, 1, Secret("new"))
    assert store.read(slot, 1) is None
    aws.server.age(slot.path, hours=25)
    assert store.check(slot) == ()
    store.stage(slot, 1, Secret("new"))
    assert text(store.read(slot, 1)) == "new"


def test_versions_with_labels_count_however_old_they_are(aws: AwsDriver, store: Store, slot: Slot) -> None:
    for number in range(14):
        aws.admin.put_secret_value(SecretId=slot.path, SecretString=f"{number}", VersionStages=[f"theirs-{number}"])
    aws.server.age(slot.path, hours=25)
    for number in range(78):
        aws.seed_fast(slot.path, {"password": "old", "n": number})
    assert store.check(slot) == ()
    aws.seed_fast(slot.path, {"password": "old", "n": 78})
    assert store.check(slot) == ("store_version_quota",)


def test_lists_are_read_to_the_end(aws: AwsDriver, slot: Slot, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(95):
        aws.seed_fast(slot.path, {"password": "old", "n": number})
    monkeypatch.setattr(aws_secret, "PAGE", 7)
    store = aws.open()
    assert store.check(slot) == ("store_version_quota",)
    store.close()


def test_marks_of_many_threads_end_with_the_highest(aws: AwsDriver, store: Store) -> None:
    store.mark(Mark("e", 0))
    threads = [threading.Thread(target=store.mark, args=(Mark("e", number),)) for number in (5, 8, 3, 7, 1, 6, 2, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert store.read_mark() == Mark("e", 8)


def test_a_mark_makes_no_version(aws: AwsDriver, store: Store) -> None:
    for sequence in range(1, 4):
        store.mark(Mark("e", sequence))
    assert aws.labels(aws.names.mark) == {}
    answer = aws.admin.list_secret_version_ids(SecretId=aws.names.mark, IncludeDeprecated=True)
    assert answer["Versions"] == []


# ---- secrets that are not as they should be --------------------------------------------------------------------------


def test_a_secret_that_is_not_there_is_made_without_fields_before_a_value_is_staged(
    aws: AwsDriver, store: Store
) -> None:
    slot = aws.slot("fresh")
    store.stage(slot, 1, Secret("value"))
    assert aws.look(slot.path) == {}
    assert store.current(slot).version == ABSENT
    store.promote(slot, 1, {}, ABSENT)
    assert aws.look(slot.path) == {"password": "value"}


def test_an_empty_secret_never_shows_a_staged_value(aws: AwsDriver, store: Store) -> None:
    """AWS makes the first version of an empty secret current, whatever its labels."""
    slot = aws.slot("empty")
    aws.admin.create_secret(Name=slot.path)
    assert store.current(slot).version == ABSENT
    store.stage(slot, 1, Secret("value"))
    assert aws.look(slot.path) == {}
    assert text(store.read(slot, 1)) == "value"


def test_a_secret_that_is_gone_has_nothing_left_to_end(aws: AwsDriver, store: Store, slot: Slot) -> None:
    store.stage_current(slot, 1)
    aws.admin.delete_secret(SecretId=slot.path, ForceDeleteWithoutRecovery=True)
    store.clear(slot)
    store.finalize(slot, 1)
    store.forget(slot, 1)
    assert store.read(slot, 1) is None
    assert store.current(slot).version == ABSENT
    assert aws.describe(slot.path) is None


def test_a_secret_scheduled_for_deletion_is_a_matter_for_a_person(aws: AwsDriver, store: Store, slot: Slot) -> None:
    store.stage_current(slot, 1)
    store.stage(slot, 2, Secret("new"))
    version = store.current(slot).version
    aws.admin.delete_secret(SecretId=slot.path, RecoveryWindowInDays=7)
    for call in (
        lambda: store.current(slot), lambda: store.read(slot, 1), lambda: store.stage(slot, 3, Secret("x")),
        lambda: store.stage_current(slot, 3), lambda: store.promote(slot, 2, {}, version), lambda: store.clear(slot),
        lambda: store.finalize(slot, 1), lambda: store.fetch(slot.path, "password"),
        lambda: store.deposit(slot.path, "k", Secret("v"), {}, replace=False),
    ):  # fmt: skip
        with pytest.raises(Misconfigured, match="store_secret_deleted"):
            call()
    assert store.check(slot) == ("store_secret_deleted",)
    aws.admin.restore_secret(SecretId=slot.path)
    store.promote(slot, 2, {}, version)
    assert (aws.look(slot.path) or {})["password"] == "new"


@pytest.mark.parametrize("value", ["plain text", '["a"]', "7", '{"a": NaN}', '{"a": 1e999}'])
def test_a_value_that_is_no_object_is_never_touched(aws: AwsDriver, store: Store, value: str) -> None:
    slot = aws.slot("plain")
    aws.admin.create_secret(Name=slot.path, SecretString=value)
    _require_untouched(aws, store, slot)


def test_a_binary_value_is_never_touched(aws: AwsDriver, store: Store) -> None:
    slot = aws.slot("binary")
    aws.admin.create_secret(Name=slot.path, SecretBinary=b"\x00\x01")
    _require_untouched(aws, store, slot)


def _require_untouched(aws: AwsDriver, store: Store, slot: Slot) -> None:
    before = aws.labels(slot.path)["AWSCURRENT"]
    for call in (
        lambda: store.current(slot), lambda: store.fetch(slot.path, "password"), lambda: store.clear(slot),
        lambda: store.stage_current(slot, 1),
        lambda: store.deposit(slot.path, "k", Secret("v"), {}, replace=False),
    ):  # fmt: skip
        with pytest.raises(Misconfigured, match="store_not_object"):
            call()
    assert store.check(slot) == ("store_not_object",)
    assert aws.labels(slot.path)["AWSCURRENT"] == before


def test_numbers_of_neighbours_stay_as_they_were(aws: AwsDriver, store: Store) -> None:
    slot = aws.slot("numbers")
    written = '{"password": "old", "big": 123456789012345678901234567890, "one": 1.0, "small": 1e-300}'
    aws.admin.create_secret(Name=slot.path, SecretString=written)
    store.stage(slot, 2, Secret("new"))
    store.stage_current(slot, 1)
    store.promote(slot, 2, {}, store.current(slot).version)
    raw = (aws.get(slot.path, VersionStage="AWSCURRENT") or {})["SecretString"]
    assert raw == '{"password":"new","big":123456789012345678901234567890,"one":1.0,"small":1e-300}'


# ---- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "finding"),
    [
        ("with space", "store_path_characters"),
        ("a#b", "store_path_characters"),
        ("ünïcode", "store_path_characters"),
        ("a:b", "store_path_characters"),
        ("x" * 513, "store_path_characters"),
        ("a//b", "store_path_unnormalised"),
        ("rotator/x/y", "store_path_reserved"),
        ("arn:aws:secretsmanager:eu-central-1:444455556666:secret:rotator/x/y-AbCdEf", "store_path_reserved"),
        ("arn:aws:secretsmanager:us-east-1:444455556666:secret:app/db-AbCdEf", "store_arn_region"),
    ],
)
def test_names_that_aws_or_we_forbid(aws: AwsDriver, store: Store, path: str, finding: str) -> None:
    slot = replace(aws.slot(), path=path)
    assert store.check(slot) == (finding,)
    with pytest.raises(Misconfigured, match=finding):
        store.current(slot)


def test_a_path_is_the_secret_id_itself() -> None:
    for path in ("app/db", "A_+=.@-/9", "arn:aws-cn:secretsmanager:cn-north-1:444455556666:secret:app/db-AbCdEf"):
        assert secret_id(path, "cn-north-1") == path


# ---- time ------------------------------------------------------------------------------------------------------------


def test_a_call_ends_in_time(aws: AwsDriver, slot: Slot) -> None:
    """Also when the server sends a byte now and then: no time-out for each read would ever be over."""
    with hostile(drip(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x", 0.05)) as slow:
        store = aws.open(url=slow.url, call_s=1.5, request_s=0.5)
        began = time.monotonic()
        with pytest.raises(Failed, match="deadline"):
            store.current(slot)
        with pytest.raises(Failed, match="deadline"):
            store.mark(Mark("e", 1))
        assert time.monotonic() - began < 6
        store.close()


def test_nothing_is_staged_in_a_secret_that_vanishes_meanwhile(aws: AwsDriver, store: Store, slot: Slot) -> None:
    store.stage(slot, 2, Secret("new"))
    version = store.current(slot).version
    aws.admin.delete_secret(SecretId=slot.path, ForceDeleteWithoutRecovery=True)
    with pytest.raises(Refused, match="not_staged"):
        store.promote(slot, 2, {}, version)
