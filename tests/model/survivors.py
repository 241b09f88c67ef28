"""Generated mutants that nothing catches, and why none has to. Data for `mutants`: file and function, the text that was
changed, and the reason. One that is caught after all, or that is no longer there, does no harm here but is said.

Equivalent: both ways are the same, whatever the facts. Not reached: no event that the machine makes or takes leads
there. What a test can show is no entry here but a test (`test_expected*`).
"""

from __future__ import annotations

_LAST_LEG = (
    "equivalent: a return is always the last leg, so the first two of the legs are the return exactly if the first is"
)
_RUNG_SAYS_SO = "equivalent: the ladder's row of the rung says for all that it needs that the policy is asked"

EXPLAINED: dict[str, str] = {
    "evolve._turned: 1": _LAST_LEG,
    "evolve._turned: 1 (2)": _LAST_LEG,
    "evolve_person._asked_about: serves is None": (
        "not reached: a question whether what serves was verified always names a step; it could name none only before "
        "an ending that owes, and there the target is current"
    ),
    "ripe._find: 0 (2)": "not reached: a search always names its home (`worth_looking` asks for it first)",
    "rungs_up.install_needs: True": _RUNG_SAYS_SO,
    "rungs_up.install_needs: True (2)": _RUNG_SAYS_SO,
}
