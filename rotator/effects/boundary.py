"""Exceptions become outcomes here, and only here. Called by `perform` around every step.

Must never let a vendor's text through: what leaves is a slug and a status code.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from rotator.engine.ports import Observed, Performed
from rotator.machine.events import Outcome
from rotator.machine.ids import Millis
from rotator.machine.steps import READS, Found, OutcomeKind, Step
from rotator.plugin_api import Failed, Misconfigured, OutcomeUnknown, PluginError, Refused

from .stores.contract import ForeignError

_LOG = structlog.get_logger()


def done(step: Step, found: Found, observed: Observed | None = None) -> Performed:
    """The step was acknowledged."""
    return Performed(Outcome(step, OutcomeKind.DONE, found), observed)


def bounded(step: Step, now: Callable[[], Millis], action: Callable[[], Performed]) -> Performed:
    """Run `action`; whatever it raises becomes one of the six outcomes. Anything unforeseen is *unknown* for a step
    that writes (it may have been done) and *failed* for one that reads."""
    try:
        return action()
    except ForeignError:
        # K7: a refused promote is followed by a read of current, which then finds out whose it is.
        return _outcome(step, OutcomeKind.REFUSED, "foreign_current")
    except PluginError as error:
        wait = None if error.retry_after is None else now() + int(error.retry_after.total_seconds() * 1000)
        return _outcome(step, _kind(step, error), error.reason, error.status, wait)
    except Exception as error:  # the boundary: nothing may pass
        _LOG.error("effects.step.bug", step=step.kind.value, error=type(error).__name__)
        return _outcome(step, OutcomeKind.FAILED if step.kind in READS else OutcomeKind.UNKNOWN, "bug")


def _kind(step: Step, error: PluginError) -> OutcomeKind:
    match error:
        case Refused():
            return OutcomeKind.REFUSED
        case Misconfigured():
            return OutcomeKind.MISCONFIGURED
        case Failed():
            return OutcomeKind.UNSENT if error.unsent else OutcomeKind.FAILED
        case OutcomeUnknown():
            return OutcomeKind.FAILED if step.kind in READS else OutcomeKind.UNKNOWN
        case _:
            return OutcomeKind.UNKNOWN


def _outcome(
    step: Step, kind: OutcomeKind, reason: str, status: str = "", not_before: Millis | None = None
) -> Performed:
    observed = Observed(gen=step.gen, home=step.home, status=status) if status else None
    return Performed(Outcome(step, kind, reason=reason, not_before=not_before), observed)
