"""Generated mutants that nothing catches, and why none has to. Data for `mutants`: file and function, the text that was
changed, and the reason. One that is caught after all, or that is no longer there, does no harm here but is said.

Economy: the machine does more than it must, or waits longer, and every promise holds. Not reached: no plan that the
settings accept, and no answer that effects give, leads there. Not modelled: what the small world does not have.
"""

from __future__ import annotations

EXPLAINED: dict[str, str] = {
    "evolve_outcome.outcome: True": "economy: the place of an acknowledged effect stays closed for its quiet time too",
    "rungs_up._candidates_for_old: 0": (
        "not modelled: the floor counts only where current is somebody else's and is going to be overwritten"
    ),
    "ripe.death_is_settled: 0": "not reached: an endpoint with a living placement cannot leave the configuration (R21)",
    "evolve_found.staged: facts.state(gen, home) is State.MAYBE": (
        "economy: an issue whose stage is found stays *maybe*, and the verify that follows anyway finds out"
    ),
    "evolve_person._asked_about: question.step is not None": (
        "economy: the step that such a question names is about what serves, and so is the answer without it"
    ),
}
