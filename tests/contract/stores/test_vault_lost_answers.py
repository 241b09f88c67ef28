"""Every exchange of every call broken in every way: what the store says is true, and saying it again settles it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rotator.effects.stores.contract import Mark, Slot, Store, Version
from rotator.plugin_api import Failed, OutcomeUnknown, Secret
from tests.contract.stores.drivers import VaultDriver
from tests.lab.openbao import OpenBaoCluster, OpenBaoDev
from tests.lab.proxy import Answer, Event, Fault, Proxy


@dataclass(frozen=True)
class Case:
    """One call: how to prepare it, how to make it, and whether it is done, seen behind the store's back."""

    name: str
    make: Callable[[Store, Slot, Version], object]
    done: Callable[[VaultDriver, Slot], bool]
    prepare: Callable[[Store, Slot, Version], object] = lambda store, slot, version: None


def _value(driver: VaultDriver, slot: Slot) -> object:
    return (driver.look(slot.path) or {}).get("password")


def _stage(driver: VaultDriver, slot: Slot, generation: int) -> object:
    return (driver.staged(slot, generation) or {}).get("value")


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
        lambda d, slot: _stage(d, slot, 1) is None and d.look(slot.path, 1) is None,
        lambda s, slot, v: s.promote(slot, 2, {"username": "svc"}, v),
    ),
    Case("clear", lambda s, slot, v: s.clear(slot), lambda d, slot: d.look(slot.path) == {"near": {"x": 1}}),
    Case(
        "forget",
        lambda s, slot, v: s.forget(slot, 2),
        lambda d, slot: d.admin.metadata(f"rotator/{d.installation}/{slot.credential}/g2") is None,
        lambda s, slot, v: s.finalize(slot, 2),
    ),
    Case(
        "deposit",
        lambda s, slot, v: s.deposit(slot.path, "extra", Secret("e"), {}, replace=False),
        lambda d, slot: (d.look(slot.path) or {}).get("extra") == "e",
    ),
    Case(
        "mark",
        lambda s, slot, v: s.mark(Mark("epoch", 7)),
        lambda d, slot: (
            d.look(f"rotator/{d.installation}/_mark") == {"epoch": "epoch", "sequence": "7", "serials": "0"}
        ),
    ),
)
READS: tuple[tuple[str, Callable[[Store, Slot], object]], ...] = (
    ("current", lambda s, slot: s.current(slot).value),
    ("read", lambda s, slot: s.read(slot, 2)),
    ("fetch", lambda s, slot: s.fetch(slot.path, "password")),
    ("check", lambda s, slot: s.check(slot)),
)


HALF_JSON = Answer(200, {"Content-Type": "application/json"}, b'{"request_id": "x", "data": {"ver')
GATEWAY = Answer(502, {"Content-Type": "text/html"}, b"<html>bad gateway</html>")
ALL: dict[str, dict[str, Any]] = {
    "request lost": {"fault": Fault.REQUEST_LOST},
    "answer lost": {"fault": Fault.ANSWER_LOST},
    "reset after the delivery": {"fault": Fault.ANSWER_LOST, "how": "reset"},
    "half an answer": {"fault": Fault.HALF_ANSWER},
    "half an object": {"fault": Fault.REPLACED, "answer": HALF_JSON},
    "a gateway's error": {"fault": Fault.REPLACED, "answer": GATEWAY},
}
FEW = {name: ALL[name] for name in ("request lost", "answer lost")}


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
    """A store behind the proxy, with a fresh slot for every attempt."""

    def __init__(self, driver: VaultDriver, proxy: Line, store: Store, faults: dict[str, dict[str, Any]]) -> None:
        self.faults = faults
        self.driver, self.proxy, self.store, self._number = driver, proxy, store, 0

    def prepared(self, case: Case) -> tuple[Slot, Version]:
        self.proxy.never()
        self._number += 1
        slot = self.driver.slot(f"s{self._number}")
        number = self.driver.seed(slot.path, {"password": "old", "username": "svc", "near": {"x": 1}})
        self.driver.admin.ask("DELETE", f"secret/metadata/rotator/{self.driver.installation}/_mark")
        self.store.stage(slot, 1, Secret("old"))
        self.store.stage(slot, 2, Secret("new"))
        self.store.current(slot)  # the first call of a store also finds out whether the server keeps an index
        case.prepare(self.store, slot, Version(str(number)))
        return slot, Version(str(number))


@pytest.fixture(params=["dev", "standby"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    if request.param == "dev":
        dev: OpenBaoDev = request.getfixturevalue("store_server")
        driver, port = VaultDriver(dev, tmp_path), dev.port
    else:
        cluster: OpenBaoCluster = request.getfixturevalue("store_cluster")
        driver, port = VaultDriver(cluster.leader, tmp_path), cluster.standby.port
    with Proxy(port) as proxy:
        driver.url = proxy.url
        store = driver.open()
        yield Bench(driver, Line(proxy), store, ALL if request.param == "dev" else FEW)
        proxy.clear()
        store.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_broken_exchange_of_a_write_is_never_misreported(bench: Bench, case: Case) -> None:
    slot, version = bench.prepared(case)
    bench.proxy.never()
    case.make(bench.store, slot, version)
    exchanges = len(bench.proxy.seen)
    assert exchanges
    assert case.done(bench.driver, slot)
    for number in range(exchanges):
        for fault, rule in bench.faults.items():
            slot, version = bench.prepared(case)
            bench.proxy.once(number, rule)
            try:
                case.make(bench.store, slot, version)
            except OutcomeUnknown:
                pass
            except Failed:
                assert not case.done(bench.driver, slot), f"{fault} at {number}: done, but called failed"
            else:
                assert case.done(bench.driver, slot), f"{fault} at {number}: not done, but called done"
            bench.proxy.never()
            if case.name != "promote" or not case.done(bench.driver, slot):
                case.make(bench.store, slot, version)
            assert case.done(bench.driver, slot), f"{fault} at {number}: not settled by saying it again"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_one_lost_answer_is_found_out_within_the_call(bench: Bench, case: Case) -> None:
    slot, version = bench.prepared(case)
    bench.proxy.never()
    case.make(bench.store, slot, version)
    for number in range(len(bench.proxy.seen)):
        slot, version = bench.prepared(case)
        bench.proxy.once(number, ALL["answer lost"])
        case.make(bench.store, slot, version)
        assert case.done(bench.driver, slot)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_line_that_stays_broken_after_a_write_is_unknown(bench: Bench, case: Case) -> None:
    slot, version = bench.prepared(case)
    bench.proxy.never()
    case.make(bench.store, slot, version)
    methods = [(seen.method, seen.path) for seen in bench.proxy.seen]
    write = max(at for at, (method, path) in enumerate(methods) if method in {"POST", "DELETE"} and "_sync" not in path)
    slot, version = bench.prepared(case)
    bench.proxy.always_from(write)
    with pytest.raises(OutcomeUnknown):
        case.make(bench.store, slot, version)
    assert case.done(bench.driver, slot)


@pytest.mark.parametrize(("name", "make"), READS, ids=[name for name, _ in READS])
def test_a_broken_read_is_repeated_or_failed_never_wrong(
    bench: Bench, name: str, make: Callable[[Store, Slot], object]
) -> None:
    slot, _ = bench.prepared(CASES[0])
    bench.proxy.never()
    wanted = make(bench.store, slot)
    for number in range(len(bench.proxy.seen)):
        for rule in bench.faults.values():
            bench.proxy.once(number, rule)
            found = make(bench.store, slot)
            if isinstance(wanted, Secret):
                assert isinstance(found, Secret)
                assert found.matches(wanted)
            else:
                assert found == wanted
    bench.proxy.always_from(0)
    with pytest.raises(Failed):
        make(bench.store, slot)


def test_a_lost_promote_that_landed_is_recognised_and_not_written_twice(bench: Bench) -> None:
    slot, version = bench.prepared(CASES[2])
    bench.proxy.never()
    bench.proxy.proxy.rule(Fault.ANSWER_LOST, method="POST", path=f"/data/{slot.path}", times=1)
    assert int(bench.store.promote(slot, 2, {"username": "svc"}, version).version) == int(version) + 1
    assert bench.store.current(slot).version == Version(str(int(version) + 1))


def test_a_lost_answer_and_then_no_connection_is_unknown_never_unsent(bench: Bench) -> None:
    slot, version = bench.prepared(CASES[2])
    proxy = bench.proxy.proxy
    bench.proxy.never()
    proxy.rule(
        Fault.ANSWER_LOST,
        method="POST",
        path=f"/data/{slot.path}",
        times=1,
        hook=lambda _: proxy.refuse(drop_open=False),
    )
    with pytest.raises(OutcomeUnknown) as caught:
        bench.store.promote(slot, 2, {"username": "svc"}, version)
    proxy.accept()
    assert not caught.value.unsent
    assert _value(bench.driver, slot) == "new"


def test_finalize_that_broke_off_is_finished_by_the_next_one(bench: Bench) -> None:
    """The history goes first, the stage last: else the next call would not know the value any more."""
    slot, version = bench.prepared(CASES[3])
    bench.proxy.never()
    bench.proxy.proxy.rule(Fault.REQUEST_LOST, method="POST", path="/destroy/")
    with pytest.raises(OutcomeUnknown):
        bench.store.finalize(slot, 1)
    bench.proxy.never()
    bench.proxy.proxy.rule(Fault.REQUEST_LOST, method="POST", path="/destroy/", skip=1)
    with pytest.raises(OutcomeUnknown):
        bench.store.finalize(slot, 1)
    assert _stage(bench.driver, slot, 1) == "old"
    bench.proxy.never()
    bench.store.finalize(slot, 1)
    assert _stage(bench.driver, slot, 1) is None
    assert bench.driver.look(slot.path, int(version)) is None
