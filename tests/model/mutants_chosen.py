"""The chosen mutants: patches of the shipped files, each of which must be caught. Data for `mutants`.

A patch is text, found exactly once in its file (or `mutants` fails). It names where it is looked for first: the
configurations that matter, or the tests by expectation for what enumeration cannot see.
"""

from __future__ import annotations

from tests.model.mutant import (
    ANSWERS,
    GUARD,
    MODEL,
    ONE_DEBT,
    OTHER_VALUES,
    Mutant,
)
from tests.model.mutants_clocks import CLOCKS

_ADVANCE = """            _R.STAGED,
            _R.ROOM,
            _R.INSTALLED,
            _R.VERIFIED,
            _R.CURRENT,
            _R.HELD,
            _R.WAITED,
            _R.KILLED,
            _R.PROVEN,
            _R.TIDIED,
"""
_RETURN = "(_R.INSTALLED, _R.VERIFIED, _R.CURRENT, _R.HELD, _R.KILLED, _R.PROVEN, _R.TIDIED)"
_CONTAIN = "(_R.STAGED, _R.KILLED, _R.INSTALLED, _R.VERIFIED, _R.CURRENT, _R.HELD, _R.PROVEN, _R.TIDIED)"


def _without(rung: str, *only: str) -> Mutant:
    """The advance without one rung."""
    lines = _ADVANCE.replace(f"            _R.{rung},\n", "")
    return Mutant(f"advance without {rung.lower()}", "ladder.py", _ADVANCE, lines, only)


def _swapped(one: str, other: str, *only: str) -> Mutant:
    """The advance with two rungs in each other's place."""
    lines = _ADVANCE.replace(f"{one},", "@").replace(f"{other},", f"{one},").replace("@", f"{other},")
    return Mutant(f"advance with {one.lower()} and {other.lower()} swapped", "ladder.py", _ADVANCE, lines, only)


RUNGS = (
    _without("STAGED", "o"),
    _without("ROOM", "o i two slots + debt"),
    _without("INSTALLED", "o"),
    _without("VERIFIED", "o"),
    _without("CURRENT", "o"),
    _without("HELD", "o"),
    _without("KILLED", "o"),
    _without("PROVEN", "o"),
    _swapped("ROOM", "INSTALLED", "o i two slots + debt"),
    _swapped("VERIFIED", "CURRENT", "o"),
    _swapped("CURRENT", "HELD", "in place", "o + in place at b"),
    _swapped("HELD", "KILLED", "o"),
    Mutant("return without current", "ladder.py", _RETURN, _RETURN.replace("_R.CURRENT, ", ""), ("o",)),
    Mutant("return without tidied", "ladder.py", _RETURN, _RETURN.replace(", _R.TIDIED", ""), ("o",)),
    Mutant("contain without killed", "ladder.py", _CONTAIN, _CONTAIN.replace("_R.KILLED, ", ""), ("contain o",)),
    Mutant(
        "retire without emptied",
        "ladder.py",
        "(_R.KILLED, _R.PROVEN, _R.EMPTIED, _R.TIDIED)",
        "(_R.KILLED, _R.PROVEN, _R.TIDIED)",
        ("retire o + debt",),
    ),
    Mutant("going back ends well", "ladder.py", "Ending.ROLLED_BACK,\n    ),", "Ending.SUCCEEDED,\n    ),", ("o",)),
    Mutant("giving up ends well", "ladder.py", "Ending.CONTAINED)", "Ending.SUCCEEDED)", ("contain o",)),
    Mutant(
        "killed takes its first need only",
        "ladder.py",
        'word="revoking",\n        owes=True,\n        any_order=True,',
        'word="revoking",\n        owes=True,',
        expect=ONE_DEBT,
    ),
)

READINGS = (
    Mutant(
        "held read as possibly",
        "reading.py",
        "if held_by(facts, consumer.id) != {gen} and",
        "if gen not in held_by(facts, consumer.id) and",
        ("o",),
    ),
    Mutant("in use read as surely", "reading.py", "(gen in held or ANYTHING in held)", "held == {gen}", expect=GUARD),
    Mutant(
        "works read as in place",
        "reading.py",
        "facts.state(gen, home) is State.ALIVE for",
        "facts.state(gen, home) in HERE for",
        expect=GUARD,
    ),
    Mutant(
        "current read as possibly",
        "rungs_up.py",
        "    if facts.read_at is None or len(facts.current) != 1:\n",
        "    if target in facts.current:\n        return ()\n"
        "    if facts.read_at is None or len(facts.current) != 1:\n",
        ("o",),
    ),
    Mutant(
        "alive read as surely",
        "rungs_down.py",
        "if row.state not in LIVES:",
        "if row.state not in HERE:",
        ("o i labelled + debt",),
    ),
    Mutant(
        "gone is no debt",
        "reading.py",
        "if row.state in OWED and g not in facts.current)",
        "if row.state in LIVES and g not in facts.current)",
        ("o",),
    ),
)

FACTS = (
    Mutant(
        "a refusal is believed",
        "evolve_outcome.py",
        "        return _refused(plan, after, event, at)",
        "        return _refused(plan, _undone(facts), event, at)",
        ("o",),
    ),
    Mutant(
        "a failure is believed",
        "evolve_outcome.py",
        "if event.kind is OutcomeKind.UNSENT:",
        "if event.kind in (OutcomeKind.UNSENT, OutcomeKind.FAILED):",
        ("o",),
    ),
    Mutant(
        "unknown is taken for unsent",
        "evolve_outcome.py",
        "if event.kind is OutcomeKind.UNSENT:",
        "if event.kind in (OutcomeKind.UNSENT, OutcomeKind.UNKNOWN):",
        ("o",),
    ),
    Mutant(
        "unsent is taken for unknown",
        "evolve_outcome.py",
        "if event.kind is OutcomeKind.UNSENT:",
        "if event.kind is None:",
        expect=MODEL,
    ),
    Mutant(
        "a promote's intent leaves current sure",
        "evolve_intent.py",
        "current=facts.current | {gen})",
        "current=facts.current)",
        ("o",),
    ),
    Mutant(
        "a push's intent leaves the consumer sure",
        "evolve_intent.py",
        "held_by(facts, step.consumer) | {gen})",
        "held_by(facts, step.consumer))",
        ("o",),
    ),
    Mutant(
        "a stage's intent leaves the store sure",
        "evolve_intent.py",
        "    if step.kind is StepKind.STAGE:\n        return facts.but(stored=facts.stored | {gen})",
        "    if step.kind is StepKind.STAGE:\n        return facts",
        ("o",),
    ),
    Mutant(
        "a destroy's intent leaves the value kept",
        "evolve_intent.py",
        "facts.but(kept=facts.kept - {gen}, doomed=",
        "facts.but(doomed=",
        ("o",),
    ),
    Mutant(
        "an install's intent makes no placement",
        "evolve_intent.py",
        "    facts = put(facts, gen, home, row)\n    if step.kind is StepKind.ISSUE:",
        "    if step.kind is StepKind.ISSUE:",
        ("o",),
    ),
    Mutant(
        "a kill does not doom",
        "evolve_intent.py",
        "        return facts.but(doomed=facts.doomed | {gen})\n    return facts\n",
        "        return facts\n    return facts\n",
        expect=ANSWERS,
    ),
    Mutant(
        "a destroy does not doom",
        "evolve_intent.py",
        "kept=facts.kept - {gen}, doomed=facts.doomed | {gen}, current",
        "kept=facts.kept - {gen}, current",
        ("o, contain now",),
    ),
    Mutant(
        "contain and retire do not doom",
        "evolve_open.py",
        "if event.kind in (RunKind.CONTAIN, RunKind.RETIRE):",
        "if event.kind is None:",
        expect=MODEL,
    ),
    Mutant(
        "contain goes on with what is doomed",
        "reading.py",
        " and run.candidate not in facts.doomed:",
        ":",
        ("contain o", "o, contain now"),
    ),
    Mutant(
        "a kill is repeated without end",
        "evolve_found.py",
        "return with_run(facts, repeated=run_of(facts).repeated | again) if again else facts",
        "return facts",
        expect=MODEL,
    ),
    Mutant(
        "a skip is remembered for ever",
        "evolve_open.py",
        "    run = Run(kind=event.kind, legs=LEGS_OF[event.kind], opened_at=at)\n",
        "    run = Run(kind=event.kind, legs=LEGS_OF[event.kind], opened_at=at)\n"
        "    run = replace(run, skipped=facts.run.skipped if facts.run else run.skipped)\n",
        expect=ANSWERS,
    ),
    Mutant(
        "debts are dropped",
        "evolve_open.py",
        "if row.state is not State.DEAD}",
        "if row.state not in (State.DEAD, State.MAYBE)}",
        ("o i, twice", "alternating, twice"),
    ),
    Mutant(
        "absent once is absent", "evolve_found.py", "if row.absent < ABSENT:", "if row.absent < 1:", ("o i labelled",)
    ),
    Mutant(
        "a lost issue is made again under its number",
        "rungs_up.py",
        "if row is not None and row.state is State.MAYBE:\n        return _look",
        "if row is not None and row.state is State.MAYBE and not authority.issued:\n        return _look",
        ("o i labelled",),
    ),
    Mutant(
        "verified in a slot, the others stay maybe",
        "evolve_found.py",
        "facts = alone_in_slot(plan, put(facts, gen, home, row), gen, home, at, by_look=True)",
        "facts = put(facts, gen, home, row)",
        ("in place i readable", "in place, twice"),
    ),
    Mutant(
        "any refusal of current is explained",
        "rungs_up.py",
        "if not (displaces(plan.authority(home)) and taken):",
        "if taken is None:",
        expect=ANSWERS,
    ),
    Mutant(
        "an accepted value takes no slot",
        "rungs_up.py",
        "(row.state is State.ACCEPTED and row.absent < ABSENT)",
        "False",
        expect=ANSWERS,
    ),
)

GUARDS = (
    Mutant(
        "the guard lets current go", "guard.py", "if gen in facts.current or maybe_held", "if maybe_held", expect=GUARD
    ),
    Mutant(
        "the guard lets the held go",
        "guard.py",
        "if gen in facts.current or maybe_held(plan, facts, gen):",
        "if gen in facts.current:",
        expect=GUARD,
    ),
    Mutant(
        "the guard lets the target go",
        "guard.py",
        "if step.kind is StepKind.REVOKE and step.gen == target:",
        "if step.kind is StepKind.REVOKE and step.gen is None:",
        expect=GUARD,
    ),
    Mutant(
        "the guard lets the doomed in",
        "guard.py",
        "StepKind.PUSH) and step.gen in facts.doomed:",
        "StepKind.PUSH) and step.gen is None:",
        expect=GUARD,
    ),
    Mutant(
        "the guard lets the untried in",
        "guard.py",
        "and step.gen is not None and not works(facts, step.gen):",
        "and step.gen is None:",
        expect=GUARD,
    ),
    Mutant(
        "the guard counts gone as gone",
        "guard.py",
        "counted = LIVES if way_back else OWED",
        "counted = LIVES",
        expect=GUARD,
    ),
    Mutant(
        "the guard does not ask what serves",
        "guard.py",
        "if serves is None or not works(facts, serves):",
        "if serves is None:",
        expect=GUARD,
    ),
)

LABELS = (
    Mutant(
        "the first row with our label is ours",
        "evolve_found.py",
        "if handle is None and len(found) == 1:",
        "if handle is None:",
        ("o + debt + copied label, rotate", "o i labelled + copied label, rotate"),
    ),
    Mutant(
        "suspects do not hold a kill",
        "rungs_down.py",
        " and (gen, home) not in facts.suspects\n",
        "\n",
        expect=("tests/model/test_expected_facts.py",),
    ),
    Mutant(
        "an accepted candidate is issued again",
        "evolve_person.py",
        "if event.gen in (target_of(facts), run.candidate):",
        "if event.gen == target_of(facts):",
        ("o i labelled + debt + copied label, rotate",),
    ),
)

VALUES = (
    Mutant(
        "values are made without end",
        "evolve_outcome.py",
        "if unfit >= plan.values else",
        "if unfit >= 99 else",
        expect=OTHER_VALUES,
    ),
    Mutant(
        "a value refused by rule is tried again",
        "evolve_outcome.py",
        "facts = with_run(facts.but(doomed=facts.doomed | {gen}), unfit=unfit)",
        "facts = with_run(facts, unfit=unfit)",
        expect=OTHER_VALUES,
    ),
    Mutant(
        "a refusal by rule dooms what is in use",
        "evolve_outcome.py",
        " and gen not in used(facts)\n",
        "\n",
        expect=OTHER_VALUES,
    ),
    Mutant(
        "every refusal is one of the value",
        "evolve_outcome.py",
        "not sets or event.reason != VALUE_REFUSED:",
        "not sets:",
        expect=OTHER_VALUES,
    ),
    Mutant(
        "a value of old that is refused is followed by another",
        "evolve_outcome.py",
        "(Role.CANDIDATE, Role.FILLER) and gen",
        "(Role.CANDIDATE, Role.FILLER, Role.OLD) and gen",
        expect=OTHER_VALUES,
    ),
    Mutant(
        "what was accepted and is not listed takes a slot",
        "rungs_up.py",
        "(row.state is State.ACCEPTED and row.absent < ABSENT)",
        "row.state is State.ACCEPTED",
        expect=OTHER_VALUES,
    ),
)

CHOSEN = (*RUNGS, *READINGS, *FACTS, *GUARDS, *CLOCKS, *LABELS, *VALUES)
