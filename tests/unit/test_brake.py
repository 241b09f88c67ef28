"""The brake: a sudden mass begins at a walking pace, over restarts, until a person has looked or it is worked off."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rotator.engine.brake import Brake, BrakeRules
from rotator.engine.inventory import Credential, CredentialId
from rotator.engine.requests import RequestRefused, Selection
from rotator.engine.tick import TickRules
from rotator.machine.events import Outcome
from rotator.machine.facts import RunKind
from rotator.machine.steps import Answer, OutcomeKind, Probed, StepKind
from tests.unit.engine_bench import DAY, ME, Bench, credential

HOUR = 3_600_000
Make = Callable[..., Bench]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Bench] = []

    def bench(count: int, rules: BrakeRules, *more: Credential, batch: int = 100) -> Bench:
        names = [f"c{n:02}" for n in range(count)]
        definitions = [*(credential(name) for name in names), *more]
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Bench(folder, *definitions, rules=TickRules(brake=rules, batch=batch)))
        for one in definitions:
            made[-1].adopted(one.id)
        return made[-1]

    yield bench
    for one in made:
        one.close()


def opened(bench: Bench) -> set[str]:
    return {run.credential for run in bench.ledger.runs(open_only=True, limit=1000)}


def told(bench: Bench) -> list[str]:
    return [one.notice.event for one in bench.ledger.unrouted(1000) if one.notice.event.startswith("brake")]


def test_a_mass_is_begun_at_its_pace_and_never_faster(make: Make) -> None:
    bench = make(18, BrakeRules(share=0.5, at_least=3, per_hour=4))
    bench.clock.move(31 * DAY)
    assert (bench.tick.open_due(), bench.tick.brake.on()) == (0, True)
    counts = []
    for _ in range(8):
        bench.clock.move(HOUR // 4)
        counts.append(bench.tick.open_due())
    assert counts == [1] * 8
    bench.clock.move(10 * HOUR)
    assert bench.tick.open_due() == 4, "nobody ticked for ten hours: an hour's worth, not ten"
    assert bench.tick.open_due() == 0


def test_when_few_are_left_the_mass_is_over_and_they_are_opened(make: Make) -> None:
    bench = make(6, BrakeRules(share=0.5, at_least=3, per_hour=4))
    bench.clock.move(31 * DAY)
    bench.tick.open_due()
    for _ in range(3):
        bench.clock.move(HOUR // 4)
        bench.tick.open_due()
    assert len(opened(bench)) == 3
    assert bench.tick.open_due() == 3
    assert not bench.tick.brake.on()
    assert told(bench) == ["brake_on", "brake_over"]


def test_with_nothing_an_hour_nothing_is_begun_until_a_person_looks(make: Make) -> None:
    bench = make(6, BrakeRules(share=0.5, at_least=3, per_hour=0))
    bench.clock.move(31 * DAY)
    bench.tick()
    bench.clock.move(5 * DAY)
    bench.tick()
    assert opened(bench) == set()
    shown = bench.service.status()
    assert (shown["braked"], shown["brake"]["due"], shown["brake"]["released"]) == (True, 6, None)
    assert bench.service.explain("c01")["verdict"] == "brake"
    done = bench.service.release_brake(ME, reason="an import, as planned")
    assert done == {"released": True, "due": 6}
    assert bench.tick.open_due() == 6
    shown = bench.service.status()["brake"]
    assert shown is None or (shown["by"], shown["reason"]) == (ME.actor, "an import, as planned")
    assert told(bench) == ["brake_on", "brake_released"]
    assert bench.service.release_brake(ME, reason="again") == {"released": False, "due": 0}


def test_a_release_is_for_the_present_mass_only(make: Make) -> None:
    bench = make(4, BrakeRules(share=0.5, at_least=2, per_hour=0))
    for _ in range(2):
        bench.clock.move(31 * DAY)
        assert bench.tick.open_due() == 0
        bench.service.release_brake(ME, reason="seen")
        assert bench.tick.open_due() == 4
        for run in bench.ledger.runs(open_only=True):
            bench.finish(run.id)
        assert bench.tick.open_due() == 0
        assert bench.tick.brake.state() is None, "worked off: the next mass is another"


@pytest.mark.parametrize("released", [False, True])
def test_a_restart_changes_nothing(make: Make, released: bool) -> None:
    """Neither is a release forgotten, nor does the pace begin anew."""
    rules = BrakeRules(share=0.5, at_least=1, per_hour=4)
    bench = make(12, rules)
    bench.clock.move(31 * DAY)
    bench.tick.open_due()
    bench.clock.move(HOUR)
    assert bench.tick.open_due() == 4
    if released:
        bench.service.release_brake(ME, reason="seen")
    bench.tick.brake = Brake(bench.ledger, bench.clock, lambda: rules, lambda: 12)
    assert bench.tick.brake.on() is not released
    assert bench.tick.open_due() == (8 if released else 0)


def test_death_between_the_alarm_and_the_state_is_impossible(make: Make) -> None:
    """The notice and the document are one transaction."""
    bench = make(6, BrakeRules(share=0.5, at_least=3, per_hour=0))
    bench.clock.move(31 * DAY)
    bench.tick.open_due()
    assert told(bench) == ["brake_on"]
    assert json.loads(bench.ledger.document("brake") or "")["due"] == 6
    bench.tick.open_due()
    bench.clock.move(DAY)
    bench.tick.open_due()
    assert told(bench) == ["brake_on"], "told once"


def test_what_is_about_to_expire_is_let_through_and_what_has_expired_is_not(make: Make) -> None:
    soon, gone = credential("soon"), credential("gone")
    bench = make(6, BrakeRules(share=0.5, at_least=3, per_hour=0, expiring=5 * DAY), soon, gone)
    now = bench.clock.at + 31 * DAY
    rows = [credential(f"c{n:02}") for n in range(6)]
    changed = [replace(soon, expires=now + 4 * DAY), replace(gone, expires=now - DAY)]
    bench.ledger.accept([*rows, *changed], {}, bench.clock.at)
    bench.clock.at = now
    assert bench.tick.open_due() == 1
    assert opened(bench) == {"soon"}
    assert bench.service.explain("soon")["verdict"] == "run_open"


def test_emergencies_and_what_a_person_opens_are_not_held(make: Make) -> None:
    bench = make(6, BrakeRules(share=0.5, at_least=3, per_hour=0))
    bench.clock.move(31 * DAY)
    bench.tick()
    bench.rotate("c00")
    bench.service.emergency(ME, Selection(ids=("c01",)), mode="contain", reason="leak", ticket="")
    assert opened(bench) == {"c00", "c01"}
    bench.service.resume(ME, Selection(everything=True), reason="no pause was meant")
    assert bench.tick.brake.on(), "a resume is not a release"


def test_work_on_debts_is_not_held(make: Make) -> None:
    bench = make(6, BrakeRules(share=0.5, at_least=3, per_hour=0))
    bench.world.script[StepKind.PROVE] = lambda w: Outcome(w.step, OutcomeKind.DONE, Probed(Answer.INCONCLUSIVE), "t")
    for n in range(6):
        bench.finish(bench.rotate(f"c{n:02}"))
    bench.clock.move(2 * HOUR)
    assert bench.tick.open_due() == 6
    assert {run.kind for run in bench.ledger.runs(open_only=True)} == {RunKind.RECONCILE}
    assert not bench.tick.brake.on()


def test_rows_without_a_due_time_are_no_mass_and_are_never_begun(make: Make) -> None:
    bench = make(8, BrakeRules(share=0.5, at_least=3, per_hour=0))
    bench.clock.move(31 * DAY)
    names = [CredentialId(f"c{n:02}") for n in range(8)]
    bench.ledger.set_due([(name, None, "migrated") for name in names[:6]])
    assert bench.tick.open_due() == 2, "two are due, and two are no mass"
    assert not bench.tick.brake.on()
    bench.service.release_brake(ME, reason="nothing to release")
    bench.clock.move(100 * DAY)
    assert bench.tick.open_due() == 0
    assert opened(bench) == {"c06", "c07"}


def test_paused_ones_at_the_head_do_not_eat_the_pace(make: Make) -> None:
    bench = make(8, BrakeRules(share=0.5, at_least=2, per_hour=4))
    bench.service.pause(ME, Selection(ids=("c00", "c01")), reason="x", until="")
    bench.clock.move(31 * DAY)
    bench.tick.open_due()
    found = 0
    for _ in range(4):
        bench.clock.move(HOUR // 4)
        found += bench.tick.open_due()
    assert 2 <= found <= 4
    assert opened(bench) <= {f"c{n:02}" for n in range(2, 8)}


def test_a_policy_change_that_makes_everything_due_is_a_mass(make: Make) -> None:
    """The import and the changed interval: nothing fell due by itself, and all does at once."""
    from rotator.engine.calendar import Schedule

    bench = make(6, BrakeRules(share=0.5, at_least=3, per_hour=0))
    bench.clock.move(10 * DAY)
    assert bench.tick.open_due() == 0
    names = [f"c{n:02}" for n in range(6)]
    daily = Schedule(every=DAY)
    bench.ledger.accept([credential(name, schedule=daily) for name in names], {}, bench.clock.at)
    bench.tick.refresh_all()
    assert (bench.tick.open_due(), bench.tick.brake.on()) == (0, True)


def test_a_few_are_no_mass_however_large_their_share(make: Make) -> None:
    bench = make(3, BrakeRules(share=0.5, at_least=3, per_hour=0))
    bench.clock.move(31 * DAY)
    assert (bench.tick.open_due(), bench.tick.brake.on()) == (3, False)


def test_many_are_no_mass_where_they_are_a_small_share(make: Make) -> None:
    bench = make(6, BrakeRules(share=0.5, at_least=3, per_hour=0))
    bench.managed = 1000
    bench.clock.move(31 * DAY)
    assert (bench.tick.open_due(), bench.tick.brake.on()) == (6, False)


def test_a_selector_that_is_none_is_refused_with_its_column(make: Make) -> None:
    bench = make(1, BrakeRules())
    with pytest.raises(RequestRefused, match="column 6") as refused:
        bench.service.status("tier=T9")
    assert (refused.value.code, refused.value.exit) == ("ROT-BAD-SELECTOR", 2)
    with pytest.raises(RequestRefused, match="column 1"):
        bench.service.pause(ME, Selection(selector="=x"), reason="x", until="")
    assert [one["id"] for one in bench.service.credentials(Selection(selector="team=c"))["items"]] == ["c00"]
    assert bench.service.status("team!=c")["counts"]["managed"] == 0
