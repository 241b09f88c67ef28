"""Retiring a workflow: which credentials it alone uses, and the certificate of what became of them. Pure.

Called by the service. Nothing is retired that another workflow uses: it is listed and left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rotator.machine.events import Outcome
from rotator.machine.facts import Facts, RunKind, State
from rotator.machine.ids import Gen
from rotator.machine.steps import Answer, Probed, StepKind

from .ports import CredentialRow, Entry, RunRow
from .views import instant, observed_view


def split_by_workflow(rows: Sequence[CredentialRow], workflow: str) -> tuple[list[CredentialRow], list[CredentialRow]]:
    """Those that the workflow alone uses, and those that it shares. Only what was adopted can be retired."""
    using = [row for row in rows if workflow in row.definition.workflows and row.adopted_at is not None]
    alone = [row for row in using if len(row.definition.workflows) == 1]
    return alone, [row for row in using if row not in alone]


def certificate_of(
    run: RunRow, facts: Facts, journal: Sequence[Entry], fingerprints: Mapping[Gen, str]
) -> dict[str, Any]:
    """One credential's part: each value by fingerprint, at each home its state and every proof that was seen."""
    proofs: dict[tuple[Gen, str], list[dict[str, Any]]] = {}
    for entry in journal:
        event = entry.event
        if not isinstance(event, Outcome) or not isinstance(event.found, Probed) or event.step.gen is None:
            continue
        if event.found.answer in {Answer.ALIVE, Answer.STRANGER}:
            proofs.pop((event.step.gen, str(event.step.home)), None)  # every refusal before means nothing
        elif event.step.kind is StepKind.PROVE and event.found.answer is Answer.REJECTED:
            seen = observed_view(entry.observed) or {}
            proof = {
                "at": instant(entry.at), "refusal": seen.get("refusal") or event.reason,
                "grade": None if event.found.grade is None else int(event.found.grade),
                "control": seen.get("control", ""),
            }  # fmt: skip
            proofs.setdefault((event.step.gen, str(event.step.home)), []).append(proof)
    known = {(gen, str(home)): row for (gen, home), row in facts.placements.items()}
    values = [
        {
            "gen": gen,
            "fingerprint": fingerprints.get(gen, ""),
            "label": facts.labels.get(gen),
            "filler": gen in facts.fillers,
            "homes": [
                {
                    "home": home,
                    # What was proven dead long ago is no longer among the facts; the journal remembers.
                    "state": known[gen, home].state.value if (gen, home) in known else State.DEAD.value,
                    "proofs": proofs.get((gen, home), []),
                }
                for other, home in sorted(known.keys() | proofs.keys())
                if other == gen
            ],
        }
        for gen in sorted({gen for gen, _ in known.keys() | proofs.keys()})
    ]
    serves = frozenset() if run.kind is RunKind.RETIRE else facts.current
    complete = run.ended_at is not None and all(
        row.state in {State.DEAD, State.ACCEPTED}
        for (gen, _), row in facts.placements.items()
        if gen not in facts.fillers and gen not in serves
    )
    return {
        "id": run.credential, "run": run.id, "ending": None if run.ending is None else run.ending.value,
        "complete": complete, "values": values,
    }  # fmt: skip
