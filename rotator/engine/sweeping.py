"""The sweep: list what bears a label at an endpoint, report it, and bring strays of ours back into their facts.

Called by the daemon's rounds (once a day an endpoint) and by a person's request. It kills nothing: a stray becomes a
placement that is maybe alive, by the opening of a reconcile, and the ladder ends and proves it like any other debt.
What is foreign, unaccounted for or unlabelled is reported and never touched (R22). While observing nothing is opened:
facts that are older than the world account for nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol

import structlog

from rotator.machine.events import Stray
from rotator.machine.facts import Ending, RunKind
from rotator.machine.ids import Millis

from .findings import advice, means
from .inventory import CredentialId, paused_until
from .notices import Notice
from .opening import Opener, Order
from .ports import Clock, CredentialRow, Ledger, LedgerError, RunOpen
from .scheduling import SERVED
from .strays import SETTLED, Judged, Labels, Standing, Sweep, SweepRules, Swept, judged
from .tick import Tick
from .views import instant

_LOG = structlog.get_logger()
BY_ITSELF = "scheduler"
MOST_ITEMS = 200
"""Rows kept of a sweep: what is not ours, the urgent first."""
MOST_TOLD = 20


class LabelledLedger(Ledger, Labels, Protocol):
    """A ledger that also knows labels."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a credential's strays: the run that was opened, or why none was (a code of `findings`)."""

    run: str = ""
    why: str = ""


@dataclass(slots=True)
class Sweeper:
    """One installation's sweeps. `endpoints`: those configured; `rules` may change at a reload."""

    ledger: LabelledLedger
    clock: Clock
    sweep_of: Sweep
    opener: Opener
    tick: Tick
    installation: str
    endpoints: Callable[[], Sequence[str]]
    observing: Callable[[], bool]
    rules: Callable[[], SweepRules] = SweepRules

    def look(self, endpoint: str) -> dict[str, Any]:
        """List and judge; nothing is opened, nothing recorded. See `view`. Raises LedgerError."""
        swept, found = self._judge(endpoint, 0)
        return self._view(endpoint, swept, found, {})

    def sweep(self, endpoint: str, actor: str = BY_ITSELF, reason: str = "stray") -> dict[str, Any]:
        """List, judge, bring strays back, record what was seen, tell. Raises LedgerError."""
        # A reconcile of what only lags behind in a list does no harm: whoever asks is not kept waiting.
        swept, found = self._judge(endpoint, SETTLED if actor == BY_ITSELF else 0)
        taken = self._take(found, actor, reason)
        view = self._view(endpoint, swept, found, taken)
        notices = list(self._notices(endpoint, found))
        kept = view | {"items": view["items"][:MOST_ITEMS]}
        self.ledger.tell(notices, documents={_document(endpoint): json.dumps(kept, sort_keys=True)})
        _LOG.info("engine.sweep", endpoint=endpoint, **view["counts"], opened=sum(bool(t.run) for t in taken.values()))
        return view

    def last(self, endpoint: str) -> dict[str, Any] | None:
        """What the last recorded sweep saw; None: there was none."""
        text = self.ledger.document(_document(endpoint))
        return None if text is None else json.loads(text)

    def overview(self) -> list[dict[str, Any]]:
        """The last sweep of every configured endpoint, with the time of the next."""
        now = self.clock.now()
        never: dict[str, Any] = {"at": None, "lists": None, "blind": [], "counts": {}, "items": []}
        return [
            never | (self.last(name) or {}) | {"endpoint": name, "next": instant(self.next_at(name, now))}
            for name in sorted(self.endpoints())
        ]

    def figures(self) -> dict[str, list[tuple[str, float]]]:
        """The last sweeps as metrics, by name without the prefix."""
        seen = [(name, one) for name in sorted(self.endpoints()) if (one := self.last(name)) is not None]
        return {
            "strays": [
                (f'{{endpoint="{name}",standing="{standing}"}}', float(count))
                for name, one in seen
                for standing, count in sorted(one["counts"].items())
            ],
            "sweep_last_seconds": [(f'{{endpoint="{name}"}}', one["at_ms"] / 1000) for name, one in seen],
        }

    def due(self) -> list[str]:
        """Endpoints whose next sweep has come."""
        now = self.clock.now()
        return [name for name in self.endpoints() if (at := self.next_at(name, now)) is not None and at <= now]

    def next_at(self, endpoint: str, now: Millis) -> Millis | None:
        """When an endpoint is swept next; None: never by itself. Each has its own share of the interval, by its name,
        so that a restart does not sweep all at once and two replicas agree."""
        rules, last = self.rules(), self.last(endpoint)
        if rules.every <= 0:
            return None
        share = spread(f"{self.installation}/{endpoint}", rules.every)
        begun = now - (now - share) % rules.every  # the latest moment of its own that is not in the future
        if last is None:
            return begun
        if last["again"] and last["at_ms"] <= now:
            return min(int(last["at_ms"]) + rules.again, begun + rules.every)
        return begun if last["at_ms"] < begun or last["at_ms"] > now else begun + rules.every

    # -- parts -----------------------------------------------------------------------------------------------------

    def _judge(self, endpoint: str, settled: Millis) -> tuple[Swept, tuple[Judged, ...]]:
        about, began = [row.definition for row in self.ledger.credentials()], self.clock.now()
        swept = self.sweep_of.labelled(endpoint, about)
        # After the listing, never before: what was made meanwhile must have its intent in what is read now.
        makings = self.ledger.makings(endpoint, sorted({row.label for row in swept.rows}))
        return swept, judged(endpoint, swept.rows, self.installation, makings, began - settled)

    def _take(self, found: Sequence[Judged], actor: str, reason: str) -> dict[CredentialId, Taken]:
        strays: dict[CredentialId, list[Stray]] = {}
        for one in found:
            if one.standing is Standing.STRAY and one.making is not None and one.home is not None:
                handle = one.row.handle if one.making.handles else None
                stray = Stray(one.making.gen, one.home, one.row.label, handle)
                strays.setdefault(one.making.credential, []).append(stray)
        taken: dict[CredentialId, Taken] = {}
        for name, some in strays.items():
            opened = sum(bool(one.run) for one in taken.values())
            full = opened >= self.rules().most and actor == BY_ITSELF
            taken[name] = Taken(why="enough_for_now") if full else self._open(name, tuple(some), actor, reason)
        if any(one.run for one in taken.values()):
            self.tick.wake()
        return taken

    def _open(self, name: CredentialId, strays: tuple[Stray, ...], actor: str, reason: str) -> Taken:
        row = self.ledger.credential(name)
        if row is None:
            return Taken(why="left_behind")
        kind = self._kind(row, actor)
        if isinstance(kind, str):
            return Taken(why=kind)
        try:
            return Taken(self.opener.open(name, Order(kind, actor, reason, strays=strays)))
        except RunOpen:
            return Taken(why="busy")
        except LookupError:
            return Taken(why="not_configured")
        except LedgerError as error:
            if error.code != "stale_facts":
                raise
            return Taken(why="busy")

    def _kind(self, row: CredentialRow, actor: str) -> RunKind | str:
        """The run that ends a stray of this credential, or why there is none now."""
        last = self.tick.last_ended(row.definition.id)
        now = self.clock.now()
        if self.observing():
            return "held_back"
        if row.open_run is not None:
            return "busy"
        if last is not None and last.kind is RunKind.RETIRE and last.ending in SERVED:
            return RunKind.RETIRE
        if not row.managed or row.adopted_at is None:
            return "left_behind"
        if last is not None and last.ending is Ending.CONTAINED:
            return "was_contained"
        paused = paused_until(row.pause, row.definition.policy.pause, now)
        if actor == BY_ITSELF and (paused is not None or self.tick.frozen(row, now) is not None):
            return "held_back"
        return RunKind.RECONCILE

    def _view(
        self, endpoint: str, swept: Swept, found: Sequence[Judged], taken: Mapping[CredentialId, Taken]
    ) -> dict[str, Any]:
        counts = Counter(one.standing.value for one in found)
        now = self.clock.now()
        strange = sorted((one for one in found if one.standing is not Standing.OURS), key=_urgency)
        return {
            "endpoint": endpoint,
            "at": instant(now),
            "at_ms": now,
            "lists": swept.lists,
            "blind": [{"kind": kind, "reason": reason} for kind, reason in swept.blind],
            "counts": {one.value: counts[one.value] for one in Standing} | {"unlabelled": swept.unlabelled},
            "next": None,
            "items": [_item(one, taken) for one in strange],
            "again": bool(swept.blind) or any(one.standing is Standing.STRAY for one in found),
        }

    def _notices(self, endpoint: str, found: Sequence[Judged]) -> Iterator[Notice]:
        now = self.clock.now()
        told = [one for one in found if one.standing in (Standing.STRAY, Standing.UNACCOUNTED)]
        for one in sorted(told, key=_urgency)[:MOST_TOLD]:
            event = "stray_found" if one.standing is Standing.STRAY else "label_unaccounted"
            name = f"{event}:{endpoint}:{one.row.label}:{sha256(one.row.handle.encode()).hexdigest()[:16]}"
            facts = (("endpoint", endpoint), ("label", one.row.label), ("why", one.why))
            credential = None if one.making is None else one.making.credential
            yield Notice(event, now, name, credential, about=name, facts=facts)


def spread(name: str, over: Millis) -> Millis:
    """A fixed share of a span, by name."""
    return int.from_bytes(sha256(name.encode()).digest()[:8], "big") % over


def _document(endpoint: str) -> str:
    return f"sweep:{endpoint}"


_ORDER = (Standing.STRAY, Standing.UNACCOUNTED, Standing.FOREIGN, Standing.OURS)


def _urgency(one: Judged) -> tuple[int, str, str]:
    return _ORDER.index(one.standing), one.row.label, one.row.handle


def _item(one: Judged, taken: Mapping[CredentialId, Taken]) -> dict[str, Any]:
    making = one.making
    done = Taken() if making is None else taken.get(making.credential, Taken())
    return {
        "standing": one.standing.value, "why": one.why, "says": means(one.why), "do": advice(one.why),
        "kind": one.row.kind, "label": one.row.label, "handle": one.row.handle, "principal": one.row.principal,
        "installation": one.installation, "credential": None if making is None else making.credential,
        "gen": None if making is None else making.gen, "run": done.run or None, "held": done.why,
        "held_says": means(done.why) if done.why else "",
    }  # fmt: skip
