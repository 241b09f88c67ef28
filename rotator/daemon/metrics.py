"""Metrics in Prometheus text, computed from the ledger at each scrape: nothing is counted that it does not know.

Ages and debts come from the ledger's rows, not from the path that should have cleared them. One catalogue, documented
in `docs/metrics.md`; a test holds it complete. No label ever holds a value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from rotator.engine.governor import Governor
from rotator.engine.inspection import Incident
from rotator.engine.outbox import Outbox
from rotator.engine.overview import left_alive
from rotator.engine.owing import owed
from rotator.engine.ports import Clock, Ledger
from rotator.engine.protection import Target
from rotator.engine.tick import Tick
from rotator.machine.facts import Ending
from rotator.machine.ids import Millis

Samples = list[tuple[str, float]]


@dataclass(frozen=True, slots=True)
class Metric:
    """Name without prefix, type, what it says."""

    name: str
    kind: str
    says: str


METRICS: tuple[Metric, ...] = (
    Metric(
        "credentials",
        "gauge",
        "Credentials by state: managed, adopted, unmanaged (no longer configured, perhaps alive), paused.",
    ),
    Metric("credentials_due", "gauge", "Credentials that are due now and not open."),
    Metric("credential_age_seconds", "gauge", "Seconds since the credential's last successful rotation or adoption."),
    Metric("credential_expires_seconds", "gauge", "Seconds until the credential must be confirmed again."),
    Metric("runs_open", "gauge", "Open runs by kind."),
    Metric("runs_waiting", "gauge", "Runs that wait for a person."),
    Metric("runs_ended_total", "counter", "Ended runs by kind and ending."),
    Metric("debts", "gauge", "Placements that should be dead and are not proven dead."),
    Metric("debt_oldest_seconds", "gauge", "Age of the oldest debt."),
    Metric("brake", "gauge", "1 while a sudden mass of due credentials is held."),
    Metric("credentials_frozen", "gauge", "Managed credentials that a freeze holds now."),
    Metric(
        "notices", "gauge", "Messages in the outbox by channel and state: waiting, dead, sent (of the last 90 days)."
    ),
    Metric("notices_oldest_seconds", "gauge", "How long the oldest message of a channel has been waiting."),
    Metric("notices_failing", "gauge", "Failed attempts of the messages of a channel that wait."),
    Metric("notices_unrouted_seconds", "gauge", "How long the oldest notice waits to be routed; 0: none does."),
    Metric("endpoint_breaker", "gauge", "1 for each endpoint or store that is left alone, by reason."),
    Metric("endpoint_held_seconds", "gauge", "Seconds until it is called again; 0: one call may try now."),
    Metric("endpoint_steps", "gauge", "Steps under way at an endpoint or store, in this daemon."),
    Metric("endpoint_queue", "gauge", "Runs that wait for a place there, in this daemon."),
    Metric("observe", "gauge", "1 while the ledger is older than a store says: nothing is opened."),
    Metric("store_incidents", "gauge", "1 for each incident at a store that waits for a person."),
    Metric(
        "watchdog_conditions",
        "gauge",
        "What is not as it should be, by condition: overdue, stuck, uncertain, undead, unowned.",
    ),
    Metric("watchdog_oldest_seconds", "gauge", "How long the oldest of a condition has been so; 0: nothing meets it."),
    Metric("watchdog_last_look_seconds", "gauge", "When the watchdog last read the ledger (Unix time); 0: never."),
    Metric("tick_alive", "gauge", "1 while ticks come."),
    Metric(
        "deadman_last_ping_seconds",
        "gauge",
        "When the dead man's ping was last taken (Unix time); 0: never. Only where `daemon.deadman` is set.",
    ),
    Metric("drift", "gauge", "1 for each credential that drifted between rotations, by finding."),
    Metric("strays", "gauge", "Labelled values of the last sweep, by endpoint and standing."),
    Metric("sweep_last_seconds", "gauge", "When an endpoint was last swept (Unix time)."),
    Metric("journal_sequence", "counter", "The journal's high-water mark."),
)
PREFIX = "rotator_"


def render(
    ledger: Ledger, clock: Clock, tick: Tick, observing: bool, incidents: Iterable[Incident] = (),
    outbox: Outbox | None = None, governor: Governor | None = None,
    more: Mapping[str, Samples] | None = None,
) -> str:  # fmt: skip
    """All metrics, in the order of the catalogue."""
    values = dict(_values(ledger, clock, tick, observing))
    values["store_incidents"] = [(f'{{store="{one.store}",reason="{one.reason}"}}', 1) for one in incidents]
    values |= dict(_messages(outbox, clock.now()) if outbox is not None else ())
    values |= dict(_protection(governor, clock.now()) if governor is not None else ())
    values |= more or {}
    lines = []
    for metric in METRICS:
        lines += [f"# HELP {PREFIX}{metric.name} {metric.says}", f"# TYPE {PREFIX}{metric.name} {metric.kind}"]
        lines += [f"{PREFIX}{metric.name}{labels} {value}" for labels, value in values.get(metric.name, [])]
    return "\n".join(lines) + "\n"


def _values(ledger: Ledger, clock: Clock, tick: Tick, observing: bool) -> Iterator[tuple[str, Samples]]:
    now, rows, debts = clock.now(), ledger.credentials(), owed(ledger.debts(), clock.now())
    states = {
        "managed": sum(row.managed for row in rows),
        "adopted": sum(row.adopted_at is not None for row in rows),
        "unmanaged": sum(left_alive(row) for row in rows),
        "paused": sum(row.pause is not None for row in rows),
    }
    yield "credentials", [(f'{{state="{name}"}}', count) for name, count in states.items()]
    yield "credentials_due", [("", ledger.count_due(now))]
    since = [(row.definition.id, row.last_success_at or row.adopted_at) for row in rows]
    yield "credential_age_seconds", [(_of(name), (now - at) / 1000) for name, at in since if at is not None]
    yield (
        "credential_expires_seconds",
        [(_of(row.definition.id), (row.definition.expires - now) / 1000) for row in rows if row.managed],
    )
    runs = ledger.runs(limit=100_000)
    open_runs = [run for run in runs if run.ended_at is None]
    kinds = sorted({run.kind.value for run in runs})
    yield (
        "runs_open",
        [(f'{{kind="{kind}"}}', sum(run.kind.value == kind for run in open_runs)) for kind in kinds],
    )
    yield "runs_waiting", [("", sum(run.held_why == "waiting_for_you" for run in open_runs))]
    yield (
        "runs_ended_total",
        [
            (f'{{kind="{kind}",ending="{end.value}"}}', count)
            for kind in kinds
            for end in Ending
            if (count := sum(run.kind.value == kind and run.ending is end for run in runs))
        ],
    )
    yield "debts", [("", len(debts))]
    yield "debt_oldest_seconds", [("", max([(now - debt.since) / 1000 for debt in debts], default=0.0))]
    frozen = sum(row.managed and tick.frozen(row, now) is not None for row in rows)
    yield "credentials_frozen", [("", frozen)]
    yield "brake", [("", int(tick.brake.on()))]
    yield "observe", [("", int(observing))]
    yield "journal_sequence", [("", ledger.sequence())]


def _messages(outbox: Outbox, now: Millis) -> Iterator[tuple[str, Samples]]:
    figures = outbox.channels()
    counts = [(one.channel, {"waiting": one.waiting, "dead": one.dead, "sent": one.sent}) for one in figures]
    yield (
        "notices",
        [(f'{{channel="{name}",state="{state}"}}', count) for name, by in counts for state, count in by.items()],
    )
    ages = [(one.channel, 0 if one.oldest is None else now - one.oldest) for one in figures]
    yield "notices_oldest_seconds", [(f'{{channel="{name}"}}', age / 1000) for name, age in ages]
    yield "notices_failing", [(f'{{channel="{one.channel}"}}', one.failing) for one in figures]
    oldest = outbox.oldest_unrouted()
    yield "notices_unrouted_seconds", [("", 0.0 if oldest is None else (now - oldest) / 1000)]


def _protection(governor: Governor, now: Millis) -> Iterator[tuple[str, Samples]]:
    held = [(f'{_at(one.target)},reason="{one.reason}"', one) for one in governor.standings()]
    yield "endpoint_breaker", [(f"{{{labels}}}", 1) for labels, one in held if one.why is not None]
    left = [(labels, max(0, (one.held_until or 0) - now)) for labels, one in held]
    yield "endpoint_held_seconds", [(f"{{{labels}}}", span / 1000) for labels, span in left]
    places = sorted(governor.places().items())
    yield "endpoint_steps", [(f"{{{_at(target)}}}", steps) for target, (steps, _) in places]
    yield "endpoint_queue", [(f"{{{_at(target)}}}", queued) for target, (_, queued) in places]


def _at(target: Target) -> str:
    return f'sort="{target.sort}",name="{target.name}"'


def _of(credential: str) -> str:
    return f'{{credential="{credential}"}}'
