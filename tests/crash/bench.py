"""One installation in which the cases of a shape, a store and a passage are run: each once, on the real engine, the
real servers behind fault proxies, under a clock that the test moves.

Called by `python -m tests.crash`. After every case the servers themselves are asked (`tests.lab.truth`); the ledger is
only asked what it says.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.crash import stores
from tests.crash.inside import Inside, TestClock, Trap
from tests.crash.places import DEATHS, HTTP, KILLS, RAW, STEPS, Boundary, Case
from tests.lab.aws import AwsEmulator
from tests.lab.estate import Estate, Servers, Tempo
from tests.lab.process import LabError, wait_until
from tests.lab.proxy_rules import Answer, Rule
from tests.lab.shapes import AlertaKey, Roles, Shape
from tests.lab.truth import violations, watch

SHAPES: dict[str, Callable[[str], Shape]] = {
    "many": AlertaKey,
    "single": lambda name: Roles(name, alternating=False),
    "pair": lambda name: Roles(name, alternating=True),
}
PASSAGES = ("adopt", "rotate", "back", "contain", "retire")
KIND = {"back": "rotate"}
CREDENTIALS = 40
USES = 6
"""Passages that one credential is good for: each leaves values that are all tried again after the next."""
LATE = 2_100
"""Milliseconds after which a late request lands: beyond the deadline of its step, within its quiet time."""
LEASE = 12_300
"""Longer than a lease at this tempo."""
TURNS = 300
OVERLAP = "3s"


@dataclass(slots=True)
class Result:
    """What came of a case. `struck`: the boundary was reached, and the fault happened."""

    case: str
    struck: bool = False
    killed: bool = False
    ending: str = ""
    asked: int = 0
    violations: list[str] = field(default_factory=list)


class Bench:
    """See above. `folder` is made anew for every so many credentials."""

    def __init__(
        self, servers: Servers, folder: Path, shape: str, store: str, passage: str, cloud: AwsEmulator | None = None
    ) -> None:
        self.cloud = cloud
        self.names: list[str] = []
        """What the estate's proxies stand before, in their order. `admin`: OpenBao where it holds nothing else."""
        self.servers, self.folder = servers, folder
        self.shape, self.store, self.passage = shape, store, passage
        self.estates = 0
        self.spare: list[Shape] = []
        self.used: tuple[Shape, int] | None = None
        self.estate: Estate | None = None
        self._late: tuple[Rule, int] | None = None
        self.watched: set[str] = set()

    # -- the installation
    def renew(self) -> None:
        """A new installation with credentials that nobody has touched yet."""
        self.close()
        self.estates += 1
        tempo = Tempo(overlap=OVERLAP if self.passage == "back" and self.shape != "single" else "0s")
        self.estate = Estate(
            self.folder / f"e{self.estates}", self.servers, tempo, store="local" if self.store == "local" else "main"
        )
        self.names = ["admin" if self.store != "openbao" else "store", "web", "database"]
        if self.store == "local":
            stores.local(self.estate)
        elif self.store == "aws":
            assert self.cloud is not None
            stores.aws(self.estate, self.cloud)
            self.names.append("store")
        stem = f"{self.shape}-{self.passage}-{secrets.token_hex(3)}"  # many installations share the servers
        self.spare = [SHAPES[self.shape](f"{stem}-{n}") for n in range(CREDENTIALS)]
        for one in self.spare:
            one.prepare(self.estate)
        self.estate.write()
        self.clock = TestClock()
        self.inside = Inside(self.estate.config, self.clock, self._cut, self._mend)
        self.inside.start()
        self.estate.ask = self.inside.ask  # type: ignore[method-assign]

    def close(self) -> None:
        """End it, after a look for secrets in what it wrote."""
        if self.estate is None:
            return
        self.inside.stop()
        self.estate.close()
        self.estate = None
        self.used, self.spare = None, []

    def leaks(self) -> list[str]:
        """Files of this installation in which a value stands that may not stand there."""
        assert self.estate is not None
        written = [path for path in self.estate.folder.glob("ledger.db*") if path.is_file()]
        raw = {path.name: path.read_bytes() for path in written}
        return [
            f"a value stands in {name}" for name, text in raw.items() if any(v.encode() in text for v in self.watched)
        ]

    def _cut(self) -> None:
        assert self.estate is not None
        for proxy in self.estate.proxies:
            proxy.refuse()

    def _mend(self) -> None:
        assert self.estate is not None
        for proxy in self.estate.proxies:
            proxy.accept()

    # -- a passage
    def take(self) -> Shape:
        """A credential for the next passage: adopted, unless that is the passage."""
        once = self.passage in {"adopt", "retire"}
        if self.used is not None and not once and self.used[1] < USES:
            self.used = (self.used[0], self.used[1] + 1)
            return self.used[0]
        if not self.spare or self.estate is None:
            self.renew()
        shape = self.spare.pop()
        if self.passage != "adopt":
            self.inside.trap = None
            self.inside.begin("POST", "/v1/adopt", {"ids": [shape.name], "reason": "crash"})
            run = self.pump(shape)
            if run["ending"] != "succeeded":
                raise LabError(f"adopt in good order: {run}")
        self.used = (shape, 1)
        return shape

    def begin(self, shape: Shape) -> None:
        """Ask for the passage, and once more if it was refused: by then what struck is over."""
        if self._begin(shape):
            self.clock.pass_by(1_500)  # what the daemon keeps for a second
            refused = self._begin(shape)
            if refused:
                raise LabError(f"{shape.name}: {self.passage} is refused: {refused}")

    def _begin(self, shape: Shape) -> str:
        name = shape.name
        body = {"selection": {"ids": [name]}, "reason": "crash"}
        match self.passage:
            case "adopt":
                return self.inside.begin("POST", "/v1/adopt", {"ids": [name], "reason": "crash"})
            case "rotate" | "back":
                return self.inside.begin("POST", "/v1/rotate", body)
            case "contain":
                return self.inside.begin("POST", "/v1/emergency", body | {"mode": "contain"})
        return self.inside.begin("POST", f"/v1/workflows/flow-{name}/retire", {"apply": True, "reason": "crash"})

    def pump(self, shape: Shape) -> dict[str, Any]:
        """Turn and let time pass until the newest run has ended or asks; that run."""
        for _ in range(TURNS):
            self.inside.turn()
            items = self.estate.runs(shape.name) if self.estate is not None else []
            if not items:
                return {}
            run = items[0]
            if run["ended"] is not None or run["question"] is not None:
                return run
            if self.passage == "back" and "overlap" in run["display"]:
                self.inside.begin("POST", f"/v1/runs/{run['id']}/back", {"reason": "crash"})
                continue
            self._wait(run["id"])
        return {**items[0], "ending": "never"}

    def _wait(self, run: str) -> None:
        """Until the run's own time, but not past the moment at which something late lands."""
        row = self.inside.daemon.ledger.run(run)  # type: ignore[arg-type]
        until = max(self.clock.now() + 20, (row.wake_at if row is not None else None) or 0)
        if row is not None and row.owner:
            until = max(until, self.clock.now() + LEASE)  # its worker gave up: the lease must run out
        if self._late is not None and self._late[1] <= until:
            self.land()
        self.clock.pass_by(max(20, until - self.clock.now()))

    def land(self) -> None:
        """What was late lands now."""
        if self._late is None:
            return
        rule, at = self._late
        self._late = None
        self.clock.pass_by(max(0, at - self.clock.now()))
        rule.release()
        wait_until(lambda: all(event.done for event in rule.events), "what was late", 10, pause_s=0.002)

    # -- cases
    def clean(self) -> list[Boundary]:
        """Every boundary of the passage when nobody disturbs it."""
        shape = self.take()
        assert self.estate is not None
        trap = self._armed(shape)
        before = [len(proxy.log) for proxy in self.estate.proxies]
        self._hinder(shape)
        self.begin(shape)
        run = self.pump(shape)
        found = self._judged(shape, run)
        if found:
            raise LabError(f"{self.shape} {self.passage} in good order: {found}")
        places = [Boundary("commit", n) for n in range(1, trap.commits + 1)]
        for name, proxy, base in zip(self.names, self.estate.proxies, before, strict=True):
            raw = proxy.protocol == "raw"
            places += [Boundary(name, n, raw) for n in range(1, len(proxy.log) - base + 1)]
        self._used_up(run)
        return places

    def run(self, case: Case) -> Result:
        """One case."""
        shape = self.take()
        assert self.estate is not None
        result = Result(case.name)
        trap = self._armed(shape)
        rule = self._strike(case, trap)
        self._hinder(shape)
        self.begin(shape)
        if not any(one["id"] in trap.runs for one in self.estate.runs(shape.name)):
            watch(self.estate, shape)
            self.begin(shape)  # killed before anything was opened: the person asks again
        run = self.pump(shape)
        while run and run["ended"] is None and result.asked < 2 and run["question"] is not None:
            result.asked += 1
            self.inside.begin("POST", f"/v1/runs/{run['id']}/answer", {"answer": "retry", "reason": "crash"})
            run = self.pump(shape)
        self.land()
        result.struck = trap.sprung or (rule is not None and rule.struck > 0)
        result.killed = result.struck and case.fault in DEATHS
        result.violations = self._judged(shape, run)
        result.ending = run.get("ending") or f"asks: {(run.get('question') or {}).get('topic')}"
        self._used_up(run)
        return result

    def _armed(self, shape: Shape) -> Trap:
        trap = Trap(shape.name, KIND.get(self.passage, self.passage))
        self.inside.trap = trap
        return trap

    def _strike(self, case: Case, trap: Trap) -> Rule | None:
        assert self.estate is not None
        where = case.boundary
        if where.where == "commit":
            trap.at, trap.what = where.n, case.fault
            trap.step = lambda: self.clock.step(STEPS[case.fault])
            return None
        proxy = dict(zip(self.names, self.estate.proxies, strict=True))[where.where]
        plain = dict((RAW if where.raw else HTTP)[case.fault])
        hook = (lambda _: self.inside.die()) if case.fault in KILLS else None
        rule = proxy.rule(request=len(proxy.log) + where.n, times=1, hook=hook, **plain)
        if case.fault == "request late":
            rule.hook = lambda _: self._comes_late(rule)
        return rule

    def _comes_late(self, rule: Rule) -> None:
        self._late = (rule, self.clock.now() + LATE)

    def _hinder(self, shape: Shape) -> None:
        """A single slot has no overlap to go back in: there the store refuses the promote."""
        if self.passage != "back" or self.shape != "single" or self.store != "openbao" or self.estate is None:
            return
        refused = Answer.json(413, {"errors": ["http: request body too large"]})
        path = rf"/v1/secret/data/app-\w+/{shape.name}$"
        self.estate.bao.rule("made_up", method="POST", path=path, times=1, answer=refused)

    def _judged(self, shape: Shape, run: dict[str, Any]) -> list[str]:
        assert self.estate is not None
        self.estate.clear_faults()
        if not run:
            return ["there is no run"]
        found = violations(self.estate, shape, run)
        if run["ended"] is None:
            found.append(f"it does not end: {run['display']}, asks {run['question']}")
        found += self.inside.workers.bugs
        self.inside.workers.bugs = []
        self.watched |= {value for _, value in shape.watched.values}
        return found + self.leaks()

    def _used_up(self, run: dict[str, Any]) -> None:
        """A credential that was not left in good order is not used again."""
        good = {"rotate": {"succeeded", "rolled_back"}, "back": {"rolled_back", "succeeded"}, "contain": {"succeeded"}}
        self.inside.trap = None
        if run.get("ending") not in good.get(self.passage, set()):
            self.used = None
