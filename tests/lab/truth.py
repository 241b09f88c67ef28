"""What is true, asked of the servers themselves and compared with what Rotator says. Violations come back as text.

Called after every passage of the kills, the soak and the demo. It trusts neither the ledger nor the daemon: it reads
the store as root, tries every value ever seen, lists what lives.
"""

from __future__ import annotations

from typing import Any

from tests.lab.estate import Estate
from tests.lab.shapes import Roles, Shape, staged, stored


def watch(estate: Estate, shape: Shape) -> None:
    """Remember every value that the store holds for the credential now: current and staged ones."""
    current = shape.current(estate)
    if current is not None:
        shape.watched.see(*current)
    principals = {principal for principal, _ in shape.watched.values} | set(shape.principals(estate))
    for generation, value in staged(estate, shape.name):
        for principal in principals:
            shape.watched.see(principal, value, generation)


def violations(estate: Estate, shape: Shape, run: dict[str, Any]) -> list[str]:
    """Everything that must not be, after a run has ended or asks. Empty: all is as it was said."""
    watch(estate, shape)
    ending = run["ending"]
    accepted = [pair for pair in shape.watched.values if shape.accepts(estate, *pair)]
    debts = estate.ask("GET", f"/v1/debts?credential={shape.name}")[1]["items"]
    found: list[str] = []
    if run["kind"] in {"adopt", "rotate", "overlap", "reconcile"} or ending in {"succeeded", "rolled_back", "owed"}:
        found += _serves(estate, shape, run, accepted)
    if ending in {"succeeded", "rolled_back"} and debts:
        found.append(f"{ending} with {len(debts)} debts")
    if ending == "owed" and not debts:
        found.append("owed without a debt")
    found += _lives(estate, shape, run, accepted, debts)
    found += _neighbours(estate, shape)
    return [f"{shape.name}: {run['kind']} {ending}: {text}" for text in found]


def _serves(estate: Estate, shape: Shape, run: dict[str, Any], accepted: list[tuple[str, str]]) -> list[str]:
    if run["kind"] == "retire":
        gone = shape.current(estate) is None
        held = shape.held(estate) if isinstance(shape, Roles) else None
        return ([] if gone else ["readers still find a value"]) + (
            [] if held is None else ["a consumer still holds one"]
        )
    current = shape.current(estate)
    if current is None:
        return ["readers find nothing"]
    found = [] if current in accepted else ["what readers find is refused"]
    if isinstance(shape, Roles) and shape.held(estate) != current and run["ended"] is not None:
        found.append("the consumer does not hold what readers find")
    return found


def _lives(
    estate: Estate, shape: Shape, run: dict[str, Any], accepted: list[tuple[str, str]], debts: list[dict[str, Any]]
) -> list[str]:
    """Nothing lives that is neither what serves nor a debt."""
    if run["ended"] is None:
        return []
    current = None if run["kind"] == "retire" else shape.current(estate)
    nobodys = fillers(estate, shape)
    extra = [principal for principal, value in accepted if (principal, value) != current and value not in nobodys]
    owing = {debt["home"].rsplit("@", 1)[0] for debt in debts}
    found = [
        f"an old value of {principal} still works, and is no debt" for principal in extra if principal not in owing
    ]
    return found + [f"{stray} lives and nobody knows" for stray in shape.strays(estate, debts)]


def fillers(estate: Estate, shape: Shape) -> set[str]:
    """Values that neutralise a principal: accepted there, kept by nobody. One that is still staged is no such value."""
    told = estate.ask("GET", f"/v1/credentials/{shape.name}")[1]["generations"]
    numbers = {one["gen"] for one in told if one["filler"]}
    kept = {value for _, value in staged(estate, shape.name)}
    return {value for value, gen in shape.watched.generations.items() if gen in numbers and value not in kept}


def _neighbours(estate: Estate, shape: Shape) -> list[str]:
    fields = stored(estate, shape.name)
    return [] if fields is None or shape.neighbour in fields else ["a neighbour field was lost"]
