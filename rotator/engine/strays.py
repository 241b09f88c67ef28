"""Strays: which of the values that a platform lists are ours, and which of those nobody accounts for. Pure.

Called by `sweeping` with what was listed and what the ledger knows. A label is no proof: people copy labels, and
another installation may have a name that begins like ours. So a row is only ever called ours if this ledger holds the
intent that made a generation under that very label, at that very principal, and knows no other handle of it. All else
is reported and never touched (R22).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from rotator.machine.facts import OWED, State
from rotator.machine.ids import Gen, Handle, Home, Label, Millis

from .inventory import Credential, CredentialId

LABEL: Final = re.compile(r"rot-([a-z0-9-]{1,12})-([0-9]{1,19})")
"""`rot-<installation>-<serial>`: the serial is what stands behind the last hyphen, so `rot-acme-1-7` is of `acme-1`."""


class Standing(Enum):
    """What a listed value is to this installation."""

    OURS = "ours"  # accounted for: it serves, is owed already, or a person accepted it
    STRAY = "stray"  # our own intent made it, and nothing says that it lives
    UNACCOUNTED = "unaccounted"  # our label, and no intent of this ledger stands for it: never touched
    FOREIGN = "foreign"  # another installation's label: never touched


@dataclass(frozen=True, slots=True)
class Listed:
    """One active row of a listing that bears a label like one of Rotator's."""

    kind: str
    handle: Handle
    label: Label
    principal: str | None = None


@dataclass(frozen=True, slots=True)
class Swept:
    """What an endpoint showed. `unlabelled`: rows that bear no such label, counted only. `blind`: kinds that could not
    be listed to the end, with the reason code: nothing is concluded from them."""

    rows: tuple[Listed, ...] = ()
    unlabelled: int = 0
    blind: tuple[tuple[str, str], ...] = ()
    """(kind, reason)."""
    lists: int = 0
    """How many kinds can be listed at all."""


@dataclass(frozen=True, slots=True)
class Making:
    """What this ledger holds of one label: whose generation was made under it, where it was sent, by which handles it
    is known. `state`: of the placement there; None: the facts have none (never, or buried as dead long ago)."""

    credential: CredentialId
    gen: Gen
    label: Label
    places: tuple[tuple[Home, State | None], ...]
    handles: frozenset[Handle] = frozenset()
    open_run: bool = False
    """A run of the credential is open: it looks after what it does itself."""
    changed: Millis | None = None
    """When a placement of it last changed its state."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One row and what it is. `why` is a reason code; `making` is there for OURS and STRAY."""

    row: Listed
    standing: Standing
    why: str
    installation: str = ""
    making: Making | None = None
    home: Home | None = None


class Labels(Protocol):
    """What the ledger knows of labels; implemented by it."""

    def makings(self, endpoint: str, labels: Sequence[Label]) -> Mapping[Label, Making]:
        """Those of `labels` that an intent of this ledger made a generation under; places at this endpoint only. Also
        of generations that the facts no longer name. Raises LedgerError."""
        ...


class Sweep(Protocol):
    """The listing of an endpoint, through the effects."""

    def labelled(self, endpoint: str, about: Sequence[Credential]) -> Swept:
        """Every active row of every kind that can be listed, about whom these credentials name there. Never raises."""
        ...


def installation_of(label: str) -> str | None:
    """Whose label it is; None: it is none of Rotator's."""
    found = LABEL.fullmatch(label)
    return None if found is None else found.group(1)


SETTLED: Final[Millis] = 900_000
"""What we ended so lately may still stand in a platform's list: a sweep that nobody asked for waits so long."""


def judged(
    endpoint: str, rows: Sequence[Listed], installation: str, makings: Mapping[Label, Making], quiet: Millis
) -> tuple[Judged, ...]:
    """Each row with what it is; a label that two rows bear is judged by the handle that we know. `quiet`: what was
    ended after this moment may still stand in the list."""
    bearers = Counter(row.label for row in rows)
    return tuple(_judge(endpoint, row, installation, makings.get(row.label), bearers[row.label], quiet) for row in rows)


def _judge(endpoint: str, row: Listed, installation: str, making: Making | None, bearers: int, quiet: Millis) -> Judged:
    whose = installation_of(row.label) or ""
    if whose != installation:
        return Judged(row, Standing.FOREIGN, "foreign_label", whose)
    if making is None:
        return Judged(row, Standing.UNACCOUNTED, "no_intent", whose)
    home = _where(endpoint, row, making)
    if home is None:
        return Judged(row, Standing.UNACCOUNTED, "other_principal", whose)
    if making.handles and row.handle not in making.handles:
        return Judged(row, Standing.UNACCOUNTED, "label_copied", whose)
    if not making.handles and bearers > 1:
        return Judged(row, Standing.UNACCOUNTED, "label_twice", whose)
    state = dict(making.places)[home]
    if making.open_run or (making.changed is not None and making.changed > quiet and state not in OWED):
        return Judged(row, Standing.OURS, "in_a_run", whose, making, home)
    if state is State.ACCEPTED:
        return Judged(row, Standing.OURS, "accepted_alive", whose, making, home)
    if state in OWED:
        return Judged(row, Standing.OURS, "known_placement", whose, making, home)
    return Judged(row, Standing.STRAY, "listed_though_dead", whose, making, home)


def _where(endpoint: str, row: Listed, making: Making) -> Home | None:
    """The home at which our intent put it; a row that does not say its principal fits where there is only one."""
    homes = [home for home, _ in making.places if home.endpoint == endpoint]
    if row.principal is None:
        return homes[0] if len(homes) == 1 else None
    return next((home for home in homes if home.principal == row.principal), None)


@dataclass(frozen=True, slots=True)
class SweepRules:
    """`every`: between two sweeps of an endpoint (0: none by itself); `again`: after one that found strays or could not
    list; `most`: runs opened by one sweep, a platform restored from a backup must not open a thousand at once."""

    every: Millis = 86_400_000
    again: Millis = 3_600_000
    most: int = 20
