"""The ladder: the rules, then the rungs and legs as data. A reader checks the machine here.

**What it is.** The ledger holds facts, not phases. A run is a few legs; a leg is a target (one generation, or none)
and a list of rungs. The first rung that the facts do not satisfy gives the next step. Going back is a leg whose
target is the old value, repairing what an abandoned run left is a leg whose target is the present one, and a debt of
long ago is killed by the same rung as the old value of today. Nothing is ever "done": it is a fact that a later
intent can take away.

**The law of facts.** An intent makes facts uncertain. Only an acknowledged *done*, or a look, makes them certain. A
refusal makes nothing certain: it may be a lie, and only decides where to go. A rung that wants something reads
*surely*; one that wants something gone reads *possibly*.

**Six outcomes.** done; refused (policy); failed (the platform did nothing: later again); unsent (we never connected:
facts as before); unknown (may be done: look); misconfigured (ask). Beyond the policy's patience, a number of attempts
and a span, what passes by itself counts as refused.

**A look finds out.** It never revokes and never sends again. An open intent whose worker is gone has an unknown
outcome; the place of its effect stays closed until the last instant at which it can land (`ripe`), and what finds out
is the next step of the rung that reads the uncertain fact.

**Doomed.** A value with a kill or destroy intent, or named by contain or retire, is never a target again.

**The guard.** Nothing in use is killed outside contain, retire and give up (`guard`). With a way back it never fires.

**The policy.** What is refused or impossible: in advance, go back if the old value can still work, else ask
(`policy`).

**Clocks are facts, limits are not.** Every clock is in `ripe`; windows, pauses, rates and approvals are asked of
`holds`.

**One order.** staged < installed < verified < {current, held} < killed < proven < tidied, room < installed, current <
held: promote before distribute, always. Contain differs on purpose: it kills as soon as its own value is staged.

**Endings.** Succeeded; owed (something old could not be proven dead, the new one serves: listed, reconcile goes on);
rolled back; contained (nothing works any more, all proven dead); abandoned.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from rotator.machine import rungs_down, rungs_up
from rotator.machine.facts import Ending, LegName
from rotator.machine.needs import Rung


class RungName(Enum):
    """The twelve rungs, in the one order."""

    SEEN = "seen"
    STAGED = "staged"
    ROOM = "room"
    INSTALLED = "installed"
    VERIFIED = "verified"
    CURRENT = "current"
    HELD = "held"
    WAITED = "waited"
    KILLED = "killed"
    PROVEN = "proven"
    EMPTIED = "emptied"
    TIDIED = "tidied"


@dataclass(frozen=True, slots=True)
class RungRow:
    """A rung. `needs` is the condition itself; the texts are for readers, and for the generated tables."""

    needs: Rung
    holds_when: str
    step: str
    refused: str
    guard: str
    word: str
    policy: bool = False
    """What is stuck here is weighed by the policy; else a person is asked."""
    owes: bool = False
    """What is stuck here does not hold the run in advance and return: it ends owing."""
    any_order: bool = False
    """Of what is missing, the first that is ripe is taken (K8)."""


RUNGS: dict[RungName, RungRow] = {
    RungName.SEEN: RungRow(
        rungs_up.seen,
        holds_when="the store's current was read (foreign: ask) and it, else a newer value, was probed",
        step="read current, verify",
        refused="information; foreign, or refused without a reason of ours: ask",
        guard="–",
        word="repairing",
    ),
    RungName.STAGED: RungRow(
        rungs_up.staged,
        holds_when="the target is kept under its own path (issued: empty)",
        step="check stage, stage (an old one from current)",
        refused="policy",
        guard="–",
        word="preparing",
        policy=True,
    ),
    RungName.ROOM: RungRow(
        rungs_up.room,
        holds_when="n slots: fewer than n owed or accepted placements of others",
        step="kill and prove one that is neither current nor held",
        refused="ask; nobody to remove: policy",
        guard="kill",
        word="making room",
        any_order=True,
    ),
    RungName.INSTALLED: RungRow(
        rungs_up.installed,
        holds_when="surely in place at every home, single slots last",
        step="on maybe a look (verify, check stage, find); else install, or snapshot and issue",
        refused="policy",
        guard="not doomed; displacing: kill",
        word="installing",
        policy=True,
    ),
    RungName.VERIFIED: RungRow(
        rungs_up.verified,
        holds_when="alive at every home, as the right identity",
        step="verify",
        refused="policy",
        guard="–",
        word="verifying",
        policy=True,
    ),
    RungName.CURRENT: RungRow(
        rungs_up.current,
        holds_when="the store's current is surely the target",
        step="read current, promote (compare-and-set)",
        refused="read current, then policy; foreign: ask",
        guard="works, not doomed",
        word="promoting",
        policy=True,
    ),
    RungName.HELD: RungRow(
        rungs_up.held,
        holds_when="each consumer surely holds the target, or was skipped for it",
        step="push",
        refused="policy; a question offers skip",
        guard="works, not doomed",
        word="distributing",
        policy=True,
        any_order=True,
    ),
    RungName.WAITED: RungRow(
        rungs_down.waited,
        holds_when="no other value's overlap runs",
        step="wait",
        refused="–",
        guard="–",
        word="overlap",
    ),
    RungName.KILLED: RungRow(
        rungs_down.killed,
        holds_when="no other value may be alive (a single slot with the target: none lingers), its tokens are swept",
        step="find, revoke, stage filler, neutralise, install the target again, sweep",
        refused="advance, return: owed; else ask",
        guard="kill",
        word="revoking",
        owes=True,
        any_order=True,
    ),
    RungName.PROVEN: RungRow(
        rungs_down.proven,
        holds_when="every other value is proven dead, or accepted by a person",
        step="prove (found alive: kill once more); nobody has it: find twice, or verify what took its slot",
        refused="advance, return: owed; else ask",
        guard="–",
        word="proving",
        owes=True,
        any_order=True,
    ),
    RungName.EMPTIED: RungRow(
        rungs_down.emptied,
        holds_when="no consumer holds anything",
        step="unpush",
        refused="ask; a question offers skip",
        guard="–",
        word="emptying",
        any_order=True,
    ),
    RungName.TIDIED: RungRow(
        rungs_down.tidied,
        holds_when="own labels were listed once more; what is dead everywhere is destroyed, the rest stays staged",
        step="list, destroy",
        refused="advance, return: owed; else ask",
        guard="–",
        word="finishing",
        owes=True,
        any_order=True,
    ),
}


@dataclass(frozen=True, slots=True)
class LegRow:
    """A leg. `ending` is None for one that is never the last."""

    target: str
    rungs: tuple[RungName, ...]
    ending: Ending | None


_R = RungName

LEGS: dict[LegName, LegRow] = {
    LegName.ADOPT: LegRow("old", (_R.SEEN, _R.STAGED, _R.VERIFIED), Ending.SUCCEEDED),
    LegName.REPAIR: LegRow("old", (_R.SEEN, _R.STAGED, _R.INSTALLED, _R.VERIFIED, _R.CURRENT, _R.HELD), None),
    LegName.ADVANCE: LegRow(
        "candidate",
        (
            _R.STAGED,
            _R.ROOM,
            _R.INSTALLED,
            _R.VERIFIED,
            _R.CURRENT,
            _R.HELD,
            _R.WAITED,
            _R.KILLED,
            _R.PROVEN,
            _R.TIDIED,
        ),
        Ending.SUCCEEDED,
    ),
    LegName.RETURN: LegRow(
        "old",
        (_R.INSTALLED, _R.VERIFIED, _R.CURRENT, _R.HELD, _R.KILLED, _R.PROVEN, _R.TIDIED),
        Ending.ROLLED_BACK,
    ),
    LegName.CONTAIN: LegRow(
        "candidate",
        (_R.STAGED, _R.KILLED, _R.INSTALLED, _R.VERIFIED, _R.CURRENT, _R.HELD, _R.PROVEN, _R.TIDIED),
        Ending.SUCCEEDED,
    ),
    LegName.GIVE_UP: LegRow("none", (_R.KILLED, _R.PROVEN, _R.TIDIED), Ending.CONTAINED),
    LegName.RETIRE: LegRow("none", (_R.KILLED, _R.PROVEN, _R.EMPTIED, _R.TIDIED), Ending.SUCCEEDED),
}
"""A reconcile walks repair and return to the present value; its return ends SUCCEEDED."""
