"""What a configuration may not lose: the places that values which may be alive still need (R21). Pure.

Called by `live` before a configuration is accepted. A credential that is no longer named is left behind, never revoked;
its way out, a retirement, needs the platform that can refuse its value, the consumers that hold it and its store.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rotator.engine.ports import CredentialRow
from rotator.machine.facts import EMPTY, OWED
from rotator.settings.models import Configuration


def orphans_of(new: Configuration, rows: Iterable[CredentialRow]) -> list[tuple[str, str]]:
    """(code, words) of everything that is gone and still needed, in a fixed order."""
    return sorted({lost for row in rows for lost in _lost(new, row)})


def _lost(new: Configuration, row: CredentialRow) -> Iterator[tuple[str, str]]:
    name = row.definition.id
    alive = [home for (_, home), placement in row.facts.placements.items() if placement.state in OWED]
    for home in alive:
        if home.endpoint not in new.endpoints:
            yield "CFG-ENDPOINT-IN-USE", f"endpoint `{home.endpoint}` is removed, but `{name}` may be alive there"
    if name in new.credentials or not alive:
        return
    for consumer in row.definition.consumers:
        held = next((values for key, values in row.facts.held.items() if key == consumer.id), frozenset())
        if held - {EMPTY} and consumer.endpoint not in new.endpoints:
            yield "CFG-ENDPOINT-IN-USE", f"endpoint `{consumer.endpoint}` is removed, but it may hold `{name}`"
    store = row.definition.store.store
    if store not in new.stores:
        yield "CFG-STORE-IN-USE", f"store `{store}` is removed, but `{name}` may be alive and is kept there"
