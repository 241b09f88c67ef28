"""Every exchange with AWS broken in every way: what the store says is true, and saying it again settles it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from rotator.effects.stores.contract import Mark, Slot, Store, Version
from rotator.plugin_api import Failed, OutcomeUnknown, Secret
from tests.contract.stores.aws_driver import AwsDriver
from tests.lab.proxy import Answer, Event, Fault, Proxy

pytestmark = pytest.mark.long


@dataclass(frozen=True)
class Case:
    """One call: how to prepare it, how to make it, and whether it is done, seen behind the store's back."""

    name: str
    make: Callable[[Store, Slot, Version], object]
    done: Callable[[AwsDriver, Slot], bool]
    prepare: Callable[[Store, Slot, Version], object] = lambda store, slot, version: None


def _stage(driver: AwsDriver, slot: Slot, generation: int) -> object:
    return (driver.staged(slot, generation) or {}).get("value")


def _without_old(driver: AwsDriver, slot: Slot) -> bool:
    labels = driver.labels(slot.path)
    values = [(driver.get(slot.path, VersionStage=label) or {}).get("SecretString", "") for label in labels]
    return not any('"old"' in value for value in values)


CASES = (
    Case("stage", lambda s, slot, v: s.stage(slot, 3, Secret("three")), lambda d, slot: _stage(d, slot, 3) == "three"),
    Case("stage_current", lambda s, slot, v: s.stage_current(slot, 4), lambda d, slot: _stage(d, slot, 4) == "old"),
    Case(
        "promote",
        lambda s, slot, v: s.promote(slot, 2, {"username": "svc-2"}, v),
        lambda d, slot: d.look(slot.path) == {"password": "new", "username": "svc-2", "near": {"x": 1}},
    ),
    Case(
        "finalize",
        lambda s, slot, v: s.finalize(slot, 1),
        _without_old,
        lambda s, slot, v: s.promote(slot, 2, {"username": "svc"}, v),
    ),
    Case(
        "finalize what was never staged",
        lambda s, slot, v: s.finalize(slot, 9),
        lambda d, slot: d.get(slot.path, VersionId=d.names.stage_token(slot, 9)) is not None,
    ),
    Case("clear", lambda s, slot, v: s.clear(slot), lambda d, slot: d.look(slot.path) == {"near": {"x": 1}}),
    Case(
        "deposit",
        lambda s, slot, v: s.deposit(slot.path, "extra", Secret("e"), {}, replace=False),
        lambda d, slot: (d.look(slot.path) or {}).get("extra") == "e",
    ),
    Case(
        "deposit into a new secret",
        lambda s, slot, v: s.deposit(f"{slot.path}-new", "extra", Secret("e"), {}, replace=False),
        lambda d, slot: d.look(f"{slot.path}-new") == {"extra": "e"},
    ),
    Case(
        "mark",
        lambda s, slot, v: s.mark(Mark("epoch", 7)),
        lambda d, slot: '"sequence": 7' in str((d.describe(d.names.mark) or {}).get("Description")),
    ),
)
READS: tuple[tuple[str, Callable[[Store, Slot], object]], ...] = (
    ("current", lambda s, slot: s.current(slot).value),
    ("read", lambda s, slot: s.read(slot, 2)),
    ("fetch", lambda s, slot: s.fetch(slot.path, "password")),
    ("check", lambda s, slot: s.check(slot)),
)

HALF_JSON = Answer(200, {"Content-Type": "application/x-amz-json-1.1"}, b'{"ARN": "arn:aws:x", "VersionId": "y", "Na')
NOTHING = Answer(200, {"Content-Type": "application/x-amz-json-1.1"}, b"{}")
GATEWAY = Answer(502, {"Content-Type": "text/html"}, b"<html>bad gateway</html>")
FAULTS: dict[str, dict[str, Any]] = {
    "request lost": {"fault": Fault.REQUEST_LOST},
    "answer lost": {"fault": Fault.ANSWER_LOST},
    "half an answer": {"fault": Fault.HALF_ANSWER},
    "half an object": {"fault": Fault.REPLACED, "answer": HALF_JSON},
    "an empty object": {"fault": Fault.REPLACED, "answer": NOTHING},
    "a gateway's error": {"fault": Fault.REPLACED, "answer": GATEWAY},
}


class Line:
    """The proxy, with exchanges counted from the last `never` or `once`."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy, self._start = proxy, 0

    @property
    def seen(self) -> list[Event]:
        return self.proxy.log[self._start :]

    def never(self) -> None:
        """Break nothing from now on."""
        self.proxy.clear()
        self._start = len(self.proxy.log)

    def once(self, number: int, rule: dict[str, Any]) -> None:
        """Break the exchange with this number, counted from now."""
        self.never()
        self.proxy.rule(**rule, skip=number, times=1)

    def always_from(self, number: int) -> None:
        """Lose every answer from this exchange on."""
        self.never()
        self.proxy.rule(Fault.ANSWER_LOST, skip=number)


class Bench:
    """A store behind the proxy, with a fresh secret for every attempt."""

    def __init__(self, driver: AwsDriver, line: Line, store: Store) -> None:
        self.driver, self.line, self.store, self._number = driver, line, store, 0

    def prepared(self, case: Case) -> tuple[Slot, Version]:
        self.line.never()
        self._number += 1
        slot = self.driver.slot(f"s{self._number}")
        self.driver.seed(slot.path, {"password": "old", "username": "svc", "near": {"x": 1}})
        if self.driver.describe(self.driver.names.mark) is not None:
            self.driver.admin.delete_secret(SecretId=self.driver.names.mark, ForceDeleteWithoutRecovery=True)
        self.store.stage(slot, 1, Secret("old"))
        self.store.stage(slot, 2, Secret("new"))
        version = self.store.current(slot).version
        case.prepare(self.store, slot, version)
        return slot, version

    def counted(self, case: Case) -> int:
        """How many exchanges the call makes when nothing breaks."""
        slot, version = self.prepared(case)
        self.line.never()
        case.make(self.store, slot, version)
        assert case.done(self.driver, slot)
        return len(self.line.seen)


@pytest.fixture
def bench(aws: AwsDriver) -> Iterator[Bench]:
    with Proxy(aws.server.port) as proxy:
        aws.url = proxy.url
        store = aws.open()
        yield Bench(aws, Line(proxy), store)
        proxy.clear()
        store.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_broken_exchange_of_a_write_is_never_misreported(bench: Bench, case: Case) -> None:
    for number in range(bench.counted(case)):
        for fault, rule in FAULTS.items():
            slot, version = bench.prepared(case)
            bench.line.once(number, rule)
            try:
                case.make(bench.store, slot, version)
            except OutcomeUnknown:
                pass
            except Failed:
                assert not case.done(bench.driver, slot), f"{fault} at {number}: done, but called failed"
            else:
                assert case.done(bench.driver, slot), f"{fault} at {number}: not done, but called done"
            bench.line.never()
            if case.name != "promote" or not case.done(bench.driver, slot):
                case.make(bench.store, slot, version)
            assert case.done(bench.driver, slot), f"{fault} at {number}: not settled by saying it again"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_one_lost_answer_is_found_out_within_the_call(bench: Bench, case: Case) -> None:
    for number in range(bench.counted(case)):
        slot, version = bench.prepared(case)
        bench.line.once(number, FAULTS["answer lost"])
        case.make(bench.store, slot, version)
        assert case.done(bench.driver, slot)


LAST_WRITE = {
    "stage": b"PUT", "stage_current": b"PUT", "promote": b"MoveTo", "finalize": b"RemoveFrom", "clear": b"MoveTo",
    "deposit": b"MoveTo", "mark": b"Description", "deposit into a new secret": b"MoveTo",
}  # fmt: skip


@pytest.mark.parametrize("case", [case for case in CASES if case.name in LAST_WRITE], ids=lambda case: case.name)
def test_a_line_that_stays_broken_after_a_write_is_unknown(bench: Bench, case: Case) -> None:
    slot, version = bench.prepared(case)
    bench.line.never()
    sign = LAST_WRITE[case.name].replace(b"PUT", b"SecretString")
    struck = bench.line.proxy.rule(Fault.ANSWER_LOST, content=sign, hook=lambda _: bench.line.always_from(0))
    with pytest.raises(OutcomeUnknown) as caught:
        case.make(bench.store, slot, version)
    assert struck.struck
    assert not caught.value.unsent
    bench.line.never()
    case.make(bench.store, slot, version)
    assert case.done(bench.driver, slot)


@pytest.mark.parametrize(("name", "make"), READS, ids=[name for name, _ in READS])
def test_a_broken_read_is_repeated_or_failed_never_wrong(
    bench: Bench, name: str, make: Callable[[Store, Slot], object]
) -> None:
    slot, _ = bench.prepared(CASES[0])
    bench.line.never()
    wanted = make(bench.store, slot)
    for number in range(len(bench.line.seen)):
        for rule in FAULTS.values():
            bench.line.once(number, rule)
            found = make(bench.store, slot)
            if isinstance(wanted, Secret):
                assert isinstance(found, Secret)
                assert found.matches(wanted)
            else:
                assert found == wanted
    bench.line.always_from(0)
    with pytest.raises(Failed):
        make(bench.store, slot)


def test_a_lost_promote_that_landed_is_recognised_and_not_written_twice(bench: Bench) -> None:
    slot, version = bench.prepared(CASES[2])
    before = len(bench.driver.versions(slot.path))
    for sign in (b"SecretString", b"MoveToVersionId"):
        bench.line.proxy.rule(Fault.ANSWER_LOST, content=sign, times=1)
    written = bench.store.promote(slot, 2, {"username": "svc"}, version).version
    assert len(bench.driver.versions(slot.path)) == before + 1
    assert bench.store.current(slot).version == written


def test_a_request_is_sent_once_for_an_attempt(bench: Bench) -> None:
    """The SDK repeats nothing: a read is repeated by us, a write at most once, to find out."""
    slot, _ = bench.prepared(CASES[0])
    bench.line.always_from(1)
    with pytest.raises(OutcomeUnknown):
        bench.store.stage(slot, 8, Secret("eight"))
    assert len(bench.line.seen) == 1 + 2
    bench.line.always_from(0)
    with pytest.raises(Failed):
        bench.store.read(slot, 2)
    assert len(bench.line.seen) == 4


def test_nothing_reached_is_unsent_until_something_was_written(bench: Bench) -> None:
    slot, version = bench.prepared(CASES[2])
    proxy = bench.line.proxy
    bench.line.never()
    with proxy.refusing(), pytest.raises(Failed) as caught:
        bench.store.promote(slot, 2, {"username": "svc"}, version)
    assert caught.value.unsent
    token = bench.driver.names.promote_token(slot, 2, version.partition("/")[0], {"username": "svc"})
    labels = ["AWSPENDING", bench.driver.names.last(slot)]
    written = {"ARN": "a", "Name": "n", "VersionId": token, "VersionStages": labels}
    proxy.rule(
        Fault.REPLACED, content=b"SecretString", times=1, hook=lambda _: proxy.refuse(drop_open=False),
        answer=Answer.json(200, written, {"Content-Type": "application/x-amz-json-1.1"}),
    )  # fmt: skip
    with pytest.raises(Failed, match="unreachable") as later:
        bench.store.promote(slot, 2, {"username": "svc"}, version)
    proxy.accept()
    assert not later.value.unsent
    assert (bench.driver.look(slot.path) or {})["password"] == "old"
