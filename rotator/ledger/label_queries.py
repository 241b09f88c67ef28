"""Questions about labels: what did this ledger itself make under one? Read only; portable SQL over `tables`.

Called by the ledger's `makings`, for a sweep. The placements name what the facts still name; a generation that was
buried as dead is only in the journal, which is read once for all labels that the placements do not have: that costs a
pass over it, and such labels are rare (a value that came back, or somebody's copy).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection, select

from rotator.engine.inventory import CredentialId
from rotator.engine.strays import Making
from rotator.machine.events import Answered, AnswerKind, Event, Intended, Opened, Outcome
from rotator.machine.facts import OWED, State
from rotator.machine.ids import Gen, Handle, Home, Label
from rotator.machine.steps import Made, Staged, StepKind

from .rows import AnyRow, from_text
from .tables import credentials, journal, placements, runs

_PUTS = frozenset({StepKind.INSTALL, StepKind.ISSUE, StepKind.NEUTRALISE})
_LIVING = OWED | {State.ACCEPTED}
Known = tuple[CredentialId, Gen]


def makings(connection: Connection, endpoint: str, labels: Sequence[Label]) -> Mapping[Label, Making]:
    """See `engine.strays.Labels`."""
    wanted = frozenset(labels)
    if not wanted:
        return {}
    found: dict[Label, Known] = {}
    rows: dict[Known, list[AnyRow]] = {}
    for row in connection.execute(select(placements).where(placements.c.label.is_not(None))):
        if row.label in wanted:
            known = (CredentialId(row.credential), Gen(row.gen))
            found[Label(row.label)] = known
            rows.setdefault(known, []).append(row)
    found |= dict(_named_by_the_journal(connection, wanted - found.keys()))
    busy = set(connection.execute(select(credentials.c.id).where(credentials.c.open_run.is_not(None))).scalars())
    return {
        label: replace(_making(connection, endpoint, label, known, rows.get(known, [])), open_run=known[0] in busy)
        for label, known in found.items()
    }


def _making(connection: Connection, endpoint: str, label: Label, known: Known, rows: Sequence[AnyRow]) -> Making:
    """What the placements say is enough while every one of them accounts for a living value; else the journal is asked,
    which also knows what was buried."""
    states: dict[Home, State | None] = {Home(row.endpoint, row.principal): State(row.state) for row in rows}
    handles = {Handle(row.handle) for row in rows if row.handle is not None and row.endpoint == endpoint}
    if not states or not all(state in _LIVING for state in states.values()):
        homes, said = _history(connection, *known)
        states = {home: states.get(home) for home in homes} | states
        handles |= {handle for home, handle in said if home is None or home.endpoint == endpoint}
    places = tuple((home, states[home]) for home in sorted(states, key=str) if home.endpoint == endpoint)
    changed = max((row.since for row in rows if row.endpoint == endpoint), default=None)
    return Making(*known, label, places, frozenset(handles), changed=changed)


def _named_by_the_journal(connection: Connection, wanted: frozenset[Label]) -> Iterator[tuple[Label, Known]]:
    if not wanted:
        return
    # Written by the codec without blanks: an intent that fixes a label has this text in it.
    statement = (
        select(journal.c.event, journal.c.format, runs.c.credential)
        .join(runs, runs.c.id == journal.c.run)
        .where(journal.c.event.like('%"label":"rot-%'))
    )
    for row in connection.execute(statement):
        for label, gen in _labels_in(_event(row)):
            if label in wanted:
                yield label, (CredentialId(row.credential), gen)


def _labels_in(event: Event) -> Iterator[tuple[Label, Gen]]:
    match event:
        case Intended(label=label, step=step) if label is not None and step.gen is not None:
            yield label, step.gen
        case _:
            pass


def _history(
    connection: Connection, credential: CredentialId, gen: Gen
) -> tuple[frozenset[Home], frozenset[tuple[Home | None, Handle]]]:
    """Where our own intents sent a generation, and by which handles the journal knows it."""
    homes: set[Home] = set()
    handles: set[tuple[Home | None, Handle]] = set()
    statement = (
        select(journal.c.event, journal.c.format)
        .join(runs, runs.c.id == journal.c.run)
        .where(runs.c.credential == credential)
        .order_by(journal.c.sequence)
    )
    for row in connection.execute(statement):
        match _event(row):
            case Intended(step=step, handle=handle) if step.gen == gen and step.home is not None:
                homes |= {step.home} if step.kind in _PUTS else set()
                handles |= {(step.home, handle)} if handle is not None else set()
            case Outcome(step=step, found=Made(handle=handle) | Staged(handle=handle)) if step.gen == gen:
                handles |= {(step.home, handle)} if handle is not None else set()
            case Answered(kind=AnswerKind.NAME, gen=named, home=home, handle=handle) if named == gen and handle:
                handles.add((home, handle))
            case Opened(handles=adopted) if gen == 1:
                handles |= set(adopted)
            case Opened(strays=strays):
                handles |= {(one.home, one.handle) for one in strays if one.gen == gen and one.handle is not None}
            case _:
                pass
    return frozenset(homes), frozenset(handles)


def _event(row: AnyRow) -> Event:
    event: Event = from_text(Event, row.event, row.format)
    return event
