"""Strays: what is ours is only what our own intent made; what is not is never touched, whoever wrote its label."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from rotator.engine.requests import RequestRefused, Selection
from rotator.engine.strays import Listed, SweepRules, Swept, installation_of
from rotator.engine.sweeping import spread
from rotator.machine.change import IllegalEvent
from rotator.machine.events import Opened, Stray
from rotator.machine.evolve import evolve
from rotator.machine.facts import Ending, RunKind, State
from rotator.machine.ids import Gen, Handle, Home, Label
from rotator.machine.steps import Listed as Rows
from rotator.machine.steps import Row, StepKind
from tests.unit.engine_bench import DAY, ME, T0, Bench, credential

HOME = Home("api", "svc")
HOUR = 3_600_000
LATER = HOUR
"""Beyond the time in which a list may lag behind."""


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
    """Two rotations: g1 has no label, g2 is dead, g3 serves."""
    found = make()
    found.adopted()
    for _ in range(2):
        assert found.finish(found.rotate()).ending is Ending.SUCCEEDED
    found.clock.move(LATER)
    return found


def label(bench: Bench, gen: int) -> Label:
    """By its own intent, as the journal has it."""
    for run in bench.ledger.runs(limit=100):
        for intent in bench.intents(run.id):
            if intent.label is not None and intent.step.gen == gen:
                return intent.label
    raise AssertionError(f"g{gen} has no label")


def row(text: str, handle: str, principal: str | None = "svc") -> Listed:
    return Listed("key", Handle(handle), Label(text), principal)


def look(bench: Bench, *rows: Listed) -> list[tuple[str, str]]:
    """Standing and why of what is not simply ours, the urgent first."""
    bench.swept["api"] = Swept(rows, lists=1)
    return [(one["standing"], one["why"]) for one in bench.sweeper.look("api")["items"]]


def lists(bench: Bench, *rows: Listed) -> None:
    """The platform shows these rows to a run as well, until each is revoked."""
    bench.swept["api"] = Swept(rows, lists=1)

    def alive() -> frozenset[Row]:
        revoked = {(call.work.step.gen, call.work.intent.handle) for call in bench.world.of(StepKind.REVOKE)}
        dead = {handle for _, handle in revoked}
        return frozenset(Row(one.handle, one.label) for one in rows if one.handle not in dead)

    for kind in (StepKind.LIST, StepKind.FIND):
        bench.world.script[kind] = lambda work: _outcome(work, alive())


def _outcome(work: Any, rows: frozenset[Row]) -> Any:
    from rotator.machine.events import Outcome
    from rotator.machine.steps import OutcomeKind

    return Outcome(work.step, OutcomeKind.DONE, Rows(rows))


def revoked(bench: Bench) -> set[str | None]:
    return {call.work.intent.handle for call in bench.world.of(StepKind.REVOKE)}


@pytest.mark.parametrize(
    ("text", "whose"),
    [
        ("rot-acme-7", "acme"), ("rot-acme-1-7", "acme-1"), ("rot-acme-1", "acme"), ("rot-a-0", "a"),
        ("rot-acme-", None), ("rot--7", None), ("rot-acme-7x", None), ("rot-ACME-7", None), (" rot-acme-7", None),
        ("rot-acme-7\n", None), ("rot-1234567890123-7", None), ("acme-7", None), ("", None), ("rot-acme-٣", None),
    ],
)  # fmt: skip
def test_whose_a_label_is(text: str, whose: str | None) -> None:
    assert installation_of(text) == whose


def test_what_serves_is_ours_and_a_foreign_label_is_foreign(bench: Bench) -> None:
    found = look(bench, row(label(bench, 3), "h3"), row("rot-other-1", "x"), row("rot-acme-1-1", "y"))
    assert found == [("foreign", "foreign_label")] * 2
    assert bench.sweeper.look("api")["counts"]["ours"] == 1


def test_an_installation_whose_name_begins_like_ours_is_foreign(bench: Bench) -> None:
    """`rot-acme-2` is ours; `rot-acme-2-2` belongs to the installation acme-2, though it begins with our prefix."""
    assert look(bench, row("rot-acme-2-2", "x")) == [("foreign", "foreign_label")]


def test_our_label_without_an_intent_is_unaccounted(bench: Bench) -> None:
    assert look(bench, row("rot-acme-99999", "x")) == [("unaccounted", "no_intent")]


def test_a_label_that_a_person_copied_is_unaccounted_and_stays_so_when_ours_is_dead(bench: Bench) -> None:
    assert look(bench, row(label(bench, 3), "h3"), row(label(bench, 3), "copy")) == [("unaccounted", "label_copied")]
    assert look(bench, row(label(bench, 2), "copy")) == [("unaccounted", "label_copied")]
    assert look(bench, row(label(bench, 3), "h3", "somebody")) == [("unaccounted", "other_principal")]


def test_a_dead_value_that_is_listed_again_by_its_own_handle_is_stray(bench: Bench) -> None:
    assert look(bench, row(label(bench, 2), "h2")) == [("stray", "listed_though_dead")]
    assert look(bench, row(label(bench, 2), "h2", None)) == [("stray", "listed_though_dead")]


def test_what_was_ended_a_moment_ago_may_still_be_listed(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.adopted()
    for _ in range(2):
        bench.finish(bench.rotate())
    bench.swept["api"] = Swept((row(label(bench, 2), "h2"),), lists=1)
    bench.clock.move(1)
    assert bench.sweeper.sweep("api")["items"] == []
    assert [one["standing"] for one in bench.sweeper.look("api")["items"]] == ["stray"], "a person is told at once"
    bench.clock.move(LATER)
    assert [one["standing"] for one in bench.sweeper.sweep("api")["items"]] == ["stray"]


def test_a_stray_is_ended_and_proven_by_a_reconcile(bench: Bench) -> None:
    """The platform was restored from a backup: g2 lives again."""
    lists(bench, row(label(bench, 3), "h3"), row(label(bench, 2), "h2"), row(label(bench, 3), "copy"))
    before = revoked(bench)
    (run,) = {one["run"] for one in bench.sweeper.sweep("api")["items"] if one["run"]}
    assert (bench.run(run).kind, bench.run(run).actor) == (RunKind.RECONCILE, "scheduler")
    assert [(debt.gen, debt.state) for debt in bench.ledger.debts()] == [(2, State.MAYBE)]
    assert bench.finish(run).ending in {Ending.SUCCEEDED, Ending.OWED}
    assert revoked(bench) - before <= {"h2"}
    assert any(call.work.intent.handle == "h2" for call in bench.world.of(StepKind.REVOKE))
    assert bench.ledger.debts() == []


def test_a_value_that_was_buried_comes_back_with_its_handle_from_the_journal(bench: Bench) -> None:
    for _ in range(2):
        bench.finish(bench.rotate())
    bench.clock.move(LATER)
    assert Gen(2) not in bench.row().facts.homes, "buried: the journal remembers"
    assert look(bench, row(label(bench, 2), "copy")) == [("unaccounted", "label_copied")]
    lists(bench, row(label(bench, 2), "h2"))
    calls = len(bench.world.calls)
    (item,) = bench.sweeper.sweep("api")["items"]
    assert bench.finish(item["run"]).ending is Ending.SUCCEEDED
    after = [call.work for call in bench.world.calls[calls:]]
    # A reconcile takes nothing for certain: what died last is ended and proven once more.
    assert {work.intent.handle for work in after if work.step.kind is StepKind.REVOKE} == {"h2", "h4"}
    assert bench.ledger.debts() == []
    # It is not a stray again as long as its death stands; and what serves was never touched.
    assert bench.row().facts.current == {5}


def test_unaccounted_and_foreign_are_never_touched(bench: Bench) -> None:
    rows = [row(label(bench, 2), "copy"), row("rot-acme-77", "z"), row("rot-acme-1-2", "y"), row(label(bench, 3), "c3")]
    lists(bench, *rows)
    calls = len(bench.world.calls)
    for _ in range(50):
        view = bench.sweeper.sweep("api")
        assert [one["run"] for one in view["items"]] == [None] * 4
        bench.work()
        bench.clock.move(HOUR)
    assert len(bench.world.calls) == calls
    assert bench.ledger.runs(open_only=True) == []


def test_two_bearers_of_a_label_whose_handle_was_never_learnt_are_not_touched(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.adopted()
    from rotator.machine.steps import OutcomeKind

    bench.world.script[StepKind.INSTALL] = lambda work: OutcomeKind.UNKNOWN
    bench.world.script[StepKind.VERIFY] = lambda w: OutcomeKind.MISCONFIGURED if w.step.gen == 2 else None
    run = bench.rotate()
    bench.finish(run)
    bench.service.answer(ME, run, "abandon", about={}, reason="")
    bench.clock.move(LATER)
    assert look(bench, row(label(bench, 2), "a")) == [], "maybe alive: a debt already"
    assert look(bench, row(label(bench, 2), "a"), row(label(bench, 2), "b")) == [("unaccounted", "label_twice")] * 2


def test_a_stray_of_a_retired_credential_is_ended_by_a_retirement(bench: Bench) -> None:
    last = label(bench, 3)
    done = bench.service.retire_selected(ME, Selection(ids=("alpha",)), apply=True, reason="off", ticket="")
    assert bench.finish(done["runs"][0]["id"]).ending is Ending.SUCCEEDED
    bench.clock.move(LATER)
    lists(bench, row(last, "h3"))
    (item,) = bench.sweeper.sweep("api")["items"]
    assert bench.run(item["run"]).kind is RunKind.RETIRE


def test_nothing_is_opened_while_observing_paused_or_left_behind(bench: Bench) -> None:
    lists(bench, row(label(bench, 2), "h2"))

    def held() -> tuple[Any, ...]:
        (item,) = bench.sweeper.sweep("api")["items"]
        return item["run"], item["held"]

    bench.observe = True
    assert held() == (None, "held_back")
    with pytest.raises(RequestRefused):
        bench.service.sweep(ME, "api", apply=True, reason="x")
    bench.observe = False
    bench.service.pause(ME, Selection(ids=("alpha",)), reason="audit", until="")
    assert held() == (None, "held_back")
    bench.ledger.accept([], {}, T0)
    assert held() == (None, "left_behind")


def test_one_sweep_opens_a_bounded_number_of_runs(make: Callable[..., Bench]) -> None:
    names = [f"c{n}" for n in range(5)]
    bench = make(*(credential(name) for name in names))
    rows = []
    for name in names:
        bench.adopted(name)
        for _ in range(2):
            bench.finish(bench.rotate(name))
        dead = bench.row(name).facts.labels
        rows.append(Listed("key", Handle("h2"), dead[Gen(2)], "svc"))
    bench.clock.move(LATER)
    bench.sweeper.rules = lambda: SweepRules(most=2)
    bench.swept["api"] = Swept(tuple(rows), lists=1)
    items = bench.sweeper.sweep("api")["items"]
    assert sum(bool(one["run"]) for one in items) == 2
    assert {one["held"] for one in items if not one["run"]} == {"enough_for_now"}


def test_a_look_records_and_opens_nothing(bench: Bench) -> None:
    lists(bench, row(label(bench, 2), "h2"))
    assert bench.service.sweep(ME, "api", apply=False, reason="")["counts"]["stray"] == 1
    assert bench.ledger.runs(open_only=True) == []
    assert bench.service.strays()["items"][0]["at"] is None
    with pytest.raises(RequestRefused) as refused:
        bench.service.sweep(ME, "apy", apply=False, reason="")
    assert refused.value.hint == "did you mean api?"


def test_somebody_is_told_once(bench: Bench) -> None:
    lists(bench, row("rot-acme-77", "z"))
    for _ in range(3):
        bench.sweeper.sweep("api")
        bench.clock.move(DAY)
    told = [one.notice for one in bench.ledger.unrouted(100) if one.notice.event == "label_unaccounted"]
    assert [dict(one.facts) for one in told] == [{"endpoint": "api", "label": "rot-acme-77", "why": "no_intent"}]


def test_a_blind_listing_concludes_nothing_and_is_repeated_soon(bench: Bench) -> None:
    bench.swept["api"] = Swept((), blind=(("key", "throttled"),), lists=1)
    view = bench.sweeper.sweep("api")
    assert (view["blind"], view["again"]) == ([{"kind": "key", "reason": "throttled"}], True)
    at = bench.sweeper.next_at("api", bench.clock.at)
    assert at is not None
    assert at - bench.clock.at <= HOUR


def test_each_endpoint_is_swept_once_a_day_at_its_own_time(bench: Bench) -> None:
    bench.sweeper.endpoints = lambda: ("api", "db", "files")
    swept: list[tuple[str, int]] = []
    for _ in range(4 * 24 * 4):
        for name in bench.sweeper.due():
            bench.sweeper.sweep(name)
            swept.append((name, bench.clock.at))
        bench.clock.move(HOUR // 4)
    for name in ("api", "db", "files"):
        times = [at for who, at in swept if who == name]
        assert len(times) in {4, 5}
        assert all(abs(b - a - DAY) <= HOUR // 4 for a, b in pairwise(times[1:]))
    assert len({spread(f"acme/{name}", DAY) for name in ("api", "db", "files")}) == 3


def test_no_sweep_by_itself_where_the_configuration_says_so(bench: Bench) -> None:
    bench.sweeper.rules = lambda: SweepRules(every=0)
    assert bench.sweeper.due() == []


def test_the_machine_takes_no_stray_that_serves_is_owed_or_was_accepted(bench: Bench) -> None:
    facts = bench.row().facts
    plan = bench.planner().plan(bench.row().definition, RunKind.RECONCILE)
    serves = Stray(Gen(3), HOME, label(bench, 3), Handle("h3"))
    after = evolve(plan, facts, Opened(RunKind.RECONCILE, strays=(serves,)), T0)
    assert after == evolve(plan, facts, Opened(RunKind.RECONCILE), T0)
    assert Gen(3) not in after.doomed
    with pytest.raises(IllegalEvent):
        evolve(plan, facts, Opened(RunKind.RECONCILE, strays=(Stray(Gen(9), HOME, Label("l")),)), T0)
    with pytest.raises(IllegalEvent):
        evolve(plan, facts, Opened(RunKind.ROTATE, strays=(serves,)), T0)
