"""Every log event of the product: one name, one meaning, and the fields that may stand beside it.

Read by the log pipeline (`logs`), which lets nothing else through, and by the test that scans the source for event
names. A field is listed here because somebody made sure that it never holds a value of a credential; prose, bodies,
addresses with a query and messages of vendors are not fields. Must import nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class LogEvent:
    """What an event says, once and for all, and the fields it may carry beside those of `CONTEXT`."""

    meaning: str
    fields: frozenset[str] = frozenset()


def _event(meaning: str, *fields: str) -> LogEvent:
    return LogEvent(meaning, frozenset(fields))


CONTEXT: Final = frozenset(
    {"actor", "campaign", "credential", "endpoint", "exception", "level", "logger", "report", "run", "worker"}
)
"""Fields that any event may carry: they are bound as context, or come from the pipeline itself."""

EVENTS: Final[Mapping[str, LogEvent]] = {
    "daemon.alarm.bug": _event("Handing out runs between two ticks met a bug; the next tick does the same.", "error"),
    "daemon.api.busy": _event("All threads of the local API are taken; a caller was told to come again.", "limit"),
    "daemon.api.internal": _event(
        "A request met a bug. `report` stands in the caller's answer too.", "method", "route"
    ),
    "daemon.api.listening": _event("The local API accepts requests.", "path", "mode"),
    "daemon.api.peer_refused": _event("Somebody who may not speak connected to the local socket.", "uid", "pid"),
    "daemon.api.refused": _event("A request was not carried out.", "method", "route", "code", "exit", "ms"),
    "daemon.api.request": _event("A request was answered.", "method", "route", "status", "ms"),
    "daemon.api.stale_socket": _event("The socket of a daemon that is dead was removed.", "path"),
    "daemon.api.stopped": _event("The local API accepts nothing any more.", "waited"),
    "daemon.courier.bug": _event("The courier met a bug; its next turn begins anew.", "error"),
    "daemon.clock.off": _event(
        "This machine's clock differs from the database's, by so many milliseconds; the database's counts.", "ahead"
    ),
    "daemon.deadman.failed": _event("The dead man's ping did not arrive; the next one is tried.", "code"),
    "daemon.courier.ledger": _event("The courier could not read or write the ledger; it tries again.", "code"),
    "daemon.courier.tried": _event(
        "A message was handed to a channel; `code` says what came of it.", "channel", "notice", "state", "code"
    ),
    "daemon.hardening.failed": _event("A protection of the process could not be set.", "protection", "errno"),
    "daemon.health.failed": _event("The health port met a bug.", "route"),
    "daemon.health.listening": _event("The health port accepts requests.", "address", "port"),
    "daemon.http.bug": _event("An answer could not be given by either port, because of a bug."),
    "daemon.library.message": _event(
        "A library warned. Its text is left out, its template is kept where the library has one.",
        "library",
        "severity",
        "place",
        "template",
    ),
    "daemon.log.refused": _event(
        "A log line had an event or a field that is not in the catalogue, or a value that is no scalar; what was not "
        "understood was left out.",
        "name",
        "left_out",
    ),
    "daemon.mark.behind": _event(
        "A store has seen a newer ledger of this installation than ours: the daemon only observes.",
        "store",
        "ours",
        "theirs",
    ),
    "daemon.mark.serial_unkept": _event(
        "No store keeps the ceiling of serials for the moment; labels go on, a restore leaps further.", "serial"
    ),
    "daemon.mark.unread": _event("A store's mark of the ledger could not be read.", "store", "reason"),
    "daemon.mark.unwritten": _event("A store's mark of the ledger could not be written.", "store", "reason"),
    "daemon.rounds.bug": _event("A sweep or a heartbeat met a bug; the next round begins anew.", "error"),
    "daemon.rounds.ledger": _event("A round could not read or write the ledger; it tries again.", "code"),
    "daemon.reload.failed": _event("The configuration could not be read anew; the old one stands whole.", "code"),
    "daemon.signal.hurry": _event(
        "A second signal: the daemon stops without waiting for the steps in progress.", "signal"
    ),
    "daemon.signal.reload": _event("SIGHUP: the configuration is read anew."),
    "daemon.signal.stop": _event("The daemon stops: it takes up nothing new and ends the steps in progress.", "signal"),
    "daemon.started": _event("The daemon is up: ticks come, both ports answer.", "version", "observe"),
    "daemon.stopped": _event("The daemon ended; `drained`: every step in progress was ended first.", "drained"),
    "daemon.tick.caught_up": _event("The machine's clock was set back; the next tick was moved to now.", "ahead"),
    "daemon.tick.failed": _event("A tick raised; the next one comes as planned."),
    "daemon.uncaught": _event("An exception that nobody caught ended a thread or a destructor.", "thread"),
    "daemon.watchdog.bug": _event("The watchdog met a bug; its next look begins anew.", "error"),
    "daemon.watchdog.ledger": _event("The watchdog could not read the ledger; it tries again.", "code"),
    "daemon.worker.bug": _event("A worker met a bug; the run is taken up again when its lease is over.", "error"),
    "daemon.worker.ledger": _event("A worker could not write to the ledger; the run is taken up again.", "code"),
    "effects.notice.bug": _event("A channel met a bug; the message is tried again.", "channel", "error"),
    "effects.step.bug": _event("A step raised something unforeseen; it counts as unknown or failed.", "step", "error"),
    "engine.breaker.closed": _event("An endpoint or store answers again: it may be called.", "target"),
    "engine.breaker.ledger": _event("What a call said of an endpoint could not be written down.", "target", "code"),
    "engine.breaker.opened": _event(
        "An endpoint or store is left alone for a while: it fails, refuses the acting account, or goes on throttling.",
        "target",
        "reason",
        "failures",
    ),
    "engine.breaker.tried": _event("One step tries an endpoint or store that is left alone.", "target"),
    "engine.heartbeat": _event("A credential was looked at between rotations.", "finding", "place", "reason"),
    "engine.queue.ledger": _event("A run that waited for a place could not be woken; it comes by itself.", "code"),
    "engine.run.ended": _event("A run ended.", "ending"),
    "engine.run.lease_lost": _event("Another worker has the run; this one stopped at once."),
    "engine.sweep": _event("An endpoint was swept by label; so many runs were opened for strays.", "opened"),
    "engine.step.done": _event(
        "A step was performed and its outcome is committed next.", "step", "gen", "outcome", "reason"
    ),
    "engine.tick.brake": _event("Too many credentials fall due at once: they are begun at a walking pace.", "due"),
    "engine.tick.bug": _event("A credential that is due met a bug; it is tried again later.", "error"),
    "engine.tick.ledger": _event(
        "The ledger could not be read or written by a tick; the next one tries again.", "code"
    ),
    "store.delivery.unfit": _event(
        "What was delivered as a wrapped secret id is no good; the one before serves on, if there was one.",
        "store",
        "reason",
    ),
    "store.incident": _event(
        "Somebody else may have read the daemon's secret id: `reason` says what was found. Another delivery ends it.",
        "store",
        "reason",
    ),
    "store.incident.over": _event("Another secret id was delivered and unwrapped.", "store"),
    "store.secret_id.unwrapped": _event("A wrapped secret id was unwrapped by this daemon.", "store"),
}
