"""The watchdog: what it notices without the code that does the work, and a ping that comes only while all is well."""

from __future__ import annotations

import ast
import sqlite3
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from rotator.daemon.clock import SystemClock
from rotator.daemon.metrics import METRICS
from rotator.daemon.watchdog import Watchdog
from rotator.effects.deadman import DeadmanPing
from rotator.engine.inventory import CredentialId
from rotator.engine.ports import LedgerError
from rotator.engine.requests import Selection
from rotator.ledger.watch_queries import CONDITIONS, Noticed
from rotator.machine.events import Outcome
from rotator.machine.facts import Ending
from rotator.machine.steps import Answer, OutcomeKind, Probed, StepKind
from tests.unit.engine_bench import DAY, ME, T0, Bench, HandClock, credential

ROOT = Path(__file__).parents[2]
HOUR = 3_600_000


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    found = Bench(tmp_path, credential())
    found.adopted()
    yield found
    found.close()


def noticed(bench: Bench) -> list[tuple[str, str, str]]:
    return [(one.condition, one.why, one.subject) for one in bench.ledger.watched(bench.clock.at)]


def test_nothing_is_noticed_while_all_is_well(bench: Bench) -> None:
    assert noticed(bench) == []
    assert bench.finish(bench.rotate()).ending is Ending.SUCCEEDED
    bench.clock.move(29 * DAY)
    assert noticed(bench) == []


def test_what_is_due_and_not_opened_is_overdue(bench: Bench) -> None:
    bench.clock.move(30 * DAY + HOUR)
    assert noticed(bench) == [("overdue", "not_opened", "alpha")]
    bench.service.pause(ME, Selection(ids=("alpha",)), reason="audit", until="")
    assert noticed(bench) == [], "late on purpose"


def test_a_lost_due_time_is_overdue_though_no_row_says_so(bench: Bench) -> None:
    bench.ledger.set_due([(CredentialId("alpha"), None, "policy")])
    bench.clock.move(1)
    assert noticed(bench) == [("overdue", "no_next_time", "alpha")]
    bench.ledger.set_due([(CredentialId("alpha"), bench.clock.at + 900 * DAY, "policy")])
    bench.clock.move(61 * DAY)
    assert noticed(bench) == [("overdue", "too_old", "alpha")]


def test_an_open_run_that_nobody_works_is_stuck(bench: Bench) -> None:
    run = bench.rotate()
    assert noticed(bench) == []
    bench.clock.move(HOUR)
    assert noticed(bench) == [("stuck", "no_progress", run)]
    bench.finish(run)
    assert noticed(bench) == []


def test_a_run_that_waits_by_its_own_word_is_not_stuck(tmp_path: Path) -> None:
    bench = Bench(tmp_path, credential(overlap=5 * DAY))
    bench.adopted()
    run = bench.rotate()
    bench.work()
    assert bench.run(run).wake_at is not None
    bench.clock.move(2 * DAY)
    assert [one for one in noticed(bench) if one[0] == "stuck"] == []
    bench.clock.move(4 * DAY)
    assert ("stuck", "no_progress", run) in noticed(bench)
    bench.close()


def test_a_run_that_asks_is_uncertain_not_stuck(bench: Bench) -> None:
    bench.world.script[StepKind.INSTALL] = lambda work: OutcomeKind.MISCONFIGURED
    run = bench.rotate()
    bench.finish(run)
    bench.clock.move(5 * HOUR)
    assert ("uncertain", "waits_for_a_person", run) in noticed(bench)
    assert "stuck" not in {condition for condition, _, _ in noticed(bench)}


def test_an_old_value_is_undead_also_where_nobody_calls_it_a_debt(bench: Bench) -> None:
    bench.world.script[StepKind.PROVE] = lambda w: Outcome(w.step, OutcomeKind.DONE, Probed(Answer.INCONCLUSIVE), "t_o")
    assert bench.finish(bench.rotate()).ending is Ending.OWED
    assert ("undead", "debt", "alpha g1 svc@api") in noticed(bench)
    with sqlite3.connect(bench.ledger.path) as file:  # a bug of the run path: the debt's row was lost
        file.execute("UPDATE placements SET owed_since = NULL")
    file.close()
    bench.clock.move(HOUR)
    assert ("undead", "no_debt", "alpha g1 svc@api") in noticed(bench)


def test_what_nobody_answers_for_is_unowned(bench: Bench) -> None:
    bench.ledger.set_due([(CredentialId("alpha"), T0 + 2000 * DAY, "policy")])
    bench.clock.move(1000 * DAY)
    assert ("unowned", "expired", "alpha") in noticed(bench)
    bench.ledger.accept([], {}, T0)
    assert noticed(bench) == [("unowned", "not_configured", "alpha")]


def test_it_shares_nothing_with_the_run_path() -> None:
    allowed = {
        "rotator/ledger/watch_queries.py": {"tables"},
        "rotator/daemon/watchdog.py": {"rotator.engine.ports", "rotator.ledger.watch_queries"},
    }
    for path, known in allowed.items():
        found = set()
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").startswith("rotator")):
                found.add(node.module or "")
        assert found == known, path


def dog(clock: HandClock, **changes: object) -> Watchdog:
    plain: dict[str, object] = {
        "ticking": lambda: True, "url": lambda: "https://alarm.example/x", "ping": lambda url: "",
    }  # fmt: skip
    found = [Noticed("stuck", "no_progress", "r", T0 - 7_000), Noticed("stuck", "no_progress", "s", T0 - 9_000)]
    return Watchdog(clock, lambda now: found, **(plain | changes))  # type: ignore[arg-type]


def test_its_samples_are_metrics_of_the_catalogue() -> None:
    one = dog(HandClock())
    assert "watchdog_conditions" not in one.samples(), "nothing was read yet: no zeros that nobody looked for"
    one.look()
    one.ping()
    found = one.samples()
    assert set(found) <= {metric.name for metric in METRICS}
    assert dict(found["watchdog_conditions"]) == {f'{{condition="{n}"}}': 2.0 * (n == "stuck") for n in CONDITIONS}
    assert dict(found["watchdog_oldest_seconds"])['{condition="stuck"}'] == 9.0
    assert found["deadman_last_ping_seconds"] == [("", T0 / 1000)]


def test_no_ping_without_ticks_without_a_look_or_with_an_old_one() -> None:
    clock, pings, ticks = HandClock(), list[str](), [True]
    one = dog(clock, ticking=lambda: ticks[0], ping=lambda url: pings.append(url) or "")
    one.ping()
    assert pings == [], "the ledger was never read"
    one.look()
    one.ping()
    assert len(pings) == 1
    ticks[0] = False
    one.ping()
    ticks[0] = True
    clock.move(HOUR)
    one.ping()
    assert len(pings) == 1, "its last look is too old"


def test_a_ledger_that_does_not_answer_stops_the_ping_and_not_the_watchdog() -> None:
    calls: list[int] = []
    silenced = threading.Event()

    def look(now: int) -> list[Noticed]:
        calls.append(now)
        if len(calls) >= 3:
            silenced.set()
        raise LedgerError("locked")

    pings: list[str] = []
    one = Watchdog(
        SystemClock(), look, ticking=lambda: True, url=lambda: "https://x.example",
        ping=lambda u: pings.append(u) or "", seconds=0.01,
    )  # fmt: skip
    one.start()
    assert silenced.wait(10)
    one.stop()
    assert pings == []


def test_a_failed_ping_is_not_counted() -> None:
    one = dog(HandClock(), ping=lambda url: "unreachable")
    one.look()
    one.ping()
    assert one.samples()["deadman_last_ping_seconds"] == [("", 0.0)]
    assert "deadman_last_ping_seconds" not in dog(HandClock(), url=lambda: None).samples()


class _Alarm(BaseHTTPRequestHandler):
    seen: list[tuple[str, str, str]]
    status = 200

    def do_GET(self) -> None:
        type(self).seen.append((self.command, self.path, self.headers["User-Agent"]))
        self.send_response(type(self).status)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None: ...


@pytest.mark.parametrize(
    ("status", "why"), [(200, ""), (204, ""), (302, "receiver_refused"), (503, "receiver_refused")]
)
def test_the_ping_is_one_get_and_follows_nothing(status: int, why: str) -> None:
    handler = type("Alarm", (_Alarm,), {"seen": [], "status": status})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}/ping/abc?x=1"
        assert DeadmanPing(SystemClock(), "9.9")(url) == why
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
    assert handler.seen == [("GET", "/ping/abc?x=1", "rotator/9.9 (deadman)")]


def test_a_ping_to_nobody_says_why() -> None:
    assert DeadmanPing(SystemClock(), "9")("http://127.0.0.1:1/") == "unreachable"
