"""Proofs and ends of values, one step at a time: the control comes first, and nothing is half destroyed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from rotator.effects.stores.contract import Slot
from rotator.engine.inventory import ConsumerRef, FieldMap, Source
from rotator.engine.ports import Performed
from rotator.machine.facts import Facts, LegName, Placement, Run, RunKind, State
from rotator.machine.frozen import FrozenMap
from rotator.machine.ids import Gen, Handle, Home, Version
from rotator.machine.steps import Answer, CurrentIs, Grade, OutcomeKind, Probed, StepKind
from rotator.plugin_api import (
    Failed,
    Found,
    Secret,
)
from tests.unit.perform_stand import HOME, SLOT, Stand, facts, stand

__all__ = ["stand"]


# -- proof ---------------------------------------------------------------------------------------------------------

OTHER = Home("api", "other")
CONTROLS: list[tuple[Grade, Facts]] = [
    (Grade.SUCCESSOR, facts((1, State.GONE, HOME), (2, State.ALIVE, HOME))),
    (Grade.NEUTRAL, facts((1, State.GONE, HOME), (2, State.ALIVE, HOME), fillers=frozenset({Gen(2)}))),
    (Grade.WITNESS, facts((1, State.GONE, HOME), (2, State.ALIVE, OTHER))),
]


@pytest.mark.parametrize(("grade", "known"), CONTROLS)
def test_the_control_is_tried_first_and_its_kind_is_the_grade(stand: Stand, grade: Grade, known: Facts) -> None:
    stand.put(1, "canary-one")
    stand.put(2, "canary-two")
    stand.platform.alive["canary-two"] = "other" if grade is Grade.WITNESS else "svc"
    done = stand.do(StepKind.PROVE, 1, facts=known)
    assert done.outcome.found == Probed(Answer.REJECTED, grade)
    tried = [request.value for name, request, _ in stand.platform.asked if name == "probe"]
    assert [value.matches(Secret("canary-one")) for value in tried] == [False, True]


def test_without_a_control_the_old_value_is_not_tried(stand: Stand) -> None:
    stand.put(1, "canary-one")
    stand.put(2, "canary-two")  # not alive: the whole platform refuses
    done = stand.do(StepKind.PROVE, 1, facts=facts((1, State.GONE, HOME), (2, State.ALIVE, HOME)))
    assert (done.outcome.found, done.outcome.reason) == (Probed(Answer.INCONCLUSIVE), "no_control")
    assert len([name for name in stand.platform.names() if name == "probe"]) == 1


def test_a_value_that_is_to_die_is_no_control(stand: Stand) -> None:
    """Trying it would cost budget that nobody counts."""
    stand.put(1, "canary-one")
    stand.put(2, "canary-two")
    known = facts((1, State.GONE, HOME), (2, State.MAYBE, HOME), doomed=frozenset({Gen(2)}))
    assert stand.do(StepKind.PROVE, 1, facts=known).outcome.reason == "no_control"
    assert "probe" not in stand.platform.names()


@pytest.mark.parametrize(("listed", "grade"), [((), Grade.LISTING), ((Found(handle="h1"),), None)])
def test_a_listing_without_the_handle_is_the_weakest_control(
    stand: Stand, listed: tuple[Found, ...], grade: Grade | None
) -> None:
    stand.put(1, "canary-one")
    known = facts((1, State.GONE, HOME), handles=FrozenMap({(Gen(1), HOME): Handle("h1")}))
    row = Placement(State.GONE, alive_at=stand.clock.at - 5, gone_at=stand.clock.at)
    stand.platform.answers["listing"] = listed
    done = stand.do(StepKind.PROVE, 1, facts=replace(known, placements=FrozenMap({(Gen(1), HOME): row})))
    found = done.outcome.found
    assert isinstance(found, Probed)
    assert found.grade is grade


# -- ends ----------------------------------------------------------------------------------------------------------


def test_a_revoke_without_a_handle_is_never_sent(stand: Stand) -> None:
    assert stand.do(StepKind.REVOKE).outcome.kind is OutcomeKind.MISCONFIGURED
    assert stand.platform.asked == []
    stand.do(StepKind.REVOKE, handle=Handle("h7"))
    assert stand.platform.asked[0][1].target.handle == "h7", "fixed in the intent (R17)"


def promoted(stand: Stand) -> str:
    stand.put(2, "canary-two")
    done = stand.do(StepKind.PROMOTE, home=None, expected=Version(""), facts=facts((2, State.ALIVE, HOME)))
    assert isinstance(done.outcome.found, CurrentIs), done
    return str(done.outcome.found.version)


def test_the_retirements_destroy_clears_what_readers_see_first(stand: Stand) -> None:
    promoted(stand)
    run = Run(RunKind.RETIRE, (LegName.RETIRE,))
    known = facts((2, State.DEAD, HOME), current=2, run=run)
    finalize = stand.store.finalize
    seen: list[bool] = []

    def after(slot: Slot, generation: int, **more: Any) -> None:
        seen.append(stand.store.current(SLOT).value is None)
        finalize(slot, generation, **more)

    stand.store.finalize = after  # type: ignore[method-assign]
    assert stand.do(StepKind.DESTROY, home=None, facts=known).outcome.kind is OutcomeKind.DONE
    assert (seen, stand.store.read(SLOT, 2)) == ([True], None)


def test_a_destroy_that_cleared_and_then_could_not_connect_is_no_unsent(stand: Stand) -> None:
    promoted(stand)

    def down(*_: Any, **more: Any) -> Any:
        raise Failed("unreachable", unsent=True)

    stand.store.finalize = down  # type: ignore[method-assign]
    known = facts((2, State.DEAD, HOME), current=2, run=Run(RunKind.RETIRE, (LegName.RETIRE,)))
    assert stand.do(StepKind.DESTROY, home=None, facts=known).outcome.kind is OutcomeKind.FAILED


def test_a_second_writer_is_a_refusal_that_says_so(stand: Stand) -> None:
    version = promoted(stand)
    stand.store.deposit("app/alpha", "key", Secret("canary-foreign"), {}, replace=True)
    stand.put(3, "canary-three")
    done = stand.do(StepKind.PROMOTE, 3, None, expected=Version(version), facts=facts((3, State.ALIVE, HOME)))
    assert (done.outcome.kind, done.outcome.reason) == (OutcomeKind.REFUSED, "foreign_current")
    known = facts((2, State.ALIVE, HOME), stored=frozenset({Gen(2), Gen(3)}))
    read = stand.do(StepKind.READ_CURRENT, None, None, facts=known).outcome.found
    assert isinstance(read, CurrentIs)
    assert read.foreign


def test_a_consumer_is_told_which_fields_to_forget_and_no_value(stand: Stand) -> None:
    fields = (FieldMap("USER", Source.PRINCIPAL), FieldMap("PASS", Source.VALUE))
    consumer = ConsumerRef("files/file/app.env", "files", "file", "app.env", (("format", "env"),), fields)
    stand.definition = replace(stand.definition, consumers=(consumer,))
    done = stand.do(StepKind.UNPUSH, None, None, consumer=consumer.id)
    assert done.outcome.kind is OutcomeKind.DONE
    ((name, request, _),) = stand.platform.asked
    assert (name, request.fields, request.value) == ("revoke", ("USER", "PASS"), None)
    assert (request.target.subject.principal, dict(request.target.subject.params)) == ("app.env", {"format": "env"})


def test_every_kind_of_step_has_its_function() -> None:
    from rotator.effects.perform import _STEPS

    functions: dict[StepKind, Callable[..., Performed]] = dict(_STEPS)
    assert set(functions) == set(StepKind)
