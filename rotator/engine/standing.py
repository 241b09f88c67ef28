"""What is known of a credential and what is not, in words: for a person who is asked in the middle of the night. Pure.

Reason codes get their meaning from the machine's catalogue and, for the codes of plugins and stores, from the runbook.
"""

from __future__ import annotations

from rotator.machine import reasons
from rotator.machine.facts import ANYTHING, EMPTY, FOREIGN, Facts, State
from rotator.machine.ids import Gen
from rotator.machine.steps import StepKind

from .views import instant
from .wording import step_in_words

_SURE = {
    State.ALIVE: "works at {home} (verified {at})",
    State.INSTALLED: "was acknowledged at {home}",
    State.DEAD: "is proven dead at {home}",
    State.ACCEPTED: "may live at {home}; a person accepted that",
}
_UNSURE = {
    State.MAYBE: "may work at {home}: the answer was lost, or it was not looked at in this run",
    State.GONE: "should be dead at {home}, but is not proven dead",
    State.LINGERS: "was killed at {home} and was still accepted afterwards",
}


def meaning(code: str) -> str:
    """One line for a reason code of any kind; the code itself in words if it has none."""
    for kind in reasons.ALL.values():
        if code in kind:
            return kind[code]
    return code.replace("_", " ")


def certain(facts: Facts) -> list[str]:
    """What is surely so."""
    found = []
    if len(facts.current) == 1:
        found.append(f"readers of the store find {_value(next(iter(facts.current)))}")
    for (gen, home), row in sorted(facts.placements.items(), key=lambda item: (item[0][0], str(item[0][1]))):
        if row.state in _SURE:
            found.append(f"g{gen} {_SURE[row.state].format(home=home, at=instant(row.alive_at))}")
    for consumer, held in facts.held.items():
        if len(held) == 1 and ANYTHING not in held:
            found.append(f"{consumer} holds {_value(next(iter(held)))}")
    return found


def uncertain(facts: Facts) -> list[str]:
    """What is not known."""
    found = []
    if len(facts.current) != 1:
        these = ", ".join(_value(gen) for gen in sorted(facts.current)) or "a value that was not read yet"
        found.append(f"readers of the store may find {these}")
    for (gen, home), row in sorted(facts.placements.items(), key=lambda item: (item[0][0], str(item[0][1]))):
        if row.state in _UNSURE:
            found.append(f"g{gen} {_UNSURE[row.state].format(home=home)}")
    for consumer, held in facts.held.items():
        if len(held) != 1 or ANYTHING in held:
            found.append(f"{consumer} may hold {', '.join(_value(gen) for gen in sorted(held)) or 'anything'}")
    if facts.intent is not None and facts.intent.step.kind is not StepKind.VERIFY:
        found.append(f"whether this was done: {step_in_words(facts.intent.step)}")
    return found


def _value(gen: Gen) -> str:
    return {FOREIGN: "somebody else's value", EMPTY: "nothing", ANYTHING: "anything"}.get(gen, f"g{gen}")
