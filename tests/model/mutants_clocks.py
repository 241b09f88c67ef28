"""The chosen mutants of the clock rules K1 to K12: each taken away alone. Data for `mutants`."""

from __future__ import annotations

from tests.model.mutant import HOLDS, MODEL, OWING, RULES, Mutant

CLOCKS = (
    Mutant(
        "K1: no overlap",
        "ripe.py",
        "    return None if left is None else left + plan.clocks.overlap",
        "    return None if left is None else left",
        ("o, overlap", "alternating, overlap"),
    ),
    Mutant(
        "K2: what serves is not seen again",
        "decide.py",
        "        return _see_what_serves(plan, facts, step, now) or Do(step)",
        "        return Do(step)",
        ("o, expires",),
    ),
    Mutant(
        "K3: a place opens with the outcome",
        "ripe.py",
        "    return closed.get(place_of(plan, step), 0)",
        "    return 0",
        ("o i, late",),
    ),
    Mutant(
        "K4: a proof does not wait",
        "ripe.py",
        "    start = death_is_settled(plan, row, home)\n    if",
        "    start = 0\n    if",
        ("in place, grace",),
    ),
    Mutant(
        "K5: the span does not count",
        "policy.py",
        "return row.n >= clocks.patience and now - row.first >= clocks.patience_span",
        "return now - row.first >= clocks.patience_span",
        expect=MODEL,
    ),
    Mutant(
        "K6: a pause holds a lock-out",
        "holds.py",
        "return current is not None and works(facts, current)",
        "return True",
        expect=HOLDS,
    ),
    Mutant(
        "K7: a refused promote is not read",
        "policy.py",
        "return row is not None and not row.read",
        "return False",
        expect=RULES,
    ),
    Mutant(
        "K9: alive on one replica is alive",
        "ripe.py",
        "        return row.acked_at + plan.clocks.settle\n    return 0",
        "        return row.acked_at\n    return 0",
        ("o, settling",),
    ),
    Mutant(
        "K11: any return can be gone on from",
        "answers.py",
        "run.returned_from is not LegName.ADVANCE or facts",
        "facts",
        expect=MODEL,
    ),
    Mutant(
        "K12: nothing may be owed",
        "decide.py",
        "OWING = frozenset({LegName.ADVANCE, LegName.RETURN})",
        "OWING: frozenset[LegName] = frozenset()",
        expect=OWING,
    ),
)
