"""The questions of the tick are answered by index, however many credentials there are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.dialects import sqlite

from rotator.engine.inventory import CredentialId
from rotator.engine.ports import RunId
from rotator.ledger import SqliteLedger, inventory, open_ledger, outbox, runs
from rotator.machine.ids import Home
from tests.contract.ledger.samples import T0, definition

BOUND = {"now": 10, "most": 100}
QUESTIONS = {
    "due": (inventory.due_statement(), BOUND, "SEARCH credentials USING INDEX credentials_due"),
    "count_due": (inventory.count_due_statement(), BOUND, "SEARCH credentials USING INDEX credentials_due"),
    "claim_next": (runs.next_statement(), BOUND, "SEARCH runs USING INDEX runs_wake"),
    "debts": (runs.debts_statement(None), {}, "SEARCH placements USING INDEX placements_owed"),
    "debts of one": (runs.debts_statement(CredentialId("a")), {}, "SEARCH placements USING PRIMARY KEY"),
    "runs": (runs.runs_statement(None, False, 9), {}, "SCAN runs USING INDEX runs_newest"),
    "open runs": (runs.runs_statement(None, True, 9), {}, "runs USING INDEX runs_"),
    "runs of one": (runs.runs_statement(CredentialId("a"), False, 9), {}, "SEARCH runs USING INDEX runs_of_credential"),
    "journal": (runs.journal_statement(RunId("r"), 0), {}, "SEARCH journal USING INDEX journal_of_run"),
    "unrouted": (outbox.unrouted_statement(9), {}, "notices USING INDEX notices_unrouted"),
    "waiting": (outbox.waiting_statement(10), {}, "deliveries USING INDEX deliveries_waiting"),
    "deliverable": (
        outbox.deliverable_statement(10, "a", 9),
        {},
        "SEARCH deliveries USING INDEX deliveries_of_channel",
    ),
    "opened": (runs.opened_statement("scheduler", 0), {}, "SEARCH runs USING INDEX runs_newest"),
    "probes": (runs.probes_statement(Home("a", "b"), 0), {}, "USING COVERING INDEX probes_of_home"),
}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    opened = open_ledger(tmp_path / "ledger.db")
    yield opened
    opened.close()


def plan_of(ledger: SqliteLedger, statement: Any, bound: dict[str, int]) -> list[str]:
    compiled = statement.compile(dialect=sqlite.dialect(), compile_kwargs={"render_postcompile": True})
    values = tuple((compiled.params | bound)[name] for name in compiled.positiontup)
    sql = f"EXPLAIN QUERY PLAN {compiled}"
    return [str(row[3]) for row in ledger._read(lambda c: c.exec_driver_sql(sql, values).all())]


@pytest.mark.parametrize("question", sorted(QUESTIONS))
def test_the_question_is_answered_by_index(ledger: SqliteLedger, question: str) -> None:
    statement, bound, expected = QUESTIONS[question]
    steps = plan_of(ledger, statement, bound)
    assert any(expected in step for step in steps), steps
    assert [step for step in steps if step.startswith("SCAN") and "USING" not in step] == []
    if question not in ("debts", "debts of one", "open runs"):
        assert [step for step in steps if "TEMP B-TREE" in step] == []


def test_due_reads_no_more_rows_than_it_gives(ledger: SqliteLedger) -> None:
    """Counted in the engine's own steps: ten due among many cost the same as ten alone."""
    many = [definition(f"c{n:04}") for n in range(2000)]
    ledger.accept(many, {}, T0)
    ledger._writer.do(lambda c: c.exec_driver_sql("UPDATE credentials SET adopted_at = 1"))

    def steps() -> int:
        def count(connection: Any) -> int:
            ticks = [0]
            raw = connection.connection.driver_connection
            raw.set_progress_handler(lambda: ticks.__setitem__(0, ticks[0] + 1), 10)
            connection.execute(inventory.due_statement(), {"now": 5, "most": 10}).all()
            raw.set_progress_handler(None, 0)
            return ticks[0]

        return ledger._read(count)

    ledger.set_due([(one.id, 5, "policy") for one in many[:10]])
    few = steps()
    ledger.set_due([(one.id, 5 if n < 1000 else 9, "policy") for n, one in enumerate(many)])
    assert len(ledger.due(5, 10)) == 10
    assert steps() <= few + 5
