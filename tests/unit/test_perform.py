"""One step at a time over a real embedded store and a scripted platform: what each answer becomes, what is tried."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from rotator.effects.stores.contract import Slot
from rotator.machine.ids import Handle, Label
from rotator.machine.steps import Answer, Made, OutcomeKind, Probed, StepKind
from rotator.plugin_api import (
    Failed,
    Inconclusive,
    Misconfigured,
    OutcomeUnknown,
    Refused,
    Secret,
)
from tests.unit.perform_stand import SLOT, Stand, stand

__all__ = ["stand"]


ERRORS: list[tuple[Exception, OutcomeKind, OutcomeKind]] = [
    (Refused("label_taken"), OutcomeKind.REFUSED, OutcomeKind.REFUSED),
    (Failed("throttled"), OutcomeKind.FAILED, OutcomeKind.FAILED),
    (Failed("unreachable", unsent=True), OutcomeKind.UNSENT, OutcomeKind.UNSENT),
    (OutcomeUnknown("connection_lost"), OutcomeKind.UNKNOWN, OutcomeKind.FAILED),
    (Misconfigured("acting_refused"), OutcomeKind.MISCONFIGURED, OutcomeKind.MISCONFIGURED),
    (RuntimeError("canary-in-the-text"), OutcomeKind.UNKNOWN, OutcomeKind.FAILED),
]


@pytest.mark.parametrize(("error", "writing", "reading"), ERRORS)
def test_every_error_has_its_outcome(
    stand: Stand, error: Exception, writing: OutcomeKind, reading: OutcomeKind
) -> None:
    stand.put(2, "canary-two")
    stand.platform.answers = {"install": error, "listing": error}
    wrote, read = stand.do(StepKind.INSTALL), stand.do(StepKind.LIST, None)
    assert (wrote.outcome.kind, read.outcome.kind) == (writing, reading)
    assert "canary" not in repr((wrote, read))


@pytest.mark.parametrize("step", [StepKind.INSTALL, StepKind.NEUTRALISE], ids=["a value", "a filler"])
def test_a_value_that_the_platforms_rules_refuse_is_told_by_that_reason(stand: Stand, step: StepKind) -> None:
    """The machine makes another value for this reason only: it must come through as the plugin said it."""
    stand.put(2, "canary-two")
    stand.platform.answers = {"install": Refused("policy", status=422)}
    done = stand.do(step)
    assert (done.outcome.kind, done.outcome.reason) == (OutcomeKind.REFUSED, "policy")
    assert [request.value.matches(Secret("canary-two")) for _, request, _ in stand.platform.asked] == [True]
    assert "canary" not in repr(done)


def test_a_platforms_wish_to_wait_is_passed_on_as_an_instant(stand: Stand) -> None:
    wait = timedelta(seconds=7)
    stand.put(2, "canary-two")
    stand.platform.answers = {"install": Failed("throttled", retry_after=wait)}
    assert stand.do(StepKind.INSTALL).outcome.not_before == stand.clock.at + 7000
    stand.platform.answers = {"probe": Inconclusive(reason="throttled", retry_after=wait)}
    assert stand.do(StepKind.VERIFY).outcome.not_before == stand.clock.at + 7000


def test_nothing_is_sent_after_the_deadline(stand: Stand) -> None:
    stand.put(2, "canary-two")
    done = stand.do(StepKind.INSTALL, late=0)
    assert (done.outcome.kind, done.outcome.reason) == (OutcomeKind.UNSENT, "deadline_passed")
    assert stand.platform.asked == []


def test_a_deadline_that_passes_while_the_store_is_read_sends_nothing(stand: Stand) -> None:
    stand.put(2, "canary-two")
    reading = stand.store.read

    def slow(slot: Slot, generation: int) -> Any:
        stand.clock.move(2000)
        return reading(slot, generation)

    stand.store.read = slow  # type: ignore[method-assign]
    assert stand.do(StepKind.INSTALL).outcome.kind is OutcomeKind.UNSENT
    assert stand.do(StepKind.STAGE, 3).outcome.kind is OutcomeKind.UNSENT
    assert (stand.platform.asked, reading(SLOT, 3)) == ([], None)


def test_a_clock_set_back_gives_a_call_no_more_than_its_span(stand: Stand) -> None:
    stand.put(2, "canary-two")
    stand.clock.at += 1
    reading = stand.store.read

    def back(slot: Slot, generation: int) -> Any:
        stand.clock.at -= 3_600_000
        return reading(slot, generation)

    stand.store.read = back  # type: ignore[method-assign]
    stand.do(StepKind.INSTALL)
    assert stand.platform.asked[0][2].seconds <= 1.0


def test_stage_again_after_a_lost_answer_keeps_the_first_value(stand: Stand) -> None:
    first = stand.do(StepKind.STAGE)
    before = stand.store.read(SLOT, 2)
    again = stand.do(StepKind.STAGE)
    after = stand.store.read(SLOT, 2)
    assert before is not None
    assert after is not None
    assert before.matches(after)
    assert first.observed == again.observed


def test_a_read_that_fails_after_the_stage_does_not_unmake_it(stand: Stand) -> None:
    """UNSENT would give the facts back as before: a value in the store that the ledger does not know."""
    stand.store.deposit("app/alpha", "key", Secret("canary-one"), {}, replace=False)
    staging = stand.store.stage_current

    def then_down(slot: Slot, generation: int) -> None:
        staging(slot, generation)
        stand.store.read = down  # type: ignore[method-assign]

    def down(*_: Any, **more: Any) -> Any:
        raise Failed("unreachable", unsent=True)

    stand.store.stage_current = then_down  # type: ignore[method-assign]
    done = stand.do(StepKind.STAGE, 1, None, from_current=True)
    assert (done.outcome.kind, done.observed) == (OutcomeKind.DONE, None)


def test_an_issue_that_could_not_be_staged_is_unknown(stand: Stand) -> None:
    def down(*_: Any, **more: Any) -> Any:
        raise Failed("unreachable", unsent=True)

    stand.store.stage = down  # type: ignore[method-assign]
    done = stand.do(StepKind.ISSUE, label=Label("rot-acme-1"))
    assert (done.outcome.kind, done.outcome.reason) == (OutcomeKind.UNKNOWN, "issued_not_staged")
    assert stand.platform.asked[0][1].label == "rot-acme-1"


def test_an_issue_is_done_when_staged(stand: Stand) -> None:
    done = stand.do(StepKind.ISSUE, label=Label("rot-acme-1"))
    kept = stand.store.read(SLOT, 2)
    assert done.outcome.found == Made(Handle("h9"))
    assert kept is not None
    assert kept.matches(Secret("canary-issued-value"))
    assert "canary" not in repr(done)


def test_a_value_that_is_somebody_elses_is_a_stranger(stand: Stand) -> None:
    stand.put(2, "canary-two")
    stand.platform.alive["canary-two"] = "other"
    done = stand.do(StepKind.VERIFY)
    assert (done.outcome.found, done.outcome.reason) == (Probed(Answer.STRANGER), "wrong_identity")
    assert done.observed is not None
    assert done.observed.identity == "other"
