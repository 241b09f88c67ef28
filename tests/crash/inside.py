"""The real daemon's parts in this process, worked by hand under a clock that only the test moves.

Called by `tests.crash.bench`. The composition root is the product's own (`rotator.daemon.bootstrap.Daemon`); what is
replaced is the clock, the worker threads (a run is worked where it is handed out), and the ledger's two writing calls,
around which a trap sits: there the "process" dies, is refused, or finds the clock set. A death is an exception that
nothing in the product catches, with every connection cut; then all is thrown away and built anew on the same files.
"""

from __future__ import annotations

import sqlite3
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import sqlalchemy.exc
import structlog

from rotator.daemon import bootstrap
from rotator.daemon.api_bodies import Fields
from rotator.daemon.api_routes import Ask, find_route, query_fields
from rotator.engine.ports import Claim, LedgerError, RunRow
from rotator.engine.requests import Caller, RequestRefused
from rotator.ledger import SqliteLedger
from rotator.ledger import runs as ledger_runs

ACTOR = Caller("uid:0 (crash)")


class Died(BaseException):
    """The process was killed here: no `except Exception` of the product may see it."""


class TestClock:
    """Wall clock and monotonic clock, moved by the test alone; sleeping moves both."""

    __test__ = False

    def __init__(self) -> None:
        self.wall = time.time_ns() // 1_000_000
        self.since = 0.0

    def now(self) -> int:
        return self.wall

    def monotonic(self) -> float:
        return self.since

    def sleep(self, seconds: float) -> None:
        self.pass_by(int(seconds * 1000) + 1)

    def pass_by(self, millis: int) -> None:
        """Time passes."""
        self.wall += millis
        self.since += millis / 1000

    def step(self, millis: int) -> None:
        """Somebody sets the clock."""
        self.wall += millis


@dataclass
class Trap:
    """Counts the commits of one credential's runs of one kind, and springs at one of them. At 0 it only counts."""

    credential: str
    kind: str
    at: int = 0
    what: str = ""
    commits: int = 0
    sprung: bool = False
    runs: set[str] = field(default_factory=set)
    step: Callable[[], None] = lambda: None
    """Sets the clock."""

    def comes(self, row: RunRow) -> None:
        """A run was opened: is it one of those that are counted?"""
        if row.credential == self.credential and row.kind.value == self.kind:
            self.runs.add(row.id)

    def around(self, run: str, commit: Callable[[], Any]) -> Any:
        """One commit."""
        if run not in self.runs:
            return commit()
        self.commits += 1
        here = self.commits == self.at and not self.sprung
        if here and self.what == "killed before commit":
            self.sprung = True
            raise Died
        try:
            done = commit()
        except LedgerError:
            self.sprung = self.sprung or here  # the database gave up inside: see `breaks`
            raise
        if here and self.what == "killed after commit":
            self.sprung = True
            raise Died
        if here and self.what.startswith("clock"):
            self.sprung = True
            self.step()
        return done

    def breaks(self) -> str:
        """Which error the database gives inside the next commit; empty: none."""
        words = {"ledger refuses": "locked", "disk full": "full"}
        if self.sprung or self.commits != self.at or self.what not in words:
            return ""
        return words[self.what]


class Inline:
    """In place of the worker threads: the same interface, each run worked where it is handed out."""

    def __init__(self, count: int, work: Callable[[Claim], None], after: Callable[[Claim], None], *_: Any) -> None:
        self.work, self.after = work, after
        self.waiting: deque[Claim] = deque()
        self.bugs: list[str] = []

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def submit(self, claim: Claim) -> None:
        self.waiting.append(claim)

    def free(self, *, urgent: bool = False) -> int:
        return 4 - len(self.waiting)

    def idle(self) -> bool:
        return not self.waiting

    def drain(self) -> None:
        """Work all that was handed out, as a worker thread would."""
        while self.waiting:
            claim = self.waiting.popleft()
            try:
                self.work(claim)
                self.after(claim)
            except LedgerError:
                continue
            except Exception as error:
                self.bugs.append(f"{type(error).__name__}: {error}")


class Inside:
    """One daemon in this process. `trap` is the one armed; `cut` ends every connection, `mend` lets them be again."""

    def __init__(self, config: Path, clock: TestClock, cut: Callable[[], None], mend: Callable[[], None]) -> None:
        self.config, self.clock, self._cut, self._mend = config, clock, cut, mend
        self.trap: Trap | None = None
        self.dead = False
        self.starts = 0
        self._daemon: bootstrap.Daemon | None = None
        self._closing = ExitStack()

    @property
    def daemon(self) -> bootstrap.Daemon:
        assert self._daemon is not None
        return self._daemon

    @property
    def workers(self) -> Inline:
        workers = self.daemon.workers
        assert isinstance(workers, Inline)
        return workers

    def start(self) -> None:
        """Build the daemon as `rotator serve` does, on whatever files there are."""
        _ACTIVE.append(self)
        structlog.configure(processors=[_no_log], cache_logger_on_first_use=False)
        self._closing = ExitStack()
        self._daemon = bootstrap.Daemon(self.config, self.clock, self._closing)  # type: ignore[arg-type]
        self.starts += 1
        self.dead = False

    def stop(self) -> None:
        """Let it go."""
        self._closing.close()
        self._daemon = None
        if self in _ACTIVE:
            _ACTIVE.remove(self)

    def die(self) -> None:
        """From now on nothing of this daemon reaches anybody: what is cut stays cut until the next start."""
        self.dead = True
        self._cut()

    def again(self) -> None:
        """After a death: throw all away, mend the connections, start on the same files."""
        self.die()
        self.stop()
        self._mend()
        self.start()

    def ask(self, method: str, target: str, body: Mapping[str, Any] | None = None) -> tuple[int, Any]:
        """A request as the API gives it to the service, without the socket."""
        split = urlsplit(target)
        try:
            found = find_route(method, [unquote(part) for part in split.path.strip("/").split("/")])
            query, fields = query_fields(parse_qsl(split.query)), Fields(dict(body or {}), "body")
            return 200, found.read(self.daemon.service, Ask(ACTOR, found.path, query, fields))()
        except RequestRefused as refused:
            return 400, str(refused)

    def turn(self) -> None:
        """One tick, and the work that it hands out. Dies if it must."""
        try:
            self.daemon.tick()
            self.workers.drain()
        except Died:
            self.dead = True
        if self.dead:
            self.again()

    def begin(self, method: str, target: str, body: Mapping[str, Any]) -> str:
        """A request that may be the death of the daemon. Why it was refused; empty: it was not."""
        try:
            status, told = self.ask(method, target, body)
        except Died:
            status, told = 0, None
        except LedgerError as error:
            status, told = 400, error.code
        if self.dead:
            self.again()
        return "" if status in (0, 200) else str(told)


_ACTIVE: list[Inside] = []


def _no_log(logger: object, name: str, event: Any) -> Any:
    raise structlog.DropEvent


def _broken(what: str) -> sqlalchemy.exc.OperationalError:
    error = sqlite3.OperationalError("database or disk is full" if what == "full" else "database is locked")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL if what == "full" else sqlite3.SQLITE_BUSY
    return sqlalchemy.exc.OperationalError("INSERT", {}, error)


def install() -> None:
    """Put the traps around the ledger's writing calls and the inline workers into the composition root, once for this
    process."""
    plain_open, plain_append = SqliteLedger.open_run, SqliteLedger.append
    inner_open, inner_append = ledger_runs.open_run, ledger_runs.append

    def active(ledger: SqliteLedger) -> Inside | None:
        return next((one for one in _ACTIVE if one._daemon is not None and one.daemon.ledger is ledger), None)

    def guarded(ledger: SqliteLedger, run: str, commit: Callable[[], Any]) -> Any:
        one = active(ledger)
        if one is None or one.trap is None:
            return commit()
        if one.dead:
            raise Died
        return one.trap.around(run, commit)

    def open_run(self: SqliteLedger, row: RunRow, *rest: Any, **more: Any) -> Claim:
        one = active(self)
        if one is not None and one.trap is not None:
            one.trap.comes(row)
        claim: Claim = guarded(self, row.id, lambda: plain_open(self, row, *rest, **more))
        return claim

    def append(self: SqliteLedger, claim: Claim, *rest: Any, **more: Any) -> None:
        guarded(self, claim.run, lambda: plain_append(self, claim, *rest, **more))

    def broken(run: str, commit: Callable[[], Any]) -> Any:
        for one in _ACTIVE:
            if one.trap is not None and run in one.trap.runs and (what := one.trap.breaks()):
                commit()  # the statements go through; the database gives up before the transaction is over
                raise _broken(what)
        return commit()

    def inside_open(connection: Any, row: RunRow, *rest: Any) -> Any:
        return broken(row.id, lambda: inner_open(connection, row, *rest))

    def inside_append(connection: Any, claim: Claim, *rest: Any, **more: Any) -> Any:
        return broken(claim.run, lambda: inner_append(connection, claim, *rest, **more))

    SqliteLedger.open_run, SqliteLedger.append = open_run, append  # type: ignore[method-assign]
    ledger_runs.open_run, ledger_runs.append = inside_open, inside_append
    bootstrap.Workers = Inline  # type: ignore[assignment,misc]
    bootstrap.harden = lambda: None
