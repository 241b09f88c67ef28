"""The demo's evidence: what happened to each old value, in the platform's words and in the journal's.

The clients try every value that they ever held, past every proxy; grade, control and times come from the journal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.lab.clients import Client
from tests.lab.estate import Estate
from tests.lab.shapes import Shape

LEAST_OF_RATE = 10 / 12
"""Of the uses a second that a client is to make: ten of the twelve of each basic shape."""


@dataclass(slots=True)
class Evidence:
    """One ended run of one credential."""

    credential: str
    what: str
    by: str
    ending: str
    proofs: list[dict[str, Any]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    accepted: int = 0

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def gather(estate: Estate, shapes: Sequence[Shape], clients: Mapping[str, Client]) -> list[Evidence]:
    """Everything, oldest run first."""
    found = []
    for shape in shapes:
        items = estate.rotator("runs", "list", "--credential", shape.name, "-o", "json").json()["items"]
        for run in reversed(items):
            one = Evidence(shape.name, run["kind"], run["actor"], run["ending"] or "open")
            one.proofs = proofs_of(estate, run["id"])
            found.append(one)
        current = shape.current(estate)
        words = [
            shape.refusal(estate, principal, value)
            for principal, value in shape.watched.values
            if (principal, value) != current
        ]
        found[-1].refused = sorted({word for word in words if word})
        found[-1].accepted = sum(not word for word in words)
    return found


def proofs_of(estate: Estate, run: str) -> list[dict[str, Any]]:
    """Each value that the run proved dead: generation, home, times, weakest grade, control, slug."""
    lines = [json.loads(line) for line in estate.rotator("runs", "watch", run, "-o", "ndjson").out.splitlines()]
    by_value: dict[tuple[Any, Any], dict[str, Any]] = {}
    for row in lines:
        seen = row.get("observed")
        if row.get("event") != "outcome" or not seen or seen.get("grade") is None:
            continue
        one = by_value.setdefault(
            (seen["gen"], seen["home"]),
            {"gen": seen["gen"], "home": seen["home"], "times": 0, "grade": 0, "control": "", "refusal": ""},
        )
        one["times"] += 1
        one["grade"] = max(one["grade"], seen["grade"])
        one["control"], one["refusal"] = seen["control"], seen["refusal"]
    return list(by_value.values())


def promises(evidence: Sequence[Evidence], clients: Mapping[str, Client]) -> list[str]:
    """What is not as promised."""
    broken = []
    for one in evidence:
        wanted = "rolled_back" if one.what == "rotate" and one.by != "scheduler" else "succeeded"
        if one.ending != wanted:
            broken.append(f"{one.credential}: {one.what} ended {one.ending}, not {wanted}")
        if one.what != "adopt" and not one.proofs:
            broken.append(f"{one.credential}: {one.what} proved nothing dead")
        if one.accepted:
            broken.append(f"{one.credential}: {one.accepted} old values are still accepted")
        for proof in one.proofs:
            if proof["grade"] > 2 or proof["times"] < 2:
                broken.append(f"{one.credential}: g{proof['gen']} grade {proof['grade']}, {proof['times']} times")
    for name, client in clients.items():
        if client.refusals and not client.shape.in_place:
            broken.append(f"{name}: its client was refused {len(client.refusals)} times")
        if client.rate < client.per_second * LEAST_OF_RATE:
            broken.append(f"{name}: its client used it only {client.rate:.1f} times a second")
        if client.troubles:
            broken.append(f"{name}: its client could not ask {len(client.troubles)} times")
    return broken


def table(evidence: Sequence[Evidence], clients: Mapping[str, Client]) -> str:
    """The closing table."""
    head = ("credential", "what happened", "by", "proven dead", "times", "grade", "control", "ending")
    rows = [head]
    for one in evidence:
        base = (one.credential, one.what, one.by.split(" ")[0])
        if not one.proofs:
            rows.append((*base, "-", "-", "-", "-", one.ending))
        for proof in one.proofs:
            what = f"g{proof['gen']} {proof['refusal']}"
            rows.append(
                (*base, what, str(proof["times"]), str(proof["grade"]), proof["control"].split(" at ")[0], one.ending)
            )
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    lines += ["", "every old value, tried once more by the client that held it:"]
    for one in evidence:
        lines += [f"  {one.credential}: {words}" for words in one.refused]
    lines += [""]
    for name, client in clients.items():
        text = f"  {name}: used {client.uses} times ({client.rate:.1f} a second), refused {len(client.refusals)} times"
        out = (
            f", out for {client.out_for_s:.2f} s (a single slot: between install and promote)"
            if client.refusals
            else ""
        )
        lines.append(text + out)
    return "\n".join(lines)
