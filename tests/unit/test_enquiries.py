"""Requests that look: events, plans, explain, status; and pauses, which change only what holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rotator.engine.inspection import Adoptable
from rotator.engine.ports import RunId
from rotator.engine.requests import RequestRefused, Selection
from rotator.machine.events import Outcome
from rotator.machine.facts import Ending, State
from rotator.machine.holds import FOREVER, Limits
from rotator.machine.ids import Home
from rotator.machine.steps import READS, Answer, OutcomeKind, Probed, StepKind
from tests.unit.engine_bench import DAY, ME, T0, Bench, credential

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


def asked(bench: Bench) -> str:
    """A rotation that asks a person."""
    run = bench.rotate()
    bench.world.script[StepKind.VERIFY] = lambda work: DOUBT
    assert bench.finish(run).held_why == "waiting_for_you"
    bench.world.script.clear()
    return run


# -- looking -------------------------------------------------------------------------------------------------------


def test_events_carry_outcomes_and_end_with_an_exit_code(bench: Bench) -> None:
    run = bench.rotate()
    bench.finish(run)
    found = bench.service.events(run, 0, 0)
    outcomes = [one["outcome"] for one in found["items"] if one["event"] == "outcome"]
    assert outcomes
    assert set(outcomes) == {"done"}
    assert {one["outcome"] for one in found["items"] if one["event"] != "outcome"} == {None}
    assert (found["ending"], found["exit"]) == ("succeeded", 0)
    assert found["items"][-1]["says"] == "ended: succeeded"
    after = found["items"][-2]["sequence"]
    assert len(bench.service.events(run, after, 0)["items"]) == 1


def test_an_answer_that_says_ended_has_the_last_events_with_it(bench: Bench) -> None:
    """A watcher stops at `exit`: what it has not got by then it never gets."""
    run = bench.rotate()
    reading = bench.ledger.run
    got: list[str] = []

    def between(name: RunId) -> Any:
        found = reading(name)
        if not got:
            got.append("x")
            bench.ledger.run = reading  # type: ignore[method-assign]
            bench.finish(run)
        return found

    bench.ledger.run = between  # type: ignore[method-assign,assignment]
    last = 0
    for _ in range(5):
        found = bench.service.events(run, last, 0)
        last = found["items"][-1]["sequence"] if found["items"] else last
        if found["exit"] is not None:
            break
    assert last == bench.ledger.journal(RunId(run))[-1].sequence


def test_waiting_for_events_is_bounded(bench: Bench) -> None:
    run = asked(bench)
    bench.ledger.release  # noqa: B018
    found = bench.service.events(run, 10**6, 5)
    assert (found["items"], found["exit"]) == ([], 12)


@pytest.mark.parametrize(("ending", "code"), [("owed", 15), ("rolled_back", 11), ("abandoned", 12), ("succeeded", 0)])
def test_each_ending_has_its_exit_code(bench: Bench, ending: str, code: int) -> None:
    if ending == "owed":
        bench.world.script[StepKind.PROVE] = lambda w: Outcome(
            w.step, OutcomeKind.DONE, Probed(Answer.INCONCLUSIVE), "x"
        )
    if ending == "rolled_back":
        bench.world.script[StepKind.INSTALL] = lambda work: OutcomeKind.REFUSED
    run = asked(bench) if ending == "abandoned" else bench.rotate()
    if ending == "abandoned":
        bench.service.answer(ME, run, "abandon", about={}, reason="")
    bench.finish(run)
    found = bench.service.events(run, 0, 0)
    assert (found["ending"], found["exit"]) == (ending, code)


@pytest.mark.parametrize("kind", ["rotate", "overlap", "contain", "retire"])
def test_a_plan_of_each_kind_is_a_dry_run_that_writes_nothing(bench: Bench, kind: str) -> None:
    before = (bench.ledger.sequence(), bench.row(), len(bench.world.calls))
    (item,) = bench.service.plan(only("alpha"), kind)["items"]
    assert item["refused"] is None
    assert item["ending"] in {"succeeded"}
    assert len(item["steps"]) > 5
    assert len(item["digest"]) == 64
    assert "revoke g1 at svc@api" in item["irreversible"]
    assert (bench.ledger.sequence(), bench.row(), len(bench.world.calls)) == before


def test_the_plans_steps_are_those_that_the_run_then_takes(bench: Bench) -> None:
    (item,) = bench.service.plan(only("alpha"), "rotate")["items"]
    foretold = [one["kind"] for one in item["steps"] if one["kind"] != "wait"]
    before = len(bench.world.calls)
    bench.finish(bench.rotate())
    assert [kind.value for kind in bench.world.kinds()[before:]] == foretold


def test_a_plan_that_cannot_be_says_why(make: Callable[..., Bench]) -> None:
    bench = make()
    (item,) = bench.service.plan(only("alpha"), "rotate")["items"]
    assert item["refused"]["code"] == "not_adopted"
    bench.adopted()
    (item,) = bench.service.plan(only("alpha"), "adopt")["items"]
    assert item["refused"]["code"] == "already_adopted"
    bench.kinds.clear()
    (item,) = bench.service.plan(only("alpha"), "rotate")["items"]
    assert item["refused"]["code"] == "unknown_endpoint"
    refused("ROT-USAGE", lambda: bench.service.plan(ALL, "reconcile"))


def test_a_plan_of_adopt_says_what_is_in_the_way(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.inspecting.adopt["alpha"] = Adoptable(refused="handle_unknown", says="set the handle")
    bench.inspecting.found = [("mount_v1", "the mount is of version 1")]
    (item,) = bench.service.plan(only("alpha"), "adopt")["items"]
    assert {one["code"] for one in item["findings"]} == {"handle_unknown", "mount_v1"}


def test_the_plan_says_that_the_idle_principals_password_will_be_replaced(make: Callable[..., Bench]) -> None:
    bench = make(credential(kind=DB, principals=("a", "b")))
    bench.inspecting.adopt["alpha"] = Adoptable(active=(Home("db", "b"),))
    (item,) = bench.service.plan(only("alpha"), "adopt")["items"]
    assert item["irreversible"][0] == (
        "the idle principal a@db: its present password will be replaced by the first rotation"
    )
    bench.adopted()
    for idle in ("a", "b"):
        (item,) = bench.service.plan(only("alpha"), "rotate")["items"]
        assert item["irreversible"][0].startswith(f"the idle principal {idle}@db: its present password")
        assert item["exposure"] == []
        bench.finish(bench.rotate())
    (item,) = bench.service.plan(only("alpha"), "retire")["items"]
    assert not any("idle" in text for text in item["irreversible"])


def test_a_plan_of_a_single_slot_shows_the_exposure(make: Callable[..., Bench]) -> None:
    bench = make(credential(kind=DB, principals=("a",)))
    bench.adopted()
    (item,) = bench.service.plan(only("alpha"), "rotate")["items"]
    assert len(item["exposure"]) == 1
    assert "install g2" in item["exposure"][0]


def test_explain_says_why_not_and_what_holds_it(bench: Bench) -> None:
    found = bench.service.explain("alpha")
    assert (found["verdict"], found["run"], found["held"]) == ("not_due", None, "")
    assert found["verdict_says"] == "the policy's time has not come"
    assert [one["gen"] for one in found["generations"]] == [1]
    assert found["steps"]
    bench.limits_of = lambda run, facts, now: Limits(paused_until=FOREVER)
    run = bench.rotate()
    bench.work()
    found = bench.service.explain("alpha")
    assert (found["verdict"], found["held"], found["held_says"]) == ("run_open", "paused", "a person paused it")
    assert found["run"]["id"] == run
    assert (found["run"]["wake"], found["again"]) == (None, None)


def test_explain_works_for_what_the_configuration_no_longer_names(bench: Bench) -> None:
    bench.ledger.accept([], {}, T0)
    bench.kinds.clear()
    found = bench.service.explain("alpha")
    assert (found["managed"], found["verdict"], found["steps"]) == (False, "removed", [])


def test_status_counts_and_lists(bench: Bench) -> None:
    run = asked(bench)
    found = bench.service.status()
    assert found["counts"] == {
        "managed": 1, "unmanaged": 0, "adopted": 1, "due": 0, "paused": 0, "open_runs": 1, "waiting": 1, "debts": 0,
    }  # fmt: skip
    assert [one["id"] for one in found["waiting"]] == [run]
    assert found["next"] == []


def test_the_list_has_the_debts_of_each(bench: Bench) -> None:
    bench.world.script[StepKind.PROVE] = lambda w: Outcome(w.step, OutcomeKind.DONE, Probed(Answer.INCONCLUSIVE), "x")
    bench.finish(bench.rotate())
    (item,) = bench.service.credentials(ALL)["items"]
    assert item["debts"] == 1
    (debt,) = bench.service.debts("")["items"]
    assert (debt["credential"], debt["gen"], debt["home"], debt["fingerprint"]) == (
        "alpha", 1, "svc@api", "fp-alpha-1",
    )  # fmt: skip


def test_a_pause_holds_what_writes_and_a_resume_lets_it_go_on(bench: Bench) -> None:
    from rotator.daemon.limits import LimitsOf

    bench.limits_of = LimitsOf(bench.ledger, lambda: bench.traits)
    bench.service.pause(ME, only("alpha"), reason="audit", until="")
    run = bench.rotate()
    before = len(bench.world.calls)
    bench.work()
    assert bench.run(run).held_why == "paused"
    assert all(call.work.step.kind in READS for call in bench.world.calls[before:])
    # A shorter pause in the place of an endless one counts at once.
    bench.service.pause(ME, only("alpha"), reason="audit", until="2027-01-16T00:00:00Z")
    bench.work()
    wake = bench.run(run).wake_at
    assert wake is not None
    assert T0 < wake < T0 + 10 * DAY
    bench.service.resume(ME, only("alpha"), reason="done")
    assert bench.finish(run).ending is Ending.SUCCEEDED


def test_a_pause_holds_no_emergency(bench: Bench) -> None:
    from rotator.daemon.limits import LimitsOf

    bench.limits_of = LimitsOf(bench.ledger, lambda: bench.traits)
    bench.service.pause(ME, only("alpha"), reason="audit", until="")
    done = bench.service.emergency(ME, only("alpha"), mode="overlap", reason="leak", ticket="")
    assert bench.finish(done["runs"][0]["id"]).ending is Ending.SUCCEEDED


@pytest.mark.parametrize("until", ["tomorrow", "2027-01-01T00:00:00", ""])
def test_the_end_of_a_pause_is_an_instant_with_its_zone(bench: Bench, until: str) -> None:
    if until:
        refused("ROT-USAGE", lambda: bench.service.pause(ME, ALL, reason="", until=until))
        assert bench.row().pause is None


def test_limits_do_not_trip_over_an_endpoint_that_is_gone(bench: Bench) -> None:
    """A run whose proven-dead placements are at a removed endpoint would else never end."""
    from rotator.daemon.limits import LimitsOf

    run = bench.rotate()
    bench.finish(run)
    bench.kinds.clear()
    assert LimitsOf(bench.ledger, lambda: bench.traits)(bench.run(run), bench.row().facts, bench.clock.at) == Limits()


def test_verify_and_try_pass_on_what_was_seen(bench: Bench) -> None:
    (item,) = bench.service.verify(only("alpha"))["items"]
    assert (item["ok"], item["homes"]) == (True, [{"home": "svc@api", "answer": "alive", "reason": ""}])
    assert bench.service.attempt("api")["steps"][0]["ok"] is True


def test_deposit_says_where_or_why_not(bench: Bench) -> None:
    done = bench.service.deposit(ME, "api", source="/x", replace=False, reason="")
    assert done == {"endpoint": "api", "store": "main", "path": "p", "field": "f"}
    bench.inspecting.admin = {"refused": "source_mode"}
    refused("ROT-SOURCE-MODE", lambda: bench.service.deposit(ME, "api", source="/x", replace=False, reason=""))


def test_the_state_of_an_abandoned_placement_stays_known(bench: Bench) -> None:
    """Try to lose a credential: a candidate that may be alive when a person abandons the run."""
    run = bench.rotate()
    bench.world.script[StepKind.INSTALL] = lambda work: OutcomeKind.UNKNOWN
    bench.world.script[StepKind.VERIFY] = lambda w: DOUBT if w.step.gen == 2 else None
    bench.finish(run)
    bench.service.answer(ME, run, "abandon", about={}, reason="")
    assert bench.row().facts.state(bench.row().facts.top, Home("api", "svc")) is State.MAYBE
    assert [(debt.gen, debt.state) for debt in bench.ledger.debts()] == [(2, State.MAYBE)]
    assert bench.row().due_why == "debts"
