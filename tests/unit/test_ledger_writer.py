"""The writer: groups that commit together, items that fail alone, an end that loses nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection

from rotator.engine.ports import Claim, LeaseLost, LedgerError, RunId
from rotator.ledger import SqliteLedger, open_ledger
from tests.contract.ledger.samples import T0, definition, reading, start


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[SqliteLedger]:
    opened = open_ledger(path)
    opened.accept([definition()], {}, T0)
    yield opened
    opened.close()


@contextmanager
def held(ledger: SqliteLedger, queued: int) -> Iterator[None]:
    """Hold the writer in an item of its own until `queued` items of the block wait behind it."""
    entered, gate = threading.Event(), threading.Event()

    def item(_: Connection) -> None:
        entered.set()
        gate.wait(20)

    holder = threading.Thread(target=ledger._writer.do, args=(item,))
    holder.start()
    assert entered.wait(10)
    yield
    for _ in range(1000):
        if ledger._writer._queue.qsize() >= queued:
            break
        holder.join(0.01)
    gate.set()
    holder.join(20)


def test_a_group_breaks_without_harm_to_those_that_fit(ledger: SqliteLedger) -> None:
    """Neighbours of an item that breaks the whole transaction are done one by one."""
    outcomes = dict[str, str]()

    def killer(connection: Connection) -> None:
        connection.exec_driver_sql("ROLLBACK")
        connection.exec_driver_sql("SELECT * FROM nowhere")

    def do(name: str, work: Callable[[Connection], object]) -> None:
        try:
            ledger._writer.do(work)
            outcomes[name] = "done"
        except LedgerError as error:
            outcomes[name] = error.code

    works: dict[str, Callable[[Connection], object]] = {"killer": killer}
    for name in ("a", "b"):
        insert = "INSERT INTO documents VALUES (?, 'x')"
        works[name] = partial(Connection.exec_driver_sql, statement=insert, parameters=(name,))
    threads = [threading.Thread(target=do, args=(name, works[name])) for name in ("a", "killer", "b")]
    with held(ledger, 3):
        for thread in threads:
            thread.start()
    for thread in threads:
        thread.join(20)
    assert outcomes == {"a": "done", "killer": "unavailable", "b": "done"}
    assert (ledger.document("a"), ledger.document("b"), ledger.figures().broken) == ("x", "x", 1)


def test_a_failing_item_keeps_its_neighbours_and_groups_commit_together(ledger: SqliteLedger) -> None:
    claim, facts = start(ledger)
    outcomes: list[str] = []
    before = ledger.figures()

    def append(fence: int) -> None:
        try:
            ledger.append(Claim(claim.run, fence, claim.lease_until), [reading()], facts, T0)
            outcomes.append("done")
        except LeaseLost:
            outcomes.append("lost")

    threads = [threading.Thread(target=append, args=(1 + n % 2,)) for n in range(12)]
    with held(ledger, 12):
        for thread in threads:
            thread.start()
    for thread in threads:
        thread.join(20)
    after = ledger.figures()
    assert sorted(outcomes) == ["done"] * 6 + ["lost"] * 6
    assert len(ledger.journal(RunId("r1"))) == 7
    assert (after.items - before.items, after.commits - before.commits, after.largest) == (13, 2, 12)


def test_a_bug_in_an_item_is_told_to_its_caller_and_the_writer_goes_on(ledger: SqliteLedger) -> None:
    with pytest.raises(ZeroDivisionError):
        ledger._writer.do(lambda _: 1 // 0)
    assert ledger.serials(1) == 1


def test_what_is_queued_is_done_before_the_ledger_closes(ledger: SqliteLedger, path: Path) -> None:
    works = [threading.Thread(target=ledger.keep_document, args=(f"d{n}", "x")) for n in range(4)]
    closer = threading.Thread(target=ledger.close)
    with held(ledger, 5):
        for thread in works:
            thread.start()
        while ledger._writer._queue.qsize() < 4:
            works[0].join(0.01)
        closer.start()
    for thread in (closer, *works):
        thread.join(20)
    again = open_ledger(path)
    assert [again.document(f"d{n}") for n in range(4)] == ["x"] * 4
    again.close()
