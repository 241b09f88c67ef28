"""Measures the ledger's and the tick's cost with many credentials, beside a naive scan in the same process.

    python -m tests.bench [--credentials N]

Prints one line a figure. Exit 1 when a tick that must not depend on the number of credentials costs more than a tenth
of reading them all: that holds on any machine.
"""

from __future__ import annotations

import argparse
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from rotator.daemon.clock import SystemClock, new_id
from rotator.daemon.live import Live
from rotator.daemon.whereabouts import accepted_of, ledger_of
from rotator.effects.stores.opening import LocalConfig, create_local
from rotator.engine.opening import Opener
from rotator.engine.ports import Claim
from rotator.engine.tick import Tick, TickRules
from rotator.ledger import SqliteLedger, open_ledger
from rotator.machine.events import Finished, Opened
from rotator.machine.evolve import evolve
from rotator.machine.facts import Ending, Facts, RunKind

FILES = 20
DUE = 100


def configuration(folder: Path, count: int) -> Path:
    """A directory of YAML with `count` credentials over some files."""
    config = folder / "conf"
    config.mkdir()
    for name in ("fingerprint.key", "store.key"):
        key = folder / name
        key.write_bytes(secrets.token_bytes(32))
        key.chmod(0o600)
    create_local(LocalConfig(folder / "store", folder / "store.key", "bench"), SystemClock())
    (config / "rotator.yaml").write_text(
        f"""apiVersion: rotator/v1
installation: bench
daemon:
  ledger: {folder}/ledger.db
  fingerprint_key: {{file: {folder}/fingerprint.key}}
  socket: {folder}/api.sock
  listen: 127.0.0.1:9464
stores:
  local: {{type: local, path: {folder}/store, key: {{file: {folder}/store.key}}}}
endpoints:
  alerta: {{plugin: http, pack: alerta, config: {{url: https://alerta.test}},
           admin: {{principal: adm, value: {{store: local, path: admin/a, field: key}}}}}}
policies:
  standard: {{every: 30d, jitter: 2h, overlap: 24h, proof: {{times: 2, over: 2m, grade: 2}}}}
"""
    )
    each = -(-count // FILES)
    for number in range(FILES):
        lines = ["apiVersion: rotator/v1", "credentials:"]
        for n in range(number * each, min(count, (number + 1) * each)):
            lines += [
                f"  c{n:06}:", "    owner: o@x.test", "    purpose: one of many", f"    workflows: [flow-{n % 997}]",
                "    expires: 2099-12-31", "    tier: T2", "    policy: standard",
                f"    authority: {{endpoint: alerta, kind: key, principal: svc{n}@x.test, scopes: ['read:keys']}}",
                f"    store: {{in: local, path: app/c{n:06}, value: key}}",
            ]  # fmt: skip
        (config / f"part{number:02}.yaml").write_text("\n".join(lines) + "\n")
    return config


def timed(what: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and what came out."""
    began = time.perf_counter()
    found = what()
    return time.perf_counter() - began, found


def say(what: str, figure: float, unit: str, more: str = "") -> None:
    """One line."""
    print(f"{what:<58} {figure:>10.2f} {unit} {more}".rstrip(), flush=True)


def adopt_all(ledger: SqliteLedger, at: int) -> None:
    """Mark every credential adopted; only the column matters for what is measured."""
    ledger._writer.do(lambda c: c.exec_driver_sql(f"UPDATE credentials SET adopted_at = {at}"))


def _exec(sql: str, bound: tuple[Any, ...], connection: Any) -> None:
    connection.exec_driver_sql(sql, bound)


def naive(ledger: SqliteLedger, now: int) -> int:
    """What a tick without an index would do."""
    return sum(row.managed and row.next_due_at is not None and row.next_due_at <= now for row in ledger.credentials())


def tick_of(live: Live, ledger: SqliteLedger, clock: SystemClock, claims: list[Claim]) -> Tick:
    """A tick whose workers are never free: opening alone is measured."""
    opener = Opener(ledger, clock, lambda d, k: live.planner.plan(d, k), new_id, "bench")
    return Tick(
        ledger, clock, opener, TickRules(batch=DUE), owner="bench", lease=60_000, submit=claims.append,
        free=lambda: 0, observing=lambda: False, managed=lambda: live.managed,
    )  # fmt: skip


def known_value(ledger: SqliteLedger, live: Live, names: list[Any], at: int) -> None:
    """Facts of an adopted value for those that are going to be rotated."""
    for name in names:
        row = ledger.credential(name)
        assert row is not None
        plan = live.planner.plan(row.definition, RunKind.ADOPT)
        facts = evolve(plan, evolve(plan, Facts(), Opened(RunKind.ADOPT), at), Finished(Ending.SUCCEEDED), at)
        from rotator.ledger.rows import to_text

        bound = (to_text(facts), name)
        ledger._writer.do(partial(_exec, "UPDATE credentials SET facts = ? WHERE id = ?", bound))


def measure(folder: Path, count: int) -> int:
    """All figures; the exit code."""
    clock = SystemClock()
    config = configuration(folder, count)
    with ExitStack() as closing:
        seconds, live = timed(lambda: Live(config, clock, closing, "bench"))
        say("load and judge all YAML", seconds, "s")
        ledger = open_ledger(folder / "ledger.db", clock)
        closing.callback(ledger.close)
        say("accept them into an empty ledger", timed(lambda: live.accept(ledger))[0], "s")
        adopt_all(ledger, clock.now())
        tick = tick_of(live, ledger, clock, [])
        say("write every due time", timed(tick.refresh_all)[0], "s")
        live.scheduled(ledger)
    with ExitStack() as closing:

        def start() -> tuple[SqliteLedger, Live]:
            where = ledger_of(config)
            assert where is not None
            opened = open_ledger(where, clock)
            closing.callback(opened.close)
            found = Live(config, clock, closing, "bench", accepted_of(opened))
            changes = found.accept(opened)
            assert not any((found.parsed, changes.everything, changes.changed)), "a start with unchanged files"
            return opened, found

        seconds, (ledger, live) = timed(start)
        say("start with unchanged files (no YAML parsed)", seconds, "s")
        ticks = tick_of(live, ledger, clock, [])
        ticks()
        idle = statistics.median(timed(ticks)[0] for _ in range(50))
        scan, _ = timed(lambda: naive(ledger, clock.now()))
        again = statistics.median(timed(lambda: naive(ledger, clock.now()))[0] for _ in range(3))
        say("tick with none due (median of 50)", idle * 1000, "ms")
        say("naive scan, first", scan * 1000, "ms")
        say("naive scan, warm (median of 3)", again * 1000, "ms", f"ratio {again / idle:.0f}")
        names = [row.definition.id for row in ledger.credentials()[:DUE]]
        known_value(ledger, live, names, clock.now())
        past = clock.now() - 31 * 86_400_000
        ledger._writer.do(
            lambda c: c.exec_driver_sql(
                f"UPDATE credentials SET adopted_at = {past}, next_due_at = {past} WHERE id <= '{names[-1]}'"
            )
        )
        busy, opened = timed(ticks.open_due)
        say(f"tick that opens {opened} runs", busy * 1000, "ms", f"ratio to a warm scan {again / busy:.2f}")
        one = statistics.median(timed(partial(ticks.refresh, n))[0] for n in names)
        say("next due time of one ended run", one * 1000, "ms")
    print(f"{count} credentials, ledger {(folder / 'ledger.db').stat().st_size / 1e6:.0f} MB")
    fine = idle * 10 < again and opened == min(DUE, count)
    return 0 if fine else 1


def main() -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--credentials", type=int, default=100_000)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        return measure(Path(folder), options.credentials)


if __name__ == "__main__":
    sys.exit(main())
