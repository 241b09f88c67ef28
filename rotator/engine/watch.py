"""Conditions that nobody's event tells: a debt that grows old, an expiry that comes near. Pure, of rows already read.

Called by the courier now and then. Each condition has a key of its own, so the outbox tells it once; a debt is told
again whenever it has doubled its age. What was retired, and what the configuration no longer names, nags nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rotator.machine.ids import Millis

from .calendar import DAY
from .notices import Notice
from .ports import CredentialRow, Debt
from .views import instant


@dataclass(frozen=True, slots=True)
class WatchRules:
    """`debt_after`: how old a debt is when it is told of first. `expiry_before`: spans, each told once."""

    debt_after: Millis = DAY
    expiry_before: tuple[Millis, ...] = (30 * DAY, 7 * DAY, DAY)


def watching(rows: Sequence[CredentialRow], debts: Sequence[Debt], rules: WatchRules, now: Millis) -> Iterator[Notice]:
    """What is to be told now; what was told before comes again with the same key."""
    yield from _debts(debts, rules, now)
    ended = {row.definition.id: row for row in rows if row.due_why == "retired"}
    for row in rows:
        if row.managed and row.adopted_at is not None and row.definition.id not in ended:
            yield from _expiry(row, rules, now)


def _debts(debts: Sequence[Debt], rules: WatchRules, now: Millis) -> Iterator[Notice]:
    for debt in debts:
        age = now - debt.since
        if age < rules.debt_after:
            continue
        times = (age // max(1, rules.debt_after)).bit_length() - 1
        name = f"debt:{debt.credential}:{debt.gen}:{debt.home}:{debt.since}"
        facts = (
            ("gen", str(debt.gen)), ("home", str(debt.home)), ("state", debt.state.value),
            ("since", str(instant(debt.since))), ("days", str(age // DAY)),
        )  # fmt: skip
        yield Notice("debt_overdue", now, f"{name}:{times}", debt.credential, about=name, facts=facts)


def _expiry(row: CredentialRow, rules: WatchRules, now: Millis) -> Iterator[Notice]:
    one = row.definition
    name, left = f"expiry:{one.id}:{one.expires}", one.expires - now
    facts = (("expires", str(instant(one.expires))), ("days", str(max(0, left) // DAY)))
    if left <= 0:
        yield Notice("expired", now, f"{name}:over", one.id, about=name, facts=facts)
        return
    reached = [span for span in rules.expiry_before if left <= span]
    if reached:  # the nearest only: whoever starts late is not told of all at once
        yield Notice("expiry_near", now, f"{name}:{min(reached)}", one.id, about=name, facts=facts)
