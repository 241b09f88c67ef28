"""Many endpoints, each a real HTTP server, and the parts of a daemon over them: workers, tick, alarm, governor, host,
performer, ledger and store as they are shipped.

For the test that a slow endpoint delays no other, and for the measurement of the same. A server answers after `pause`
seconds; one that hangs takes the request and says nothing until it is told to `recover`.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rotator.daemon.alarm import Alarm
from rotator.daemon.clock import SystemClock
from rotator.daemon.limits import Gate
from rotator.daemon.workers import Workers, reserved_of
from rotator.effects.fingerprint import Fingerprints
from rotator.effects.host import Connection, Gateway, HostedPlatform, to_kind_traits
from rotator.effects.perform import Performer
from rotator.effects.stores.attended import Attended
from rotator.effects.stores.opening import LocalConfig, create_local, open_store
from rotator.engine.governor import Governor
from rotator.engine.inventory import Credential, CredentialId
from rotator.engine.opening import Opener, Order
from rotator.engine.planning import Planner, Spans
from rotator.engine.ports import Claim, RunId, RunRow
from rotator.engine.protection import Rules
from rotator.engine.protection import store as store_target
from rotator.engine.runner import Runner, Timing
from rotator.engine.tick import Tick, TickRules
from rotator.ledger import open_ledger
from rotator.machine.facts import RunKind
from rotator.machine.holds import Limits
from rotator.machine.ids import Home
from rotator.plugin_api import (
    Alive,
    HttpRequest,
    Installed,
    InstallRequest,
    Kind,
    Lost,
    Origin,
    Plugin,
    ProbeRequest,
    Rejected,
    Role,
    Secret,
    Traits,
    Undo,
)
from tests.unit.engine_bench import credential
from tests.unit.hostile_server import hostile


@dataclass
class Account:
    """One server's accounts: the value that each accepts, by name, and how the server behaves."""

    values: dict[str, str] = field(default_factory=dict)
    pause: float = 0.0
    hangs: threading.Event = field(default_factory=threading.Event)
    recovered: threading.Event = field(default_factory=threading.Event)
    now: int = 0
    most: int = 0
    times: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def say(self, connection: socket.socket, request: bytes) -> None:
        """Answer a request, or nothing."""
        with self.lock:
            self.times.append(time.monotonic())
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            if self.hangs.is_set():
                self.recovered.wait(30)
                return
            time.sleep(self.pause)
            status, body = self._answer(request)
            head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nContent-Type: application/json\r\n\r\n"
            connection.sendall(head.encode() + body)
        finally:
            with self.lock:
                self.now -= 1

    def _answer(self, request: bytes) -> tuple[int, bytes]:
        head, _, body = request.partition(b"\r\n\r\n")
        if head.startswith(b"POST"):
            said = json.loads(body)
            self.values[said["user"]] = said["key"]
            return 201, b"{}"
        lines = [line.partition(": ")[::2] for line in head.decode().splitlines()]
        sent = {name.lower(): text for name, text in lines}
        known = sent.get("authorization") == f"Key {self.values.get(sent['x-user'])}"
        return (200, json.dumps({"user": sent["x-user"]}).encode()) if known else (401, b'{"error": "bad key"}')

    def recover(self) -> None:
        """Answer from now on."""
        self.hangs.clear()
        self.recovered.set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    url: str


def _install(at: Any, request: InstallRequest) -> Installed:
    said = {"user": request.into.principal, "key": request.value}
    at.send(HttpRequest(method="POST", route="/keys", json=said)).ok(201)
    return Installed()


def _probe(at: Any, request: ProbeRequest) -> Alive | Rejected:
    user = request.target.subject.principal
    headers: dict[str, str | Secret] = {"Authorization": request.value.wrap("Key {}"), "X-User": user}
    got = at.send(HttpRequest(method="GET", route="/who", headers=headers))
    if got.status == 401 and got.body.find("/error") == "bad key":
        return Rejected(reason="bad_key")
    return Alive(principal=got.ok(200).text("/user"))


KIND = Kind(
    name="key", title="A key", install=_install, probe=_probe,
    traits=Traits(role=Role.AUTHORITY, origin=Origin.GENERATED, lost=Lost.RESEND, undo=Undo.REINSTALL_OLD),
)  # fmt: skip
PLUGIN = Plugin(
    name="sample", version="1", config=Config, routes=("GET /who", "POST /keys"),
    reasons={"bad_key": "The key is refused."}, kinds=(KIND,),
)  # fmt: skip


class Crowd:
    """`accounts` by the endpoint's name, one credential each (or `each`)."""

    def __init__(
        self, folder: Path, accounts: dict[str, tuple[Account, str]], *, workers: int, rules: Rules, each: int = 1,
        deadline: int = 2_000,
    ) -> None:  # fmt: skip
        self.clock, self.accounts = SystemClock(), accounts
        self.ledger = open_ledger(folder / "ledger.db")
        key = folder / "key"
        key.write_bytes(secrets.token_bytes(32))
        key.chmod(0o600)
        config = LocalConfig(folder / "store", key, "crowd")
        create_local(config, self.clock)
        self.kept = open_store(config, self.clock)
        workable = workers - reserved_of(workers)
        plain = replace(rules, concurrency=min(rules.concurrency, max(1, workable - 1)))
        self.governor = Governor(
            self.ledger.budgets(), self.clock, lambda target: Rules(32) if target.sort == "store" else plain,
            wake=self._wake, patience=deadline + 500,
        )  # fmt: skip
        self.store_ = Attended(self.kept, store_target("main"), self.governor)
        gateway = Gateway(self.clock, "0", self.governor)
        self.platforms = {
            name: gateway.platform(Connection(name=name, plugin=PLUGIN, config={"url": url}), "key")
            for name, (_, url) in accounts.items()
        }
        timing = Timing(deadline=deadline, landing=50, lease=deadline + 2_000)
        planner = Planner(lambda _, __: to_kind_traits(KIND, {}), Spans(deadline, 50, 50, 1_000))
        ids = (f"run-{n:05}" for n in itertools.count(1))
        performer = Performer(self, self.clock, Fingerprints(secrets.token_bytes(32)), "crowd")
        runner = Runner(
            self.ledger, performer, self.clock, timing, installation="crowd", limits=lambda run, facts, now: Limits(),
            enter=Gate(self.governor),
        )  # fmt: skip
        self.workers = Workers(workers, self._working(runner.work), self._after, lambda: self.tick.wake())
        self.opener = Opener(self.ledger, self.clock, planner.plan, lambda: next(ids), "w1")
        self.tick = Tick(
            self.ledger, self.clock, self.opener, TickRules(), owner="w1", lease=timing.lease,
            submit=self.workers.submit, free=self.workers.free, free_urgent=lambda: self.workers.free(urgent=True),
            observing=lambda: False, managed=lambda: 0,
        )  # fmt: skip
        self.alarm = Alarm(self.tick.wake, self.clock, beyond=60_000)
        self.definitions = [self._credential(name, n) for name in accounts for n in range(each)]
        self.ledger.accept(self.definitions, {}, self.clock.now())

    def platform(self, endpoint: str, kind: str) -> HostedPlatform:
        """See `platforms.World`."""
        return self.platforms[endpoint]

    def store(self, name: str) -> Attended:
        """See `platforms.World`."""
        return self.store_

    def start(self) -> None:
        """Begin to work."""
        self.workers.start()
        self.alarm.start()

    def adopt(self) -> None:
        """Adopt every credential, to the end."""
        runs = []
        for one in self.definitions:
            [authority] = one.authorities
            home = Home(authority.endpoint, authority.principals[0])
            values = self.accounts[home.endpoint][0].values
            values[home.principal] = f"canary-{secrets.token_hex(8)}"
            self.kept.deposit(one.store.path, one.store.value, Secret(values[home.principal]), {}, replace=False)
            runs.append(self.opener.open(one.id, Order(RunKind.ADOPT, "ann", "test", active=(home,))))
        self.tick.wake()
        assert self.ended(runs, 60)

    def open(self, name: str, kind: RunKind = RunKind.ROTATE) -> RunId:
        """Open a run; it is worked when somebody wakes the tick."""
        return self.opener.open(CredentialId(name), Order(kind, "ann", "test"))

    def row(self, run: RunId) -> RunRow:
        """The run."""
        found = self.ledger.run(run)
        assert found is not None
        return found

    def ended(self, runs: Sequence[RunId], seconds: float) -> bool:
        """Whether they all end within so many seconds."""
        return until(lambda: all(self.row(run).ended_at is not None for run in runs), seconds)

    def stop(self) -> None:
        """End everything."""
        self.alarm.stop()
        self.workers.stop()
        until(self.workers.idle, 10)
        self.ledger.close()
        self.kept.close()

    def _credential(self, endpoint: str, number: int) -> Credential:
        name = endpoint if number == 0 else f"{endpoint}-{number}"
        patient: dict[str, Any] = {"attempts": 50, "span": 600_000, "kill_attempts": 50, "kill_span": 600_000}
        return credential(name, (endpoint, "key"), (f"svc-{number}",), **patient, proof_times=1, proof_over=1)

    def _wake(self, run: RunId) -> None:
        self.ledger.wake(run, self.clock.now())
        self.alarm.set(self.clock.now())

    def _working(self, work: Callable[[Claim], None]) -> Callable[[Claim], None]:
        def worked(claim: Claim) -> None:
            try:
                work(claim)
            finally:
                self.governor.over(claim.run)

        return worked

    def _after(self, claim: Claim) -> None:
        row = self.row(claim.run)
        if row.wake_at is not None:
            self.alarm.set(row.wake_at)


def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether it comes true within so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return condition()


@contextlib.contextmanager
def crowd(
    folder: Path, count: int, *, workers: int = 8, pause: float = 0.0, rules: Rules | None = None, each: int = 1,
    deadline: int = 2_000,
) -> Iterator[Crowd]:  # fmt: skip
    """`count` endpoints, `e00` and on, and the parts of a daemon over them, begun; every credential is adopted."""
    with contextlib.ExitStack() as servers:
        accounts = {}
        for number in range(count):
            account = Account(pause=pause)
            url = servers.enter_context(hostile(account.say)).url
            accounts[f"e{number:02}"] = (account, url)
        made = Crowd(
            folder, accounts, workers=workers, rules=rules or Rules(concurrency=4), each=each, deadline=deadline
        )
        try:
            made.start()
            made.adopt()
            yield made
        finally:
            for account, _ in accounts.values():
                account.recover()
            made.stop()
