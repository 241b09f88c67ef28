"""What a person may accept between two runs. Called by the explorer."""

from __future__ import annotations

from collections.abc import Iterator

from rotator.machine.events import Accepted
from rotator.machine.facts import Facts
from rotator.machine.reading import debts
from tests.model.configurations import Configuration


def acceptances(config: Configuration, facts: Facts) -> Iterator[tuple[Accepted, str]]:
    """Each debt; at 0 the acceptance is over when the next run opens, at 1 it is not."""
    if config.accepts and facts.run is not None:
        for gen, home in debts(facts):
            for until in (0, 1):
                yield Accepted(gen, home, until), f"accepts {gen} at {home} until {until}"
