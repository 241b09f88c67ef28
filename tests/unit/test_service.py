"""Requests on a real ledger: what is refused and why, what a refusal may not take with it, what a certificate says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rotator.engine.inspection import Adoptable
from rotator.engine.ports import RunId
from rotator.engine.requests import Caller, RequestRefused, Selection
from rotator.machine.events import Outcome
from rotator.machine.facts import Ending, RunKind
from rotator.machine.ids import Home
from rotator.machine.steps import Answer, OutcomeKind, Probed, StepKind
from tests.unit.engine_bench import ME, Bench, credential

ALL = Selection(everything=True)
DOUBT = OutcomeKind.MISCONFIGURED
DB = ("db", "password")


def only(*names: str) -> Selection:
    return Selection(ids=names)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def bench(*definitions: Any) -> Bench:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Bench(folder, *(definitions or (credential(),))))
        return made[-1]

    yield bench
    for one in made:
        one.close()


@pytest.fixture
def bench(make: Callable[..., Bench]) -> Bench:
    found = make()
    found.adopted()
    return found


def refused(code: str, call: Callable[[], Any]) -> RequestRefused:
    with pytest.raises(RequestRefused) as caught:
        call()
    assert caught.value.code == code, caught.value.message
    return caught.value


# -- adopt ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        ("no_value", "app/alpha has no key"),
        ("wrong_identity", "accepted as somebody else"),
        ("scopes_required", "a value without the scope read:keys cannot be verified"),
        ("scopes_missing", "lacks the scope read"),
        ("handle_unknown", "does not say by which id"),
        ("not_accepted", ""),
    ],
)
def test_adopt_is_refused_with_the_reason_and_opens_nothing(make: Callable[..., Bench], reason: str, says: str) -> None:
    bench = make()
    bench.inspecting.adopt["alpha"] = Adoptable(refused=reason, says=says)
    no = refused(
        "ROT-" + reason.upper().replace("_", "-"), lambda: bench.service.adopt(ME, ["alpha"], source="", reason="")
    )
    assert says in no.message
    assert no.exit == 3
    assert list(bench.ledger.runs()) == []
    assert bench.row().facts.top == 0


def test_one_of_several_that_is_refused_keeps_none_of_the_others_from_it(make: Callable[..., Bench]) -> None:
    bench = make(credential("a"), credential("b"), credential("c"))
    bench.inspecting.adopt["b"] = Adoptable(refused="no_value", says="b is empty")
    done = bench.service.adopt(ME, ["a", "b", "c", "a"], source="", reason="")
    assert [run["credential"] for run in done["runs"]] == ["a", "c"]
    assert done["refused"] == [{"credential": "b", "code": "ROT-NO-VALUE", "says": "b is empty", "run": ""}]


def test_adopt_again_is_refused_while_open_and_after(bench: Bench) -> None:
    no = refused("ROT-ALREADY-ADOPTED", lambda: bench.service.adopt(ME, ["alpha"], source="", reason=""))
    assert (no.exit, no.hint) == (6, "rotator explain alpha")


def test_adopt_while_the_first_is_under_way_takes_no_value(make: Callable[..., Bench]) -> None:
    """A second value must not come in under the run that binds the first."""
    bench = make()
    bench.service.adopt(ME, ["alpha"], source="", reason="")
    refused("ROT-RUN-OPEN", lambda: bench.service.adopt(ME, ["alpha"], source="/run/value", reason=""))
    assert bench.inspecting.sources == []


def test_adopt_takes_a_first_value_of_one_credential_only(make: Callable[..., Bench]) -> None:
    bench = make(credential("a"), credential("b"))
    refused("ROT-USAGE", lambda: bench.service.adopt(ME, ["a", "b"], source="/x", reason=""))
    bench.inspecting.taken = "occupied"
    refused("ROT-OCCUPIED", lambda: bench.service.adopt(ME, ["a"], source="/x", reason=""))
    assert list(bench.ledger.runs()) == []


def test_an_abandoned_adopt_may_be_tried_again(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.world.script[StepKind.VERIFY] = lambda work: DOUBT
    run = bench.service.adopt(ME, ["alpha"], source="", reason="")["runs"][0]["id"]
    bench.finish(run)
    bench.service.answer(ME, run, "abandon", about={}, reason="wrong value")
    bench.world.script.clear()
    assert bench.adopted().adopted_at is not None


def test_an_adopted_pair_is_bound_to_the_principal_that_the_value_belongs_to(make: Callable[..., Bench]) -> None:
    bench = make(credential(kind=DB, principals=("a", "b")))
    bench.inspecting.adopt["alpha"] = Adoptable(active=(Home("db", "b"),))
    bench.adopted()
    assert list(bench.row().facts.placements) == [(1, Home("db", "b"))]
    bench.finish(bench.rotate())
    assert bench.row().facts.homes[bench.row().facts.run.candidate] == (Home("db", "a"),)  # type: ignore[union-attr,index]


def test_unknown_names_are_refused_with_the_nearest(bench: Bench) -> None:
    no = refused("ROT-NOT-FOUND", lambda: bench.service.explain("alhpa"))
    assert no.hint == "did you mean alpha?"
    for call in (lambda: bench.service.run("x"), lambda: bench.service.certificate("x")):
        refused("ROT-NOT-FOUND", call)
    refused("ROT-NOT-FOUND", lambda: bench.service.rotate(ME, Selection(workflow="none"), reason="", ticket=""))
    refused("ROT-USAGE", lambda: bench.service.rotate(ME, Selection(), reason="", ticket=""))


def test_the_runs_of_no_campaign_have_no_certificate(bench: Bench) -> None:
    """Runs of the scheduler carry the empty campaign."""
    refused("ROT-NOT-FOUND", lambda: bench.service.certificate(""))


# -- answers -------------------------------------------------------------------------------------------------------


def asked(bench: Bench) -> str:
    """A rotation that asks a person."""
    run = bench.rotate()
    bench.world.script[StepKind.VERIFY] = lambda work: DOUBT
    assert bench.finish(run).held_why == "waiting_for_you"
    bench.world.script.clear()
    return run


def test_the_question_offers_every_legal_answer_as_a_command(bench: Bench) -> None:
    run = asked(bench)
    question = bench.service.run(run)["question"]
    assert question["topic"] == "misconfigured"
    assert question["known"]
    offered = [one["answer"] for one in question["answers"]]
    assert {"abandon", "retry", "contain_now"} <= set(offered)
    for one in question["answers"]:
        assert one["command"].startswith(f"rotator runs answer {run} {one['answer']}")


def test_a_legal_answer_is_recorded_with_its_author_and_the_run_goes_on(bench: Bench) -> None:
    run = asked(bench)
    bench.service.answer(ME, run, "retry", about={}, reason="mended")
    entry = next(one for one in bench.ledger.journal(RunId(run)) if one.actor)
    if entry.actor == ME.actor:  # the opening
        entry = [one for one in bench.ledger.journal(RunId(run)) if one.actor][-1]
    assert entry.actor == "uid:7 (ann): mended"
    assert bench.finish(run).ending is Ending.SUCCEEDED


@pytest.mark.parametrize("answer", ["take", "go_on", "nonsense", "name"])
def test_an_illegal_answer_is_refused_with_the_legal_ones_and_changes_nothing(bench: Bench, answer: str) -> None:
    run = asked(bench)
    before = bench.events(run)
    no = refused("ROT-ANSWER-ILLEGAL", lambda: bench.service.answer(ME, run, answer, about={}, reason=""))
    assert "abandon" in no.message
    assert bench.events(run) == before
    assert bench.run(run).owner == ""


def test_an_answer_to_an_ended_run_is_refused_though_another_is_open(bench: Bench) -> None:
    """The facts are the credential's: they would say what the *other* run may be told."""
    ended = bench.rotate()
    bench.finish(ended)
    asked(bench)
    no = refused("ROT-ANSWER-ILLEGAL", lambda: bench.service.answer(ME, ended, "abandon", about={}, reason=""))
    assert "nothing, the run has ended" in no.message


def test_an_answer_waits_for_the_step_in_progress_and_gives_up_after_a_while(bench: Bench) -> None:
    run = asked(bench)
    claim = bench.ledger.claim(RunId(run), bench.clock.at, "w2", bench.clock.at + 10**7)
    assert claim is not None
    refused("ROT-RUN-BUSY", lambda: bench.service.answer(ME, run, "retry", about={}, reason=""))
    assert bench.clock.ran >= 90


def test_two_persons_at_once_record_one_answer(bench: Bench) -> None:
    run = asked(bench)
    claiming = bench.ledger.claim

    def twice(name: RunId, now: int, owner: str, lease: int) -> Any:
        found = claiming(name, now, owner, lease)
        bench.ledger.claim = claiming  # type: ignore[method-assign]
        bench.service.answer(Caller("uid:8 (bob)"), run, "abandon", about={}, reason="bob")
        return found

    bench.ledger.claim = twice  # type: ignore[method-assign,assignment]
    with pytest.raises(RequestRefused) as caught:
        bench.service.answer(ME, run, "retry", about={}, reason="ann")
    assert caught.value.code in {"ROT-RUN-BUSY", "ROT-ANSWER-ILLEGAL"}
    assert bench.run(run).ending is Ending.ABANDONED


def test_back_before_the_first_kill_ends_failed_safe(bench: Bench) -> None:
    run = bench.rotate()

    def stop(work: Any) -> None:
        bench.stopping = True

    bench.world.script[StepKind.PROMOTE] = stop
    bench.runner.work(bench.claims.pop())
    bench.world.script.clear()
    bench.stopping = False
    bench.service.back(ME, run, reason="no")
    assert bench.finish(run).ending is Ending.ROLLED_BACK
    assert bench.world.current["alpha"] == 1
    assert list(bench.ledger.debts()) == []


def test_back_after_the_first_kill_is_refused(bench: Bench) -> None:
    run = bench.rotate()

    def stop(work: Any) -> None:
        bench.stopping = True

    bench.world.script[StepKind.REVOKE] = stop
    bench.runner.work(bench.claims.pop())
    no = refused("ROT-ANSWER-ILLEGAL", lambda: bench.service.back(ME, run, reason="no"))
    assert "contain_now" in no.message


# -- emergencies ---------------------------------------------------------------------------------------------------


def test_contain_over_an_open_run_tells_that_run(bench: Bench) -> None:
    run = asked(bench)
    done = bench.service.emergency(ME, only("alpha"), mode="contain", reason="leak", ticket="INC-1")
    assert [one["id"] for one in done["runs"]] == [run]
    assert done["refused"] == []
    assert bench.finish(run).ending is Ending.SUCCEEDED
    kinds = bench.world.kinds()
    assert kinds.index(StepKind.REVOKE) < kinds.index(StepKind.PROMOTE), "the leaked value dies first"


def test_contain_over_an_open_reconcile_takes_its_place(bench: Bench) -> None:
    bench.world.script[StepKind.PROVE] = lambda w: Outcome(w.step, OutcomeKind.DONE, Probed(Answer.INCONCLUSIVE), "x")
    bench.finish(bench.rotate())
    bench.clock.move(3_600_000)
    bench.tick.open_due()
    reconcile = bench.ledger.runs(open_only=True)[0]
    assert reconcile.kind is RunKind.RECONCILE
    bench.world.script.clear()
    done = bench.service.emergency(ME, only("alpha"), mode="contain", reason="leak", ticket="")
    assert done["runs"][0]["kind"] == "contain"
    assert bench.run(reconcile.id).ending is Ending.ABANDONED
    assert bench.finish(done["runs"][0]["id"]).ending is Ending.SUCCEEDED
    assert list(bench.ledger.debts()) == []


def test_one_that_cannot_be_contained_now_does_not_shield_the_others(make: Callable[..., Bench]) -> None:
    bench = make(credential("a", workflows=("old",)), credential("b"))
    bench.adopted("a")
    bench.adopted("b")
    retiring = bench.service.retire(ME, "old", apply=True, reason="", ticket="")["runs"][0]["id"]
    # a is in the middle of its retirement: nothing more ruthless can be asked of it
    done = bench.service.emergency(ME, ALL, mode="contain", reason="leak", ticket="")
    assert [run["credential"] for run in done["runs"]] == ["b"]
    (no,) = done["refused"]
    assert (no["credential"], no["code"], no["run"]) == ("a", "ROT-ANSWER-ILLEGAL", retiring)


def test_a_retired_credential_gets_no_new_value(bench: Bench) -> None:
    done = bench.service.retire(ME, "flow", apply=True, reason="", ticket="")
    bench.finish(done["runs"][0]["id"])
    refused("ROT-RETIRED", lambda: bench.service.rotate(ME, only("alpha"), reason="", ticket=""))
    refused("ROT-RETIRED", lambda: bench.service.emergency(ME, ALL, mode="contain", reason="", ticket=""))


def test_overlap_over_an_open_run_is_refused_with_that_run(bench: Bench) -> None:
    run = asked(bench)
    no = refused(
        "ROT-RUN-OPEN", lambda: bench.service.emergency(ME, only("alpha"), mode="overlap", reason="", ticket="")
    )
    assert (no.run, no.hint) == (run, f"rotator runs watch {run}")


def test_an_emergency_mode_that_is_none_is_refused(bench: Bench) -> None:
    refused("ROT-USAGE", lambda: bench.service.emergency(ME, ALL, mode="panic", reason="", ticket=""))


def test_an_open_adopt_can_be_contained_before_it_is_adopted(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.world.script[StepKind.VERIFY] = lambda work: DOUBT
    run = bench.service.adopt(ME, ["alpha"], source="", reason="")["runs"][0]["id"]
    bench.finish(run)
    bench.world.script.clear()
    done = bench.service.emergency(ME, only("alpha"), mode="contain", reason="leak", ticket="")
    assert [one["id"] for one in done["runs"]] == [run]
    assert bench.finish(run).ending is Ending.SUCCEEDED


# -- retirement ----------------------------------------------------------------------------------------------------


def test_what_other_workflows_use_is_listed_and_left(make: Callable[..., Bench]) -> None:
    bench = make(credential("alone"), credential("shared", workflows=("flow", "other")), credential("x", workflows=()))
    for name in ("alone", "shared", "x"):
        bench.adopted(name)
    listed = bench.service.retire(ME, "flow", apply=False, reason="", ticket="")
    assert listed == {
        "workflow": "flow", "retire": ["alone"],
        "shared": [{"credential": "shared", "workflows": ["flow", "other"]}],
    }  # fmt: skip
    assert bench.ledger.runs(open_only=True) == []
    before = bench.row("shared").facts
    done = bench.service.retire(ME, "flow", apply=True, reason="off", ticket="CHG-9")
    assert [run["credential"] for run in done["runs"]] == ["alone"]
    assert bench.finish(done["runs"][0]["id"]).ending is Ending.SUCCEEDED
    assert bench.row("shared").facts == before
    refused("ROT-NOT-FOUND", lambda: bench.service.retire(ME, "none", apply=True, reason="", ticket=""))


def test_the_certificate_has_every_value_with_its_proofs_also_of_earlier_runs(bench: Bench) -> None:
    bench.finish(bench.rotate())
    bench.finish(bench.rotate())
    done = bench.service.retire(ME, "flow", apply=True, reason="off", ticket="CHG-9")
    open_yet = bench.service.certificate(done["campaign"])
    assert (open_yet["complete"], open_yet["ended"]) == (False, None)
    bench.finish(done["runs"][0]["id"])
    found = bench.service.certificate(done["campaign"])
    assert (found["kind"], found["reason"], found["complete"]) == ("retire", "off [CHG-9]", True)
    (part,) = found["credentials"]
    assert [value["gen"] for value in part["values"]] == [1, 2, 3]
    for value in part["values"]:
        assert value["fingerprint"] == f"fp-alpha-{value['gen']}"
        (home,) = value["homes"]
        assert home["state"] == "dead"
        assert len(home["proofs"]) >= 2
        assert {(p["refusal"], p["grade"], p["control"]) for p in home["proofs"]} == {("key_refused", 1, "successor")}
        assert all(p["at"] for p in home["proofs"])


def test_a_refusal_before_the_value_was_found_alive_is_no_proof(bench: Bench) -> None:
    tries: list[int] = []

    def wakes(work: Any) -> Any:
        tries.append(1)
        alive = len(tries) == 2
        return Outcome(work.step, OutcomeKind.DONE, Probed(Answer.ALIVE)) if alive else None

    bench.world.script[StepKind.PROVE] = wakes
    done = bench.service.rotate(ME, only("alpha"), reason="", ticket="")
    assert bench.finish(done["runs"][0]["id"]).ending is Ending.SUCCEEDED
    (part,) = bench.service.certificate(done["campaign"])["credentials"]
    proofs = next(value for value in part["values"] if value["gen"] == 1)["homes"][0]["proofs"]
    assert len(tries) == 4
    assert len(proofs) == 2, "the one before it was found alive does not count"
    assert part["complete"] is True, "what serves is no debt"


def test_what_a_person_accepted_is_told_as_accepted(bench: Bench) -> None:
    bench.kinds["api", "key"] = bench.kinds["api", "key"]
    bench.world.script[StepKind.PROVE] = lambda w: Outcome(w.step, OutcomeKind.DONE, Probed(Answer.INCONCLUSIVE), "x")
    done = bench.service.retire(ME, "flow", apply=True, reason="", ticket="")
    run = done["runs"][0]["id"]
    bench.finish(run)
    assert bench.service.certificate(done["campaign"])["complete"] is False
    for _ in range(5):
        if bench.run(run).ended_at is None:
            question = bench.row().facts.question
            assert question is not None
            bench.service.answer(ME, run, "accept", about={}, reason="known risk")
            bench.finish(run)
    (part,) = bench.service.certificate(done["campaign"])["credentials"]
    assert {home["state"] for value in part["values"] for home in value["homes"]} == {"accepted"}
